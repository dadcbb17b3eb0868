"""Pictures of what acting on probabilities brings: net benefit, and the probabilities of those with and without."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter
from numpy.typing import NDArray

from ecgfounder_ft.evaluation.net_benefit import NetBenefit
from ecgfounder_ft.labels import PRESENT, UNKNOWN
from ecgfounder_ft.report.figures import GREY, colour_of, new_figure, plain, say

_BINS = 25
_FLOOR = -0.3
"""Lowest standardised net benefit drawn; what harms more lies below the picture."""


def net_benefit_figure(curves: Mapping[str, NetBenefit], *, title: str = "Net benefit") -> Figure:
    """Net benefit of each condition as a share of its prevalence, with treating all and treating none.

    Args:
        curves: condition code to its net benefit, in output order.
        title: above the panels.
    """
    figure, panels = _panels(list(curves))
    for place, ((code, curve), axes) in enumerate(zip(curves.items(), panels, strict=True)):
        axes.set_title(code)
        if not curve.calibrated:
            say(axes, curve.reason)
            continue
        x = curve.thresholds
        axes.axhline(0, color="black", linewidth=1, linestyle=":", label="treat none")
        axes.plot(x, curve.treat_all, color=GREY, linewidth=1, linestyle="--", label="treat all")
        axes.plot(x, curve.uncalibrated, color="#999999", linewidth=1.2, label="model, uncalibrated")
        axes.plot(x, curve.calibrated, color=colour_of(place), linewidth=1.6, label="model")
        if curve.low:
            axes.fill_between(x, curve.low, curve.high, color=colour_of(place), alpha=0.15, linewidth=0)
        axes.set_ylim(_FLOOR, 1.03)
        axes.set_xlim(0, curve.thresholds[-1])
        axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        _outer_labels(axes, place, len(curves), "threshold probability", "net benefit / prevalence")
    figure.suptitle(title)
    drawn = next((axes for axes, curve in zip(panels, curves.values(), strict=True) if curve.calibrated), None)
    if drawn is not None:
        figure.legend(
            *drawn.get_legend_handles_labels(), loc="outside lower center", ncols=4, fontsize=9, frameon=False
        )
    return figure


def outcome_distributions_figure(
    targets: NDArray[np.integer],
    probabilities: NDArray[np.floating],
    codes: Sequence[str],
    *,
    thresholds: NDArray[np.floating] | None = None,
    title: str = "Probabilities by outcome",
) -> Figure:
    """How the probabilities of recordings with, and without, each condition are spread: upwards, and downwards.

    Args:
        targets: (n, k) 1, 0 or -1 (unknown).
        probabilities: (n, k), as used for decisions.
        codes: (k,) condition codes.
        thresholds: (k,) drawn as vertical lines, where there are some.
        title: above the panels.
    """
    figure, panels = _panels(codes)
    edges = np.linspace(0, 1, _BINS + 1)
    for column, (code, axes) in enumerate(zip(codes, panels, strict=True)):
        axes.set_title(code)
        known = (targets[:, column] != UNKNOWN) & ~np.isnan(probabilities[:, column])
        if not known.any():
            say(axes, "no known label")
            continue
        present = targets[known, column] == PRESENT
        for which, sign, colour in ((present, 1, colour_of(column)), (~present, -1, "#999999")):
            counts = np.histogram(probabilities[known, column][which], edges)[0]
            shares = sign * counts / max(1, counts.sum())
            axes.bar(edges[:-1], shares, width=1 / _BINS, align="edge", color=colour, linewidth=0)
            words = f"{'with' if sign > 0 else 'without'}: {counts.sum():,}"
            axes.text(0.5, 0.97 if sign > 0 else 0.03, words, transform=axes.transAxes, ha="center",
                      va="top" if sign > 0 else "bottom", fontsize=8, color=GREY,
                      bbox={"facecolor": "white", "edgecolor": "none", "pad": 1})  # fmt: skip
        axes.axhline(0, color="black", linewidth=0.8)
        if thresholds is not None:
            axes.axvline(float(thresholds[column]), color="black", linewidth=1, linestyle="--")
        axes.set_xlim(0, 1)
        axes.set_ylim(-1.02, 1.02)
        axes.yaxis.set_major_formatter(lambda value, _: f"{abs(value):.0%}")
        _outer_labels(axes, column, len(codes), "probability", "share of recordings")
    figure.suptitle(title)
    return figure


def _panels(codes: Sequence[str]) -> tuple[Figure, list[Axes]]:
    """One panel for each condition, three in a row."""
    columns = min(3, max(1, len(codes)))
    rows = max(1, math.ceil(len(codes) / columns))
    figure = new_figure(3.2 * columns, 2.8 * rows + 0.7)
    panels = [figure.add_subplot(rows, columns, place + 1) for place in range(len(codes))]
    for axes in panels:
        plain(axes)
    return figure, panels


def _outer_labels(axes: Axes, place: int, panels: int, below: str, beside: str) -> None:
    """Name the axes at the left and at the bottom of the picture alone."""
    if place % 3 == 0:
        axes.set_ylabel(beside)
    if place + 3 >= panels:
        axes.set_xlabel(below)
