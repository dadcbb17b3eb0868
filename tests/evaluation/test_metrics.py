"""Metrics against scikit-learn, against hand-worked cases, and where there are none."""

import numpy as np
import pytest
from sklearn import metrics as sk

from ecgfounder_ft.evaluation import metrics


def test_metrics_agree_with_scikit_learn_on_random_cases():
    generator = np.random.default_rng(0)
    for _ in range(20):
        labels = (generator.random(200) < generator.uniform(0.1, 0.9)).astype(np.int8)
        probabilities = generator.random(200).round(2)  # with ties
        decisions = probabilities >= 0.4
        estimates = metrics.condition_estimates(labels, probabilities, decisions)
        expected = {
            "auroc": sk.roc_auc_score(labels, probabilities),
            "auprc": sk.average_precision_score(labels, probabilities),
            "f1": sk.f1_score(labels, decisions),
            "sensitivity": sk.recall_score(labels, decisions),
            "specificity": sk.recall_score(labels, decisions, pos_label=0),
            "ppv": sk.precision_score(labels, decisions),
            "npv": sk.precision_score(labels, decisions, pos_label=0),
            "accuracy": sk.accuracy_score(labels, decisions),
            "brier": sk.brier_score_loss(labels, probabilities),
        }
        for name, value in expected.items():
            assert estimates[name].value == pytest.approx(value, abs=1e-12), name


def test_every_metric_of_a_hand_worked_case():
    labels = np.array([1, 1, 0, 0, 0])
    probabilities = np.array([0.9, 0.35, 0.45, 0.1, 0.15])
    estimates = metrics.condition_estimates(labels, probabilities, probabilities >= 0.4)
    expected = {
        "auroc": 5 / 6,
        "auprc": 1 / 2 + (1 / 2) * (2 / 3),
        "f1": 0.5,
        "sensitivity": 1 / 2,
        "specificity": 2 / 3,
        "ppv": 1 / 2,
        "npv": 2 / 3,
        "accuracy": 3 / 5,
        "brier": (0.01 + 0.65**2 + 0.45**2 + 0.01 + 0.15**2) / 5,
        # bins 0.9: |0.9-1|, 0.3: |0.35-1|, 0.4: 0.45, 0.1: two recordings, 0.25 stated in all, none observed
        "ece": (0.1 + 0.65 + 0.45 + 0.25) / 5,
    }
    assert {name: estimate.value for name, estimate in estimates.items()} == pytest.approx(expected)


@pytest.mark.parametrize(
    ("labels", "undefined"),
    [
        ([0, 0, 0], {"auroc", "auprc", "f1", "sensitivity"}),
        ([1, 1, 1], {"auroc", "auprc", "specificity"}),
        ([], set(metrics.METRICS)),
    ],
)
def test_a_metric_that_does_not_exist_is_none_with_a_reason(labels, undefined):
    labels = np.array(labels, dtype=int)
    probabilities = np.linspace(0.2, 0.8, len(labels))
    estimates = metrics.condition_estimates(labels, probabilities, probabilities >= 0.5)
    assert {name for name, estimate in estimates.items() if estimate.value is None} == undefined
    assert all(estimates[name].reason for name in undefined)


def test_predictive_values_need_decisions_of_their_kind():
    labels, probabilities = np.array([0, 1]), np.array([0.2, 0.3])
    none_positive = metrics.condition_estimates(labels, probabilities, np.array([False, False]))
    assert none_positive["ppv"].value is None
    assert none_positive["ppv"].reason == metrics.NO_POSITIVE_DECISIONS
    assert none_positive["f1"].value == 0.0
    all_positive = metrics.condition_estimates(labels, probabilities, np.array([True, True]))
    assert all_positive["npv"].reason == metrics.NO_NEGATIVE_DECISIONS


def test_macro_names_the_conditions_it_goes_without():
    macro = metrics.macro_estimate(
        {"AFIB": metrics.Estimate(0.8), "AFLT": metrics.Estimate(None), "RBBB": metrics.Estimate(0.6)}
    )
    assert macro.value == pytest.approx(0.7)
    assert macro.reason == "mean of 2 of 3 conditions, without AFLT"
    assert metrics.macro_estimate({"AFIB": metrics.Estimate(None)}).value is None


def test_probability_one_falls_into_the_last_calibration_bin():
    assert metrics.calibration_bin(np.array([0.0, 0.1, 0.95, 1.0])).tolist() == [0, 1, 9, 9]
