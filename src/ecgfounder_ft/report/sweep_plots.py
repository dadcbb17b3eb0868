"""Pictures of a sweep: its trials over their parameters, over epochs, over seeds and over training recordings."""

import math
from collections.abc import Collection, Mapping, Sequence

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullLocator

from ecgfounder_ft.evaluation.label_efficiency import LearningCurve
from ecgfounder_ft.evaluation.metrics import METRICS
from ecgfounder_ft.evaluation.several_trainings import LEVEL, Rank, Spread
from ecgfounder_ft.report.figures import GREY, colour_of, dash_of, new_figure, plain

_MAP = "viridis"
_ACCENT = "#D55E00"
"""Of the winner's trials, and of no others."""
_OTHERS = [index for index in range(14) if colour_of(index) != _ACCENT]
"""Places in the palette of the other trials."""
_MOST_LEVEL_LABELS = 4
"""Values up to which their names stand level below the axis, beside each other."""
_LONG_NAME = 26
"""Letters beyond which a trial's name has a line of a legend to itself."""
_MOST_NAMED_WINNERS = 6
"""Trials of the winner up to which a picture of many curves names each of them."""
_MOST_GROUPS = 6
"""Different numbers up to which each has a place and a mean of its own."""


def parallel_coordinates_figure(
    parameters: Mapping[str, Sequence[str]],
    values: Sequence[float],
    metric: str,
    best: Collection[int],
    *,
    lower_is_better: bool,
) -> Figure:
    """One line per trial across its parameters to its metric; those of the winner on top.

    Args:
        parameters: key to the value of each trial, as typed, "" where a trial has none.
        values: (trials,) the metric.
        metric: its name.
        best: positions of the trials that won.
        lower_is_better: of the metric.
    """
    axes_names = [*parameters, metric]
    figure = new_figure(max(6.0, 2.0 * len(axes_names) + 1.0), 4.2)
    axes = figure.add_subplot()
    heights, labels = [], []
    for column in parameters.values():
        positions, ticks = _positions(column)
        heights.append(positions)
        labels.append(ticks)
    low, high = min(values), max(values)
    span = high - low or 1.0
    heights.append([(value - low) / span if high > low else 0.5 for value in values])
    labels.append([(0.0 if high > low else 0.5, f"{low:.3f}"), *([(1.0, f"{high:.3f}")] if high > low else [])])
    norm = Normalize(low, high if high > low else low + 1)
    colours = ScalarMappable(norm, _MAP + "_r" if lower_is_better else _MAP)
    order = sorted(range(len(values)), key=lambda trial: values[trial], reverse=lower_is_better)
    for trial in sorted(order, key=lambda trial: trial in best):
        won = trial in best
        axes.plot(
            range(len(axes_names)),
            [column[trial] for column in heights],
            color=_ACCENT if won else colours.to_rgba(np.array(values[trial])),
            linewidth=3.0 if won else 1.2,
            alpha=1.0 if won else 0.8,
        )
    for place, ticks in enumerate(labels):
        axes.axvline(place, color="#333333", linewidth=0.8)
        for height, text in ticks:
            axes.annotate(
                text, (place, height), (5 if place else -5, 0), textcoords="offset points", fontsize=8,
                va="center", ha="left" if place else "right", annotation_clip=False,
                bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.9, "pad": 0.5},
            )  # fmt: skip
    axes.set_xticks(range(len(axes_names)), [_wrapped(name) for name in axes_names], fontsize=9)
    axes.set_xlim(-0.1, len(axes_names) - 0.5)
    axes.set_ylim(-0.06, 1.06)
    axes.yaxis.set_major_locator(NullLocator())
    axes.spines[["top", "right", "left", "bottom"]].set_visible(False)
    axes.tick_params(axis="x", length=0)
    return figure


def parameters_figure(parameters: Mapping[str, Sequence[str]], values: Sequence[float], metric: str) -> Figure:
    """One panel per parameter: the metric of each trial over its value.

    Args:
        parameters: key to the value of each trial, as typed, "" where a trial has none.
        values: (trials,) the metric.
        metric: its name.
    """
    columns = min(3, max(1, len(parameters)))
    lines = max(1, math.ceil(len(parameters) / columns))
    figure = new_figure(max(5.0, 3.7 * columns), 3.0 * lines)
    for place, (name, column) in enumerate(parameters.items()):
        axes = figure.add_subplot(lines, columns, place + 1)
        numbers = _numbers(column)
        if numbers is not None and _is_scale(numbers):
            axes.plot(numbers, values, "o", color=colour_of(0), markersize=5, alpha=0.8)
            if _spans_magnitudes(numbers):
                axes.set_xscale("log")
        else:
            names = _in_order(column)
            places = [names.index(value) for value in column]
            axes.plot(places, values, "o", color=colour_of(0), markersize=5, alpha=0.8)
            for group in range(len(names)):
                found = [value for value, where in zip(values, places, strict=True) if where == group]
                if len(found) > 1:
                    axes.hlines(float(np.mean(found)), group - 0.25, group + 0.25, color=GREY, linewidth=1.5)
            crowded = len(names) > _MOST_LEVEL_LABELS
            axes.set_xticks(
                range(len(names)),
                [_wrapped(value or "not set", 14) for value in names],
                fontsize=8,
                rotation=40 if crowded else 0,
                ha="right" if crowded else "center",
                rotation_mode="anchor" if crowded else "default",
            )
            axes.set_xlim(-0.5, len(names) - 0.5)
        axes.set_title(name, fontsize=10)
        if place % columns == 0:
            axes.set_ylabel(metric.removeprefix("validation/"))
        plain(axes)
    return figure


