"""The progress bar of an epoch."""

from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import RichProgressBar


class ProgressBar(RichProgressBar):
    """Lightning's, on one line of 80 columns, and gone when it is over: what stays is a line per epoch.

    Args:
        leave: keep the finished bars on the terminal.
    """

    def __init__(self, leave: bool) -> None:
        super().__init__(leave=leave)

    def get_metrics(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> dict[str, Any]:
        """The loss of the last batch, by a short name."""
        metrics = super().get_metrics(trainer, pl_module)
        return {"loss": metrics["train/loss_step"]} if "train/loss_step" in metrics else {}

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Take the bars away."""
        if self.progress is not None and not self._leave:
            self.progress.live.transient = True
        super().teardown(trainer, pl_module, stage)
