"""Two ways to keep preprocessed recordings on disk: plain arrays (what the store does) and LitData's chunks.

    pip install litdata
    python -m benchmarks.store_formats

Both hold the same float32 recordings and give shuffled batches of 32 from the page cache to one process without
workers, as training asks for them; the arrays are read by position (the store) and through a memory map. Each way
runs in a process of its own, for its peak of resident memory.
"""

import argparse
import multiprocessing
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch

from benchmarks.store import BATCH, made_up_store, open_made_up, peak_resident

SHAPE = (12, 5000)


def recording(number: int) -> dict[str, object]:
    return {"signal": torch.full(SHAPE, float(number)), "index": number}


def write_litdata(folder: Path, n: int) -> None:
    import litdata

    litdata.optimize(recording, list(range(n)), output_dir=str(folder), chunk_bytes="64MB", num_workers=1)


Epoch = Callable[[int], Iterator[torch.Tensor]]
"""Batches of signals of an epoch, by its number."""


def open_litdata(folder: Path, n: int) -> Epoch:
    import litdata

    def batches(epoch: int) -> Iterator[torch.Tensor]:
        dataset = litdata.StreamingDataset(str(folder), shuffle=True, seed=epoch)
        for batch in litdata.StreamingDataLoader(dataset, batch_size=BATCH, num_workers=0):
            yield batch["signal"]

    return batches


def open_store(folder: Path, n: int) -> Epoch:
    stored = open_made_up(folder, n)

    def batches(epoch: int) -> Iterator[torch.Tensor]:
        order = np.random.default_rng(epoch).permutation(n)
        for start in range(0, n, BATCH):
            yield torch.from_numpy(stored.read(order[start : start + BATCH]))

    return batches


def open_map(folder: Path, n: int) -> Epoch:
    shards = [np.load(file, mmap_mode="r") for file in sorted(folder.glob("*/shard-*.npy"))]
    places = [(number, row) for number, shard in enumerate(shards) for row in range(len(shard))]

    def batches(epoch: int) -> Iterator[torch.Tensor]:
        order = np.random.default_rng(epoch).permutation(n)
        for start in range(0, n, BATCH):
            batch = np.empty((min(BATCH, n - start), *SHAPE), dtype=np.float32)
            for place, chosen in enumerate(order[start : start + BATCH]):
                number, row = places[chosen]
                batch[place] = shards[number][row]
            yield torch.from_numpy(batch)

    return batches


WAYS = {"store": open_store, "memory map": open_map, "litdata": open_litdata}


def measure(way: str, folder: Path, n: int, epochs: int, answer: "multiprocessing.Queue") -> None:
    batches = WAYS[way](folder, n)
    wall, busy = [], []
    for epoch in range(epochs + 1):
        start, started = time.perf_counter(), time.process_time()
        seen = sum(len(batch) for batch in batches(epoch))
        wall.append(seen / (time.perf_counter() - start))
        busy.append((time.process_time() - started) / seen * 1e6)
        assert seen == n, f"{way} gave {seen} of {n} recordings"
    # the first epoch fills the page cache
    answer.put((statistics.median(wall[1:]), max(wall[1:]), statistics.median(busy[1:]), peak_resident()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recordings", type=int, default=4000, help="0.24 MB each, twice on disk")
    parser.add_argument("--epochs", type=int, default=7)
    parser.add_argument("--folder", type=Path, help="where to work (a temporary folder)")
    options = parser.parse_args()
    n = options.recordings
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        for way in WAYS:
            folder = Path(name) / way
            if way == "litdata":
                start = time.perf_counter()
                write_litdata(folder, n)
                print(f"litdata writes {n / (time.perf_counter() - start):,.0f} recordings/s")
            else:
                made_up_store(folder, n, sparse=False)
            answer = context.Queue()
            process = context.Process(target=measure, args=(way, folder, n, options.epochs, answer))
            process.start()
            rate, best, busy, peak = answer.get()
            process.join()
            size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) / 1e9
            print(
                f"{way:10s} {rate:8,.0f} recordings/s (fastest epoch {best:,.0f}), "
                f"{busy:.0f} µs of processor time each, peak resident {peak:,.0f} MB, {size:.2f} GB on disk"
            )
            shutil.rmtree(folder)


if __name__ == "__main__":
    main()
