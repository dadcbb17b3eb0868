"""Whether stated probabilities can be taken at their word: calibration slope and intercept, with their intervals.

logit P(condition) = a + b logit(p) over recordings of known label (Cox, Biometrika 1958;45:562). The *slope* is b:
below 1, probabilities are too extreme; above 1, too timid. The *intercept* is a where b is held at 1 (calibration in
the large; Van Calster et al., J Clin Epidemiol 2016;74:167): below 0, probabilities are too high on the whole; above 0,
too low.

Intervals come from the variance between patients (the sandwich of Liang and Zeger, Biometrika 1986;73:13, times
m/(m - 1) for m patients) and a t quantile with one degree of freedom fewer than there are patients with the condition,
or without it, whichever are fewer.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import expit
from scipy.stats import t

from ecgfounder_ft.evaluation.bootstrap import MIN_PATIENTS
from ecgfounder_ft.evaluation.metrics import (
    NO_NEGATIVES,
    NO_POSITIVES,
    NO_RECORDINGS,
    Estimate,
    count_patients,
    expected_calibration_error,
)
from ecgfounder_ft.evaluation.probabilities import log_losses, log_odds
from ecgfounder_ft.labels import PRESENT
from ecgfounder_ft.task import MULTI_LABEL

CHECKS = ("slope", "intercept", "log_loss", "brier", "ece")
"""What is looked at; the last three without intervals."""

_MAX_STEPS = 100


def check_calibration(
    targets: NDArray[np.integer],
    probabilities: NDArray[np.floating],
    groups: NDArray[np.integer],
    codes: Sequence[str],
    *,
    level: float = 0.95,
) -> dict[str, dict[str, Estimate]]:
    """Condition code to :data:`CHECKS` to estimates.

    Args:
        targets: (n, k) 1, 0 or -1 (unknown, left out).
        probabilities: (n, k); NaN is left out.
        groups: (n,) patient of each recording.
        codes: (k,) condition codes.
        level: of confidence.
    """
    found = {}
    for column, code in enumerate(codes):
        known = (targets[:, column] >= 0) & ~np.isnan(probabilities[:, column])
        label = targets[known, column] == PRESENT
        found[code] = _check(label, probabilities[known, column], groups[known], level)
    return found


def _check(
    label: NDArray[np.bool_], probability: NDArray[np.floating], patient: NDArray[np.integer], level: float
) -> dict[str, Estimate]:
    if not len(label):
        return dict.fromkeys(CHECKS, Estimate(None, reason=NO_RECORDINGS))
    states = label.astype(np.int8)
    checks = {
        "log_loss": Estimate(float(log_losses(states[:, None], probability[:, None], MULTI_LABEL).mean())),
        "brier": Estimate(float(((probability - label) ** 2).mean())),
        "ece": Estimate(expected_calibration_error(states, probability)),
    }
    if label.all() or not label.any():
        missing = Estimate(None, reason=NO_NEGATIVES if label.all() else NO_POSITIVES)
        return {"slope": missing, "intercept": missing, **checks}
    score = log_odds(probability)
    rarer = min(len(np.unique(patient[label])), len(np.unique(patient[~label])))

    def estimate(value: float, design: NDArray[np.float64], odds: NDArray[np.float64]) -> Estimate:
        if rarer < MIN_PATIENTS:
            return Estimate(value, reason=f"no interval: {count_patients(rarer)} of the rarer kind")
        variance = _between_patients(design, expit(odds), label, patient)
        reach = float(t.ppf((1 + level) / 2, rarer - 1)) * float(np.sqrt(variance[-1, -1]))
        return Estimate(value, value - reach, value + reach, method="sandwich")

    ones = np.ones((len(score), 1))
    shift = float(brentq(lambda value: float((expit(score + value) - label).sum()), -100, 100))
    intercept = estimate(shift, ones, score + shift)
    design = np.column_stack([ones, score])
    fitted = _logistic(design, label)
    slope = (
        Estimate(None, reason="the probabilities tell all recordings apart, or none")
        if fitted is None
        else estimate(float(fitted[1]), design, design @ fitted)
    )
    return {"slope": slope, "intercept": intercept, **checks}


def _logistic(design: NDArray[np.float64], label: NDArray[np.bool_]) -> NDArray[np.float64] | None:
    """Coefficients (2,) of a logistic regression by Newton's steps, None where they have no end."""
    score = design[:, 1]
    one, other = score[label], score[~label]
    if np.ptp(score) < 1e-9 or one.min() >= other.max() or other.min() >= one.max():
        return None
    centre, spread = score.mean(), score.std()
    scaled = np.column_stack([design[:, 0], (score - centre) / spread])
    found = np.zeros(2)
    for _ in range(_MAX_STEPS):
        chance = expit(scaled @ found)
        information = scaled.T @ (scaled * (chance * (1 - chance))[:, None])
        step = np.linalg.solve(information + 1e-12 * np.eye(2), scaled.T @ (label - chance))
        step *= min(1.0, 2.0 / max(1e-12, float(np.abs(step).max())))  # far from the end Newton's steps overshoot
        found = found + step
        if np.abs(step).max() < 1e-10:
            break
    return np.array([found[0] - found[1] * centre / spread, found[1] / spread])


def _between_patients(
    design: NDArray[np.float64], chance: NDArray[np.float64], label: NDArray[np.bool_], patient: NDArray[np.integer]
) -> NDArray[np.float64]:
    """Variance of the coefficients from the sums of the scores of each patient."""
    bread = np.linalg.inv(design.T @ (design * (chance * (1 - chance))[:, None]))
    of_recordings = design * (label - chance)[:, None]
    position = np.unique(patient, return_inverse=True)[1].reshape(-1)
    patients = int(position.max()) + 1
    sums = np.stack([np.bincount(position, weights=column, minlength=patients) for column in of_recordings.T], axis=1)
    return patients / max(1, patients - 1) * bread @ (sums.T @ sums) @ bread