def learning_curves_figure(
    curves: Mapping[str, Sequence[tuple[int, float]]], metric: str, best: Collection[str]
) -> Figure:
    """One line per trial over its epochs; those of the winner on top.

    Args:
        curves: name of a trial to epochs and values, at least one of each.
        metric: its name.
        best: names of the trials that won.
    """
    many = len(curves) > len(_OTHERS)
    won_names = [name for name in curves if name in best]
    labels = {name: f"{name} (winner)" if name in best else name for name in curves if name in best or not many}
    if many and len(won_names) > _MOST_NAMED_WINNERS:
        labels = {won_names[0]: f"{len(won_names)} trials of the winner"}
    columns = 1 if max(map(len, labels.values()), default=0) > _LONG_NAME else 3
    # the legend stands below, where long names do not take the curves' room
    figure = new_figure(7.2, 3.6 + 0.18 * -(-len(labels) // columns))
    axes = figure.add_subplot()
    others = iter(_OTHERS)
    for name, points in curves.items():
        epochs, values = zip(*points, strict=True)
        won = name in best
        place = None if won or many else next(others)
        axes.plot(
            epochs,
            values,
            color=_ACCENT if won else "#b0b0b0" if place is None else colour_of(place),
            linestyle="-" if place is None else dash_of(place),
            linewidth=2.6 if won else 1.1,
            zorder=3 if won else 2,
            marker="o" if len(points) == 1 else "",
            markersize=4,
            label=labels.get(name),
        )
    axes.set_xlabel("epoch")
    axes.set_ylabel(metric)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    if axes.get_legend_handles_labels()[0]:
        figure.legend(frameon=False, fontsize=8, loc="outside lower left", ncols=columns)
    plain(axes)
    return figure


def spreads_figure(spreads: Sequence[Spread], values: Sequence[Sequence[float]], metric: str) -> Figure:
    """One row per configuration: a dot per seed, and the mean with its two intervals.

    Args:
        spreads: of the configurations.
        values: (configurations, seeds) the metric of each training.
        metric: its label.
    """
    figure = new_figure(7.5, 1.0 + 0.55 * len(spreads))
    axes = figure.add_subplot()
    for row, (spread, found) in enumerate(zip(spreads, values, strict=True)):
        for estimate, width, colour in ((spread.over_both, 2.0, "#9ecae1"), (spread.over_patients, 5.0, colour_of(0))):
            if estimate.low is not None and estimate.high is not None:
                axes.hlines(row, estimate.low, estimate.high, color=colour, linewidth=width)
        if spread.over_both.value is not None:
            axes.plot(spread.over_both.value, row, "|", color="black", markersize=14, markeredgewidth=2)
        axes.plot(found, [row + 0.2] * len(found), "o", color=_ACCENT, markersize=4, alpha=0.8)
    axes.set_yticks(range(len(spreads)), [spread.name for spread in spreads], fontsize=9)
    axes.set_ylim(len(spreads) - 0.4, -0.6)
    axes.set_xlabel(metric)
    plain(axes, grid="x")
    return figure


def ranks_figure(ranks: Sequence[Rank], groups: Sequence[Sequence[str]]) -> Figure:
    """Mean ranks with their intervals on one line, 1 for the best; bars join what is not told apart.

    Args:
        ranks: best first.
        groups: names that are not told apart.
    """
    figure = new_figure(7.5, 1.2 + 0.32 * len(ranks) + 0.14 * len(groups))
    axes = figure.add_subplot()
    place = {rank.name: rank.mean for rank in ranks}
    for row, rank in enumerate(ranks):
        axes.hlines(row, rank.low, rank.high, color="#9ecae1", linewidth=3)
        axes.plot(rank.mean, row, "o", color=colour_of(0), markersize=6)
    for number, group in enumerate(groups):
        height = len(ranks) - 0.3 + 0.35 * number
        ends = [place[name] for name in group]
        axes.hlines(height, min(ends) - 0.04, max(ends) + 0.04, color="black", linewidth=4)
    axes.set_yticks(range(len(ranks)), [f"{rank.name}  {rank.mean:.2f}" for rank in ranks], fontsize=9)
    axes.set_ylim(len(ranks) - 0.2 + 0.35 * len(groups), -0.6)
    axes.set_xlim(0.8, len(ranks) + 0.2)
    axes.set_xlabel(f"mean rank, with {100 * LEVEL:.0f}% intervals")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    plain(axes, grid="x")
    return figure


def label_efficiency_figure(curves: Sequence[LearningCurve]) -> Figure:
    """Metrics over the number of training recordings, each curve with its band."""
    columns = 1 if max(len(curve.name) for curve in curves) > _LONG_NAME else 3
    figure = new_figure(7.2, 3.8 + 0.2 * -(-len(curves) // columns))
    axes = figure.add_subplot()
    for place, curve in enumerate(curves):
        colour = colour_of(place)
        # where a point has no interval, the band comes down to the curve
        low, high = (
            [mean if end is None else end for mean, end in zip(curve.means, ends, strict=True)]
            for ends in zip(*((point.over_both.low, point.over_both.high) for point in curve.points), strict=True)
        )
        axes.fill_between(curve.sizes, low, high, color=colour, alpha=0.15, linewidth=0)
        axes.plot(
            curve.sizes, curve.means, color=colour, linestyle=dash_of(place), marker="o", markersize=4, label=curve.name
        )
    sizes = sorted({size for curve in curves for size in curve.sizes})
    axes.set_xscale("log")
    axes.set_xticks(sizes, [f"{size:,}" for size in sizes], fontsize=9)
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel("training recordings")
    axes.set_ylabel(f"macro {METRICS[curves[0].metric].label} of the test recordings")
    figure.legend(loc="outside lower left", ncols=columns, frameon=False, fontsize=8)  # below, off the curves
    plain(axes)
    return figure


def importances_figure(importances: Mapping[str, float]) -> Figure:
    """How much of the metric's variation each searched parameter explains."""
    names = list(importances)
    figure = new_figure(6.5, 1.0 + 0.35 * len(names))
    axes = figure.add_subplot()
    axes.barh(range(len(names)), [importances[name] for name in names], color=colour_of(0), height=0.6)
    axes.set_yticks(range(len(names)), names, fontsize=9)
    axes.invert_yaxis()
    axes.set_xlim(0, 1)
    axes.set_xlabel("share of the variation")
    plain(axes, grid="x")
    return figure


def _numbers(column: Sequence[str]) -> list[float] | None:
    """The values as numbers; None where one is none."""
    try:
        found = [float(value) for value in column]
    except ValueError:
        return None
    return found if all(map(math.isfinite, found)) else None


def _in_order(column: Sequence[str]) -> list[str]:
    """The different values: numbers from the smallest up, then words as they come."""
    words = [value for value in dict.fromkeys(column) if _numbers([value]) is None]
    return [*sorted(set(column) - set(words), key=float), *words]


def _is_scale(numbers: Sequence[float]) -> bool:
    """Whether numbers stand on an axis of numbers: many different ones, or one for each trial, as a search has."""
    different = len(set(numbers))
    return different > _MOST_GROUPS or 2 < different == len(numbers)


def _spans_magnitudes(numbers: Sequence[float]) -> bool:
    """Whether numbers are told apart on a logarithmic axis alone."""
    return min(numbers) > 0 and max(numbers) / min(numbers) >= 8


def _positions(column: Sequence[str]) -> tuple[list[float], list[tuple[float, str]]]:
    """Heights of the values on an axis from 0 to 1, and its ticks."""
    numbers = _numbers(column)
    if numbers is None:
        names = _in_order(column)
        step = 1 / max(1, len(names) - 1)
        heights = {name: number * step if len(names) > 1 else 0.5 for number, name in enumerate(names)}
        return [heights[value] for value in column], [(height, name or "not set") for name, height in heights.items()]
    log_scale = _spans_magnitudes(numbers)
    scaled = [math.log(number) if log_scale else number for number in numbers]
    low, span = min(scaled), (max(scaled) - min(scaled)) or 1.0
    positions = [(number - low) / span if len(set(scaled)) > 1 else 0.5 for number in scaled]
    ticks = dict(zip(positions, column, strict=True))
    if len(ticks) > _MOST_GROUPS:
        ticks = {position: ticks[position] for position in (min(ticks), max(ticks))}
    return positions, list(ticks.items())


def _wrapped(text: str, width: int = 22) -> str:
    """A long name on two lines or more, broken behind a dot or an underscore."""
    lines, line = [], ""
    for part in text.replace(".", ".\0").replace("_", "_\0").replace("/", "/\0").split("\0"):
        if line and len(line) + len(part) > width:
            lines.append(line)
            line = ""
        line += part
    return "\n".join([*lines, line])
