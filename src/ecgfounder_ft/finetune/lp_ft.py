"""Linear probing until it has converged, then everything from there, in one run."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ecgfounder_ft.finetune.strategy import Strategy


@dataclass(kw_only=True)
class LPFT(Strategy):
    """LP-FT (Kumar et al. 2022, https://arxiv.org/abs/2202.10054): a fitted last layer keeps full fine-tuning from
    distorting the features that it starts from.

    The probe has converged when the monitored validation metric has not improved for ``patience`` epochs.

    Args:
        probe_epochs: epochs that the probe takes at most.
        patience: epochs without improvement after which it ends.
        full_multiplier: multiplier of the learning rate for every part after the probe.

    Raises:
        ValueError: if a number is out of range.
    """

    probe_epochs: int
    patience: int
    full_multiplier: float

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("probe_epochs", "patience"):
            if getattr(self, name) < 1:
                raise ValueError(f"finetune.{name} is {getattr(self, name)}, expected 1 or more")
        if not self.full_multiplier > 0:
            raise ValueError(f"finetune.full_multiplier is {self.full_multiplier}, expected a number above 0")
        self._best: float | None = None
        self._best_epoch = -1
        self._converged: int | None = None

    @property
    def switch_epoch(self) -> int:
        """The first epoch in which everything trains, as far as is known."""
        return self.probe_epochs if self._converged is None else self._converged

    def multipliers(self, parts: Sequence[str], epoch: int) -> dict[str, float]:
        """The head alone during the probe, then ``full_multiplier`` for every part."""
        if epoch >= self.switch_epoch:
            return dict.fromkeys(parts, self.full_multiplier)
        return {part: float(part == parts[-1]) for part in parts}

    def observe(self, epoch: int, score: float) -> None:
        """End the probe where the metric has stopped improving."""
        if epoch >= self.switch_epoch:
            return
        if self._best is None or score > self._best:
            self._best, self._best_epoch = score, epoch
        elif epoch - self._best_epoch >= self.patience:
            self._converged = epoch + 1

    def state_dict(self) -> dict[str, Any]:
        """How the probe went."""
        return {"best": self._best, "best_epoch": self._best_epoch, "converged": self._converged}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Inverse of :meth:`state_dict`."""
        self._best, self._best_epoch, self._converged = state["best"], state["best_epoch"], state["converged"]

    def frozen_prefix(self, parts: Sequence[str], epochs: int) -> list[str]:
        """None: when the probe ends is known only as it does."""
        return []
