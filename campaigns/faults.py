"""Kills, signals and faulty surroundings, at random moments: nothing is lost, nothing is silently changed.

    python -m campaigns.faults                    # about 150 cases, an hour on two slow cores
    python -m campaigns.faults --count 1          # one case of each kind
    python -m campaigns.faults --only store       # one part

Each part does a piece of work once without a fault. Then it does it again and again, kills the process (SIGKILL) or
signals it at a random moment, does it once more on what was left, and compares: trained weights, metrics and
predictions, stored signals, stored outputs, catalogs and evaluations have to be the same, bit for bit. The processes
are forks of one that has imported everything.
"""

import argparse
import hashlib
import multiprocessing
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.machine import describe
from campaigns.faulty_surroundings import SURROUNDINGS
from tests.small_run import small_run

SHORT = ("trainer.max_epochs=3", "evaluation.resamples=5")
TRAININGS: dict[str, list[str]] = {
    "full, mid-epoch checkpoints": ["finetune=full", "callbacks.last_checkpoint.every_n_steps=1"],
    "linear_probe, stored activations": ["finetune=linear_probe"],
    "last_stages, stored views": [
        "finetune=last_stages",
        "finetune.stages=1",
        "augment=light",
        "augment.stored_views=2",
    ],
    "gradual, EMA, augmentation": ["finetune=gradual", "callbacks=ema", "callbacks.ema.decay=0.8", "augment=strong"],
    "discriminative, cosine": ["finetune=discriminative", "scheduler=cosine"],
    "lp_ft": ["finetune=lp_ft", "finetune.probe_epochs=1", "callbacks.last_checkpoint.every_n_steps=2"],
    "lora": ["finetune=lora", "callbacks.last_checkpoint.every_n_steps=2"],
    "accumulated gradients, one cycle": ["trainer.accumulate_grad_batches=2", "scheduler=one_cycle"],
}
"""One of each strategy, with what else a checkpoint has to hold."""

_context = multiprocessing.get_context("fork")


def spawn(work: Callable[..., Any], *arguments: Any, log: Path) -> multiprocessing.process.BaseProcess:
    """Start work in a process of its own; what it says goes to a file."""
    process = _context.Process(target=_in_child, args=(work, arguments, log))
    process.start()
    return process


def _in_child(work: Callable[..., Any], arguments: tuple[Any, ...], log: Path) -> None:
    with log.open("a") as stream:
        os.dup2(stream.fileno(), 1)
        os.dup2(stream.fileno(), 2)
    from ecgfounder_ft.errors import run_or_explain

    run_or_explain(lambda: work(*arguments))
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)  # a signal while Python clears up after the work says nothing of the work


def finish(work: Callable[..., Any], *arguments: Any, log: Path) -> None:
    """Do work to its end in a process of its own."""
    process = spawn(work, *arguments, log=log)
    process.join()
    if process.exitcode:
        raise RuntimeError(f"ended with {process.exitcode}:\n{log.read_text()[-3000:]}")


class Campaign:
    """Counts what was tried.

    Args:
        root: an empty folder.
        seed: of the moments.
    """

    def __init__(self, root: Path, seed: int) -> None:
        self.root = root
        self.moments = random.Random(seed)
        self.log = root / "log.txt"
        self.wrong: list[str] = []
        self.lines: list[tuple[str, int, str]] = []

    def kills(
        self,
        what: str,
        work: Callable[..., Any],
        arguments: Callable[[Path], tuple[Any, ...]],
        found: Callable[[Path], Any],
        count: int,
        numbers: tuple[int, ...] = (signal.SIGKILL,),
        again: Callable[..., Any] | None = None,
    ) -> None:
        """Stop work at random moments and do it again; count the times that it was stopped.

        Args:
            what: for the table.
            work: done in a process.
            arguments: of it, by the folder that it works in.
            found: what is compared, by that folder.
            count: how often it is to be stopped.
            numbers: signals, taken in turn.
            again: what goes on with the remains; None: the work itself.
        """
        whole = self.root / "whole"
        begun = time.monotonic()
        finish(work, *arguments(whole), log=self.log)
        seconds = time.monotonic() - begun
        expected = found(whole)
        stopped = tries = 0
        while stopped < count and tries < 5 * count:
            tries += 1
            folder = self.root / "stopped"
            shutil.rmtree(folder, ignore_errors=True)
            number = numbers[stopped % len(numbers)]
            self.log.write_text("")
            if not self.stop(spawn(work, *arguments(folder), log=self.log), number, seconds, what):
                continue
            stopped += 1
            if self.moments.random() < 0.25 and again is not None:  # a run that goes on is stopped as well
                stopped += self.stop(spawn(again, *arguments(folder), log=self.log), number, seconds, what)
            self.check_words(number, what)
            finish(again or work, *arguments(folder), log=self.log)
            if found(folder) != expected:
                self.wrong.append(f"{what}: other results after stop {stopped}")
        shutil.rmtree(whole)
        self.note(what, stopped, ", ".join(sorted({signal.Signals(number).name for number in numbers})))

    def stop(self, process: multiprocessing.process.BaseProcess, number: int, seconds: float, what: str) -> bool:
        """Signal a process at a random moment of its life; False where it had ended before."""
        process.join(self.moments.uniform(0.05, max(seconds, 0.2)))
        if process.exitcode is None:
            os.kill(process.pid or 0, number)
        process.join()
        expected = -number if number == signal.SIGKILL else 128 + number
        if process.exitcode not in (0, expected):
            said = self.log.read_text()[-1500:]
            self.wrong.append(f"{what}: {signal.Signals(number).name} ended it with {process.exitcode}:\n{said}")
        return process.exitcode == expected

    def check_words(self, number: int, what: str) -> None:
        """A signal is answered in words."""
        said = self.log.read_text()
        if "Traceback" in said or (number != signal.SIGKILL and "Interrupted by" not in said):
            self.wrong.append(f"{what}: said\n{said[-1500:]}")

    def note(self, what: str, count: int, how: str) -> None:
        """Add a line to the table, and show it."""
        self.lines.append((what, count, how))
        print(f"| {what} | {how} | {count} |{'' if not self.wrong else f' {len(self.wrong)} wrong so far'}", flush=True)


