"""Up and down once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ecgfounder_ft.schedules.schedule import Schedule

if TYPE_CHECKING:
    from torch.optim import Optimizer
    from torch.optim.lr_scheduler import OneCycleLR


@dataclass(kw_only=True)
class OneCycle(Schedule):
    """Up to the learning rate and down again, momentum the other way round (Smith & Topin 2018).

    Args:
        warmup: share of the steps in which the learning rate rises.
    """

    fixed_length = True
    warmup: float

    def __call__(self, optimizer: Optimizer, total_steps: int) -> OneCycleLR:
        """As :meth:`Schedule.__call__`; each group's own learning rate is its highest."""
        from torch.optim.lr_scheduler import OneCycleLR

        highest = [group["lr"] for group in optimizer.param_groups]
        return OneCycleLR(optimizer, max_lr=highest, total_steps=total_steps, pct_start=self.warmup)
