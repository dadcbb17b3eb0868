"""Confidence intervals from a bootstrap over patients.

Recordings of one patient are alike, so patients are drawn with replacement, each with all of its recordings (Field and
Welsh, J R Stat Soc B 2007;69:369). A resample is a count for each patient, and every metric is computed with these
counts as weights: counts of decisions, Brier score and calibration error are sums over patients, and AUROC and AUPRC
follow from cumulative weights along an order of the recordings that is sorted once.

Percentiles of the resamples are too narrow where few patients have a condition.
:mod:`ecgfounder_ft.evaluation.intervals` says what is made of the resamples instead.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t

from ecgfounder_ft.evaluation.auroc_variance import auroc_variance
from ecgfounder_ft.evaluation.inputs import EvaluationInput
from ecgfounder_ft.evaluation.intervals import (
    BRIER_ALONE,
    AurocStudy,
    expanded_tail,
    further,
    logit_interval,
    mean_spread,
    perfect_bound,
    proportion_interval,
    wilson_interval,
)
from ecgfounder_ft.evaluation.metrics import (
    ECE_BINS,
    METRICS,
    ConditionMetrics,
    Counts,
    Estimate,
    calibration_bin,
    count_patients,
)
from ecgfounder_ft.labels import PRESENT

DEFAULT_RESAMPLES = 1000

MIN_PATIENTS = 5
"""Fewest patients with the condition, and without it, behind an interval; fewer tell next to nothing."""

FEW_PATIENTS = 10
"""With fewer patients with a condition, what a macro metric or a threshold rests on is said beside it."""

_CHUNK_ELEMENTS = 4_000_000
"""Weights held at a time (recordings x resamples), 32 MB per array."""


@dataclass(frozen=True)
class ByPatient:
    """What the patients show of a condition, beside its metrics."""

    counts: Counts
    """(patients,) of the decisions."""
    auroc_variance: float
    """Between patients; NaN where there is no AUROC."""


@dataclass(frozen=True)
class Resamples:
    """Metrics in every resample, NaN where one is undefined."""

    conditions: NDArray[np.float64]
    """(resamples, k, metrics), metrics in the order of :data:`~ecgfounder_ft.evaluation.metrics.METRICS`."""
    accuracy: NDArray[np.float64]
    """(resamples,) of whole recordings."""

    def macro(self, defined: NDArray[np.bool_]) -> NDArray[np.float64]:
        """(resamples, metrics): means over the conditions that are defined in the whole set.

        A resample in which one of them is undefined has no macro metric, so that all means are over the same
        conditions.

        Args:
            defined: (k, metrics) whether a condition has the metric in the whole set.
        """
        values = np.full((len(self.conditions), len(METRICS)), np.nan)
        for place in range(len(METRICS)):
            columns = defined[:, place]
            if columns.any():
                values[:, place] = self.conditions[:, columns, place].mean(axis=1)
        return values


def resample_counts(
    patients: int, resamples: int, generator: np.random.Generator, chunk: int
) -> Iterator[NDArray[np.float64]]:
    """How often each patient is drawn: chunks (patients, resamples of the chunk) of as many draws as patients."""
    for start in range(0, resamples, chunk):
        size = min(chunk, resamples - start)
        drawn = generator.integers(0, patients, (size, patients))
        flat = (drawn + patients * np.arange(size)[:, None]).ravel()
        yield np.bincount(flat, minlength=size * patients).reshape(size, patients).T.astype(np.float64)


def bootstrap_metrics(data: EvaluationInput, *, resamples: int = DEFAULT_RESAMPLES, seed: int = 0) -> Resamples:
    """Every metric of every condition in each resample of the patients.

    The same patients and seed give the same draws whatever the probabilities, so that two models on the same recordings
    are compared in pairs.
    """
    n, k = data.targets.shape
    patients = int(data.groups.max()) + 1 if n else 0
    conditions = np.full((resamples, k, len(METRICS)), np.nan)
    accuracy = np.full(resamples, np.nan)
    if not patients or not resamples:
        return Resamples(conditions, accuracy)
    plans = [_plan(data, column, patients) for column in range(k)]
    complete = data.known.all(axis=1)
    right = complete & (data.decisions == (data.targets == PRESENT)).all(axis=1)
    whole = np.stack([np.bincount(data.groups, weights=x, minlength=patients) for x in (right, complete)])
    chunk = max(1, _CHUNK_ELEMENTS // max(n, patients))
    start = 0
    for counts in resample_counts(patients, resamples, np.random.default_rng(seed), chunk):
        rows = slice(start, start + counts.shape[1])
        for column, plan in enumerate(plans):
            conditions[rows, column] = plan.metrics(counts)
        hits, total = whole @ counts
        accuracy[rows] = _divide(hits, total)
        start = rows.stop
    return Resamples(conditions, accuracy)


def interval(
    estimate: Estimate,
    values: NDArray[np.float64],
    *,
    level: float = 0.95,
    too_few: str = "",
    recentred: bool = False,
    rarer: int | None = None,
) -> Estimate:
    """The estimate with its percentile interval (Efron 1979) over the resamples in which the metric is defined.

    For differences of two models, and for the calibration error; other metrics have :func:`condition_interval`. No
    interval is given, and the reason said, where the estimate itself does not exist, where there are too few
    patients, where half the resamples or more are undefined, or where all resamples are alike (a sensitivity of 1, for
    example: a bootstrap cannot tell how far from 1 the truth may be).

    Args:
        estimate: of the whole set.
        values: (resamples,), NaN where undefined.
        level: of confidence.
        too_few: why no interval may be given, empty where it may.
        recentred: move the interval so that the resamples' median falls on the estimate, and end it at 0. For metrics
            of which noise can only raise.
        rarer: patients of the rarer kind, with or without the condition, for which the percentiles are expanded.
    """
    if estimate.value is None:
        return estimate
    undefined = int(np.isnan(values).sum())
    low = high = None
    reason = too_few
    if not too_few:
        if 2 * undefined >= len(values):
            reason = f"no interval: undefined in {undefined:,} of {len(values):,} resamples"
        else:
            tail = 50 * (1 - level) if rarer is None or rarer < 2 else 100 * expanded_tail(rarer, level)
            low, high = (float(end) for end in np.nanpercentile(values, (tail, 100 - tail)))
            if recentred:
                shift = float(np.nanmedian(values)) - estimate.value
                low, high = max(0.0, low - shift), high - shift
            if high - low < 1e-12:
                low = high = None
                reason = "no interval: all resamples alike"
    both = "; ".join(part for part in (estimate.reason, reason) if part)
    return Estimate(estimate.value, low, high, undefined, both, "" if low is None else "percentile")


def condition_interval(
    name: str,
    condition: ConditionMetrics,
    values: NDArray[np.float64],
    by_patient: ByPatient,
    *,
    level: float = 0.95,
    however_few: bool = False,
) -> Estimate:
    """A condition's metric with its interval, see :mod:`ecgfounder_ft.evaluation.intervals`.

    Args:
        name: of the metric.
        condition: its metrics without intervals.
        values: (resamples,) the metric, NaN where undefined.
        by_patient: what the patients show of it.
        level: of confidence.
        however_few: an interval even where there are fewer than :data:`MIN_PATIENTS` patients, for means over
            conditions, which would be narrower than they may be without it.
    """
    estimate, metric = condition.metrics[name], METRICS[name]
    if estimate.value is None:
        return estimate
    undefined = int(np.isnan(values).sum())
    too_few = "" if however_few else too_few_patients(name, condition)
    if metric.raised_by_noise:
        return interval(estimate, values, level=level, too_few=too_few, recentred=True)
    if too_few:
        both = "; ".join(part for part in (estimate.reason, too_few) if part)
        return replace(estimate, undefined_resamples=undefined, reason=both)
    reason, value = estimate.reason, estimate.value
    proportion = metric.proportion(by_patient.counts)
    if proportion is not None:
        low, high = (
            metric.of_share(end) for end in proportion_interval(proportion.numerator, proportion.denominator, level)
        )
        method = "proportion"
    elif not 0 < value < 1:
        rarer = rarer_patients(condition)
        low, high = perfect_bound(value, max(1, rarer), level)
        method = "bound"
        bound = f"one-sided {100 * level:.0f}% bound, for {count_patients(rarer)} of the rarer kind show no error"
        reason = "; ".join(part for part in (reason, bound) if part)
    elif name == "auroc":
        study = AurocStudy(value, by_patient.auroc_variance, condition.positive_patients, condition.negative_patients)
        low, high = study.interval(level)
        method = "score"
    else:
        low, high = _logit_or_wilson(name, condition, value, values, level)
        method = "logit"
    return Estimate(value, low, high, undefined, reason, method)


def _logit_or_wilson(
    name: str, condition: ConditionMetrics, value: float, values: NDArray[np.float64], level: float
) -> tuple[float, float]:
    """The further ends of a Wald interval and Wilson's, for AUPRC, and for the Brier score of few patients."""
    rarer = rarer_patients(condition)
    patients = rarer if METRICS[name].needs_positives else max(rarer, min(MIN_PATIENTS, condition.patients))
    found = logit_interval(value, values, patients, level)
    if name == "auprc":
        return further(found, wilson_interval(value, condition.positive_patients, level))
    return further(found, wilson_interval(value, condition.patients, level)) if rarer < BRIER_ALONE else found


