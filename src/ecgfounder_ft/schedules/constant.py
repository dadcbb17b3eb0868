"""The learning rate as it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ecgfounder_ft.schedules.schedule import Schedule

if TYPE_CHECKING:
    from torch.optim import Optimizer
    from torch.optim.lr_scheduler import LambdaLR


@dataclass(kw_only=True)
class Constant(Schedule):
    """The learning rate as it is."""

    def __call__(self, optimizer: Optimizer, total_steps: int) -> LambdaLR:
        """As :meth:`Schedule.__call__`."""
        from torch.optim.lr_scheduler import LambdaLR

        return LambdaLR(optimizer, lambda step: 1.0)
