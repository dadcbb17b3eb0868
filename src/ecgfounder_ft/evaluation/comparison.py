"""Two models on the same recordings: differences with intervals, and McNemar's test of their decisions."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest

from ecgfounder_ft.errors import ExplainedError
from ecgfounder_ft.evaluation.bootstrap import (
    DEFAULT_RESAMPLES,
    MIN_PATIENTS,
    bootstrap_metrics,
    interval,
    mean_difference_interval,
    patients_behind,
    rarer_patients,
    too_few_patients,
)
from ecgfounder_ft.evaluation.evaluate import Evaluation, evaluate_input
from ecgfounder_ft.evaluation.inputs import EvaluationInput
from ecgfounder_ft.evaluation.metrics import METRICS, Estimate, count_patients
from ecgfounder_ft.labels import PRESENT


class NotComparableError(ExplainedError):
    """Two evaluated sets that differ, so that a difference of their metrics would mean nothing."""


@dataclass(frozen=True)
class McNemar:
    """McNemar's exact test (1947) of a condition's decisions.

    It takes recordings as independent; with several recordings per patient its p-value is too small.
    """

    only_first_right: int
    only_second_right: int
    p_value: float | None
    """Two-sided binomial; None where the decisions are never unlike."""


@dataclass(frozen=True)
class PairedComparison:
    """Second model minus first, on the recordings that both have."""

    n: int
    patients: int
    left_out: int
    """Recordings left out because one of the models has no probability for them."""
    conditions: dict[str, dict[str, Estimate]]
    """Condition code to metric to difference."""
    macro: dict[str, Estimate]
    accuracy: Estimate
    mcnemar: dict[str, McNemar]
    resamples: int
    seed: int
    level: float


def compare(
    first: EvaluationInput,
    second: EvaluationInput,
    *,
    resamples: int = DEFAULT_RESAMPLES,
    seed: int = 0,
    level: float = 0.95,
) -> PairedComparison:
    """Differences of every metric, second minus first, over the same resamples of the same patients.

    Args:
        first: prepared from the same recordings, in the same order, as ``second``.
        second: of the other model.
        resamples: of the patients.
        seed: of the resamples.
        level: of confidence.

    Raises:
        NotComparableError: if conditions, task, labels or patients differ.
    """
    one, other, left_out = _on_both(first, second)
    evaluations = [evaluate_input(data, resamples=0) for data in (one, other)]
    drawn = [bootstrap_metrics(data, resamples=resamples, seed=seed) for data in (one, other)]
    few = f"no interval: {count_patients(one.patients)}" if one.patients < MIN_PATIENTS else ""
    between = drawn[1].conditions - drawn[0].conditions
    macro = {}
    for place, name in enumerate(METRICS):
        estimate = _macro_difference(evaluations, name)
        there = [column for column, code in enumerate(one.codes) if _has(evaluations[0], code, name)]
        behind = np.array([patients_behind(name, evaluations[0].conditions[one.codes[column]]) for column in there])
        macro[name] = mean_difference_interval(estimate, between[:, there, place], behind, level=level, too_few=few)
    accuracy = interval(
        _difference(*(result.overall["accuracy"] for result in evaluations)),
        drawn[1].accuracy - drawn[0].accuracy,
        level=level,
        too_few=few,
    )
    return PairedComparison(
        n=len(one.targets),
        patients=one.patients,
        left_out=left_out,
        conditions={
            code: _condition_differences(evaluations, code, between[:, column], level)
            for column, code in enumerate(one.codes)
        },
        macro=macro,
        accuracy=accuracy,
        mcnemar={code: _mcnemar(one, other, column) for column, code in enumerate(one.codes)},
        resamples=resamples,
        seed=seed,
        level=level,
    )


def _on_both(first: EvaluationInput, second: EvaluationInput) -> tuple[EvaluationInput, EvaluationInput, int]:
    """The recordings that both models answered, and how many are left out."""
    if first.codes != second.codes:
        raise NotComparableError(f"conditions {', '.join(first.codes)} against {', '.join(second.codes)}")
    if first.task != second.task:
        raise NotComparableError(f"a {first.task.name} model against a {second.task.name} model")
    both = np.intersect1d(first.kept, second.kept)
    one, other = (data.select(np.flatnonzero(np.isin(data.kept, both))) for data in (first, second))
    if not np.array_equal(one.targets, other.targets):
        raise NotComparableError("the labels of the test recordings differ")
    if not np.array_equal(one.groups, other.groups):
        raise NotComparableError("the patients of the test recordings differ")
    return one, other, len(np.union1d(first.kept, second.kept)) - len(both)


def _condition_differences(
    evaluations: Sequence[Evaluation], code: str, between: NDArray[np.float64], level: float
) -> dict[str, Estimate]:
    """Differences of a condition's metrics, from (resamples, metrics) those of the resamples."""
    condition = evaluations[0].conditions[code]
    return {
        name: interval(
            _difference(*(result.conditions[code].metrics[name] for result in evaluations)),
            between[:, place],
            level=level,
            too_few=too_few_patients(name, condition),
            rarer=rarer_patients(condition) if METRICS[name].needs_positives else None,
        )
        for place, name in enumerate(METRICS)
    }


def _has(result: Evaluation, code: str, name: str) -> bool:
    return result.conditions[code].metrics[name].value is not None


def _difference(first: Estimate, second: Estimate) -> Estimate:
    if first.value is None or second.value is None:
        return Estimate(None, reason=first.reason or second.reason)
    return Estimate(second.value - first.value)


def _macro_difference(evaluations: Sequence[Evaluation], name: str) -> Estimate:
    """None where the two means would be over different conditions."""
    defined = [{code for code in result.conditions if _has(result, code, name)} for result in evaluations]
    if defined[0] != defined[1]:
        unlike = ", ".join(sorted(defined[0] ^ defined[1]))
        return Estimate(None, reason=f"defined for one of the models only: {unlike}")
    return _difference(*(result.macro[name] for result in evaluations))


def _mcnemar(first: EvaluationInput, second: EvaluationInput, column: int) -> McNemar:
    known = first.known[:, column] & second.known[:, column]
    present = first.targets[known, column] == PRESENT
    right = [data.decisions[known, column] == present for data in (first, second)]
    only_first, only_second = int(np.sum(right[0] & ~right[1])), int(np.sum(~right[0] & right[1]))
    unlike = only_first + only_second
    return McNemar(only_first, only_second, float(binomtest(only_first, unlike).pvalue) if unlike else None)