def rarer_patients(condition: ConditionMetrics) -> int:
    """Patients with the condition or patients without it, whichever are fewer."""
    return min(condition.positive_patients, condition.negative_patients)


def by_patient(data: EvaluationInput, column: int) -> ByPatient:
    """What the patients show of a condition."""
    known = data.known[:, column]
    present, decided = data.targets[known, column] == PRESENT, data.decisions[known, column]
    groups = data.groups[known]
    patients = int(data.groups.max()) + 1 if len(data.groups) else 0

    def count(which: NDArray[np.bool_]) -> NDArray[np.float64]:
        return np.bincount(groups, weights=which, minlength=patients).astype(np.float64)

    counts = Counts(
        count(~present & ~decided), count(~present & decided), count(present & ~decided), count(present & decided)
    )
    ranked = present.any() and not present.all()
    variance = auroc_variance(present, data.probabilities[known, column], groups)[1] if ranked else math.nan
    return ByPatient(counts, variance)


def too_few_patients(metric: str, condition: ConditionMetrics) -> str:
    """Why a condition's metric gets no interval, empty where it does."""
    if METRICS[metric].needs_positives and condition.positive_patients < MIN_PATIENTS:
        return f"no interval: {count_patients(condition.positive_patients)} with the condition"
    if METRICS[metric].needs_negatives and condition.negative_patients < MIN_PATIENTS:
        return f"no interval: {count_patients(condition.negative_patients)} without the condition"
    if condition.patients < MIN_PATIENTS:
        return f"no interval: {count_patients(condition.patients)}"
    return ""


