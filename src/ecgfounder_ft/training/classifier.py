"""The LightningModule: a network with its loss, its optimizer and the metrics of each epoch."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import pytorch_lightning as pl
import torch
from pytorch_lightning.trainer.states import TrainerFn
from pytorch_lightning.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import ReduceLROnPlateau

from ecgfounder_ft.losses.loss import Loss
from ecgfounder_ft.model.network import Network
from ecgfounder_ft.model.record import RECORD_KEY, ModelRecord
from ecgfounder_ft.training.epoch_predictions import EpochPredictions

CONFIG_KEY = "ecgfounder_ft_config"
"""Where a checkpoint holds the configuration of its run."""
_EPOCH_KEY = "training_epoch"
"""Where a checkpoint of the middle of an epoch holds the predictions made in it so far."""
_TRAINED_KEY = "training_metrics"
"""Where a checkpoint of the end of an epoch holds its training metrics."""


class Augment(Protocol):
    """Changes a training batch on its device."""

    def __call__(self, signal: Tensor, key: Sequence[int]) -> tuple[Tensor, tuple[Tensor, Tensor] | None]:
        """Signals (N, leads, samples), and numbers that the draw follows from.

        Returns:
            The changed signals; and where recordings were mixed, the row (N,) that each was mixed with and the share
            (N,) that it kept of itself.
        """


class NonFiniteLossError(Exception):
    """Training met a loss that is NaN or infinite.

    Args:
        epoch: in which it was found, counted from 0.
        recordings: dataset rows of the recordings whose loss was not finite.
    """

    def __init__(self, epoch: int, recordings: list[int]) -> None:
        self.epoch = epoch
        self.recordings = recordings
        super().__init__(f"loss is NaN or infinite in epoch {epoch} for {len(recordings)} recording(s)")


class NonFiniteEpochError(Exception):
    """An epoch left a model that cannot be used, and there is no earlier epoch to fall back on.

    Args:
        epoch: the epoch, counted from 0.
        what: what is NaN or infinite after it.
    """

    def __init__(self, epoch: int, what: str) -> None:
        self.epoch = epoch
        super().__init__(f"{what} NaN or infinite after epoch {epoch}, and no earlier epoch can be used")


@dataclass(frozen=True)
class Training:
    """What a classifier needs to train, beside what it is."""

    loss: Loss
    optimizer: Callable[[list[dict[str, Any]]], Optimizer]
    """Parameter groups to an optimizer; each group names its part and the multiplier in its learning rate."""
    scheduler: Callable[[Optimizer, int], Any]
    """Optimizer and number of optimizer steps to a learning-rate scheduler."""
    monitor: str
    """Validation metric that a plateau scheduler watches; the other schedulers move at every step."""
    balance: Tensor | None = None
    """Weights of the loss (k,), as :meth:`ecgfounder_ft.task.Task.loss_weights` gives them."""
    augment: Augment | None = None
    """Changes training batches; None: they stay as they are."""
    config: dict[str, Any] = field(default_factory=dict)
    """The run's whole configuration in plain containers, for its checkpoints."""


