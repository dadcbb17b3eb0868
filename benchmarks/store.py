"""The signal store against the plain way: time to build, rate of delivery, resident memory.

    python -m benchmarks.store                    # all of it: a few minutes and 3 GB of disk
    python -m benchmarks.store build --recordings 200

``build`` preprocesses generated recordings (500 Hz, 10 s, both storage forms, leads in MIMIC's order) by the loop that
one would write with wfdb and scipy, one lead of one recording at a time, and by the store; both must give the same
numbers. ``deliver`` reads shuffled batches of 32 from the page cache. ``memory`` runs an epoch over stores of growing
size, each in a process of its own; the shards are sparse files, so that 50,000 recordings (12 GB) need no disk, which
the page cache, however, cannot tell from others. ``start`` opens an unchanged store again.
"""

import argparse
import json
import multiprocessing
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd

from ecgfounder_ft.data.store.index import Entry, checksum_of, signature, write_index, write_shard_header
from ecgfounder_ft.data.store.signal_store import StoredSignals, build_store, store_name
from ecgfounder_ft.ecg.formats.wfdb import write_recording
from ecgfounder_ft.ecg.preprocessing import Preprocessing

MIMIC_LEADS = ("I", "II", "III", "aVR", "aVF", "aVL", "V1", "V2", "V3", "V4", "V5", "V6")
BATCH = 32
Result = TypeVar("Result")


def make_recordings(folder: Path, n: int) -> pd.DataFrame:
    """Random walks with noise, which cost a filter as much as hearts do."""
    generator = np.random.default_rng(0)
    paths = []
    for number in range(n):
        signal = np.cumsum(generator.normal(scale=0.01, size=(12, 5000)), axis=1)
        signal += generator.normal(scale=0.05, size=signal.shape)
        storage = "dat" if number % 2 else "mat"
        paths.append(write_recording(folder, f"r{number:05d}", signal, MIMIC_LEADS, 500, storage=storage))
    return pd.DataFrame({"recording": [path.stem for path in paths], "path": list(map(str, paths))})


