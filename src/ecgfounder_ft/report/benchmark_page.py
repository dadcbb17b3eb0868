"""Runs on a benchmark beside published values, as a page and as Markdown. Nothing is ranked across protocols."""

from collections.abc import Sequence
from typing import Any

from ecgfounder_ft.report.templating import environment

TITLE = "Benchmarks"


def render_benchmarks(runs: Sequence[Any], published: Sequence[Any], *, created: str) -> str:
    """Fill the page.

    Args:
        runs: benchmarked runs, those of one benchmark together.
        published: rows of the table of published values.
        created: date and time, as printed.
    """
    return environment().get_template("benchmark.html.j2").render(tables=_tables(runs, published), created=created)


def benchmarks_markdown(runs: Sequence[Any], published: Sequence[Any]) -> str:
    """The same tables as Markdown; arguments as for :func:`render_benchmarks`."""
    return environment(autoescape=False).get_template("benchmark.md.j2").render(tables=_tables(runs, published))


def _tables(runs: Sequence[Any], published: Sequence[Any]) -> list[dict[str, Any]]:
    """One table for each benchmark: its runs, and what others published for it."""
    names = dict.fromkeys(run.benchmark for run in runs)
    return [
        {
            "name": name,
            "runs": [run for run in runs if run.benchmark == name],
            "published": [row for row in published if row.benchmark == name],
        }
        for name in names
    ]
