"""Metrics of a binary decision, and the plain records that carry them.

Everything here works on the recordings of one condition: labels 0/1, the model's probabilities, the decisions
made from them. scikit-learn computes the metrics that need more than four counts. A metric that does not
exist (no recording with the condition, no positive decision) is None with the reason, never zero.
"""

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, brier_score_loss, confusion_matrix, roc_auc_score

METRICS: dict[str, str] = {
    "auroc": "AUROC",
    "auprc": "AUPRC",
    "f1": "F1",
    "sensitivity": "Sensitivity",
    "specificity": "Specificity",
    "ppv": "PPV",
    "npv": "NPV",
    "accuracy": "Accuracy",
    "brier": "Brier score",
    "ece": "ECE",
}
"""Every metric of a condition by its key in files, with its name in print."""

LOWER_IS_BETTER = frozenset({"brier", "ece"})

ECE_BINS = 10
"""Equal-width bins of the expected calibration error and of reliability curves (Naeini et al., AAAI 2015)."""

NO_RECORDINGS = "no recording with a known label and a probability"
NO_POSITIVES = "no recording with the condition"
NO_NEGATIVES = "no recording without the condition"
NO_POSITIVE_DECISIONS = "no positive decision"
NO_NEGATIVE_DECISIONS = "no negative decision"


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

    ECE = sum_b n_b/n |mean probability in b - share with the condition in b|, with :data:`ECE_BINS` bins over
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
    counts = confusion_of(labels, decisions)
    tn, fp = counts.true_negatives, counts.false_positives
    fn, tp = counts.false_negatives, counts.true_positives
    positives, negatives = tp + fn, tn + fp
    one_sided = NO_POSITIVES if not positives else NO_NEGATIVES if not negatives else ""
    ranked = not one_sided
    return {
        "auroc": Estimate(float(roc_auc_score(labels, probabilities)) if ranked else None, reason=one_sided),
        "auprc": Estimate(float(average_precision_score(labels, probabilities)) if ranked else None, reason=one_sided),
        # without a recording of the condition 2 TP / (2 TP + FP + FN) is 0 or 0/0 whatever the model does
        "f1": _ratio(2 * tp, 2 * tp + fp + fn if positives else 0, NO_POSITIVES),
        "sensitivity": _ratio(tp, positives, NO_POSITIVES),
        "specificity": _ratio(tn, negatives, NO_NEGATIVES),
        "ppv": _ratio(tp, tp + fp, NO_POSITIVE_DECISIONS),
        "npv": _ratio(tn, tn + fn, NO_NEGATIVE_DECISIONS),
        "accuracy": _ratio(tp + tn, counts.total, NO_RECORDINGS),
        "brier": Estimate(float(brier_score_loss(labels, probabilities, pos_label=1))),
        "ece": Estimate(expected_calibration_error(labels, probabilities)),
    }


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


def _ratio(numerator: int, denominator: int, reason: str) -> Estimate:
    return Estimate(numerator / denominator) if denominator else Estimate(None, reason=reason)
