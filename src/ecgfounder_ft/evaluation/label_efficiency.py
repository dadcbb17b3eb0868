"""What labels are worth: metrics over the number of training recordings, and that curve read backwards."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.isotonic import isotonic_regression

from ecgfounder_ft.evaluation.metrics import METRICS
from ecgfounder_ft.evaluation.seeds_and_patients import FEWEST_SEEDS, mean_over_seeds
from ecgfounder_ft.evaluation.several_trainings import LEVEL, MACRO, Spread, Trainings, spread_of


@dataclass(frozen=True)
class LearningCurve:
    """A configuration trained on more and more of the same recordings."""

    name: str
    metric: str
    sizes: tuple[int, ...]
    """Training recordings, rising."""
    points: tuple[Spread, ...]
    drawn: NDArray[np.float64]
    """(sizes, resamples) means over seeds, patients and seeds drawn anew."""

    @property
    def readable(self) -> tuple[bool, ...]:
        """(sizes,) whether a point has enough seeds, and an interval."""
        return tuple(point.seeds >= FEWEST_SEEDS and point.over_both.low is not None for point in self.points)

    @property
    def means(self) -> NDArray[np.float64]:
        """(sizes,)"""
        return np.array(
            [point.over_both.value if point.over_both.value is not None else np.nan for point in self.points]
        )


@dataclass(frozen=True)
class Worth:
    """How many times the labels the other configuration needs to be as good."""

    size: int
    """Training recordings of the better configuration."""
    factor: float
    """``inf``: more than there were; 0: fewer than the smallest size."""
    low: float
    high: float
    largest: float
    """The factor that could still be measured: the largest size of the other configuration by this size."""

    @property
    def is_told(self) -> bool:
        """Whether the interval shows that the other configuration needs more labels."""
        return self.low > 1


def curve_of(name: str, metric: str, trainings: dict[int, Trainings], *, seed: int) -> LearningCurve:
    """A learning curve.

    Args:
        name: of the configuration.
        metric: one of :data:`~ecgfounder_ft.evaluation.metrics.METRICS`, of which the mean over conditions is taken.
        trainings: training recordings to the trainings on so many, tested on the same recordings.
        seed: of the draws of seeds, the same for curves that are compared.
    """
    sizes = tuple(sorted(trainings))
    return LearningCurve(
        name,
        metric,
        sizes,
        tuple(spread_of(trainings[size], MACRO) for size in sizes),
        np.array([mean_over_seeds(trainings[size].drawn[:, :, -1], seed, LEVEL) for size in sizes]),
    )


def worth_of(better: LearningCurve, other: LearningCurve) -> list[Worth]:
    """At each size of one curve, how many times as many labels the other needs for the same metric, with an interval.

    Both curves are drawn anew together, over the same patients and seeds, and the other read backwards in each draw.
    Empty where too few seeds or patients leave a point of the other curve without an interval; sizes at which the first
    has none are left out.
    """
    if not all(other.readable):
        return []
    lower_is_better = METRICS[better.metric].lower_is_better
    found = []
    for place, size in enumerate(better.sizes):
        if not better.readable[place]:
            continue
        factor = labels_needed(other.sizes, other.means, better.means[place], lower_is_better) / size
        drawn = np.array(
            [
                labels_needed(other.sizes, other.drawn[:, column], better.drawn[place, column], lower_is_better) / size
                for column in range(better.drawn.shape[1])
                if not np.isnan(other.drawn[:, column]).any() and not np.isnan(better.drawn[place, column])
            ]
        )
        tail = 50 * (1 - LEVEL)
        # ends that were seen, so that "more than there were" is an end as any other
        low = float(np.percentile(drawn, tail, method="lower")) if len(drawn) else math.nan
        high = float(np.percentile(drawn, 100 - tail, method="higher")) if len(drawn) else math.nan
        found.append(Worth(size, factor, low, high, max(other.sizes) / size))
    return found


def labels_needed(
    sizes: tuple[int, ...], values: NDArray[np.float64], wanted: float, lower_is_better: bool = False
) -> float:
    """The number of training recordings at which a curve comes to a value: the curve read backwards.

    More labels do not harm: a curve that falls here and there is made level first (isotonic regression). Between two
    sizes it is straight over the logarithm of their number. A true curve bends there, so that a number between sizes is
    off by some percent: of sizes a factor of three apart, 5 times as many reads 5.3 or 5.4.

    Args:
        sizes: training recordings, rising.
        values: (sizes,) the metric.
        wanted: the value to come to.
        lower_is_better: whether the curve falls with more labels.

    Returns:
        The number; 0 where the smallest size is better already, ``inf`` where the largest is not as good.
    """
    logarithms = np.log(np.asarray(sizes, dtype=np.float64))
    sign = -1.0 if lower_is_better else 1.0
    level = isotonic_regression(sign * np.asarray(values, dtype=np.float64))
    target = sign * wanted
    reached = np.flatnonzero(level >= target)
    if not len(reached):
        return math.inf
    place = int(reached[0])
    if place == 0:
        return float(sizes[0]) if level[0] == target else 0.0
    share = (target - level[place - 1]) / (level[place] - level[place - 1])
    return float(np.exp(logarithms[place - 1] + share * (logarithms[place] - logarithms[place - 1])))
