"""The folder of a run or of a sweep: looked at before Hydra makes it, and found again as ``outputs/latest``."""

import os
import uuid
from contextlib import suppress
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from ecgfounder_ft.errors import run_or_explain
from ecgfounder_ft.files import WriteError

OUTPUTS = Path("outputs")
"""Folder of runs and sweeps, below the one that the program was started in."""
LATEST = "latest"


def link_latest(folder: Path) -> None:
    """Let ``outputs/latest`` lead to a run or sweep that has come to its end.

    A folder outside of ``outputs`` has been named by the user, and gets no link. Nothing is made where
    links are not possible, and a folder or file of that name stays.
    """
    outputs = Path(os.path.realpath(OUTPUTS))
    target = Path(os.path.realpath(folder))
    if not target.is_relative_to(outputs) or target == outputs:
        return
    unfinished = outputs / f".{LATEST}.{uuid.uuid4().hex[:12]}"
    with suppress(OSError):
        unfinished.symlink_to(target.relative_to(outputs), target_is_directory=True)
        try:
            unfinished.replace(outputs / LATEST)
        finally:
            unfinished.unlink(missing_ok=True)


class RequireWritableFolder(Callback):
    """Ends the program in words where the folder cannot be made; Hydra itself would show a traceback."""

    def on_run_start(self, config: DictConfig, **_: Any) -> None:
        """Look at the folder of a run."""
        run_or_explain(lambda: require_writable(Path(config.hydra.run.dir)))

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        """Look at the folder of a sweep."""
        run_or_explain(lambda: require_writable(Path(config.hydra.sweep.dir)))


def require_writable(folder: Path) -> None:
    """Refuse a folder that cannot be made or written to. Nothing is made.

    Raises:
        WriteError: that says what stands in the way.
    """
    there = next(place for place in (folder, *folder.absolute().parents) if os.path.lexists(place))
    if not there.is_dir():
        raise WriteError(f"{folder}: {there} is no folder; choose another place (hydra.run.dir=...)")
    if not os.access(there, os.W_OK | os.X_OK):
        raise WriteError(f"{folder}: {there} may not be written to; choose another place (hydra.run.dir=...)")
