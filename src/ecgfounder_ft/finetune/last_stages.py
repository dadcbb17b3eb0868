"""The last layer and the stages next to it train."""

from collections.abc import Sequence
from dataclasses import dataclass

from ecgfounder_ft.finetune.strategy import Strategy


@dataclass(kw_only=True)
class LastStages(Strategy):
    """Partial fine-tuning.

    Args:
        stages: number of stages that train, counted from the last layer; 0 is linear probing.

    Raises:
        ValueError: if it is negative.
    """

    stages: int

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.stages < 0:
            raise ValueError(f"finetune.stages is {self.stages}, expected 0 or more")

    def multipliers(self, parts: Sequence[str], epoch: int) -> dict[str, float]:
        """1 for the head and the last stages, 0 for what comes before."""
        trained = set(parts[-1 - self.stages :])
        return {part: float(part in trained) for part in parts}
