"""Several evaluated runs side by side, on the same recordings."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from ecgfounder_ft.evaluation.comparison import NotComparableError, PairedComparison, compare
from ecgfounder_ft.evaluation.metrics import METRICS, Estimate
from ecgfounder_ft.evaluation.run_evaluation import RunEvaluation


@dataclass(frozen=True)
class RunComparison:
    """Runs on the same recordings, best first by validation."""

    sorted_by: str
    names: list[str]
    runs: dict[str, RunEvaluation]
    reference: str
    """The run that the others are compared with: the first given."""
    differences: dict[str, PairedComparison]
    """Run to its metrics minus the reference's."""


def compare_evaluations(
    runs: Mapping[str, RunEvaluation], *, resamples: int, seed: int, sort_by: str = "auroc"
) -> RunComparison:
    """Compare each run with the first, recording by recording.

    Args:
        runs: name to evaluation, at least two, each with its recordings in the same order.
        resamples: of the patients.
        seed: of the resamples.
        sort_by: the metric that is compared, and orders the runs by validation; of ``METRICS``.

    Raises:
        NotComparableError: if the runs' recordings, labels, conditions or tasks differ, or the metric is unknown.
    """
    require_metric(sort_by)
    reference, *others = runs
    differences = {}
    for name in others:
        _refuse_other_recordings(runs[reference], runs[name])
        try:
            differences[name] = compare(runs[reference].data, runs[name].data, resamples=resamples, seed=seed)
        except NotComparableError as error:
            raise NotComparableError(f"{reference} and {name} cannot be compared: {error}") from error
    return RunComparison(sort_by, _best_first(runs, sort_by), dict(runs), reference, differences)


def require_metric(name: str) -> str:
    """The name of a metric.

    Raises:
        NotComparableError: if there is none of that name.
    """
    if name not in METRICS:
        raise NotComparableError(f"sort by '{name}': expected one of {', '.join(METRICS)}")
    return name


def comparison_table(comparison: RunComparison) -> pd.DataFrame:
    """List macro metrics of each run with intervals, and the difference of one from the reference, best first.

    The order is by validation, and the columns are named as in a sweep's table.
    """
    by = comparison.sorted_by
    records = []
    for name in comparison.names:
        run, pair = comparison.runs[name], comparison.differences.get(name)
        evaluation, validation = run.evaluation, run.validation
        record: dict[str, Any] = {"run": name, "recordings": evaluation.n, "patients": evaluation.patients}
        record |= {f"validation_macro_{by}": None if validation is None else validation.macro[by].value}
        for metric in METRICS:
            record |= _with_ends(f"{run.side}_macro_{metric}", evaluation.macro[metric])
        record |= _with_ends(f"{run.side}_accuracy", evaluation.overall["accuracy"])
        record |= _with_ends(f"difference_macro_{by}", Estimate(None) if pair is None else pair.macro[by])
        records.append(record)
    return pd.DataFrame(records)


def _with_ends(name: str, estimate: Estimate) -> dict[str, float | None]:
    return {name: estimate.value, f"{name}_low": estimate.low, f"{name}_high": estimate.high}


def _refuse_other_recordings(reference: RunEvaluation, other: RunEvaluation) -> None:
    ours, theirs = set(reference.rows["recording"]), set(other.rows["recording"])
    if ours == theirs:
        return
    only_ours, only_theirs = sorted(ours - theirs), sorted(theirs - ours)
    example = (only_ours or only_theirs)[0]
    raise NotComparableError(
        f"{reference.predictions.name} and {other.predictions.name} were not tested on the same recordings: "
        f"{len(only_ours)} only in the first, {len(only_theirs)} only in the second, such as {example}. "
        "Train both on one split, or evaluate both on the same data"
    )


def _best_first(runs: Mapping[str, RunEvaluation], metric: str) -> list[str]:
    def key(name: str) -> tuple[bool, float]:
        validation = runs[name].validation
        value = None if validation is None else validation.macro[metric].value
        if value is None:
            return (True, 0.0)
        return (False, value if METRICS[metric].lower_is_better else -value)

    return sorted(runs, key=key)
