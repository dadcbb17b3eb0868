"""Every configuration tested on each source in turn, trained on all others."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from ecgfounder_ft.designs.design import Design, DesignError, Point, over_seeds, quoted, require_seeds


@dataclass(kw_only=True)
class HospitalOut(Design):
    """Leave one source out, for each source, beside a split that mixes all of them.

    Args:
        sources: datasets or constituents that are held out; None: each that the recordings come from.
        seeds: trainings of each.

    Raises:
        ValueError: if there is no seed.
    """

    sources: list[str] | None
    seeds: int

    SETS: ClassVar[tuple[str, ...]] = ("split.kind", "split.held_out", "split.seed")

    def __post_init__(self) -> None:
        require_seeds(self.seeds)

    def points(self, seed: int, sources: Callable[[], Sequence[str]]) -> list[Point]:
        """The configuration's own split, and one that holds out each source."""
        there = sources()
        if len(there) < 2:
            found = ", ".join(there) or "none"
            raise DesignError(f"sweep=hospital_out needs recordings of two sources or more; there is: {found}")
        held_out = there if self.sources is None else self.sources
        mixed = Point((), {"held_out": None})
        apart = [
            Point(("split=leave_one_source_out", f"split.held_out={quoted(source)}"), {"held_out": source})
            for source in held_out
        ]
        return over_seeds(seed, self.seeds, [mixed, *apart])
