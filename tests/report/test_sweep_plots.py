"""Pictures of a sweep stay readable, however many trials there are and whatever they are called."""

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from ecgfounder_ft.evaluation.label_efficiency import LearningCurve
from ecgfounder_ft.evaluation.metrics import Estimate
from ecgfounder_ft.evaluation.several_trainings import Spread
from ecgfounder_ft.report.sweep_plots import label_efficiency_figure, learning_curves_figure, parameters_figure


@pytest.mark.parametrize(
    ("trials", "winners", "entries"),
    [
        pytest.param(9, 1, 9, id="each has a name"),
        pytest.param(40, 3, 3, id="of many only the winner's"),
        pytest.param(40, 25, 1, id="of many that won only how many they are"),
    ],
)
def test_names_of_curves_are_whole_and_leave_the_curves_their_room(trials: int, winners: int, entries: int) -> None:
    names = [f"{number + 10}: finetune=s6 seed={number + 42}" for number in range(trials)]
    figure = learning_curves_figure(
        {name: [(0, 0.5), (1, 0.6)] for name in names}, "validation/macro_auroc", names[:winners]
    )
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    (legend,) = figure.legends
    assert len(legend.get_texts()) == entries
    inside, (left, right) = legend.get_window_extent(), figure.bbox.intervalx
    assert left <= inside.x0 <= inside.x1 <= right
    (axes,) = figure.axes
    assert axes.get_window_extent().height > figure.bbox.height / 2


def test_of_many_curves_over_sizes_no_two_look_alike() -> None:
    point = Estimate(0.8, 0.7, 0.9)
    spreads = (Spread("", 5, 0.8, 0.8, 0.0, point, point),) * 2
    curves = [
        LearningCurve(f"experiment=arm_{number}", "auroc", (128, 1000), spreads, np.zeros((2, 1)))
        for number in range(10)
    ]
    figure = label_efficiency_figure(curves)
    FigureCanvasAgg(figure).draw()
    (axes,), (legend,) = figure.axes, figure.legends
    assert len({(line.get_color(), line.get_linestyle()) for line in axes.lines}) == 10
    assert legend.get_window_extent().y1 <= axes.get_window_extent().y0  # below the curves


def test_learning_rates_of_a_search_stand_on_a_logarithmic_axis_however_few() -> None:
    values = ["1e-05", "0.0003", "0.01", "0.0007"]
    figure = parameters_figure({"optimizer.lr": values, "finetune": list("abab")}, [0.1, 0.2, 0.3, 0.4], "loss")
    rates, words = figure.axes
    assert rates.get_xscale() == "log"
    (line,) = rates.lines
    assert list(line.get_xdata()) == [float(value) for value in values]
    assert words.get_xscale() == "linear"
    assert [label.get_text() for label in words.get_xticklabels()] == ["a", "b"]
