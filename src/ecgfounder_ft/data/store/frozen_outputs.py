"""Outputs of network parts that never train, computed once and then read in place of the signals."""

import hashlib
import logging
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from rich.progress import track

from ecgfounder_ft.data.store.index import DamagedStoreError, checksum_of, read_shard_header
from ecgfounder_ft.files import UNFINISHED_SUFFIX, file_lock, whole_file

log = logging.getLogger(__name__)


class Signals(Protocol):
    """Recordings on disk: a signal store, or what changes its signals as they are read."""

    folder: Path
    """Place of their stored outputs."""
    rows: pd.DataFrame
    """One row per recording; ``shard`` and ``row`` tell which signal it is."""

    def __len__(self) -> int: ...

    def read(self, indices: Sequence[int] | NDArray[np.integer]) -> NDArray[np.float32]:
        """Signals of some recordings, (len(indices), leads, samples)."""


class StoredActivations:
    """One array per recording, on disk, read as :class:`~ecgfounder_ft.data.store.signal_store.StoredSignals` are.

    A recording's array that is read for the first time is held against its checksum; those stand behind the arrays,
    where what reads the file as a ``.npy`` does not look.

    Args:
        file: of a float32 array (recordings, ...).
        rows: one row per recording, as the signals have it.

    Raises:
        DamagedStoreError: if the file is not whole.
    """

    def __init__(self, file: Path, rows: pd.DataFrame) -> None:
        self.file = file
        self.rows = rows
        try:
            self._array = np.load(file, mmap_mode="r").view(np.ndarray)
            with file.open("rb") as stream:
                stream.seek(-4 * len(self._array), os.SEEK_END)
                self._checksum_of = np.frombuffer(stream.read(), dtype="<u4")
                expected = stream.tell() - 4 * len(self._array)
            whole = len(self._array) == len(rows) and self._array.dtype == np.float32 and _end_of(file) == expected
        except (OSError, ValueError, TypeError, EOFError) as error:
            raise _damaged(file, str(error)) from error
        if not whole:
            raise _damaged(file, "it is cut off, or of other recordings")
        self._checked = np.zeros(len(rows), dtype=np.bool_)

    def __reduce__(self) -> tuple[type["StoredActivations"], tuple[Path, pd.DataFrame]]:
        return StoredActivations, (self.file, self.rows)  # a map does not cross process borders

    def __len__(self) -> int:
        return len(self._array)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of each recording's array."""
        return self._array.shape[1:]

    def read(
        self, indices: Sequence[int] | NDArray[np.integer], out: NDArray[np.float32] | None = None
    ) -> NDArray[np.float32]:
        """Arrays of some recordings, (len(indices), ...), in ``out`` where given.

        Raises:
            DamagedStoreError: if one of them is not what was stored.
        """
        positions = np.asarray(indices, dtype=np.int64)
        found = np.take(self._array, positions, axis=0, out=out)
        for number in np.flatnonzero(~self._checked[positions]).tolist():
            place = positions[number]
            if checksum_of(np.ascontiguousarray(found[number])) != self._checksum_of[place]:
                raise _damaged(self.file, f"the checksum of row {place} is another")
            self._checked[place] = True
        return found


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
    with file_lock(file.with_suffix(".lock")):
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
        checksums = np.empty(len(signals), dtype="<u4")
        begins = range(0, len(signals), batch_size)
        for begin in track(begins, "Computing outputs of frozen parts", disable=not progress):
            indices = np.arange(begin, min(begin + batch_size, len(signals)))
            array[indices] = run(torch.from_numpy(signals.read(indices))).numpy()
            checksums[indices] = [checksum_of(np.ascontiguousarray(array[place])) for place in indices]
        array.flush()
        with unfinished.open("ab") as stream:
            stream.write(checksums.tobytes())


def _end_of(file: Path) -> int:
    """Bytes of a ``.npy`` file up to the end of its array."""
    with file.open("rb") as stream:
        shape = read_shard_header(stream)
        return stream.tell() + 4 * int(np.prod(shape))


def _damaged(file: Path, found: str) -> DamagedStoreError:
    return DamagedStoreError(
        f"{file}: is not what was stored ({found}). Check the disk, delete this file and start again (a run goes on "
        "with resume=): it is then computed again"
    )
