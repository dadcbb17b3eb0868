"""One stage after the other is unfrozen, from the last layer down."""

from collections.abc import Sequence
from dataclasses import dataclass

from ecgfounder_ft.finetune.strategy import Strategy


@dataclass(kw_only=True)
class Gradual(Strategy):
    """Gradual unfreezing (Howard & Ruder 2018, "ULMFiT", https://doi.org/10.18653/v1/P18-1031).

    Args:
        every_n_epochs: epochs between one step and the next.
        parts_per_step: stages (or, at last, the stem) that each step adds.

    Raises:
        ValueError: if either is below 1.
    """

    every_n_epochs: int
    parts_per_step: int

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("every_n_epochs", "parts_per_step"):
            if getattr(self, name) < 1:
                raise ValueError(f"finetune.{name} is {getattr(self, name)}, expected 1 or more")

    def multipliers(self, parts: Sequence[str], epoch: int) -> dict[str, float]:
        """1 for the head and for the parts of the steps up to this epoch, 0 for the others."""
        added = epoch // self.every_n_epochs * self.parts_per_step
        trained = set(parts[max(0, len(parts) - 1 - added) :])
        return {part: float(part in trained) for part in parts}
