"""What a catalog holds, drawn: conditions by source, co-occurrence, lengths, sampling rates, ages, sexes, examples.

Everything is read from the catalog's table (the columns of :mod:`ecgfounder_ft.data.catalog`); only the
examples need the recordings themselves. The pictures are PNG files, joined by an ``index.html``.
"""

import html
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator
from numpy.typing import NDArray

from ecgfounder_ft.ecg.formats import read_recording
from ecgfounder_ft.ecg.paper import draw_recording
from ecgfounder_ft.ecg.recording import Recording, UnreadableRecordingError
from ecgfounder_ft.labels import PRESENT, STATE_NAMES, UNKNOWN, LabelMap
from ecgfounder_ft.report.figures import colour_of, new_figure, save_figure

logger = logging.getLogger(__name__)

_GREY = "#999999"
_SEX_COLOURS = {"female": colour_of(3), "male": colour_of(0), "": _GREY}
_AGE_BINS = np.arange(0, 105, 5)
_SECOND_TICKS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000)
_TRIES = 5
"""Recordings tried for each example, where some cannot be read."""

_STYLE = """
body { font-family: system-ui, sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1rem; color: #222 }
img { max-width: 100%; display: block; margin: 1rem 0 }
table { border-collapse: collapse; margin: 1rem 0 }
td, th { padding: .25rem .8rem; text-align: right; border-bottom: 1px solid #ddd }
td:first-child, th:first-child { text-align: left }
"""


class CatalogContent(Protocol):
    """What is drawn: a :class:`ecgfounder_ft.data.catalog.Catalog`, with absolute paths."""

    @property
    def table(self) -> pd.DataFrame:
        """One row per recording."""

    @property
    def skipped(self) -> pd.DataFrame:
        """What could not be used: path, reason, detail."""

    @property
    def notes(self) -> tuple[str, ...]:
        """Remarks to print."""


def source_of(table: pd.DataFrame) -> pd.Series:
    """Name the source of each recording: its constituent where it has one, its dataset otherwise."""
    return table["constituent"].where(table["constituent"] != "", table["dataset"])


def _is(table: pd.DataFrame, label_map: LabelMap, state: int) -> NDArray[np.bool_]:
    """(recordings, conditions): which conditions are in this state."""
    name = STATE_NAMES[state]
    return np.stack([(table[code] == name).to_numpy(dtype=bool) for code in label_map.codes], axis=1)


def conditions_by_source_figure(table: pd.DataFrame, label_map: LabelMap) -> Figure:
    """How many recordings of each source state each condition, and their share of those that know it."""
    source = source_of(table).to_numpy(dtype=str)
    names, inverse, sizes = np.unique(source, return_inverse=True, return_counts=True)
    present = _sum_by(inverse, len(names), _is(table, label_map, PRESENT))
    known = sizes[:, None] - _sum_by(inverse, len(names), _is(table, label_map, UNKNOWN))
    rows = [f"{name}  (n = {size:,})" for name, size in zip(names, sizes, strict=True)]
    figure = new_figure(2.5 + 1.15 * len(label_map), 1.6 + 0.55 * len(names))
    _draw_counts(figure.add_subplot(), present, known, rows, label_map.codes)
    figure.suptitle("Recordings that state a condition, and their share of those that know it")
    return figure


def cooccurrence_figure(table: pd.DataFrame, label_map: LabelMap) -> Figure:
    """Count, of the recordings that state a row's condition, those that state the column's as well."""
    present = _is(table, label_map, PRESENT).astype(np.int64)
    together = present.T @ present
    of = np.repeat(np.diag(together)[:, None], len(label_map), axis=1)
    figure = new_figure(2.0 + 1.0 * len(label_map), 1.5 + 0.8 * len(label_map))
    _draw_counts(figure.add_subplot(), together, of, label_map.codes, label_map.codes)
    figure.suptitle("Of a row's recordings, those that state the column's condition too")
    return figure


