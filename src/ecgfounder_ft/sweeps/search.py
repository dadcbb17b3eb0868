"""A search by Optuna: asked for values, and told what became of them, through a journal in the sweep's folder.

Optuna's own loop would run the trials itself, in one process. Here they run as any others do, through Hydra's
launcher, and any number of processes may search at once: the journal is what they share. hydra-optuna-sweeper 1.3.0
still asks for Optuna 2; when a release of Hydra supports the present Optuna, and continues a search, this file can go.

The sampler is made anew for each question, with a seed that follows from the number of trials so far. So a search that
was stopped asks for what it would have asked for.
"""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import optuna
from hydra.core.override_parser.types import IntervalSweep, Override, RangeSweep
from hydra.utils import instantiate
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileSymlinkLock
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from ecgfounder_ft.designs.design import DesignError
from ecgfounder_ft.designs.optuna import OptunaSearch
from ecgfounder_ft.sweeps.folder import SweepFolder, Trial
from ecgfounder_ft.sweeps.layout import Typed

log = logging.getLogger(__name__)

FOLDER = "folder"
"""User attribute of a trial of the study: the name of its folder."""

FEWEST_FOR_IMPORTANCES = 20
"""Finished trials below which shares of the metric's variation are mostly chance."""

ENDED = (TrialState.COMPLETE, TrialState.PRUNED)
STARTED = (*ENDED, TrialState.RUNNING)


class Search:
    """A study of a sweep's folder. Entered by several processes at once; call each method inside the folder's lock.

    Args:
        folder: of the sweep.
        design: its settings.
        space: key to what is searched.
        direction: ``min`` or ``max``, which way the metric is better.
        name: of the study; another space, or another metric, is another study.
    """

    def __init__(
        self,
        folder: SweepFolder,
        design: OptunaSearch,
        space: Mapping[str, BaseDistribution],
        direction: str,
        name: str,
    ) -> None:
        self.folder, self.design, self.space = folder, design, dict(space)
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.study = optuna.create_study(
            storage=journal(folder),
            study_name=name,
            direction=StudyDirection.MINIMIZE if direction == "min" else StudyDirection.MAXIMIZE,
            pruner=instantiate(design.pruner),
            load_if_exists=True,
        )
        self.begun = len(self.study.trials)
        self._retry_failed()

    def ask(self, asked: Sequence[int] = ()) -> optuna.trial.Trial | None:
        """A trial to run: one that no process runs any more, or a new one; None where there are enough.

        Args:
            asked: numbers of trials that this process was given and has not begun.
        """
        trials = self.study.get_trials(deepcopy=False)
        for trial in trials:
            if trial.state == TrialState.RUNNING and trial.number not in asked and self._is_orphan(trial):
                log.info("Trial %d of the search was not finished; it goes on", trial.number)
                self._seed(trial.number)
                return optuna.trial.Trial(self.study, trial._trial_id)
        failed_now = sum(trial.state == TrialState.FAIL and trial.number >= self.begun for trial in trials)
        if sum(trial.state in STARTED for trial in trials) + failed_now >= self.design.n_trials:
            return None
        self._seed(len(trials))
        return self.study.ask(fixed_distributions=self.space)

    def overrides(self, trial: optuna.trial.Trial) -> tuple[str, ...]:
        """The values of a trial, as typed on a command line."""
        values = {key: _suggest(trial, key, distribution) for key, distribution in self.space.items()}
        return tuple(
            f"{key}={value!r}" if isinstance(value, float) else f"{key}={value}" for key, value in values.items()
        )

    def tell(self, trial: optuna.trial.Trial, state: str, value: float | None) -> None:
        """What became of a trial.

        Args:
            trial: as asked.
            state: of its run.
            value: of the metric; None: none.
        """
        if state == "running":  # by another process, which will tell
            return
        if state == "finished" and value is not None:
            self.study.tell(trial.number, value, skip_if_finished=True)
        elif state == "pruned":
            self.study.tell(trial.number, state=TrialState.PRUNED, skip_if_finished=True)
        else:
            self.study.tell(trial.number, state=TrialState.FAIL, skip_if_finished=True)

    def _seed(self, number: int) -> None:
        """Make the sampler of a trial, by its number."""
        self.study.sampler = instantiate(self.design.sampler, seed=self.design.seed + number)

    def _is_orphan(self, trial: FrozenTrial) -> bool:
        name = trial.user_attrs.get(FOLDER)
        known = None if name is None else self.folder.trial(name)
        return known is None or not self.folder.is_held(known)

    def _retry_failed(self) -> None:
        """Queue what failed in earlier processes once more; its run goes on from its checkpoint."""
        trials = self.study.get_trials(deepcopy=False)
        others = [trial.params for trial in trials if trial.state in STARTED]
        others += [trial.system_attrs["fixed_params"] for trial in trials if trial.state == TrialState.WAITING]
        for trial in trials:
            if trial.state == TrialState.FAIL and trial.params and trial.params not in others:
                self.study.enqueue_trial(trial.params)
                others.append(trial.params)


