"""Training losses: one value a recording, so that a recording that breaks training can be named."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ecgfounder_ft.labels import PRESENT, UNKNOWN


class CrossEntropy(nn.Module):
    """Softmax cross-entropy for recordings with exactly one condition present.

    Args:
        label_smoothing: share of the target spread evenly over the conditions (Szegedy et al. 2016).
        balance: weight a condition, (k,), or None.
    """

    balance: Tensor | None

    def __init__(self, label_smoothing: float = 0.0, balance: Tensor | None = None) -> None:
        super().__init__()
        self.label_smoothing = label_smoothing
        self.register_buffer("balance", balance, persistent=False)

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Logits (N, k) and states (N, k) to losses (N,)."""
        return F.cross_entropy(
            logits.float(),
            (target == PRESENT).to(torch.uint8).argmax(dim=1),
            weight=self.balance,
            label_smoothing=self.label_smoothing,
            reduction="none",
        )


class BinaryCrossEntropy(nn.Module):
    """A binary cross-entropy a condition; unknown ones are left out.

    Args:
        balance: weight of a present condition over an absent one (``pos_weight``), (k,), or None.
    """

    balance: Tensor | None

    def __init__(self, balance: Tensor | None = None) -> None:
        super().__init__()
        self.register_buffer("balance", balance, persistent=False)

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Logits (N, k) and states (N, k) to losses (N,), each the mean over its known conditions (0 for none)."""
        present = (target == PRESENT).to(torch.float32)
        losses = F.binary_cross_entropy_with_logits(logits.float(), present, pos_weight=self.balance, reduction="none")
        return _mean_over_known(losses, target)


def _mean_over_known(losses: Tensor, target: Tensor) -> Tensor:
    known = target != UNKNOWN
    return torch.where(known, losses, 0.0).sum(dim=1) / known.sum(dim=1).clamp(min=1)
