"""Every configuration trained on more and more of the recordings."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from ecgfounder_ft.designs.design import Design, Point, over_seeds, require_seeds

ALL = "all"


@dataclass(kw_only=True)
class LabelEfficiency(Design):
    """A learning curve: the same test side, and training sides of several sizes, each inside the next.

    Args:
        sizes: training recordings, or ``all``.
        seeds: trainings of each size.

    Raises:
        ValueError: if a size is neither a number above 0 nor ``all``, or there are fewer than two.
    """

    sizes: list[str]
    seeds: int

    SETS: ClassVar[tuple[str, ...]] = ("split.training_recordings", "split.seed")

    def __post_init__(self) -> None:
        require_seeds(self.seeds)
        for size in self.sizes:
            if str(size) != ALL and not (str(size).isdecimal() and int(size) > 0):
                raise ValueError(f"sweep.sizes has {size!r}, expected numbers of training recordings, or {ALL}")
        if len(set(map(str, self.sizes))) < 2:
            raise ValueError(f"sweep.sizes is {list(self.sizes)}, expected two sizes or more: one makes no curve")

    def points(self, seed: int, sources: Callable[[], Sequence[str]]) -> list[Point]:
        """One per size and seed."""
        sizes = [None if str(size) == ALL else int(size) for size in self.sizes]
        parts = [
            Point((f"split.training_recordings={'null' if size is None else size}",), {"size": size})
            for size in dict.fromkeys(sizes)
        ]
        return over_seeds(seed, self.seeds, parts)
