"""Values that Optuna proposes, each by what the trials before have shown."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ecgfounder_ft.designs.design import Design, Point


@dataclass(kw_only=True)
class OptunaSearch(Design):
    """A search of the values and ranges asked for; ``optimized_metric`` says what for, and which way it is better.

    Args:
        n_trials: of the whole search, those of earlier and other processes among them.
        n_jobs: trials that are launched together, for launchers that run them side by side.
        seed: of the sampler.
        sampler: of Optuna, instantiated.
        pruner: of Optuna, instantiated; gives up trials whose validation is behind the others'.

    Raises:
        ValueError: if there are too few trials or jobs.
    """

    n_trials: int
    n_jobs: int
    seed: int
    sampler: Any
    pruner: Any

    def __post_init__(self) -> None:
        for name in ("n_trials", "n_jobs"):
            if getattr(self, name) < 1:
                raise ValueError(f"sweep.{name} is {getattr(self, name)}, expected 1 or more")

    def points(self, seed: int, sources: Callable[[], Sequence[str]]) -> list[Point]:
        """One, with nothing added: a proposal is a trial."""
        return [Point()]
