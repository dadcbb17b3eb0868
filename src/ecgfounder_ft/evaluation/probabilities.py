"""Log-odds and log losses of probabilities, finite where a model is certain."""

import numpy as np
from numpy.typing import NDArray
from scipy.special import logit

from ecgfounder_ft.labels import PRESENT, UNKNOWN
from ecgfounder_ft.task import Task

EPSILON = 1e-7
"""Probabilities are kept this far from 0 and 1, where log-odds are infinite."""


def off_the_ends(probabilities: NDArray[np.floating]) -> NDArray[np.float64]:
    """Probabilities of any shape, at least :data:`EPSILON` from 0 and 1; NaN stays NaN."""
    return np.clip(np.asarray(probabilities, dtype=np.float64), EPSILON, 1 - EPSILON)


def log_odds(probabilities: NDArray[np.floating]) -> NDArray[np.float64]:
    """log(p / (1 - p)) of probabilities of any shape."""
    return np.asarray(logit(off_the_ends(probabilities)))


def log_losses(targets: NDArray[np.integer], probabilities: NDArray[np.floating], task: Task) -> NDArray[np.float64]:
    """Negative logarithm of the probability of what is so, of each recording.

    Args:
        targets: (n, k) 1, 0 or -1; in a single-label task exactly one of a recording is 1.
        probabilities: (n, k).
        task: of the model.

    Returns:
        (n, k), NaN where the label is unknown or there is no probability; in a single-label task (n, 1), of the
        condition that is present.
    """
    p, present = off_the_ends(probabilities), targets == PRESENT
    if task.exclusive:
        return np.asarray(-np.log(np.where(present, p, 0).sum(axis=1, keepdims=True)))
    return np.where(targets != UNKNOWN, -np.where(present, np.log(p), np.log1p(-p)), np.nan)
