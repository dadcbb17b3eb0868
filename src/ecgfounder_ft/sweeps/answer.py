"""The end of a sweep: its table, what its design says, and a failure that cannot be overlooked."""

import csv
import io
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from ecgfounder_ft.evaluation.metrics import Estimate
from ecgfounder_ft.files import write_text
from ecgfounder_ft.sweeps.folder import SweepFolder
from ecgfounder_ft.sweeps.results import SweepResults, macro, read_results
from ecgfounder_ft.sweeps.trial import DONE

MACRO = ("auroc", "auprc", "f1")
"""Macro metrics of the table."""


def show_answer(folder: SweepFolder) -> bool:
    """Write and print the table of a sweep, and what its design says.

    Returns:
        Whether every trial came to its end.
    """
    results = read_results(folder)
    rows = table_rows(results)
    if rows:
        write_table(folder, SweepFolder.TABLE, rows)
    console = Console()
    console.print(terminal_table(results))
    for name, show in designs().items():
        trials = results.of_design(name)
        if trials:
            show(folder, trials, console)
    console.print(f"{folder.table_file}", soft_wrap=True)
    missing = [result for result in results.trials if result.state not in DONE]
    if missing:
        states: dict[str, list[str]] = {}
        for result in missing:
            states.setdefault(result.state, []).append(result.trial.name)
        listed = "; ".join(f"{state}: {', '.join(sorted(names, key=int))}" for state, names in sorted(states.items()))
        print(
            f"{len(missing)} of {len(results.trials)} trials did not finish ({listed}). The same command goes on with "
            "them",
            file=sys.stderr,
        )
    return not missing


def designs() -> Mapping[str, Callable[..., None]]:
    """Design to what shows its answer."""
    return {}


def table_rows(results: SweepResults) -> list[dict[str, Any]]:
    """One row per trial, best first: what varies, validation and test metrics with intervals, and how it went."""
    rows = []
    for result in results.trials:
        row: dict[str, Any] = {"trial": result.trial.name, "state": result.state}
        row |= {key: result.parameters.get(key) for key in results.parameters}
        row[results.metric] = result.value
        for side, evaluation in (("validation", result.validation), ("test", result.test)):
            for metric in MACRO:
                row |= with_ends(f"{side}_macro_{metric}", macro(evaluation, metric))
            accuracy = Estimate(None) if evaluation is None else evaluation.overall["accuracy"]
            row |= with_ends(f"{side}_accuracy", accuracy)
        rows.append(row | {"started": result.started, "seconds": result.seconds, "error": result.error})
    return rows


def with_ends(name: str, estimate: Estimate) -> dict[str, float | None]:
    """A metric and the ends of its interval as columns."""
    return {name: estimate.value, f"{name}_low": estimate.low, f"{name}_high": estimate.high}


def write_table(folder: SweepFolder, name: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write rows with the same keys as CSV, whole or not at all; numbers to six digits."""
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(
        {key: f"{value:.6g}" if isinstance(value, float) else value for key, value in row.items()} for row in rows
    )
    write_text(folder.path / name, text.getvalue())


def terminal_table(results: SweepResults) -> Table:
    """The trials at a glance."""
    title = f"Trials of {results.folder}, best first by {results.metric}; test ranks nothing"
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, collapse_padding=True)
    ragged = any(result.state != "finished" for result in results.trials)
    table.add_column("trial")
    for key in results.parameters:
        table.add_column(key, overflow="fold")
    if ragged:
        table.add_column("state")
    table.add_column(results.metric.removeprefix("validation/"), justify="right", no_wrap=True)
    table.add_column("test macro AUROC", justify="right", no_wrap=True)
    for result in results.trials:
        cells = [result.trial.name, *(result.parameters.get(key, "-") for key in results.parameters)]
        if ragged:
            cells.append(result.state)
        table.add_row(*cells, number(result.value), in_words(macro(result.test, "auroc")))
    return table


def number(value: float | None, digits: int = 3) -> str:
    """As printed; ``-`` where there is none."""
    return "-" if value is None or value != value else f"{value:.{digits}f}"


def in_words(estimate: Estimate, digits: int = 3) -> str:
    """A metric with its interval, as printed."""
    if estimate.low is None or estimate.high is None:
        return number(estimate.value, digits)
    return f"{number(estimate.value, digits)} ({number(estimate.low, digits)}-{number(estimate.high, digits)})"
