"""Pictures of an evaluation, as matplotlib figures that PNG files, TensorBoard and the HTML report all take."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from ecgfounder_ft.evaluation import curves
from ecgfounder_ft.evaluation.comparison import PairedComparison
from ecgfounder_ft.evaluation.evaluate import Evaluation
from ecgfounder_ft.evaluation.metrics import METRICS, Confusion, Estimate
from ecgfounder_ft.evaluation.subgroups import SubgroupEvaluation
from ecgfounder_ft.labels import UNKNOWN
from ecgfounder_ft.report.figures import GREY, colour_of, dash_of, new_figure, plain, say

BAR_METRICS = ("auroc", "auprc", "f1", "sensitivity", "specificity")
"""Metrics drawn as bars beside each other by default."""


def confusion_matrix_figure(
    matrix: NDArray[np.integer] | Sequence[Sequence[int]],
    codes: Sequence[str],
    *,
    title: str = "Confusion matrix",
) -> Figure:
    """Counts, and the share of each row's label, of a (k, k) matrix: rows are labels, columns decisions."""
    counts = np.asarray(matrix)
    side = max(4.5, 0.85 * len(codes) + 2)
    figure = new_figure(side + 0.8, side)
    axes = figure.add_subplot()
    _draw_confusion(axes, counts, list(codes), list(codes))
    axes.set_title(title)
    return figure


def confusion_tables_figure(
    confusions: Mapping[str, Confusion], *, title: str = "Confusion matrices, one per condition"
) -> Figure:
    """A 2 x 2 table of label and decision for each condition."""
    columns = min(3, max(1, len(confusions)))
    rows = max(1, math.ceil(len(confusions) / columns))
    figure = new_figure(3.4 * columns, 3.1 * rows + 0.5)
    for place, (code, confusion) in enumerate(confusions.items()):
        axes = figure.add_subplot(rows, columns, place + 1)
        _draw_confusion(axes, confusion.as_matrix(), ["absent", "present"], ["absent", "present"])
        axes.set_title(code)
        if place % columns:
            axes.set_ylabel("")
        if place + columns < len(confusions):
            axes.set_xlabel("")
    figure.suptitle(title)
    return figure


def cooccurrence_figure(
    matrix: NDArray[np.integer], codes: Sequence[str], *, title: str = "Labels and decisions together"
) -> Figure:
    """Of the recordings labelled with a row's condition, how many are decided to have the column's.

    Args:
        matrix: (k, k + 1) from :func:`decision_cooccurrence`; the shares are of its last column.
        codes: (k,) condition codes.
        title: above the picture.
    """
    counts = np.asarray(matrix)
    side = max(4.5, 0.85 * len(codes) + 2)
    figure = new_figure(side + 0.8, side)
    axes = figure.add_subplot()
    _draw_confusion(axes, counts[:, :-1], list(codes), list(codes), totals=counts[:, -1])
    axes.set_title(title)
    return figure


def decision_cooccurrence(targets: NDArray[np.integer], decisions: NDArray[np.bool_]) -> NDArray[np.int64]:
    """(k, k + 1): recordings labelled with a row's condition and decided to have a column's; last, all so
    labelled.

    Args:
        targets: (n, k) 1, 0 or -1 (unknown).
        decisions: (n, k) conditions decided present.
    """
    present = (np.asarray(targets) == 1).astype(np.int64)
    together = present.T @ np.asarray(decisions).astype(np.int64)
    return np.column_stack([together, present.sum(axis=0)])


def _draw_confusion(
    axes: Axes,
    counts: NDArray[np.integer],
    row_names: list[str],
    column_names: list[str],
    totals: NDArray[np.integer] | None = None,
) -> None:
    of = counts.sum(axis=1) if totals is None else totals
    shares = np.divide(counts, of[:, None], out=np.zeros(counts.shape), where=of[:, None] > 0)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="equal")
    for row, column in np.ndindex(*counts.shape):
        share = f"{shares[row, column]:.0%}" if of[row] else "–"
        axes.text(
            column,
            row,
            f"{counts[row, column]:,}\n{share}",
            ha="center",
            va="center",
            fontsize=9,
            color="white" if shares[row, column] > 0.55 else "black",
        )
    axes.set_xticks(range(len(column_names)), column_names, rotation=45 if len(column_names) > 2 else 0)
    axes.set_yticks(range(len(row_names)), row_names)
    axes.set_xlabel("decision")
    axes.set_ylabel("label")
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)


