"""Every configuration with several seeds, tested on the same recordings."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from ecgfounder_ft.designs.design import Design, Point, over_seeds, require_seeds


@dataclass(kw_only=True)
class Seeds(Design):
    """How much of a difference is chance of training.

    Args:
        seeds: how many, from the configuration's own up.

    Raises:
        ValueError: if there is none.
    """

    seeds: int

    SETS: ClassVar[tuple[str, ...]] = ("split.seed",)

    def __post_init__(self) -> None:
        require_seeds(self.seeds)

    def points(self, seed: int, sources: Callable[[], Sequence[str]]) -> list[Point]:
        """One per seed."""
        return over_seeds(seed, self.seeds)
