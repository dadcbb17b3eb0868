"""The asymmetric loss."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ecgfounder_ft.labels import PRESENT
from ecgfounder_ft.losses.loss import Loss, mean_over_known

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(kw_only=True)
class Asymmetric(Loss):
    """Asymmetric loss (Ridnik et al. 2021, https://arxiv.org/abs/2009.14119); unknown conditions are left out.

    A binary cross-entropy whose easy negatives count less, and, with a probability below ``clip``, not at all: a
    recording has few of many conditions. With both exponents and ``clip`` at 0 it is the binary cross-entropy.

    Args:
        gamma_negative: exponent that weighs an absent condition by its probability.
        gamma_positive: exponent that weighs a present condition by one minus its probability.
        clip: subtracted from the probability of an absent condition, down to 0.
    """

    exclusive = False
    gamma_negative: float
    gamma_positive: float
    clip: float

    def __call__(self, logits: Tensor, target: Tensor, balance: Tensor | None = None) -> Tensor:
        """As :meth:`Loss.__call__`; ``balance`` weighs a present condition over an absent one."""
        import torch
        from torch.nn.functional import logsigmoid

        logits = logits.float()
        probability = logits.sigmoid()
        positive = -logsigmoid(logits) * (1 - probability) ** self.gamma_positive
        if balance is not None:
            positive = balance * positive
        if self.clip > 0:
            shifted = (probability - self.clip).clamp(min=0)
            negative = -torch.log1p(-shifted) * shifted**self.gamma_negative
        else:
            negative = -logsigmoid(-logits) * probability**self.gamma_negative
        return mean_over_known(torch.where(target == PRESENT, positive, negative), target)
