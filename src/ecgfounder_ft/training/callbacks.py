"""Lightning callbacks: the strategy applied epoch by epoch, the metrics of every epoch, and the last checkpoint."""

import logging
import signal
from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Checkpoint, EarlyStopping, WeightAveraging
from pytorch_lightning.trainer.states import TrainerFn
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import ReduceLROnPlateau

from ecgfounder_ft import interruption
from ecgfounder_ft.finetune.strategy import Strategy
from ecgfounder_ft.training.classifier import Classifier, NonFiniteEpochError
from ecgfounder_ft.training.random_state import random_state, set_random_state

log = logging.getLogger(__name__)

LAST_CHECKPOINT = "last.ckpt"

_LEARNING_RATES = ("lr", "initial_lr", "max_lr", "min_lr")
"""Entries of a parameter group that follow its multiplier."""


def freeze(parts: Mapping[str, nn.Module], multipliers: Mapping[str, float], strategy: Strategy) -> None:
    """Freeze the parts with multiplier 0 (eval mode, no gradient kept), unfreeze what trains of the others."""
    *_, head = parts
    for name, part in parts.items():
        trains = multipliers[name] > 0
        part.train(trains)
        for parameter_name, parameter in part.named_parameters():
            parameter.requires_grad_(trains and strategy.trains(parameter_name, name == head))
            if not parameter.requires_grad:
                parameter.grad = None


def set_multipliers(optimizer: Optimizer, multipliers: Mapping[str, float]) -> None:
    """Scale each parameter group's learning rate by its part's multiplier, keeping what a scheduler has done to it.

    A frozen group keeps its learning rate: without a gradient the optimizer leaves it alone.
    """
    for group in optimizer.param_groups:
        multiplier = multipliers[group["part"]]
        if multiplier > 0 and multiplier != group["multiplier"]:
            for key in _LEARNING_RATES:
                if key in group:
                    group[key] *= multiplier / group["multiplier"]
            group["multiplier"] = multiplier


class FollowStrategy(pl.Callback):
    """Applies the strategy at the start of training and of every epoch.

    Args:
        strategy: says what trains.
        monitor: validation metric that the strategy is told of.
        mode: ``min`` where a lower value is better, ``max`` where a higher one is.
    """

    def __init__(self, strategy: Strategy, monitor: str, mode: str) -> None:
        self.strategy = strategy
        self.monitor = monitor
        self.sign = -1.0 if mode == "min" else 1.0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Apply this epoch's multipliers: a run resumed in its middle meets no start of it."""
        self._apply(trainer, pl_module)

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Apply this epoch's multipliers; where a part begins to train, patience with validation begins anew."""
        begun = self._apply(trainer, pl_module)
        if begun and trainer.current_epoch:
            log.info("Epoch %d: %s begin(s) to train", trainer.current_epoch, ", ".join(begun))
            for callback in trainer.callbacks:  # type: ignore[attr-defined]
                if isinstance(callback, EarlyStopping):
                    callback.wait_count = 0
            for config in trainer.lr_scheduler_configs:
                if isinstance(config.scheduler, ReduceLROnPlateau):
                    config.scheduler.num_bad_epochs = 0

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Tell the strategy how the epoch went."""
        if trainer.state.fn == TrainerFn.FITTING and self.monitor in trainer.callback_metrics:
            self.strategy.observe(trainer.current_epoch, self.sign * float(trainer.callback_metrics[self.monitor]))

    def state_dict(self) -> dict[str, Any]:
        """For the checkpoint."""
        return self.strategy.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """From the checkpoint."""
        self.strategy.load_state_dict(state_dict)

    def _apply(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> list[str]:
        """Freeze, unfreeze and set multipliers; returns the parts that did not train in the epoch before."""
        assert isinstance(pl_module, Classifier)
        parts = pl_module.net.parts()
        epoch = trainer.current_epoch
        multipliers = self.strategy.multipliers(list(parts), epoch)
        freeze(parts, multipliers, self.strategy)
        for optimizer in trainer.optimizers:
            set_multipliers(optimizer, multipliers)
        for config in trainer.lr_scheduler_configs:
            if hasattr(config.scheduler, "base_lrs"):
                config.scheduler.base_lrs = [group["initial_lr"] for group in config.scheduler.optimizer.param_groups]
        before = self.strategy.multipliers(list(parts), epoch - 1) if epoch else dict.fromkeys(parts, 0.0)
        return [part for part in parts if multipliers[part] > 0 and not before[part]]


class History(pl.Callback):
    """The logged metrics of every epoch, kept across a resume."""

    def __init__(self) -> None:
        self.epochs: list[dict[str, float]] = []

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Take the epoch's metrics, of training (its last batch is over) and validation."""
        if trainer.state.fn != TrainerFn.FITTING:
            return
        assert isinstance(pl_module, Classifier)
        row = {"epoch": float(trainer.current_epoch)}
        for side in ("train", "validation"):
            row |= {name: float(value) for name, value in pl_module.metrics.get(side, {}).items()}
        rates = {
            f"learning_rate/{group['part']}": float(group["lr"])
            for group in trainer.optimizers[0].param_groups
            if any(parameter.requires_grad for parameter in group["params"])
        }
        for logger in trainer.loggers:
            logger.log_metrics(rates, step=trainer.global_step)
        row["learning_rate"] = max(rates.values())
        self.epochs.append(row)

    def state_dict(self) -> dict[str, Any]:
        """For the checkpoint."""
        return {"epochs": self.epochs}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """From the checkpoint."""
        self.epochs = state_dict["epochs"]


