"""The checkpoint that an interrupted run goes on from."""

from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Checkpoint, EarlyStopping
from pytorch_lightning.trainer.states import TrainerFn

LAST = "last.ckpt"


class LastCheckpoint(Checkpoint):
    """Writes ``last.ckpt`` after each validation, when all that an epoch leaves is settled, and at chosen steps.

    Lightning's own ``save_last`` writes before a plateau scheduler has moved by the epoch's figure, so that a resumed
    run would miss that. A checkpoint between two optimizer steps would lose accumulated gradients, one after an
    epoch's last batch its validation; neither is written. A new file replaces the old one in one move.

    Args:
        dirpath: folder of the file.
        every_n_steps: also write after every so many optimizer steps; None: after each epoch alone.

    Raises:
        ValueError: if ``every_n_steps`` is below 1.
    """

    def __init__(self, dirpath: str, every_n_steps: int | None = None) -> None:
        if every_n_steps is not None and every_n_steps < 1:
            raise ValueError(f"callbacks.last_checkpoint.every_n_steps is {every_n_steps}, expected 1 or more, or null")
        self.path = Path(dirpath) / LAST
        self.every_n_steps = every_n_steps

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """End a resumed run that had been stopped early: Lightning restores the patience, but not that it ended."""
        for callback in trainer.callbacks:  # type: ignore[attr-defined]
            if isinstance(callback, EarlyStopping) and callback.wait_count >= callback.patience:
                trainer.should_stop = True

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Write where this step is one of those chosen."""
        if self.every_n_steps is None or trainer.is_last_batch or trainer.global_step % self.every_n_steps:
            return
        if (batch_idx + 1) % trainer.accumulate_grad_batches == 0:
            trainer.save_checkpoint(self.path)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write at the end of an epoch."""
        if trainer.state.fn == TrainerFn.FITTING:
            trainer.save_checkpoint(self.path)
