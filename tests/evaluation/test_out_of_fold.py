"""Out-of-fold predictions evaluated as one."""

import functools
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from ecgfounder_ft.evaluation.evaluate import evaluate_input
from ecgfounder_ft.evaluation.metrics import METRICS, Estimate
from ecgfounder_ft.evaluation.out_of_fold import FoldsOverlapError, mean_of_folds, pool, stretch, stretched
from ecgfounder_ft.evaluation.predictions import Predictions, predictions_table
from ecgfounder_ft.evaluation.run_evaluation import RunEvaluation, evaluate_predictions
from ecgfounder_ft.task import MULTI_LABEL, SINGLE_LABEL
from tests.settings import evaluation_settings

CODES = ("A", "B")
SETTINGS = evaluation_settings(by=[], resamples=50)


@functools.cache
def fold(number: int, scale: float, folds: int = 2, task: object = MULTI_LABEL) -> RunEvaluation:
    """A model tested on every other patient, three recordings each, and validated on some of the others.

    Args:
        scale: of its log-odds: folds that differ in it are calibrated apart.
    """
    generator = np.random.default_rng(number)
    patients = np.repeat(np.arange(120), 3)
    targets = np.random.default_rng(7).integers(0, 2, (120, 1)).repeat(3, axis=0)
    targets = np.concatenate([targets, 1 - targets], axis=1)
    odds = scale * (2 * targets - 1 + 1.5 * generator.normal(size=targets.shape))
    side = np.where(patients % folds == number, "test", np.where(patients % 5 == 0, "validation", "train"))
    table = pd.DataFrame(
        {
            "recording": [f"r{row:03}" for row in range(len(patients))],
            "dataset": "d",
            "constituent": "",
            "patient": [f"p{patient}" for patient in patients],
            "split": side,
            "age": 50.0,
            "sex": "female",
        }
    )
    table = predictions_table(table, targets, 1 / (1 + np.exp(-odds)), CODES)
    table = table[table["split"] != "train"].reset_index(drop=True)
    return evaluate_predictions(Predictions(f"fold {number}", table, CODES, task), replace(SETTINGS, resamples=0))  # type: ignore[arg-type]


def test_each_recording_is_judged_once_and_intervals_are_of_patients() -> None:
    """120 patients with three recordings each, of two folds."""
    folds = [fold(0, 1.0), fold(1, 5.0)]
    found = pool("both", folds, SETTINGS)
    assert found.evaluation.n == 360
    assert found.evaluation.patients == 120
    assert sorted(found.predictions.table["recording"]) == [f"r{row:03}" for row in range(360)]
    assert set(found.predictions.table["fold"]) == {0, 1}
    single = pool("alone", [_each_its_own_patient(one) for one in folds], SETTINGS).evaluation

    def width(name: str, evaluation: object) -> float:
        estimate = evaluation.macro[name]  # type: ignore[attr-defined]
        return float(estimate.high - estimate.low)

    assert width("auroc", found.evaluation) > width("auroc", single), "recordings of a patient are no patients"


def test_each_fold_calibrates_and_decides_by_itself() -> None:
    folds = [fold(0, 1.0), fold(1, 5.0)]
    found = pool("both", folds, SETTINGS)
    confusion = {code: np.zeros((2, 2), dtype=int) for code in CODES}
    for one in folds:
        for code in CODES:
            confusion[code] += one.evaluation.conditions[code].confusion.as_matrix()
    for code in CODES:
        assert np.array_equal(found.evaluation.conditions[code].confusion.as_matrix(), confusion[code])
    uncalibrated = np.abs(found.uncalibrated - found.data.targets).mean()
    assert found.data.probabilities.shape == (360, 2)
    assert not np.allclose(found.data.probabilities, found.uncalibrated)
    assert uncalibrated > 0
    assert found.thresholds is not None
    assert folds[0].thresholds is not None
    assert folds[1].thresholds is not None
    means = {code: (folds[0].thresholds.values[code] + folds[1].thresholds.values[code]) / 2 for code in CODES}
    assert found.thresholds.values == pytest.approx(means)


def test_a_single_label_task_has_no_thresholds() -> None:
    found = pool("both", [fold(0, 1.0, task=SINGLE_LABEL), fold(1, 1.0, task=SINGLE_LABEL)], SETTINGS)
    assert found.thresholds is None
    assert found.evaluation.confusion_matrix is not None
    assert set(found.evaluation.macro) == set(METRICS)


def test_folds_of_different_divisions_are_refused() -> None:
    with pytest.raises(FoldsOverlapError, match="tested by two folds"):
        pool("twice", [fold(0, 1.0), fold(0, 1.0)], SETTINGS)
    moved = fold(1, 1.0)
    patients = moved.rows["patient"].mask(moved.rows["patient"] == "p1", "p0")
    with pytest.raises(FoldsOverlapError, match="patient p0 is in two folds"):
        pool("moved", [fold(0, 1.0), replace(moved, rows=moved.rows.assign(patient=patients))], SETTINGS)


def _each_its_own_patient(one: RunEvaluation) -> RunEvaluation:
    return replace(one, rows=one.rows.assign(patient=one.rows["recording"]))


def test_intervals_are_stretched_for_what_the_folds_share() -> None:
    found = pool("both", [fold(0, 1.0), fold(1, 5.0)], SETTINGS)
    alone = evaluate_input(found.data, resamples=SETTINGS.resamples, seed=SETTINGS.seed).macro["auroc"]
    macro = found.evaluation.macro["auroc"]
    assert stretch(2) == 2.5
    ends = [np.log(value / (1 - value)) for value in (alone.value, alone.low, macro.low)]
    assert (ends[0] - ends[2]) / (ends[0] - ends[1]) == pytest.approx(np.sqrt(2.5))
    assert stretched(Estimate(1.0, 0.05 ** (1 / 10), 1.0), 2.0).low == pytest.approx(0.05 ** (1 / 5))
    assert stretched(Estimate(0.9, 0.0, 1.0), 2.0) == Estimate(0.9, 0.0, 1.0)
    assert stretched(Estimate(0.9), 2.0) == Estimate(0.9)


def test_the_mean_of_folds_is_not_lowered_by_scales_that_differ() -> None:
    """Each model tells the conditions apart as well as the other, on a scale of its own."""
    folds = [fold(0, 1.0), fold(1, 5.0)]
    pooled = pool("both", folds, SETTINGS).evaluation
    tests = [one.evaluation for one in folds]
    found = mean_of_folds(tests, "auroc", pooled)
    for code in (*CODES, "macro"):
        values = [(one.macro if code == "macro" else one.conditions[code].metrics)["auroc"].value for one in tests]
        assert found[code].value == pytest.approx(np.mean(values))
        assert found[code].low < found[code].value < found[code].high
