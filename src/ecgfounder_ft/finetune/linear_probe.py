"""Only the last layer trains."""

from collections.abc import Sequence
from dataclasses import dataclass

from ecgfounder_ft.finetune.strategy import Strategy


@dataclass(kw_only=True)
class LinearProbe(Strategy):
    """Linear probing: the backbone stays as it is, bit for bit."""

    def multipliers(self, parts: Sequence[str], epoch: int) -> dict[str, float]:
        """1 for the last part, 0 for the others."""
        return {part: float(part == parts[-1]) for part in parts}
