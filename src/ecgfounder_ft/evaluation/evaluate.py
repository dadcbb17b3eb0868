"""From labels and probabilities to the record that becomes ``metrics.json``."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.metrics import confusion_matrix

from ecgfounder_ft.evaluation.bootstrap import (
    DEFAULT_RESAMPLES,
    FEW_PATIENTS,
    MIN_PATIENTS,
    Resamples,
    bootstrap_metrics,
    by_patient,
    condition_interval,
    interval,
)
from ecgfounder_ft.evaluation.inputs import EvaluationInput, prepare
from ecgfounder_ft.evaluation.intervals import mean_interval, proportion_interval
from ecgfounder_ft.evaluation.metrics import (
    METRICS,
    NO_RECORDINGS,
    ConditionMetrics,
    Confusion,
    Estimate,
    condition_estimates,
    confusion_of,
    count_patients,
    count_recordings,
    macro_estimate,
)
from ecgfounder_ft.labels import ABSENT, PRESENT, UNKNOWN
from ecgfounder_ft.task import Task, task_named

SCHEMA = "ecgfounder-ft/metrics/2"


@dataclass(frozen=True)
class Evaluation:
    """Metrics of one evaluated set."""

    task: str
    codes: tuple[str, ...]
    n: int
    """Recordings evaluated."""
    patients: int
    conditions: dict[str, ConditionMetrics]
    macro: dict[str, Estimate]
    """Means over conditions, by the keys of :data:`~ecgfounder_ft.evaluation.metrics.METRICS`."""
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

    @property
    def exclusive(self) -> bool:
        """Exactly one condition of a recording is present, and the most probable one is decided."""
        return task_named(self.task).exclusive

    def to_dict(self) -> dict[str, Any]:
        """The content of ``metrics.json``: plain containers, None where a metric does not exist."""
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
            code: ConditionMetrics(
                **{
                    **entry,
                    "confusion": Confusion(**entry["confusion"]),
                    "metrics": {name: Estimate(**metric) for name, metric in entry["metrics"].items()},
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
                "macro": {name: Estimate(**metric) for name, metric in fields["macro"].items()},
                "overall": {name: Estimate(**metric) for name, metric in fields["overall"].items()},
                "confusion_matrix": None if matrix is None else tuple(tuple(row) for row in matrix),
            }
        )


def evaluate(
    targets: ArrayLike,
    probabilities: ArrayLike,
    groups: ArrayLike,
    codes: Sequence[str],
    *,
    task: Task,
    thresholds: Mapping[str, float] | None = None,
    resamples: int = DEFAULT_RESAMPLES,
    seed: int = 0,
    level: float = 0.95,
) -> Evaluation:
    """Every metric of an evaluated set, with intervals from a bootstrap over patients.

    Args:
        targets: as for :func:`~ecgfounder_ft.evaluation.inputs.prepare`, as are the following five.
        probabilities: (n, k).
        groups: (n,).
        codes: (k,).
        task: says which recordings count and how probabilities are decided.
        thresholds: chosen on validation.
        resamples: of the patients; 0 for no intervals.
        seed: of the resamples.
        level: of confidence.

    Raises:
        ValueError: if the arrays cannot be meant.
    """
    data = prepare(targets, probabilities, groups, codes, task=task, thresholds=thresholds)
    return evaluate_input(data, resamples=resamples, seed=seed, level=level)


def evaluate_input(
    data: EvaluationInput, *, resamples: int = DEFAULT_RESAMPLES, seed: int = 0, level: float = 0.95
) -> Evaluation:
    """As :func:`evaluate`, of arrays that are prepared already."""
    conditions = {code: _condition(data, column) for column, code in enumerate(data.codes)}
    macro = {
        name: macro_estimate({code: condition.metrics[name] for code, condition in conditions.items()})
        for name in METRICS
    }
    accuracy = _overall_accuracy(data)
    if resamples:
        drawn = bootstrap_metrics(data, resamples=resamples, seed=seed)
        conditions, macro = _with_intervals(data, conditions, macro, drawn, level)
        accuracy = _accuracy_interval(data, accuracy, drawn.accuracy, level)
    return Evaluation(
        task=data.task.name,
        codes=data.codes,
        n=len(data.targets),
        patients=data.patients,
        conditions=conditions,
        macro=macro,
        overall={"accuracy": accuracy},
        confusion_matrix=_confusion_matrix(data),
        resamples=resamples,
        seed=seed if resamples else None,
        level=level,
        notes=data.notes,
    )


def _with_intervals(
    data: EvaluationInput,
    conditions: dict[str, ConditionMetrics],
    macro: dict[str, Estimate],
    drawn: Resamples,
    level: float,
) -> tuple[dict[str, ConditionMetrics], dict[str, Estimate]]:
    """The metrics with intervals from their resamples."""
    shown = [by_patient(data, column) for column in range(len(data.codes))]

    def of(column: int, place: int, name: str, condition: ConditionMetrics, however_few: bool) -> Estimate:
        values = drawn.conditions[:, column, place]
        return condition_interval(name, condition, values, shown[column], level=level, however_few=however_few)

    finished = {
        code: replace(
            condition,
            metrics={name: of(column, place, name, condition, False) for place, name in enumerate(METRICS)},
        )
        for column, (code, condition) in enumerate(conditions.items())
    }
    defined = np.array(
        [[condition.metrics[name].value is not None for name in METRICS] for condition in conditions.values()]
    )
    means = drawn.macro(defined)
    too_few = _too_few(data.patients)
    wide = {}
    for place, name in enumerate(METRICS):
        if macro[name].value is None or too_few or METRICS[name].raised_by_noise:
            estimate = interval(
                macro[name], means[:, place], level=level, too_few=too_few, recentred=METRICS[name].raised_by_noise
            )
        else:
            columns = np.flatnonzero(defined[:, place])
            own = [
                of(column, place, name, condition, True)
                for column, condition in enumerate(conditions.values())
                if defined[column, place]
            ]
            low, high = mean_interval(
                np.array([found.value for found in own], dtype=np.float64),
                np.array([[found.low, found.high] for found in own], dtype=np.float64),
                drawn.conditions[:, columns, place],
            )
            undefined = int(np.isnan(means[:, place]).sum())
            estimate = replace(macro[name], low=low, high=high, undefined_resamples=undefined, method="mean")
        wide[name] = _with_rare_conditions(name, estimate, finished)
    return finished, wide


def _too_few(patients: int) -> str:
    return f"no interval: {count_patients(patients)}" if patients < MIN_PATIENTS else ""


def _with_rare_conditions(name: str, macro: Estimate, conditions: dict[str, ConditionMetrics]) -> Estimate:
    """Say how much of a macro metric rests on conditions that few patients have, and what it is without them."""
    if not METRICS[name].needs_positives or macro.low is None:
        return macro
    defined = {code: condition for code, condition in conditions.items() if condition.metrics[name].value is not None}
    rare = {code: found.positive_patients for code, found in defined.items() if found.positive_patients < FEW_PATIENTS}
    if not rare:
        return macro
    listed = ", ".join(f"{code} ({count_patients(patients)})" for code, patients in rare.items())
    note = (
        f"{len(rare)} of the {len(defined)} conditions in this mean have fewer than {FEW_PATIENTS} patients: {listed}"
    )
    rest = macro_estimate({code: found.metrics[name] for code, found in defined.items() if code not in rare})
    if rest.value is not None:
        note += f"; {rest.value:.3f} without {'it' if len(rare) == 1 else 'them'}"
    return replace(macro, reason="; ".join(part for part in (macro.reason, note) if part))


def _accuracy_interval(
    data: EvaluationInput, accuracy: Estimate, resampled: NDArray[np.float64], level: float
) -> Estimate:
    """As of any proportion of recordings."""
    if accuracy.value is None:
        return accuracy
    too_few = _too_few(data.patients)
    undefined = int(np.isnan(resampled).sum())
    if too_few:
        both = "; ".join(part for part in (accuracy.reason, too_few) if part)
        return replace(accuracy, undefined_resamples=undefined, reason=both)
    complete = data.known.all(axis=1)
    right = complete & (data.decisions == (data.targets == PRESENT)).all(axis=1)
    hits, totals = (np.bincount(data.groups, weights=mask).astype(np.float64) for mask in (right, complete))
    low, high = proportion_interval(hits, totals, level)
    return replace(accuracy, low=low, high=high, undefined_resamples=undefined, method="proportion")


def _confusion_matrix(data: EvaluationInput) -> tuple[tuple[int, ...], ...] | None:
    if not data.task.exclusive:
        return None
    k = len(data.codes)
    counts = np.zeros((k, k), dtype=int)
    if len(data.targets):
        counts = confusion_matrix(data.targets.argmax(axis=1), data.decisions.argmax(axis=1), labels=range(k))
    return tuple(tuple(int(count) for count in row) for row in counts)


def _condition(data: EvaluationInput, column: int) -> ConditionMetrics:
    known = data.known[:, column]
    labels = data.targets[known, column]
    decisions = data.decisions[known, column]
    groups = data.groups[known]
    return ConditionMetrics(
        n=int(known.sum()),
        positives=int(labels.sum()),
        patients=len(np.unique(groups)),
        positive_patients=len(np.unique(groups[labels == PRESENT])),
        negative_patients=len(np.unique(groups[labels == ABSENT])),
        unknown=int((data.targets[:, column] == UNKNOWN).sum()),
        without_probability=int(np.isnan(data.probabilities[:, column]).sum()),
        threshold=None if data.thresholds is None else float(data.thresholds[column]),
        confusion=confusion_of(labels, decisions),
        metrics=condition_estimates(labels, data.probabilities[known, column], decisions),
    )


def _overall_accuracy(data: EvaluationInput) -> Estimate:
    complete = data.known.all(axis=1)
    if not complete.any():
        return Estimate(None, reason=NO_RECORDINGS)
    right = (data.decisions == (data.targets == PRESENT)).all(axis=1)
    value = float(right[complete].mean())
    left_out = int((~complete).sum())
    return Estimate(value, reason=f"{count_recordings(left_out)} with an unknown label left out" if left_out else "")