def seconds(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def peak_resident() -> float:
    """MB, of this process alone: Linux hands getrusage's number on from the parent."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def plain_loop(table: pd.DataFrame, folder: Path) -> tuple[float, float]:
    """Keep the plain way's results in a file; returns seconds and processor seconds."""
    from benchmarks.plain_preprocessing import read_and_filter

    results = []
    taken = measured(lambda: results.extend(read_and_filter(Path(path)) for path in table["path"]))
    np.save(folder / "plain.npy", np.stack(results))
    return taken


def store_by(workers: int, table: pd.DataFrame, folder: Path) -> tuple[float, float]:
    """Build a new store; returns seconds and processor seconds, the start of its processes included."""
    import scipy.signal  # noqa: F401 - as for the plain loop, this process's own imports do not count

    shutil.rmtree(folder / "store", ignore_errors=True)
    return measured(lambda: build_store(table, Preprocessing(), folder / "store", workers, progress=False))


def in_a_new_process(way: Callable[..., Result], *arguments: object) -> Result:
    """What ``way`` returns in a process that has done nothing else."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as process:
        return process.submit(way, *arguments).result()


def bench_build(folder: Path, n: int, rounds: int) -> dict[str, float]:
    """Print the table; returns seconds per recording by way."""
    table = make_recordings(folder / "recordings", n)
    ways: dict[str, tuple[Callable[..., tuple[float, float]], tuple[Any, ...]]] = {
        "plain loop": (plain_loop, (table, folder)),
        "store, 1 process": (store_by, (1, table, folder)),
        "store, 2 processes": (store_by, (2, table, folder)),
    }
    # Each in a process of its own: what one way leaves behind (freed memory, imports) must not help the next.
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, (way, arguments) in ways.items():
            times[name].append(in_a_new_process(way, *arguments))
    stored = build_store(table, Preprocessing(), folder / "store", 1, progress=False)
    difference = np.abs(stored.read(range(n)) - np.load(folder / "plain.npy").reshape(n, 12, -1)).max()
    assert difference < 2e-5, f"the store differs from the plain way by {difference}"
    print(f"build, {n} recordings, largest difference {difference:.1e}")
    base = np.median(times["plain loop"], axis=0)
    for name, found in times.items():
        taken, busy = np.median(found, axis=0)
        print(
            f"  {name:20s} {taken / n * 1e3:6.2f} ms per recording, {base[0] / taken:5.2f}x; "
            f"processor time {busy / n * 1e3:6.2f} ms, {base[1] / busy:5.2f}x"
        )
    return {name: float(np.median(found, axis=0)[0]) / n for name, found in times.items()}


def measured(run: Callable[[], object]) -> tuple[float, float]:
    """Seconds and processor seconds."""
    busy = processor_seconds()
    return seconds(run), processor_seconds() - busy


def processor_seconds() -> float:
    """Of this process and of its children that have ended, which does not depend on who else uses the machine."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def bench_deliver(folder: Path, n: int, rounds: int) -> None:
    stored = made_up_store(folder, n, sparse=False)
    order = np.random.default_rng(0).permutation(n)
    batches = [order[start : start + BATCH] for start in range(0, n - BATCH + 1, BATCH)]
    shards = [np.load(file, mmap_mode="r") for file in sorted(stored.folder.glob("shard-*.npy"))]
    sizes = np.cumsum([0, *map(len, shards)])
    out = np.empty((BATCH, *stored.shape), dtype=np.float32)

    def mapped(batch: np.ndarray) -> np.ndarray:
        numbers = np.searchsorted(sizes, batch, side="right") - 1
        for place, (number, row) in enumerate(zip(numbers, batch - sizes[numbers], strict=True)):
            out[place] = shards[number][row]
        return out

    ways: dict[str, Callable[[np.ndarray], object]] = {
        "store, new batches": stored.read,
        "store, into one buffer": lambda batch: stored.read(batch, out=out),
        "memory map, into one buffer": mapped,
    }
    print(f"deliver, {n} recordings of {out[0].nbytes:,} bytes, batches of {BATCH}, shuffled, from the page cache")
    for name, way in ways.items():
        for batch in batches:
            way(batch)
        rates = []
        for _ in range(rounds):
            start = time.perf_counter()
            for batch in batches:
                way(batch)
            rates.append(len(batches) * BATCH / (time.perf_counter() - start))
        rate = statistics.median(rates)
        print(f"  {name:28s} {rate:8,.0f} recordings/s, {rate * out[0].nbytes / 1e9:5.1f} GB/s")


def made_up_store(folder: Path, n: int, sparse: bool) -> StoredSignals:
    """A store that claims to hold n recordings: empty source files, shards of holes or of noise."""
    preprocessing = Preprocessing()
    store = folder / store_name(preprocessing)
    sources = folder / "sources"
    store.mkdir(parents=True)
    sources.mkdir()
    paths = [str(sources / f"{number}.hea") for number in range(n)]
    noise = np.random.default_rng(0).normal(size=(12, 5000)).astype(np.float32)
    checksum = checksum_of(bytes(noise.nbytes) if sparse else noise.data)
    for start in range(0, n, 1024):
        chunk = paths[start : start + 1024]
        name = f"shard-{start:08d}.npy"
        with (store / name).open("wb") as stream:
            write_shard_header(stream, (len(chunk), 12, 5000))
            if sparse:
                stream.truncate(stream.tell() + len(chunk) * noise.nbytes)
            else:
                stream.writelines([noise.data] * len(chunk))
        entries = []
        for row, path in enumerate(chunk):
            Path(path).touch()
            content = f"content {start + row}"
            entries.append(
                Entry(path, "", signature(path, ""), content, name, row, checksum, signal_hash=f"signal {start + row}")
            )
        write_index(store, entries)
    return open_made_up(folder, n)


def open_made_up(folder: Path, n: int) -> StoredSignals:
    """Open what :func:`made_up_store` made, as a run does that finds its store complete."""
    paths = [str(folder / "sources" / f"{number}.hea") for number in range(n)]
    return build_store(pd.DataFrame({"recording": paths, "path": paths}), Preprocessing(), folder, progress=False)


def epoch(folder: Path, n: int) -> tuple[float, float, float]:
    """An epoch of shuffled batches; MB resident before, at its peak, and its seconds."""
    from ecgfounder_ft.data.datamodule import ECGDataModule
    from ecgfounder_ft.task import SINGLE_LABEL

    targets = np.zeros((n, 6), dtype=np.int8)
    targets[np.arange(n), np.arange(n) % 6] = 1
    stored = open_made_up(folder, n)
    module = ECGDataModule(stored, ["train"] * n, targets, list("abcdef"), SINGLE_LABEL, batch_size=BATCH)
    before = peak_resident()
    taken = seconds(lambda: [float(batch["signal"][0, 0, 0]) for batch in module.train_dataloader()])
    return before, peak_resident(), taken


def bench_memory(folder: Path, sizes: list[int]) -> None:
    print("memory, an epoch of training batches, peak resident")
    for n in sizes:
        made_up_store(folder / str(n), n, sparse=True)
        before, peak, taken = in_a_new_process(epoch, folder / str(n), n)
        shutil.rmtree(folder / str(n))
        print(f"  {n:6d} recordings: {peak:6.0f} MB ({before:.0f} MB before), {taken / n * 1e3:.3f} ms per recording")


def bench_start(folder: Path, sizes: list[int]) -> None:
    print("start, opening a store in which nothing is missing")
    for n in sizes:
        made_up_store(folder / str(n), n, sparse=True)
        taken = seconds(lambda n=n: open_made_up(folder / str(n), n))
        shutil.rmtree(folder / str(n))
        print(f"  {n:6d} recordings: {taken:.2f} s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="*", default=["build", "deliver", "memory", "start"])
    parser.add_argument("--recordings", type=int, default=2000, help="to build")
    parser.add_argument("--deliver", type=int, default=8000, help="recordings to deliver (0.24 MB each)")
    parser.add_argument("--sizes", type=int, nargs="+", default=[1000, 10_000, 50_000])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path, help="also write seconds per recording of build there")
    parser.add_argument("--folder", type=Path, help="where to work (a temporary folder)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        if "build" in options.what:
            taken = bench_build(folder / "build", options.recordings, options.rounds)
            if options.json is not None:
                options.json.write_text(json.dumps(taken))
        if "deliver" in options.what:
            bench_deliver(folder / "deliver", options.deliver, options.rounds)
            shutil.rmtree(folder / "deliver")
        if "memory" in options.what:
            bench_memory(folder / "memory", options.sizes)
        if "start" in options.what:
            bench_start(folder / "start", options.sizes)


if __name__ == "__main__":
    main()
