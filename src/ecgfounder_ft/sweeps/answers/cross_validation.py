"""What the folds say together: the numbers to report, each fold, and all of them evaluated as one."""

import re
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace

from ecgfounder_ft.evaluation.evaluate import Evaluation
from ecgfounder_ft.evaluation.inputs import EvaluationInput
from ecgfounder_ft.evaluation.metrics import METRICS, Estimate
from ecgfounder_ft.evaluation.out_of_fold import mean_of_folds, pool, stretch
from ecgfounder_ft.evaluation.run_evaluation import RunEvaluation
from ecgfounder_ft.evaluation.seeds_and_patients import FEWEST_SEEDS
from ecgfounder_ft.evaluation.several_trainings import MACRO
from ecgfounder_ft.files import write_csv
from ecgfounder_ft.report.page import content_of, render_report
from ecgfounder_ft.report.sweep_section import Section, SectionPicture, SectionTable
from ecgfounder_ft.report.words import format_value, sentence, with_interval
from ecgfounder_ft.runs.evaluation_folder import EXACT, EvaluationFolder
from ecgfounder_ft.runs.report import classification_report, metrics_of
from ecgfounder_ft.sweeps.answers.trainings import compare_trainings, draws_of, evaluated, too_few_seeds, trainings_of
from ecgfounder_ft.sweeps.folder import SweepFolder
from ecgfounder_ft.sweeps.trial_results import TrialResult, by_configuration, settings_of

FOLDER = "cross_validation"
DEALT = (
    "Patients were dealt to folds, stratified over conditions and sources; each fold was tested by a model that was "
    "trained and chosen on the others. The folds stand in their order: none is better than another. Deviations between "
    "them are no standard errors, since they share their training recordings."
)
REPORTED = (
    "The numbers to report stand in the table of results. Its AUROC and AUPRC are means of the folds: each fold's "
    "recordings are ranked by one model. All folds as one would rank recordings against each other that different "
    "models answered, on scales that differ, and come out lower. Its other metrics count decisions and probabilities. "
    "They are of all folds as one, so that every recording counts once."
)
OF_WHAT = (
    "The intervals (95%) are of what this way of training comes to on average, trained and tested on as many other "
    "patients. They are wider than those of the patients tested alone, because the folds' models share training "
    "recordings."
)
SHOWN = ("auroc", "auprc", "f1", "sensitivity", "specificity", "brier", "ece")
"""Metrics of a pooled set in the tables."""
RANKED = ("auroc", "auprc")
"""Those that rank recordings against each other."""
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
    reported, tables, links, missed = [], [], {}, []
    pooled: dict[str, dict[int, EvaluationInput]] = {}
    for name, group in by_configuration(trials).items():
        tables.append(folds_table(name, group))
        for seed, folds in by_seed(group).items():
            missing = sorted(set(range(folds_of(group[0]))) - set(folds))
            if missing:
                missed.append(
                    f"{name}, seed {seed}: not pooled, since fold {', '.join(map(str, missing))} did not end."
                )
                continue
            found = pool_folds(name, seed, folds, draws.resamples)
            pooled.setdefault(name, {})[seed] = found.data
            output = write_pooled(folder, name, seed, found, folds)
            reported.append(reported_table(name, seed, found.evaluation, tests_of(folds)))
            of = "" if name == "all" else f" of {name}"
            links[f"Report of all folds as one{of}, seed {seed}"] = f"{output}/{EvaluationFolder.REPORT}"
    text = [DEALT, *([REPORTED, OF_WHAT] if pooled else []), *missed]
    pictures: list[SectionPicture] = []
    seeds = [len(found) for found in pooled.values()]
    if len(pooled) > 1 and min(seeds) < FEWEST_SEEDS:
        text.append(f"{sentence(too_few_seeds(min(seeds)))}.")
    elif seeds and max(seeds) > 1:
        times = stretch(folds_of(trials[0]))
        compared = compare_trainings([replace(one, stretch=times) for one in trainings_of(pooled, draws)], draws)
        text += ["Seeds and configurations are compared by all folds as one.", *compared.text]
        tables += compared.tables
        pictures += compared.pictures
    return [Section("cross_validation", "Cross-validation", text, [*reported, *tables], pictures, links)]


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
    means = mean_of_folds(tests_of(folds), "auroc", found.evaluation)[MACRO]
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
            "model",
            "AUROC and AUPRC on this page rank recordings against each other that different models answered, and are "
            "lower for it. The number to report is the mean of the folds, macro AUROC "
            f"{with_interval(format_value(means), means)}",
        ],
    )
    output.write_report(render_report(content))
    return path


def tests_of(folds: Mapping[int, TrialResult]) -> list[Evaluation]:
    """The evaluation of each fold by itself."""
    return [one.test for one in folds.values() if one.test is not None]


def folds_table(name: str, trials: Sequence[TrialResult]) -> SectionTable:
    """Each fold by itself, and the deviation between them."""
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
    deviations = (f"{statistics.stdev(values):.3f}" if len(values) > 1 else "–" for values in known)
    rows.append(["deviation", "", "", "", *deviations])
    heads = [_HEADS[metric] for metric in metrics]
    title = "Each fold by itself, macro metrics" + (f": {name}" if name != "all" else "")
    return SectionTable(title, ["fold", "trial", "recordings", "patients", *heads], rows)


def reported_table(name: str, seed: int, pooled: Evaluation, folds: Sequence[Evaluation]) -> SectionTable:
    """Results by condition, with intervals: those that rank from the means of the folds, the others from all as one."""
    means = {metric: mean_of_folds(folds, metric, pooled) for metric in RANKED}

    def cells(code: str, metrics: Mapping[str, Estimate]) -> list[str]:
        shown = [means[metric][code] if metric in means else metrics[metric] for metric in SHOWN]
        return [with_interval(format_value(estimate), estimate) for estimate in shown]

    rows = [
        [code, f"{one.positives:,} of {one.n:,}", *cells(code, one.metrics)] for code, one in pooled.conditions.items()
    ]
    rows.append(["macro", f"{pooled.n:,}", *cells(MACRO, pooled.macro)])
    title = "Results" + (f": {name}" if name != "all" else "") + f", seed {seed}"
    caption = f"{title}. AUROC, AUPRC: means of {len(folds)} folds; the others: all folds as one"
    return SectionTable(caption, ["condition", "recordings", *(_HEADS[metric] for metric in SHOWN)], rows)
