"""Metrics of a binary decision, and the plain records that carry them.

Everything here works on the recordings of one condition: labels 0/1, the model's probabilities, the decisions
made from them. scikit-learn computes the metrics that need more than four counts. A metric that does not
exist (no recording with the condition, no positive decision) is None with the reason, never zero.
"""

import math
from collections.abc import Callable
from dataclasses import astuple, dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, brier_score_loss, confusion_matrix, roc_auc_score

ECE_BINS = 10
"""Equal-width bins of the expected calibration error and of reliability curves (Naeini et al., AAAI 2015)."""

NO_RECORDINGS = "no recording with a known label and a probability"
NO_POSITIVES = "no recording with the condition"
NO_NEGATIVES = "no recording without the condition"
NO_POSITIVE_DECISIONS = "no positive decision"
NO_NEGATIVE_DECISIONS = "no negative decision"


class Counts(NamedTuple):
    """Decisions of one condition: numbers, or arrays of them (one per resample)."""

    true_negatives: Any
    false_positives: Any
    false_negatives: Any
    true_positives: Any

    @property
    def positives(self) -> Any:
        """Recordings with the condition."""
        return self.true_positives + self.false_negatives

    @property
    def negatives(self) -> Any:
        """Recordings without it."""
        return self.true_negatives + self.false_positives


class Ratio(NamedTuple):
    """A metric that follows from the counts alone."""

    numerator: Any
    denominator: Any
    undefined: str
    """Why there is no value where the denominator is 0."""


@dataclass(frozen=True)
class Metric:
    """All that there is to know of a metric. One that follows from the counts is one more entry in :data:`METRICS`."""

    label: str
    """Its name in print."""
    table: str
    """The table of the report that it stands in: ``ranking`` (of probabilities) or ``decision``."""
    ratio: Callable[[Counts], Ratio] | None = None
    """None where it takes more than the counts: :func:`condition_estimates` and the bootstrap then each compute it."""
    lower_is_better: bool = False
    needs_positives: bool = False
    """It does not exist without recordings of the condition."""
    needs_negatives: bool = False
    """It does not exist without recordings that lack the condition."""
    raised_by_noise: bool = False
    """Resampling repeats recordings, which adds to it, so that percentiles may not even hold the estimate itself."""
    share: Callable[[Counts], Ratio] | None = None
    """The proportion of recordings that the metric follows from, where that is not its ratio."""
    of_share: Callable[[float], float] = float
    """The metric from that proportion; it rises with it, so that it takes ends of intervals to ends of intervals."""

    def proportion(self, counts: Counts) -> Ratio | None:
        """Recordings that are hits over recordings counted, None where the metric follows from no proportion."""
        source = self.share or self.ratio
        return None if source is None else source(counts)


def _f1(counts: Counts) -> Ratio:
    # without a recording of the condition 2 TP / (2 TP + FP + FN) is 0 or 0/0 whatever the model does
    wrong = counts.false_positives + counts.false_negatives
    there = counts.positives > 0
    return Ratio(2 * counts.true_positives, (2 * counts.true_positives + wrong) * there, NO_POSITIVES)


def _hits_among_positives_and_alarms(counts: Counts) -> Ratio:
    """F* = TP / (TP + FP + FN), of which F1 is 2 F* / (1 + F*) (Hand et al., Mach Learn 2021;110:451)."""
    involved = counts.true_positives + counts.false_positives + counts.false_negatives
    return Ratio(counts.true_positives, involved, NO_POSITIVES)


METRICS: dict[str, Metric] = {
    "auroc": Metric("AUROC", "ranking", needs_positives=True, needs_negatives=True),
    "auprc": Metric("AUPRC", "ranking", needs_positives=True, needs_negatives=True),
    "f1": Metric(
        "F1",
        "decision",
        _f1,
        needs_positives=True,
        share=_hits_among_positives_and_alarms,
        of_share=lambda share: 2 * share / (1 + share),
    ),
    "sensitivity": Metric(
        "Sensitivity",
        "decision",
        lambda counts: Ratio(counts.true_positives, counts.positives, NO_POSITIVES),
        needs_positives=True,
    ),
    "specificity": Metric(
        "Specificity",
        "decision",
        lambda counts: Ratio(counts.true_negatives, counts.negatives, NO_NEGATIVES),
        needs_negatives=True,
    ),
    "ppv": Metric(
        "PPV",
        "decision",
        lambda counts: Ratio(
            counts.true_positives, counts.true_positives + counts.false_positives, NO_POSITIVE_DECISIONS
        ),
    ),
    "npv": Metric(
        "NPV",
        "decision",
        lambda counts: Ratio(
            counts.true_negatives, counts.true_negatives + counts.false_negatives, NO_NEGATIVE_DECISIONS
        ),
    ),
    "accuracy": Metric(
        "Accuracy",
        "decision",
        lambda counts: Ratio(
            counts.true_positives + counts.true_negatives, counts.positives + counts.negatives, NO_RECORDINGS
        ),
    ),
    "brier": Metric("Brier score", "ranking", lower_is_better=True),
    "ece": Metric("ECE", "ranking", lower_is_better=True, raised_by_noise=True),
}
"""Every metric of a condition by its key in files."""


@dataclass(frozen=True)
class Estimate:
    """One metric, with its interval where one was computed."""

    value: float | None
    """None where the metric does not exist for these recordings."""
    low: float | None = None
    """Lower end of the confidence interval."""
    high: float | None = None
    """Upper end of the confidence interval."""
    undefined_resamples: int | None = None
    """Bootstrap resamples in which the metric did not exist; None where there was no bootstrap."""
    reason: str = ""
    """Why there is no value or no interval, or what to know about it."""
    method: str = ""
    """How the interval was made, one of :data:`INTERVAL_METHODS`; empty where there is none."""


