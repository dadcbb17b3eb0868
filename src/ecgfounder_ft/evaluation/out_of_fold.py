"""Out-of-fold predictions as one: each recording by the model that has not seen its patient.

Every fold's model calibrates and decides by its own validation recordings, as it would in use. What is pooled are the
probabilities and decisions that come of it, so what is evaluated is the way of training, and no single model.

*Intervals.* They are of what this way of training comes to on average with other patients, both to learn from and to be
tested on, as many as here. The folds' models share training recordings, which an interval of the patients tested does
not know: it holds that average in 86% to 92% of studies. Its distances from the estimate, on the logit scale, are
stretched by :func:`stretch`, after Nadeau and Bengio (Mach Learn 2003;52:239), with which it is 93% to 97%.

*AUROC and AUPRC* of all folds as one rank recordings against each other that different models answered, on scales that
differ, and are lower for it. The mean of the folds is closer to what the models do elsewhere, and is the number to
report. ``python -m benchmarks.coverage`` has the figures.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit, logit

from ecgfounder_ft.errors import ExplainedError
from ecgfounder_ft.evaluation.calibration import Calibration
from ecgfounder_ft.evaluation.calibration_check import check_calibration
from ecgfounder_ft.evaluation.evaluate import Evaluation, evaluate_input
from ecgfounder_ft.evaluation.inputs import prepare
from ecgfounder_ft.evaluation.metrics import Estimate
from ecgfounder_ft.evaluation.predictions import Predictions
from ecgfounder_ft.evaluation.run_evaluation import RunEvaluation, subgroups_of
from ecgfounder_ft.evaluation.settings import EvaluationSettings
from ecgfounder_ft.evaluation.several_trainings import MACRO
from ecgfounder_ft.evaluation.subgroups import evaluate_subgroups
from ecgfounder_ft.evaluation.thresholds import Thresholds

FOLD = "fold"
"""Column of the pooled predictions."""


class FoldsOverlapError(ExplainedError):
    """A recording or a patient that two folds test."""


def stretch(folds: int) -> float:
    """How many times the variance between patients the variance of a cross-validated metric is.

    1.5 + 1 / (K - 1). Nadeau and Bengio's factor, 1 + K / (K - 1), is for the variance between folds, and wider than
    that of the patients needs.

    Args:
        folds: K, at least two.
    """
    return 1.5 + 1 / (folds - 1)


def stretched(estimate: Estimate, times: float) -> Estimate:
    """A metric from 0 to 1 with an interval for so many times the variance.

    On the logit scale; a one-sided bound of m patients becomes that of m over so many.
    """
    if estimate.value is None or estimate.low is None or estimate.high is None:
        return estimate
    if estimate.value >= 1:
        low, high = estimate.low**times, 1.0
    elif estimate.value <= 0:
        low, high = 0.0, 1 - (1 - estimate.high) ** times
    else:
        centre = logit(estimate.value)
        with np.errstate(divide="ignore"):
            ends = centre + np.sqrt(times) * (logit(np.clip([estimate.low, estimate.high], 0, 1)) - centre)
        low, high = (float(end) for end in expit(ends))
    return replace(estimate, low=low, high=high)


def mean_of_folds(folds: Sequence[Evaluation], metric: str, pooled: Evaluation) -> dict[str, Estimate]:
    """A metric's mean over the folds that have it, by condition, and the mean over conditions.

    Args:
        folds: each evaluated by itself.
        metric: one of :data:`~ecgfounder_ft.evaluation.metrics.METRICS`.
        pooled: all folds as one, whose intervals are moved on the logit scale to stand around the means.

    Returns:
        Condition code to mean, then :data:`MACRO` to theirs.
    """
    means = condition_means(folds, metric)
    found = {}
    for code in pooled.codes:
        missing = sum(fold.conditions[code].metrics[metric].value is None for fold in folds)
        if code not in means:
            found[code] = Estimate(None, reason="undefined in every fold")
            continue
        note = f"mean of {len(folds) - missing} of {len(folds)} folds, undefined in the others" if missing else ""
        found[code] = _moved(pooled.conditions[code].metrics[metric], means[code], note)
    if not means:
        return {**found, MACRO: Estimate(None, reason="undefined for every condition")}
    return {**found, MACRO: _moved(pooled.macro[metric], float(np.mean(list(means.values()))), "")}


def condition_means(folds: Sequence[Evaluation], metric: str) -> dict[str, float]:
    """A metric's mean over the folds that have it, by condition; without conditions that no fold has."""
    values = {code: [fold.conditions[code].metrics[metric].value for fold in folds] for code in folds[0].codes}
    known = {code: [value for value in found if value is not None] for code, found in values.items()}
    return {code: float(np.mean(found)) for code, found in known.items() if found}


