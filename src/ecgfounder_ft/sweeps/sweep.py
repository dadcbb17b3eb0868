"""A sweep from what was typed to its answer. Hydra calls it through ``hydra_plugins/ecgfounder_ft_sweeper.py``.

Trials run through whichever launcher Hydra was told to use. What became of them is read from their folders, so that it
makes no difference where they ran, or how a launcher tells of a failure.
"""

import importlib.util
import logging
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from hydra.core.plugins import Plugins
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from ecgfounder_ft.config.settings import design_in, settings_of, unchecked_content
from ecgfounder_ft.designs.design import Design, Point, quoted
from ecgfounder_ft.designs.optuna import OptunaSearch
from ecgfounder_ft.errors import ExplainedError, how_to_install, run_or_explain
from ecgfounder_ft.runs.output_folder import link_latest
from ecgfounder_ft.sweeps.folder import SweepFolder, Trial, choose_folder
from ecgfounder_ft.sweeps.layout import Typed, command_of, digest_of, parse
from ecgfounder_ft.sweeps.trial import DONE, optimized_value, state_of
from ecgfounder_ft.training.monitor import direction_of

log = logging.getLogger(__name__)


class MissingOptunaError(ExplainedError):
    """Optuna is not installed."""


class Sweep:
    """The trials of one start of a sweep.

    Args:
        hydra_context: of Hydra.
        task_function: runs a trial.
        config: composed from what all trials share.
    """

    def __init__(self, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.hydra_context, self.task_function, self.config = hydra_context, task_function, config
        self.folder: SweepFolder
        self.launcher: Launcher
        self._sources: dict[str, list[str]] = {}

    def run(self, arguments: Sequence[str]) -> None:
        """Run what is not done, and show what all of it says.

        Raises:
            SystemExit: with status 1 if a trial did not finish, 2 if the sweep cannot be meant.
        """
        whole = run_or_explain(lambda: self._run(arguments))
        if not whole:
            sys.exit(1)

    def _run(self, arguments: Sequence[str]) -> bool:
        typed = parse(arguments, self.hydra_context.config_loader)
        first = self._compose([*typed.fixed, *(f"{key}={values[0]}" for key, values in typed.axes.items())])
        design = design_in(cast(dict[str, Any], OmegaConf.to_container(first.sweep, resolve=True)))
        design.refuse(typed.keys)
        if isinstance(design, OptunaSearch) and importlib.util.find_spec("optuna") is None:
            raise MissingOptunaError(f"sweep=optuna needs Optuna: {how_to_install('sweep')}")
        name = str(first.hydra.runtime.choices.get("sweep"))
        laid_out = [] if isinstance(design, OptunaSearch) else self._lay_out(typed, design, name)
        self._open(arguments, design)
        if isinstance(design, OptunaSearch):
            self._search(typed, design, first, name)
        else:
            self._launch(self.folder.add(laid_out))
        from ecgfounder_ft.sweeps.answer import show_answer  # imports pandas and the evaluation

        whole = show_answer(self.folder)
        link_latest(self.folder.path)
        return whole

    # ------------------------------------------------------------------------------------ layout

    def _compose(self, overrides: Sequence[str]) -> DictConfig:
        return self.hydra_context.config_loader.load_sweep_config(self.config, list(overrides))

    def _lay_out(self, typed: Typed, design: Design, name: str) -> list[Trial]:
        trials = []
        for combination in typed.combinations():
            config = self._compose([*typed.fixed, *combination])
            points = design.points(config.seed, lambda config=config: self._sources_of(config))  # type: ignore[misc]
            trials += [self._trial(typed, combination, point, name, config) for point in points]
        return trials

    def _trial(
        self, typed: Typed, combination: Sequence[str], point: Point, name: str, config: DictConfig | None = None
    ) -> Trial:
        overrides = (*typed.fixed, *combination, *point.overrides)
        if config is None or point.overrides:
            config = self._compose(overrides)
        return Trial(digest_of(unchecked_content(config)), overrides, tuple(combination), name, dict(point.place))

    def _sources_of(self, config: DictConfig) -> list[str]:
        """Where the recordings of a configuration come from."""
        from ecgfounder_ft.sweeps.sources import sources_of

        key = OmegaConf.to_yaml(config.data, resolve=False)
        if key not in self._sources:
            config = OmegaConf.masked_copy(config, [str(name) for name in config if name != "hydra"])
            config.output_dir = ""  # named when the trial starts
            self._sources[key] = sources_of(settings_of(config))
        return self._sources[key]

    # --------------------------------------------------------------------------------------- runs

    def _open(self, arguments: Sequence[str], design: Design) -> None:
        """Choose the folder; the launcher, and all that is composed from here on, knows of it."""
        template = Path(str(self.config.hydra.sweep.dir))
        command = command_of(arguments)
        of_hydra = [entry for entry in self.config.hydra.overrides.hydra if not entry.startswith("hydra.mode=")]
        typed = [*arguments, *of_hydra]
        if any(entry.startswith("hydra.sweep.dir=") for entry in self.config.hydra.overrides.hydra):
            self.folder = SweepFolder(template)
            self.folder.open(command, typed)
        else:
            self.folder = choose_folder(template, command, resume=design.resume, typed=typed)
        with read_write(self.config.hydra), open_dict(self.config.hydra):
            self.config.hydra.sweep.dir = str(self.folder)
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=self.hydra_context, task_function=self.task_function, config=self.config
        )
        OmegaConf.save(self.config, self.folder.path / "multirun.yaml")
        known = self.folder.trials()
        if known:
            done = sum(self._state(trial) in DONE for trial in known)
            print(
                f"This sweep goes on in {self.folder}, where {done} of {len(known)} trials are done. "
                "sweep.resume=false starts a new one"
            )
        else:
            print(f"Sweep: {self.folder}")

    def _state(self, trial: Trial) -> str:
        return str(self.folder.run(trial).read_status().get("state", "not started"))

    def _launch(self, trials: Sequence[Trial]) -> None:
        """Run those of the trials that are not done, each once."""
        waiting = list({trial.name: trial for trial in trials if self._state(trial) not in DONE}.values())
        if not waiting:
            return
        own = [f"hydra.sweep.dir={quoted(str(self.folder))}"]
        jobs = [[*trial.overrides, *own, f"hydra.sweep.subdir='{trial.name}'"] for trial in waiting]
        try:
            self.launcher.launch(jobs, initial_job_idx=int(waiting[0].name))
        except Exception:  # what became of each trial stands in its folder
            log.exception("The launcher stopped")

    def _search(self, typed: Typed, design: OptunaSearch, config: DictConfig, name: str) -> None:
        from ecgfounder_ft.sweeps.search import FOLDER, Search, space_of

        direction = direction_of(config.optimized_metric)
        space = space_of(typed)
        study = f"{config.optimized_metric} by {', '.join(str(typed.parsed[key].input_line) for key in space)}"
        with self.folder.locked():
            search = Search(self.folder, design, space, direction, study)
        fixed = replace(typed, axes={}, ranges={})
        while True:
            running: list[tuple[int, Any, Trial]] = []
            with self.folder.locked():
                for _ in range(design.n_jobs):
                    asked = search.ask([number for number, _, _ in running])
                    if asked is None:
                        break
                    values = search.overrides(asked)
                    (trial,) = self.folder.add([self._trial(fixed, values, Point(), name)])
                    asked.set_user_attr(FOLDER, trial.name)
                    running.append((asked.number, asked, trial))
            if not running:
                return
            self._launch([trial for _, _, trial in running])
            with self.folder.locked():
                for _, asked, trial in running:
                    value = optimized_value(self.folder.run(trial))
                    search.tell(asked, state_of(self.folder, trial), None if value != value else value)
