"""Confidence intervals that hold with few patients.

A percentile interval of the bootstrap is too narrow where few patients have a condition: the resamples know only what
those few patients show, and a metric close to its bound is skewed. What is done instead, by kind of metric:

* **AUROC.** The truths A with ``(A - AUROC)^2 = t^2 r V(A)``, where V is the variance of Newcombe's method 5 (Stat Med
  2006;25:559) with the numbers of patients in place of recordings. r is how many times that variance the placements of
  the patients' recordings show (:mod:`~ecgfounder_ft.evaluation.auroc_variance`). It knows what patients with several
  recordings and unequal spreads do, but the few patients of a study may happen to be alike. So r is drawn towards 1 as
  if :data:`MODEL_FREEDOM` degrees of freedom had shown 1, beside the m - 1 of the m patients with or without the
  condition, whichever are fewer; t has the degrees of freedom of both. ``python -m benchmarks.coverage`` chose it.
* **AUPRC.** Each end is the further of two. The first is a Wald interval on the logit scale: the standard deviation of
  the resamples over v (1 - v) (delta method), times the t quantile with m - 1 degrees of freedom. The second is
  Wilson's interval of a proportion of the patients with the condition (after Boyd, Eng and Page, ECML PKDD 2013, who
  take AUPRC as such a proportion).
* **A perfect 1.000** leaves nothing to estimate a spread from. It gets a one-sided bound: were the truth v, then m
  patients, each ranked right with probability of at most v, would all be so with v^m at most, so that
  v >= (1 - level)^(1/m). The same bound turned round for 0.000.
* **Proportions** (sensitivity, PPV, ..., and F1, see :mod:`~ecgfounder_ft.evaluation.metrics`). Where each patient has
  one recording among those counted: the binomial interval of Clopper and Pearson (Biometrika 1934;26:404). Where some
  have several, recordings are not independent trials: the same interval with the effective number of trials of Korn and
  Graubard (Survey Methodology 1998;24:193), v (1 - v) over the variance between patients, at most the recordings there
  are; where all or none are hits, that variance is 0 and the effective number is that of patients.
* **Brier score**: the first of the two intervals of AUPRC. One rare error may decide it and not have been seen, so
  that with fewer than :data:`BRIER_ALONE` patients with or without the condition each end is the further of this and
  Wilson's interval of a share of all patients, whose variance that of a mean of numbers from 0 to 1 does not exceed.
* **Differences of means over conditions**: t interval with the variance and the degrees of freedom of
  :func:`mean_spread`. Percentiles tell two equal models apart in more than the stated share of studies.
* **Means over conditions**: from the conditions' own intervals, MOVER (Zou and Donner, Stat Med 2008;27:1693), with the
  correlations that the resamples show.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import expit, logit
from scipy.stats import beta, norm, t

Interval = tuple[float, float]
"""Lower and upper end."""

MODEL_FREEDOM = 16
"""Degrees of freedom that Newcombe's variance of an AUROC counts for, beside what the patients show."""

BRIER_ALONE = 30
"""From so many patients of the rarer kind on, the resamples alone tell how far the Brier score may be off."""


def logit_interval(value: float, resampled: NDArray[np.floating], patients: int, level: float) -> Interval:
    """Wald interval on the logit scale, with the spread of the resamples and a t quantile.

    Args:
        value: of the whole set, strictly between 0 and 1.
        resampled: (resamples,), NaN where undefined.
        patients: m, of the rarer kind; with one there is no spread to go by, and the interval is 0 to 1.
        level: of confidence.
    """
    if patients < 2:
        return 0.0, 1.0
    spread = float(np.nanstd(resampled, ddof=1)) / (value * (1 - value))
    reach = float(t.ppf((1 + level) / 2, patients - 1)) * spread
    low, high = expit(logit(value) + np.array([-reach, reach]))
    return float(low), float(high)


