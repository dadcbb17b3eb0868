"""The signal store: every recording preprocessed once, then read back as fast as memory is copied.

There is one folder per preprocessing, named by the hash of its settings::

    <folder>/<hash>/settings.json         the preprocessing, and what the user states of files that do not say it
    <folder>/<hash>/shard-<hash>.npy      float32 (recordings, leads, samples)
    <folder>/<hash>/index-<hash>.parquet  which recording lies where, what was repaired, what was skipped and why

Recordings are known by the hash of their files' contents, so that a store can be moved, shared and rebuilt, and a
recording that changed is noticed. Reading all the files again at each start would take long, so the index also
remembers size and modification time of each file: where they are unchanged, the content is taken to be, as git and
make do. A dataset that moved is hashed again, which takes a small part of the work, and not preprocessed again.

One build at a time works on a store (a file lock); a second one waits and then finds the work done.
"""

import json
import os
import threading
from collections import Counter, OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ecgfounder_ft.data.store.building import Unreadable, build_missing, only_build
from ecgfounder_ft.data.store.index import (
    SETTINGS_FILE,
    DamagedStoreError,
    checksum_of,
    hash_of,
    located,
    read_index,
    read_shard_header,
    unchanged,
)
from ecgfounder_ft.data.store.shard import row_bytes, shape_of
from ecgfounder_ft.ecg.description import NOTHING_STATED, SignalDescription
from ecgfounder_ft.ecg.preprocessing import Preprocessing
from ecgfounder_ft.files import make_shared_folder, whole_file

FORMAT_VERSION = 5
"""Part of a store's name: raised whenever reading or preprocessing changes what the same settings mean."""

_OPEN_SHARDS = 256  # files kept open at once, well below the usual limit of 1024