# --- What is stopped ------------------------------------------------------------------------------------------------


def train(folder: Path, root: Path, changes: list[str], resume: bool) -> None:
    import pytorch_lightning as pl

    from ecgfounder_ft.config.compose import compose_settings
    from ecgfounder_ft.runs.folder import RunFolder
    from ecgfounder_ft.training.experiment import run_experiment
    from ecgfounder_ft.training.resume import resumed_settings

    run = RunFolder(folder)
    if resume and (folder / run.CONFIGURATION).is_file():
        config: Any = resumed_settings(run, [])
    else:
        config = compose_settings(small_run(root, f"output_dir={folder}", *SHORT, *changes))
    run_experiment(config, callbacks=[pl.Callback()])


def trained(folder: Path) -> Any:
    """Everything that training has to give back: weights, states and results."""
    import torch

    texts = [(folder / name).read_text() for name in ("metrics.json", "predictions.csv", "training_history.csv")]
    digests = []
    for name in ("model.pth", "checkpoints/best.ckpt", "checkpoints/last.ckpt"):
        state = torch.load(folder / name, weights_only=True)["state_dict"]
        digests.append({key: hashlib.sha256(value.numpy().tobytes()).hexdigest() for key, value in state.items()})
    left = [file.name for file in folder.rglob(".*.unfinished")]
    return texts, digests, [] if len(left) <= 2 else left  # what a kill left of a file that was being written


def _train(campaign: Campaign, count: int, numbers: tuple[int, ...], named: str) -> None:
    root = campaign.root / "data"
    for name, changes in TRAININGS.items():
        campaign.kills(
            f"{named}: {name}",
            train,
            lambda folder, changes=changes: (folder, root, changes, False),  # type: ignore[misc]
            trained,
            count,
            numbers,
            again=lambda folder, root, changes, _: train(folder, root, changes, resume=True),
        )


def training(campaign: Campaign, count: int) -> None:
    """Training with every strategy, killed."""
    _train(campaign, count, (signal.SIGKILL,), "training")


def signals(campaign: Campaign, count: int) -> None:
    """Training with every strategy, signalled."""
    _train(campaign, count, (signal.SIGTERM, signal.SIGINT), "training")


def build_store(folder: Path, data: Path) -> None:
    from ecgfounder_ft.config.compose import compose_settings
    from ecgfounder_ft.data.gather_and_split import gather_recordings
    from ecgfounder_ft.ecg.preprocessing import Preprocessing

    folder.mkdir(parents=True, exist_ok=True)
    settings = compose_settings(small_run(data, f"data.store='{folder}'"))
    found = gather_recordings(
        settings.source,
        settings.label_map,
        settings.task,
        Preprocessing.of(settings.preprocessing),
        settings.seed,
        split=settings.split,
    )
    signals = found.signals.read(range(len(found.signals)))
    (folder / "digest").write_text(hashlib.sha256(signals.tobytes()).hexdigest() + "\n".join(found.table["recording"]))


def built(folder: Path) -> Any:
    left = sorted(file.suffix for file in folder.rglob(".*") if file.suffix == ".temporary")
    return (folder / "digest").read_text(), left


def store(campaign: Campaign, count: int) -> None:
    """The signal store, killed as it is built."""
    data = campaign.root / "data"
    campaign.kills("store", build_store, lambda folder: (folder, data), built, count)


