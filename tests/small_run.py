"""Runs of the experiment in processes of their own, so that they can be killed; torch is imported once for all."""

import multiprocessing
import os
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

SMALL = (
    "data=simulated",
    "model/architecture=slim",
    "model.weights=null",
    "model.head=random",
    "optimizer.lr=3e-3",
    "data.recordings_per_condition=12",
    "data.batch_size=16",
    "trainer.max_epochs=4",
    "trainer.enable_progress_bar=false",
    "trainer.accelerator=cpu",
    "evaluation.resamples=20",
    "evaluation.attribution=false",
    "evaluation.cases=false",
    "preprocessing.window.seconds=4.0",
    "model.architecture.filter_list=[16,16,32]",
    "model.architecture.m_blocks=[1,1,1]",
)


def only_figures(folder: Path, settings: Any, options: Any, *, trusted: Any = ()) -> Any:
    """In place of ``report_run``: its pictures and pages would be most of the time of so small a run."""
    from ecgfounder_ft.runs import report as run_report

    found = run_report.evaluate_run(folder, settings)
    run_report.write_json(folder / "metrics.json", run_report.metrics_of(found, {}, {}))
    return found, {}


_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["ecgfounder_ft.training.experiment", "ecgfounder_ft.runs.report", "tests.small_run"])


def run(folder: Path, data: Path, overrides: Sequence[str] = (), kill_at: str = "", resume: bool = False) -> int:
    """One run into ``folder``; returns the process's exit code, -9 where it killed itself.

    ``kill_at``: ``step 5`` (after the fifth optimizer step), ``validation 2`` (as the third epoch's begins) or ``end``.
    """
    process = _context.Process(target=_run, args=(folder, data, list(overrides), kill_at, resume))
    process.start()
    process.join()
    assert process.exitcode is not None
    return process.exitcode


def _run(folder: Path, data: Path, overrides: list[str], kill_at: str, resume: bool) -> None:
    os.environ["OMP_NUM_THREADS"] = "1"
    import pytorch_lightning as pl
    import torch

    from ecgfounder_ft.config.compose import compose_config
    from ecgfounder_ft.training import experiment
    from ecgfounder_ft.training.resume import configuration_of

    torch.set_num_threads(1)
    if resume:
        config: Any = configuration_of(folder, overrides)
    else:
        places = [f"data.root={data / 'simulated'}", f"data.store={data / 'store'}"]
        config = compose_config([*SMALL, *places, f"output_dir={folder}", *overrides])

    class Killer(pl.Callback):
        def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
            self._kill(f"step {trainer.global_step}")

        def on_validation_start(self, trainer: pl.Trainer, *_: Any) -> None:
            if trainer.state.fn == "fit":
                self._kill(f"validation {trainer.current_epoch}")

        def on_train_end(self, *_: Any) -> None:
            self._kill("end")

        def _kill(self, moment: str) -> None:
            if moment == kill_at:
                os.kill(os.getpid(), signal.SIGKILL)

    experiment.report_run = only_figures
    build = experiment.build_trainer
    experiment.build_trainer = lambda config, callbacks: build(config, [Killer(), *callbacks])
    experiment.run_experiment(config)
