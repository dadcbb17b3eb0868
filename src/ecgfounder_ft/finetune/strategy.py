"""The protocol of a fine-tuning strategy, and how its answer is applied to a network and its optimizer.

A strategy says for an epoch which parts of the network (stem, stage1 ... stage7, head) train, and at which multiple of
the learning rate. What is applied follows from the epoch's number and from the little a strategy remembers, which
stands in the checkpoint; so a resumed run continues as it would have gone on, on either side of an unfreeze.
"""

import hashlib
import logging
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import EarlyStopping
from pytorch_lightning.trainer.states import TrainerFn
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import ReduceLROnPlateau

from ecgfounder_ft.model.network import Network
from ecgfounder_ft.training.classifier import Classifier

log = logging.getLogger(__name__)

_RATE_KEYS = ("lr", "initial_lr", "max_lr", "min_lr")


STORE_ACTIVATIONS = ("auto", "never")


@dataclass(kw_only=True)
class Strategy(ABC):
    """Which parts of the network train at which epoch, and at which rate.

    Args:
        store_activations: ``auto``: what parts that never train put out is computed once and stored; ``never``.
    """

    store_activations: str = "auto"

    def __post_init__(self) -> None:
        if self.store_activations not in STORE_ACTIVATIONS:
            raise ValueError(
                f"finetune.store_activations is '{self.store_activations}', "
                f"expected one of: {', '.join(STORE_ACTIVATIONS)}"
            )

    @abstractmethod
    def rates(self, parts: Sequence[str], epoch: int) -> dict[str, float]:
        """Multiple of the learning rate for each part, from input to output; 0 means frozen.

        Args:
            parts: names of the network's parts, from input to output.
            epoch: counted from 0.
        """

    def trains(self, parameter: str) -> bool:
        """Whether a parameter of a training part trains, by its name in the network."""
        return True

    def prepare(self, net: Network) -> None:  # noqa: B027 - most need none
        """Change the network before training, after its weights are loaded."""

    def finish(self, net: Network) -> None:  # noqa: B027 - most need none
        """Turn a trained network back into what it was before :meth:`prepare`."""

    def observe(self, epoch: int, score: float) -> None:  # noqa: B027 - most need none
        """Take note of an epoch's monitored validation figure, the higher the better."""

    def state_dict(self) -> dict[str, Any]:
        """What the strategy remembers, for the checkpoint."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:  # noqa: B027 - most need none
        """Inverse of :meth:`state_dict`."""

    def frozen_prefix(self, parts: Sequence[str], epochs: int) -> list[str]:
        """The leading parts that train in none of the epochs, so that their output can be computed once."""
        schedule = [self.rates(parts, epoch) for epoch in range(max(epochs, 1))]
        prefix: list[str] = []
        for part in parts:
            if any(rates[part] > 0 for rates in schedule):
                break
            prefix.append(part)
        return prefix


def freeze(parts: Mapping[str, nn.Module], rates: Mapping[str, float], strategy: Strategy) -> None:
    """Freeze the parts with rate 0 (eval mode, no gradient kept), unfreeze what trains of the others."""
    for name, part in parts.items():
        trains = rates[name] > 0
        part.train(trains)
        for parameter_name, parameter in part.named_parameters():
            parameter.requires_grad_(trains and strategy.trains(parameter_name))
            if not parameter.requires_grad:
                parameter.grad = None


def digest_of(parts: Iterable[nn.Module]) -> str:
    """Digest of the parameters and buffers (running means of batch norm) of some parts, by their values."""
    digest = hashlib.sha256()
    for part in parts:
        for name, tensor in [*part.named_parameters(), *part.named_buffers()]:
            digest.update(f"{name} {tuple(tensor.shape)} ".encode())
            digest.update(tensor.detach().cpu().contiguous().numpy().data)
    return digest.hexdigest()


def set_rates(optimizer: Optimizer, rates: Mapping[str, float]) -> None:
    """Scale the learning rate of each parameter group to its part's rate, keeping what a scheduler has done to it.

    A frozen group keeps its rate: without a gradient the optimizer leaves it alone.
    """
    for group in optimizer.param_groups:
        rate = rates[group["part"]]
        if rate > 0 and rate != group["rate"]:
            for key in _RATE_KEYS:
                if key in group:
                    group[key] *= rate / group["rate"]
            group["rate"] = rate


class FollowStrategy(pl.Callback):
    """Applies the strategy at the start of training and of every epoch.

    Args:
        strategy: says what trains.
        monitor: validation figure that the strategy is told of.
        mode: ``min`` where a lower figure is better, ``max`` where a higher one is.
    """

    def __init__(self, strategy: Strategy, monitor: str, mode: str) -> None:
        self.strategy = strategy
        self.monitor = monitor
        self.sign = -1.0 if mode == "min" else 1.0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Apply this epoch's rates: a run resumed in its middle meets no start of it."""
        self._apply(trainer, pl_module)

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Apply this epoch's rates; where a part begins to train, patience with the validation figure begins anew."""
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
        """Freeze, unfreeze and set rates; returns the parts that did not train in the epoch before."""
        assert isinstance(pl_module, Classifier)
        parts = pl_module.net.parts()
        epoch = trainer.current_epoch
        rates = self.strategy.rates(list(parts), epoch)
        freeze(parts, rates, self.strategy)
        for optimizer in trainer.optimizers:
            set_rates(optimizer, rates)
        for config in trainer.lr_scheduler_configs:
            if hasattr(config.scheduler, "base_lrs"):
                config.scheduler.base_lrs = [group["initial_lr"] for group in config.scheduler.optimizer.param_groups]
        before = self.strategy.rates(list(parts), epoch - 1) if epoch else dict.fromkeys(parts, 0.0)
        return [part for part in parts if rates[part] > 0 and not before[part]]
