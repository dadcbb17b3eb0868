"""Curves read backwards."""

import math
from dataclasses import replace

import numpy as np
import pytest

from ecgfounder_ft.evaluation.label_efficiency import LearningCurve, labels_needed, worth_of
from ecgfounder_ft.evaluation.metrics import Estimate
from ecgfounder_ft.evaluation.several_trainings import Spread

SIZES = (100, 200, 400, 800)


def curve(name: str, means: list[float], spread: float = 0.0, metric: str = "auroc", seeds: int = 5) -> LearningCurve:
    noise = np.random.default_rng(0).normal(scale=spread, size=200)
    known = [Estimate(mean, mean - 0.01, mean + 0.01) for mean in means]
    points = tuple(Spread(name, seeds, None, None, None, estimate, estimate) for estimate in known)
    return LearningCurve(name, metric, SIZES, points, np.array(means)[:, None] + noise)


def test_a_curve_is_read_backwards_over_the_logarithm_of_the_size() -> None:
    values = np.array([0.6, 0.7, 0.8, 0.9])
    assert labels_needed(SIZES, values, 0.7) == pytest.approx(200)
    assert labels_needed(SIZES, values, 0.65) == pytest.approx(math.sqrt(100 * 200))
    assert labels_needed(SIZES, values, 0.6) == 100
    assert labels_needed(SIZES, values, 0.5) == 0
    assert labels_needed(SIZES, values, 0.95) == math.inf


def test_a_dent_is_made_level() -> None:
    assert labels_needed(SIZES, np.array([0.6, 0.8, 0.7, 0.9]), 0.75) == pytest.approx(200)


def test_a_loss_falls() -> None:
    assert labels_needed(SIZES, np.array([0.4, 0.3, 0.2, 0.1]), 0.3, lower_is_better=True) == pytest.approx(200)


def test_a_curve_shifted_by_two_is_worth_twice_the_labels() -> None:
    better, other = curve("better", [0.7, 0.8, 0.9, 0.95], 0.001), curve("other", [0.6, 0.7, 0.8, 0.9], 0.001)
    first, second, third, last = worth_of(better, other)
    assert [one.factor for one in (first, second, third)] == pytest.approx([2, 2, 2])
    assert (first.low, first.high) == pytest.approx((2, 2)), "what the curves share does not widen the interval"
    assert last.factor == math.inf
    assert last.largest == 1


def test_the_interval_says_where_nothing_more_was_seen() -> None:
    better, other = curve("better", [0.89] * 4, 0.0), curve("other", [0.6, 0.7, 0.8, 0.9], 0.02)
    found = worth_of(better, other)[0]
    assert found.high == math.inf
    assert 4 < found.low < 8


def test_nothing_is_read_from_curves_of_too_few_seeds_or_without_intervals() -> None:
    better, other = curve("better", [0.7, 0.8, 0.9, 0.95], 0.001), curve("other", [0.6, 0.7, 0.8, 0.9], 0.001)
    assert worth_of(better, other)
    assert not worth_of(better, curve("other", [0.6, 0.7, 0.8, 0.9], 0.001, seeds=1))
    without = replace(other, points=tuple(replace(point, over_both=Estimate(0.7)) for point in other.points))
    assert not worth_of(better, without)


def test_the_bend_between_sizes_is_as_large_as_is_said() -> None:
    """A curve whose error falls with the square root of the number; five times the labels of 100, 120 or 140."""
    sizes = (100, 300, 900, 2700)
    values = 0.95 - 2 / np.sqrt(np.array(sizes))
    read = [labels_needed(sizes, values, 0.95 - 2 / math.sqrt(5 * size)) / size for size in (100, 120, 140)]
    assert max(read) == pytest.approx(5.4, abs=0.1)
    assert min(read) > 5