def condition_bars_figure(
    evaluation: Evaluation, *, metrics: Sequence[str] = BAR_METRICS, title: str = "Metrics by condition"
) -> Figure:
    """Bars of several metrics for each condition, with intervals where they were computed."""
    codes = evaluation.codes
    figure = new_figure(max(7.0, 1.3 * len(codes) + 2), 4.2)
    axes = figure.add_subplot()
    width = 0.8 / len(metrics)
    for place, name in enumerate(metrics):
        positions = np.arange(len(codes)) + (place - (len(metrics) - 1) / 2) * width
        estimates = [evaluation.conditions[code].metrics[name] for code in codes]
        values = [0.0 if estimate.value is None else estimate.value for estimate in estimates]
        axes.bar(positions, values, width * 0.92, label=METRICS[name].label, color=colour_of(place))
        for x, estimate in zip(positions, estimates, strict=True):
            if estimate.value is None:
                axes.text(x, 0.01, "undefined", rotation=90, ha="center", va="bottom", fontsize=7, color=GREY)
            elif estimate.low is not None and estimate.high is not None:
                axes.vlines(x, estimate.low, estimate.high, color="black", linewidth=1)
    axes.set_xticks(
        range(len(codes)),
        [f"{code}\n{evaluation.conditions[code].positives:,} of {evaluation.conditions[code].n:,}" for code in codes],
    )
    axes.set_ylim(0, 1.02)
    axes.set_title(title)
    plain(axes, grid="y")
    figure.legend(loc="outside lower center", ncols=len(metrics), frameon=False, fontsize=9)
    return figure


def _known(
    targets: NDArray[np.integer], probabilities: NDArray[np.floating], column: int
) -> tuple[NDArray[np.integer], NDArray[np.floating]]:
    known = (targets[:, column] != UNKNOWN) & ~np.isnan(probabilities[:, column])
    return targets[known, column], probabilities[known, column]


def _line(column: int, curves_drawn: int) -> dict[str, Any]:
    """Style a curve so that it shows beneath others that coincide with it: the first is the widest and solid."""
    width = 1.2 + 2.4 * (curves_drawn - 1 - column) / max(1, curves_drawn - 1)
    return {"color": colour_of(column), "linestyle": dash_of(column), "linewidth": width, "alpha": 0.9}


def _value(estimate: Estimate | None) -> str:
    return "undefined" if estimate is None or estimate.value is None else f"{estimate.value:.3f}"


def roc_figure(
    targets: NDArray[np.integer],
    probabilities: NDArray[np.floating],
    codes: Sequence[str],
    *,
    evaluation: Evaluation | None = None,
    patients: NDArray[np.integer] | None = None,
    title: str = "Receiver operating characteristic",
) -> Figure:
    """Draw a ROC curve for each condition, with its area where the evaluation is given.

    Args:
        targets: (n, k) 1, 0 or -1 (unknown).
        probabilities: (n, k).
        codes: (k,) condition codes.
        evaluation: of these recordings.
        patients: (n,) of the recordings; where given, a band shows 95% of the sensitivities over their resamples.
        title: above the picture.
    """
    figure = new_figure(5.4, 6.3)
    axes = figure.add_subplot()
    axes.plot([0, 1], [0, 1], color="#aaaaaa", linewidth=1, linestyle="--")
    for column, code in enumerate(codes):
        curve = curves.roc(*_known(targets, probabilities, column))
        area = "" if evaluation is None else f"  {_value(evaluation.conditions[code].metrics['auroc'])}"
        x, y = (np.empty(0), np.empty(0)) if curve is None else (curve.x, curve.y)
        axes.plot(x, y, **_line(column, len(codes)), label=f"{code}{area}")
        told = evaluation is not None and evaluation.conditions[code].metrics["auroc"].low is not None
        if patients is not None and told:
            known = (targets[:, column] != UNKNOWN) & ~np.isnan(probabilities[:, column])
            band = curves.roc_band(targets[known, column], probabilities[known, column], patients[known])
            axes.fill_between(band.x, band.low, band.high, color=colour_of(column), alpha=0.08, linewidth=0)
    axes.set_xlabel("1 - specificity")
    axes.set_ylabel("sensitivity")
    _unit_square(axes, title, "AUROC" if evaluation is not None else "")
    return figure


