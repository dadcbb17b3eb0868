"""Which recordings to look at: the errors the model was surest of, and those it was least sure of."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import logit

from ecgfounder_ft.evaluation.inputs import EvaluationInput
from ecgfounder_ft.labels import PRESENT
from ecgfounder_ft.task import DEFAULT_THRESHOLD

CONFIDENT_ERROR = "confident error"
LEAST_CERTAIN = "least certain"

SMALL_MARGIN = 0.2
"""Largest margin between the two most probable conditions of an uncertain recording."""

SMALL_LOG_ODDS = 1.0
"""Largest distance of an uncertain recording's log-odds from those of the threshold."""

_EPSILON = 1e-6


@dataclass(frozen=True)
class Case:
    """One recording worth a look, and why."""

    row: int
    """Position among the recordings that the data was prepared from."""
    kind: str
    """:data:`CONFIDENT_ERROR` or :data:`LEAST_CERTAIN`."""
    code: str
    """The condition in question."""
    reason: str


def choose_cases(data: EvaluationInput, *, errors_per_condition: int = 2, least_certain: int = 6) -> list[Case]:
    """The most confident errors of each condition, then the least certain recordings; none twice.

    Confidence is the distance of the log-odds from those of the threshold (multi label), or the lead of the decided
    condition's probability over that of the label (single label). Errors are taken in turn over conditions, those of a
    missed condition and of a false alarm alike.

    Args:
        data: of the test set.
        errors_per_condition: at most so many errors are chosen for each condition.
        least_certain: at most so many recordings near a threshold, or with two conditions nearly equal.
    """
    margin = _margins(data)
    wrong = data.known & (data.decisions != (data.targets == PRESENT))
    chosen: list[Case] = []
    seen: set[int] = set()
    for column, code in enumerate(data.codes):
        taken = 0
        rows = np.flatnonzero(wrong[:, column])
        for row in rows[np.argsort(-margin[rows, column], kind="stable")]:
            if taken == errors_per_condition:
                break
            if int(row) in seen:
                continue
            missed = bool(data.targets[row, column] == PRESENT)
            what = f"{code} is labelled and was missed" if missed else f"{code} was decided and is not labelled"
            chosen.append(_case(data, int(row), column, CONFIDENT_ERROR, what))
            seen.add(int(row))
            taken += 1
    usable = np.asarray(data.known.any(axis=1))
    margins = _between_the_best(data) if data.task.exclusive and len(data.codes) > 1 else margin
    nearest = np.where(data.known, margins, np.inf)
    order = np.argsort(nearest.min(axis=1), kind="stable") if len(nearest) else np.empty(0, dtype=np.int64)
    for row in order[usable[order]]:
        if least_certain == 0:
            break
        if int(row) in seen:
            continue
        column = int(nearest[row].argmin())
        if nearest[row, column] > (SMALL_MARGIN if data.task.exclusive else SMALL_LOG_ODDS):
            break
        if data.task.exclusive and len(data.codes) > 1:
            first, second = (int(place) for place in np.argsort(-data.probabilities[row], kind="stable")[:2])
            odds = [f"{data.codes[place]} ({data.probabilities[row, place]:.3f})" for place in (first, second)]
            reason = f"{odds[0]} and {odds[1]} are nearly as probable"
            chosen.append(Case(int(data.kept[row]), LEAST_CERTAIN, data.codes[first], reason))
        else:
            what = f"{data.codes[column]} is close to its threshold"
            chosen.append(_case(data, int(row), column, LEAST_CERTAIN, what))
        seen.add(int(row))
        least_certain -= 1
    return chosen


def _case(data: EvaluationInput, row: int, column: int, kind: str, what: str) -> Case:
    reason = f"{what} (probability {data.probabilities[row, column]:.3f})"
    return Case(int(data.kept[row]), kind, data.codes[column], reason)


def _between_the_best(data: EvaluationInput) -> NDArray[np.float64]:
    """(n, k): the lead of the most probable condition over the second, the same for all conditions."""
    ordered = np.sort(data.probabilities, axis=1)
    return np.repeat(ordered[:, -1:] - ordered[:, -2:-1], ordered.shape[1], axis=1)


def _margins(data: EvaluationInput) -> NDArray[np.float64]:
    """(n, k): how sure each decision is; NaN without a probability."""
    if data.task.exclusive:
        if not len(data.probabilities):
            return data.probabilities
        ordered = np.sort(data.probabilities, axis=1)
        if ordered.shape[1] == 1:
            return np.abs(data.probabilities - DEFAULT_THRESHOLD)
        best, second = ordered[:, -1:], ordered[:, -2:-1]
        return np.where(data.decisions, best - second, best - data.probabilities)
    assert data.thresholds is not None
    odds = logit(np.clip(data.probabilities, _EPSILON, 1 - _EPSILON))
    return np.abs(odds - logit(np.clip(data.thresholds, _EPSILON, 1 - _EPSILON)))
