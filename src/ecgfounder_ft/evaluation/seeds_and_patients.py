"""Chance of training and chance of the patients in one interval, with few seeds.

A mean over S trainings has the variance s^2/S + v: s is the standard deviation between seeds, v the variance between
patients. With few seeds s is known roughly, so the quantile is that of t. Cochran's is the mean of the quantiles of
both parts, weighted by their variances (Biometrics 1964;20:191): that of s^2/S has S - 1 degrees of freedom, that of v
those of the patients. Percentiles of patients and seeds drawn anew, and Satterthwaite's degrees of freedom, tell equal
configurations apart too often: ``python -m benchmarks.coverage``.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import expit, logit, ndtri, stdtrit

from ecgfounder_ft.evaluation.intervals import Interval

FEWEST_SEEDS = 3
"""Seeds from which the chance of training is known at all; with two the quantile alone is 12.7."""

_LEAST = 1e-12
"""A p-value below this is this."""


@dataclass(frozen=True)
class Uncertainty:
    """Of a mean over trainings."""

    of_patients: float
    """Variance between patients."""
    freedom: float
    """Degrees of freedom of that variance."""
    of_seeds: float
    """Variance between seeds over their number."""
    seeds: int

    @property
    def deviation(self) -> float:
        """Standard deviation of both together."""
        return math.sqrt(self.of_patients + self.of_seeds)

    def quantile(self, tail: float) -> float:
        """The t quantile that leaves a share out at the upper end.

        Args:
            tail: the share, below one half.
        """
        total = self.of_patients + self.of_seeds
        parts = (self.of_patients, self.freedom), (self.of_seeds, self.seeds - 1)
        return sum(part / total * -float(stdtrit(freedom, tail)) for part, freedom in parts if part > 0)

    def p_value(self, difference: float) -> float:
        """Two-sided, of a difference of 0."""
        ratio = abs(difference) / self.deviation
        if ratio < 1e-9:
            return 1.0

        def excess(logarithm: float) -> float:
            return self.quantile(math.exp(logarithm) / 2) - ratio

        if excess(math.log(_LEAST)) < 0:
            return _LEAST
        return math.exp(float(brentq(excess, math.log(_LEAST), 0.0)))

    def around(self, value: float, level: float, *, seeds: bool) -> Interval:
        """The interval of a metric from 0 to 1, on the logit scale.

        Args:
            value: strictly between 0 and 1, or it is the interval on its own scale, cut off at both ends.
            level: of confidence.
            seeds: of patients and seeds; False: of the patients alone.
        """
        tail = (1 - level) / 2
        if seeds:
            reach = self.quantile(tail) * self.deviation
        else:
            reach = -float(stdtrit(self.freedom, tail)) * math.sqrt(self.of_patients)
        if not 0 < value < 1:
            return max(0.0, value - reach), min(1.0, value + reach)
        low, high = expit(logit(value) + np.array([-reach, reach]) / (value * (1 - value)))
        return float(low), float(high)


def mean_over_seeds(drawn: NDArray[np.float64], seed: int, level: float) -> NDArray[np.float64]:
    """(resamples,) means over seeds that are drawn anew in each resample, for what follows from them by no formula.

    Drawing n seeds with replacement gives their mean too small a spread, by sqrt((n - 1) / n) (Rao and Wu, JASA
    1988;83:231), and percentiles know no t quantile. Each draw's distance from the mean of all seeds is stretched by
    the inverse of the first and by the t quantile over the normal one: percentiles are then as wide as few seeds ask.

    Args:
        drawn: (seeds, resamples) of one metric.
        seed: of the draws; the same gives the same seeds to every configuration that has as many.
        level: of the percentiles that will be taken.
    """
    seeds, resamples = drawn.shape
    mean: NDArray[np.float64] = drawn.mean(axis=0)
    if seeds == 1:
        return mean
    chosen = np.random.default_rng([seed, seeds]).integers(0, seeds, (seeds, resamples))
    picked = drawn[chosen, np.arange(resamples)].mean(axis=0)
    tail = (1 - level) / 2
    stretched = math.sqrt(seeds / (seeds - 1)) * float(stdtrit(seeds - 1, tail) / ndtri(tail))
    return np.asarray(mean + stretched * (picked - mean))
