"""The protocol of a loss: one value per recording, so that a recording that breaks training can be named.

A loss's fields are its settings and their schema; their values are in ``configs/task/loss/<module>.yaml``. No loss
imports torch at its top, so that a configuration is checked without it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from ecgfounder_ft.labels import UNKNOWN

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(kw_only=True)
class Loss(ABC):
    """A loss of logits against the states of conditions."""

    exclusive: ClassVar[bool]
    """For tasks in which exactly one condition of a recording is present, or for those in which any number is."""

    @abstractmethod
    def __call__(self, logits: Tensor, target: Tensor, balance: Tensor | None = None) -> Tensor:
        """One loss per recording.

        Args:
            logits: (N, k).
            target: (N, k), 1 present, 0 absent, -1 unknown.
            balance: weights (k,) as :meth:`ecgfounder_ft.task.Task.loss_weights` gives them; None: all alike.

        Returns:
            (N,) float32.
        """


def mean_over_known(losses: Tensor, target: Tensor) -> Tensor:
    """(N, k) to (N,): each recording's mean over its known conditions, 0 where it has none."""
    import torch

    known = target != UNKNOWN
    return torch.where(known, losses, 0.0).sum(dim=1) / known.sum(dim=1).clamp(min=1)
