"""The protocol of a schedule that is told its number of optimizer steps.

A schedule's fields are its settings and their schema; their values are in ``configs/scheduler/<module>.yaml``. No
schedule imports torch at its top, so that a configuration is checked without it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from torch.optim import Optimizer
    from torch.optim.lr_scheduler import LRScheduler


@dataclass(kw_only=True)
class Schedule(ABC):
    """How the learning rate moves over the optimizer steps of a run."""

    fixed_length: ClassVar[bool] = False
    """The schedule ends where it was told to when the run was started, so a resumed run cannot be made longer."""

    @abstractmethod
    def __call__(self, optimizer: Optimizer, total_steps: int) -> LRScheduler:
        """The scheduler of an optimizer, each of whose groups has a learning rate of its own.

        Args:
            optimizer: whose learning rates are scheduled.
            total_steps: optimizer steps of the whole run.
        """
