"""Points of receiver operating, precision-recall and reliability curves."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import precision_recall_curve, roc_curve

from ecgfounder_ft.evaluation.metrics import ECE_BINS, calibration_bin

BAND_RESAMPLES = 200
"""Resamples of patients behind a band."""


@dataclass(frozen=True)
class Curve:
    """Points of one curve, (m,) each."""

    x: NDArray[np.float64]
    y: NDArray[np.float64]


@dataclass(frozen=True)
class Band:
    """Limits around a curve, (m,) each."""

    x: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]


@dataclass(frozen=True)
class ReliabilityCurve:
    """Stated probability against observed share, over the equal-width bins that hold recordings; (m,)
    each."""

    stated: NDArray[np.float64]
    """Mean probability in the bin."""
    observed: NDArray[np.float64]
    """Share of the bin's recordings with the condition."""
    count: NDArray[np.int64]
    """Recordings in the bin."""


def roc(labels: NDArray[np.integer], probabilities: NDArray[np.floating]) -> Curve | None:
    """1 - specificity against sensitivity; None where the labels are all the same."""
    if len(np.unique(labels)) < 2:
        return None
    false_rate, true_rate, _ = roc_curve(labels, probabilities)
    return Curve(false_rate, true_rate)


def roc_band(
    labels: NDArray[np.integer], probabilities: NDArray[np.floating], patients: NDArray[np.integer], seed: int = 0
) -> Band:
    """Find where 95% of the sensitivities lie at each false-positive rate, over resamples of the patients.

    Args:
        labels: (n,) 1 or 0, of both kinds.
        probabilities: (n,).
        patients: (n,).
        seed: of the resamples.
    """
    order = np.argsort(-probabilities, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(probabilities[order])), len(order) - 1)  # of recordings with equal scores
    positive = (labels[order] == 1).astype(np.float64)
    _, group = np.unique(patients, return_inverse=True)
    x, found, generator = np.linspace(0, 1, 101), [], np.random.default_rng(seed)
    for _ in range(BAND_RESAMPLES):
        drawn = np.bincount(generator.integers(0, group.max() + 1, group.max() + 1), minlength=group.max() + 1)
        weights = drawn[group][order]
        hits, alarms = np.cumsum(weights * positive)[ends], np.cumsum(weights * (1 - positive))[ends]
        if hits[-1] and alarms[-1]:
            found.append(np.interp(x, np.append(0, alarms / alarms[-1]), np.append(0, hits / hits[-1])))
    low, high = np.percentile(found, (2.5, 97.5), axis=0) if found else (np.full(101, np.nan),) * 2
    return Band(x, low, high)


def precision_recall(labels: NDArray[np.integer], probabilities: NDArray[np.floating]) -> Curve | None:
    """Sensitivity (recall) against PPV (precision); None where the labels are all the same.

    The area under its steps is the average precision: between two recalls the precision of the higher one holds. The
    curve begins at recall 0 with the precision at which the first recording of the condition is found.
    """
    if len(np.unique(labels)) < 2:
        return None
    precision, recall, _ = precision_recall_curve(labels, probabilities)
    found = recall[::-1] > 0
    x, y = recall[::-1][found], precision[::-1][found]
    return Curve(np.append(0.0, x), np.append(y[0], y))


def reliability(labels: NDArray[np.integer], probabilities: NDArray[np.floating]) -> ReliabilityCurve | None:
    """The reliability curve over the bins of the expected calibration error; None without recordings."""
    if not len(labels):
        return None
    bins = calibration_bin(probabilities)
    count = np.bincount(bins, minlength=ECE_BINS)
    filled = count > 0
    stated = np.bincount(bins, weights=probabilities, minlength=ECE_BINS)[filled] / count[filled]
    observed = np.bincount(bins, weights=labels, minlength=ECE_BINS)[filled] / count[filled]
    return ReliabilityCurve(stated, observed, count[filled])
