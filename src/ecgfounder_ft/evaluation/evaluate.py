"""From labels and probabilities to the record that becomes ``metrics.json``."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.metrics import confusion_matrix

from ecgfounder_ft.evaluation.metrics import (
    FIGURES,
    NO_RECORDINGS,
    ConditionFigures,
    Confusion,
    Estimate,
    condition_estimates,
    confusion_of,
    macro_estimate,
)
from ecgfounder_ft.evaluation.thresholds import DEFAULT_THRESHOLD
from ecgfounder_ft.labels import ABSENT, PRESENT, UNKNOWN

SCHEMA = "ecgfounder-ft/metrics/1"

TASKS = ("single_label", "multi_label")


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
    task: str
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


@dataclass(frozen=True)
class Evaluation:
    """Figures of one evaluated set."""

    task: str
    codes: tuple[str, ...]
    n: int
    """Recordings evaluated."""
    patients: int
    conditions: dict[str, ConditionFigures]
    macro: dict[str, Estimate]
    """Means over conditions, by the keys of :data:`~ecgfounder_ft.evaluation.metrics.FIGURES`."""
    overall: dict[str, Estimate]
    """``accuracy`` (single label: the most probable condition is the label; multi label: every decision of a
    recording is right, over recordings whose labels are all known)."""
    confusion_matrix: tuple[tuple[int, ...], ...] | None
    """(k, k) label by decision, single-label tasks only."""
    resamples: int = 0
    """Bootstrap resamples over patients behind the intervals; 0 for no intervals."""
    seed: int | None = None
    level: float = 0.95
    notes: tuple[str, ...] = field(default_factory=tuple)

    def to_dict(self) -> dict[str, Any]:
        """The content of ``metrics.json``: plain containers, None where a figure does not exist."""
        content = asdict(self)
        content["codes"] = list(self.codes)
        content["notes"] = list(self.notes)
        if self.confusion_matrix is not None:
            content["confusion_matrix"] = [list(row) for row in self.confusion_matrix]
        return {"schema": SCHEMA, **content}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> "Evaluation":
        """Inverse of :meth:`to_dict`.

        Raises:
            ValueError: if the content is of another schema.
        """
        if content.get("schema") != SCHEMA:
            raise ValueError(f"schema {content.get('schema')!r}, expected {SCHEMA!r}: written by another version?")
        fields = {key: value for key, value in content.items() if key != "schema"}
        conditions = {
            code: ConditionFigures(
                **{
                    **entry,
                    "confusion": Confusion(**entry["confusion"]),
                    "figures": {name: Estimate(**figure) for name, figure in entry["figures"].items()},
                }
            )
            for code, entry in fields["conditions"].items()
        }
        matrix = fields["confusion_matrix"]
        return cls(
            **{
                **fields,
                "codes": tuple(fields["codes"]),
                "notes": tuple(fields["notes"]),
                "conditions": conditions,
                "macro": {name: Estimate(**figure) for name, figure in fields["macro"].items()},
                "overall": {name: Estimate(**figure) for name, figure in fields["overall"].items()},
                "confusion_matrix": None if matrix is None else tuple(tuple(row) for row in matrix),
            }
        )


def prepare(
    targets: ArrayLike,
    probabilities: ArrayLike,
    groups: ArrayLike,
    codes: Sequence[str],
    *,
    task: str,
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
        task: ``single_label`` or ``multi_label``.
        thresholds: condition code to threshold, multi-label only.

    Raises:
        ValueError: if shapes disagree, or a value is none of those above.
    """
    if task not in TASKS:
        raise ValueError(f"task '{task}': expected one of {', '.join(TASKS)}")
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
    if task == "single_label":
        one_condition = (labels == PRESENT).sum(axis=1) == 1
        if not one_condition.all():
            notes.append(f"{int((~one_condition).sum())} recordings without exactly one present condition left out")
        numeric = ~missing.any(axis=1)
        unanswered = int(np.sum(one_condition & ~numeric))
        if unanswered:
            notes.append(f"{unanswered} recordings without probabilities left out")
        rows = np.logical_and(one_condition, numeric)
    elif missing.any():
        notes.append(f"{int(missing.any(axis=1).sum())} recordings without a probability for some condition")
    kept = np.flatnonzero(rows)
    labels, scores = labels[kept], scores[kept]
    patients = np.unique(np.asarray(groups).astype(str)[kept], return_inverse=True)[1].reshape(-1)
    if task == "single_label":
        labels = (labels == PRESENT).astype(np.int8)
        decisions = np.zeros(labels.shape, dtype=bool)
        decisions[np.arange(len(labels)), scores.argmax(axis=1) if len(labels) else []] = True
        cuts = None
    else:
        given = dict(thresholds or {})
        cuts = np.array([given.get(code, DEFAULT_THRESHOLD) for code in codes], dtype=np.float64)
        decisions = scores >= cuts  # False for NaN
    if len(kept) and len(np.unique(patients)) == 1:
        notes.append("all recordings are of one patient: figures describe that patient, and no interval can be given")
    return EvaluationInput(
        labels, scores, patients.astype(np.int64), decisions, tuple(codes), task, cuts, tuple(notes), kept
    )


