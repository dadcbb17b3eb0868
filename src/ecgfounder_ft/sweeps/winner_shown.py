"""What the page and the terminal say of the configuration that validation chose, and what to know before reading on."""

import statistics
from collections.abc import Sequence

from ecgfounder_ft.evaluation.evaluate import Evaluation
from ecgfounder_ft.evaluation.metrics import METRICS, count_patients, count_recordings
from ecgfounder_ft.evaluation.out_of_fold import condition_means
from ecgfounder_ft.report.sweep_page import WinnerShown
from ecgfounder_ft.report.words import few_patients, format_interval
from ecgfounder_ft.sweeps.trial import DONE
from ecgfounder_ft.sweeps.trial_results import SweepResults, TrialResult, Winner, macro

ALONE = "All trials are of one configuration: nothing was chosen among them."
CHOSEN = (
    "Chosen by validation alone. The test recordings chose nothing here, so its test metrics stand for it; a best test "
    "metric looked for among the trials below would flatter."
)
SHOWN = ("auroc", "auprc", "f1")
RANKED = ("auroc", "auprc")
"""Shown of folds: their decisions are told by all of them as one, in the section of cross-validation."""


def winner_shown(winner: Winner, results: SweepResults) -> WinnerShown:
    """Print the winner; where there is one configuration alone, it has won nothing."""
    alone = len({one.configuration for one in results.trials}) == 1
    folds = any("fold" in one.trial.place for one in winner.trials)
    name = winner.name if winner.name != "all" else "as typed"
    return WinnerShown(
        heading="Result" if alone else "Winner by validation",
        name=name,
        trials=_trials_of(winner),
        validation=_number(winner.value),
        validation_note="mean of its trials" if len(winner.trials) > 1 else "of its best epoch",
        test=[_test_metric(winner.trials, metric, folds) for metric in (RANKED if folds else SHOWN)],
        tested=tested_on([one.test for one in _tested_apart(winner.trials) if one.test is not None]),
        why=ALONE if alone else CHOSEN,
    )


def warnings_of(results: SweepResults, winner: Winner | None) -> list[str]:
    """List what a reader has to know before the first number."""
    found = []
    missing = [one for one in results.trials if one.state not in DONE]
    if missing:
        found.append(f"{len(missing)} of {len(results.trials)} trials have not ended, and are no part of what follows.")
    tried = len({one.configuration for one in results.trials if one.value is not None})
    if winner is not None and tried > 1:
        found.append(
            f"The winner's validation metric is the best of {tried}, and flatters the more, the more were tried."
        )
    tested = [] if winner is None else [one.test for one in _tested_apart(winner.trials) if one.test is not None]
    counts: dict[str, int] = {}
    for evaluation in tested:
        for code, condition in evaluation.conditions.items():
            counts[code] = counts.get(code, 0) + condition.positive_patients
    rare = few_patients(counts)
    return [*found, *([f"{rare}."] if rare else [])]


def tested_on(evaluations: Sequence[Evaluation]) -> str:
    """Count recordings and patients that no two of the evaluations share."""
    recordings, patients = (sum(getattr(one, name) for one in evaluations) for name in ("n", "patients"))
    return f"{count_recordings(recordings)} of {count_patients(patients)}"


def _tested_apart(trials: Sequence[TrialResult]) -> list[TrialResult]:
    """Trials that test different recordings: the folds or the held-out sources of the first seed."""
    found: dict[object, TrialResult] = {}
    for one in trials:
        found.setdefault((one.at("fold"), one.at("held_out")), one)
    return list(found.values())


def _test_metric(trials: Sequence[TrialResult], metric: str, folds: bool) -> tuple[str, str, str]:
    name = f"macro {METRICS[metric].label}"
    if folds:
        seeds: dict[object, list[Evaluation]] = {}
        for one in trials:
            if one.test is not None:
                seeds.setdefault(one.at("seed"), []).append(one.test)
        means = [list(condition_means(tests, metric).values()) for tests in seeds.values()]
        values = [statistics.mean(found) for found in means if found]
        note = f"mean of {len(trials)} trials, each tested on its fold"
        return name, _number(statistics.mean(values) if values else None), note if values else "not defined"
    found = [macro(one.test, metric) for one in trials]
    values = [one.value for one in found if one.value is not None]
    if not values:
        return name, "–", "not defined"
    if len(trials) == 1:
        return name, _number(values[0]), f"95% interval {format_interval(found[0]) or 'not computed'}"
    deviation = f", standard deviation {statistics.stdev(values):.3f}" if len(values) > 1 else ""
    return name, _number(statistics.mean(values)), f"mean of {len(values)} trials{deviation}"


def _trials_of(winner: Winner) -> str:
    names = sorted((one.trial.name for one in winner.trials), key=int)
    held_out = ": each tested on a source that it held out" if winner.holds_out else ""
    return f"trial{'s' if len(names) > 1 else ''} {', '.join(names)}{held_out}"


def _number(value: float | None) -> str:
    return "–" if value is None or value != value else f"{value:.3f}"