def mean_difference_interval(
    estimate: Estimate,
    drawn: NDArray[np.float64],
    patients: NDArray[np.integer],
    *,
    level: float = 0.95,
    too_few: str = "",
) -> Estimate:
    """The difference of a mean over conditions with its t interval, see
    :func:`~ecgfounder_ft.evaluation.intervals.mean_spread`.

    Args:
        estimate: of the whole set.
        drawn: (resamples, k) differences of the conditions, NaN where undefined.
        patients: (k,) of the rarer kind, with or without the condition.
        level: of confidence.
        too_few: why no interval may be given, empty where it may.
    """
    if estimate.value is None:
        return estimate
    found = interval(estimate, drawn.mean(axis=1), level=level, too_few=too_few)
    if found.low is None:
        return found
    variance, freedom = mean_spread(drawn, patients)
    reach = float(t.ppf((1 + level) / 2, freedom)) * math.sqrt(variance)
    return replace(found, low=max(-1.0, estimate.value - reach), high=min(1.0, estimate.value + reach), method="t")


def patients_behind(metric: str, condition: ConditionMetrics) -> int:
    """Patients that a metric of a condition rests on: the rarer kind, where it needs both."""
    return rarer_patients(condition) if METRICS[metric].needs_positives else condition.patients


@dataclass(frozen=True)
class _Plan:
    """What is worked out once for a condition and reused in every resample."""

    sums: NDArray[np.float64]
    """(4 + 1 + bins, patients): TN, FP, FN, TP, squared errors, and probability minus label per bin."""
    patient: NDArray[np.int64]
    """(n,) patients of the known recordings from the highest probability to the lowest."""
    label: NDArray[np.float64]
    """(n,) in that order."""
    ends: NDArray[np.signedinteger]
    """Last position of each run of equal probabilities."""
    with_positives: NDArray[np.bool_]
    """For each run, whether a recording in it has the condition."""

    def metrics(self, counts: NDArray[np.float64]) -> NDArray[np.float64]:
        """(resamples, metrics) for counts (patients, resamples)."""
        tn, fp, fn, tp, squares, *gaps = self.sums @ counts
        of_decisions = Counts(tn, fp, fn, tp)
        total = of_decisions.positives + of_decisions.negatives
        auroc, auprc = self._areas(counts, of_decisions.positives, of_decisions.negatives)
        by_name = {
            "auroc": auroc,
            "auprc": auprc,
            "brier": _divide(squares, total),
            "ece": _divide(np.abs(gaps).sum(axis=0), total),
        }
        for name, metric in METRICS.items():
            if metric.ratio is not None:
                ratio = metric.ratio(of_decisions)
                by_name[name] = _divide(ratio.numerator, ratio.denominator)
        return np.column_stack([by_name[name] for name in METRICS])

    def _areas(
        self, counts: NDArray[np.float64], positives: NDArray[np.float64], negatives: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """AUROC by trapezoids and AUPRC as average precision, as scikit-learn defines both; (resamples,) each."""
        if not len(self.ends) or not self.with_positives.any():
            nothing = np.full(counts.shape[1], np.nan)
            return nothing, nothing
        weights = counts[self.patient]
        above = weights.cumsum(axis=0)
        weights *= self.label[:, None]
        true = np.cumsum(weights, axis=0, out=weights)
        if len(self.ends) < len(self.patient):
            above, true = above[self.ends], true[self.ends]
        at, selected = true[self.with_positives], above[self.with_positives]
        gained = np.diff(at, axis=0, prepend=0.0)
        precision = np.divide(at, selected, out=np.zeros_like(at), where=selected > 0)
        false = np.subtract(above, true, out=above)
        # twice the area: sum of the steps in false positives times the heights on both sides
        doubled = np.einsum("ij,ij->j", false[1:] - false[:-1], true[1:] + true[:-1]) + false[0] * true[0]
        auroc = _divide(doubled, 2 * positives * negatives)
        auprc = _divide(np.einsum("ij,ij->j", gained, precision), positives)
        return auroc, np.where(negatives > 0, auprc, np.nan)


def _plan(data: EvaluationInput, column: int, patients: int) -> _Plan:
    known = data.known[:, column]
    label = (data.targets[known, column] == PRESENT).astype(np.float64)
    probability = data.probabilities[known, column]
    decision = data.decisions[known, column].astype(np.float64)
    patient = data.groups[known]
    bins = calibration_bin(probability)
    terms = [
        (1 - label) * (1 - decision),
        (1 - label) * decision,
        label * (1 - decision),
        label * decision,
        (probability - label) ** 2,
        *((probability - label) * (bins == place) for place in range(ECE_BINS)),
    ]
    sums = np.stack([np.bincount(patient, weights=term, minlength=patients) for term in terms]).astype(np.float64)
    order = np.argsort(-probability, kind="stable")
    ordered = probability[order]
    ends = np.flatnonzero(np.append(ordered[1:] != ordered[:-1], len(ordered) > 0))
    starts = np.append(0, ends[:-1] + 1)
    with_positives = np.add.reduceat(label[order], starts) > 0 if len(ends) else np.empty(0, dtype=bool)
    return _Plan(sums, patient[order], label[order], ends, with_positives)


def _divide(numerator: NDArray[np.float64], denominator: NDArray[np.float64]) -> NDArray[np.float64]:
    """The ratio, NaN where the denominator is 0."""
    return np.divide(numerator, denominator, out=np.full(numerator.shape, np.nan), where=denominator > 0)
