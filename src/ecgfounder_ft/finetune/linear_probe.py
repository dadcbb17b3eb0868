"""Only the last layer trains."""

from collections.abc import Sequence
from dataclasses import dataclass

from ecgfounder_ft.finetune.strategy import Strategy


@dataclass(kw_only=True)
class LinearProbe(Strategy):
    """Linear probing: the backbone stays as it is, bit for bit.

    Raises:
        ValueError: as :class:`~ecgfounder_ft.finetune.strategy.Strategy`, or if blocks are to be skipped: none trains.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.stochastic_depth:
            raise ValueError(
                f"finetune.stochastic_depth is {self.stochastic_depth}, expected 0: finetune=linear_probe trains no "
                "residual block, and what does not train is not skipped"
            )

    def multipliers(self, parts: Sequence[str], epoch: int) -> dict[str, float]:
        """1 for the last part, 0 for the others."""
        return {part: float(part == parts[-1]) for part in parts}
