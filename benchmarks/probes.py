"""A sweep of linear probes on embeddings that are computed once, by one process and by several.

    python -m benchmarks.probes                             # a hundred probes, by one process and by two
    python -m benchmarks.probes --probes 12 --processes 2

What is timed is the command a user types, ``ecgfounder-ft train -m finetune=linear_probe ...``: its start, the
embeddings, every probe with its evaluation, the table and the page. Processes that work together are given the same
command and folder. Beside the seconds stand those of the processor, which other work on the machine lengthens less, and
how often embeddings were computed. The recordings are simulated and preprocessed before.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.machine import describe

COMMAND = (
    "experiment=demo",
    "data.hospital=textbook",
    "data.recordings_per_condition=100",
    "finetune=linear_probe",
    "scheduler=plateau",
    "trainer.max_epochs=20",
    "trainer.enable_progress_bar=false",
    "evaluation.report=false",
    "evaluation.baselines=false",
    "logger=[]",
)
COMPUTED = "Computing outputs of frozen parts"
"""What the log of a trial says where it computed embeddings."""


def grid(probes: int) -> list[str]:
    """Learning rates and weight decays, so many combinations at least."""
    rates = [f"{10 ** (-4 + 3 * place / max(1, -(-probes // 5) - 1)):.3g}" for place in range(-(-probes // 5))]
    return [f"optimizer.lr={','.join(rates)}", "optimizer.weight_decay=0,1e-4,1e-3,1e-2,1e-1"]


def sweep(folder: Path, typed: Sequence[str], processes: int) -> tuple[float, float]:
    """Seconds and processor seconds of so many processes of the same command."""
    before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    command = [sys.executable, "-m", "ecgfounder_ft", "train", "-m", *typed, f"hydra.sweep.dir={folder}"]
    logs = [(folder.parent / f"{folder.name}-{number}.log").open("w") for number in range(processes)]
    running = [subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT) for log in logs]
    for process, log in zip(running, logs, strict=True):
        process.wait()
        log.close()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.monotonic() - begun, used


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--probes", type=int, default=100)
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--recordings", type=int, default=100, help="per condition")
    arguments = parser.parse_args()
    table = Table(title=f"{describe()}; {arguments.recordings} recordings per condition", title_justify="left")
    for name in ("processes", "probes", "finished", "seconds", "processor seconds", "a probe", "embeddings computed"):
        table.add_column(name, justify="right")
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        places = [f"data.root={root / 'simulated'}", f"data.recordings_per_condition={arguments.recordings}"]
        sweep(root / "before", [*COMMAND, *places, f"data.store={root / 'store'}", "optimizer.lr=1e-3"], 1)
        for processes in arguments.processes:
            store, folder = root / f"store-{processes}", root / f"sweep-{processes}"
            subprocess.run(["cp", "-r", root / "store", store], check=True)
            for computed in store.rglob("activations-*"):
                computed.unlink()
            typed = [*COMMAND, *places, f"data.store={store}", *grid(arguments.probes)]
            seconds, used = sweep(folder, typed, processes)
            trials = [file.parent for file in folder.glob("*/status.json")]
            ended = sum('"finished"' in (trial / "status.json").read_text() for trial in trials)
            computed_by = sum(COMPUTED in (trial / "train.log").read_text() for trial in trials)
            cells = (processes, len(trials), ended, f"{seconds:.0f}", f"{used:.0f}", f"{used / max(1, ended):.2f}")
            table.add_row(*map(str, cells), str(computed_by))
    Console().print(table)


if __name__ == "__main__":
    main()
