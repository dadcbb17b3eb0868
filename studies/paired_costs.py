"""Differences of macro metrics between two ways of doing the same, over the same patients."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ecgfounder_ft.evaluation.bootstrap import MIN_PATIENTS
from ecgfounder_ft.evaluation.inputs import EvaluationInput, prepare
from ecgfounder_ft.evaluation.metrics import Estimate
from ecgfounder_ft.evaluation.several_trainings import MACRO, Trainings, difference_of, draw_trainings
from ecgfounder_ft.labels import ABSENT, PRESENT
from ecgfounder_ft.task import MULTI_LABEL

JUDGED_BY = {"auroc": "AUROC", "f1": "F1", "ece": "ECE"}
"""Metric to its name in print."""


@dataclass(frozen=True)
class Pair:
    """Seed to an evaluated set, the right way and with a mistake; over the same patients."""

    right: Mapping[int, EvaluationInput]
    wrong: Mapping[int, EvaluationInput]


@dataclass(frozen=True)
class Cost:
    """The macro metrics of :data:`JUDGED_BY`."""

    right: dict[str, float]
    difference: dict[str, Estimate]
    """With the mistake minus without it."""


def columns_with_enough(states: NDArray[np.int8], patients: NDArray) -> list[int]:
    """Conditions that enough patients have, and lack, for an interval."""
    return [
        column
        for column in range(states.shape[1])
        if all(len(np.unique(patients[states[:, column] == state])) >= MIN_PATIENTS for state in (PRESENT, ABSENT))
    ]


def judged(
    states: NDArray[np.int8],
    answers: NDArray[np.floating],
    patients: NDArray,
    codes: Sequence[str],
    columns: Sequence[int],
    thresholds: Mapping[str, float] | None = None,
) -> EvaluationInput:
    """Some conditions of an evaluated set, decided by thresholds or at 0.5."""
    chosen = list(columns)
    names = [codes[column] for column in chosen]
    given = None if thresholds is None else {name: thresholds[name] for name in names}
    return prepare(states[:, chosen], answers[:, chosen], patients, names, task=MULTI_LABEL, thresholds=given)


def costs_of(pairs: Mapping[str, Pair], resamples: int) -> dict[str, Cost]:
    """Mistake to its cost; what several share as the right way is drawn once.

    One of which no condition has enough patients is left out, and said so.
    """
    drawn: dict[int, dict[str, Trainings]] = {}

    def draw(inputs: Mapping[int, EvaluationInput]) -> dict[str, Trainings]:
        return {metric: draw_trainings("", inputs, metric, resamples=resamples, seed=0) for metric in JUDGED_BY}

    costs = {}
    for name, pair in pairs.items():
        if not next(iter(pair.right.values())).codes:
            print(f"{name}: not measured, no condition has {MIN_PATIENTS} patients with it and {MIN_PATIENTS} without")
            continue
        if id(pair.right) not in drawn:
            drawn[id(pair.right)] = draw(pair.right)
        right, wrong = drawn[id(pair.right)], draw(pair.wrong)
        costs[name] = Cost(
            {metric: float(found.values[:, found.columns.index(MACRO)].mean()) for metric, found in right.items()},
            {metric: difference_of(right[metric], wrong[metric]).estimate for metric in JUDGED_BY},
        )
    return costs


def signed(difference: Estimate) -> str:
    """A difference with its interval, where it has one."""
    if difference.value is None:
        return "-"
    interval = "" if difference.low is None else f" ({difference.low:+.3f} to {difference.high:+.3f})"
    return f"{difference.value:+.3f}{interval}"
