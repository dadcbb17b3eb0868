"""Paired comparison: refusal of unlike sets, and differences that a pairing sees and two intervals do not."""

import numpy as np
import pytest
from scipy.stats import binomtest

from ecgfounder_ft.evaluation.comparison import NotComparableError, compare
from ecgfounder_ft.evaluation.inputs import prepare
from ecgfounder_ft.task import MULTI_LABEL, SINGLE_LABEL


def _models(n=400, shift=0.6):
    generator = np.random.default_rng(0)
    targets = (generator.random((n, 2)) < 0.3).astype(np.int8)
    common = generator.normal(size=(n, 2))
    first = 1 / (1 + np.exp(-(1.5 * targets - 0.8 + common)))
    second = 1 / (1 + np.exp(-((1.5 + shift) * targets - 0.8 + common + 0.1 * generator.normal(size=(n, 2)))))
    return targets, first, second, generator.integers(0, 150, n)


def _prepare(targets, probabilities, groups, codes=("A", "B"), task=MULTI_LABEL):
    return prepare(targets, probabilities, groups, codes, task=task)


def test_a_better_model_is_seen_to_be_better():
    targets, first, second, groups = _models()
    result = compare(_prepare(targets, first, groups), _prepare(targets, second, groups), resamples=300)
    difference = result.conditions["A"]["auroc"]
    assert 0 < difference.low < difference.value < difference.high
    assert result.macro["auroc"].low > 0
    assert result.macro["brier"].high < 0
    assert result.patients == len(np.unique(groups))


def test_a_model_against_itself_differs_nowhere():
    targets, first, _, groups = _models()
    result = compare(_prepare(targets, first, groups), _prepare(targets, first, groups), resamples=100)
    assert all(estimate.value == 0 for estimate in result.macro.values())
    assert result.macro["auroc"].reason == "no interval: all resamples alike"
    assert result.mcnemar["A"].p_value is None


def test_the_order_of_the_models_only_turns_the_sign():
    targets, first, second, groups = _models()
    one, other = _prepare(targets, first, groups), _prepare(targets, second, groups)
    forth, back = compare(one, other, resamples=200), compare(other, one, resamples=200)
    assert forth.macro["f1"].value == pytest.approx(-back.macro["f1"].value)
    assert forth.macro["f1"].low == pytest.approx(-back.macro["f1"].high)


def test_mcnemar_counts_the_decisions_that_are_unlike():
    targets = np.array([[1], [1], [0], [0], [1], [-1], [0], [0]], dtype=np.int8)
    first = np.array([0.9, 0.9, 0.1, 0.9, 0.2, 0.9, 0.1, 0.1])[:, None]
    second = np.array([0.1, 0.9, 0.9, 0.9, 0.8, 0.1, 0.9, 0.1])[:, None]
    groups = np.arange(8)
    result = compare(_prepare(targets, first, groups, ("A",)), _prepare(targets, second, groups, ("A",)), resamples=10)
    mcnemar = result.mcnemar["A"]
    assert (mcnemar.only_first_right, mcnemar.only_second_right) == (3, 1)
    assert mcnemar.p_value == pytest.approx(binomtest(3, 4).pvalue)


def test_only_recordings_that_both_models_answered_are_compared():
    generator = np.random.default_rng(0)
    targets = np.eye(2, dtype=np.int8)[generator.integers(0, 2, 50)]
    first = generator.dirichlet(np.ones(2), 50)
    second = first.copy()
    second[:10] = np.nan
    data = [_prepare(targets, probabilities, np.arange(50), task=SINGLE_LABEL) for probabilities in (first, second)]
    result = compare(*data, resamples=20)
    assert (result.n, result.left_out) == (40, 10)
    assert result.accuracy.value == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"codes": ("A", "C")}, "conditions A, B against A, C"),
        ({"task": SINGLE_LABEL}, "a multi_label model against a single_label model"),
        ({"targets": 1}, "labels of the test recordings differ"),
        ({"groups": 1}, "patients of the test recordings differ"),
    ],
)
def test_sets_that_differ_are_refused(change, message):
    targets, first, _, groups = _models(50)
    other = {"targets": targets.copy(), "probabilities": first, "groups": groups.copy()}
    if "targets" in change:
        other["targets"][3] ^= 1
    if "groups" in change:
        other["groups"][3] = 999
    settings = {key: change[key] for key in ("codes", "task") if key in change}
    with pytest.raises(NotComparableError, match=message):
        compare(_prepare(targets, first, groups), _prepare(**other, **settings), resamples=5)


def test_a_macro_over_other_conditions_has_no_difference():
    targets = np.array([[1, 0], [0, 1]] * 20, dtype=np.int8)
    probabilities = np.tile([[0.9, 0.1], [0.2, 0.7]], (20, 1))
    partial = probabilities.copy()
    partial[:, 1] = np.nan
    groups = np.arange(40)
    result = compare(_prepare(targets, probabilities, groups), _prepare(targets, partial, groups), resamples=5)
    assert result.macro["auroc"].value is None
    assert result.macro["auroc"].reason == "defined for one of the models only: B"
