"""The training command: compose the configuration, run the experiment, return the metric that a sweep optimises.

``python train.py``, ``ecgfounder-ft train`` and ``python -m ecgfounder_ft train`` all end in ``main``. Hydra is
imported only then: each process that preprocesses recordings imports this module first.
"""

import importlib.util
import logging
import math
import sys
import textwrap
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ecgfounder_ft.errors import run_or_explain
from ecgfounder_ft.interruption import Interrupted
from ecgfounder_ft.memory import give_back

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from ecgfounder_ft.config.command_line import CommandLine
    from ecgfounder_ft.config.settings import Settings

log = logging.getLogger(__name__)


def main() -> None:
    """Train as ``sys.argv`` says; Hydra reads its overrides and flags from there.

    Raises:
        SystemExit: with a code of :class:`~ecgfounder_ft.errors.ExitCode`, if it is refused or fails.
    """
    run_or_explain(_main)


def main_of_command(arguments: Sequence[str]) -> None:
    """Train as ``arguments`` say, in a program whose own arguments they are only a part of.

    With several devices Lightning starts the program once more for each further device, and puts the command together
    from ``__main__.__spec__`` and ``sys.argv[1:]``. For ``python -m ecgfounder_ft train ...`` that would be
    ``-m ecgfounder_ft.__main__ ...``, for an installed ``ecgfounder-ft`` its path, which on some systems is no Python
    file; and both lack the word ``train``. So both name this module, which takes ``arguments`` alone.

    Raises:
        SystemExit: with a code of :class:`~ecgfounder_ft.errors.ExitCode`, if it is refused or fails.
    """
    import __main__

    __main__.__spec__ = importlib.util.find_spec("ecgfounder_ft.train")
    sys.argv = [__file__, *arguments]
    main()


def help_text() -> str:
    """What ``--help`` prints: the shipped text, with the choices that there are, the user's own among them."""
    from ecgfounder_ft.config.choices import choices, config_folder

    groups = choices()
    width = max(map(len, groups)) + 2
    lines = [
        textwrap.fill(
            f"{group:<{width}}{', '.join(names)}",
            width=100,
            initial_indent="  ",
            subsequent_indent=" " * (width + 2),
            break_on_hyphens=False,
        )
        for group, names in groups.items()
    ]
    text = (config_folder() / "help.txt").read_text(encoding="utf-8")
    return text.replace("{groups}", "\n".join(lines))


def _main() -> None:
    from ecgfounder_ft.config.choices import config_folder, own_config_folder
    from ecgfounder_ft.config.compose import register_configurations
    from ecgfounder_ft.config.preflight import looked_through

    folder = config_folder()
    if {"-h", "--help"} & set(sys.argv[1:]):
        print(help_text())  # Hydra's own takes seconds to compose
        return
    line, found = looked_through(sys.argv[1:])
    for settings in found:
        _require(settings, line)
    import hydra

    register_configurations()
    train = hydra.main(config_path=str(folder), config_name="train", version_base="1.3")(_train)
    try:
        train()
    except SystemExit as end:
        own = own_config_folder()
        if end.code == 1 and own is not None:  # a file there may be what Hydra refuses, and its message names no file
            print(f"Files of {own} take precedence over those of the package.", file=sys.stderr)
        raise


def _require(settings: "Settings | Path", line: "CommandLine") -> None:
    """Refuse what could not run, before Hydra makes a folder for it."""
    from ecgfounder_ft.runs.folder import RunFolder
    from ecgfounder_ft.training.resume import resumed_settings

    if isinstance(settings, Path):
        resumed_settings(RunFolder(settings), line.overrides, line.trusted_targets)
    elif not line.multirun:  # a trial may run on another machine, and looks there
        from ecgfounder_ft.designs.design import DesignError
        from ecgfounder_ft.designs.grid import Grid
        from ecgfounder_ft.training.requirements import require_trainable

        if not isinstance(settings.design, Grid):
            raise DesignError("sweep=... lays out several trials, and without -m one would run alone: add -m")
        require_trainable(settings)


def _train(config: "DictConfig") -> float | None:
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode

    if HydraConfig.get().mode is not RunMode.MULTIRUN:
        return run_or_explain(lambda: _run(config))
    try:
        metric = run_or_explain(lambda: _run_trial(config), exit_on_error=False)
    except Exception as error:
        log.exception("The trial failed, and not by what a user can mend")
        traceback.clear_frames(error.__traceback__)  # Hydra keeps the error, and with it all that the trial held
        raise
    finally:
        give_back()
    return math.nan if metric is None else metric  # a trial that failed


def _run(config: "DictConfig") -> float | None:
    from hydra.core.hydra_config import HydraConfig

    from ecgfounder_ft.config.command_line import trusted_in
    from ecgfounder_ft.config.compose import log_own_config_folder
    from ecgfounder_ft.config.settings import settings_of
    from ecgfounder_ft.runs.folder import RunFolder
    from ecgfounder_ft.runs.output_folder import link_latest
    from ecgfounder_ft.sweeps.slurm import is_requeued
    from ecgfounder_ft.training.resume import resumed_settings, same_command_again

    log_own_config_folder()
    if config.resume is not None:
        overrides = HydraConfig.get().overrides.task
        place = Path(config.resume)
        place = place.resolve() if place.is_symlink() else place  # outputs/latest may lead elsewhere soon
        settings = resumed_settings(RunFolder(place), overrides, trusted_in(overrides))
    else:
        settings = settings_of(config)
        folder = RunFolder(settings.output_dir)
        if is_requeued() and folder.last_checkpoint.is_file():
            settings = same_command_again(folder, settings)
    try:
        metric = _experiment(settings)
    except Interrupted:
        link_latest(settings.output_dir)
        raise
    link_latest(settings.output_dir)
    return metric


def _run_trial(config: "DictConfig") -> float | None:
    from ecgfounder_ft.config.compose import log_own_config_folder
    from ecgfounder_ft.config.settings import settings_of
    from ecgfounder_ft.sweeps.trial import run_trial

    log_own_config_folder()
    return run_trial(settings_of(config), _experiment)


def _experiment(settings: "Settings", callbacks: Sequence[Any] = ()) -> float | None:
    from ecgfounder_ft.training.experiment import run_experiment  # imports torch, which a refused resume never needs

    return run_experiment(settings, callbacks)


if __name__ == "__main__":
    main()
