"""Intervals: exact ones against their definitions, the others by how often they hold the truth with few patients."""

import numpy as np
import pytest
from scipy.stats import binom, norm

from ecgfounder_ft.evaluation.auroc_variance import auroc_influences, auroc_variance
from ecgfounder_ft.evaluation.bootstrap import bootstrap_metrics, interval
from ecgfounder_ft.evaluation.comparison import compare
from ecgfounder_ft.evaluation.evaluate import evaluate, evaluate_input
from ecgfounder_ft.evaluation.inputs import prepare
from ecgfounder_ft.evaluation.intervals import (
    AurocStudy,
    clopper_pearson,
    effective_trials,
    mean_interval,
    proportion_interval,
    wilson_interval,
)
from ecgfounder_ft.evaluation.metrics import METRICS
from ecgfounder_ft.task import MULTI_LABEL, SINGLE_LABEL

AUROC = list(METRICS).index("auroc")


def _study(generator, positives, negatives, auroc, several=False):
    """One condition: label (n,), probability (n,), patient (n,)."""
    has = np.repeat([True, False], [positives, negatives])
    patient = np.repeat(np.arange(len(has)), generator.integers(1, 5, len(has)) if several else 1)
    noise = generator.normal(size=len(has))[patient]
    if several:
        noise = np.sqrt(0.8) * noise + np.sqrt(0.2) * generator.normal(size=len(patient))
    label = has[patient]
    return label, norm.cdf(norm.ppf(auroc) * np.sqrt(2) * label + noise), patient


def _prepared(label, probability, patient):
    return prepare(label[:, None].astype(np.int8), probability[:, None], patient, ("A",), task=MULTI_LABEL)


@pytest.mark.parametrize(
    ("positives", "auroc", "several", "widest"),
    [(5, 0.85, False, 0.39), (5, 0.99, True, 0.30), (8, 0.95, True, 0.215), (15, 0.95, False, 0.15)],
)
def test_auroc_of_few_patients_is_held_where_percentiles_lose_it(positives, auroc, several, widest):
    generator = np.random.default_rng(positives)
    held = {"given": 0, "percentile": 0}
    studies, width = 150, 0.0
    for seed in range(studies):
        data = _prepared(*_study(generator, positives, 60, auroc, several))
        given = evaluate_input(data, resamples=200, seed=seed).conditions["A"].metrics["auroc"]
        percentile = interval(given, bootstrap_metrics(data, resamples=200, seed=seed).conditions[:, 0, AUROC])
        for name, found in (("given", given), ("percentile", percentile)):
            held[name] += found.low is not None and found.low <= auroc <= found.high
        width += (given.high - given.low) / studies
    assert held["given"] / studies >= 0.93
    assert width < widest, "no wider than that takes"
    assert held["percentile"] / studies < 0.9


def test_an_interval_of_many_patients_is_about_that_of_the_percentiles():
    data = _prepared(*_study(np.random.default_rng(0), 400, 1600, 0.85))
    given = evaluate_input(data, resamples=1000).conditions["A"].metrics["auroc"]
    low, high = np.percentile(bootstrap_metrics(data, resamples=1000).conditions[:, 0, AUROC], (2.5, 97.5))
    assert given.method == "score"
    assert given.low == pytest.approx(low, abs=0.004)
    assert given.high == pytest.approx(high, abs=0.004)


def test_a_perfect_area_has_a_bound():
    targets = np.repeat([[1], [0]], [8, 40], axis=0)
    probabilities = np.where(targets == 1, 0.9, np.linspace(0.1, 0.8, 48)[:, None])
    metrics = (
        evaluate(targets, probabilities, np.arange(48), ("A",), task=MULTI_LABEL, resamples=50).conditions["A"].metrics
    )
    auroc = metrics["auroc"]
    assert (auroc.value, auroc.high, auroc.method) == (1.0, 1.0, "bound")
    assert auroc.low == pytest.approx(0.05 ** (1 / 8))
    assert auroc.reason == "one-sided 95% bound, for 8 patients of the rarer kind show no error"
    assert metrics["auprc"].method == "bound"
    assert metrics["sensitivity"].low == pytest.approx(0.025 ** (1 / 8))  # binomial, with eight of eight
    reversed_ = evaluate(targets, 1 - probabilities, np.arange(48), ("A",), task=MULTI_LABEL, resamples=50)
    assert reversed_.conditions["A"].metrics["auroc"].high == pytest.approx(1 - 0.05 ** (1 / 8))


@pytest.mark.parametrize(("hits", "trials"), [(0, 7), (3, 7), (7, 7), (29, 44)])
def test_clopper_pearson_leaves_the_tails_of_a_binomial_distribution(hits, trials):
    low, high = clopper_pearson(hits, trials, 0.95)
    if hits:
        assert binom.sf(hits - 1, trials, low) == pytest.approx(0.025)
    if hits < trials:
        assert binom.cdf(hits, trials, high) == pytest.approx(0.025)


