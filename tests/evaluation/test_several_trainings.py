"""Chance of training and chance of the patients, told apart on data whose truth is known."""

import numpy as np
import pytest
from scipy.stats import norm, t

from ecgfounder_ft.evaluation.comparison import NotComparableError
from ecgfounder_ft.evaluation.inputs import EvaluationInput, prepare
from ecgfounder_ft.evaluation.metrics import Estimate
from ecgfounder_ft.evaluation.seeds_and_patients import Uncertainty, mean_over_seeds
from ecgfounder_ft.evaluation.several_trainings import (
    MACRO,
    Difference,
    Rank,
    Trainings,
    all_differences,
    corrected_by_holm,
    difference_of,
    draw_trainings,
    not_told_apart,
    ranks_of,
    spread_of,
)
from ecgfounder_ft.task import MULTI_LABEL

CODES = ("A", "B")


def data_of(strength: float, seed: int, patients: int = 120) -> EvaluationInput:
    """Two recordings per patient; the stronger, the better are the probabilities."""
    targets = np.repeat(np.random.default_rng(0).integers(0, 2, (patients, 2)), 2, axis=0)
    noise = np.random.default_rng(seed).normal(size=targets.shape)
    probabilities = 1 / (1 + np.exp(-(strength * (2 * targets - 1) + noise)))
    return prepare(targets, probabilities, np.repeat(np.arange(patients), 2), CODES, task=MULTI_LABEL)


def trainings(name: str, strengths: list[float], *, shift: int = 0) -> Trainings:
    inputs = {number: data_of(strength, 10 + number + shift) for number, strength in enumerate(strengths)}
    return draw_trainings(name, inputs, "auroc", resamples=200, seed=1)


def test_seeds_add_to_the_interval_what_they_vary() -> None:
    alike = spread_of(trainings("alike", [1.0] * 5))
    unlike = spread_of(trainings("unlike", [0.2, 0.6, 1.0, 1.4, 1.8]))
    assert alike.deviation is not None
    assert unlike.deviation is not None
    assert unlike.deviation > 3 * alike.deviation
    for spread in (alike, unlike):
        assert spread.over_both.value == pytest.approx(spread.over_patients.value)

    def width(estimate: Estimate) -> float:
        assert estimate.low is not None
        assert estimate.high is not None
        return estimate.high - estimate.low

    assert width(unlike.over_both) > 2 * width(unlike.over_patients)
    assert width(alike.over_both) < 3 * width(alike.over_patients)


def test_the_mean_over_drawn_seeds_spreads_as_wide_as_few_seeds_ask() -> None:
    """Of values with variance 1 the mean of 3 has variance 1/3; percentiles reach as far as t with so few."""
    generator = np.random.default_rng(3)
    found = []
    for repeat in range(400):
        values = generator.normal(size=3)
        found.append(mean_over_seeds(np.repeat(values[:, None], 200, axis=1), repeat, 0.95).var())
    assert np.mean(found) == pytest.approx((t.ppf(0.975, 2) / norm.ppf(0.975)) ** 2 / 3, rel=0.1)


def test_both_parts_have_their_own_degrees_of_freedom() -> None:
    only_patients, only_seeds = Uncertainty(0.01, 40, 0.0, 3), Uncertainty(0.0, 40, 0.01, 3)
    assert only_patients.quantile(0.025) == pytest.approx(t.ppf(0.975, 40))
    assert only_seeds.quantile(0.025) == pytest.approx(t.ppf(0.975, 2))
    both = Uncertainty(0.01, 40, 0.03, 3)
    assert both.quantile(0.025) == pytest.approx((t.ppf(0.975, 40) + 3 * t.ppf(0.975, 2)) / 4)
    assert both.p_value(both.quantile(0.025) * 0.2) == pytest.approx(0.05)
    assert both.p_value(0.0) == 1
    assert 0 < only_patients.p_value(10.0) < 1e-9


