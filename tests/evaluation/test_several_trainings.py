"""Chance of training and chance of the patients, told apart on data whose truth is known."""

import numpy as np
import pytest

from ecgfounder_ft.evaluation.comparison import NotComparableError
from ecgfounder_ft.evaluation.inputs import EvaluationInput, prepare
from ecgfounder_ft.evaluation.metrics import Estimate
from ecgfounder_ft.evaluation.several_trainings import (
    MACRO,
    Difference,
    Rank,
    Trainings,
    all_differences,
    corrected_by_holm,
    difference_of,
    draw_trainings,
    mean_over_seeds,
    not_told_apart,
    ranks_of,
    spread_of,
    two_sided,
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
    alike = spread_of(trainings("alike", [1.0] * 5), seed=0)
    unlike = spread_of(trainings("unlike", [0.2, 0.6, 1.0, 1.4, 1.8]), seed=0)
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
    assert width(alike.over_both) < 2 * width(alike.over_patients)


def test_the_mean_over_drawn_seeds_spreads_as_a_mean_of_so_many_does() -> None:
    """Of values with variance 1 the mean of 3 has variance 1/3, not the 2/9 of a plain bootstrap."""
    generator = np.random.default_rng(3)
    found = []
    for repeat in range(400):
        values = generator.normal(size=3)
        found.append(mean_over_seeds(np.repeat(values[:, None], 200, axis=1), repeat).var())
    assert np.mean(found) == pytest.approx(1 / 3, rel=0.1)


def test_an_interval_stays_within_what_the_metric_can_be() -> None:
    """Seeds near the ceiling, of which few are drawn: their spread would lead above 1."""
    spread = spread_of(trainings("near the ceiling", [1.0, 9.0]), seed=0)
    assert spread.over_both.high == 1.0


def test_a_single_seed_leaves_the_chance_of_training_out() -> None:
    spread = spread_of(trainings("one", [1.0]), seed=0)
    assert spread.deviation is None
    assert spread.over_both == spread.over_patients


def test_pairs_share_patients_and_seeds() -> None:
    """What both share is no part of the difference: the same models differ by exactly 0."""
    one, same, better = trainings("one", [1.0] * 3), trainings("same", [1.0] * 3), trainings("better", [1.5] * 3)
    nothing = difference_of(one, same, seed=0)
    assert nothing.estimate.value == 0
    assert nothing.p_value is None
    assert "all resamples alike" in nothing.estimate.reason
    told = difference_of(one, better, seed=0)
    assert told.estimate.low is not None
    assert told.estimate.low > 0
    assert told.p_value is not None
    assert told.p_value < 0.05
    assert difference_of(better, one, seed=0).estimate.value == pytest.approx(-(told.estimate.value or 0))


def test_only_seeds_that_both_have_are_compared() -> None:
    one, other = trainings("one", [1.0] * 3), trainings("other", [1.0] * 3).of_seeds([1])
    assert difference_of(one, other, seed=0).seeds == 1
    with pytest.raises(NotComparableError, match="no seed in common"):
        difference_of(one.of_seeds([0]), other, seed=0)


def test_other_recordings_are_refused() -> None:
    with pytest.raises(NotComparableError, match="the recordings differ"):
        draw_trainings("x", {0: data_of(1.0, 0), 1: data_of(1.0, 1, patients=60)}, "auroc", resamples=10, seed=0)


def test_holm_corrects_for_all_comparisons() -> None:
    values = [0.01, 0.04, None, 0.03]
    given = [Difference("a", str(place), 1, Estimate(0.1), value) for place, value in enumerate(values)]
    corrected = [one.corrected for one in corrected_by_holm(given)]
    assert corrected == [pytest.approx(0.03), pytest.approx(0.06), None, pytest.approx(0.06)]


def test_a_p_value_is_never_zero() -> None:
    assert two_sided(np.ones(999)) == pytest.approx(0.002)
    assert two_sided(np.array([-1.0, 1.0] * 50)) == 1.0


def test_ranks_and_what_is_not_told_apart() -> None:
    given = [trainings(name, [strength] * 2, shift=shift) for name, strength, shift in
             (("weak", 0.3, 0), ("good", 1.5, 20), ("also good", 1.5, 40))]  # fmt: skip
    ranks = ranks_of(given, "auroc", seed=0)
    assert ranks[-1].name == "weak"
    assert ranks[-1].mean == pytest.approx(3, abs=0.05)
    groups = not_told_apart(ranks, all_differences(given, seed=0))
    assert [set(group) for group in groups] == [{"good", "also good"}]


def test_runs_of_neighbours_are_the_longest() -> None:
    ranks = [Rank(name, place, place, place) for place, name in enumerate("abcd")]
    told = [Difference("a", "c", 5, Estimate(1.0), 0.001, 0.001), Difference("a", "d", 5, Estimate(1.0), 0.001, 0.001)]
    assert not_told_apart(ranks, told) == [("a", "b"), ("b", "c", "d")]


def test_a_condition_stands_beside_the_mean() -> None:
    found = trainings("one", [1.0, 1.2])
    assert found.columns == (*CODES, MACRO)
    assert found.values[:, -1] == pytest.approx(found.values[:, :2].mean(axis=1))
    assert spread_of(found, "A", seed=0).over_both.value == pytest.approx(found.values[:, 0].mean())
