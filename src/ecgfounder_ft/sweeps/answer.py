"""The end of a sweep: its table, what its design says, its page, and a failure that cannot be overlooked."""

import csv
import io
import logging
import shlex
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from ecgfounder_ft.console import plain_console
from ecgfounder_ft.errors import ExplainedError
from ecgfounder_ft.evaluation.metrics import Estimate
from ecgfounder_ft.files import cell_of, write_text
from ecgfounder_ft.report.sweep_page import SweepPage, TrialRow, parted, render_sweep
from ecgfounder_ft.report.sweep_section import Section, SectionTable
from ecgfounder_ft.report.words import with_interval
from ecgfounder_ft.sweeps import overview
from ecgfounder_ft.sweeps.answers import cross_validation, hospital_out, label_efficiency, seeds
from ecgfounder_ft.sweeps.folder import SweepFolder
from ecgfounder_ft.sweeps.trial import DONE
from ecgfounder_ft.sweeps.trial_results import (
    SweepResults,
    TrialResult,
    Winner,
    macro,
    read_results,
    why_no_winner,
    winner_of,
)
from ecgfounder_ft.sweeps.winner_shown import warnings_of, winner_shown

log = logging.getLogger(__name__)

MACRO = ("auroc", "auprc", "f1")
"""Macro metrics of the table."""

DESIGNS: Mapping[str, Callable[[SweepFolder, Sequence[TrialResult], str, int | None], list[Section]]] = {
    "cross_validation": cross_validation.sections,
    "seeds": seeds.sections,
    "label_efficiency": label_efficiency.sections,
    "hospital_out": hospital_out.sections,
}
"""Designs that have an answer of their own to what gives it."""

_LONGEST_WORD = 26
"""Letters up to which a parameter's value, or a word in a table's first column, is not broken."""
_UNLIMITED = 10_000
_MOST_ROWS = 40
"""Trials that the terminal shows; the table on disk and the page have all."""


def show_answer(
    folder: SweepFolder, *, metric: str = "auroc", resamples: int | None = None, accept_edited: bool = False
) -> bool:
    """Write and print the table of a sweep, what its design says, and its page.

    Args:
        folder: of the sweep.
        metric: one of :data:`~ecgfounder_ft.evaluation.metrics.METRICS`, by which configurations are compared.
        resamples: of the patients; None: as the trials were evaluated.
        accept_edited: take trials whose files were edited as they are.

    Returns:
        Whether every trial came to its end, or is at it in another process.
    """
    console = plain_console()
    results = read_results(folder, accept_edited=accept_edited)
    if not results.trials:
        console.print(f"No trial in {folder}")
        return True
    write_table(folder, table_rows(results))
    winner = winner_of(results)
    console.print(terminal_table(results, console))
    found = design_sections(folder, results, metric, resamples)
    for section in found:
        _print_section(console, section)
    importances, no_importances = _importances(folder)
    page = page_of(results, winner, [*found, *overview.sections(results, winner, importances, no_importances)])
    write_text(folder.page_file, render_sweep(page))
    if page.winner is not None:
        shown = page.winner
        console.print(f"{shown.heading}: {shown.name} ({shown.trials}), {results.metric} {shown.validation}")
        console.print(f"  tested on {shown.tested}")
        for name, value, note in shown.test:
            console.print(f"  test {name} {value} ({note})")
    else:
        console.print(page.no_winner)
    for warning in page.warnings:
        console.print(f"  {warning}")
    console.print(f"{folder.page_file}\n{folder.table_file}", soft_wrap=True)
    return _report_missing(results)


def design_sections(folder: SweepFolder, results: SweepResults, metric: str, resamples: int | None) -> list[Section]:
    """What the designs of the sweep say; where one cannot, why."""
    found = []
    for name, give in DESIGNS.items():
        trials = [one for one in results.of_design(name) if one.finished and one.test is not None]
        if not trials:
            continue
        try:
            found += give(folder, trials, metric, resamples)
        except ExplainedError as error:
            log.warning("No answer of sweep=%s: %s", name, error)
            title = name.replace("_", " ").capitalize()
            found.append(Section(name, title, [f"Cannot be told: {error}."]))
    return found


