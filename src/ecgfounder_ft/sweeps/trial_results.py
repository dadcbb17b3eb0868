"""What the trials of a sweep came to: one record for each, read from its folder."""

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from ecgfounder_ft.config.choices import ConfigurationError
from ecgfounder_ft.designs.design import Value
from ecgfounder_ft.errors import ExplainedError
from ecgfounder_ft.evaluation.evaluate import Evaluation
from ecgfounder_ft.evaluation.metrics import Estimate
from ecgfounder_ft.evaluation.run_evaluation import evaluate_predictions
from ecgfounder_ft.evaluation.settings import EvaluationSettings
from ecgfounder_ft.files import write_json
from ecgfounder_ft.runs.digests import require_unedited
from ecgfounder_ft.runs.folder import RunFolder, RunFolderError
from ecgfounder_ft.sweeps.folder import SweepFolder, Trial
from ecgfounder_ft.sweeps.trial import state_of

log = logging.getLogger(__name__)

FINISHED = "finished"
CHANCE = ("fold", "seed")
"""Axes of designs along which trials repeat each other, and are not ranked."""


@dataclass(frozen=True)
class TrialResult:
    """A trial and what it came to."""

    trial: Trial
    run: RunFolder
    state: str
    """As :func:`~ecgfounder_ft.sweeps.trial.state_of` says."""
    parameters: Mapping[str, str]
    """Key to value, as typed, of what varies in the sweep; what the design varies is among them."""
    metric: str | None
    """Validation metric that trials are ranked by; None before there is one."""
    mode: str
    """``min`` or ``max``: which way it is better."""
    value: float | None
    """Of the best epoch; of a pruned trial, of its last."""
    validation: Evaluation | None
    """Of the recordings that the best epoch, calibration and thresholds were chosen by, so flattering."""
    test: Evaluation | None
    started: str
    seconds: float | None
    """Of its last process."""
    error: str
    """What stopped it, in one line."""

    @property
    def finished(self) -> bool:
        """Trained to its end, and evaluated."""
        return self.state == FINISHED

    @property
    def label(self) -> str:
        """What varies, in short; the folder's name where nothing does."""
        return in_short(self.parameters) or f"trial {self.trial.name}"

    @property
    def configuration(self) -> str:
        """What varies of what was asked for, in short, without what the design adds; "all" where nothing does."""
        typed = {override.lstrip("+~").partition("=")[0] for override in self.trial.configuration}
        return in_short({key: value for key, value in self.parameters.items() if key in typed}) or "all"

    def at(self, axis: str) -> Value:
        """Its value at an axis of its design; None where it has none."""
        return self.trial.place.get(axis)


@dataclass(frozen=True)
class SweepResults:
    """The trials of a sweep, best first."""

    folder: SweepFolder
    trials: Sequence[TrialResult]
    """Finished ones by their validation metric, then pruned ones, then those without one."""

    @property
    def parameters(self) -> list[str]:
        """Keys of what varies, in the order of the trials."""
        return list(dict.fromkeys(key for result in self.trials for key in result.parameters))

    @property
    def metric(self) -> str:
        """Validation metric that the trials are ranked by."""
        return next((result.metric for result in self.trials if result.metric), "metric")

    @property
    def mode(self) -> str:
        """``min`` or ``max``: which way the metric is better."""
        return next((result.mode for result in self.trials if result.metric), "max")

    def of_design(self, design: str) -> list[TrialResult]:
        """The trials that a design laid out, in the order in which it did."""
        found = [result for result in self.trials if result.trial.design == design]
        return sorted(found, key=lambda result: int(result.trial.name))


@dataclass(frozen=True)
class Winner:
    """The configuration that validation chooses."""

    name: str
    trials: Sequence[TrialResult]
    """Of it, all finished."""
    value: float
    """Mean of the validation metric over the trials."""

    @property
    def holds_out(self) -> bool:
        """Whether each of its trials was tested on a source that it held out."""
        return all(one.at("held_out") is not None for one in self.trials)


def winner_of(results: SweepResults) -> Winner | None:
    """The best by validation; None where no trial has ended, or configurations have unequal numbers of trials.

    A trial alone is a configuration of its own, but where a design makes several trials of one: these count together.
    Of learning curves it is the largest training side that counts; where sources are held out, those trials. A
    configuration of which no trial ended is left out.
    """
    groups = compared_groups(results)
    if not groups or len(set(map(len, groups.values()))) > 1:
        return None
    means = {name: sum(float(one.value or 0) for one in group) / len(group) for name, group in groups.items()}
    best = (min if results.mode == "min" else max)(means, key=lambda name: means[name])
    return Winner(best, groups[best], means[best])