def _suggest(trial: optuna.trial.Trial, key: str, distribution: BaseDistribution) -> float | int | str:
    """The trial's value; drawn now, where the process that asked was killed before it was."""
    if isinstance(distribution, FloatDistribution):
        return trial.suggest_float(
            key, distribution.low, distribution.high, step=distribution.step, log=distribution.log
        )
    if isinstance(distribution, IntDistribution):
        return trial.suggest_int(key, distribution.low, distribution.high, step=distribution.step, log=distribution.log)
    assert isinstance(distribution, CategoricalDistribution)
    return str(trial.suggest_categorical(key, distribution.choices))


def journal(folder: SweepFolder) -> JournalStorage:
    """The journal of a sweep's folder; what a killed process left of its last line is taken away."""
    file = folder.journal_file
    lock = JournalFileSymlinkLock(str(file))
    if file.is_file() and lock.acquire():
        try:
            content = file.read_bytes()
            whole = content.rfind(b"\n") + 1
            if whole < len(content):
                log.warning("%s ends in the middle of a line, which is left out", file)
                with file.open("r+b") as stream:
                    stream.truncate(whole)
        finally:
            lock.release()
    return JournalStorage(JournalFileBackend(str(file), lock_obj=lock))


def running_trial(folder: SweepFolder, trial: Trial, pruner: Any) -> optuna.trial.Trial | None:
    """The search's trial that a folder belongs to, while it runs; None where there is none."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storage = journal(folder)
    for summary in optuna.get_all_study_summaries(storage):
        study = optuna.load_study(study_name=summary.study_name, storage=storage, pruner=instantiate(pruner))
        for found in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            if found.user_attrs.get(FOLDER) == trial.name:
                return optuna.trial.Trial(study, found._trial_id)
    return None


def space_of(typed: Typed) -> dict[str, BaseDistribution]:
    """What is searched, from what was typed in Hydra's grammar of sweeps.

    Raises:
        DesignError: if nothing is, or a range is empty.
    """
    space = {key: _distribution(key, typed.parsed[key]) for key in (*typed.axes, *typed.ranges)}
    if not space:
        raise DesignError(
            "sweep=optuna: nothing to search. Give values or ranges, such as finetune=full,lp_ft "
            "'optimizer.lr=tag(log,interval(1e-5,1e-2))'"
        )
    return space


def _distribution(key: str, override: Override) -> BaseDistribution:
    value = override.value()
    try:
        if isinstance(value, IntervalSweep):
            log_scale = "log" in value.tags
            if isinstance(value.start, int) and isinstance(value.end, int):
                return IntDistribution(value.start, value.end, log=log_scale)
            assert value.start is not None
            assert value.end is not None
            return FloatDistribution(float(value.start), float(value.end), log=log_scale)
        if isinstance(value, RangeSweep):
            numbers = list(value.range())
            log_scale = "log" in value.tags
            if isinstance(numbers[0], int):
                step = 1 if log_scale else int(value.step)
                return IntDistribution(numbers[0], int(numbers[-1]), step=step, log=log_scale)
            return FloatDistribution(numbers[0], numbers[-1], step=float(value.step))
    except (ValueError, IndexError) as error:
        raise DesignError(f"{override.input_line}: no range to search ({error})") from error
    return CategoricalDistribution(list(override.sweep_string_iterator()))


def importances_of(folder: SweepFolder) -> tuple[dict[str, float], str]:
    """How much of the metric's variation each parameter explains, in the study with the most finished trials.

    Returns:
        Parameter to its share, and in words why there is none: it takes :data:`FEWEST_FOR_IMPORTANCES` finished trials
        and two parameters.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storage = journal(folder)
    studies = [
        optuna.load_study(study_name=summary.study_name, storage=storage)
        for summary in optuna.get_all_study_summaries(storage)
    ]
    ended = [study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)) for study in studies]
    if not ended:
        return {}, ""
    place = max(range(len(ended)), key=lambda number: len(ended[number]))
    searched = {name for trial in ended[place] for name in trial.params}
    if len(searched) < 2:
        return {}, ""
    if len(ended[place]) < FEWEST_FOR_IMPORTANCES:
        return {}, (
            f"Importances of the parameters take {FEWEST_FOR_IMPORTANCES} finished trials, and there are "
            f"{len(ended[place])}: of fewer they are mostly chance."
        )
    try:
        found = optuna.importance.get_param_importances(studies[place])
    except (RuntimeError, ValueError) as error:  # all trials alike, for example
        log.warning("No importances of the parameters: %s", error)
        return {}, ""
    return {name: float(value) for name, value in found.items()}, ""