# ------------------------------------------------------------------------------------------------ the table


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


def write_table(folder: SweepFolder, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write rows with the same keys as CSV, whole or not at all; numbers to six digits."""
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(
        {key: f"{value:.6g}" if isinstance(value, float) else cell_of(value) for key, value in row.items()}
        for row in rows
    )
    write_text(folder.table_file, text.getvalue())


# ------------------------------------------------------------------------------------------------- the page


def page_of(results: SweepResults, winner: Winner | None, sections: Sequence[Section]) -> SweepPage:
    """What the page says."""
    columns = [*results.parameters, "state", results.metric, "test macro AUROC", "minutes"]
    if any(one.error for one in results.trials):
        columns.append("error")
    return SweepPage(
        title=f"Sweep {results.folder.path.parent.name}/{results.folder.path.name}",
        created=time.strftime("%Y-%m-%d %H:%M"),
        commands=[shlex.join(["ecgfounder-ft", "train", "-m", *command]) for command in results.folder.typed()],
        states=_states(results),
        metric=results.metric,
        lower_is_better=results.mode == "min",
        winner=None if winner is None else winner_shown(winner, results),
        no_winner="" if winner is not None else why_no_winner(results),
        columns=columns,
        rows=[_row(results, one, len(columns)) for one in results.trials],
        table=SweepFolder.TABLE,
        sections=sections,
        warnings=warnings_of(results, winner),
    )


def _row(results: SweepResults, one: TrialResult, columns: int) -> TrialRow:
    test = macro(one.test, "auroc")
    minutes = "–" if one.seconds is None else f"{one.seconds / 60:.1f}"
    cells = [
        *(one.parameters.get(key, "–") for key in results.parameters),
        one.state,
        number(one.value),
        with_interval(number(test.value), test),
        minutes,
        one.error,
    ]
    link = f"{one.trial.name}/{one.run.REPORT}" if one.run.report_file.is_file() else ""
    return TrialRow(one.trial.name, cells[:columns], link)


def _states(results: SweepResults) -> str:
    counts: dict[str, int] = {}
    for one in results.trials:
        counts[one.state] = counts.get(one.state, 0) + 1
    return f"{len(results.trials)} trials: " + ", ".join(f"{count} {state}" for state, count in counts.items())


# --------------------------------------------------------------------------------------------- the terminal


def terminal_table(results: SweepResults, console: Console) -> Table:
    """The trials at a glance; without the test metric's interval where the terminal is too narrow for it."""
    return _fitting(
        console,
        lines=[_trials_table(results, intervals=True), _trials_table(results)],
        words=_trials_table(results, whole_words=True),
        letters=_trials_table(results),
    )


def _fitting(console: Console, *, lines: Sequence[Table], words: Table, letters: Table) -> Table:
    """The first that fits of tables that are to stand in one line, break at words, and break anywhere.

    Rich would cut whole columns off a table whose widths are given and that does not fit.
    """
    options = console.options.update(width=_UNLIMITED)
    for table in lines:
        if console.measure(table, options=options).maximum <= console.width:
            return table
    return words if console.measure(words, options=options).minimum <= console.width else letters


def _width_of(head: str, cells: Iterable[str]) -> int:
    """Of a column that breaks no word; one more, which Rich takes for the padding that neighbours share."""
    return 1 + min(_LONGEST_WORD, max(len(word) for text in (head, *cells) for word in (text.split() or [""])))


def _trials_table(results: SweepResults, *, intervals: bool = False, whole_words: bool = False) -> Table:
    title = f"Trials of {results.folder}, configurations best first by {results.metric}; nothing is ranked by test"
    if not intervals:
        title += f" (intervals: see {SweepFolder.PAGE})"
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, collapse_padding=True)
    shown = results.trials[:_MOST_ROWS]
    ragged = any(result.state != "finished" for result in results.trials)
    table.add_column("trial", no_wrap=True)
    short = [key.rpartition(".")[2] for key in results.parameters]
    for key, last in zip(results.parameters, short, strict=True):
        head = (last if short.count(last) == 1 else key).replace("_", " ")
        cells = [result.parameters.get(key, "-") for result in shown]
        table.add_column(head, overflow="fold", width=_width_of(head, cells) if whole_words else None)
    if ragged:
        table.add_column("state", no_wrap=True)
    table.add_column(results.metric.removeprefix("validation/").replace("_", " "), justify="right")
    table.add_column("test macro AUROC", justify="right", no_wrap=intervals)
    for result in shown:
        cells = [result.trial.name, *(result.parameters.get(key, "-") for key in results.parameters)]
        if ragged:
            cells.append(result.state)
        test = macro(result.test, "auroc")
        table.add_row(*cells, number(result.value), in_words(test) if intervals else number(test.value))
    if len(shown) < len(results.trials):
        table.caption = f"and {len(results.trials) - len(shown)} more in {SweepFolder.TABLE}"
    return table