@dataclass
class StoredSignals:
    """The recordings of a table, preprocessed and on disk.

    Reading goes by position in :attr:`rows`. Files are read by position (``pread``) straight into the batch, not
    through a memory map: as fast from the page cache, but resident memory stays flat however large the set is, and a
    disk that fails raises an error instead of killing the process. A recording that is read for the first time is held
    against its checksum.
    """

    folder: Path
    """The folder of this preprocessing."""
    rows: pd.DataFrame
    """One row per stored recording, with the index label of its row in the table: recording, path, shard, row,
    checksum, signal_hash, repairs (phrases parted by '; '), fingerprint (bytes, see :attr:`fingerprints`)."""
    skipped: pd.DataFrame
    """Recordings that could not be used, with the index label of their row in the table: recording, path, reason,
    detail."""
    repairs: dict[str, int]
    """Number of recordings with each repair or quality flag, most frequent first."""
    shape: tuple[int, int]
    """(leads, samples) of each recording."""
    _shards: list[str] = field(init=False, repr=False)
    _shard_of: NDArray[np.intp] = field(init=False, repr=False)
    _offset_of: NDArray[np.int64] = field(init=False, repr=False)
    _checksum_of: NDArray[np.int64] = field(init=False, repr=False)
    _checked: NDArray[np.bool_] = field(init=False, repr=False)
    _open: "OrderedDict[int, int]" = field(init=False, repr=False)
    _reading: threading.Lock = field(init=False, repr=False)

    def __post_init__(self) -> None:
        codes, names = pd.factorize(self.rows["shard"])
        self._shards = [str(name) for name in names]
        self._shard_of = codes
        first_byte = np.array([_first_byte(self.folder / name) for name in self._shards], dtype=np.int64)
        rows = self.rows["row"].to_numpy(np.int64)
        self._offset_of = first_byte[codes] + rows * self._row_bytes
        self._checksum_of = self.rows["checksum"].to_numpy(np.int64)
        self._checked = np.zeros(len(rows), dtype=np.bool_)
        self._open = OrderedDict()
        self._reading = threading.Lock()  # so that no thread closes a shard that another reads

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def fingerprints(self) -> NDArray[np.float16]:
        """(recordings, numbers), as of :func:`~ecgfounder_ft.data.near_copies.fingerprint`."""
        joined = b"".join(self.rows["fingerprint"])
        return np.frombuffer(joined, dtype="<f2").reshape(len(self), -1 if joined else 0)

    @property
    def _row_bytes(self) -> int:
        return 4 * self.shape[0] * self.shape[1]

    def read(
        self, indices: Sequence[int] | NDArray[np.integer], out: NDArray[np.float32] | None = None
    ) -> NDArray[np.float32]:
        """Preprocessed signals of some recordings.

        Args:
            indices: positions in :attr:`rows`, any order, repeats allowed.
            out: C-contiguous float32 (len(indices), leads, samples) to fill, e.g. page-locked memory.

        Returns:
            float32 (len(indices), leads, samples), ``out`` where given.

        Raises:
            IndexError: if an index is out of range.
            DamagedStoreError: if a recording is not what was stored.
            OSError: if the store was removed meanwhile.
        """
        positions = np.asarray(indices, dtype=np.int64)
        if len(positions) and not (positions.min() >= 0 and positions.max() < len(self)):
            raise IndexError(f"recordings {positions.min()} to {positions.max()} of a store of {len(self)}")
        shape = (len(positions), *self.shape)
        if out is None:
            out = np.empty(shape, dtype=np.float32)
        elif out.shape != shape or out.dtype != np.float32 or not out.flags.c_contiguous:
            raise ValueError(f"out is {out.dtype} {out.shape}; expected C-contiguous float32 {shape}")
        if not len(positions):
            return out
        size = self._row_bytes
        target = out.data.cast("B")
        places = zip(self._shard_of[positions].tolist(), self._offset_of[positions].tolist(), strict=True)
        with self._reading:
            for number, (shard, offset) in enumerate(places):
                read = os.preadv(self._descriptor(shard), [target[number * size : (number + 1) * size]], offset)
                if read != size:
                    raise self._damaged(int(positions[number]), f"{read} of {size} bytes are left")
        for number in np.flatnonzero(~self._checked[positions]).tolist():
            place = int(positions[number])
            if checksum_of(target[number * size : (number + 1) * size]) != self._checksum_of[place]:
                raise self._damaged(place, "its checksum is another")
            self._checked[place] = True
        return out

    def _damaged(self, place: int, found: str) -> DamagedStoreError:
        shard, row = self._shards[self._shard_of[place]], self.rows["row"].iloc[place]
        return DamagedStoreError(
            f"{self.folder / shard}: row {row}, {self.rows['recording'].iloc[place]}, is not what was stored "
            f"({found}). Check the disk, delete this file and start again (a run goes on with resume=): its recordings "
            "are then built again"
        )

    def close(self) -> None:
        """Close the open shards; reading opens them again."""
        while self._open:
            os.close(self._open.popitem()[1])

    def _descriptor(self, shard: int) -> int:
        descriptor = self._open.get(shard)
        if descriptor is None:
            if len(self._open) >= _OPEN_SHARDS:
                os.close(self._open.popitem(last=False)[1])
            descriptor = os.open(self.folder / self._shards[shard], os.O_RDONLY | os.O_CLOEXEC)
            self._open[shard] = descriptor
        return descriptor

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in self.__dict__.items() if key not in ("_open", "_reading")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)  # open files and locks do not cross process borders
        self._open = OrderedDict()
        self._reading = threading.Lock()

    def __del__(self) -> None:
        if "_open" in self.__dict__:
            self.close()


