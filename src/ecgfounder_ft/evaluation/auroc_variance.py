"""Variance of an AUROC between patients, by placements.

The placement of a recording with the condition is the share of recordings without it that score lower. That of a
recording without it is the share of those with it that score higher; ties count half. AUROC is the mean of either kind,
and its variance follows from how they spread (DeLong, DeLong and Clarke-Pearson, Biometrics 1988;44:837). Recordings of
one patient are alike, so their placements are added up first (Obuchowski, Biometrics 1997;53:567).
"""

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata


def auroc_influences(
    labels: NDArray[np.bool_], scores: NDArray[np.floating], patients: NDArray[np.integer]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """AUROC, and how far each patient draws it from where it would be otherwise.

    The sum of the squares of a patient's influences is the variance of the AUROC, and the sum of products that of two
    AUROCs is their covariance. Sums over patients with the condition are made good for one degree of freedom, by
    m / (m - 1), and likewise those without.

    Args:
        labels: (n,) whether a recording has the condition; at least one has, and one has not.
        scores: (..., n) of one model or several; the higher, the likelier the condition.
        patients: (n,) numbered from 0.

    Returns:
        (...) AUROC and (..., patients) influences; with fewer than two patients of a kind those of this kind are 0.
    """
    positive = np.flatnonzero(labels)
    negative = np.flatnonzero(~labels)
    scores = np.asarray(scores, dtype=np.float64)
    ranks = rankdata(scores, axis=-1)
    placed_positive = (ranks[..., positive] - rankdata(scores[..., positive], axis=-1)) / len(negative)
    placed_negative = 1 - (ranks[..., negative] - rankdata(scores[..., negative], axis=-1)) / len(positive)
    auroc = placed_positive.mean(axis=-1)
    influences = np.zeros((*scores.shape[:-1], int(patients.max()) + 1))
    for rows, placed in ((positive, placed_positive), (negative, placed_negative)):
        there = len(np.unique(patients[rows]))
        made_good = np.sqrt(there / (there - 1)) if there > 1 else 0.0
        drawn = np.moveaxis((placed - auroc[..., None]) * made_good / len(rows), -1, 0)
        np.add.at(np.moveaxis(influences, -1, 0), patients[rows], drawn)
    return auroc, influences


def auroc_variance(
    labels: NDArray[np.bool_], scores: NDArray[np.floating], patients: NDArray[np.integer]
) -> tuple[float, float]:
    """AUROC of one model and its variance between patients.

    Args:
        labels: (n,) whether a recording has the condition; at least one has, and one has not.
        scores: (n,) the higher, the likelier the condition.
        patients: (n,) numbered from 0.
    """
    auroc, influences = auroc_influences(labels, scores, patients)
    return float(auroc), float((influences**2).sum())
