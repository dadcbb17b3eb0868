"""Calibration slope and intercept against known distortions, an independent fit, and their coverage."""

import numpy as np
import pytest
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression

from ecgfounder_ft.evaluation.calibration_check import check_calibration


def _population(n, seed=0, slope=1.0, shift=0.0):
    generator = np.random.default_rng(seed)
    truth = expit(generator.normal(-1, 1.5, (n, 1)))
    targets = (generator.random((n, 1)) < truth).astype(np.int8)
    return targets, expit((logit(truth) - shift) / slope)


@pytest.mark.parametrize(("slope", "shift"), [(1.0, 0.0), (0.5, 0.0), (2.0, 0.0), (1.0, 0.7)])
def test_a_known_distortion_is_named(slope, shift):
    targets, given = _population(20_000, slope=slope, shift=shift)
    found = check_calibration(targets, given, np.arange(len(targets)), ("A",))["A"]
    assert found["slope"].value == pytest.approx(slope, rel=0.06)
    assert found["slope"].low < slope < found["slope"].high
    if slope == 1:
        assert found["intercept"].value == pytest.approx(shift, abs=0.06)


def test_the_slope_is_that_of_a_logistic_regression():
    targets, given = _population(200, seed=3, slope=1.7)
    found = check_calibration(targets, given, np.arange(200), ("A",))["A"]
    model = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000).fit(logit(given), targets[:, 0])
    assert found["slope"].value == pytest.approx(model.coef_[0, 0], abs=1e-4)


def test_intervals_take_patients_as_one_and_hold_the_truth():
    generator = np.random.default_rng(0)
    held = {True: 0, False: 0}
    for seed in range(150):
        targets, given = _population(120, seed=seed)
        # recordings of a patient are the same: what is known is what 120 patients tell
        targets, given = np.repeat(targets, 4, axis=0), np.repeat(given, 4, axis=0)
        for by_patient in held:
            groups = np.repeat(np.arange(120), 4) if by_patient else generator.permutation(480)
            slope = check_calibration(targets, given, groups, ("A",))["A"]["slope"]
            held[by_patient] += slope.low <= 1 <= slope.high
    assert held[True] / 150 > 0.9
    assert held[False] / 150 < 0.8


def test_what_does_not_exist_says_why():
    nothing = check_calibration(np.full((3, 1), -1), np.full((3, 1), 0.5), np.arange(3), ("A",))["A"]
    assert all(estimate.value is None and estimate.reason for estimate in nothing.values())
    absent = check_calibration(np.zeros((3, 1), dtype=int), np.full((3, 1), 0.5), np.arange(3), ("A",))["A"]
    assert absent["slope"].reason == "no recording with the condition"
    assert absent["brier"].value == 0.25
    targets = np.array([[0]] * 6 + [[1]] * 6)
    apart = check_calibration(targets, np.linspace(0.1, 0.9, 12)[:, None], np.arange(12), ("A",))["A"]
    assert apart["slope"].value is None
    assert "apart" in apart["slope"].reason
    assert apart["intercept"].low < apart["intercept"].value < apart["intercept"].high
    few = check_calibration(targets[3:], np.linspace(0.9, 0.2, 9)[:, None], np.arange(9), ("A",))["A"]
    assert few["intercept"].reason == "no interval: 3 patients of the rarer kind"
    missing = check_calibration(targets, np.where(np.arange(12) == 3, np.nan, 0.4)[:, None], np.arange(12), ("A",))
    assert missing["A"]["slope"].value is None  # one probability for all