@pytest.mark.parametrize("deviation", [0.0, 0.07])
def test_equal_strategies_with_three_seeds_are_told_apart_in_no_more_sweeps_than_is_said(deviation: float) -> None:
    """Four strategies; AUROC varies by .02 with the patients, which all share by half, and between seeds."""
    generator = np.random.default_rng(7)
    told, sweeps = 0, 120
    for _ in range(sweeps):
        shared, own = generator.normal(scale=0.014, size=201), generator.normal(scale=0.014, size=(4, 201))
        given = []
        for number in range(4):
            of_seeds = deviation * generator.normal(size=(3, 1))
            drawn = 0.85 + of_seeds + shared[1:] + own[number, 1:]
            values = 0.85 + of_seeds + shared[:1] + own[number, :1]
            drawn, values = (np.stack([found, found], axis=-1) for found in (drawn, values[:, 0]))
            given.append(Trainings(str(number), (0, 1, 2), ("A", MACRO), values, drawn, 200, (30,)))
        told += any(one.is_told() for one in all_differences(given))
    assert told <= 0.05 * sweeps


def test_an_interval_stays_within_what_the_metric_can_be() -> None:
    """Seeds near the ceiling, of which few are drawn: their spread would lead above 1."""
    spread = spread_of(trainings("near the ceiling", [1.0, 9.0, 9.0]))
    assert spread.over_both.high is not None
    assert 0.99 < spread.over_both.high <= 1.0


@pytest.mark.parametrize("seeds", [1, 2])
def test_few_seeds_leave_the_chance_of_training_out_and_tell_nothing(seeds: int) -> None:
    one, other = trainings("one", [0.2] * seeds), trainings("other", [2.0] * seeds)
    assert spread_of(one).over_both == spread_of(one).over_patients
    assert spread_of(one).over_both.low is not None
    (difference,) = all_differences([one, other])
    assert difference.p_value is None
    assert not difference.is_told()


def test_pairs_share_patients_and_seeds() -> None:
    """What both share is no part of the difference: the same models differ by exactly 0."""
    one, same, better = trainings("one", [1.0] * 3), trainings("same", [1.0] * 3), trainings("better", [1.5] * 3)
    nothing = difference_of(one, same)
    assert nothing.estimate.value == 0
    assert nothing.p_value is None
    assert "all resamples alike" in nothing.estimate.reason
    told = difference_of(one, better)
    assert told.estimate.low is not None
    assert told.estimate.low > 0
    assert told.p_value is not None
    assert told.p_value < 0.05
    assert difference_of(better, one).estimate.value == pytest.approx(-(told.estimate.value or 0))


def test_only_seeds_that_both_have_are_compared() -> None:
    one, other = trainings("one", [1.0] * 3), trainings("other", [1.0] * 3).of_seeds([1])
    assert difference_of(one, other).seeds == 1
    with pytest.raises(NotComparableError, match="no seed in common"):
        difference_of(one.of_seeds([0]), other)


def test_other_recordings_are_refused() -> None:
    with pytest.raises(NotComparableError, match="the recordings differ"):
        draw_trainings("x", {0: data_of(1.0, 0), 1: data_of(1.0, 1, patients=60)}, "auroc", resamples=10, seed=0)


def test_holm_corrects_for_all_comparisons() -> None:
    values = [0.01, 0.04, None, 0.03]
    given = [Difference("a", str(place), 1, Estimate(0.1), value) for place, value in enumerate(values)]
    corrected = [one.corrected for one in corrected_by_holm(given)]
    assert corrected == [pytest.approx(0.03), pytest.approx(0.06), None, pytest.approx(0.06)]


def test_ranks_and_what_is_not_told_apart() -> None:
    given = [trainings(name, [strength] * 3, shift=shift) for name, strength, shift in
             (("weak", 0.3, 0), ("good", 1.5, 20), ("also good", 1.5, 40))]  # fmt: skip
    ranks = ranks_of(given, "auroc", seed=0)
    assert ranks[-1].name == "weak"
    assert ranks[-1].mean == pytest.approx(3, abs=0.05)
    groups = not_told_apart(ranks, all_differences(given))
    assert [set(group) for group in groups] == [{"good", "also good"}]


def test_runs_of_neighbours_are_the_longest() -> None:
    ranks = [Rank(name, place, place, place) for place, name in enumerate("abcd")]
    told = [Difference("a", "c", 5, Estimate(1.0), 0.001, 0.001), Difference("a", "d", 5, Estimate(1.0), 0.001, 0.001)]
    assert not_told_apart(ranks, told) == [("a", "b"), ("b", "c", "d")]


def test_a_condition_stands_beside_the_mean() -> None:
    found = trainings("one", [1.0, 1.2])
    assert found.columns == (*CODES, MACRO)
    assert found.values[:, -1] == pytest.approx(found.values[:, :2].mean(axis=1))
    assert spread_of(found, "A").over_both.value == pytest.approx(found.values[:, 0].mean())
