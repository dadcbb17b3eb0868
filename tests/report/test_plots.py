"""Pictures: what they show is what the numbers say, and nothing missing breaks them."""

import numpy as np
import pytest

from ecgfounder_ft.evaluation.evaluate import evaluate
from ecgfounder_ft.evaluation.inputs import prepare
from ecgfounder_ft.evaluation.net_benefit import net_benefit
from ecgfounder_ft.evaluation.subgroups import by_value, evaluate_subgroups
from ecgfounder_ft.report import decision_plots, figures, plots
from ecgfounder_ft.report.training_plots import training_history_figure
from ecgfounder_ft.task import MULTI_LABEL

CODES = ("NORM", "AFIB", "RBBB")


@pytest.fixture
def case():
    generator = np.random.default_rng(0)
    targets = (generator.random((80, 3)) < 0.3).astype(np.int8)
    targets[:, 2] = 0  # RBBB never occurs
    targets[:5, 1] = -1
    probabilities = np.clip(0.4 * targets + 0.6 * generator.random((80, 3)), 0, 1)
    return targets, probabilities, evaluate(targets, probabilities, range(80), CODES, task=MULTI_LABEL)


def _texts(figure):
    return [text.get_text() for axes in figure.axes for text in axes.texts]


def test_confusion_matrix_shows_counts_and_row_shares():
    figure = plots.confusion_matrix_figure([[3, 1, 0], [0, 2, 0], [0, 0, 0]], CODES)
    assert _texts(figure) == ["3\n75%", "1\n25%", "0\n0%", "0\n0%", "2\n100%", "0\n0%", "0\n–", "0\n–", "0\n–"]
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == list(CODES)


def test_cooccurrence_counts_labels_against_decisions():
    targets = np.array([[1, 1, 0], [1, 0, -1]], dtype=np.int8)
    decisions = np.array([[True, False, False], [True, True, True]])
    matrix = plots.decision_cooccurrence(targets, decisions)
    assert matrix.tolist() == [[2, 1, 1, 2], [1, 0, 0, 1], [0, 0, 0, 0]]
    assert _texts(plots.cooccurrence_figure(matrix, CODES))[:3] == ["2\n100%", "1\n50%", "1\n50%"]


def test_bars_stand_at_their_values_and_undefined_ones_say_so(case):
    evaluation = case[2]
    figure = plots.condition_bars_figure(evaluation, metrics=("auroc",))
    heights = [bar.get_height() for bar in figure.axes[0].patches]
    assert heights[0] == pytest.approx(evaluation.conditions["NORM"].metrics["auroc"].value)
    assert "undefined" in _texts(figure)


def test_curves_leave_out_unknown_labels_and_name_undefined_areas(case):
    targets, probabilities, evaluation = case
    for draw in (plots.roc_figure, plots.precision_recall_figure):
        figure = draw(targets, probabilities, CODES, evaluation=evaluation)
        labels = [text.get_text() for text in figure.legends[0].get_texts()]
        assert labels[2] == "RBBB  undefined"
        assert len(labels) == 3
    flipped = targets.copy()
    flipped[:5, 1] = 1
    points = [
        plots.roc_figure(labels, probabilities, CODES).axes[0].lines[2].get_xydata() for labels in (targets, flipped)
    ]
    assert points[0].shape != points[1].shape or not np.allclose(*points)


def test_reliability_has_one_panel_per_condition(case):
    targets, probabilities, _ = case
    targets = targets.copy()
    targets[:, 0] = -1
    figure = plots.reliability_figure(targets, probabilities, CODES, uncalibrated=probabilities**2)
    assert [axes.get_title() for axes in figure.axes] == list(CODES)
    assert "no known label" in _texts(figure)


