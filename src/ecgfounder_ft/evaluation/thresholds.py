"""Decision thresholds, chosen on validation recordings and only applied to test recordings.

A condition is decided present where its probability is at least its threshold.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.metrics import roc_curve

from ecgfounder_ft.evaluation.bootstrap import FEW_PATIENTS, MIN_PATIENTS
from ecgfounder_ft.evaluation.metrics import count_patients
from ecgfounder_ft.evaluation.settings import THRESHOLD_RULES
from ecgfounder_ft.labels import PRESENT, UNKNOWN
from ecgfounder_ft.records import check_record
from ecgfounder_ft.task import DEFAULT_THRESHOLD

_RESAMPLES = 200
"""Of the patients, for a threshold's interval."""


@dataclass(frozen=True)
class Thresholds:
    """One threshold per condition and how it was chosen."""

    method: str
    values: dict[str, float]
    """Condition code to threshold, in output order."""
    chosen_on: str = "validation"
    sensitivity: float | None = None
    """The wished sensitivity, for that method."""
    notes: dict[str, str] = field(default_factory=dict)
    """Condition code to why its threshold is the default one, or is to be taken with care."""
    intervals: dict[str, list[float]] = field(default_factory=dict)
    """Condition code to the ends of the threshold's 95% interval, where fewer than
    :data:`~ecgfounder_ft.evaluation.bootstrap.FEW_PATIENTS` validation patients have the condition, but at least
    :data:`~ecgfounder_ft.evaluation.bootstrap.MIN_PATIENTS`."""

    def to_dict(self) -> dict[str, Any]:
        """The content of ``thresholds.json``."""
        return asdict(self)

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> "Thresholds":
        """Inverse of :meth:`to_dict`.

        Raises:
            ValueError: if something is missing, unknown or of another type.
        """
        check_record(cls, content, "thresholds")
        for code, value in content["values"].items():
            if not 0 < value <= 1:
                raise ValueError(f"the threshold of {code} is {value:g}, expected above 0 and up to 1")
        return cls(**content)

    def array(self, codes: Sequence[str]) -> NDArray[np.float64]:
        """Thresholds (k,) in the order of the codes.

        Raises:
            KeyError: if a condition has none; the message names what is there.
        """
        missing = [code for code in codes if code not in self.values]
        if missing:
            raise KeyError(f"no threshold for {', '.join(missing)}; there are {', '.join(self.values)}")
        return np.array([self.values[code] for code in codes])


def fixed_thresholds(codes: Sequence[str], value: float = DEFAULT_THRESHOLD) -> Thresholds:
    """The same threshold for every condition."""
    return Thresholds("fixed", dict.fromkeys(codes, float(value)), chosen_on="none")