class Classifier(pl.LightningModule):
    """Classifies recordings. A checkpoint holds the network and its :class:`ModelRecord`, nothing that needs code.

    Args:
        record: the model's record.
        net: the network, with its start.
        training: how it trains.
        entry: the part of the network that batches enter at; later than the first where the outputs of frozen parts are
            computed once and stored. None: the first.
    """

    balance: Tensor | None

    def __init__(self, record: ModelRecord, net: Network, training: Training, entry: str | None = None) -> None:
        super().__init__()
        self.record = record
        self.net = net
        self.entry = next(iter(net.parts())) if entry is None else entry
        self.training_settings = training
        self.register_buffer("balance", training.balance, persistent=False)
        codes, task = record.label_map.codes, record.task
        self.predictions = nn.ModuleDict(
            {f"{side}_predictions": EpochPredictions(codes, task) for side in ("train", "validation", "test")}
        )
        self.collected: dict[str, dict[str, Tensor]] = {}
        """Logits, states, losses and dataset rows of the last pass over ``validation`` and ``test``."""
        self.metrics: dict[str, dict[str, Tensor]] = {}
        """Metrics of the last pass over ``train``, ``validation`` and ``test``, by their logged names."""
        self._not_finite: list[Tensor] = []
        self._log_again = False

    def forward(self, signal: Tensor) -> Tensor:
        """Preprocessed recordings (N, leads, samples) to logits (N, conditions)."""
        return self.net(signal)

    def losses(self, logits: Tensor, target: Tensor) -> Tensor:
        """Logits (N, k) and states (N, k) to losses (N,)."""
        return self.training_settings.loss(logits, target, self.balance)

    def not_finite(self) -> str:
        """What is NaN or infinite after the last pass over the validation data, with its verb; empty: nothing is."""
        names = [name for name, value in self.net.state_dict().items() if not value.isfinite().all()]
        if names:
            return f"{len(names)} of the network's tensors ({names[0]} first) are"
        losses = self.collected["validation"]["loss"]
        broken = int((~losses.isfinite()).sum())
        return f"the losses of {broken} of {len(losses)} validation recordings are" if broken else ""

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Two groups per part of the network: its weights, and its biases, which do not decay."""
        groups: list[dict[str, Any]] = []
        for part, module in self.net.parts().items():
            named = dict(module.named_parameters())
            biases = [parameter for name, parameter in named.items() if name.endswith("bias")]
            weights = [parameter for name, parameter in named.items() if not name.endswith("bias")]
            groups.append({"params": weights, "part": part, "multiplier": 1.0})
            groups.append({"params": biases, "part": part, "multiplier": 1.0, "weight_decay": 0.0})
        return groups

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """The optimizer over :meth:`parameter_groups`, and its schedule."""
        training = self.training_settings
        optimizer = training.optimizer(self.parameter_groups())
        # A fused optimizer announces that it can unscale float16 gradients itself, and Lightning then refuses to clip
        # them. Told otherwise, the gradients are unscaled first, then clipped, then applied, as with any optimizer.
        optimizer._step_supports_amp_scaling = False  # type: ignore[attr-defined]
        scheduler = training.scheduler(optimizer, self._optimizer_steps())
        plateau = isinstance(scheduler, ReduceLROnPlateau)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {
                "scheduler": scheduler,
                "interval": "epoch" if plateau else "step",
                "monitor": training.monitor,
            },
        }

    def lr_scheduler_step(self, scheduler: Any, metric: Any) -> None:
        """Move a schedule by one step; a plateau scheduler moves at the end of validation instead."""
        if not isinstance(scheduler, ReduceLROnPlateau):
            scheduler.step()

    def training_step(self, batch: Mapping[str, Tensor], batch_index: int) -> Tensor:
        """Mean loss of the batch. Nothing here waits for the device."""
        training = self.training_settings
        signal, target = batch["signal"], batch["target"]
        mixed = None
        if training.augment is not None:
            signal, mixed = training.augment(signal, (self.current_epoch, batch_index, self.global_rank))
        logits = self.net.run_from(self.entry, signal)
        losses = self.losses(logits, target)
        if mixed is not None:
            partner, share = mixed
            losses = share * losses + (1 - share) * self.losses(logits, target[partner])
        self._predictions("train").update(logits, target, losses, batch["index"])
        # Kept on the device and looked at every log interval: a look at each step would stall a GPU.
        self._not_finite.append(torch.where(losses.detach().isfinite(), -1, batch["index"]))
        if (batch_index + 1) % self.trainer.log_every_n_steps == 0:  # type: ignore[attr-defined]
            self._raise_if_not_finite()
        loss = losses.mean()
        self.log("train/loss_step", loss, on_step=True, on_epoch=False, prog_bar=True)
        return loss

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_index: int) -> None:
        """After the epoch's last batch, log its training metrics, from the predictions made along the way.

        Not at the epoch's end, which comes after the validation at which the checkpoint is written: a checkpoint is
        then complete, and a run that is resumed from it has the metrics too.
        """
        if self.trainer.is_last_batch:
            self._raise_if_not_finite()
            self._log_epoch("train")

    def validation_step(self, batch: Mapping[str, Tensor], batch_index: int) -> None:
        """Collect the batch's predictions."""
        self._step("validation", batch)

    def on_validation_epoch_end(self) -> None:
        """Log the metrics of the validation data, and move a plateau scheduler by them.

        Lightning would move it after the checkpoint of the epoch was written, and not at all in an epoch that was
        resumed.
        """
        self._log_epoch("validation")
        if self.trainer.state.fn == TrainerFn.FITTING:
            for config in self.trainer.lr_scheduler_configs:
                if isinstance(config.scheduler, ReduceLROnPlateau):
                    config.scheduler.step(self._monitored())

    def test_step(self, batch: Mapping[str, Tensor], batch_index: int) -> None:
        """Collect the batch's predictions."""
        self._step("test", batch)

    def on_test_epoch_end(self) -> None:
        """Log the metrics of the test data."""
        self._log_epoch("test")

    def probabilities(self, logits: Tensor) -> Tensor:
        """Logits (N, k) to probabilities (N, k): softmax or sigmoid, by the task."""
        return self._predictions("test").probabilities(logits)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the model's record, the run's configuration, and the epoch's predictions so far, or its metrics."""
        checkpoint[RECORD_KEY] = self.record.to_dict()
        checkpoint[CONFIG_KEY] = self.training_settings.config
        metric = self._predictions("train")
        if self.trainer.world_size > 1 and metric.index:
            metric.sync()
            checkpoint[_EPOCH_KEY] = metric.raw()
            metric.unsync()
        elif metric.index:
            checkpoint[_EPOCH_KEY] = metric.raw()
        else:
            checkpoint[_TRAINED_KEY] = self.metrics.get("train", {})

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take up the predictions of an epoch that was interrupted, or the training metrics of one before or in its
        validation."""
        metric = self._predictions("train")
        metric.reset()
        if _EPOCH_KEY in checkpoint and self.global_rank == 0:
            found = {name: value.to(self.device) for name, value in checkpoint[_EPOCH_KEY].items()}
            metric.update(**found)
        if checkpoint.get(_TRAINED_KEY):
            self.metrics["train"] = checkpoint[_TRAINED_KEY]
            self._log_again = True

    def on_train_epoch_end(self) -> None:
        """Log what the epoch's last batch logged before an interruption."""
        if self._log_again:
            self.log_dict(self.metrics["train"], on_step=False, on_epoch=True)
        self._log_again = False

    def _step(self, side: str, batch: Mapping[str, Tensor]) -> Tensor:
        logits = self.net.run_from(self.entry, batch["signal"])
        losses = self.losses(logits, batch["target"])
        self._predictions(side).update(logits, batch["target"], losses, batch["index"])
        return losses

    def _predictions(self, side: str) -> EpochPredictions:
        metric = self.predictions[f"{side}_predictions"]
        assert isinstance(metric, EpochPredictions)
        return metric

    def _log_epoch(self, side: str) -> None:
        metric = self._predictions(side)
        metrics = {f"{side}/{name}": value for name, value in metric.compute().items()}
        if side == "train":
            metrics = {name: value for name, value in metrics.items() if "/auroc/" not in name}
        else:
            self.collected[side] = self._of_all_processes(metric)
        self.metrics[side] = metrics
        self.log_dict(metrics, on_step=False, on_epoch=True)  # of all processes already
        metric.reset()

    def _optimizer_steps(self) -> int:
        """Of the whole run.

        Lightning's own count (``estimated_stepping_batches``) sets up the training data before a checkpoint is
        restored, and the place in an epoch that a checkpoint holds is then never given to the loader.
        """
        trainer = self.trainer
        batches = len(trainer.datamodule.train_dataloader())  # type: ignore[attr-defined]
        limit = trainer.limit_train_batches
        batches = min(batches, limit) if isinstance(limit, int) else int(batches * limit)
        return math.ceil(batches / trainer.accumulate_grad_batches) * (trainer.max_epochs or 1)

    def _monitored(self) -> float:
        name = self.training_settings.monitor
        metrics = self.metrics["validation"]
        if name not in metrics:
            raise KeyError(f"monitor.name={name}: expected one of: {', '.join(metrics)}")
        return float(metrics[name])

    def _of_all_processes(self, metric: EpochPredictions) -> dict[str, Tensor]:
        with metric.sync_context(should_sync=self.trainer.world_size > 1):
            return metric.collected()

    def _raise_if_not_finite(self) -> None:
        if self._not_finite:
            found = torch.cat(self._not_finite)
            self._not_finite.clear()
            if (found >= 0).any():
                raise NonFiniteLossError(self.current_epoch, found[found >= 0].unique().tolist())
