"""Out-of-fold predictions as one: each recording by the model that has not seen its patient.

Every fold's model calibrates and decides by its own validation recordings, as it would in use. What is pooled are the
probabilities and decisions that come of it, so what is evaluated is the way of training, and no single model.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ecgfounder_ft.errors import ExplainedError
from ecgfounder_ft.evaluation.calibration import Calibration
from ecgfounder_ft.evaluation.calibration_check import check_calibration
from ecgfounder_ft.evaluation.evaluate import evaluate_input
from ecgfounder_ft.evaluation.inputs import prepare
from ecgfounder_ft.evaluation.predictions import Predictions
from ecgfounder_ft.evaluation.run_evaluation import RunEvaluation, subgroups_of
from ecgfounder_ft.evaluation.settings import EvaluationSettings
from ecgfounder_ft.evaluation.subgroups import evaluate_subgroups
from ecgfounder_ft.evaluation.thresholds import Thresholds

FOLD = "fold"
"""Column of the pooled predictions."""


class FoldsOverlapError(ExplainedError):
    """A recording or a patient that two folds test."""


def pool(name: str, folds: Sequence[RunEvaluation], settings: EvaluationSettings) -> RunEvaluation:
    """Evaluate the test recordings of all folds as one set.

    Args:
        name: of the pooled set, as printed.
        folds: every fold of one division, evaluated; recordings in any order.
        settings: of the evaluation.

    Returns:
        The evaluation; its predictions hold the calibrated probabilities, with the fold of each recording.

    Raises:
        FoldsOverlapError: if a recording or a patient stands in two folds.
    """
    codes, task = folds[0].predictions.codes, folds[0].predictions.task
    rows = pd.concat([run.rows.assign(**{FOLD: number}) for number, run in enumerate(folds)], ignore_index=True)
    parts = [_answers_of(run) for run in folds]
    given, calibrated, decided = (np.concatenate([part[place] for part in parts]) for place in range(3))
    order = np.argsort(rows["recording"].to_numpy(dtype=str), kind="stable")
    rows = rows.iloc[order].reset_index(drop=True)
    given, calibrated, decided = given[order], calibrated[order], decided[order]
    patients = rows["patient"].fillna(rows["recording"]).to_numpy(dtype=str)
    _refuse_overlap(rows, patients)
    table = rows.assign(split="test", **{f"probability_{code}": calibrated[:, at] for at, code in enumerate(codes)})
    predictions = Predictions(name, table, codes, task)
    thresholds = _mean_thresholds(folds)
    data = prepare(
        predictions.targets(table),
        calibrated,
        patients,
        codes,
        task=task,
        thresholds=None if thresholds is None else thresholds.values,
    )
    data = replace(data, decisions=decided[data.kept])
    groups = subgroups_of(table, predictions.targets(table), codes, settings.by)
    checked = check_calibration(data.targets, data.probabilities, data.groups, data.codes)
    return RunEvaluation(
        predictions=predictions,
        settings=settings,
        calibration=Calibration(
            method="none",
            task=task.name,
            codes=list(codes),
            notes={"all": "the probabilities are those that each fold's model gives after its own calibration"},
        ),
        thresholds=thresholds,
        side="test",
        rows=table,
        data=data,
        uncalibrated=given[data.kept],
        evaluation=evaluate_input(data, resamples=settings.resamples, seed=settings.seed),
        validation=None,
        calibration_check={"before": checked, "after": checked},
        subgroups=evaluate_subgroups(data, groups, resamples=settings.resamples, seed=settings.seed),
    )


def _answers_of(run: RunEvaluation) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
    """A fold's test recordings, (n, k) each: probabilities as the network gives them, calibrated, and decisions."""
    given = run.predictions.probabilities(run.rows)
    calibrated = run.calibration.apply(given)
    thresholds = None if run.thresholds is None else run.thresholds.array(run.predictions.codes)
    return given, calibrated, run.predictions.task.decisions(calibrated, thresholds)


def _refuse_overlap(rows: pd.DataFrame, patients: NDArray[np.str_]) -> None:
    repeated = rows["recording"][rows["recording"].duplicated()]
    if len(repeated):
        raise FoldsOverlapError(f"{repeated.iloc[0]} is tested by two folds: they are not of one division")
    folds = rows.groupby(patients)[FOLD].nunique()
    if (folds > 1).any():
        raise FoldsOverlapError(f"patient {folds.index[folds > 1][0]} is in two folds: they are not of one division")


def _mean_thresholds(folds: Sequence[RunEvaluation]) -> Thresholds | None:
    """What is shown in place of each fold's thresholds: their means; None in a single-label task."""
    chosen = [run.thresholds for run in folds if run.thresholds is not None]
    if not chosen:
        return None
    means = {code: float(np.mean([one.values[code] for one in chosen])) for code in chosen[0].values}
    note = {"all": "each fold decides by its own; what is shown is their mean"}
    return replace(chosen[0], values=means, notes=note, intervals={})