def test_net_benefit_and_outcomes_show_what_was_counted(case):
    targets, probabilities, _ = case
    data = prepare(targets, probabilities, range(80), CODES, task=MULTI_LABEL)
    curves = net_benefit(data, probabilities, (0.1, 0.5), resamples=0, seed=0)
    figure = decision_plots.net_benefit_figure(curves)
    lines = {line.get_label(): line.get_ydata() for line in figure.axes[1].lines}
    assert lines["model"] == pytest.approx(curves["AFIB"].calibrated)
    assert lines["treat all"] == pytest.approx(curves["AFIB"].treat_all)
    assert "no recording with the condition" in _texts(figure)
    figure = decision_plots.outcome_distributions_figure(targets, probabilities, CODES)
    heights = np.array([bar.get_height() for bar in figure.axes[1].patches])
    assert [heights[heights > 0].sum(), heights[heights < 0].sum()] == pytest.approx([1, -1])
    assert f"with: {(targets[:, 1] == 1).sum()}" in _texts(figure)


def test_history_merges_rows_of_an_epoch_and_skips_gaps():
    rows = [
        {"epoch": 0, "train/loss": 1.0, "validation/loss": "", "other": 3},
        {"epoch": 0, "validation/loss": 0.9, "train/loss": float("nan")},
        {"epoch": 1, "train/loss": 0.5, "validation/loss": 0.8, "learning_rate": 1e-3},
        {"epoch": None, "train/loss": 7.0},
    ]
    figure = training_history_figure(rows)
    assert [axes.get_title() for axes in figure.axes] == ["loss", "learning rate"]
    lines = {line.get_label(): line.get_xydata().tolist() for line in figure.axes[0].lines}
    assert lines == {"train": [[0, 1.0], [1, 0.5]], "validation": [[0, 0.9], [1, 0.8]]}
    assert _texts(training_history_figure([])) == ["no epoch was completed"]


def test_figures_go_to_png_data_address_and_tensorboard(case, tmp_path):
    from torch.utils.tensorboard import SummaryWriter

    targets, probabilities, evaluation = case
    data = prepare(targets, probabilities, range(80), CODES, task=MULTI_LABEL)
    drawn = {
        "tables": plots.confusion_tables_figure({c: evaluation.conditions[c].confusion for c in CODES}),
        "cooccurrence": plots.cooccurrence_figure(plots.decision_cooccurrence(data.targets, data.decisions), CODES),
    }
    with SummaryWriter(str(tmp_path / "events")) as writer:
        for name, figure in drawn.items():
            path = figures.save_figure(figure, tmp_path / "png" / f"{name}.png", dpi=60)
            assert path.read_bytes().startswith(b"\x89PNG")
            assert figures.data_uri(figure).startswith("data:image/svg+xml;base64,")
            assert figures.data_uri(figure, image_format="png").startswith("data:image/png;base64,")
            writer.add_figure(name, figure)
    assert any((tmp_path / "events").iterdir())


def test_the_same_figure_gives_the_same_bytes():
    first, second = (figures.data_uri(plots.confusion_matrix_figure([[1, 0], [0, 1]], ("A", "B"))) for _ in range(2))
    assert first == second


def test_forest_has_one_row_per_subgroup_and_dashes_where_nothing_can_be_told(case):
    targets, probabilities, evaluation = case
    data = prepare(targets, probabilities, range(80), CODES, task=MULTI_LABEL)
    groups = evaluate_subgroups(data, by_value("sex", ["f"] * 50 + ["m"] * 27 + ["x"] * 3), resamples=20)
    figure = plots.forest_figure(groups, evaluation, ["NORM", "AFIB"])
    assert [axes.get_title() for axes in figure.axes] == ["NORM", "AFIB"]
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert labels == ["f  (n 50)", "m  (n 27)", "x  (n 3)"]
    dots = [line.get_xdata()[0] for line in figure.axes[0].lines if line.get_marker() == "o"]
    assert dots == [pytest.approx(group.metric("NORM", "auroc").value) for group in groups[:2]]
    assert "–" in _texts(figure)