def choose_thresholds(
    targets: NDArray[np.integer],
    probabilities: NDArray[np.floating],
    codes: Sequence[str],
    *,
    method: str = "f1",
    sensitivity: float | None = None,
    groups: ArrayLike | None = None,
    seed: int = 0,
) -> Thresholds:
    """Choose a threshold for each condition on validation recordings.

    The threshold lies half-way between two neighbouring probabilities, so that rounding in a file moves no
    decision. Of equally good ones the nearest to 0.5 is taken. A condition without positives or negatives
    keeps 0.5, with a note. One that few patients have gets a note and an interval: 2.5th and 97.5th percentile of the
    thresholds that resamples of the patients would have chosen (those with the condition and the others drawn apart, so
    that no resample is without either). Fewer than five patients, whose resamples are all alike, get the note alone.

    Args:
        targets: (n, k) 1, 0 or -1 (unknown, left out).
        probabilities: (n, k); NaN is left out.
        codes: (k,) condition codes.
        method: one of :data:`~ecgfounder_ft.evaluation.settings.THRESHOLD_RULES`.
        sensitivity: the least sensitivity wished, for ``method="sensitivity"``: the highest threshold that
            has it.
        groups: (n,) patient of each recording, None: each has its own.
        seed: of the resamples.

    Raises:
        ValueError: for an unknown method or a sensitivity outside (0, 1].
    """
    if method not in THRESHOLD_RULES:
        raise ValueError(f"threshold method '{method}': expected one of {', '.join(THRESHOLD_RULES)}")
    if method == "sensitivity" and not (sensitivity is not None and 0 < sensitivity <= 1):
        raise ValueError(f"wished sensitivity {sensitivity}: expected a number over 0 and up to 1")
    if method == "fixed":
        return fixed_thresholds(codes)
    values: dict[str, float] = {}
    notes: dict[str, str] = {}
    intervals: dict[str, list[float]] = {}
    patients = np.arange(len(targets)) if groups is None else np.asarray(groups).astype(str)
    for column, code in enumerate(codes):
        known = (targets[:, column] != UNKNOWN) & ~np.isnan(probabilities[:, column])
        labels = targets[known, column] == PRESENT
        if labels.all() or not labels.any():
            values[code] = DEFAULT_THRESHOLD
            notes[code] = f"{int(labels.sum())} positives of {len(labels)} in validation, so the default is kept"
            continue
        scores, patient = probabilities[known, column], patients[known]
        values[code] = _best_threshold(labels, scores, method, sensitivity)
        few = len(np.unique(patient[labels]))
        if few < MIN_PATIENTS:
            notes[code] = (
                f"chosen from {count_patients(few)} with the condition in validation, too few to tell how far off it is"
            )
        elif few < FEW_PATIENTS:
            low, high = _threshold_interval(labels, scores, patient, method, sensitivity, seed)
            intervals[code] = [low, high]
            notes[code] = (
                f"chosen from {count_patients(few)} with the condition in validation; other patients might have given "
                f"{low:.3f} to {high:.3f} (95% interval)"
            )
    wished = sensitivity if method == "sensitivity" else None
    return Thresholds(method, values, sensitivity=wished, notes=notes, intervals=intervals)


def _threshold_interval(
    labels: NDArray[np.bool_],
    probabilities: NDArray[np.floating],
    patients: NDArray[Any],
    method: str,
    sensitivity: float | None,
    seed: int,
) -> tuple[float, float]:
    generator = np.random.default_rng(seed)
    position = np.unique(patients, return_inverse=True)[1].reshape(-1)
    with_it = np.unique(position[labels])
    without = np.setdiff1d(position, with_it)
    found = []
    for _ in range(_RESAMPLES):
        drawn = [part[generator.integers(0, len(part), len(part))] for part in (with_it, without) if len(part)]
        times = np.bincount(np.concatenate(drawn), minlength=int(position.max()) + 1)
        chosen = np.repeat(np.arange(len(labels)), times[position])
        if labels[chosen].all() or not labels[chosen].any():  # only where no patient is without the condition
            continue
        found.append(_best_threshold(labels[chosen], probabilities[chosen], method, sensitivity))
    low, high = np.percentile(found, (2.5, 97.5)) if found else (0.0, 1.0)
    return float(low), float(high)


def _best_threshold(
    labels: NDArray[np.bool_], probabilities: NDArray[np.floating], method: str, sensitivity: float | None
) -> float:
    false_rate, true_rate, candidates = roc_curve(labels, probabilities, drop_intermediate=False)
    # the first point decides nothing present; candidates fall from the highest probability to the lowest
    false_rate, true_rate, candidates = false_rate[1:], true_rate[1:], candidates[1:]
    below = np.append(candidates[1:], 0.0)
    midpoints = np.maximum((candidates + below) / 2, np.finfo(float).tiny)  # 0 would decide for everything
    if method == "sensitivity":
        assert sensitivity is not None
        return float(midpoints[np.argmax(true_rate >= sensitivity - 1e-12)])
    if method == "youden":
        score = true_rate - false_rate
    else:
        positives = labels.sum()
        true_positives = true_rate * positives
        false_positives = false_rate * (len(labels) - positives)
        score = 2 * true_positives / (true_positives + false_positives + positives)
    best = np.flatnonzero(score >= score.max() - 1e-12)
    return float(midpoints[best[np.argmin(np.abs(midpoints[best] - DEFAULT_THRESHOLD))]])