def beside_others(table: pd.DataFrame, label_map: LabelMap, code: str) -> pd.DataFrame:
    """The state of one condition where another is present, by source.

    A source that has it present beside others and one that never has do not label alike.

    Returns:
        One row per source and other condition that occurs there, and one per source (``none of them``) for the
        recordings that state no other: columns ``source``, ``beside``, ``present``, ``absent``, ``unknown``.
    """
    position = label_map.codes.index(code)
    present, unknown = _is(table, label_map, PRESENT), _is(table, label_map, UNKNOWN)
    others = np.delete(present, position, axis=1)
    beside = np.column_stack([others, ~others.any(axis=1)])
    names = [*(each for each in label_map.codes if each != code), "none of them"]
    own = {
        "present": present[:, position],
        "absent": ~present[:, position] & ~unknown[:, position],
        "unknown": unknown[:, position],
    }
    sources, inverse = np.unique(source_of(table).to_numpy(dtype=str), return_inverse=True)
    counts = {state: _sum_by(inverse, len(sources), beside & of[:, None]) for state, of in own.items()}
    rows = [
        {"source": source, "beside": name, **{state: int(n[row, column]) for state, n in counts.items()}}
        for row, source in enumerate(sources)
        for column, name in enumerate(names)
        if sum(n[row, column] for n in counts.values())
    ]
    return pd.DataFrame(rows, columns=["source", "beside", *own])


def length_figure(table: pd.DataFrame) -> Figure:
    """Durations, one panel per dataset, on logarithmic axes."""
    seconds = (table["samples"] / table["sampling_rate"]).to_numpy(dtype=float)
    datasets = table["dataset"].to_numpy(dtype=str)
    names = np.unique(datasets)
    figure = new_figure(7, 0.9 + 2.0 * max(1, len(names)))
    figure.suptitle("Length of the recordings")
    if not len(table):
        return figure
    low, high = seconds.min() / 1.2, seconds.max() * 1.2
    for index, name in enumerate(names):
        axes = figure.add_subplot(len(names), 1, index + 1)
        axes.hist(seconds[datasets == name], bins=np.geomspace(low, high, 50).tolist(), color=colour_of(index))
        axes.set_xscale("log")
        axes.set_yscale("log", nonpositive="clip")
        axes.set_ylim(bottom=0.5)
        axes.set_xlim(low, high)
        axes.set_xticks([tick for tick in _SECOND_TICKS if low <= tick <= high])
        axes.minorticks_off()
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
        axes.spines[["top", "right"]].set_visible(False)
        axes.set_title(f"{name}  (n = {int((datasets == name).sum()):,})", fontsize=9)
        axes.set_ylabel("recordings")
    axes.set_xlabel("duration (s)")
    return figure


def rate_figure(table: pd.DataFrame) -> Figure:
    """Sampling rates, by dataset."""
    figure = new_figure(7, 3.2)
    axes = figure.add_subplot()
    rates = np.unique(table["sampling_rate"].to_numpy(dtype=float))
    bottom = np.zeros(len(rates))
    for index, (dataset, part) in enumerate(table.groupby("dataset")):
        counts = part["sampling_rate"].value_counts().reindex(rates, fill_value=0).to_numpy()
        axes.bar(range(len(rates)), counts, bottom=bottom, color=colour_of(index), label=str(dataset), width=0.6)
        bottom += counts
    for place, total in enumerate(bottom):
        axes.annotate(f"{int(total):,}", (place, total), ha="center", va="bottom", fontsize=9)
    axes.set_xticks(range(len(rates)), [f"{rate:g} Hz" for rate in rates])
    _finish_bars(axes, legend=len(table) > 0)
    figure.suptitle("Sampling rate")
    return figure


