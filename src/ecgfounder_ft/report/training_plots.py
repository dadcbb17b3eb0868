"""Pictures of a training, and of what a run tried before and after it."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ecgfounder_ft.report.figures import GREY, colour_of, new_figure, plain, say

_HISTORY_PANELS: dict[str, str] = {
    "loss": "loss",
    "accuracy": "accuracy",
    "macro_f1": "macro F1",
    "macro_auroc": "macro AUROC",
    "learning_rate": "learning rate",
}


def training_history_figure(rows: Iterable[Mapping[str, Any]], *, title: str = "Training history") -> Figure:
    """Epoch metrics over epochs, one panel for each.

    Args:
        rows: one per epoch (or several, which are merged), with ``epoch`` and any of ``loss``,
            ``accuracy``, ``macro_f1``, ``macro_auroc`` and ``learning_rate``, each plain or as
            ``<side>/<metric>``. Empty and missing entries are skipped, other names left out.
        title: above the panels.
    """
    series = _history_series(rows)
    panels = [name for name in _HISTORY_PANELS if name in series]
    columns = min(3, max(1, len(panels)))
    lines = max(1, math.ceil(len(panels) / columns))
    figure = new_figure(3.8 * columns if panels else 6.0, 2.9 * lines + 0.4)
    figure.suptitle(title)
    if not panels:
        say(figure.add_subplot(), "no epoch was completed")
        return figure
    sides = list(dict.fromkeys(side for name in panels for side in series[name]))
    for place, name in enumerate(panels):
        axes = figure.add_subplot(lines, columns, place + 1)
        for side, points in series[name].items():
            epochs = sorted(points)
            axes.plot(
                epochs,
                [points[epoch] for epoch in epochs],
                color=colour_of(sides.index(side)) if side else GREY,
                label=side or None,
                marker="o",
                markersize=3,
                linewidth=1.5,
            )
        axes.set_title(_HISTORY_PANELS[name])
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        if name == "learning_rate":
            axes.set_yscale("log")
        if any(series[name]):
            axes.legend(frameon=False, fontsize=9)
        plain(axes)
    return figure


def _history_series(rows: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, dict[int, float]]]:
    """Metric name to side ("" for none) to epoch to value."""
    series: dict[str, dict[str, dict[int, float]]] = {}
    for row in rows:
        epoch = _number(row.get("epoch"))
        if epoch is None:
            continue
        for key, entry in row.items():
            side, _, name = str(key).rpartition("/")
            value = _number(entry)
            if value is not None and name in _HISTORY_PANELS:
                series.setdefault(name, {}).setdefault(side, {})[int(epoch)] = value
    return series


def _number(entry: Any) -> float | None:
    try:
        value = float(entry)
    except (TypeError, ValueError):
        return None
    return value if math.isfinite(value) else None


def wise_ft_figure(rows: Sequence[Mapping[str, float]], chosen: float) -> Figure:
    """Validation metrics over the share of the trained weights (0: the start, 1: the end)."""
    figure = new_figure(7, 4)
    axes = figure.subplots()
    coefficients = [row["coefficient"] for row in rows]
    for name, label in (("macro_auroc", "macro AUROC"), ("macro_f1", "macro F1"), ("accuracy", "accuracy")):
        axes.plot(coefficients, [row[f"validation/{name}"] for row in rows], marker="o", label=label)
    axes.axvline(chosen, color="grey", linestyle="--", label=f"chosen: {chosen:g}")
    axes.set(xlabel="share of the trained weights", ylabel="validation", ylim=(0, 1.02))
    axes.grid(alpha=0.3)
    axes.legend()
    return figure


def solved_head_figure(tried: Sequence[Mapping[str, float]], chosen: float) -> Figure:
    """Draw the log loss over left-out patients for each inverse strength of the penalty of a solved last layer."""
    figure = new_figure(7, 4)
    axes = figure.subplots()
    axes.semilogx([row["strength"] for row in tried], [row["log_loss"] for row in tried], marker="o")
    axes.axvline(chosen, color="grey", linestyle="--", label=f"chosen: {chosen:g}")
    axes.set(xlabel="inverse strength of the L2 penalty (C)", ylabel="log loss over left-out patients")
    axes.grid(alpha=0.3)
    axes.legend()
    return figure


def lr_finder_figure(learning_rates: Sequence[float], losses: Sequence[float], suggestion: float | None) -> Figure:
    """Training loss over the learning rate of a range test."""
    figure = new_figure(7, 4)
    axes = figure.subplots()
    axes.semilogx(learning_rates, losses)
    if suggestion is not None:
        axes.axvline(suggestion, color="tab:red", linestyle="--", label=f"suggested: {suggestion:.2g}")
        axes.legend()
    axes.set(xlabel="learning rate", ylabel="training loss, running mean")
    axes.grid(alpha=0.3)
    return figure
