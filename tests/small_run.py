"""The one recipe for a small run: a minute of simulated ECGs, a network of three stages, a few seconds of training.

And runs in processes of their own, so that they can be killed.
"""

import copy
import functools
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.forked import context

SMALL = (
    "data=simulated",
    "data.recordings_per_condition=12",
    "data.batch_size=16",
    "data.workers=1",
    "preprocessing.window.seconds=4.0",
    "model/architecture=slim",
    "model.architecture.filter_list=[16,16,32]",
    "model.architecture.m_blocks=[1,1,1]",
    "model.weights=null",
    "model.head=random",
    "optimizer.lr=3e-3",
    "trainer.max_epochs=4",
    "trainer.enable_progress_bar=false",
    "trainer.accelerator=cpu",
    "evaluation.resamples=20",
    "evaluation.by=[]",
    "evaluation.baselines=false",
    "evaluation.report=false",
)


def small_run(root: Path, *changes: str) -> list[str]:
    """Overrides of a small run whose recordings and store lie in ``root``; changes replace what they name."""
    changed = {change.partition("=")[0]: change for change in changes}
    chosen = {one.partition("=")[0] for one in SMALL if "." not in one.partition("=")[0]}
    # the values of a choice go with it: model/architecture=mine takes no filter_list
    of_groups = tuple(f"{key.replace('/', '.')}." for key in changed if key in chosen)
    places = (f"data.root='{root / 'simulated'}'", f"data.store='{root / 'store'}'")
    kept = [one for one in (*SMALL, *places) if one.partition("=")[0] not in changed and not one.startswith(of_groups)]
    return [*kept, *changed.values()]


def composed(overrides: Sequence[str]) -> Any:
    """As ``compose_settings``, with choices composed once: that takes a quarter of the time of a small run."""
    from hydra._internal.config_loader_impl import ConfigLoaderImpl
    from hydra.core.override_parser.overrides_parser import OverridesParser

    from ecgfounder_ft.config.choices import choices, own_config_folder
    from ecgfounder_ft.config.settings import settings_of

    groups = choices()
    chosen = tuple(one for one in overrides if one.partition("=")[0] in groups)
    config = copy.deepcopy(_composed(chosen, own_config_folder()))
    values = OverridesParser.create().parse_overrides([one for one in overrides if one not in chosen])
    ConfigLoaderImpl._apply_overrides_to_config(values, config)
    return settings_of(config)


@functools.cache
def _composed(chosen: tuple[str, ...], own: Path | None) -> Any:
    from ecgfounder_ft.config.compose import compose_config

    return compose_config(chosen)


def train(folder: Path, root: Path, *changes: str) -> Path:
    """A small run in this process; returns its folder."""
    from ecgfounder_ft.training.experiment import run_experiment

    run_experiment(composed(small_run(root, f"output_dir={folder}", *changes)))
    return folder


def run(
    folder: Path,
    root: Path,
    changes: Sequence[str] = (),
    kill_at: str = "",
    resume: bool = False,
    number: int = signal.SIGKILL,
) -> int:
    """One run into ``folder``; returns the process's exit code, -9 where it killed itself.

    ``kill_at``: ``step 5`` (after the fifth optimizer step), ``validation 2`` (as the third epoch's begins), ``start``
    (as the untrained network is evaluated) or ``end``; ``number`` is the signal. What it says on stderr stands beside
    the folder, in ``<folder>.stderr``.
    """
    process = context.Process(target=_run, args=(folder, root, list(changes), kill_at, resume, number))
    process.start()
    process.join()
    assert process.exitcode is not None
    return process.exitcode


def _run(folder: Path, root: Path, changes: list[str], kill_at: str, resume: bool, number: int) -> None:
    os.environ["OMP_NUM_THREADS"] = "1"
    with folder.with_suffix(".stderr").open("w") as stream:
        os.dup2(stream.fileno(), 2)
    import pytorch_lightning as pl
    import torch

    from ecgfounder_ft.errors import run_or_explain
    from ecgfounder_ft.runs.folder import RunFolder
    from ecgfounder_ft.training.experiment import run_experiment
    from ecgfounder_ft.training.resume import resumed_settings

    torch.set_num_threads(1)
    if resume:
        config: Any = resumed_settings(RunFolder(folder), changes)
    else:
        config = composed(small_run(root, f"output_dir={folder}", *changes))

    class Killer(pl.Callback):
        def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
            self._kill(f"step {trainer.global_step}")

        def on_validation_start(self, trainer: pl.Trainer, *_: Any) -> None:
            self._kill(f"validation {trainer.current_epoch}" if trainer.state.fn == "fit" else "start")

        def on_train_end(self, *_: Any) -> None:
            self._kill("end")

        def _kill(self, moment: str) -> None:
            if moment == kill_at:
                os.kill(os.getpid(), number)

    if number == signal.SIGUSR2:  # as from a launcher that lets the run go on
        signal.signal(number, lambda *_: print("launcher told", file=sys.stderr))
    run_or_explain(lambda: run_experiment(config, callbacks=[Killer()]))
