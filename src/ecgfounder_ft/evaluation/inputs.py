"""The arrays of an evaluated set: checked, aligned, and decided."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ecgfounder_ft.evaluation.metrics import count_recordings
from ecgfounder_ft.labels import ABSENT, PRESENT, UNKNOWN
from ecgfounder_ft.task import DEFAULT_THRESHOLD, Task


@dataclass(frozen=True)
class EvaluationInput:
    """Aligned arrays of one evaluated set, checked and with unusable entries masked."""

    targets: NDArray[np.int8]
    """(n, k) 1, 0, or -1 where the label is unknown."""
    probabilities: NDArray[np.float64]
    """(n, k) in [0, 1], NaN where the model gave none."""
    groups: NDArray[np.int64]
    """(n,) patients, numbered from 0."""
    decisions: NDArray[np.bool_]
    """(n, k) conditions decided present; False where there is no probability."""
    codes: tuple[str, ...]
    task: Task
    thresholds: NDArray[np.float64] | None
    """(k,), None in a single-label task, where the most probable condition is decided."""
    notes: tuple[str, ...]
    """What was left out of the whole evaluation and why."""
    kept: NDArray[np.int64]
    """Positions of the evaluated rows among those given."""

    @property
    def known(self) -> NDArray[np.bool_]:
        """(n, k): the label is known and the probability a number."""
        return (self.targets != UNKNOWN) & ~np.isnan(self.probabilities)

    @property
    def patients(self) -> int:
        """Patients of the evaluated recordings."""
        return len(np.unique(self.groups))

    def select(self, rows: NDArray[np.bool_] | NDArray[np.int64]) -> "EvaluationInput":
        """The same of some of the recordings: a mask or positions among those evaluated."""
        groups = np.unique(self.groups[rows], return_inverse=True)[1].reshape(-1)
        return replace(
            self,
            targets=self.targets[rows],
            probabilities=self.probabilities[rows],
            decisions=self.decisions[rows],
            groups=groups.astype(np.int64),
            kept=self.kept[rows],
        )


def prepare(
    targets: ArrayLike,
    probabilities: ArrayLike,
    groups: ArrayLike,
    codes: Sequence[str],
    *,
    task: Task,
    thresholds: Mapping[str, float] | None = None,
) -> EvaluationInput:
    """Check and align the arrays of an evaluated set, and make the decisions.

    In a single-label task a recording counts where exactly one condition is present and every probability is
    a number; its other conditions count as absent, and the most probable condition is decided. In a
    multi-label task unknown labels and missing probabilities are masked one by one, and each condition is
    decided by its threshold (0.5 where none is given).

    Args:
        targets: (n, k) 1, 0 or -1 (unknown).
        probabilities: (n, k) in [0, 1] or NaN.
        groups: (n,) patient of each recording, any hashable type.
        codes: (k,) condition codes in output order.
        task: says which recordings count and how probabilities are decided.
        thresholds: condition code to threshold, multi-label only.

    Raises:
        ValueError: if shapes disagree, or a value is none of those above.
    """
    labels = np.asarray(targets)
    scores = np.asarray(probabilities, dtype=np.float64)
    shape = (len(labels), len(codes))
    if labels.shape != shape or scores.shape != shape or len(np.asarray(groups)) != shape[0]:
        raise ValueError(
            f"targets {labels.shape}, probabilities {scores.shape} and {len(np.asarray(groups))} groups "
            f"for {len(codes)} conditions; expected (n, {len(codes)}) twice and n"
        )
    if not np.isin(labels, (PRESENT, ABSENT, UNKNOWN)).all():
        found = np.setdiff1d(np.unique(labels), (PRESENT, ABSENT, UNKNOWN))
        raise ValueError(f"targets hold {found[:5].tolist()}; expected 1, 0 or -1")
    if ((scores < 0) | (scores > 1)).any():
        raise ValueError(f"probabilities from {np.nanmin(scores):g} to {np.nanmax(scores):g}; expected 0 to 1")
    labels = labels.astype(np.int8)
    notes = []
    rows = np.ones(shape[0], dtype=bool)
    missing = np.isnan(scores)
    if task.exclusive:
        usable = task.usable(labels)
        if not usable.all():
            notes.append(f"{count_recordings(int((~usable).sum()))} without exactly one present condition left out")
        numeric = ~missing.any(axis=1)
        unanswered = int(np.sum(usable & ~numeric))
        if unanswered:
            notes.append(f"{count_recordings(unanswered)} without probabilities left out")
        rows = np.logical_and(usable, numeric)
    elif missing.any():
        notes.append(f"{count_recordings(int(missing.any(axis=1).sum()))} without a probability for some condition")
    kept = np.flatnonzero(rows)
    labels, scores = task.states(labels[kept]), scores[kept]
    patients = np.unique(np.asarray(groups).astype(str)[kept], return_inverse=True)[1].reshape(-1)
    applied = None
    if not task.exclusive:
        given = dict(thresholds or {})
        applied = np.array([given.get(code, DEFAULT_THRESHOLD) for code in codes], dtype=np.float64)
    decisions = task.decisions(scores, applied)
    if len(kept) and len(np.unique(patients)) == 1:
        notes.append("all recordings are of one patient: metrics describe that patient, and no interval can be given")
    return EvaluationInput(
        labels, scores, patients.astype(np.int64), decisions, tuple(codes), task, applied, tuple(notes), kept
    )
