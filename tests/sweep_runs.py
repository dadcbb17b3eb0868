"""Sweeps of small runs in processes of their own, which can be killed; torch is imported once for all of them."""

import csv
import multiprocessing
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.small_run import small_run

TINY = ("trainer.max_epochs=2", "data.batch_size=32", "evaluation.resamples=20", "logger=csv")
"""Beside those of a small run: two epochs of two steps each."""

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["ecgfounder_ft.training.experiment", "ecgfounder_ft.sweeps.answer", "tests.small_run"])


class SweepProcess:
    """``python train.py -m ...`` in a process.

    Args:
        folder: it is started in; ``sweep`` in it is the sweep's.
        root: of the recordings and the store.
        changes: overrides beside those of a tiny run.
        kill_after: optimizer steps, of all trials together, after which the process kills itself; 0: never.
    """

    def __init__(self, folder: Path, root: Path, changes: Sequence[str], kill_after: int = 0) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.output = folder / "output.txt"
        overrides = [*small_run(root, *TINY, *changes), f"hydra.sweep.dir={folder / 'sweep'}"]
        self.process = _context.Process(target=_run, args=(folder, self.output, overrides, kill_after))
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
    """Run a sweep to its end; returns the process's exit code."""
    return SweepProcess(folder, root, changes, kill_after).wait()


def table_of(folder: Path) -> list[dict[str, str]]:
    """The rows of a sweep's table, without what differs from one run of it to the next."""
    with (folder / "sweep" / "sweep.csv").open(encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    return [{key: value for key, value in row.items() if key not in ("started", "seconds")} for row in rows]


def _run(folder: Path, output: Path, overrides: list[str], kill_after: int) -> None:
    os.environ["OMP_NUM_THREADS"] = "1"
    os.chdir(folder)
    stream = output.open("w", encoding="utf-8", buffering=1)
    for number in (1, 2):
        os.dup2(stream.fileno(), number)
    import pytorch_lightning as pl
    import torch

    from ecgfounder_ft import train

    torch.set_num_threads(1)
    steps = 0

    class Killer(pl.Callback):
        def on_train_batch_end(self, *_: Any) -> None:
            nonlocal steps
            steps += 1
            if steps == kill_after:
                os.kill(os.getpid(), signal.SIGKILL)

    original = train._experiment
    train._experiment = lambda config, callbacks=(): original(config, [*callbacks, Killer()])  # type: ignore[assignment]
    sys.argv = ["train.py", "-m", *overrides]
    train.main()
