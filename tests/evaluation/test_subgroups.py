"""Subgroups: who is in them, and that their metrics are those of their recordings alone."""

import numpy as np
import pytest

from ecgfounder_ft.evaluation.evaluate import evaluate, evaluate_input
from ecgfounder_ft.evaluation.inputs import prepare
from ecgfounder_ft.evaluation.subgroups import (
    by_age,
    by_condition,
    by_flag,
    by_value,
    evaluate_subgroups,
    multiplicity,
)
from ecgfounder_ft.task import MULTI_LABEL, SINGLE_LABEL


def _case(n=200):
    generator = np.random.default_rng(0)
    targets = (generator.random((n, 2)) < (0.4, 0.2)).astype(np.int8)
    probabilities = np.clip(0.3 * targets + 0.7 * generator.random((n, 2)), 0, 1)
    return targets, probabilities, np.arange(n) // 2


def test_metrics_of_a_subgroup_are_those_of_its_recordings():
    targets, probabilities, groups = _case()
    data = prepare(targets, probabilities, groups, ("A", "B"), task=MULTI_LABEL, thresholds={"A": 0.4})
    sources = np.where(np.arange(200) < 120, "x", "y")
    results = evaluate_subgroups(data, by_value("source", sources), resamples=50, seed=1)
    assert [(r.value, r.n, r.patients) for r in results] == [("x", 120, 60), ("y", 80, 40)]
    alone = evaluate(
        targets[120:], probabilities[120:], groups[120:], ("A", "B"), task=MULTI_LABEL, thresholds={"A": 0.4},
        resamples=50, seed=1,
    )  # fmt: skip
    assert results[1].evaluation.conditions == alone.conditions
    assert results[1].metric("A", "auroc") == alone.conditions["A"].metrics["auroc"]


def test_masks_are_over_the_recordings_given_even_where_some_were_left_out():
    targets = np.eye(2, dtype=np.int8)[np.arange(60) % 2]
    targets[:20] = 1  # two conditions present: left out of a single-label evaluation
    data = prepare(targets, np.full((60, 2), 0.5), np.arange(60), ("A", "B"), task=SINGLE_LABEL)
    (result,) = evaluate_subgroups(data, by_value("source", ["x"] * 30 + ["y"] * 30)[:1], resamples=0)
    assert (result.value, result.n) == ("x", 10)


def test_groups_too_small_to_say_are_said_to_be():
    targets, probabilities, groups = _case()
    targets[:50, 1] = 0
    targets[[0, 2, 10, 12], 1] = 1
    data = prepare(targets, probabilities, groups, ("A", "B"), task=MULTI_LABEL)
    first, second = evaluate_subgroups(
        data, by_value("x", ["few"] * 8 + ["many"] * 42 + ["rest"] * 150)[:2], resamples=0
    )
    assert first.evaluation is None
    assert first.metric("A", "auroc").reason == "too few: 4 patients"
    assert second.metric("A", "auroc").value is not None
    assert second.metric("B", "auroc").reason == "too few: 2 patients with the condition"


def test_values_ages_company_and_flags():
    values = by_value("sex", ["male", "", "female", None, float("nan"), "male"])
    assert [(g.value, int(g.rows.sum())) for g in values] == [("female", 1), ("male", 2), ("not stated", 3)]
    ages = by_age([17.9, 18, 39.5, 40, 59, 60, 79, 80, 300, np.nan, -1])
    assert [(g.value, int(g.rows.sum())) for g in ages] == [
        ("under 18", 1), ("18 to 39", 2), ("40 to 59", 2), ("60 to 79", 2), ("80 and over", 2), ("not stated", 2),
    ]  # fmt: skip
    assert by_condition(np.array([[1, 0], [0, 1], [0, -1]]), ("A", "B")) == []  # each stands alone
    company = by_condition(np.array([[1, 0, 0], [1, 1, 0], [-1, 0, 0]]), ("A", "B", "C"))
    assert [(g.value, g.rows.tolist()) for g in company] == [
        ("A", [True, True, False]),
        ("B", [False, True, False]),
    ]
    flags = by_flag({"flat lead": [True, False, False], "missing samples": [False, False, False]})
    assert [(g.value, g.rows.tolist()) for g in flags] == [
        ("flat lead", [True, False, False]),
        ("no flag", [False, True, True]),
    ]
    assert by_flag({"flat lead": [False, False]}) == []


def test_in_its_own_company_a_condition_has_no_auroc():
    targets, probabilities, groups = _case()
    data = prepare(targets, probabilities, groups, ("A", "B"), task=MULTI_LABEL)
    result = evaluate_subgroups(data, by_condition(targets, ("A", "B"))[:1], resamples=0)[0]
    assert result.metric("A", "auroc").value is None
    assert result.metric("A", "sensitivity").value is not None
    assert result.metric("B", "auroc").value is not None


def test_every_subgroup_that_is_told_has_an_interval():
    targets, probabilities, groups = _case()
    data = prepare(targets, probabilities, groups, ("A", "B"), task=MULTI_LABEL)
    results = evaluate_subgroups(data, by_value("source", np.where(np.arange(200) < 120, "x", "y")), resamples=50)
    for name in ("auroc", "sensitivity", "specificity"):
        for result in results:
            estimate = result.metric("A", name)
            assert estimate.low <= estimate.value <= estimate.high


def test_comparisons_are_counted_and_so_are_the_intervals_without_the_whole_sets_value():
    targets, probabilities, groups = _case()
    odd = np.arange(200) < 60
    probabilities[odd] = 1 - probabilities[odd]  # a group in which everything is the wrong way round
    data = prepare(targets, probabilities, groups, ("A", "B"), task=MULTI_LABEL)
    whole = evaluate_input(data, resamples=50)
    results = evaluate_subgroups(data, by_value("source", np.where(odd, "x", "y")), resamples=50)
    found = multiplicity(results, whole, "auroc")
    assert found.comparisons == 4
    assert found.expected == pytest.approx(0.2)
    assert found.outside >= 2
    untold = multiplicity(evaluate_subgroups(data, by_value("s", ["x"] * 200), resamples=0), whole, "auroc")
    assert (untold.comparisons, untold.outside, untold.expected) == (0, 0, 0)
