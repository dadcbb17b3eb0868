"""Calibration recovers known distortions, survives JSON and refuses to invent."""

import json

import numpy as np
import pytest
from scipy.special import expit, logit, softmax

from ecgfounder_ft.evaluation.calibration import Calibration, fit_calibration
from ecgfounder_ft.task import MULTI_LABEL, SINGLE_LABEL


def _multi_label(n=6000, seed=0):
    """True probabilities and labels drawn from them."""
    generator = np.random.default_rng(seed)
    truth = expit(generator.normal(-1, 1.5, (n, 2)))
    return truth, (generator.random((n, 2)) < truth).astype(np.int8)


def test_temperature_undoes_overconfidence():
    truth, targets = _multi_label()
    calibration = fit_calibration(targets, expit(3.0 * logit(truth)), ("A", "B"), task=MULTI_LABEL)
    assert calibration.temperature == pytest.approx(3.0, rel=0.08)
    np.testing.assert_allclose(calibration.apply(expit(3.0 * logit(truth))), truth, atol=0.03)
    assert calibration.ece_after["A"] < 0.3 * calibration.ece_before["A"]


def test_platt_undoes_a_shift_of_each_condition():
    truth, targets = _multi_label()
    distorted = expit(logit(truth) * (2.0, 0.5) + (1.0, -1.5))
    calibration = fit_calibration(targets, distorted, ("A", "B"), task=MULTI_LABEL, method="platt")
    assert calibration.slopes == pytest.approx([0.5, 2.0], rel=0.1)
    assert calibration.intercepts == pytest.approx([-0.5, 3.0], abs=0.3)
    np.testing.assert_allclose(calibration.apply(distorted), truth, atol=0.05)


@pytest.mark.parametrize("method", ["temperature", "platt"])
def test_single_label_stays_a_distribution(method):
    generator = np.random.default_rng(1)
    scores = generator.normal(0, 1.5, (4000, 3))
    truth = softmax(scores, axis=1)
    targets = np.array([generator.multinomial(1, row) for row in truth], dtype=np.int8)
    distorted = softmax(2.5 * scores, axis=1)
    calibration = fit_calibration(targets, distorted, ("A", "B", "C"), task=SINGLE_LABEL, method=method)
    calibrated = calibration.apply(distorted)
    np.testing.assert_allclose(calibrated.sum(axis=1), 1.0)
    assert np.abs(calibrated - truth).mean() < 0.35 * np.abs(distorted - truth).mean()


def test_unknown_labels_and_missing_probabilities_do_not_count():
    truth, targets = _multi_label(n=2000)
    reference = fit_calibration(targets, truth**2, ("A", "B"), task=MULTI_LABEL, method="platt")
    padded = np.concatenate([targets, np.full((500, 2), -1, dtype=np.int8), np.ones((5, 2), dtype=np.int8)])
    given = np.concatenate([truth**2, np.full((500, 2), 0.99), np.full((5, 2), np.nan)])
    other = fit_calibration(padded, given, ("A", "B"), task=MULTI_LABEL, method="platt")
    assert other.slopes == pytest.approx(reference.slopes, rel=1e-6)
    assert np.isnan(other.apply(given)[-1]).all()


def test_separable_labels_give_finite_parameters():
    targets = np.repeat([[0], [1]], 30, axis=0).astype(np.int8)
    calibration = fit_calibration(targets, np.where(targets == 1, 0.9, 0.2), ("A",), task=MULTI_LABEL, method="platt")
    assert 0 < calibration.slopes[0] < 100
    assert 0.9 < calibration.apply(np.array([[0.9]]))[0, 0] < 1.0


def test_a_condition_too_rare_to_fit_is_left_alone_and_named():
    generator = np.random.default_rng(0)
    targets = np.zeros((100, 2), dtype=np.int8)
    targets[:40, 0] = 1
    targets[:3, 1] = 1
    probabilities = np.clip(generator.random((100, 2)) * 0.6 + 0.3 * targets, 0, 1)
    calibration = fit_calibration(targets, probabilities, ("A", "B"), task=MULTI_LABEL, method="platt")
    assert (calibration.slopes[1], calibration.intercepts[1]) == (1.0, 0.0)
    assert calibration.notes == {"B": "3 with and 97 without in validation, fewer than 10"}
    np.testing.assert_allclose(calibration.apply(probabilities)[:, 1], probabilities[:, 1], atol=1e-6)


def test_a_ranking_is_never_turned_round():
    generator = np.random.default_rng(0)
    targets = (generator.random((200, 1)) < 0.5).astype(np.int8)
    calibration = fit_calibration(targets, np.where(targets == 1, 0.2, 0.8), ("A",), task=MULTI_LABEL, method="platt")
    assert calibration.notes == {"A": "probabilities do not rise with the condition"}


def test_nothing_to_fit_on_leaves_everything():
    calibration = fit_calibration(np.full((4, 1), -1), np.full((4, 1), 0.3), ("A",), task=MULTI_LABEL)
    assert calibration.method == "none"
    assert "all" in calibration.notes
    assert calibration.ece_before == {"A": None}


@pytest.mark.parametrize("method", ["none", "temperature", "platt"])
def test_survives_json(method):
    truth, targets = _multi_label(n=300)
    calibration = fit_calibration(targets, truth**2, ("A", "B"), task=MULTI_LABEL, method=method)
    again = Calibration.from_dict(json.loads(json.dumps(calibration.to_dict(), allow_nan=False)))
    assert again == calibration
    np.testing.assert_array_equal(again.apply(truth), calibration.apply(truth))


def test_bad_content_is_refused():
    with pytest.raises(ValueError, match="expected one of none, temperature, platt"):
        fit_calibration(np.zeros((1, 1)), np.zeros((1, 1)), ("A",), task=MULTI_LABEL, method="isotonic")
    with pytest.raises(ValueError, match="'temperature' without its parameters"):
        Calibration.from_dict({"method": "temperature", "task": "multi_label", "codes": ["A"]})
    with pytest.raises(ValueError, match="calibrated were 1 conditions"):
        Calibration("none", "multi_label", ["A"]).apply(np.zeros((2, 2)))


@pytest.mark.parametrize("task", [SINGLE_LABEL, MULTI_LABEL])
def test_a_faultless_small_validation_does_not_make_the_model_certain(task):
    targets = np.eye(2, dtype=np.int8)[np.arange(16) % 2]
    probabilities = np.where(targets == 1, 0.7, 0.3)
    calibration = fit_calibration(targets, probabilities, ("A", "B"), task=task)
    assert 0.7 < calibration.apply(probabilities).max() < 0.96