def test_a_proportion_of_patients_with_one_recording_each_is_binomial():
    targets = np.repeat([[1], [0]], [20, 60], axis=0)
    probabilities = np.full((80, 1), 0.1)
    probabilities[:17] = 0.9
    probabilities[20:26] = 0.9
    metrics = (
        evaluate(targets, probabilities, np.arange(80), ("A",), task=MULTI_LABEL, resamples=50).conditions["A"].metrics
    )
    for name, hits, trials in (("sensitivity", 17, 20), ("specificity", 54, 60), ("ppv", 17, 23), ("npv", 54, 57),
                               ("accuracy", 71, 80)):  # fmt: skip
        assert (metrics[name].low, metrics[name].high) == clopper_pearson(hits, trials, 0.95)
        assert metrics[name].method == "proportion"
    # 2 F / (1 + F) of F = TP / (TP + FP + FN)
    low, high = clopper_pearson(17, 26, 0.95)
    assert metrics["f1"].low == pytest.approx(2 * low / (1 + low))
    assert metrics["f1"].high == pytest.approx(2 * high / (1 + high))
    assert metrics["f1"].low < metrics["f1"].value < metrics["f1"].high


def test_copies_of_a_recording_tell_no_more_than_the_recording():
    hits = np.repeat([1.0, 0.0], [30, 10])
    once, copied = (proportion_interval(times * hits, np.full(40, times), 0.95) for times in (1.0, 5.0))
    assert copied == pytest.approx(once, abs=0.01)
    assert effective_trials(5 * hits, np.full(40, 5.0), 0.95) == pytest.approx(40, rel=0.1)
    assert effective_trials(np.full(40, 5.0), np.full(40, 5.0), 0.95) == 40  # all of them hits
    independent = np.random.default_rng(0).binomial(5, 0.75, 400).astype(float)
    assert effective_trials(independent, np.full(400, 5.0), 0.95) > 1500


@pytest.mark.parametrize("alike", [0.0, 0.9])
def test_a_proportion_of_patients_with_several_recordings_is_held(alike):
    generator = np.random.default_rng(0)
    held = {"by patient": 0, "by recording": 0}
    for _ in range(300):
        sizes = generator.integers(1, 9, 25)
        patient = np.repeat(np.arange(25), sizes)
        own, shared = generator.normal(size=len(patient)), generator.normal(size=25)[patient]
        hit = np.sqrt(alike) * shared + np.sqrt(1 - alike) * own < norm.ppf(0.8)
        low, high = proportion_interval(np.bincount(patient, weights=hit), sizes.astype(float), 0.95)
        held["by patient"] += low <= 0.8 <= high
        low, high = clopper_pearson(hit.sum(), len(hit), 0.95)
        held["by recording"] += low <= 0.8 <= high
    assert held["by patient"] / 300 >= 0.93
    if alike:
        assert held["by recording"] / 300 < 0.8


def test_score_intervals_solve_their_equations():
    low, high = AurocStudy(0.8, 0.01, 12, 40).solved(norm.ppf(0.975) ** 2)
    for end in (low, high):
        evened = (12 + 40) / 2 - 1
        variance = end * (1 - end) * (1 + evened * (1 - end) / (2 - end) + evened * end / (1 + end)) / (12 * 40)
        assert abs(0.8 - end) == pytest.approx(norm.ppf(0.975) * np.sqrt(variance))
    low, high = wilson_interval(0.3, 20, 0.95)
    for end in (low, high):
        assert abs(0.3 - end) == pytest.approx(norm.ppf(0.975) * np.sqrt(end * (1 - end) / 20))
    assert AurocStudy(0.5, 0.1, 1, 1).interval(0.95) == (0, 1)


def test_a_mean_of_independent_estimates_adds_their_distances_as_variances():
    values, limits = np.array([0.9, 0.8]), np.array([[0.6, 0.95], [0.4, 0.9]])
    apart = np.random.default_rng(0).normal(size=(20_000, 2))
    low, high = mean_interval(values, limits, apart)
    assert low == pytest.approx(0.85 - np.hypot(0.3, 0.4) / 2, abs=0.01)
    assert high == pytest.approx(0.85 + np.hypot(0.05, 0.1) / 2, abs=0.01)
    together = np.repeat(apart[:, :1], 2, axis=1)
    assert mean_interval(values, limits, together)[0] == pytest.approx(0.85 - (0.3 + 0.4) / 2)
    assert mean_interval(values, limits, np.full((9, 2), 0.5)) == pytest.approx((0.6, 0.85 + np.hypot(0.05, 0.1) / 2))


