"""A linear rise, then half a cosine down."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ecgfounder_ft.schedules.schedule import Schedule

if TYPE_CHECKING:
    from torch.optim import Optimizer
    from torch.optim.lr_scheduler import LambdaLR


@dataclass(kw_only=True)
class Cosine(Schedule):
    """A linear rise, then half a cosine down (Loshchilov & Hutter 2017, one cycle).

    Args:
        warmup: share of the steps in which the learning rate rises from 0.
        floor: the last learning rate over the highest.
    """

    warmup: float
    floor: float

    def __call__(self, optimizer: Optimizer, total_steps: int) -> LambdaLR:
        """As :meth:`Schedule.__call__`."""
        from torch.optim.lr_scheduler import LambdaLR

        rise = round(self.warmup * total_steps)

        def factor(step: int) -> float:
            if step < rise:
                return (step + 1) / rise
            progress = min(1.0, (step - rise) / max(1, total_steps - rise))
            return self.floor + (1 - self.floor) * 0.5 * (1 + math.cos(math.pi * progress))

        return LambdaLR(optimizer, factor)
