"""The pictures of one evaluation, drawn once for its files, its loggers and its page."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from ecgfounder_ft.evaluation.run_evaluation import RunEvaluation
from ecgfounder_ft.report import decision_plots, plots
from ecgfounder_ft.report.training_plots import training_history_figure

_FOREST_PANELS = 3


def draw(run: RunEvaluation, history: Sequence[Mapping[str, Any]]) -> dict[str, Figure]:
    """Draw an evaluation.

    Args:
        run: evaluated.
        history: metrics of the epochs.

    Returns:
        File stem to picture.
    """
    evaluation, data = run.evaluation, run.data
    if evaluation.confusion_matrix is not None:
        confusion = plots.confusion_matrix_figure(evaluation.confusion_matrix, evaluation.codes)
    else:
        tables = {code: condition.confusion for code, condition in evaluation.conditions.items()}
        confusion = plots.confusion_tables_figure(tables)
    known = (data.targets, data.probabilities, evaluation.codes)
    before = None if run.calibration.method == "none" else run.uncalibrated
    pictures = {
        "training_history": training_history_figure(history),
        "confusion_matrix": confusion,
        "per_condition": plots.condition_bars_figure(evaluation),
        "roc_curves": plots.roc_figure(*known, evaluation=evaluation, patients=data.groups),
        "precision_recall_curves": plots.precision_recall_figure(*known, evaluation=evaluation),
        "reliability": plots.reliability_figure(*known, uncalibrated=before),
        "outcome_distributions": decision_plots.outcome_distributions_figure(*known, thresholds=data.thresholds),
    }
    if run.net_benefit:
        pictures["net_benefit"] = decision_plots.net_benefit_figure(run.net_benefit)
    return pictures


def cooccurrence(run: RunEvaluation) -> Figure:
    """Draw how often each decision accompanies each label."""
    together = plots.decision_cooccurrence(run.data.targets, run.data.decisions)
    return plots.cooccurrence_figure(together, run.evaluation.codes)


def forests(run: RunEvaluation) -> list[Figure]:
    """Draw AUROC by subgroup for the conditions that have one in some subgroup, a few in each picture."""
    told = [
        code
        for code in run.evaluation.codes
        if any(group.metric(code, "auroc").value is not None for group in run.subgroups)
    ]
    parts = np.array_split(np.array(told), math.ceil(len(told) / _FOREST_PANELS)) if told else []
    return [plots.forest_figure(run.subgroups, run.evaluation, part.tolist(), title="") for part in parts]
