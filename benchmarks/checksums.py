"""What it costs to hold stored signals and outputs against their checksums when a run first reads them.

    python -m benchmarks.checksums                # a few minutes and 0.25 GB of disk

Epochs that check every recording, as the first of a run does, and epochs that check none, in turn: reading alone, and
training from what is read, on the processor. Reading is done as training does it, by a thread one batch ahead. All
figures are processor time, which does not depend on who else uses the machine.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch

from benchmarks.machine import describe
from benchmarks.store import BATCH, made_up_store
from ecgfounder_ft.config.pretraining import sizes_in
from ecgfounder_ft.data.batches import Batch, BatchOrder, RecordingBatches, batch_loader
from ecgfounder_ft.data.store.frozen_outputs import StoredActivations, store_activations
from ecgfounder_ft.data.store.index import checksum_of
from ecgfounder_ft.data.store.signal_store import StoredSignals
from ecgfounder_ft.model.ecgfounder.net1d import Net1D


def bench_checksums(folder: Path, n: int, rounds: int) -> None:
    """Epochs that check and epochs that do not, of reading alone and of training from what is read."""
    stored = made_up_store(folder, n, sparse=False)
    outputs = store_activations(stored, lambda signals: signals[:, 0, :1024].clone(), "checksums", 256)
    assert outputs is not None
    few = range(0, max(n // 16, 2 * BATCH))
    ways: dict[str, tuple[StoredSignals | StoredActivations, Sequence[int], Callable[[Batch], object]]] = {
        "signals, reading alone": (stored, range(n), lambda batch: None),
        "signals, training the slim network": (stored, range(n), training_step("slim", stored.shape)),
        "signals, training the full network": (stored, few, training_step("full", stored.shape)),
        "outputs of 1,024, reading alone": (outputs, range(n), lambda batch: None),
        "outputs of 1,024, training a head": (outputs, range(n), head_step(1024)),
    }
    print(f"checksums, {n} recordings ({len(few)} for the full network), batches of {BATCH}, {describe()}")
    print("| epoch of | recordings | without, s | with, s | more | checksums alone, per recording, and of the epoch |")
    print("| --- | --- | --- | --- | --- | --- |")
    for name, (source, positions, step) in ways.items():
        batches = RecordingBatches(source, np.zeros((n, 6), dtype=np.int8))
        times: dict[bool, list[float]] = {True: [], False: []}
        one_epoch(batches, positions, step)
        for number in range(2 * rounds):
            checked = number % 2 == 1
            source._checked[:] = checked
            begun = time.process_time()
            one_epoch(batches, positions, step)
            times[checked].append(time.process_time() - begun)
        without, held = statistics.median(times[True]), statistics.median(times[False])
        block = np.ascontiguousarray(source.read(range(min(n, 256))))
        begun = time.process_time()
        for _ in range(5):
            for one in block:
                checksum_of(one)
        alone = (time.process_time() - begun) / len(block) / 5
        print(
            f"| {name} | {len(positions):,} | {without:.3f} | {held:.3f} | {held / without - 1:+.1%} | "
            f"{alone * 1e6:.1f} µs, {alone * len(positions) / without:.2%} |"
        )


def one_epoch(batches: RecordingBatches, positions: Sequence[int], step: Callable[[Batch], object]) -> None:
    """Read as training reads: by a thread, one batch ahead."""
    order = BatchOrder(np.asarray(positions), BATCH, shuffle=True)
    for batch in batch_loader(batches, order):
        step(batch)


def training_step(architecture: str, shape: tuple[int, int]) -> Callable[[Batch], object]:
    """A step of Net1D with fused AdamW in float32, on the processor."""
    file = Path(__file__).parents[1] / "configs" / "model" / "architecture" / f"{architecture}.yaml"
    return step_of(Net1D(in_channels=shape[0], num_classes=6, **sizes_in(file)))


def head_step(width: int) -> Callable[[Batch], object]:
    """The same of a last layer alone."""
    return step_of(torch.nn.Linear(width, 6))


def step_of(net: torch.nn.Module) -> Callable[[Batch], object]:
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-3, fused=True)

    def step(batch: Batch) -> None:
        optimizer.zero_grad()
        logits = net(batch["signal"])
        torch.nn.functional.binary_cross_entropy_with_logits(logits, batch["target"].float()).backward()
        optimizer.step()

    return step


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recordings", type=int, default=1000, help="0.24 MB each")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="where to work (a temporary folder)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        bench_checksums(Path(name) / "store", options.recordings, options.rounds)


if __name__ == "__main__":
    main()
