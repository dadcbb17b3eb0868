"""Conformal sets: they err as seldom as stated, and say where they cannot be made."""

import numpy as np
import pytest

from benchmarks.conformal import simulate
from ecgfounder_ft.evaluation.conformal import conformal_cuts, evaluate_sets
from ecgfounder_ft.evaluation.inputs import prepare
from ecgfounder_ft.evaluation.settings import EvaluationSettingsError
from ecgfounder_ft.task import MULTI_LABEL
from tests.settings import evaluation_settings


def _cuts(present, absent, groups=None, rate=0.25, seed=0):
    given = np.array([*present, *absent])[:, None]
    targets = np.array([1] * len(present) + [0] * len(absent))[:, None]
    patients = np.arange(len(given)) if groups is None else np.array(groups)
    return conformal_cuts(targets, given, patients, ["AFIB"], error_rate=rate, seed=seed)


def test_cuts_are_the_ranks_of_the_formula():
    cuts = _cuts([0.9, 0.4, 0.8], [0.3, 0.1, 0.2, 0.6, 0.5, 0.05, 0.15])  # ranks 1 of 3 and 2 of 7
    assert cuts.present_from == {"AFIB": pytest.approx(0.4)}
    assert cuts.absent_to == {"AFIB": pytest.approx(0.5)}
    assert cuts.decisions(np.array([0.39, 0.4, 0.5, 0.51, np.nan]), "AFIB").tolist() == [0, -1, -1, 1, -1]


def test_where_both_are_ruled_out_it_is_undecided():
    cuts = _cuts([0.9, 0.8, 0.95], [0.1, 0.2, 0.3])
    assert cuts.decisions(np.array([0.3, 0.5, 0.8]), "AFIB").tolist() == [0, -1, 1]


def test_a_patient_counts_once_and_too_few_are_said():
    cuts = _cuts([0.9, 0.8, 0.7], [0.1, 0.2, 0.3], groups=["a", "a", "b", "c", "d", "e"])
    assert cuts.present_from == {}
    assert cuts.notes == {"AFIB": "no sets: 2 patients with it in validation, and an error rate of 0.25 needs 3"}


def test_coverage_and_undecided_are_counted():
    cuts = _cuts([0.9, 0.4, 0.8], [0.3, 0.1, 0.2, 0.6, 0.5, 0.05, 0.15])
    targets = np.array([[1], [1], [1], [1], [1], [0], [0], [0], [-1]])
    given = np.array([0.9, 0.8, 0.45, 0.2, 0.7, 0.1, 0.45, 0.9, 0.9])[:, None]
    data = prepare(targets, given, np.arange(9), ["AFIB"], task=MULTI_LABEL)
    found = evaluate_sets(cuts, data).conditions["AFIB"]
    assert found["coverage_with"].value == pytest.approx(4 / 5)
    assert found["coverage_with"].low < 0.8 < found["coverage_with"].high
    assert found["coverage_without"].value == pytest.approx(2 / 3)
    assert found["coverage_without"].reason == "no interval: 3 patients"
    assert found["undecided"].value == pytest.approx(2 / 8)


@pytest.mark.parametrize("clustered", [False, True])
def test_sets_hold_the_truth_as_often_as_stated(clustered):
    row = simulate(positives=20, error_rate=0.1, clustered=clustered, studies=200, seed=1)
    assert abs(row.coverage_with - 0.9) < 0.02
    assert abs(row.coverage_without - 0.9) < 0.02


@pytest.mark.parametrize("rate", [0.0, 0.5, -0.1])
def test_impossible_rates_are_refused(rate):
    with pytest.raises(EvaluationSettingsError, match="error_rate"):
        evaluation_settings(error_rate=rate)