def test_the_mean_over_rare_conditions_is_held():
    generator = np.random.default_rng(1)
    held = {"given": 0, "percentile": 0}
    truth = 0.95
    for seed in range(100):
        parts = [_study(generator, 5, 60, 0.95), _study(generator, 8, 60, 0.95)]
        sizes = [len(part[0]) for part in parts]
        targets, probabilities = np.full((sum(sizes), 2), -1, dtype=np.int8), np.full((sum(sizes), 2), 0.5)
        for column, rows in enumerate((slice(0, sizes[0]), slice(sizes[0], None))):
            targets[rows, column], probabilities[rows, column] = parts[column][:2]
        data = prepare(targets, probabilities, np.arange(sum(sizes)), ("A", "B"), task=MULTI_LABEL)
        given = evaluate_input(data, resamples=200, seed=seed).macro["auroc"]
        means = bootstrap_metrics(data, resamples=200, seed=seed).macro(np.ones((2, len(METRICS)), dtype=bool))
        for name, found in (("given", given), ("percentile", interval(given, means[:, AUROC]))):
            held[name] += found.low <= truth <= found.high
    assert given.method == "mean"
    assert held["given"] >= 93
    assert held["percentile"] < 90


def test_a_macro_metric_says_what_rests_on_few_patients():
    generator = np.random.default_rng(0)
    targets = np.zeros((200, 3), dtype=np.int8)
    for column, positives in enumerate((60, 7, 3)):
        targets[:positives, column] = 1
    probabilities = np.clip(0.4 * targets + 0.6 * generator.random((200, 3)), 0, 1)
    result = evaluate(targets, probabilities, np.arange(200), ("A", "B", "C"), task=MULTI_LABEL, resamples=100)
    auroc = result.macro["auroc"]
    alone = result.conditions["A"].metrics["auroc"].value
    assert auroc.reason == (
        "2 of the 3 conditions in this mean have fewer than 10 patients: B (7 patients), C (3 patients); "
        f"{alone:.3f} without them"
    )
    assert result.conditions["C"].metrics["auroc"].low is None  # no interval of its own, but it widens the mean's
    without = evaluate(
        targets[:, :2], probabilities[:, :2], np.arange(200), ("A", "B"), task=MULTI_LABEL, resamples=100
    )
    assert auroc.high - auroc.low > without.macro["auroc"].high - without.macro["auroc"].low
    assert result.macro["specificity"].reason == ""


def test_whole_recordings_decided_right_are_a_proportion():
    targets = np.eye(2, dtype=np.int8)[np.arange(30) % 2]
    probabilities = np.where(targets == 1, 0.8, 0.2)
    probabilities[:4] = probabilities[:4, ::-1]
    accuracy = evaluate(targets, probabilities, np.arange(30), ("A", "B"), task=SINGLE_LABEL, resamples=50).overall
    assert (accuracy["accuracy"].low, accuracy["accuracy"].high) == clopper_pearson(26, 30, 0.95)


def test_a_difference_of_two_models_is_held_with_few_patients():
    generator = np.random.default_rng(3)
    held = {"given": 0, "percentile": 0}
    for seed in range(120):
        label, first, patient = _study(generator, 5, 40, 0.9)
        second = norm.cdf(0.7 * norm.ppf(first) + 0.7 * generator.normal(size=len(label)))
        distance = norm.ppf(0.9) * np.sqrt(2)
        truth = norm.cdf(0.7 * distance / np.sqrt(2 * (0.49 + 0.49))) - 0.9
        one, other = _prepared(label, first, patient), _prepared(label, second, patient)
        given = compare(one, other, resamples=300, seed=seed).conditions["A"]["auroc"]
        drawn = [bootstrap_metrics(data, resamples=300, seed=seed).conditions[:, 0, AUROC] for data in (one, other)]
        for name, found in (("given", given), ("percentile", interval(given, drawn[1] - drawn[0]))):
            held[name] += found.low <= truth <= found.high
    assert held["given"] > held["percentile"]
    assert held["given"] / 120 >= 0.91


def test_the_variance_of_an_auroc_is_that_of_its_placements():
    """By hand: two positives placed 1 and 0.5, three negatives placed 1, 1 and 0.5."""
    labels = np.array([True, True, False, False, False])
    scores = np.array([0.9, 0.4, 0.1, 0.2, 0.4])
    auroc, variance = auroc_variance(labels, scores, np.arange(5))
    positive, negative = np.array([1.0, 2.5 / 3]), np.array([1.0, 1.0, 0.75])
    assert auroc == pytest.approx(positive.mean())
    assert variance == pytest.approx(positive.var(ddof=1) / 2 + negative.var(ddof=1) / 3)
    copied = auroc_variance(np.repeat(labels, 3), np.repeat(scores, 3), np.repeat(np.arange(5), 3))
    assert copied == pytest.approx((auroc, variance)), "copies of a patient's recordings tell nothing more"
    together, influences = auroc_influences(labels, np.stack([scores, -scores]), np.arange(5))
    assert together == pytest.approx([auroc, 1 - auroc])
    assert influences[1] == pytest.approx(-influences[0])