def age_sex_figure(table: pd.DataFrame, label_map: LabelMap) -> Figure:
    """Ages by sex, over all recordings and for each condition, with the number that names no age."""
    groups = [("all recordings", np.ones(len(table), dtype=bool))]
    present = _is(table, label_map, PRESENT)
    groups += [(code, present[:, index]) for index, code in enumerate(label_map.codes)]
    columns = min(4, len(groups))
    rows = -(-len(groups) // columns)
    figure = new_figure(3.1 * columns, 2.5 * rows + 0.4)
    age, sex = table["age"].to_numpy(dtype=float), table["sex"].to_numpy(dtype=str)
    for place, (name, chosen) in enumerate(groups):
        axes = figure.add_subplot(rows, columns, place + 1)
        known = chosen & ~np.isnan(age)
        bottom = np.zeros(len(_AGE_BINS) - 1)
        for value, colour in _SEX_COLOURS.items():
            counts, _ = np.histogram(np.minimum(age[known & (sex == value)], 99.9), bins=_AGE_BINS)
            axes.bar(_AGE_BINS[:-1], counts, width=4.6, align="edge", bottom=bottom, color=colour)
            bottom += counts
        axes.set_title(f"{name}  (n = {int(chosen.sum()):,}, age unknown {int((chosen & ~known).sum()):,})", fontsize=8)
        axes.set_xlim(0, 100)
        axes.set_ylim(0, max(1, bottom.max()) * 1.05)
        _finish_bars(axes, legend=False)
    handles = [
        figure.axes[0].bar(0, 0, color=colour, label=value or "sex unknown") for value, colour in _SEX_COLOURS.items()
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=3, frameon=False)
    figure.suptitle("Age (years) and sex")
    return figure


def choose_examples(table: pd.DataFrame, label_map: LabelMap, code: str, n: int, seed: int = 0) -> pd.DataFrame:
    """Recordings that state a condition, in an order that alternates between sources.

    Those that state no other condition come first.

    Returns:
        The first ``n`` of them, or all where there are fewer.
    """
    present = _is(table, label_map, PRESENT)
    rows = table[present[:, label_map.codes.index(code)]]
    others = present[present[:, label_map.codes.index(code)]].sum(1)
    drawn = np.random.default_rng(seed).permutation(len(rows))
    order = pd.DataFrame({"others": others, "drawn": drawn, "source": source_of(rows).to_numpy()}, index=rows.index)
    order = order.sort_values(["others", "drawn"])
    order["turn"] = order.groupby("source").cumcount()
    return rows.loc[order.sort_values(["turn", "others", "drawn"]).index[:n]]


def write_catalog_report(
    catalog: CatalogContent,
    label_map: LabelMap,
    folder: Path,
    *,
    examples: int = 3,
    seed: int = 0,
    read: Callable[[Path], Recording] = read_recording,
) -> Path:
    """Draw a catalog into a folder.

    Args:
        catalog: what to draw.
        label_map: its conditions.
        folder: made if absent; pictures of the same name are replaced.
        examples: recordings drawn on ECG paper for each condition.
        seed: which ones.
        read: how a recording is read from its header.

    Returns:
        The ``index.html``.
    """
    table = catalog.table
    folder.mkdir(parents=True, exist_ok=True)
    pictures = {
        "conditions_by_source.png": conditions_by_source_figure(table, label_map),
        "cooccurrence.png": cooccurrence_figure(table, label_map),
        "lengths.png": length_figure(table),
        "sampling_rates.png": rate_figure(table),
        "age_and_sex.png": age_sex_figure(table, label_map),
    }
    for name, figure in pictures.items():
        save_figure(figure, folder / name)
    body = [
        f"<h1>{len(table):,} recordings</h1>",
        _people_table(table, label_map),
        "".join(f"<p>{html.escape(note)}</p>" for note in catalog.notes),
        _skipped_html(catalog.skipped),
        *(_beside_html(table, label_map, code) for code, each in label_map.conditions.items() if each.unstated_in),
        *(f'<img src="{name}" alt="{name.removesuffix(".png").replace("_", " ")}">' for name in pictures),
    ]
    for code, condition in label_map.conditions.items():
        names = _draw_examples(table, label_map, code, folder, examples, seed, read)
        body.append(f"<h2>{html.escape(code)}: {html.escape(condition.name)}</h2>")
        body += [f'<img src="{name}" alt="example of {html.escape(code)}">' for name in names]
        if not names:
            body.append("<p>No recording to show.</p>")
    page = (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Catalog</title><style>{_STYLE}</style>'
        f"<body>{''.join(body)}</body></html>\n"
    )
    index = folder / "index.html"
    index.write_text(page, encoding="utf-8")
    return index


def _draw_examples(
    table: pd.DataFrame,
    label_map: LabelMap,
    code: str,
    folder: Path,
    n: int,
    seed: int,
    read: Callable[[Path], Recording],
) -> list[str]:
    """Pictures of a condition's examples, by file name; those that cannot be read give way to the next."""
    names: list[str] = []
    chosen = choose_examples(table, label_map, code, n * _TRIES, seed)
    columns = (chosen[column] for column in ("path", "recording", "sex", "age", "evidence"))
    for path, name, sex, age, evidence in zip(*columns, strict=True):
        if len(names) == n:
            break
        try:
            recording = read(Path(path))
        except UnreadableRecordingError as error:
            logger.warning("no example: %s", error)
            continue
        person = ", ".join([name] + [sex] * bool(sex) + [f"{age:g} years"] * (age == age))
        title = f"{code}: {person}\n{evidence[:120]}"
        picture = f"example_{label_map.codes.index(code)}_{code}_{len(names) + 1}.png"
        save_figure(draw_recording(recording, title=title), folder / picture, dpi=110)
        names.append(picture)
    return names


def _people_table(table: pd.DataFrame, label_map: LabelMap) -> str:
    """Counts per condition: recordings in each state, patients, median age, share of women."""
    present, unknown = _is(table, label_map, PRESENT), _is(table, label_map, UNKNOWN)
    lines = []
    for index, (code, condition) in enumerate(label_map.conditions.items()):
        rows = table[present[:, index]]
        sexes = rows["sex"][rows["sex"] != ""]
        cells = [
            f"{code}, {condition.name}",
            f"{len(rows):,}",
            f"{int((~present[:, index] & ~unknown[:, index]).sum()):,}",
            f"{int(unknown[:, index].sum()):,}",
            f"{rows['patient'].nunique():,}",
            f"{rows['age'].median():.0f}" if rows["age"].notna().any() else "–",
            f"{(sexes == 'female').mean():.0%}" if len(sexes) else "–",
        ]
        lines.append(_html_row("td", cells))
    head = ["condition", "present", "absent", "unknown", "patients", "median age", "female"]
    return f"<table>{_html_row('th', head)}{''.join(lines)}</table>"


def _beside_html(table: pd.DataFrame, label_map: LabelMap, code: str) -> str:
    counts = beside_others(table, label_map, code)
    lines = [
        _html_row("td", [source, beside, *(f"{n:,}" for n in numbers)])
        for source, beside, *numbers in counts.itertuples(index=False, name=None)
    ]
    unstated_in = ", ".join(label_map.conditions[code].unstated_in)
    return (
        f"<h2>{html.escape(code)} beside other conditions, by source</h2>"
        f"<p>{html.escape(unstated_in)} do not write {html.escape(code)} beside another diagnosis, as label map "
        f"'{html.escape(label_map.name)}' has it (unstated_in): there it is unknown where it is not stated, and absent "
        "only where something that excludes it is. A source that has it absent beside most others, and is not among "
        "these, may belong to them.</p>"
        f"<table>{_html_row('th', ['source', 'where this is present', 'present', 'absent', 'unknown'])}"
        f"{''.join(lines)}</table>"
    )


def _skipped_html(skipped: pd.DataFrame) -> str:
    if not len(skipped):
        return "<p>Nothing was skipped.</p>"
    rows = [_html_row("td", [str(reason), f"{count:,}"]) for reason, count in skipped["reason"].value_counts().items()]
    return f"<table>{_html_row('th', ['skipped', f'{len(skipped):,}'])}{''.join(rows)}</table>"


def _html_row(cell: str, values: Sequence[str]) -> str:
    return "<tr>" + "".join(f"<{cell}>{html.escape(value)}</{cell}>" for value in values) + "</tr>"


def _sum_by(groups: NDArray[np.integer], n_groups: int, values: NDArray[np.bool_]) -> NDArray[np.int64]:
    """(groups, columns): the true values of each group."""
    sums = [np.bincount(groups, weights=column, minlength=n_groups) for column in values.T]
    return np.stack(sums, axis=1).astype(np.int64)


def _draw_counts(
    axes: Axes,
    counts: NDArray[np.integer],
    of: NDArray[np.integer],
    rows: Sequence[str],
    columns: Sequence[str],
) -> None:
    """A count and its share in each cell; 'unknown' where there is nothing to take a share of."""
    if not counts.size:
        axes.set_axis_off()
        return
    shares = np.divide(counts, of, out=np.zeros(counts.shape), where=of > 0)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for row, column in np.ndindex(*counts.shape):
        n, share = counts[row, column], shares[row, column]
        text = f"{n:,}\n{share:.0%} of {of[row, column]:,}" if of[row, column] else "unknown"
        axes.text(column, row, text, ha="center", va="center", fontsize=8, color="white" if share > 0.55 else "black")
    axes.set_xticks(range(len(columns)), list(columns))
    axes.set_yticks(range(len(rows)), list(rows))
    axes.xaxis.tick_top()
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)


def _finish_bars(axes: Axes, *, legend: bool) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.yaxis.set_major_locator(MaxNLocator(5, integer=True))
    if legend:
        axes.legend(frameon=False, fontsize=8)
