"""How checkpoints reach the disk."""

from pathlib import Path
from typing import Any

import torch
from pytorch_lightning.plugins.io import TorchCheckpointIO

from ecgfounder_ft.files import whole_file


class WholeCheckpoints(TorchCheckpointIO):
    """Writes a checkpoint beside the one that it replaces, and moves it there when it is whole and on the disk.

    Lightning's own writes to the system's folder for temporary files. From another file system than the run's, the last
    step is then a copy, and a run that is killed in it has lost both checkpoints.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Write a checkpoint.

        Raises:
            WriteError: if the disk is full, or the place cannot be written to; the one before stays.
        """
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(path, durable=True) as unfinished, unfinished.open("wb") as stream:
            try:
                torch.save(checkpoint, stream)
            except RuntimeError as error:  # of its writer, which hides why it could not write
                raise error.__context__ if isinstance(error.__context__, OSError) else error from None