def compared_groups(results: SweepResults) -> dict[str, list[TrialResult]]:
    """Configuration to those of its finished trials that are compared."""
    finished = without_mixed([result for result in results.trials if result.finished and result.value is not None])
    sizes = [result.at("size") for result in finished if "size" in result.trial.place]
    largest = None if None in sizes else max((int(size) for size in sizes if size is not None), default=None)
    groups: dict[str, list[TrialResult]] = {}
    for result in finished:
        if "size" not in result.trial.place or result.at("size") == largest:
            groups.setdefault(result.configuration, []).append(result)
    return groups


def why_no_winner(results: SweepResults) -> str:
    """Say why :func:`winner_of` names none."""
    groups = compared_groups(results)
    if not groups:
        return "No trial has ended, so there is no winner."
    counts = "; ".join(f"{name}: {len(group)}" for name, group in groups.items())
    return (
        f"No winner yet: the configurations have unequal numbers of finished trials ({counts}), and a mean over fewer "
        "is not set beside one over more. The same command goes on with what is missing."
    )


def without_mixed(results: Sequence[TrialResult]) -> list[TrialResult]:
    """Trials that can be averaged: where some hold a source out, without those whose split mixes all sources.

    The mixed split is what held-out sources are measured against. Its metrics are of sources that the model has seen.
    """
    held_out = any(result.at("held_out") is not None for result in results)
    return [
        result
        for result in results
        if not (held_out and "held_out" in result.trial.place and result.at("held_out") is None)
    ]


def in_short(parameters: Mapping[str, str]) -> str:
    """Keys without what stands before their last dot, and values."""
    return " ".join(f"{key.rpartition('.')[2]}={value}" for key, value in parameters.items())


def by_configuration(results: Sequence[TrialResult]) -> dict[str, list[TrialResult]]:
    """Configuration to its trials, in the order of the trials."""
    groups: dict[str, list[TrialResult]] = {}
    for result in results:
        groups.setdefault(result.configuration, []).append(result)
    return groups


def read_results(folder: SweepFolder, *, accept_edited: bool = False) -> SweepResults:
    """Read every trial of a sweep.

    Args:
        folder: of the sweep.
        accept_edited: take trials whose files were edited as they are, and name the files in the log.
    """
    trials = folder.trials()
    varying = varying_parameters(trials)
    results = [read_trial(folder, trial, varying[trial.name], accept_edited=accept_edited) for trial in trials]
    return SweepResults(folder, best_first(results))


def read_trial(
    folder: SweepFolder, trial: Trial, parameters: Mapping[str, str], *, accept_edited: bool = False
) -> TrialResult:
    """Read one trial. What cannot be read of it is said in its ``error``, so that the others are shown all the same.

    A trial that was edited, or whose folder holds another trial, has no metrics, and cannot win.
    """
    run = folder.run(trial)
    status = run.read_status()
    metric = status.get("optimized_metric", {})
    state = state_of(folder, trial)
    error = str(status.get("error", "")).strip().split("\n")[0]
    validation = test = None
    value = metric.get("value")
    if state == FINISHED:
        try:
            _require_own(folder, trial, run, accept_edited)
            test = _evaluation(run.read_metrics().get("test"))
            validation = validation_of(folder, trial)
        except (ExplainedError, ValueError, KeyError, TypeError) as reason:
            error = str(reason) if isinstance(reason, RunFolderError) else f"{run}: metrics cannot be read ({reason})"
            value = test = validation = None
            log.warning("%s", error)
    return TrialResult(
        trial=trial,
        run=run,
        state=state,
        parameters=parameters,
        metric=metric.get("name"),
        mode=metric.get("mode", "max"),
        value=value,
        validation=validation,
        test=test,
        started=status.get("started") or "",
        seconds=status.get("seconds"),
        error=error,
    )


