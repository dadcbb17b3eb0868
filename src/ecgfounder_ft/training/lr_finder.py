"""The learning-rate range test (Smith 2017, https://arxiv.org/abs/1506.01186)."""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ecgfounder_ft.finetune.strategy import Strategy
from ecgfounder_ft.training.callbacks import set_multipliers
from ecgfounder_ft.training.classifier import Classifier
from ecgfounder_ft.training.temporary_steps import temporary_steps

_SMOOTHING = 0.9  # of the running mean of the loss
_DIVERGED = 4.0  # times the smallest loss


@dataclass(frozen=True)
class RangeTest:
    """Losses over learning rates."""

    learning_rates: list[float]
    losses: list[float]
    """Smoothed by a running mean."""
    suggestion: float | None
    """The learning rate at which the loss falls fastest; None where it never falls."""

    def to_dict(self) -> dict[str, Any]:
        """The content of ``lr_finder.json``."""
        return asdict(self)


def range_test(
    classifier: Classifier,
    strategy: Strategy,
    batches: Iterable[Mapping[str, Tensor]],
    lowest: float,
    highest: float,
    steps: int,
    device: torch.device,
) -> RangeTest:
    """Train as in the first epoch, with a learning rate that grows from ``lowest`` to ``highest``.

    The network stays as it was. The test ends early where the loss exceeds four times its smallest value. It runs in
    float32 and without augmentation. A strategy's multipliers apply too, so the suggestion is for ``optimizer.lr``.

    Args:
        classifier: to be trained.
        strategy: whose multipliers of epoch 0 hold.
        batches: of the training side, taken again from the beginning where they are too few.
        lowest: first learning rate.
        highest: last learning rate.
        steps: optimizer steps.
        device: on which to train.

    Raises:
        ValueError: if the learning rates are not in order, or there are fewer than 10 steps.
    """
    if not 0 < lowest < highest or steps < 10:
        raise ValueError(f"lr_finder: {lowest=}, {highest=}, {steps=}; expected 0 < lowest < highest, 10 steps or more")
    tried: list[float] = []
    losses: list[float] = []
    mean = 0.0
    endless = _again_and_again(batches)
    with temporary_steps(classifier, strategy, 0, device) as multipliers:
        optimizer = classifier.training_settings.optimizer(classifier.parameter_groups())
        set_multipliers(optimizer, multipliers)
        base = [group["lr"] for group in optimizer.param_groups]
        given = max(base[index] / group["multiplier"] for index, group in enumerate(optimizer.param_groups))
        for step in range(steps):
            rate = lowest * (highest / lowest) ** (step / (steps - 1))
            for group, own in zip(optimizer.param_groups, base, strict=True):
                group["lr"] = own / given * rate
            batch = next(endless)
            optimizer.zero_grad()
            logits = classifier.net.run_from(classifier.entry, batch["signal"].to(device))
            loss = classifier.losses(logits, batch["target"].to(device)).mean()
            loss.backward()
            optimizer.step()
            mean = _SMOOTHING * mean + (1 - _SMOOTHING) * loss.item()
            smoothed = mean / (1 - _SMOOTHING ** (step + 1))
            if not math.isfinite(smoothed) or (losses and smoothed > _DIVERGED * min(losses)):
                break
            tried.append(rate)
            losses.append(smoothed)
    return RangeTest(tried, losses, suggest(tried, losses))


def suggest(learning_rates: list[float], losses: list[float]) -> float | None:
    """The learning rate where the loss falls fastest over its logarithm, before its minimum.

    The first tenth is left out, in which the running mean still settles.
    """
    skipped = len(losses) // 10
    end = int(np.argmin(losses)) + 1 if losses else 0
    if end - skipped < 3:
        return None
    slope = np.gradient(np.array(losses[skipped:end]), np.log(learning_rates[skipped:end]))
    steepest = int(slope.argmin())
    return float(learning_rates[skipped + steepest]) if slope[steepest] < 0 else None


def _again_and_again(batches: Iterable[Mapping[str, Tensor]]) -> Iterator[Mapping[str, Tensor]]:
    while True:
        yield from batches
