"""What the folds say together: each fold, their mean and deviation, and all of them evaluated as one."""

import re
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace

from ecgfounder_ft.evaluation.inputs import EvaluationInput
from ecgfounder_ft.evaluation.metrics import METRICS, Estimate
from ecgfounder_ft.evaluation.out_of_fold import pool
from ecgfounder_ft.evaluation.run_evaluation import RunEvaluation
from ecgfounder_ft.files import write_csv
from ecgfounder_ft.report.page import content_of, render_report
from ecgfounder_ft.report.sweep_section import Section, SectionPicture, SectionTable
from ecgfounder_ft.report.words import format_value, with_interval
from ecgfounder_ft.runs.evaluation_folder import EXACT, EvaluationFolder
from ecgfounder_ft.runs.report import classification_report, metrics_of
from ecgfounder_ft.sweeps.answers.trainings import compare_trainings, draws_of, evaluated, trainings_of
from ecgfounder_ft.sweeps.folder import SweepFolder
from ecgfounder_ft.sweeps.trial_results import TrialResult, by_configuration, settings_of

FOLDER = "cross_validation"
SHOWN = ("auroc", "auprc", "f1", "sensitivity", "specificity", "brier", "ece")
"""Metrics of a pooled set in the tables."""
_HEADS = {name: METRICS[name].label for name in SHOWN} | {
    "sensitivity": "Sens.",
    "specificity": "Spec.",
    "brier": "Brier",
}


def sections(folder: SweepFolder, trials: Sequence[TrialResult], metric: str, resamples: int | None) -> list[Section]:
    """Every fold's metrics, and the out-of-fold predictions of all folds as one.

    Args:
        folder: of the sweep; gets a folder per configuration with the pooled predictions and their report.
        trials: finished ones of the design.
        metric: of :data:`~ecgfounder_ft.evaluation.metrics.METRICS`, by which configurations are compared.
        resamples: of the patients; None: as the trials were evaluated.
    """
    draws = draws_of(trials, metric, resamples)
    tables, links, text = [], {}, []
    pooled: dict[str, dict[int, EvaluationInput]] = {}
    for name, group in by_configuration(trials).items():
        tables.append(folds_table(name, group))
        for seed, folds in by_seed(group).items():
            missing = sorted(set(range(folds_of(group[0]))) - set(folds))
            if missing:
                text.append(f"{name}, seed {seed}: not pooled, since fold {', '.join(map(str, missing))} did not end.")
                continue
            found = pool_folds(name, seed, folds, draws.resamples)
            pooled.setdefault(name, {})[seed] = found.data
            output = write_pooled(folder, name, seed, found, folds)
            tables.append(pooled_table(name, seed, found))
            links[f"Report of {name}, seed {seed}, all folds as one"] = f"{output}/{EvaluationFolder.REPORT}"
    text.insert(
        0,
        "Patients were dealt to folds, stratified over conditions and sources; each fold was tested by a model that "
        "was trained and chosen on the others. Deviations between folds are no standard errors: the folds share their "
        "training recordings. The intervals are those of all folds as one, over patients.",
    )
    pictures: list[SectionPicture] = []
    if len(pooled) > 1 or any(len(seeds) > 1 for seeds in pooled.values()):
        compared = compare_trainings(trainings_of(pooled, draws), draws)
        text += compared.text
        tables += compared.tables
        pictures += compared.pictures
    return [Section("cross_validation", "Cross-validation", text, tables, pictures, links)]


def folds_of(result: TrialResult) -> int:
    """How many folds the division of a trial has."""
    return int(result.run.plain_configuration()["split"]["folds"])


def by_seed(trials: Sequence[TrialResult]) -> dict[int, dict[int, TrialResult]]:
    """Seed to fold to trial."""
    found: dict[int, dict[int, TrialResult]] = {}
    for one in trials:
        found.setdefault(int(str(one.at("seed"))), {})[int(str(one.at("fold")))] = one
    return {seed: dict(sorted(folds.items())) for seed, folds in found.items()}


