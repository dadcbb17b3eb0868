"""What happens in the process that runs a trial: it is run once, and goes on where it was stopped."""

import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from ecgfounder_ft.config.settings import Settings
from ecgfounder_ft.errors import ExplainedError
from ecgfounder_ft.runs.folder import RunFolder
from ecgfounder_ft.sweeps.folder import SweepFolder, Trial
from ecgfounder_ft.sweeps.slurm import is_requeued
from ecgfounder_ft.training.resume import same_command_again

log = logging.getLogger(__name__)

DONE = ("finished", "pruned")
"""States in which a trial stays as it is."""

Train = Callable[[Settings, Sequence[Any]], float | None]
"""Trains by settings, with further Lightning callbacks."""


def run_trial(settings: Settings, train: Train) -> float | None:
    """Run a trial of a sweep, unless it is done; one that was stopped goes on from its checkpoint.

    A trial that a cluster starts again, after its machine was taken away, goes the same way.

    Args:
        settings: of the trial.
        train: what trains.

    Returns:
        The metric that a sweep ranks its trials by; NaN where there is none.

    Raises:
        TrialHeldError: if another process runs it.
    """
    run = RunFolder(settings.output_dir)
    sweep = SweepFolder(run.path.parent)
    trial = sweep.trial(run.name)
    if trial is None:  # of another sweeper
        if is_requeued() and run.last_checkpoint.is_file():
            settings = same_command_again(run, settings)
        return train(_without_attribution(settings), ())
    with sweep.holding(trial):
        status = run.read_status()
        if status.get("state") in DONE:
            log.info("Trial %s is %s already", trial.name, status["state"])
            return optimized_value(run)
        if (run.path / run.CONFIGURATION).is_file():
            log.info("Trial %s was %s; it goes on", trial.name, status.get("state", "stopped"))
            settings = same_command_again(run, settings)
        from ecgfounder_ft.sweeps.pruning import pruning_callbacks  # imports Lightning

        try:
            return train(_without_attribution(settings), pruning_callbacks(settings, sweep, trial))
        except ExplainedError as error:
            if run.read_status() == status:  # refused before the run has written anything of its own
                run.write_lost(f"{type(error).__name__}: {error}", trial.overrides)
            raise


def _without_attribution(settings: Settings) -> Settings:
    """Leave out of a trial what takes half a minute to three, and few look at, unless it was asked for."""
    if settings.evaluation.attribution is not None:
        return settings
    return replace(settings, evaluation=replace(settings.evaluation, attribution=False))


def optimized_value(run: RunFolder) -> float:
    """The metric that a sweep ranks a run by; NaN where it has none."""
    value = run.read_status().get("optimized_metric", {}).get("value")
    return math.nan if value is None else float(value)


def state_of(sweep: SweepFolder, trial: Trial) -> str:
    """``finished``, ``pruned``, ``failed``; ``running`` where a process runs it; ``interrupted`` or ``not started``."""
    state = sweep.run(trial).read_status().get("state", "not started")
    if state in DONE:
        return str(state)
    if sweep.is_held(trial):
        return "running"
    return "interrupted" if state == "running" else str(state)
