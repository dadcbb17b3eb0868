"""Everything that a run's predictions say: calibrated and decided by validation, then judged on a side of its split."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ecgfounder_ft.errors import ExplainedError
from ecgfounder_ft.evaluation.calibration import Calibration, fit_calibration
from ecgfounder_ft.evaluation.calibration_check import check_calibration
from ecgfounder_ft.evaluation.comparison import PairedComparison, compare
from ecgfounder_ft.evaluation.conformal import ConformalSets, conformal_cuts, evaluate_sets
from ecgfounder_ft.evaluation.evaluate import Evaluation, evaluate_input
from ecgfounder_ft.evaluation.inputs import EvaluationInput, prepare
from ecgfounder_ft.evaluation.metrics import Estimate
from ecgfounder_ft.evaluation.net_benefit import NetBenefit, net_benefit
from ecgfounder_ft.evaluation.predictions import Predictions
from ecgfounder_ft.evaluation.settings import EvaluationSettings
from ecgfounder_ft.evaluation.subgroups import (
    Subgroup,
    SubgroupEvaluation,
    by_age,
    by_condition,
    by_flag,
    by_value,
    evaluate_subgroups,
)
from ecgfounder_ft.evaluation.thresholds import Thresholds, choose_thresholds

UNTRAINED_START = "untrained start"
"""Name of the baseline that every run has."""

RANDOM_ENCODER = "linear probe on a random encoder"
"""Name of the baseline that neither pretraining nor training has touched."""

log = logging.getLogger(__name__)


class NoPredictionsError(ExplainedError):
    """No predictions for the recordings that shall be evaluated."""


@dataclass(frozen=True)
class RunEvaluation:
    """Everything that predictions say of a run."""

    predictions: Predictions
    settings: EvaluationSettings
    calibration: Calibration
    thresholds: Thresholds | None
    """None in a single-label task."""
    side: str
    """The evaluated side of the split."""
    rows: pd.DataFrame
    """Its rows of the predictions table."""
    data: EvaluationInput
    """Calibrated and decided."""
    uncalibrated: NDArray[np.float64]
    """(n, k) of the evaluated recordings, as ``data.probabilities``."""
    evaluation: Evaluation
    validation: Evaluation | None
    """Of the recordings on which calibration and thresholds were chosen, so flattering; without intervals."""
    calibration_check: dict[str, dict[str, dict[str, Estimate]]] = field(default_factory=dict)
    """``before`` and ``after`` calibration to condition code to
    :data:`~ecgfounder_ft.evaluation.calibration_check.CHECKS`, on the evaluated recordings."""
    net_benefit: dict[str, NetBenefit] = field(default_factory=dict)
    """Condition code to its net benefit on the evaluated recordings."""
    conformal: ConformalSets | None = None
    """None in a single-label task, and where the settings state no error rate."""
    subgroups: list[SubgroupEvaluation] = field(default_factory=list)
    baselines: dict[str, Evaluation] = field(default_factory=dict)
    differences: dict[str, PairedComparison] = field(default_factory=dict)
    """Name of a baseline to this model's metrics minus the baseline's, on the same recordings; none without resamples,
    nor where the baseline has other recordings."""


def evaluate_predictions(
    predictions: Predictions,
    settings: EvaluationSettings,
    *,
    side: str = "test",
    refit: bool = False,
    baselines: Mapping[str, pd.DataFrame] | None = None,
) -> RunEvaluation:
    """Calibrate and choose thresholds on validation, then evaluate a side of the split, its subgroups and baselines.

    Args:
        predictions: with rows of ``validation`` and of the evaluated side.
        settings: of the evaluation.
        side: which rows are evaluated.
        refit: leave aside what was stored with the predictions.
        baselines: name to predictions table of the same form; each is calibrated and decided on its own validation
            rows.

    Raises:
        NoPredictionsError: if the side has no rows.
    """
    rows = predictions.rows(side)
    if rows.empty:
        there = ", ".join(sorted(predictions.table["split"].dropna().unique())) or "none"
        raise NoPredictionsError(f"{predictions.name} has no {side} recordings; its predictions are of: {there}")
    calibration, thresholds = fitted(predictions, settings, refit)
    data = _prepared(predictions, rows, calibration, thresholds)
    validation = predictions.rows("validation")
    uncalibrated = predictions.probabilities(rows)[data.kept]
    bootstrap: dict[str, Any] = {
        "resamples": settings.resamples,
        "seed": settings.seed,
    }
    judged = {
        name: _baseline_input(name, predictions, table, settings, side) for name, table in (baselines or {}).items()
    }
    return RunEvaluation(
        predictions=predictions,
        settings=settings,
        calibration=calibration,
        thresholds=thresholds,
        side=side,
        rows=rows,
        data=data,
        uncalibrated=uncalibrated,
        evaluation=evaluate_input(data, **bootstrap),
        validation=None
        if validation.empty
        else evaluate_input(_prepared(predictions, validation, calibration, thresholds), resamples=0),
        calibration_check={
            name: check_calibration(data.targets, given, data.groups, data.codes)
            for name, given in (("before", uncalibrated), ("after", data.probabilities))
        },
        net_benefit=net_benefit(data, uncalibrated, settings.net_benefit_thresholds, **bootstrap),
        conformal=_sets(predictions, settings, calibration, data),
        subgroups=evaluate_subgroups(
            data, subgroups_of(rows, predictions.targets(rows), predictions.codes, settings.by), **bootstrap
        ),
        baselines={name: evaluate_input(baseline, **bootstrap) for name, (baseline, _) in judged.items()},
        differences={
            name: compare(baseline, data, **bootstrap)
            for name, (baseline, recordings) in judged.items()
            if settings.resamples and _same_recordings(name, recordings, rows)
        },
    )


def subgroups_of(
    rows: pd.DataFrame, targets: NDArray[np.integer], codes: Sequence[str], by: Sequence[str]
) -> list[Subgroup]:
    """Subgroups of a predictions table by the attributes asked for, those that tell nothing apart left out."""
    groups: list[Subgroup] = []
    for attribute in by:
        if attribute == "condition":
            groups += by_condition(targets, codes)
        elif attribute == "age":
            groups += _telling(by_age(_column(rows, "age").to_numpy(dtype=np.float64)))
        elif attribute == "signal":
            phrases = _column(rows, "repairs").fillna("").astype(str)
            names = sorted({phrase for entry in phrases for phrase in entry.split("; ") if phrase})
            groups += by_flag({name: [name in entry.split("; ") for entry in phrases] for name in names})
        else:
            groups += _telling(by_value(attribute, _column(rows, "dataset" if attribute == "source" else attribute)))
    return groups


def fitted(
    predictions: Predictions, settings: EvaluationSettings, refit: bool
) -> tuple[Calibration, Thresholds | None]:
    """The calibration and thresholds stored with predictions, or fitted on their validation rows where there are none.

    Args:
        predictions: of a run.
        settings: how to fit.
        refit: leave aside what was stored.
    """
    rows = predictions.rows("validation")
    targets, given, patients = predictions.targets(rows), predictions.probabilities(rows), _patients(rows)
    calibration = None if refit else predictions.stored_calibration
    if calibration is None:
        calibration = fit_calibration(
            targets, given, predictions.codes, task=predictions.task, method=settings.calibration, groups=patients
        )
    if predictions.task.exclusive:
        return calibration, None
    thresholds = None if refit else predictions.stored_thresholds
    if thresholds is None:
        thresholds = choose_thresholds(
            targets,
            calibration.apply(given),
            predictions.codes,
            method=settings.thresholds,
            sensitivity=settings.sensitivity,
            groups=patients,
            seed=settings.seed,
        )
    return calibration, thresholds


def _sets(
    predictions: Predictions, settings: EvaluationSettings, calibration: Calibration, data: EvaluationInput
) -> ConformalSets | None:
    """Conformal sets with cuts from the validation rows, None where none are asked for."""
    if settings.error_rate is None or predictions.task.exclusive:
        return None
    rows = predictions.rows("validation")
    cuts = conformal_cuts(
        predictions.targets(rows),
        calibration.apply(predictions.probabilities(rows)),
        _patients(rows),
        predictions.codes,
        error_rate=settings.error_rate,
        seed=settings.seed,
    )
    return evaluate_sets(cuts, data)


def _prepared(
    predictions: Predictions, rows: pd.DataFrame, calibration: Calibration, thresholds: Thresholds | None
) -> EvaluationInput:
    return prepare(
        predictions.targets(rows),
        calibration.apply(predictions.probabilities(rows)),
        _patients(rows),
        predictions.codes,
        task=predictions.task,
        thresholds=None if thresholds is None else thresholds.values,
    )


def _patients(rows: pd.DataFrame) -> NDArray[np.str_]:
    """(n,) with recordings in the place of patients who are not known."""
    return rows["patient"].fillna(rows["recording"]).to_numpy(dtype=str)


def _baseline_input(
    name: str, predictions: Predictions, table: pd.DataFrame, settings: EvaluationSettings, side: str
) -> tuple[EvaluationInput, pd.Series]:
    """A baseline calibrated and decided by its own validation rows, and the names of the recordings it is judged on."""
    baseline = Predictions(name, table, predictions.codes, predictions.task)
    calibration, thresholds = fitted(baseline, settings, refit=True)
    rows = baseline.rows(side)
    return _prepared(baseline, rows, calibration, thresholds), rows["recording"]


def _same_recordings(name: str, recordings: pd.Series, rows: pd.DataFrame) -> bool:
    """Whether a baseline has the model's recordings in the same order, as a paired difference needs."""
    same = recordings.tolist() == rows["recording"].tolist()
    if not same:
        log.warning("No difference from the %s: its predictions are of other recordings, or in another order", name)
    return same


def _column(rows: pd.DataFrame, name: str) -> pd.Series:
    return rows[name] if name in rows.columns else pd.Series(np.nan, index=rows.index, dtype=object)


def _telling(groups: list[Subgroup]) -> list[Subgroup]:
    """No groups where all recordings are in one."""
    return groups if len(groups) > 1 else []