INTERVAL_METHODS = ("score", "logit", "bound", "proportion", "mean", "t", "percentile", "sandwich")
"""Ways to an interval, see :mod:`~ecgfounder_ft.evaluation.intervals`: score of a model, logit scale, one-sided bound
of a perfect value, binomial with an effective number, from the conditions' intervals, t, percentiles of the resamples,
robust variance of a regression (:mod:`~ecgfounder_ft.evaluation.calibration_check`)."""


@dataclass(frozen=True)
class Confusion:
    """Counts of one condition's decisions."""

    true_negatives: int
    false_positives: int
    false_negatives: int
    true_positives: int

    @property
    def total(self) -> int:
        """Recordings counted."""
        return self.true_negatives + self.false_positives + self.false_negatives + self.true_positives

    def as_matrix(self) -> NDArray[np.int64]:
        """(2, 2): rows are the label (absent, present), columns the decision (absent, present)."""
        return np.array([[self.true_negatives, self.false_positives], [self.false_negatives, self.true_positives]])


@dataclass(frozen=True)
class ConditionMetrics:
    """What a test set says of one condition."""

    n: int
    """Recordings with a known label and a probability."""
    positives: int
    patients: int
    """Patients of those recordings."""
    positive_patients: int
    """Patients with at least one recording with the condition."""
    negative_patients: int
    """Patients with at least one recording without it."""
    unknown: int
    """Recordings left out because the label is unknown."""
    without_probability: int
    """Recordings left out because the model's probability is not a number."""
    threshold: float | None
    """Probability from which the condition is decided present; None where the most probable condition is
    decided."""
    confusion: Confusion
    metrics: dict[str, Estimate] = field(default_factory=dict)
    """By the keys of :data:`METRICS`."""

    @property
    def prevalence(self) -> float | None:
        """Share of recordings with the condition."""
        return self.positives / self.n if self.n else None


def confusion_of(labels: NDArray[np.integer], decisions: NDArray[np.bool_]) -> Confusion:
    """Counts of labels (n,) 0/1 against decisions (n,)."""
    if not len(labels):
        return Confusion(0, 0, 0, 0)
    matrix = confusion_matrix(labels, decisions.astype(int), labels=[0, 1])
    return Confusion(*(int(count) for count in matrix.ravel()))


def expected_calibration_error(labels: NDArray[np.integer], probabilities: NDArray[np.floating]) -> float:
    """Mean distance between stated probability and observed share over equal-width bins, weighted by their
    counts.

    ``ECE = sum_b n_b/n abs(mean probability in b - share with the condition in b)``, with :data:`ECE_BINS` bins over
    [0, 1] (Naeini et al., AAAI 2015; the last bin includes 1).
    """
    bins = calibration_bin(probabilities)
    gaps = np.bincount(bins, weights=probabilities - labels, minlength=ECE_BINS)
    return float(np.abs(gaps).sum() / len(labels))


def calibration_bin(probabilities: NDArray[np.floating]) -> NDArray[np.int64]:
    """The equal-width bin, 0 to ``ECE_BINS - 1``, of each probability."""
    return np.clip((probabilities * ECE_BINS).astype(np.int64), 0, ECE_BINS - 1)


def condition_estimates(
    labels: NDArray[np.integer], probabilities: NDArray[np.floating], decisions: NDArray[np.bool_]
) -> dict[str, Estimate]:
    """Every metric of :data:`METRICS` for one condition, without intervals.

    Args:
        labels: (n,) 0 or 1, known ones only.
        probabilities: (n,) in [0, 1], numbers only.
        decisions: (n,) whether the condition is decided present.
    """
    if not len(labels):
        return {name: Estimate(None, reason=NO_RECORDINGS) for name in METRICS}
    confusion = confusion_of(labels, decisions)
    counts = Counts(*astuple(confusion))
    one_sided = NO_POSITIVES if not counts.positives else NO_NEGATIVES if not counts.negatives else ""
    ranked = not one_sided
    found = {
        "auroc": Estimate(float(roc_auc_score(labels, probabilities)) if ranked else None, reason=one_sided),
        "auprc": Estimate(float(average_precision_score(labels, probabilities)) if ranked else None, reason=one_sided),
        "brier": Estimate(float(brier_score_loss(labels, probabilities, pos_label=1))),
        "ece": Estimate(expected_calibration_error(labels, probabilities)),
    }
    found |= {name: _quotient(metric.ratio(counts)) for name, metric in METRICS.items() if metric.ratio is not None}
    return {name: found[name] for name in METRICS}


def count_patients(number: int) -> str:
    """The number with the noun that agrees with it: "1 patient", "2 patients"."""
    return f"{number:,} patient{'' if number == 1 else 's'}"


def count_recordings(number: int) -> str:
    """As :func:`count_patients`."""
    return f"{number:,} recording{'' if number == 1 else 's'}"


def macro_estimate(estimates: dict[str, Estimate]) -> Estimate:
    """Mean of one metric over the conditions where it exists; the reason names those where it does not.

    Args:
        estimates: condition code to that condition's metric.
    """
    missing = [code for code, estimate in estimates.items() if estimate.value is None]
    values = [estimate.value for estimate in estimates.values() if estimate.value is not None]
    if not values:
        return Estimate(None, reason="undefined for every condition")
    reason = f"mean of {len(values)} of {len(estimates)} conditions, without {', '.join(missing)}" if missing else ""
    return Estimate(math.fsum(values) / len(values), reason=reason)


def _quotient(ratio: Ratio) -> Estimate:
    if not ratio.denominator:
        return Estimate(None, reason=ratio.undefined)
    return Estimate(ratio.numerator / ratio.denominator)
