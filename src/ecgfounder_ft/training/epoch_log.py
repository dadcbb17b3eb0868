"""What training says of itself, on the terminal and in train.log: one line per epoch, and why it ended."""

import logging
from collections.abc import Mapping
from typing import NamedTuple

import pytorch_lightning as pl
from pytorch_lightning.callbacks import EarlyStopping
from pytorch_lightning.callbacks.early_stopping import EarlyStoppingReason
from pytorch_lightning.trainer.states import TrainerFn

from ecgfounder_ft.training.callbacks import History

log = logging.getLogger(__name__)

_HEADER = ("train loss", "val loss", "AUROC", "lr", "best@epoch", "left")
_WIDTHS = (10, 8, 5, 6, 10, 4)
"""With the epoch, and what the log puts before a line on the terminal, 80 columns."""
_LINES_PER_HEADER = 25


class Best(NamedTuple):
    """The best epoch so far."""

    epoch: int
    """Counted from 0."""
    value: float
    """Of the monitored metric."""


class EpochLog(pl.Callback):
    """Logs a line per epoch. Belongs behind early stopping in the trainer's callbacks, whose patience it shows.

    Args:
        history: the metrics of every epoch so far, this one included.
        monitor: validation metric by which the best epoch is known.
        mode: ``min`` where a lower value is better, ``max`` where a higher one is.
    """

    def __init__(self, history: History, monitor: str, mode: str) -> None:
        self.history = history
        self.monitor = monitor
        self.mode = mode
        self._lines = 0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Say what the lines will mean."""
        order = "lowest" if self.mode == "min" else "highest"
        stopping = _early_stopping(trainer)
        patience = "" if stopping is None else f", and it stops after {stopping.patience} without a better one"
        log.info(
            "Training for up to %d epoch(s), counted from 0; the best has the %s %s%s. AUROC: macro, of validation",
            trainer.max_epochs,
            order,
            self.monitor,
            patience,
        )

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Log the epoch that has just been validated."""
        if trainer.state.fn != TrainerFn.FITTING or not self.history.epochs:
            return
        last = (trainer.max_epochs or 1) - 1
        width = max(len(f"{last}/{last}"), len("epoch"))
        if self._lines % _LINES_PER_HEADER == 0:
            log.info(_line("epoch", _HEADER, width))
        self._lines += 1
        row = self.history.epochs[-1]
        best = self.best()
        stopping = _early_stopping(trainer)
        cells = (
            _number(row, "train/loss"),
            _number(row, "validation/loss"),
            _number(row, "validation/macro_auroc", decimals=3),
            f"{row['learning_rate']:.1e}".replace("e-0", "e-"),
            "-" if best is None else f"{_shown(best.value)}@{best.epoch}",
            "-" if stopping is None else str(max(stopping.patience - stopping.wait_count, 0)),
        )
        log.info(_line(f"{int(row['epoch'])}/{last}", cells, width))

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Say why there are no more epochs."""
        if self.history.epochs:
            log.info(self.why_it_ended(trainer))

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Say what ended training ahead of its time, a signal among others."""
        reason = (str(exception) or type(exception).__name__).splitlines()[0]
        log.warning("Stopped in epoch %d: %s", trainer.current_epoch, reason)

    def best(self) -> Best | None:
        """The best epoch so far; of equal ones the first. None without one."""
        sign = 1.0 if self.mode == "min" else -1.0
        rows = [row for row in self.history.epochs if row.get(self.monitor, float("nan")) == row.get(self.monitor)]
        if not rows:
            return None
        row = min(rows, key=lambda row: sign * row[self.monitor])
        return Best(int(row["epoch"]), row[self.monitor])

    def why_it_ended(self, trainer: pl.Trainer) -> str:
        """One sentence, for a training of at least one epoch."""
        last = int(self.history.epochs[-1]["epoch"])
        best = self.best()
        found = "no epoch has a value of it" if best is None else f"{_shown(best.value)} in epoch {best.epoch}"
        stopping = _early_stopping(trainer)
        if stopping is not None and stopping.wait_count >= stopping.patience:
            return (
                f"Stopped after epoch {last}: {self.monitor} has not been better for {stopping.wait_count} epoch(s) "
                f"(callbacks.early_stopping.patience); best: {found}"
            )
        if stopping is not None and stopping.stopping_reason != EarlyStoppingReason.NOT_STOPPED:
            return f"Stopped after epoch {last}: {stopping.stopping_reason_message}"
        if last + 1 < (trainer.max_epochs or 0):
            return f"Stopped after epoch {last}, before its time; best {self.monitor}: {found}"
        better = best is not None and best.epoch == last and last > 0
        advice = "; it was still getting better, so a larger trainer.max_epochs may help" if better else ""
        return f"All {last + 1} epoch(s) are done; best {self.monitor}: {found}{advice}"


def _early_stopping(trainer: pl.Trainer) -> EarlyStopping | None:
    callbacks: list[pl.Callback] = trainer.callbacks  # type: ignore[attr-defined]
    return next((callback for callback in callbacks if isinstance(callback, EarlyStopping)), None)


def _line(epoch: str, cells: tuple[str, ...], width: int) -> str:
    columns = (f"{cell:>{size}}" for cell, size in zip(cells, _WIDTHS, strict=True))
    return "  ".join((f"{epoch:>{width}}", *columns))


def _number(row: Mapping[str, float], name: str, decimals: int = 4) -> str:
    return _shown(row[name], decimals) if name in row else "-"


def _shown(value: float, decimals: int = 4) -> str:
    return f"{value:.{decimals}f}" if abs(value) < 10 else f"{value:.4g}"
