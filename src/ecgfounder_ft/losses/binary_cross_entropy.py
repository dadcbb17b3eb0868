"""A binary cross-entropy for each condition."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ecgfounder_ft.labels import PRESENT
from ecgfounder_ft.losses.loss import Loss, mean_over_known

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(kw_only=True)
class BinaryCrossEntropy(Loss):
    """A binary cross-entropy for each condition; unknown ones are left out."""

    exclusive = False

    def __call__(self, logits: Tensor, target: Tensor, balance: Tensor | None = None) -> Tensor:
        """As :meth:`Loss.__call__`; ``balance`` weighs a present condition over an absent one (``pos_weight``)."""
        import torch
        from torch.nn.functional import binary_cross_entropy_with_logits

        present = (target == PRESENT).to(torch.float32)
        losses = binary_cross_entropy_with_logits(logits.float(), present, pos_weight=balance, reduction="none")
        return mean_over_known(losses, target)
