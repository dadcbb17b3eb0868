"""The page of a sweep: one HTML file that opens anywhere."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from ecgfounder_ft.report.figures import data_uri
from ecgfounder_ft.report.sweep_section import Section
from ecgfounder_ft.report.templating import environment

_INTERVAL = re.compile(r"(.+) \(([^()]* to [^()]*)\)")


@dataclass(frozen=True)
class WinnerShown:
    """The configuration that validation chose, as printed."""

    heading: str
    name: str
    trials: str
    validation: str
    validation_note: str
    test: Sequence[tuple[str, str, str]]
    """Name of a metric, its value, and what to know of it."""
    tested: str
    """Recordings and patients that the test metrics rest on."""
    why: str
    """What chose it."""


@dataclass(frozen=True)
class TrialRow:
    """A trial, as printed."""

    name: str
    cells: Sequence[str]
    link: str = ""
    """To its report, seen from the page; empty where it has none."""


@dataclass(frozen=True)
class SweepPage:
    """Everything that the page of a sweep says."""

    title: str
    created: str
    commands: Sequence[str]
    states: str
    """How many trials are in which state."""
    metric: str
    """Validation metric that configurations are ranked by."""
    lower_is_better: bool
    winner: WinnerShown | None
    no_winner: str
    """Why there is none; empty where there is one."""
    columns: Sequence[str]
    """Of the trials' table."""
    rows: Sequence[TrialRow]
    table: str
    """Name of the CSV beside the page."""
    sections: Sequence[Section] = ()
    warnings: Sequence[str] = field(default_factory=list)


def parted(cell: str) -> tuple[str, str]:
    """The value of a cell, and the interval in parentheses behind it; empty where there is none."""
    found = _INTERVAL.fullmatch(cell)
    return (found[1], found[2]) if found is not None else (cell, "")


def render_sweep(page: SweepPage) -> str:
    """The page as HTML."""
    templates = environment()
    templates.filters |= {"data_uri": data_uri, "parted": parted}
    return templates.get_template("sweep.html.j2").render(page=page)