@dataclass(frozen=True)
class AurocStudy:
    """What a test set shows of one AUROC."""

    auroc: float
    """Strictly between 0 and 1."""
    variance: float
    """Between patients, by placements."""
    positive: int
    """Patients with the condition."""
    negative: int
    """Patients without it."""

    def interval(self, level: float) -> Interval:
        """Score interval with a moderated variance; 0 to 1 with one patient of a kind.

        Args:
            level: of confidence.
        """
        own = min(self.positive, self.negative) - 1
        if own < 1:
            return 0.0, 1.0
        freedom = MODEL_FREEDOM + own
        ratio = (MODEL_FREEDOM + own * self.variance / self.modelled(self.auroc)) / freedom
        return self.solved(float(t.ppf((1 + level) / 2, freedom)) ** 2 * ratio)

    def modelled(self, truth: float) -> float:
        """Variance of Hanley and McNeil (Radiology 1982;143:29), both sample sizes evened out, at a true AUROC.

        A (1 - A) (1 + n (1 - A) / (2 - A) + n A / (1 + A)) / (positive x negative) with n = (positive + negative) / 2 -
        1 (Newcombe's method 5).
        """
        evened = (self.positive + self.negative) / 2 - 1
        spread = 1 + evened * (1 - truth) / (2 - truth) + evened * truth / (1 + truth)
        return truth * (1 - truth) * spread / (self.positive * self.negative)

    def solved(self, times: float) -> Interval:
        """The truths whose squared distance from the AUROC is so many times their modelled variance."""

        def excess(truth: float) -> float:
            return (truth - self.auroc) ** 2 - times * self.modelled(truth)

        tiny = 1e-12
        low = 0.0 if excess(tiny) <= 0 else float(brentq(excess, tiny, self.auroc))
        high = 1.0 if excess(1 - tiny) <= 0 else float(brentq(excess, self.auroc, 1 - tiny))
        return low, high


def wilson_interval(share: float, trials: float, level: float) -> Interval:
    """Wilson's score interval of a proportion (J Am Stat Assoc 1927;22:209)."""
    squared = float(norm.ppf((1 + level) / 2)) ** 2
    centre = (share + squared / (2 * trials)) / (1 + squared / trials)
    reach = np.sqrt(squared * (share * (1 - share) / trials + squared / (4 * trials**2))) / (1 + squared / trials)
    return max(0.0, float(centre - reach)), min(1.0, float(centre + reach))


def clopper_pearson(hits: float, trials: float, level: float) -> Interval:
    """The binomial interval, by quantiles of beta distributions, which also take numbers that are not whole."""
    tail = (1 - level) / 2
    low = 0.0 if hits <= 0 else float(beta.ppf(tail, hits, trials - hits + 1))
    high = 1.0 if hits >= trials else float(beta.ppf(1 - tail, hits + 1, trials - hits))
    return low, high


def effective_trials(hits: NDArray[np.floating], totals: NDArray[np.floating], level: float) -> float:
    """How many independent trials recordings of patients are worth, by Korn and Graubard.

    v (1 - v) / var x (t with recordings - 1 / t with patients - 1)^2, at most the recordings; var is the variance of
    the ratio between patients, m/(m - 1) sum (hits - v totals)^2 / (sum totals)^2.

    Args:
        hits: (patients,) recordings of each that are hits.
        totals: (patients,) recordings of each that count.
        level: of confidence, for the t quantiles.
    """
    counted = totals > 0
    hits, totals = hits[counted], totals[counted]
    patients, recordings = len(totals), float(totals.sum())
    if not patients or totals.max() <= 1:
        return recordings
    share = hits.sum() / recordings
    if patients < 2 or share in (0, 1):
        return float(patients)
    variance = patients / (patients - 1) * float(((hits - share * totals) ** 2).sum()) / recordings**2
    if variance <= 0:
        return float(patients)  # as many hits for each patient: chance, or one way of being alike
    quantile = (1 + level) / 2
    worth = share * (1 - share) / variance * (t.ppf(quantile, recordings - 1) / t.ppf(quantile, patients - 1)) ** 2
    return float(min(worth, recordings))


