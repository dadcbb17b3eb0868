"""Training, inference, probing, data and start-up beside plain implementations.

    make bench          # the whole: about half an hour on two cores; its table goes into benchmarks/RESULTS.md
    make bench-short    # a few minutes; the table is printed

Every row is measured side by side in one run: the plain way and ours, each in a process of its own, steps in turns and
medians of several rounds. The plain way: Net1D in torch's own 1-D layers (plain_net1d.py), float32, Adam; a dataset
that reads with ``wfdb`` and filters with ``scipy`` (plain_preprocessing.py) at every access; a full forward pass at
every epoch of probing. ``--reference FILE`` takes another implementation of the network in its place: a Python file
that defines ``Net1D(in_channels, num_classes)`` with the same parameter names. Matrix products alone say what the
processor could reach at best.

What is measured stands in speed_ways.py: processes that build the store import this program again, and it is light.
"""

import argparse
import json
import multiprocessing
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from benchmarks import machine
from benchmarks.results_between import RESULTS, write_between
from benchmarks.store import in_a_new_process, made_up_store, make_recordings

Rows = list[tuple[str, str, str, str]]
FORWARD_FLOP = 2.34e9
"""Of a recording through the full network: two for each multiplication of its convolutions and products."""


def in_turns(ways: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Median seconds of each way, run in turns after one warm-up each, so that a busy moment hits all alike."""
    for run in ways.values():
        run()
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, run in ways.items():
            begun = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - begun)
    return {name: statistics.median(values) for name, values in seconds.items()}


class OwnProcess:
    """A step that runs in a process of its own whenever it is called.

    Ways that take turns need that: a run of ours keeps the memory that it frees (``memory.py``), which would speed
    up the plain way beside it as well.
    """

    def __init__(self, make: Callable[..., Callable[[], object]], *arguments: object) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, other = context.Pipe()
        self._process = context.Process(target=self._serve, args=(other, make, arguments), daemon=True)
        self._process.start()
        other.close()  # the process has it now: should it die, waiting for its answer ends

    @staticmethod
    def _serve(pipe: Connection, make: Callable[..., Callable[[], object]], arguments: tuple[object, ...]) -> None:
        step = make(*arguments)
        while pipe.recv():
            step()
            pipe.send(True)

    def __call__(self) -> None:
        self._pipe.send(True)
        self._pipe.recv()

    def end(self) -> None:
        self._pipe.send(False)
        self._process.join()


def in_turns_each_alone(ways: dict[str, tuple[Any, ...]], rounds: int) -> dict[str, float]:
    """:func:`in_turns` of ways in processes of their own, each given as what makes its step, and the arguments."""
    processes = {name: OwnProcess(*way) for name, way in ways.items()}
    try:
        return in_turns(dict(processes), rounds)
    finally:
        for process in processes.values():
            process.end()


def rows_of(work: str, seconds: dict[str, float], recordings: int) -> Rows:
    first = next(iter(seconds.values()))
    return [
        (work if name == next(iter(seconds)) else "", name, f"{recordings / value:.1f}", f"{first / value:.2f}")
        for name, value in seconds.items()
    ]


def without_emulation(ways: dict[str, tuple[Any, ...]]) -> dict[str, tuple[Any, ...]]:
    """Those that the processor computes itself: bfloat16 without instructions for it takes 40 times as long."""
    return ways if computes_bfloat16() else {name: way for name, way in ways.items() if "bfloat16" not in name}


def computes_bfloat16() -> bool:
    """Asked in a process of its own, so that this one imports no torch."""
    from ecgfounder_ft.model.bfloat16 import has_bfloat16

    return bool(in_a_new_process(has_bfloat16, "cpu"))


def network_rows(reference: Path | None, batch: int, rounds: int) -> Rows:
    from benchmarks import speed_ways as ways

    in_a_new_process(ways.require_equal_outputs, reference)
    inference = in_turns_each_alone(
        without_emulation(
            {
                "plain, float32": (ways.plain_inference, reference, batch),
                "ours, float32": (ways.our_inference, batch, False),
                "ours, bfloat16": (ways.our_inference, batch, True),
            }
        ),
        rounds,
    )
    training = in_turns_each_alone(
        without_emulation(
            {
                "plain, float32, Adam": (ways.plain_training, reference, batch),
                "ours, float32, fused AdamW": (ways.our_training, batch, False),
                "ours, bfloat16, fused AdamW": (ways.our_training, batch, True),
            }
        ),
        rounds,
    )
    return rows_of(f"training step, batch {batch}", training, batch) + rows_of(
        f"inference, batch {batch}", inference, batch
    )


def frozen_rows(reference: Path | None, recordings: int, epochs: int, folder: Path) -> Rows:
    """Probing and training of the last stages: everything in each epoch against what is stored once."""
    from benchmarks import speed_ways as ways

    table = make_recordings(folder / "recordings", recordings)
    reading, computing = in_a_new_process(ways.plain_probe, reference, table, epochs)
    lower = computes_bfloat16()
    ours = {
        name: in_a_new_process(ways.our_probe, table, folder / name, epochs, bf16)
        for name, bf16 in (("float32", False), ("bfloat16", True))
        if lower or not bf16
    }
    work = f"linear probe, {recordings} recordings, {epochs} epochs"
    rows: Rows = [(work, "plain: a forward pass in each epoch", f"{computing:.1f} s", "1.00")]
    for name, (_, embedding, training, _) in ours.items():
        ratio = computing / (embedding + training)
        rows.append(("", f"ours: embeddings once, {name}", f"{embedding + training:.2f} s", f"{ratio:.1f}"))
    further = ours["float32"][3]
    rows.append(("", "ours: a further probe on them", f"{further:.3f} s", f"{computing / further:.0f}"))
    whole = reading + computing
    rows.append(("the same from files", "plain: reads and filters in each epoch, too", f"{whole:.1f} s", "1.00"))
    for name, parts in ours.items():
        parts = parts[:3]
        rows.append(
            ("", f"ours: store and embeddings once, {name}", f"{sum(parts):.2f} s", f"{whole / sum(parts):.1f}")
        )
    for before, part, label, trained in (
        ("stage6", "stage7", "last stage", ("dense", "stage_list.6")),
        ("stage5", "stage6", "last two stages", ("dense", "stage_list.6", "stage_list.5")),
    ):
        plain_epoch = in_a_new_process(ways.plain_last, reference, recordings, trained)
        our_epoch = in_a_new_process(ways.our_last, recordings, before, part, lower)
        rows.append((f"an epoch of the {label}", "plain: full forward pass", f"{plain_epoch:.2f} s", "1.00"))
        ratio = plain_epoch / our_epoch
        name = "bfloat16" if lower else "float32"
        rows.append(("", f"ours: from stored activations, {name}", f"{our_epoch:.2f} s", f"{ratio:.1f}"))
    return rows


def data_rows(recordings: int, rounds: int, folder: Path) -> Rows:
    """Reading and filtering every time against building the store once and reading from it (benchmarks/store.py)."""
    # By a program of its own, since the processes that build import again whatever program starts them
    output = folder / "build.json"
    command = ["-m", "benchmarks.store", "build", "--recordings", str(recordings), "--rounds", str(rounds)]
    root = Path(__file__).resolve().parents[1]
    subprocess.run([sys.executable, *command, "--json", str(output)], cwd=root, check=True, capture_output=True)
    found = json.loads(output.read_text())
    stored = made_up_store(folder / "deliver", recordings, sparse=False)
    order = np.random.default_rng(0)
    batches = [order.choice(recordings, size=32, replace=False) for _ in range(100)]

    def deliver() -> None:
        for batch in batches:
            stored.read(batch)

    read = in_turns({"read": deliver}, rounds)["read"]
    plain_seconds = found["plain loop"]
    ways = {
        "plain: wfdb and scipy, one process": plain_seconds,
        "ours: building the store, 2 processes, their start included": found["store, 2 processes"],
        "ours: every later epoch, from the store": read / (32 * len(batches)),
    }
    return [
        (
            f"a recording of {recordings}, read and filtered" if not number else "",
            name,
            f"{seconds * 1e3:.3g} ms",
            f"{plain_seconds / seconds:.3g}",
        )
        for number, (name, seconds) in enumerate(ways.items())
    ]


def ceiling_rows(rounds: int) -> Rows:
    """Products of large square matrices, and the recordings per second that they would mean for the full network."""
    from benchmarks import speed_ways as ways

    rows: Rows = []
    for name in ("float32", "bfloat16") if computes_bfloat16() else ("float32",):
        rate = ways.PRODUCT_FLOP / in_turns_each_alone({name: (ways.products, name)}, rounds)[name]
        rows.append(("matrix products" if not rows else "", name, f"{rate / 1e9:.0f} GFLOP/s", ""))
        work = f"forward at most {rate / FORWARD_FLOP:.0f}/s, training {rate / FORWARD_FLOP / 3:.0f}/s"
        rows.append(("", f"the full network at that rate, {name}", work, ""))
    return rows


def start_rows(rounds: int) -> Rows:
    def run(*arguments: str) -> Callable[[], object]:
        return lambda: subprocess.run([sys.executable, *arguments], capture_output=True, check=False)

    root = Path(__file__).resolve().parents[1]
    seconds = in_turns(
        {
            "the imports of a run": run("-c", "import ecgfounder_ft.training.experiment"),
            "ecgfounder-ft --help": run("-m", "ecgfounder_ft.cli", "--help"),
            "train.py --help": run(str(root / "train.py"), "--help"),
            "a refused configuration": run(str(root / "train.py"), "optimizer.lrr=1"),
        },
        rounds,
    )
    first = seconds["the imports of a run"]
    return [
        ("start" if not n else "", name, f"{s:.2f} s", f"{first / s:.1f}")
        for n, (name, s) in enumerate(seconds.items())
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--short", action="store_true", help="fewer rounds, recordings and epochs")
    parser.add_argument("--write", action="store_true", help="put the table into benchmarks/RESULTS.md")
    parser.add_argument("--reference", type=Path, help="a file that defines Net1D, in place of the plain one")
    options = parser.parse_args()
    rounds, to_store, to_probe, epochs = (3, 600, 96, 3) if options.short else (5, 2000, 1200, 20)
    rows: Rows = []
    with tempfile.TemporaryDirectory() as folder, Console(stderr=True).status("measuring") as status:
        for name, measure in (
            ("start", lambda: start_rows(rounds)),
            ("data", lambda: data_rows(to_store, 1 if options.short else 3, Path(folder))),
            ("ceilings", lambda: ceiling_rows(rounds)),
            ("network", lambda: network_rows(options.reference, 32, rounds)),
            ("frozen parts", lambda: frozen_rows(options.reference, to_probe, epochs, Path(folder) / "probe")),
        ):
            status.update(f"measuring: {name}")
            found = measure()
            rows += found
            status.console.print(*(" | ".join(row) for row in found), sep="\n")
    lines = [machine.describe(), "", "| work | way | recordings/s or time | ratio |", "| --- | --- | --- | --- |"]
    if not computes_bfloat16():
        rows.append(("bfloat16", "left out: this processor has no instructions for it", "-", "-"))
    table = "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])
    print(table)
    if options.write:
        write_between(RESULTS, "make bench", table)


if __name__ == "__main__":
    main()
