"""The protocol of a sweep's design.

What is typed behind ``-m`` gives configurations: every combination of the values asked for. A design says which trials
each of them becomes: one, one per fold, one per seed. A design's fields are its settings and their schema; their values
are in ``configs/sweep/<module>.yaml``. Nothing here imports anything heavy, so that a configuration is checked without.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from ecgfounder_ft.errors import ExplainedError

Value = int | str | None


class DesignError(ExplainedError):
    """A sweep that cannot be meant; the message says which value of it, and what was expected."""


@dataclass(frozen=True)
class Point:
    """One of the trials that a configuration becomes."""

    overrides: tuple[str, ...] = ()
    """What it adds to the configuration, as typed on a command line."""
    place: Mapping[str, Value] = field(default_factory=dict)
    """Where it stands in the design: ``fold``, ``seed``, ``size`` or ``held_out`` to its value."""


@dataclass(kw_only=True)
class Design(ABC):
    """Which trials the configurations of a sweep become.

    Args:
        resume: start in the folder of the newest sweep of the same command, where there is one; False: in a new one.
    """

    resume: bool

    SETS: ClassVar[tuple[str, ...]] = ()
    """Keys that the design sets itself, and that cannot be given beside it."""

    @abstractmethod
    def points(self, seed: int, sources: Callable[[], Sequence[str]]) -> list[Point]:
        """The trials of one configuration.

        Args:
            seed: of the configuration.
            sources: names the sources of its recordings; reads the catalog.

        Raises:
            DesignError: if the settings contradict the recordings.
        """

    def refuse(self, keys: Sequence[str]) -> None:
        """Refuse keys that the design sets itself.

        Raises:
            DesignError: that names them.
        """
        given = [key for key in keys if key in self.SETS]
        if given:
            name = type(self).__module__.rpartition(".")[2]
            raise DesignError(f"{', '.join(given)}: sweep={name} sets this itself. Leave it out, or use sweep=grid")


def over_seeds(seed: int, seeds: int, points: Sequence[Point] = (Point(),)) -> list[Point]:
    """Each point once per seed, from the configuration's own seed up.

    Seeds change the last layer's start, the order of the batches and the augmentation; the sides stay those of the
    first seed, so that all trials are tested on the same recordings.
    """
    return [
        Point((*point.overrides, f"seed={seed + number}", f"split.seed={seed}"), {**point.place, "seed": seed + number})
        for point in points
        for number in range(seeds)
    ]


def require_seeds(seeds: int) -> None:
    """Refuse fewer than one.

    Raises:
        ValueError: that says so.
    """
    if seeds < 1:
        raise ValueError(f"sweep.seeds is {seeds}, expected 1 or more")


def quoted(text: str) -> str:
    """A text as a value of an override, whatever it holds."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
