"""Softmax cross-entropy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ecgfounder_ft.labels import PRESENT
from ecgfounder_ft.losses.loss import Loss

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(kw_only=True)
class CrossEntropy(Loss):
    """Softmax cross-entropy for recordings with exactly one condition present.

    Args:
        label_smoothing: share of the target spread evenly over the conditions (Szegedy et al. 2016), 0 to 1.

    Raises:
        ValueError: if it is outside that range.
    """

    exclusive = True
    label_smoothing: float

    def __post_init__(self) -> None:
        if not 0 <= self.label_smoothing <= 1:
            raise ValueError(f"task.loss.label_smoothing is {self.label_smoothing}, expected 0 to 1")

    def __call__(self, logits: Tensor, target: Tensor, balance: Tensor | None = None) -> Tensor:
        """As :meth:`Loss.__call__`."""
        import torch
        from torch.nn.functional import cross_entropy

        return cross_entropy(
            logits.float(),
            (target == PRESENT).to(torch.uint8).argmax(dim=1),
            weight=balance,
            label_smoothing=self.label_smoothing,
            reduction="none",
        )
