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


class Asymmetric(nn.Module):
    """Asymmetric loss (Ridnik et al. 2021, https://arxiv.org/abs/2009.14119); unknown conditions are left out.

    A binary cross-entropy whose easy negatives count less, and, with a probability below ``clip``, not at all: of
    many conditions a recording has few. With both exponents and ``clip`` at 0 it is the binary cross-entropy.

    Args:
        gamma_negative: exponent that weighs an absent condition by its probability.
        gamma_positive: exponent that weighs a present condition by one minus its probability.
        clip: subtracted from the probability of an absent condition, down to 0.
        balance: weight of a present condition over an absent one, (k,), or None.
    """

    balance: Tensor | None

    def __init__(
        self,
        gamma_negative: float = 4.0,
        gamma_positive: float = 1.0,
        clip: float = 0.05,
        balance: Tensor | None = None,
    ) -> None:
        super().__init__()
        self.gamma_negative = gamma_negative
        self.gamma_positive = gamma_positive
        self.clip = clip
        self.register_buffer("balance", balance, persistent=False)

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Logits (N, k) and states (N, k) to losses (N,), each the mean over its known conditions (0 for none)."""
        logits = logits.float()
        probability = logits.sigmoid()
        positive = -F.logsigmoid(logits) * (1 - probability) ** self.gamma_positive
        if self.balance is not None:
            positive = self.balance * positive
        if self.clip > 0:
            shifted = (probability - self.clip).clamp(min=0)
            negative = -torch.log1p(-shifted) * shifted**self.gamma_negative
        else:
            negative = -F.logsigmoid(-logits) * probability**self.gamma_negative
        return _mean_over_known(torch.where(target == PRESENT, positive, negative), target)


def _mean_over_known(losses: Tensor, target: Tensor) -> Tensor:
    known = target != UNKNOWN
    return torch.where(known, losses, 0.0).sum(dim=1) / known.sum(dim=1).clamp(min=1)
