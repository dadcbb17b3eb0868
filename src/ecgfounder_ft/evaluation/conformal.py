"""Conformal sets for each condition of a multi-label task: ``present``, ``absent`` or ``undecided`` at an error rate.

Take the m validation recordings that have a condition, one of each patient. Of new recordings
that are exchangeable with them, a share e lies below the e (m + 1)-th smallest (Vovk, Gammerman and Shafer 2005).
``present`` is ruled out below that cut. ``absent`` is ruled out above the cut of the recordings without the condition,
found likewise. Where both or neither are ruled out, the condition is undecided. A rank that is no whole number lies
between two recordings; rounded down, 18 positives would cover 95% where 90% are stated.

Fewer than 1 / e - 1 patients of a kind have no cut at that rate, and the condition then has no sets. A calibration that
rises with the probability changes no rank, so cuts and calibration may be of the same recordings.

A sort and an index are all that it takes, so neither MAPIE nor crepes is needed; they know no patients.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ecgfounder_ft.evaluation.bootstrap import MIN_PATIENTS
from ecgfounder_ft.evaluation.inputs import EvaluationInput
from ecgfounder_ft.evaluation.intervals import proportion_interval
from ecgfounder_ft.evaluation.metrics import Estimate, count_patients
from ecgfounder_ft.labels import ABSENT, PRESENT, UNKNOWN

_WORDS = {PRESENT: "with", ABSENT: "without"}


@dataclass(frozen=True)
class ConformalCuts:
    """Cuts of the conditions, chosen on validation."""

    error_rate: float
    """Share of the recordings with, and of those without, a condition that may be decided wrongly."""
    present_from: dict[str, float]
    """Condition code to the probability below which ``present`` is ruled out."""
    absent_to: dict[str, float]
    """Condition code to the probability above which ``absent`` is ruled out."""
    notes: dict[str, str] = field(default_factory=dict)
    """Condition code to why it has no sets."""

    def kept(self, probabilities: NDArray[np.floating], code: str) -> NDArray[np.bool_]:
        """(n, 2) whether ``absent`` and ``present`` are not ruled out."""
        return np.column_stack([probabilities <= self.absent_to[code], probabilities >= self.present_from[code]])

    def decisions(self, probabilities: NDArray[np.floating], code: str) -> NDArray[np.int8]:
        """(n,) 1 present, 0 absent, -1 undecided, also where there is no probability."""
        absent, present = self.kept(probabilities, code).T
        return np.where(present == absent, UNKNOWN, np.where(present, PRESENT, ABSENT)).astype(np.int8)


@dataclass(frozen=True)
class ConformalSets:
    """Cuts, and what came of them on the evaluated recordings."""

    cuts: ConformalCuts
    conditions: dict[str, dict[str, Estimate]]
    """Condition code to ``coverage_with`` and ``coverage_without`` (shares of the recordings with, and without, the
    condition that are not decided wrongly) and ``undecided`` (share of all)."""

    def to_dict(self) -> dict[str, Any]:
        """Plain containers, as in ``metrics.json``."""
        return asdict(self)


def conformal_cuts(
    targets: NDArray[np.integer],
    probabilities: NDArray[np.floating],
    groups: NDArray[Any],
    codes: Sequence[str],
    *,
    error_rate: float,
    seed: int,
) -> ConformalCuts:
    """Find the cuts on validation recordings.

    Args:
        targets: (n, k) 1, 0 or -1 (unknown, left out).
        probabilities: (n, k) calibrated; NaN is left out.
        groups: (n,) patient of each recording; of several of a kind, one recording is drawn.
        codes: (k,) condition codes.
        error_rate: over 0 and under 0.5.
        seed: of the draws.
    """
    cuts = ConformalCuts(error_rate, {}, {})
    order = np.random.default_rng(seed).permutation(len(targets))
    needed = math.ceil(1 / error_rate - 1 - 1e-9)
    for column, code in enumerate(codes):
        found = {}
        for state in (PRESENT, ABSENT):
            rows = order[(targets[order, column] == state) & ~np.isnan(probabilities[order, column])]
            drawn = rows[np.unique(groups[rows], return_index=True)[1]]
            found[state] = np.sort(probabilities[drawn, column])
        short = [
            f"{count_patients(len(found[state]))} {words} it"
            for state, words in _WORDS.items()
            if len(found[state]) < needed
        ]
        if short:
            cuts.notes[code] = (
                f"no sets: {' and '.join(short)} in validation, and an error rate of {error_rate:g} needs {needed}"
            )
            continue
        cuts.present_from[code] = _cut(found[PRESENT], error_rate)
        cuts.absent_to[code] = -_cut(-found[ABSENT][::-1], error_rate)
    return cuts


def evaluate_sets(cuts: ConformalCuts, data: EvaluationInput, *, level: float = 0.95) -> ConformalSets:
    """Count coverage and undecided recordings, with binomial intervals in which patients are what is drawn.

    Args:
        cuts: from validation.
        data: the evaluated recordings with calibrated probabilities.
        level: of confidence.
    """
    conditions = {}
    for column, code in enumerate(data.codes):
        if code not in cuts.present_from:
            continue
        known = data.known[:, column]
        labels, groups = data.targets[known, column], data.groups[known]
        decided = cuts.decisions(data.probabilities[known, column], code)
        right = (decided == labels) | (decided == UNKNOWN)
        conditions[code] = {
            **{
                f"coverage_{words}": _share(right[labels == state], groups[labels == state], level)
                for state, words in _WORDS.items()
            },
            "undecided": _share(decided == UNKNOWN, groups, level),
        }
    return ConformalSets(cuts, conditions)


def _share(hits: NDArray[np.bool_], groups: NDArray[np.integer], level: float) -> Estimate:
    """A share of recordings with its interval, where enough patients stand behind it."""
    if not len(hits):
        return Estimate(None, reason="no such recording")
    patient = np.unique(groups, return_inverse=True)[1].reshape(-1)
    totals = np.bincount(patient).astype(np.float64)
    value = float(hits.mean())
    if len(totals) < MIN_PATIENTS:
        return Estimate(value, reason=f"no interval: {count_patients(len(totals))}")
    low, high = proportion_interval(np.bincount(patient, weights=hits).astype(np.float64), totals, level)
    return Estimate(value, low, high, method="proportion")


def _cut(rising: NDArray[np.float64], error_rate: float) -> float:
    """The e (m + 1)-th of m sorted values, between two of them where that is no whole number."""
    rank = max(1.0, error_rate * (len(rising) + 1))
    return float(np.interp(rank, np.arange(1, len(rising) + 1), rising))