class FiniteEpochs(pl.Callback):
    """Ends training where an epoch leaves weights or validation losses that are NaN or infinite.

    The best of the earlier epochs is then the model; without one the run fails. The batches of the next epoch would
    show it too, but not after the last epoch.

    Args:
        history: the epochs before this one.
    """

    def __init__(self, history: History) -> None:
        self.history = history

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Look at the epoch that ends.

        Raises:
            NonFiniteEpochError: if it cannot be used, and no earlier one can.
        """
        if trainer.state.fn != TrainerFn.FITTING:
            return
        assert isinstance(pl_module, Classifier)
        found = pl_module.not_finite()
        if not found:
            return
        earlier = [row for row in self.history.epochs if row["epoch"] < trainer.current_epoch]
        if not earlier:
            raise NonFiniteEpochError(trainer.current_epoch, found)
        log.warning(
            "%s NaN or infinite after epoch %d: training diverged and ends here; the best of the %d epochs before is "
            "kept. A lower optimizer.lr may help",
            found,
            trainer.current_epoch,
            len(earlier),
        )
        trainer.should_stop = True


class LastCheckpoint(Checkpoint):
    """Writes ``last.ckpt`` after each validation, when all that an epoch leaves is settled, at chosen steps, and where
    a signal ends training.

    Lightning's own ``save_last`` writes before a plateau scheduler has moved by the epoch's metric, so that a resumed
    run would miss that. A checkpoint between two optimizer steps would lose accumulated gradients and is not written.
    A new file replaces the old one in one move.

    Args:
        dirpath: folder of the file.
        every_n_steps: also write after every so many optimizer steps; None: after each epoch alone.

    Raises:
        ValueError: if ``every_n_steps`` is below 1.
    """

    def __init__(self, dirpath: str, every_n_steps: int | None = None) -> None:
        if every_n_steps is not None and every_n_steps < 1:
            raise ValueError(f"callbacks.last_checkpoint.every_n_steps is {every_n_steps}, expected 1 or more, or null")
        self.path = Path(dirpath) / LAST_CHECKPOINT
        self.every_n_steps = every_n_steps
        self._random_state: dict[str, Any] | None = None

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Take up a resumed run's random numbers, and end one that had been stopped early: Lightning restores the
        patience, but not that it ended."""
        interruption.take_signals()
        if self._random_state is not None:
            set_random_state(self._random_state)
        for callback in trainer.callbacks:  # type: ignore[attr-defined]
            if isinstance(callback, EarlyStopping) and callback.wait_count >= callback.patience:
                trainer.should_stop = True

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Write where this step is one of those chosen, or the last before a signal ends training."""
        if trainer.is_last_batch or (batch_idx + 1) % trainer.accumulate_grad_batches:
            return  # the validation that follows comes first; or gradients are still gathered
        chosen = self.every_n_steps is not None and trainer.global_step % self.every_n_steps == 0
        asked = _is_asked_for(trainer)
        if chosen or asked:
            trainer.save_checkpoint(self.path)
        if asked:
            interruption.end_if_asked(signal.SIGTERM)

    def on_validation_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Where a signal ends training, write a checkpoint from which this validation is made anew."""
        if trainer.state.fn != TrainerFn.FITTING or not _is_asked_for(trainer):
            return
        callbacks: list[pl.Callback] = trainer.callbacks  # type: ignore[attr-defined]
        averages = [callback for callback in callbacks if isinstance(callback, WeightAveraging)]
        for average in averages:
            average.on_validation_epoch_end(trainer, pl_module)  # which puts the training weights back
        progress = trainer.fit_loop.epoch_loop.val_loop.batch_progress
        before = deepcopy(progress.state_dict())
        progress.reset()  # one batch ready and started, none done: so Lightning knows a validation to be made anew
        progress.increment_ready()
        progress.increment_started()
        trainer.save_checkpoint(self.path)
        interruption.end_if_asked(signal.SIGTERM)
        progress.load_state_dict(before)  # a launcher lets it go on
        for average in averages:
            average.on_validation_epoch_start(trainer, pl_module)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write at the end of an epoch."""
        if trainer.state.fn == TrainerFn.FITTING:
            trainer.save_checkpoint(self.path)
            if _is_asked_for(trainer):
                interruption.end_if_asked(signal.SIGTERM)

    def state_dict(self) -> dict[str, Any]:
        """For the checkpoint: where the random numbers stand, of which dropout draws."""
        return random_state()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """From the checkpoint; taken up as training starts."""
        self._random_state = state_dict


def _is_asked_for(trainer: pl.Trainer) -> bool:
    """Whether a signal has come to this process, or to another of the same run."""
    asked = interruption.is_asked_for()
    return trainer.strategy.reduce_boolean_decision(asked, all=False) if trainer.world_size > 1 else asked
