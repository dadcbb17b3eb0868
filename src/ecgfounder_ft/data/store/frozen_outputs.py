"""Outputs of network parts that never train, computed once and then read in place of the signals."""

import hashlib
import logging
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import pandas as pd
import torch
from filelock import FileLock
from numpy.typing import NDArray
from rich.progress import track

from ecgfounder_ft.files import UNFINISHED_SUFFIX, whole_file

log = logging.getLogger(__name__)


class Signals(Protocol):
    """Recordings on disk: a signal store, or what changes its signals as they are read."""

    folder: Path
    """Where outputs for them are stored."""
    rows: pd.DataFrame
    """One row per recording; ``shard`` and ``row`` tell which signal it is."""

    def __len__(self) -> int: ...

    def read(self, indices: Sequence[int] | NDArray[np.integer]) -> NDArray[np.float32]:
        """Signals of some recordings, (len(indices), leads, samples)."""


class StoredActivations:
    """One array per recording, on disk, read as :class:`~ecgfounder_ft.data.store.reading.StoredSignals` are.

    Args:
        file: of a float32 array (recordings, ...).
        rows: one row per recording, as the signals have it.
    """

    def __init__(self, file: Path, rows: pd.DataFrame) -> None:
        self.file = file
        self.rows = rows
        self._array = np.load(file, mmap_mode="r").view(np.ndarray)

    def __reduce__(self) -> tuple[type["StoredActivations"], tuple[Path, pd.DataFrame]]:
        return StoredActivations, (self.file, self.rows)  # a map does not cross process borders

    def __len__(self) -> int:
        return len(self._array)

    @property
    def shape(self) -> tuple[int, ...]:
        """Of each recording's array."""
        return self._array.shape[1:]

    def read(
        self, indices: Sequence[int] | NDArray[np.integer], out: NDArray[np.float32] | None = None
    ) -> NDArray[np.float32]:
        """Arrays of some recordings, (len(indices), ...), in ``out`` where given."""
        return np.take(self._array, np.asarray(indices, dtype=np.int64), axis=0, out=out)


def store_activations(
    signals: Signals,
    run: Callable[[torch.Tensor], torch.Tensor],
    what: str,
    batch_size: int,
    progress: bool = False,
) -> StoredActivations | None:
    """The outputs for all recordings, computed now or found on disk; None where the disk has no room for them.

    Args:
        signals: the recordings.
        run: signals (N, leads, samples) to outputs (N, ...), float32 on the CPU.
        what: names the outputs, weights included: the same name means the same outputs.
        batch_size: recordings computed at once.
        progress: show a progress bar while they are computed.
    """
    recordings = "".join(f"{shard}:{row};" for shard, row in signals.rows[["shard", "row"]].itertuples(index=False))
    name = hashlib.blake2b(f"{what} {recordings}".encode(), digest_size=16).hexdigest()
    file = signals.folder / f"activations-{name}.npy"
    with FileLock(file.with_suffix(".lock")):
        if not file.is_file():
            first = run(torch.from_numpy(signals.read([0])))
            needed = len(signals) * first.numel() * 4
            free = shutil.disk_usage(signals.folder).free
            if needed > free * 0.9:
                log.warning(
                    "Stored activations would take %.1f GB, %s has %.1f GB: computed in every epoch instead",
                    needed / 1e9,
                    signals.folder,
                    free / 1e9,
                )
                return None
            log.info("Computing outputs of frozen parts for %d recordings (%.1f MB)", len(signals), needed / 1e6)
            _compute(signals, run, (len(signals), *first.shape[1:]), batch_size, file, progress)
    return StoredActivations(file, signals.rows)


def _compute(
    signals: Signals,
    run: Callable[[torch.Tensor], torch.Tensor],
    shape: tuple[int, ...],
    batch_size: int,
    file: Path,
    progress: bool,
) -> None:
    for remnant in file.parent.glob(f".{file.name}.*{UNFINISHED_SUFFIX}"):
        remnant.unlink()  # of a process that was killed: one at a time is here
    with whole_file(file, durable=True) as unfinished:
        array = np.lib.format.open_memmap(unfinished, mode="w+", dtype=np.float32, shape=shape)
        begins = range(0, len(signals), batch_size)
        for begin in track(begins, "Computing outputs of frozen parts", disable=not progress):
            indices = np.arange(begin, min(begin + batch_size, len(signals)))
            array[indices] = run(torch.from_numpy(signals.read(indices))).numpy()
        array.flush()