def _print_section(console: Console, section: Section) -> None:
    console.print(section.title, style="bold", markup=False, highlight=False)
    for paragraph in section.text:
        console.print(paragraph, markup=False, highlight=False)
    for shown in section.tables:
        console.print(section_table(shown, console))


def section_table(shown: SectionTable, console: Console) -> Table:
    """A table of a section; without the intervals behind its values where the terminal is too narrow for them."""
    shorter = without_intervals(shown)
    return _fitting(
        console,
        lines=[_rich_table(shown), _rich_table(shorter)],
        words=_rich_table(shorter, whole_words=True),
        letters=_rich_table(shorter),
    )


def without_intervals(shown: SectionTable) -> SectionTable:
    """A table for a narrow terminal: without the intervals that stand behind the values of a cell."""
    rows = [[parted(cell)[0] for cell in row] for row in shown.rows]
    if rows == [list(row) for row in shown.rows]:
        return shown
    return replace(shown, rows=rows, caption=f"{shown.caption} (intervals: see {SweepFolder.PAGE})")


def _rich_table(shown: SectionTable, *, whole_words: bool = False) -> Table:
    table = Table(title=shown.caption, title_justify="left", box=box.SIMPLE_HEAD, collapse_padding=True)
    for place, name in enumerate(shown.columns):
        # of names no letter goes to the next line; numbers have room enough beside them
        width = _width_of(name, (row[place] for row in shown.rows)) if whole_words and not place else None
        table.add_column(name, justify="right" if place else "left", overflow="fold", width=width)
    for row in shown.rows:
        table.add_row(*row)
    return table


def number(value: float | None, digits: int = 3) -> str:
    """As printed; ``-`` where there is none."""
    return "-" if value is None or value != value else f"{value:.{digits}f}"


def in_words(estimate: Estimate, digits: int = 3) -> str:
    """A metric with its interval, as printed."""
    if estimate.low is None or estimate.high is None:
        return number(estimate.value, digits)
    return f"{number(estimate.value, digits)} ({number(estimate.low, digits)}-{number(estimate.high, digits)})"


def _importances(folder: SweepFolder) -> tuple[dict[str, float], str]:
    if not folder.journal_file.is_file():
        return {}, ""
    try:
        from ecgfounder_ft.sweeps.search import importances_of
    except ModuleNotFoundError:
        log.warning("No importances of the parameters: Optuna is not installed here")
        return {}, ""
    return importances_of(folder)


def _report_missing(results: SweepResults) -> bool:
    """Say which trials did not finish; those that another process runs have not failed, and may still do so."""
    missing: dict[str, list[str]] = {}
    for result in results.trials:
        if result.state not in DONE:
            missing.setdefault(result.state, []).append(result.trial.name)
    counted = f"of {len(results.trials)} trials"
    running = missing.pop("running", [])
    if running:
        print(
            f"{len(running)} {counted} {'is' if len(running) == 1 else 'are'} run by another process "
            f"({', '.join(sorted(running, key=int))}); its end shows all of them",
            file=sys.stderr,
        )
    if missing:
        listed = "; ".join(f"{state}: {', '.join(sorted(names, key=int))}" for state, names in sorted(missing.items()))
        count = sum(map(len, missing.values()))
        print(f"{count} {counted} did not finish ({listed}). The same command goes on with them", file=sys.stderr)
    return not missing
