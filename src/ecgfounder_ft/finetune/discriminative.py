"""Everything trains, the deeper from the output the slower."""

from collections.abc import Sequence
from dataclasses import dataclass

from ecgfounder_ft.finetune.strategy import Strategy


@dataclass(kw_only=True)
class Discriminative(Strategy):
    """A learning rate per depth group, as in the best fine-tuning of ECGFounder in a published comparison.

    Three groups (https://arxiv.org/abs/2509.25095): the head; the later half of the stages; the stem with the earlier
    half, which of an odd number of stages is the smaller one.

    Args:
        decay: multiplier of a group over that of the group after it.

    Raises:
        ValueError: if ``decay`` is not above 0.
    """

    decay: float

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.decay > 0:
            raise ValueError(f"finetune.decay is {self.decay}, expected a number above 0")

    def multipliers(self, parts: Sequence[str], epoch: int) -> dict[str, float]:
        """1 for the head, ``decay`` for later stages, its square for the stem and earlier stages."""
        early = 1 + (len(parts) - 2) // 2
        groups = [2] * early + [1] * (len(parts) - 1 - early) + [0]
        return {part: float(self.decay**group) for part, group in zip(parts, groups, strict=True)}
