"""Net benefit: against counting by hand, and what it says where it cannot be told."""

from fractions import Fraction

import numpy as np
import pytest

from ecgfounder_ft.evaluation.inputs import prepare
from ecgfounder_ft.evaluation.intervals import expanded_tail
from ecgfounder_ft.evaluation.net_benefit import POINTS, NetBenefit, net_benefit
from ecgfounder_ft.evaluation.settings import EvaluationSettingsError
from ecgfounder_ft.task import MULTI_LABEL
from tests.settings import evaluation_settings

CODES = ("NORM", "AFIB", "RBBB")
LIMITS = (0.01, 0.9)


def _study(n=300, patients=120, skill=2.0):
    generator = np.random.default_rng(3)
    targets = (generator.random((n, 3)) < (0.4, 0.15, 0.0)).astype(np.int8)
    targets[:7, 1] = -1
    given = 1 / (1 + np.exp(-(skill * (targets - 0.7) + generator.normal(size=(n, 3)))))
    given[11, 0] = np.nan
    given[20:30, 0] = np.linspace(*LIMITS, POINTS)[20]  # exactly at a threshold
    return prepare(targets, given, generator.integers(0, patients, n), CODES, task=MULTI_LABEL), given


def _by_hand(labels, probabilities, threshold, weights):
    """Standardised net benefit by counting recordings one by one, in exact fractions."""
    positives = hits = alarms = Fraction(0)
    for label, probability, weight in zip(labels, probabilities, weights, strict=True):
        positives += int(label) * int(weight)
        hits += int(label) * int(weight) * (probability >= threshold)
        alarms += (1 - int(label)) * int(weight) * (probability >= threshold)
    exact = Fraction(float(threshold))
    return float(hits / positives - alarms / positives * exact / (1 - exact))


def test_curves_are_what_counting_by_hand_gives():
    data, given = _study()
    found = net_benefit(data, given**2, LIMITS, resamples=0, seed=0)
    for column, code in enumerate(("NORM", "AFIB")):
        known = data.known[:, column]
        labels, curve, once = data.targets[known, column], found[code], np.ones(known.sum())
        for place, threshold in enumerate(np.linspace(*LIMITS, POINTS)):
            expected = _by_hand(labels, data.probabilities[known, column], threshold, once)
            assert curve.calibrated[place] == pytest.approx(expected, abs=1e-12)
            expected = _by_hand(labels, given[known, column] ** 2, threshold, once)
            assert curve.uncalibrated[place] == pytest.approx(expected, abs=1e-12)
            everybody = _by_hand(labels, once, threshold, once)
            assert curve.treat_all[place] == pytest.approx(everybody, abs=1e-12)
            assert curve.gain[place] == pytest.approx(curve.calibrated[place] - max(everybody, 0), abs=1e-12)


def test_the_band_is_that_of_resampled_patients():
    data, given = _study()
    curve = net_benefit(data, given, LIMITS, resamples=60, seed=5)["AFIB"]
    patients = int(data.groups.max()) + 1
    drawn = np.random.default_rng(5).integers(0, patients, (60, patients))
    known, place = data.known[:, 1], 12
    labels, given, groups = data.targets[known, 1], data.probabilities[known, 1], data.groups[known]
    resampled = [
        _by_hand(labels, given, curve.thresholds[place], np.bincount(row, minlength=patients)[groups]) for row in drawn
    ]
    tail = 100 * expanded_tail(len(np.unique(groups[labels == 1])), 0.95)
    expected = np.percentile(resampled, (tail, 100 - tail))
    assert [curve.low[place], curve.high[place]] == pytest.approx(expected, abs=1e-12)
    assert curve.low[place] < curve.calibrated[place] < curve.high[place]


def test_a_model_without_an_error_has_1_and_one_that_knows_nothing_is_never_better():
    generator = np.random.default_rng(0)
    labels = (generator.random((400, 2)) < 0.3).astype(np.int8)
    given = np.column_stack([np.where(labels[:, 0], 0.95, 0.001), generator.permutation(labels[:, 1]) * 0.8 + 0.1])
    data = prepare(labels, given, np.arange(400), CODES[:2], task=MULTI_LABEL)
    found = net_benefit(data, given, LIMITS, resamples=200, seed=0)
    assert found["NORM"].calibrated == pytest.approx([1.0] * POINTS)
    assert found["NORM"].useful == [(pytest.approx(0.01), pytest.approx(0.9))]
    assert found["AFIB"].useful == []


def test_what_cannot_be_told_is_said():
    data, given = _study()
    found = net_benefit(data, given, LIMITS, resamples=20, seed=0)
    assert (found["RBBB"].calibrated, found["RBBB"].reason) == ([], "no recording with the condition")
    few = data.select(np.flatnonzero(np.cumsum(data.targets[:, 1] == 1) <= 3))
    told = net_benefit(few, given[few.kept], LIMITS, resamples=20, seed=0)["AFIB"]
    assert told.low == []
    assert told.reason == "no band: 3 patients of the rarer kind"


def test_stretches_where_the_model_is_better():
    curve = NetBenefit([0.1, 0.2, 0.3, 0.4], 0.5, [], [], [], [], [], [], [-1.0, 0.1, 0.2, 0.0])
    assert curve.useful == [(0.2, 0.3)]


@pytest.mark.parametrize("limits", [[0.0, 0.5], [0.5, 0.1], [0.1, 1.0], [0.1]])
def test_impossible_limits_are_refused(limits):
    with pytest.raises(EvaluationSettingsError, match="net_benefit_thresholds"):
        evaluation_settings(net_benefit_thresholds=limits)
