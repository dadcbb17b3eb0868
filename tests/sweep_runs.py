"""Sweeps of small runs in processes of their own, which can be killed."""

import csv
import math
import os
import signal
import sys
import time
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ecgfounder_ft.runs.folder import RunFolder
from tests.forked import context
from tests.small_run import small_run

TINY = ("trainer.max_epochs=2", "data.batch_size=32", "evaluation.resamples=20", "logger=csv")
"""Beside those of a small run: two epochs of two steps each."""


class SweepProcess:
    """``python train.py -m ...`` in a process. What is still held of each trained trial after it, ``held.txt`` says.

    Args:
        folder: it is started in; ``sweep`` in it is the sweep's.
        overrides: as typed.
        kill_after: optimizer steps, of all trials together, after which the process kills itself; 0: never. Without
            training: trials.
        trained: False: no trial is trained; its validation loss is the distance of ``optimizer.lr`` from 1e-3 in powers
            of ten.
        together: trials that have to have begun, in all processes, before one ends. Without training.
    """

    def __init__(
        self, folder: Path, overrides: Sequence[str], kill_after: int = 0, trained: bool = True, together: int = 0
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        numbers = (number for number in range(100) if not (folder / f"output-{number}.txt").exists())
        self.output = folder / f"output-{next(numbers)}.txt"
        self.output.touch()
        typed = [*overrides, f"hydra.sweep.dir={folder / 'sweep'}"]
        self.process = context.Process(target=_run, args=(folder, self.output, typed, kill_after, trained, together))
        self.process.start()

    def wait(self) -> int:
        """Wait for its end; returns its exit code, -9 where it was killed."""
        self.process.join()
        assert self.process.exitcode is not None
        return self.process.exitcode

    def printed(self) -> str:
        """All that it wrote on the terminal."""
        return self.output.read_text(encoding="utf-8")


def run_sweep(folder: Path, root: Path, changes: Sequence[str], kill_after: int = 0) -> int:
    """Run a sweep of tiny runs to its end; returns the process's exit code."""
    return SweepProcess(folder, small_run(root, *TINY, *changes), kill_after).wait()


def table_of(folder: Path) -> list[dict[str, str]]:
    """The rows of a sweep's table, without what differs from one run of it to the next."""
    with (folder / "sweep" / "sweep.csv").open(encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    return [{key: value for key, value in row.items() if key not in ("started", "seconds")} for row in rows]


def _run(folder: Path, output: Path, overrides: list[str], kill_after: int, trained: bool, together: int) -> None:
    os.environ["OMP_NUM_THREADS"] = "1"
    os.chdir(folder)
    stream = output.open("w", encoding="utf-8", buffering=1)
    for number in (1, 2):
        os.dup2(stream.fileno(), number)
    from ecgfounder_ft import train

    begun = 0

    def count(*_: Any) -> None:
        nonlocal begun
        begun += 1
        if begun == kill_after:
            os.kill(os.getpid(), signal.SIGKILL)

    def told(settings: Any, callbacks: Any = ()) -> float:
        run = RunFolder(settings.output_dir)
        run.create()
        with run.recorded_status() as status:
            run.write_configuration(settings.content)
            with (run.path / "processes.txt").open("a") as file:
                file.write(f"{os.getpid()}\n")
            count()
            while len(list(run.path.parent.glob("*/processes.txt"))) < together:
                time.sleep(0.05)
            value = abs(math.log10(settings.learning_rate) + 3)
            status["optimized_metric"] = {"name": settings.optimized_metric, "mode": "min", "value": value}
        return value

    if trained:
        import pytorch_lightning as pl
        import torch

        torch.set_num_threads(1)
        watched: list[weakref.ref[Any]] = []

        class Watcher(pl.Callback):
            """One for each trial: Lightning ties what it calls to the classifier."""

            def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
                large = (trainer, pl_module, trainer.optimizers[0], trainer.datamodule)  # type: ignore[attr-defined]
                watched.extend(map(weakref.ref, large))

            def on_train_batch_end(self, *_: Any) -> None:
                count()

        def give_back() -> None:
            given_back()
            held = sum(one() is not None for one in watched)
            with (folder / "held.txt").open("a") as file:
                file.write(f"{held} of {len(watched)}\n")
            watched.clear()

        given_back, train.give_back = train.give_back, give_back
        original = train._experiment
        train._experiment = lambda config, callbacks=(): original(config, [*callbacks, Watcher()])  # type: ignore[assignment]
    else:
        train._experiment = told  # type: ignore[assignment]
    sys.argv = ["train.py", "-m", *overrides]
    train.main()
