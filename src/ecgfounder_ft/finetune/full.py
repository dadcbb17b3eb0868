"""Every part trains from the first epoch on."""

from collections.abc import Sequence
from dataclasses import dataclass

from ecgfounder_ft.finetune.strategy import Strategy


@dataclass(kw_only=True)
class Full(Strategy):
    """Full fine-tuning."""

    def multipliers(self, parts: Sequence[str], epoch: int) -> dict[str, float]:
        """1 for every part."""
        return dict.fromkeys(parts, 1.0)