def precision_recall_figure(
    targets: NDArray[np.integer],
    probabilities: NDArray[np.floating],
    codes: Sequence[str],
    *,
    evaluation: Evaluation | None = None,
    title: str = "Precision and recall",
) -> Figure:
    """A precision-recall curve for each condition; a short line at the right edge marks its prevalence."""
    figure = new_figure(5.4, 6.3)
    axes = figure.add_subplot()
    for column, code in enumerate(codes):
        labels, scores = _known(targets, probabilities, column)
        curve = curves.precision_recall(labels, scores)
        area = "" if evaluation is None else f"  {_value(evaluation.conditions[code].metrics['auprc'])}"
        x, y = (np.empty(0), np.empty(0)) if curve is None else (curve.x, curve.y)
        axes.step(x, y, where="pre", **_line(column, len(codes)), label=f"{code}{area}")
        if len(labels):
            axes.hlines(labels.mean(), 1.0, 1.02, color=colour_of(column), linewidth=3, clip_on=False)
    axes.set_xlabel("recall (sensitivity)")
    axes.set_ylabel("precision (PPV)")
    _unit_square(axes, title, "AUPRC" if evaluation is not None else "")
    return figure


def _unit_square(axes: Axes, title: str, legend_title: str) -> None:
    axes.set_xlim(-0.01, 1.02)
    axes.set_ylim(-0.01, 1.02)
    axes.set_box_aspect(1)
    axes.set_title(title)
    figure = axes.get_figure(root=True)
    if figure is not None:
        # under the axes, where no curve can run behind it
        figure.legend(loc="outside lower center", title=legend_title, ncols=3, fontsize=9, frameon=False)
    plain(axes)


def reliability_figure(
    targets: NDArray[np.integer],
    probabilities: NDArray[np.floating],
    codes: Sequence[str],
    *,
    uncalibrated: NDArray[np.floating] | None = None,
    title: str = "Reliability",
) -> Figure:
    """Stated probability against observed share, one panel per condition; dot areas show the recordings in a bin.

    Args:
        targets: (n, k) 1, 0 or -1 (unknown).
        probabilities: (n, k), as used for decisions.
        codes: (k,) condition codes.
        uncalibrated: (n, k), drawn in grey behind: before calibration, where it was applied.
        title: above the panels.
    """
    columns = min(3, max(1, len(codes)))
    rows = max(1, math.ceil(len(codes) / columns))
    figure = new_figure(3.2 * columns, 3.1 * rows + 0.5)
    for column, code in enumerate(codes):
        axes = figure.add_subplot(rows, columns, column + 1)
        axes.plot([0, 1], [0, 1], color="#aaaaaa", linewidth=1, linestyle="--")
        if uncalibrated is not None:
            before = curves.reliability(*_known(targets, uncalibrated, column))
            if before is not None:
                axes.plot(before.stated, before.observed, color="#999999", marker="o", markersize=3, linewidth=1)
        curve = curves.reliability(*_known(targets, probabilities, column))
        if curve is None:
            say(axes, "no known label")
        else:
            axes.plot(curve.stated, curve.observed, color=colour_of(column), linewidth=1.4)
            area = 15 + 150 * curve.count / curve.count.max()
            axes.scatter(curve.stated, curve.observed, s=area, color=colour_of(column), alpha=0.75, linewidths=0)
        axes.set_xlim(-0.04, 1.04)
        axes.set_ylim(-0.04, 1.04)
        axes.set_title(code)
        if column % columns == 0:
            axes.set_ylabel("observed share")
        if column + columns >= len(codes):
            axes.set_xlabel("stated probability")
        plain(axes)
    figure.suptitle(title)
    return figure


