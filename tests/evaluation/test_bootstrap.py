"""The bootstrap against scikit-learn's weighted metrics, and its intervals against known populations."""

import numpy as np
import pytest
from scipy.stats import norm
from sklearn import metrics as sk

from ecgfounder_ft.evaluation import bootstrap
from ecgfounder_ft.evaluation.bootstrap import bootstrap_metrics, interval, resample_counts
from ecgfounder_ft.evaluation.evaluate import evaluate
from ecgfounder_ft.evaluation.inputs import prepare
from ecgfounder_ft.evaluation.metrics import METRICS, Estimate
from ecgfounder_ft.task import MULTI_LABEL

NAMES = list(METRICS)


def _case(seed=0, n=120, patients=40, decimals=2):
    generator = np.random.default_rng(seed)
    targets = (generator.random((n, 2)) < (0.4, 0.15)).astype(np.int8)
    probabilities = np.clip(0.3 * targets + 0.7 * generator.random((n, 2)), 0, 1).round(decimals)
    targets[:7, 1] = -1
    probabilities[9, 0] = np.nan
    groups = np.append(np.arange(patients), generator.integers(0, patients, n - patients))
    return prepare(targets, probabilities, groups, ("A", "B"), task=MULTI_LABEL)


@pytest.mark.parametrize("decimals", [1, 8])
def test_every_resample_agrees_with_scikit_learn_under_its_weights(decimals):
    data = _case(decimals=decimals)
    drawn = bootstrap_metrics(data, resamples=25, seed=3)
    (counts,) = resample_counts(40, 25, np.random.default_rng(3), 25)
    for resample, column in np.ndindex(25, 2):
        known = data.known[:, column]
        weights = counts[data.groups[known], resample]
        labels, scores = data.targets[known, column], data.probabilities[known, column]
        decisions = scores >= 0.5
        metrics = dict(zip(NAMES, drawn.conditions[resample, column], strict=True))
        given = {"sample_weight": weights}
        expected = {
            "auroc": sk.roc_auc_score(labels, scores, **given),
            "auprc": sk.average_precision_score(labels, scores, **given),
            "f1": sk.f1_score(labels, decisions, **given),
            "sensitivity": sk.recall_score(labels, decisions, **given),
            "specificity": sk.recall_score(labels, decisions, pos_label=0, **given),
            "ppv": sk.precision_score(labels, decisions, **given),
            "npv": sk.precision_score(labels, decisions, pos_label=0, **given),
            "accuracy": sk.accuracy_score(labels, decisions, **given),
            "brier": sk.brier_score_loss(labels, scores, **given),
        }
        for name, value in expected.items():
            assert metrics[name] == pytest.approx(value, abs=1e-10), name


def test_weights_of_one_give_the_metrics_of_the_whole_set(monkeypatch):
    data = _case()
    monkeypatch.setattr(bootstrap, "resample_counts", lambda patients, *_: iter([np.ones((patients, 1))]))
    drawn = bootstrap_metrics(data, resamples=1)
    whole = evaluate(data.targets, data.probabilities, data.groups, ("A", "B"), task=MULTI_LABEL, resamples=0)
    for column, code in enumerate("AB"):
        values = [whole.conditions[code].metrics[name].value for name in NAMES]
        np.testing.assert_allclose(drawn.conditions[0, column], values, atol=1e-12)
    assert drawn.accuracy[0] == pytest.approx(whole.overall["accuracy"].value)


def test_the_seed_decides_and_the_memory_at_hand_does_not(monkeypatch):
    data = _case()
    first = bootstrap_metrics(data, resamples=60, seed=1)
    monkeypatch.setattr(bootstrap, "_CHUNK_ELEMENTS", 700)
    chunked = bootstrap_metrics(data, resamples=60, seed=1)
    np.testing.assert_allclose(first.conditions, chunked.conditions, atol=1e-12)
    other = bootstrap_metrics(data, resamples=60, seed=2)
    assert not np.allclose(first.conditions, other.conditions, equal_nan=True)


def test_all_recordings_of_a_patient_are_drawn_together():
    (counts,) = resample_counts(50, 200, np.random.default_rng(0), 200)
    assert counts.shape == (50, 200)
    assert (counts.sum(axis=0) == 50).all()
    assert (counts == 0).mean() == pytest.approx((1 - 1 / 50) ** 50, abs=0.02)


