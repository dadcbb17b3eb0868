"""Faults of a run's surroundings: full or read-only disks, killed helpers, two runs in one place, many epochs."""

import multiprocessing
import os
import resource
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.small_run import small_run

NOBODY = 65534
_context = multiprocessing.get_context("fork")
Check = Callable[[Path, list[str]], tuple[int, str]]
"""A folder, and a list that takes what was wrong, to the number of cases and what was done."""


def in_words(work: Callable[..., Any], *arguments: Any) -> tuple[int | None, str]:
    """Do work in a process of its own; its exit status, and what it said (at most what a pipe holds)."""
    reading, writing = os.pipe()
    process = _context.Process(target=_in_child, args=(writing, work, arguments))
    process.start()
    os.close(writing)
    with os.fdopen(reading, "rb") as stream:
        said = stream.read().decode(errors="replace")
    process.join()
    return process.exitcode, said


def _in_child(writing: int, work: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    os.dup2(writing, 1)
    os.dup2(writing, 2)
    os.close(writing)
    from ecgfounder_ft.errors import run_or_explain

    run_or_explain(lambda: work(*arguments))


def told(case: str, status: int | None, said: str, wrong: list[str], *words: str) -> None:
    """Note a case that did not end with status 2 and in words."""
    if status != 2 or "Traceback" in said or not all(word in said for word in words):
        wrong.append(f"{case}: ended with {status} and said\n{said[-1500:]}")


def _train(folder: Path, data: Path, changes: tuple[str, ...] = (), before: Callable[[], None] | None = None) -> None:
    from ecgfounder_ft.config.compose import compose_settings
    from ecgfounder_ft.training.experiment import run_experiment

    if before is not None:
        before()
    config: Any = compose_settings(small_run(data, f"output_dir={folder}", "trainer.max_epochs=1", *changes))
    run_experiment(config)


# --- Full and read-only disks ---------------------------------------------------------------------------------------

WRITERS = (
    "write_configuration",
    "write_skipped",
    "write_splits",
    "write_plan",
    "write_predictions",
    "write_history",
    "write_metrics",
    "write_fits",
    "write_model",
    "write_picture",
    "write_report",
)
"""Methods of a run's folder."""


def _full_from(owner: Any, name: str) -> Callable[[], None]:
    """As soon as a method is called, no file can grow beyond a few bytes, which fails as a full disk does."""

    def install() -> None:
        method = getattr(owner, name)

        def with_full_disk(*arguments: Any, **named: Any) -> Any:
            resource.setrlimit(resource.RLIMIT_FSIZE, (16, resource.RLIM_INFINITY))
            return method(*arguments, **named)

        setattr(owner, name, with_full_disk)

    return install


def full_disk(place: Path, wrong: list[str]) -> tuple[int, str]:
    """In each writer of a run: words, and no file that is cut off."""
    from pytorch_lightning.loggers import TensorBoardLogger

    from ecgfounder_ft.data.store import building, frozen_outputs
    from ecgfounder_ft.runs.evaluation_folder import EvaluationFolder
    from ecgfounder_ft.runs.folder import RunFolder
    from ecgfounder_ft.training.checkpoint_io import WholeCheckpoints

    owners: list[tuple[Any, str]] = [
        (EvaluationFolder if hasattr(EvaluationFolder, name) else RunFolder, name) for name in WRITERS
    ]
    owners += [(WholeCheckpoints, "save_checkpoint"), (TensorBoardLogger, "log_metrics")]
    owners += [(building, "build_shard"), (building, "write_index"), (frozen_outputs, "_compute")]
    for number, (owner, name) in enumerate(owners):
        folder, data = place / f"full-{number}", place / "data"
        changes: tuple[str, ...] = ("evaluation.report=true", "evaluation.attribution=false")
        changes = changes if name in ("write_picture", "write_report") else ()
        if owner in (building, frozen_outputs):
            changes += (f"data.store='{place / f'full-store-{number}'}'", "finetune=linear_probe")
        status, said = in_words(_train, folder, data, changes, _full_from(owner, name))
        told(f"full disk in {name}", status, said, wrong)
        cut = [file for file in folder.rglob("*") if file.is_file() and 0 < file.stat().st_size <= 16]
        cut = [file for file in cut if file.suffix in (".json", ".csv", ".pth", ".ckpt", ".yaml", ".png", ".html")]
        left = [*folder.rglob(".*.unfinished"), *place.glob(f"full-store-{number}/*/.*")]
        cut = [file for file in cut if file.read_text(errors="replace").strip() != "{}"]  # whole, though short
        if cut or left:
            wrong.append(f"full disk in {name}: left {[str(file) for file in (*cut, *left)]}")
    return len(owners), "no file may grow from then on"


def _as_nobody() -> None:
    import torch.utils.tensorboard

    from ecgfounder_ft.config.compose import compose_settings

    assert torch.utils.tensorboard.SummaryWriter
    compose_settings()  # both import what nobody may not read, where Python lies in somebody's home
    if os.geteuid() == 0:
        os.setegid(NOBODY)
        os.seteuid(NOBODY)


def read_only(place: Path, wrong: list[str]) -> tuple[int, str]:
    """Outputs and the store's folder that may not be written to are told; data that may not be is no matter."""
    place.chmod(0o755)
    locked = place / "locked"
    locked.mkdir(mode=0o555)
    data = place / "data"
    told("read-only outputs", *in_words(_train, locked / "run", data, (), _as_nobody), wrong, str(locked))
    open_place = place / "open"
    open_place.mkdir()
    open_place.chmod(0o777)
    _quiet_in_child(_train, place / "writes-the-data", data)
    given = (  # the simulator's own source looks after what it has written, and the user's do not
        "data=selected",
        f"data.mimic_path='{data / 'simulated' / 'MIMIC IV Selected'}'",
        f"data.physionet_path='{data / 'simulated' / 'Physionet 2021 Selected'}'",
    )
    store = (*given, f"data.store='{locked / 'store'}'")
    told("read-only store", *in_words(_train, open_place / "a", data, store, _as_nobody), wrong, str(locked))
    store = (*given, f"data.store='{open_place / 'store'}'")
    status, said = in_words(_train, open_place / "b", data, store, _as_nobody)
    if status:
        wrong.append(f"read-only data: ended with {status} and said\n{said[-1500:]}")
    return 3, "no permission to write"


# --- Others at work -------------------------------------------------------------------------------------------------


def two_runs(place: Path, wrong: list[str]) -> tuple[int, str]:
    """A second run in a folder where one is at work is refused, and the first is not disturbed."""
    folder, data = place / "two-runs", place / "data"
    first = _context.Process(target=_quiet, args=(_train, folder, data))
    first.start()
    while not (folder / "status.json").exists() and first.is_alive():
        time.sleep(0.01)
    told("a second run", *in_words(_train, folder, data), wrong, "another process is training there")
    first.join()
    if first.exitcode or not (folder / "metrics.json").exists():
        wrong.append(f"two runs: the first ended with {first.exitcode}")
    return 1, "both in one folder"


def two_stores(place: Path, wrong: list[str]) -> tuple[int, str]:
    """Two builds of one store at the same time: one waits, both have the same."""
    from campaigns.faults import build_store, built

    folder, data = place / "two-stores", place / "data"
    folder.mkdir()
    processes = [_context.Process(target=_quiet, args=(build_store, folder, data)) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    alone = place / "one-store"
    build_store(alone, data)
    if any(process.exitcode for process in processes) or built(folder) != built(alone):
        wrong.append(f"two stores: ended with {[process.exitcode for process in processes]}, or differ from one alone")
    return 1, "both in one folder"


def _quiet(work: Callable[..., Any], *arguments: Any) -> None:
    with Path(os.devnull).open("w") as stream:
        os.dup2(stream.fileno(), 1)
        os.dup2(stream.fileno(), 2)
    work(*arguments)


def _predict_and_kill(run: Path, data: Path, number: int) -> None:
    from ecgfounder_ft.ecg.formats import find_recordings
    from ecgfounder_ft.inference.finished_model import load_model
    from ecgfounder_ft.inference.inputs import Reading
    from ecgfounder_ft.inference.predict import predict

    paths = find_recordings(data)
    model = load_model(run)
    answered = model.outputs

    def outputs(signals: Any) -> Any:
        for process in multiprocessing.active_children()[:1]:
            os.kill(process.pid or 0, number)
            time.sleep(1)
        return answered(signals)

    object.__setattr__(model, "outputs", outputs)
    try:
        list(predict(model, paths * 20, Reading(model.record.preprocessing), batch_size=2, workers=2))
    finally:
        for process in multiprocessing.active_children():
            process.join(20)
        print(f"processes left: {len(multiprocessing.active_children())}")


def killed_worker(place: Path, wrong: list[str]) -> tuple[int, str]:
    """A killed reader of recordings ends prediction in words and leaves no process."""
    run, data = place / "worker-run", place / "data"
    _quiet_in_child(_train, run, data)
    found = in_words(_predict_and_kill, run, data / "simulated", signal.SIGKILL)
    told("a killed reader", *found, wrong, "died", "processes left: 0")
    return 1, "SIGKILL to a reading process"


def _quiet_in_child(work: Callable[..., Any], *arguments: Any) -> None:
    process = _context.Process(target=_quiet, args=(work, *arguments))
    process.start()
    process.join()


# --- Many epochs ----------------------------------------------------------------------------------------------------


def _many_epochs(folder: Path, data: Path, epochs: int) -> None:
    import pytorch_lightning as pl

    from ecgfounder_ft.config.compose import compose_settings
    from ecgfounder_ft.training.experiment import run_experiment

    class Watch(pl.Callback):
        def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
            if trainer.state.fn == "fit" and trainer.current_epoch in (epochs // 4, epochs - 1):
                status = Path("/proc/self/status").read_text()
                fields = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
                resident = int(fields["VmRSS"].split()[0]) // 1024
                descriptors = sum(1 for _ in Path("/proc/self/fd").iterdir())
                print(f"WATCH {descriptors} {int(fields['Threads'])} {resident}", flush=True)

    settings = (f"trainer.max_epochs={epochs}", "callbacks.early_stopping.patience=1000", "scheduler=constant")
    config: Any = compose_settings(small_run(data, f"output_dir={folder}", *settings))
    run_experiment(config, callbacks=[Watch()])


def many_epochs(place: Path, wrong: list[str], epochs: int = 200) -> tuple[int, str]:
    """Descriptors, threads and memory in the last epoch are those of a quarter of the way."""
    status, said = in_words(_many_epochs, place / "many-epochs", place / "data", epochs)
    found = [tuple(map(int, line.split()[1:])) for line in said.splitlines() if line.startswith("WATCH")]
    shown = "descriptors, threads, MB resident: " + " then ".join("/".join(map(str, row)) for row in found)
    if status or len(found) != 2 or found[0][:2] != found[1][:2] or found[1][2] > found[0][2] + 10:
        wrong.append(f"{epochs} epochs ended with {status}; {shown}; {said[-1500:] if status else ''}")
    return epochs, shown


SURROUNDINGS: dict[str, Check] = {
    "full disk": full_disk,
    "read-only": read_only,
    "two runs": two_runs,
    "two stores": two_stores,
    "killed reader": killed_worker,
    "epochs": many_epochs,
}