def proportion_interval(hits: NDArray[np.floating], totals: NDArray[np.floating], level: float) -> Interval:
    """Clopper and Pearson's interval of hits among recordings, where patients may have several.

    Args:
        hits: (patients,) recordings of each that are hits.
        totals: (patients,) recordings of each that count, at least one in all.
        level: of confidence.
    """
    trials = effective_trials(hits, totals, level)
    return clopper_pearson(float(hits.sum() / totals.sum()) * trials, trials, level)


def perfect_bound(value: float, patients: int, level: float) -> Interval:
    """The one-sided bound of an area that is 1 or 0 in all of the patients of the rarer kind."""
    bound = (1 - level) ** (1 / patients)
    return (bound, 1.0) if value >= 0.5 else (0.0, 1 - bound)


def further(one: Interval, other: Interval) -> Interval:
    """From the lower of the lower ends to the higher of the higher ends."""
    return min(one[0], other[0]), max(one[1], other[1])


def mean_interval(
    values: NDArray[np.floating], limits: NDArray[np.floating], resampled: NDArray[np.floating]
) -> Interval:
    """MOVER of a mean: the distances of each value from its own ends, added up as standard deviations are.

    The lower end is mean - sqrt(d' R d) / k with d = value - its lower end, and likewise the upper one.

    Args:
        values: (k,) of the conditions.
        limits: (k, 2) their ends.
        resampled: (resamples, k) for R, the correlations; NaN where undefined.
    """
    k = len(values)
    complete = resampled[~np.isnan(resampled).any(axis=1)]
    correlations = np.eye(k)
    moving = np.flatnonzero(complete.std(axis=0) > 1e-12) if len(complete) > 1 else np.empty(0, dtype=int)
    if len(moving) > 1:
        correlations[np.ix_(moving, moving)] = np.corrcoef(complete[:, moving], rowvar=False)
    below, above = values - limits[:, 0], limits[:, 1] - values
    centre = float(np.mean(values))
    reach = [math.sqrt(max(0.0, float(distance @ correlations @ distance))) / k for distance in (below, above)]
    return max(0.0, centre - reach[0]), min(1.0, centre + reach[1])


def mean_spread(resampled: NDArray[np.floating], patients: NDArray[np.integer]) -> tuple[float, float]:
    """Variance of a mean over conditions between patients, and its degrees of freedom.

    The variance is that of the resamples' means. With v the variance of a condition and m its patients, resamples show
    v too small by (m - 1) / m, so it is taken times the sum of v m / (m - 1) over the sum of v. The degrees of freedom
    are Satterthwaite's (Biometrics 1946;2:110), (sum w)^2 / sum w^2 / (m - 1) with w = v m / (m - 1).

    Args:
        resampled: (resamples, k) of the conditions, or of their differences; NaN where undefined.
        patients: (k,) of the rarer kind, with or without the condition.

    Returns:
        The variance, 0 where all resamples are alike, and the degrees of freedom, at least 1.
    """
    means = resampled.mean(axis=1)
    means = means[~np.isnan(means)]
    own = np.nanvar(resampled, axis=0, ddof=1)
    freedom = np.maximum(np.asarray(patients, dtype=np.float64) - 1, 1.0)
    better = own * (freedom + 1) / freedom
    if len(means) < 2 or not own.sum() > 0:
        return 0.0, 1.0
    satterthwaite = better.sum() ** 2 / (better**2 / freedom).sum()
    return float(means.var(ddof=1) * better.sum() / own.sum()), float(satterthwaite)


def expanded_tail(patients: int, level: float) -> float:
    """Share of resamples left out at each end of a percentile interval, so that it is as wide as few patients ask.

    norm.cdf(-sqrt(m/(m - 1)) t with m - 1 degrees of freedom), Hesterberg (Am Stat 2015;69:371). It makes up for the
    two ways in which a percentile interval is narrow for few: its spread divides by m, and it has no t quantile.

    Args:
        patients: m, of the rarer kind, at least two.
        level: of confidence.
    """
    quantile = t.ppf((1 + level) / 2, patients - 1)
    return float(norm.cdf(-np.sqrt(patients / (patients - 1)) * quantile))