def compute_activations(folder: Path) -> None:
    import numpy as np
    import torch

    from ecgfounder_ft.data.store.frozen_outputs import store_activations
    from tests.fake_store import FakeStore

    folder.mkdir(parents=True, exist_ok=True)
    signals = np.random.default_rng(0).normal(size=(256, 12, 1000)).astype(np.float32)
    weights = torch.randn(64, 12, 15, generator=torch.Generator().manual_seed(0))
    stored = store_activations(
        FakeStore(signals, folder),  # type: ignore[arg-type]
        lambda batch: torch.nn.functional.conv1d(batch, weights),
        "a convolution",
        batch_size=8,
    )
    assert stored is not None


def computed(folder: Path) -> Any:
    files = [file for file in folder.rglob("*") if file.is_file() and file.suffix != ".lock"]
    return sorted((file.name, hashlib.sha256(file.read_bytes()).hexdigest()) for file in files)


def activations(campaign: Campaign, count: int) -> None:
    """Stored outputs of frozen parts, killed as they are computed."""
    campaign.kills("stored outputs of frozen parts", compute_activations, lambda folder: (folder,), computed, count)


def make_catalog(folder: Path, data: Path) -> None:
    from ecgfounder_ft.config.compose import compose_settings

    settings = compose_settings(["data=physionet2021", f"data.root='{data}'", f"data.catalogs='{folder}'"])
    settings.source.read(settings.label_map)


def listed(folder: Path) -> Any:
    import pandas as pd

    return pd.read_parquet(folder / "physionet2021.parquet").to_csv()


def catalog(campaign: Campaign, count: int) -> None:
    """The catalog of a dataset, killed as it is made."""
    from benchmarks.growth import write_recordings

    data = campaign.root / "challenge"
    write_recordings(data, 300)
    campaign.kills("catalog", make_catalog, lambda folder: (folder, data / "recordings"), listed, count)


def evaluate(folder: Path, run: Path) -> None:
    from ecgfounder_ft.inference.finished_model import load_model
    from ecgfounder_ft.runs.folder import RunFolder
    from ecgfounder_ft.runs.report import report_again, settings_of

    own = RunFolder(run)
    shutil.rmtree(folder, ignore_errors=True)
    target = own.new_evaluation("own-test", folder)
    report_again(own, target, load_model(run), settings_of(own, {"resamples": 200}), refit=True)


def evaluation(campaign: Campaign, count: int) -> None:
    """The evaluation of a finished run, killed; the run itself has to stay as it is."""
    run = campaign.root / "run"
    finish(train, run, campaign.root / "data", ["finetune=full"], False, log=campaign.log)
    before = computed(run)
    campaign.kills(
        "evaluation",
        evaluate,
        lambda folder: (folder, run),
        lambda folder: [(folder / name).read_text() for name in ("metrics.json", "calibration.json")],
        count,
    )
    if computed(run) != before:
        campaign.wrong.append("evaluation: the evaluated run was changed")


PARTS: dict[str, Callable[[Campaign, int], None]] = {
    "training": training,
    "signals": signals,
    "store": store,
    "activations": activations,
    "catalog": catalog,
    "evaluation": evaluation,
}
SHARES = {"training": 5, "signals": 3, "store": 20, "activations": 20, "catalog": 20, "evaluation": 10}
"""How often each part is stopped; trainings that often for each strategy."""


def warm_up() -> None:
    """Import everything that the work needs, so that each fork starts at once."""
    import sklearn.linear_model  # noqa: F401
    import torch

    import ecgfounder_ft.config.compose
    import ecgfounder_ft.runs.report
    import ecgfounder_ft.training.experiment  # noqa: F401

    torch.set_num_threads(1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--count", type=int, help="how often each part is stopped; by default as often as it deserves")
    parser.add_argument("--only", nargs="+", choices=[*PARTS, *SURROUNDINGS], help="parts; by default all")
    parser.add_argument("--folder", type=Path, help="for the files; by default a temporary one")
    options = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    print(f"{describe()}; seed {options.seed}\n\n| what | how | times |\n| --- | --- | --- |")
    warm_up()
    with tempfile.TemporaryDirectory(dir=options.folder) as place:
        campaign = Campaign(Path(place), options.seed)
        for name, part in PARTS.items():
            if options.only is None or name in options.only:
                part(campaign, options.count or SHARES[name])
        for name, check in SURROUNDINGS.items():
            if options.only is None or name in options.only:
                campaign.note(name, *check(Path(place), campaign.wrong))
    print(f"\nstopped or disturbed {sum(count for _, count, _ in campaign.lines)} times, wrong: {len(campaign.wrong)}")
    for problem in campaign.wrong:
        print(f"WRONG {problem}")
    sys.exit(bool(campaign.wrong))


if __name__ == "__main__":
    main()