def _moved(pooled: Estimate, value: float, note: str) -> Estimate:
    if (
        pooled.value is None
        or pooled.low is None
        or pooled.high is None
        or not (0 < pooled.value < 1 and 0 < value < 1)
    ):
        reason = "; ".join(part for part in (note, pooled.reason) if part)
        return Estimate(value, reason=reason)
    with np.errstate(divide="ignore"):
        ends = expit(logit(value) + logit(np.clip([pooled.low, pooled.high], 0, 1)) - logit(pooled.value))
    return Estimate(value, float(ends[0]), float(ends[1]), pooled.undefined_resamples, note, pooled.method)


def pool(name: str, folds: Sequence[RunEvaluation], settings: EvaluationSettings) -> RunEvaluation:
    """Evaluate the test recordings of all folds as one set.

    Args:
        name: of the pooled set, as printed.
        folds: every fold of one division, evaluated; recordings in any order.
        settings: of the evaluation.

    Returns:
        The evaluation, with intervals for :func:`stretch` times the variance between patients; its predictions hold the
        calibrated probabilities, with the fold of each recording.

    Raises:
        FoldsOverlapError: if a recording or a patient stands in two folds.
    """
    codes, task = folds[0].predictions.codes, folds[0].predictions.task
    rows = pd.concat([run.rows.assign(**{FOLD: number}) for number, run in enumerate(folds)], ignore_index=True)
    parts = [_answers_of(run) for run in folds]
    given, calibrated, decided = (np.concatenate([part[place] for part in parts]) for place in range(3))
    order = np.argsort(rows["recording"].to_numpy(dtype=str), kind="stable")
    rows = rows.iloc[order].reset_index(drop=True)
    given, calibrated, decided = given[order], calibrated[order], decided[order]
    patients = rows["patient"].fillna(rows["recording"]).to_numpy(dtype=str)
    _refuse_overlap(rows, patients)
    table = rows.assign(split="test", **{f"probability_{code}": calibrated[:, at] for at, code in enumerate(codes)})
    predictions = Predictions(name, table, codes, task)
    thresholds, times = _mean_thresholds(folds), stretch(len(folds))
    data = prepare(
        predictions.targets(table),
        calibrated,
        patients,
        codes,
        task=task,
        thresholds=None if thresholds is None else thresholds.values,
    )
    data = replace(data, decisions=decided[data.kept])
    groups = subgroups_of(table, predictions.targets(table), codes, settings.by)
    checked = check_calibration(data.targets, data.probabilities, data.groups, data.codes)
    return RunEvaluation(
        predictions=predictions,
        settings=settings,
        calibration=Calibration(
            method="none",
            task=task.name,
            codes=list(codes),
            notes={"all": "the probabilities are those that each fold's model gives after its own calibration"},
        ),
        thresholds=thresholds,
        side="test",
        rows=table,
        data=data,
        uncalibrated=given[data.kept],
        evaluation=_stretched(evaluate_input(data, resamples=settings.resamples, seed=settings.seed), times),
        validation=None,
        calibration_check={"before": checked, "after": checked},
        subgroups=[
            replace(group, evaluation=None if group.evaluation is None else _stretched(group.evaluation, times))
            for group in evaluate_subgroups(data, groups, resamples=settings.resamples, seed=settings.seed)
        ],
    )


def _stretched(evaluation: Evaluation, times: float) -> Evaluation:
    """All of its intervals."""

    def of(estimates: Mapping[str, Estimate]) -> dict[str, Estimate]:
        return {name: stretched(estimate, times) for name, estimate in estimates.items()}

    conditions = {code: replace(one, metrics=of(one.metrics)) for code, one in evaluation.conditions.items()}
    return replace(evaluation, conditions=conditions, macro=of(evaluation.macro), overall=of(evaluation.overall))


def _answers_of(run: RunEvaluation) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
    """A fold's test recordings, (n, k) each: probabilities as the network gives them, calibrated, and decisions."""
    given = run.predictions.probabilities(run.rows)
    calibrated = run.calibration.apply(given)
    thresholds = None if run.thresholds is None else run.thresholds.array(run.predictions.codes)
    return given, calibrated, run.predictions.task.decisions(calibrated, thresholds)


def _refuse_overlap(rows: pd.DataFrame, patients: NDArray[np.str_]) -> None:
    repeated = rows["recording"][rows["recording"].duplicated()]
    if len(repeated):
        raise FoldsOverlapError(f"{repeated.iloc[0]} is tested by two folds: they are not of one division")
    folds = rows.groupby(patients)[FOLD].nunique()
    if (folds > 1).any():
        raise FoldsOverlapError(f"patient {folds.index[folds > 1][0]} is in two folds: they are not of one division")


def _mean_thresholds(folds: Sequence[RunEvaluation]) -> Thresholds | None:
    """What is shown in place of each fold's thresholds: their means; None in a single-label task."""
    chosen = [run.thresholds for run in folds if run.thresholds is not None]
    if not chosen:
        return None
    means = {code: float(np.mean([one.values[code] for one in chosen])) for code in chosen[0].values}
    note = {"all": "each fold decides by its own; what is shown is their mean"}
    return replace(chosen[0], values=means, notes=note, intervals={})
