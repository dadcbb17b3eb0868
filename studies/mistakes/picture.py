"""The picture of ``studies.mistakes.mistakes``: each mistake, its cost with interval, and its guard."""

from collections.abc import Mapping
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ecgfounder_ft.evaluation.metrics import METRICS, Estimate
from studies.paired_costs import JUDGED_BY, Cost

WORSE, BETTER, UNSURE = "#b2182b", "#2166ac", "#737373"
LEGEND = {WORSE: "worse than the right way", BETTER: "looks better than the right way", UNSURE: "the interval holds 0"}
WIDTH, ROW, ABOVE, BELOW, FOOT = 10.0, 0.44, 0.62, 0.36, 0.32
"""Inches: of the picture, of a row, of what stands above and below the rows of a group, and of the legend."""
LEFT, PANEL, STEP = 0.435, 0.168, 0.19
"""Shares of the width: where the first panel begins, its width, and from one to the next."""


def draw(groups: Mapping[str, Mapping[str, Cost]], guards: Mapping[str, str], file: Path) -> None:
    """Draw a row for each mistake; each group has scales of its own.

    Args:
        groups: heading to mistake to its cost.
        guards: mistake to what its guard does.
        file: SVG, the same bytes for the same costs.
    """
    height = sum(ROW * len(costs) + ABOVE + BELOW for costs in groups.values()) + FOOT
    figure = Figure(figsize=(WIDTH, height))
    top = height
    for heading, costs in groups.items():
        top -= ABOVE
        size = ROW * len(costs)
        figure.text(0.005, (top + 0.12) / height, heading, fontsize=10.5, fontweight="bold")
        for place, (metric, label) in enumerate(JUDGED_BY.items()):
            panel = figure.add_axes((LEFT + STEP * place, (top - size) / height, PANEL, size / height))
            lower = METRICS[metric].lower_is_better
            _draw_panel(panel, [cost.difference[metric] for cost in costs.values()], lower)
            panel.set_title(f"macro {label}", fontsize=10, fontweight="bold", pad=14)
            sense = "lower is better" if lower else "higher is better"
            panel.annotate(
                sense, (0.5, 1), (0, 4), "axes fraction", "offset points", ha="center", fontsize=8, color="#555555"
            )
        for number, name in enumerate(costs):
            middle = top - ROW * (number + 0.5)
            figure.text(0.012, (middle + 0.09) / height, name, va="center", fontsize=10)
            guard = guards[name].replace("`", "")
            figure.text(0.025, (middle - 0.1) / height, guard, va="center", fontsize=8.2, color="#555555")
        top -= size + BELOW
    note = "Below each: its guard. Mistaken minus right, 95% interval:"
    figure.text(0.012, 0.1 / height, note, fontsize=8.5)
    for place, (color, text) in enumerate(LEGEND.items()):
        figure.text(0.4 + 0.21 * place, 0.1 / height, f"● {text}", color=color, fontsize=8.5)
    with mpl.rc_context({"svg.hashsalt": "mistakes"}):
        figure.savefig(file, format="svg", metadata={"Date": None}, facecolor="white")


def _draw_panel(panel: Axes, differences: list[Estimate], lower_is_better: bool) -> None:
    panel.set_ylim(len(differences) - 0.5, -0.5)
    panel.set_yticks([])
    panel.spines[["left", "right", "top"]].set_visible(False)
    panel.tick_params(labelsize=8)
    panel.locator_params(axis="x", nbins=4)
    panel.axvline(0, color="black", linewidth=0.8)
    for row, found in enumerate(differences):
        if row % 2 == 0:
            panel.axhspan(row - 0.5, row + 0.5, color="#f3f3f3", zorder=0, linewidth=0)
        if found.value is None:
            continue
        ends = None if found.low is None or found.high is None else (found.low, found.high)
        color = BETTER if (found.value < 0) == lower_is_better else WORSE
        if ends is None or ends[0] <= 0 <= ends[1]:
            color = UNSURE
        if ends is not None:
            panel.plot(ends, [row, row], color=color, linewidth=2, solid_capstyle="butt")
        panel.plot([found.value], [row], "o", color=color, markersize=5)