def forest_figure(
    subgroups: Sequence[SubgroupEvaluation],
    evaluation: Evaluation,
    codes: Sequence[str],
    *,
    name: str = "auroc",
    title: str | None = None,
) -> Figure:
    """One metric over subgroups, one panel per condition: dots with intervals, and a line at the whole set's value.

    A subgroup that cannot tell has ``–`` in place of a dot.

    Args:
        subgroups: in the order drawn, those of one attribute together.
        evaluation: of the whole set.
        codes: the conditions drawn, side by side.
        name: key of the metric.
        title: above the panels; the metric's name where None.
    """
    labels, places, heads = _forest_rows(subgroups)
    height = 0.9 + 0.2 * (len(labels) + len(heads))
    figure = new_figure(2.6 + 2.3 * len(codes), max(2.0, height))
    panels = figure.subplots(1, len(codes), sharey=True, squeeze=False)[0]
    for column, (code, axes) in enumerate(zip(codes, panels, strict=True)):
        whole = evaluation.conditions[code].metrics[name]
        colour = colour_of(evaluation.codes.index(code))
        if whole.value is not None:
            axes.axvline(whole.value, color="#aaaaaa", linewidth=1.2)
            if whole.low is not None and whole.high is not None:
                axes.axvspan(whole.low, whole.high, color="#eeeeee", linewidth=0)
        for group, place in zip(subgroups, places, strict=True):
            estimate = group.metric(code, name)
            if estimate.value is None:
                axes.text(0.02, place, "–", transform=axes.get_yaxis_transform(), va="center", color=GREY)
                continue
            if estimate.low is not None and estimate.high is not None:
                axes.hlines(place, estimate.low, estimate.high, color=colour, linewidth=1.5)
            axes.plot(estimate.value, place, "o", color=colour, markersize=5)
        axes.set_title(code, fontsize=11)
        axes.tick_params(axis="y", length=0)
        axes.tick_params(axis="x", labelsize=8)
        axes.xaxis.set_major_locator(MaxNLocator(4))
        plain(axes, grid="x")
        axes.spines["left"].set_visible(False)
        if column == 0:
            axes.set_yticks(places, labels, fontsize=9)
            for place, head in heads:
                axes.text(
                    -0.03, place, head, transform=axes.get_yaxis_transform(), fontsize=9, fontweight="bold",
                    ha="right", va="center",
                )  # fmt: skip
        axes.set_ylim(max([*places, 0]) + 0.7, -0.7)
    figure.suptitle(METRICS[name].label + " by subgroup" if title is None else title)
    return figure


def _forest_rows(subgroups: Sequence[SubgroupEvaluation]) -> tuple[list[str], list[float], list[tuple[float, str]]]:
    """Labels and heights of the subgroups, and of the attribute names over them."""
    labels: list[str] = []
    places: list[float] = []
    heads: list[tuple[float, str]] = []
    height, attribute = 0.0, None
    for group in subgroups:
        if group.attribute != attribute:
            attribute = group.attribute
            heads.append((height, attribute))
            height += 1
        labels.append(f"{group.value}  (n {group.n:,})")
        places.append(height)
        height += 1
    return labels, places, heads


def differences_figure(differences: Mapping[str, PairedComparison], name: str, *, title: str = "") -> Figure:
    """Differences of one metric from a reference, by condition and macro, with one row per run.

    Args:
        differences: run to its comparison with the reference.
        name: key of the metric.
        title: above the picture.
    """
    codes = list(next(iter(differences.values())).conditions) if differences else []
    rows = [*codes, "macro"]
    figure = new_figure(8.0, 1.2 + len(rows) * (0.25 + 0.16 * len(differences)))
    axes = figure.add_subplot()
    axes.axvline(0.0, color=GREY, linewidth=1)
    step = 0.7 / max(1, len(differences))
    for place, (run, pair) in enumerate(differences.items()):
        estimates = [pair.conditions[code][name] for code in codes] + [pair.macro[name]]
        heights = np.arange(len(rows)) + (place - (len(differences) - 1) / 2) * step
        for height, estimate in zip(heights, estimates, strict=True):
            if estimate.value is None:
                axes.text(0.01, height, "–", transform=axes.get_yaxis_transform(), va="center", color=GREY)
                continue
            if estimate.low is not None and estimate.high is not None:
                axes.hlines(height, estimate.low, estimate.high, color=colour_of(place), linewidth=1.5)
            axes.plot(estimate.value, height, "o", color=colour_of(place), markersize=5)
        axes.plot([], [], "o-", color=colour_of(place), label=run)
    axes.set_yticks(range(len(rows)), rows)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_xlabel(f"difference of {METRICS[name].label}")
    axes.set_title(title)
    plain(axes, grid="x")
    figure.legend(loc="outside lower center", ncols=min(3, max(1, len(differences))), frameon=False, fontsize=9)
    return figure