def evaluate(
    targets: ArrayLike,
    probabilities: ArrayLike,
    groups: ArrayLike,
    codes: Sequence[str],
    *,
    task: str,
    thresholds: Mapping[str, float] | None = None,
) -> Evaluation:
    """Every figure of an evaluated set. Arguments and errors as for :func:`prepare`."""
    data = prepare(targets, probabilities, groups, codes, task=task, thresholds=thresholds)
    conditions = {code: _condition(data, column) for column, code in enumerate(data.codes)}
    macro = {
        name: macro_estimate({code: condition.figures[name] for code, condition in conditions.items()})
        for name in FIGURES
    }
    matrix = None
    if task == "single_label":
        counts = np.zeros((len(codes), len(codes)), dtype=int)
        if len(data.targets):
            labels, decided = data.targets.argmax(axis=1), data.decisions.argmax(axis=1)
            counts = confusion_matrix(labels, decided, labels=range(len(codes)))
        matrix = tuple(tuple(int(count) for count in row) for row in counts)
    return Evaluation(
        task=task,
        codes=data.codes,
        n=len(data.targets),
        patients=len(np.unique(data.groups)),
        conditions=conditions,
        macro=macro,
        overall={"accuracy": _overall_accuracy(data)},
        confusion_matrix=matrix,
        notes=data.notes,
    )


def _condition(data: EvaluationInput, column: int) -> ConditionFigures:
    known = data.known[:, column]
    labels = data.targets[known, column]
    decisions = data.decisions[known, column]
    groups = data.groups[known]
    return ConditionFigures(
        n=int(known.sum()),
        positives=int(labels.sum()),
        patients=len(np.unique(groups)),
        positive_patients=len(np.unique(groups[labels == PRESENT])),
        unknown=int((data.targets[:, column] == UNKNOWN).sum()),
        without_probability=int(np.isnan(data.probabilities[:, column]).sum()),
        threshold=None if data.thresholds is None else float(data.thresholds[column]),
        confusion=confusion_of(labels, decisions),
        figures=condition_estimates(labels, data.probabilities[known, column], decisions),
    )


def _overall_accuracy(data: EvaluationInput) -> Estimate:
    complete = data.known.all(axis=1)
    if not complete.any():
        return Estimate(None, reason=NO_RECORDINGS)
    right = (data.decisions == (data.targets == PRESENT)).all(axis=1)
    value = float(right[complete].mean())
    left_out = int((~complete).sum())
    return Estimate(value, reason=f"{left_out} recordings with an unknown label left out" if left_out else "")
