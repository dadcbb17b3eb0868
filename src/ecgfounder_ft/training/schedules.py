"""Learning-rate schedules beside torch's own, each told its number of optimizer steps by the trainer."""

import math

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, OneCycleLR


def constant(optimizer: Optimizer) -> LambdaLR:
    """The learning rate as it is."""
    return LambdaLR(optimizer, lambda step: 1.0)


def cosine(optimizer: Optimizer, total_steps: int, warmup: float, floor: float) -> LambdaLR:
    """A linear rise, then half a cosine down (Loshchilov & Hutter 2017, one cycle).

    Args:
        optimizer: whose rates are scheduled.
        total_steps: optimizer steps of the whole run.
        warmup: share of the steps in which the rate rises from 0.
        floor: the last rate over the highest.
    """
    rise = round(warmup * total_steps)

    def factor(step: int) -> float:
        if step < rise:
            return (step + 1) / rise
        progress = min(1.0, (step - rise) / max(1, total_steps - rise))
        return floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * progress))

    return LambdaLR(optimizer, factor)


def one_cycle(optimizer: Optimizer, total_steps: int, warmup: float) -> OneCycleLR:
    """Up to the learning rate and down again, momentum the other way round (Smith & Topin 2018).

    Args:
        optimizer: whose rates are scheduled; each group's own rate is its highest.
        total_steps: optimizer steps of the whole run.
        warmup: share of the steps in which the rate rises.
    """
    highest = [group["lr"] for group in optimizer.param_groups]
    return OneCycleLR(optimizer, max_lr=highest, total_steps=total_steps, pct_start=warmup)