def build_store(
    table: pd.DataFrame,
    preprocessing: Preprocessing,
    folder: Path,
    workers: int = 1,
    progress: bool = True,
    executor: Any = None,
    jobs: int = 1,
    stated: SignalDescription = NOTHING_STATED,
) -> StoredSignals:
    """Preprocess the recordings of a table that are not yet in the store, and open all of them.

    Args:
        table: a catalog; the columns ``recording`` and ``path`` (headers) are used.
        preprocessing: what is done to each recording.
        folder: the folder of all stores; each preprocessing has its own folder in it.
        workers: processes that preprocess. They are started afresh (spawn), so a script that calls this needs the
            usual ``if __name__ == "__main__":``.
        progress: show a progress bar on the terminal.
        executor: a submitit executor; the work is then done by ``jobs`` of its jobs, ``workers`` processes each, on
            machines that see the recordings and the folder under the same paths.
        jobs: number of jobs of the executor.
        stated: rate, unit and leads for files that do not say them. What is stated otherwise lies in another folder.

    Raises:
        StoreFullError: before the work if the disk has no room for what is missing, or during it when it runs full;
            what was built until then stays usable.
        StoreBuildError: if a process or job dies.
    """
    store = folder.absolute() / store_name(preprocessing, stated)
    make_shared_folder(store)
    if not (store / SETTINGS_FILE).is_file():
        with whole_file(store / SETTINGS_FILE, durable=True) as unfinished:
            unfinished.write_text(_settings(preprocessing, stated), encoding="utf-8")
    paths = [os.path.abspath(path) for path in table["path"]]  # noqa: PTH100 - a million Path objects take seconds
    size = row_bytes(preprocessing)
    index = read_index(store, size)
    contents = unchanged(paths, index)
    unreadable: Unreadable = {}
    if len(contents) < len(set(paths)):
        with only_build(store):
            index = read_index(store, size)  # the build that was waited for may have done it
            done = unchanged(paths, index)
            missing = [path for path in dict.fromkeys(paths) if path not in done]
            if missing:
                known = frozenset(located(index).index)
                unreadable = build_missing(store, missing, known, preprocessing, workers, progress, executor, jobs)
                index = read_index(store, size)
            contents = unchanged(paths, index)
    return _open(store, table, paths, contents, located(index), unreadable, shape_of(preprocessing))


def is_store(folder: Path, preprocessing: Preprocessing, stated: SignalDescription = NOTHING_STATED) -> bool:
    """Whether a folder of stores has one of a preprocessing."""
    return (folder / store_name(preprocessing, stated) / SETTINGS_FILE).is_file()


def store_name(preprocessing: Preprocessing, stated: SignalDescription = NOTHING_STATED) -> str:
    """Name of a preprocessing's folder: a hash of its settings, of what the user states, and the format's version."""
    return hash_of(_settings(preprocessing, stated).encode())[:16]


def _settings(preprocessing: Preprocessing, stated: SignalDescription) -> str:
    content: dict[str, Any] = {"format": FORMAT_VERSION, "preprocessing": preprocessing.to_dict()}
    if not stated.is_empty:
        content["stated"] = stated.to_dict()
    return json.dumps(content, indent=2, sort_keys=True)


def _open(
    store: Path,
    table: pd.DataFrame,
    paths: Sequence[str],
    contents: Mapping[str, str],
    entries: pd.DataFrame,
    unreadable: Unreadable,
    shape: tuple[int, int],
) -> StoredSignals:
    """The recordings of the table as their entries (by content) say."""
    found = entries[["shard", "row", "checksum", "signal_hash", "repairs", "reason", "detail", "fingerprint"]].reindex(
        [contents.get(path) for path in paths]
    )
    found.index = table.index
    found.insert(0, "recording", table["recording"])
    found.insert(1, "path", paths)
    lost = found["shard"].isna()
    told = [
        unreadable.get(path, ("file changed", "while the store was built: run again")) for path in found["path"][lost]
    ]
    found.loc[lost, "reason"] = [reason for reason, _ in told]
    found.loc[lost, "detail"] = [detail for _, detail in told]
    stored = ~lost & (found["reason"] == "")
    repairs = Counter[str]()
    for phrases, count in found["repairs"][stored].value_counts().items():
        repairs.update(dict.fromkeys(filter(None, str(phrases).split("; ")), int(count)))
    columns = ["recording", "path", "shard", "row", "checksum", "signal_hash", "repairs", "fingerprint"]
    rows = found.loc[stored, columns]
    return StoredSignals(
        folder=store,
        rows=rows.astype({"row": np.int64, "checksum": np.int64}),
        skipped=found.loc[~stored, ["recording", "path", "reason", "detail"]],
        repairs=dict(repairs.most_common()),
        shape=shape,
    )


def _first_byte(shard: Path) -> int:
    with shard.open("rb") as stream:
        read_shard_header(stream)
        return stream.tell()