def pool_folds(name: str, seed: int, folds: Mapping[int, TrialResult], resamples: int) -> RunEvaluation:
    """All folds of one seed evaluated as one."""
    settings = settings_of(next(iter(folds.values())).run)
    return pool(
        f"{name}, seed {seed}", [evaluated(one) for one in folds.values()], replace(settings, resamples=resamples)
    )


def write_pooled(
    folder: SweepFolder, name: str, seed: int, found: RunEvaluation, folds: Mapping[int, TrialResult]
) -> str:
    """Write predictions, metrics and report of a pooled set; returns their folder's path in the sweep's."""
    words = f"{name} seed {seed}" if name != "all" else f"seed {seed}"
    path = f"{FOLDER}/{re.sub(r'[^A-Za-z0-9_.=-]+', '-', words)}"
    output = EvaluationFolder(folder.path / path)
    output.create()
    write_csv(output.path / EvaluationFolder.PREDICTIONS, found.predictions.table, float_format=EXACT)
    output.write_metrics(metrics_of(found, {}, {}), classification_report(found.evaluation))
    conditions = next(iter(folds.values())).run.plain_configuration()["labels"]["conditions"]
    listed = ", ".join(one.trial.name for one in folds.values())
    content = content_of(
        found,
        title=f"Cross-validation: {name}" if name != "all" else "Cross-validation",
        created=time.strftime("%Y-%m-%d %H:%M"),
        condition_names={code: conditions[code]["name"] for code in found.predictions.codes},
        notes=[
            f"Out-of-fold predictions of {len(folds)} folds (trials {listed} of {folder}): each recording was "
            "predicted by a model that has not seen its patient. What is evaluated is the way of training, not one "
            "model"
        ],
    )
    output.write_report(render_report(content))
    return path


def folds_table(name: str, trials: Sequence[TrialResult]) -> SectionTable:
    """Each fold by itself, the mean over folds and the deviation between them."""
    metrics = [metric for metric in SHOWN if metric not in ("sensitivity", "specificity")]
    rows, columns = [], [[] for _ in metrics]  # type: ignore[var-annotated]
    several = len({one.at("seed") for one in trials}) > 1
    for one in sorted(trials, key=lambda trial: (int(str(trial.at("seed"))), int(str(trial.at("fold"))))):
        assert one.test is not None
        label = f"fold {one.at('fold')}" + (f", seed {one.at('seed')}" if several else "")
        found = [one.test.macro[metric] for metric in metrics]
        for column, estimate in zip(columns, found, strict=True):
            column.append(estimate.value)
        rows.append([label, one.trial.name, f"{one.test.n:,}", f"{one.test.patients:,}", *map(format_value, found)])
    known = [[value for value in column if value is not None] for column in columns]
    rows.append(["mean", "", "", "", *(f"{statistics.mean(values):.3f}" if values else "–" for values in known)])
    deviations = (f"{statistics.stdev(values):.3f}" if len(values) > 1 else "–" for values in known)
    rows.append(["deviation", "", "", "", *deviations])
    heads = [_HEADS[metric] for metric in metrics]
    title = "Each fold by itself, macro metrics" + (f": {name}" if name != "all" else "")
    return SectionTable(title, ["fold", "trial", "recordings", "patients", *heads], rows)


def pooled_table(name: str, seed: int, found: RunEvaluation) -> SectionTable:
    """All folds as one, by condition, with intervals."""
    evaluation = found.evaluation

    def cells(metrics: Mapping[str, Estimate]) -> list[str]:
        return [with_interval(format_value(metrics[metric]), metrics[metric]) for metric in SHOWN]

    rows = [
        [code, f"{one.positives:,} of {one.n:,}", *cells(one.metrics)] for code, one in evaluation.conditions.items()
    ]
    rows.append(["macro", f"{evaluation.n:,}", *cells(evaluation.macro)])
    title = "All folds as one" + (f": {name}" if name != "all" else "") + f", seed {seed}"
    return SectionTable(title, ["condition", "recordings", *(_HEADS[metric] for metric in SHOWN)], rows)
