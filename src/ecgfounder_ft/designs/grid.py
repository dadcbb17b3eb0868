"""Every combination of the values asked for, once."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ecgfounder_ft.designs.design import Design, Point


@dataclass(kw_only=True)
class Grid(Design):
    """Every configuration is one trial."""

    def points(self, seed: int, sources: Callable[[], Sequence[str]]) -> list[Point]:
        """One, with nothing added."""
        return [Point()]
