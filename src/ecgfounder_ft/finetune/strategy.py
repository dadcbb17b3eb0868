"""The protocol of a fine-tuning strategy, and how its answer is applied to a network and its optimizer.

A strategy is a pure function of the epoch: which parts of the network (stem, stage1 ... stage7, head) train, and at
which multiple of the learning rate. Nothing else is remembered, so a resumed run continues as it would have gone on.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

import pytorch_lightning as pl
from torch import nn
from torch.optim import Optimizer

from ecgfounder_ft.model.classifier import Classifier

_RATE_KEYS = ("lr", "initial_lr", "max_lr", "min_lr")


class Strategy(ABC):
    """Which parts of the network train at which epoch, and at which rate."""

    @abstractmethod
    def rates(self, parts: Sequence[str], epoch: int) -> dict[str, float]:
        """Multiple of the learning rate for each part, from input to output; 0 means frozen.

        Args:
            parts: names of the network's parts, from input to output.
            epoch: counted from 0.
        """

    def frozen_prefix(self, parts: Sequence[str], epochs: int) -> list[str]:
        """The leading parts that train in none of the epochs, so that their output can be computed once."""
        schedule = [self.rates(parts, epoch) for epoch in range(max(epochs, 1))]
        prefix: list[str] = []
        for part in parts:
            if any(rates[part] > 0 for rates in schedule):
                break
            prefix.append(part)
        return prefix


def freeze(parts: Mapping[str, nn.Module], rates: Mapping[str, float]) -> None:
    """Freeze the parts with rate 0 (eval mode, no gradient kept), unfreeze the others."""
    for name, part in parts.items():
        trains = rates[name] > 0
        part.train(trains)
        part.requires_grad_(trains)
        if not trains:
            for parameter in part.parameters():
                parameter.grad = None


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
    """Applies the strategy at the start of every training epoch, from the epoch number alone."""

    def __init__(self, strategy: Strategy) -> None:
        self.strategy = strategy

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Freeze, unfreeze and set the rates of this epoch."""
        assert isinstance(pl_module, Classifier)
        parts = pl_module.net.parts()
        rates = self.strategy.rates(list(parts), trainer.current_epoch)
        freeze(parts, rates)
        for optimizer in trainer.optimizers:
            set_rates(optimizer, rates)
        for config in trainer.lr_scheduler_configs:
            if hasattr(config.scheduler, "base_lrs"):
                config.scheduler.base_lrs = [group["initial_lr"] for group in config.scheduler.optimizer.param_groups]