def _require_own(folder: SweepFolder, trial: Trial, run: RunFolder, accept: bool) -> None:
    """Refuse a folder that holds another trial, or whose files are not as its run left them.

    Raises:
        RunFolderError: that says which.
    """
    typed, laid_out = (
        # a search that goes on with more trials has other settings of its sweep, and the same trials
        sorted(one for one in some if not one.startswith(("hydra", "sweep")))
        for some in (run.overrides(), trial.overrides)
    )
    if typed and typed != laid_out:
        other = [one for one in typed if one not in laid_out]
        raise RunFolderError(
            f"{run} holds another trial: it was run with {' '.join(other) or ' '.join(typed)}, and {folder.RECORD} has "
            f"{' '.join(laid_out)} there. Were folders exchanged? Put them back"
        )
    require_unedited(run, accept=accept, but=(run.MODEL,))


def validation_of(folder: SweepFolder, trial: Trial) -> Evaluation | None:
    """A finished trial on its validation recordings, with intervals; worked out once. None where it has none.

    Raises:
        RunFolderError: if its predictions or settings cannot be read.
    """
    kept = folder.path / ".validation" / f"{trial.name}.json"
    run = folder.run(trial)
    if not kept.is_file():
        if not (run.path / run.PREDICTIONS).is_file():
            return None
        predictions = run.predictions()
        if predictions.rows("validation").empty:
            return None
        evaluated = evaluate_predictions(predictions, replace(settings_of(run), by=[]), side="validation")
        kept.parent.mkdir(exist_ok=True)
        write_json(kept, evaluated.evaluation.to_dict())
    return _evaluation(json.loads(kept.read_text(encoding="utf-8")))


def settings_of(run: RunFolder) -> EvaluationSettings:
    """How a run was evaluated.

    Raises:
        RunFolderError: if its configuration does not say.
    """
    try:
        content = run.plain_configuration()["evaluation"]
        if {entry.name for entry in fields(EvaluationSettings)} - set(content):
            return run.settings().evaluation  # of an earlier version: what it lacks is as it ships
        return EvaluationSettings(**content)
    except (KeyError, TypeError, ConfigurationError) as error:
        raise RunFolderError(
            f"{run.path / run.CONFIGURATION}: no settings of an evaluation as this version has them ({error})"
        ) from error


def best_first(results: Sequence[TrialResult]) -> list[TrialResult]:
    """By the metric, in the direction in which it is better: finished trials, pruned ones, then those without it.

    Folds and seeds are not ranked: they stand in their order, all where their mean over finished trials stands.
    """
    known: dict[str, list[float]] = {}
    for result in results:
        if result.finished and result.value is not None:
            known.setdefault(_repeated(result), []).append(result.value)
    means = {name: sum(values) / len(values) for name, values in known.items()}

    def key(result: TrialResult) -> tuple[int, float, int]:
        if result.value is None or result.state not in (FINISHED, "pruned"):
            return 2, 0.0, int(result.trial.name)
        value = means.get(_repeated(result), result.value) if result.finished else result.value
        return int(not result.finished), value if result.mode == "min" else -value, int(result.trial.name)

    return sorted(results, key=key)


def _repeated(result: TrialResult) -> str:
    """What trials have in common that repeat each other; a trial's own name where none repeats it."""
    place = {axis: value for axis, value in result.trial.place.items() if axis not in CHANCE}
    if place == dict(result.trial.place):
        return result.trial.name
    return f"{result.configuration} {place}"


def varying_parameters(trials: Sequence[Trial]) -> dict[str, dict[str, str]]:
    """Name of a trial to those of its overrides that not all trials have: key to value, as typed."""
    typed = {
        trial.name: dict(override.lstrip("+").partition("=")[::2] for override in trial.overrides) for trial in trials
    }
    keys = list(dict.fromkeys(key for overrides in typed.values() for key in overrides))
    varying = [
        key
        for key in keys
        if key.partition(".")[0].partition("/")[0] != "sweep"  # says how many trials there are, not what one does
        and len({overrides.get(key) for overrides in typed.values()}) > 1
    ]
    return {
        name: {key: _shown(overrides[key]) for key in varying if key in overrides} for name, overrides in typed.items()
    }


def macro(evaluation: Evaluation | None, metric: str) -> Estimate:
    """A macro metric; one without a value where there is no evaluation."""
    return Estimate(None) if evaluation is None else evaluation.macro[metric]


def _shown(value: str) -> str:
    """A number as short as it stays the same to four digits; anything else as it is."""
    try:
        number = float(value)
    except ValueError:
        return value.strip("'")
    return value if len(value) <= 6 else f"{number:.4g}"


def _evaluation(content: Any) -> Evaluation | None:
    return None if not content else Evaluation.from_dict(content)
