"""The learning-rate range test (Smith 2017, https://arxiv.org/abs/1506.01186)."""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ecgfounder_ft.finetune.strategy import Strategy, set_rates
from ecgfounder_ft.training.classifier import Classifier
from ecgfounder_ft.training.temporary_steps import trial

_SMOOTHING = 0.9  # of the running mean of the loss
_DIVERGED = 4.0  # times the smallest loss


@dataclass
class RangeTest:
    """Losses over learning rates."""

    rates: list[float]
    losses: list[float]
    """Smoothed by a running mean."""
    suggestion: float | None
    """The rate at which the loss falls fastest; None where it never falls."""


def range_test(
    classifier: Classifier,
    strategy: Strategy,
    batches: Iterable[Mapping[str, Tensor]],
    lowest: float,
    highest: float,
    steps: int,
    device: torch.device,
) -> RangeTest:
    """Train with a rate that grows from ``lowest`` to ``highest``, as in the first epoch; the network stays as it was.

    The test ends early where the loss exceeds four times its smallest value. It runs in float32 and without
    augmentation. A strategy's multiples of the rate hold here too, so the suggestion is for ``optimizer.lr``.

    Args:
        classifier: with its training plan.
        strategy: whose rates of epoch 0 hold.
        batches: of the training side, taken again from the beginning where they are too few.
        lowest: first rate.
        highest: last rate.
        steps: optimizer steps.
        device: on which to train.

    Raises:
        ValueError: if the rates are not in order, or there are fewer than 10 steps.
    """
    if not 0 < lowest < highest or steps < 10:
        raise ValueError(f"lr_finder: {lowest=}, {highest=}, {steps=}; expected 0 < lowest < highest, 10 steps or more")
    plan = classifier.training_plan
    assert plan is not None
    tried: list[float] = []
    losses: list[float] = []
    mean = 0.0
    endless = _again_and_again(batches)
    with trial(classifier, strategy, 0, device) as rates:
        optimizer = plan.optimizer(classifier.parameter_groups())
        set_rates(optimizer, rates)
        base = [group["lr"] for group in optimizer.param_groups]
        given = max(base[index] / group["rate"] for index, group in enumerate(optimizer.param_groups))
        for step in range(steps):
            rate = lowest * (highest / lowest) ** (step / (steps - 1))
            for group, own in zip(optimizer.param_groups, base, strict=True):
                group["lr"] = own / given * rate
            batch = next(endless)
            optimizer.zero_grad()
            logits = classifier.net.run_from(classifier.entry, batch["signal"].to(device))
            loss = plan.loss(logits, batch["target"].to(device)).mean()
            loss.backward()
            optimizer.step()
            mean = _SMOOTHING * mean + (1 - _SMOOTHING) * loss.item()
            smoothed = mean / (1 - _SMOOTHING ** (step + 1))
            if not math.isfinite(smoothed) or (losses and smoothed > _DIVERGED * min(losses)):
                break
            tried.append(rate)
            losses.append(smoothed)
    return RangeTest(tried, losses, suggest(tried, losses))


def suggest(rates: list[float], losses: list[float]) -> float | None:
    """The rate where the loss falls fastest over the logarithm of the rate, before its minimum.

    The first tenth is left out, in which the running mean still settles.
    """
    skipped = len(losses) // 10
    end = int(np.argmin(losses)) + 1 if losses else 0
    if end - skipped < 3:
        return None
    slope = np.gradient(np.array(losses[skipped:end]), np.log(rates[skipped:end]))
    steepest = int(slope.argmin())
    return float(rates[skipped + steepest]) if slope[steepest] < 0 else None


def _again_and_again(batches: Iterable[Mapping[str, Tensor]]) -> Iterator[Mapping[str, Tensor]]:
    while True:
        yield from batches