def _coverage(repeats, by_patient):
    """Share of 95% intervals that hold the population's AUROC, with 1 to 5 like recordings per patient."""
    generator = np.random.default_rng(0)
    shift = 1.2
    truth = norm.cdf(shift / np.sqrt(2))
    place = NAMES.index("auroc")
    held = []
    for _ in range(repeats):
        label = generator.random(200) < 0.35
        centre = shift * label + np.sqrt(0.8) * generator.normal(size=200)
        patient = np.repeat(np.arange(200), generator.integers(1, 6, 200))
        score = centre[patient] + np.sqrt(0.2) * generator.normal(size=len(patient))
        groups = patient if by_patient else np.arange(len(patient))
        data = prepare(label[patient, None].astype(np.int8), norm.cdf(score)[:, None], groups, ("A",), task=MULTI_LABEL)
        values = bootstrap_metrics(data, resamples=200, seed=int(generator.integers(2**31))).conditions[:, 0, place]
        low, high = np.percentile(values, (2.5, 97.5))
        held.append(low <= truth <= high)
    return np.mean(held)


def test_the_95_percent_interval_covers_the_truth_about_95_percent_of_the_time():
    coverage = _coverage(repeats=300, by_patient=True)
    assert 0.915 <= coverage <= 0.985  # 0.95 within three standard errors of 300 trials
    assert _coverage(repeats=100, by_patient=False) < 0.88  # what drawing recordings instead of patients would claim


def test_interval_of_a_proportion_is_the_binomial_one():
    generator = np.random.default_rng(0)
    labels = np.ones((400, 1), dtype=np.int8)
    labels[200:] = 0
    probabilities = np.where(generator.random((400, 1)) < 0.8, 0.9, 0.1)
    result = evaluate(labels, probabilities, np.arange(400), ("A",), task=MULTI_LABEL, resamples=2000)
    sensitivity = result.conditions["A"].metrics["sensitivity"]
    half = 1.96 * np.sqrt(sensitivity.value * (1 - sensitivity.value) / 200)
    assert sensitivity.low == pytest.approx(sensitivity.value - half, abs=0.008)
    assert sensitivity.high == pytest.approx(sensitivity.value + half, abs=0.008)


def test_undefined_resamples_are_counted():
    targets = np.zeros((40, 1), dtype=np.int8)
    targets[:5] = 1
    probabilities = np.linspace(0.9, 0.1, 40)[:, None].copy()
    probabilities[2] = 0.01
    result = evaluate(targets, probabilities, np.arange(40), ("A",), task=MULTI_LABEL, resamples=2000)
    auroc = result.conditions["A"].metrics["auroc"]
    assert auroc.undefined_resamples / 2000 == pytest.approx((1 - 5 / 40) ** 40, abs=0.005)
    assert auroc.low < auroc.value < auroc.high


def test_no_interval_where_a_bootstrap_knows_none():
    estimate = Estimate(0.7)
    mostly_undefined = interval(estimate, np.array([np.nan, np.nan, 0.5]))
    assert (mostly_undefined.low, mostly_undefined.undefined_resamples) == (None, 2)
    assert mostly_undefined.reason == "no interval: undefined in 2 of 3 resamples"
    assert interval(estimate, np.full(9, 0.7)).reason == "no interval: all resamples alike"
    assert interval(Estimate(None, reason="why"), np.ones(3)) == Estimate(None, reason="why")
    few = evaluate(
        np.array([[1], [1], [0], [0], [0], [0], [0]]),
        np.array([[0.9], [0.4], [0.3], [0.6], [0.1], [0.2], [0.3]]),
        range(7),
        ("A",),
        task=MULTI_LABEL,
    ).conditions["A"]
    assert few.metrics["auroc"].reason == "no interval: 2 patients with the condition"
    assert few.metrics["specificity"].low is not None


def test_one_patient_has_metrics_and_no_interval():
    result = evaluate(
        np.array([[1], [0], [1], [0]]), np.array([[0.9], [0.2], [0.3], [0.4]]), ["p"] * 4, ("A",), task=MULTI_LABEL
    )
    assert result.macro["auroc"].value == 0.75
    assert all(metric.low is None for metric in result.conditions["A"].metrics.values())
    assert result.macro["auroc"].reason == "no interval: 1 patient"


def test_the_macro_metric_is_over_the_same_conditions_in_every_resample():
    values = np.full((3, 2, len(NAMES)), 0.5)
    values[1, 1] = np.nan
    values[2, 0] = 0.7
    defined = np.ones((2, len(NAMES)), dtype=bool)
    macro = bootstrap.Resamples(values, np.zeros(3)).macro(defined)[:, 0]
    np.testing.assert_allclose(macro, [0.5, np.nan, 0.6])


def test_the_interval_of_the_calibration_error_holds_the_estimate():
    generator = np.random.default_rng(0)
    for _ in range(10):
        probabilities = generator.random((150, 1))
        targets = (generator.random((150, 1)) < probabilities).astype(np.int8)  # calibrated: all of the error is noise
        result = evaluate(targets, probabilities, np.arange(150), ("A",), task=MULTI_LABEL, resamples=200)
        for ece in (result.conditions["A"].metrics["ece"], result.macro["ece"]):
            assert 0 <= ece.low < ece.value < ece.high
