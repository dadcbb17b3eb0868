"""The LightningModule: a Net1D with its loss, its optimizer and the figures of each epoch."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import ReduceLROnPlateau

from ecgfounder_ft.model.card import CARD_KEY, ModelCard
from ecgfounder_ft.model.epoch_predictions import EpochPredictions


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


@dataclass
class Training:
    """What a classifier needs to train, beside what it is."""

    loss: nn.Module
    """Logits (N, k) and states (N, k) to losses (N,)."""
    optimizer: Callable[[list[dict[str, Any]]], Optimizer]
    """Parameter groups to an optimizer; each group names its part and the part's rate at the start."""
    scheduler: Callable[[Optimizer, int], Any]
    """Optimizer and number of optimizer steps to a learning-rate scheduler."""
    monitor: str
    """Validation figure that a plateau scheduler watches; the other schedulers move at every step."""


class Classifier(pl.LightningModule):
    """Classifies recordings. A checkpoint holds the network and its :class:`ModelCard`, nothing that needs code.

    Args:
        card: the model's record as plain containers.
        entry: the part of the network that batches enter at; later than ``stem`` where the outputs of frozen parts
            are computed once and stored.
        training: None for a model that is only used.
    """

    def __init__(self, card: Mapping[str, Any], entry: str = "stem", training: Training | None = None) -> None:
        super().__init__()
        self.save_hyperparameters({"card": dict(card)}, logger=False)
        self.card = ModelCard.from_dict(dict(card))
        self.net = self.card.build_net()
        self.entry = entry
        self.training_plan = training
        codes, task = self.card.label_map.codes, self.card.task
        self.predictions = nn.ModuleDict(
            {f"{stage}_predictions": EpochPredictions(codes, task) for stage in ("train", "validation", "test")}
        )
        self.collected: dict[str, dict[str, Tensor]] = {}
        """Logits, states, losses and dataset rows of the last pass over ``validation`` and ``test``."""
        self.figures: dict[str, dict[str, Tensor]] = {}
        """Figures of the last pass over ``validation`` and ``test``, by their logged names."""
        self._not_finite: list[Tensor] = []

    def forward(self, signal: Tensor) -> Tensor:
        """Preprocessed recordings (N, leads, samples) to logits (N, conditions)."""
        return self.net(signal)

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """Two parameter groups a part of the network: its weights, and its biases, which do not decay."""
        plan = self._plan()
        groups: list[dict[str, Any]] = []
        for part, module in self.net.parts().items():
            named = dict(module.named_parameters())
            biases = [parameter for name, parameter in named.items() if name.endswith("bias")]
            weights = [parameter for name, parameter in named.items() if not name.endswith("bias")]
            groups.append({"params": weights, "part": part, "rate": 1.0})
            groups.append({"params": biases, "part": part, "rate": 1.0, "weight_decay": 0.0})
        optimizer = plan.optimizer(groups)
        scheduler = plan.scheduler(optimizer, int(self.trainer.estimated_stepping_batches))
        plateau = isinstance(scheduler, ReduceLROnPlateau)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {
                "scheduler": scheduler,
                "interval": "epoch" if plateau else "step",
                "monitor": plan.monitor,
            },
        }

    def training_step(self, batch: Mapping[str, Tensor], batch_index: int) -> Tensor:
        """Mean loss of the batch. Nothing here waits for the device."""
        losses = self._step("train", batch)
        # Kept on the device and looked at every log interval: a look at each step would stall a GPU.
        self._not_finite.append(torch.where(losses.detach().isfinite(), -1, batch["index"]))
        if (batch_index + 1) % self.trainer.log_every_n_steps == 0:  # type: ignore[attr-defined]
            self._raise_if_not_finite()
        loss = losses.mean()
        self.log("train/loss_step", loss, on_step=True, on_epoch=False, prog_bar=True)
        return loss

    def on_train_epoch_end(self) -> None:
        """Log the epoch's training figures, from the predictions made along the way."""
        self._raise_if_not_finite()
        self._log_epoch("train")

    def validation_step(self, batch: Mapping[str, Tensor], batch_index: int) -> None:
        """Collect the batch's predictions."""
        self._step("validation", batch)

    def on_validation_epoch_end(self) -> None:
        """Log the figures of the validation data."""
        self._log_epoch("validation")

    def test_step(self, batch: Mapping[str, Tensor], batch_index: int) -> None:
        """Collect the batch's predictions."""
        self._step("test", batch)

    def on_test_epoch_end(self) -> None:
        """Log the figures of the test data."""
        self._log_epoch("test")

    def probabilities(self, logits: Tensor) -> Tensor:
        """Logits (N, k) to probabilities (N, k): softmax or sigmoid, by the task."""
        return self._predictions("test").probabilities(logits)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Put the model's record where every reader of a checkpoint finds it."""
        checkpoint[CARD_KEY] = self.card.to_dict()

    def _step(self, stage: str, batch: Mapping[str, Tensor]) -> Tensor:
        logits = self.net.run_from(self.entry, batch["signal"])
        losses = self._plan().loss(logits, batch["target"])
        self._predictions(stage).update(logits, batch["target"], losses, batch["index"])
        return losses

    def _predictions(self, stage: str) -> EpochPredictions:
        metric = self.predictions[f"{stage}_predictions"]
        assert isinstance(metric, EpochPredictions)
        return metric

    def _plan(self) -> Training:
        if self.training_plan is None:
            raise RuntimeError("this classifier was built without a Training: it can only predict")
        return self.training_plan

    def _log_epoch(self, stage: str) -> None:
        metric = self._predictions(stage)
        figures = {f"{stage}/{name}": value for name, value in metric.compute().items()}
        if stage == "train":
            figures = {name: value for name, value in figures.items() if "/auroc/" not in name}
        else:
            self.collected[stage] = metric.collected()
            self.figures[stage] = figures
        self.log_dict(figures)  # of all processes already
        metric.reset()

    def _raise_if_not_finite(self) -> None:
        if self._not_finite:
            found = torch.cat(self._not_finite)
            self._not_finite.clear()
            if (found >= 0).any():
                raise NonFiniteLossError(self.current_epoch, found[found >= 0].unique().tolist())
