"""The signal store: every recording preprocessed once, then read back as fast as memory is copied.

A store is a folder a preprocessing, named by the hash of its settings::

    <folder>/<hash>/settings.json        the preprocessing, to read
    <folder>/<hash>/shard-<hash>.npy     float32 (recordings, leads, samples)
    <folder>/<hash>/index-<hash>.parquet which recording lies where, what was repaired, what was skipped and why

Recordings are known by the hash of their files' contents, so that a store can be moved, shared and rebuilt, and a
recording that changed is noticed. Reading all the files again at each start would take as long as the training, so the
index also remembers size and modification time of each file: where they are unchanged, the content is taken to be, as
git and make do. A dataset that moved is hashed again (a twentieth of the work), not preprocessed again.

Every file is written under a temporary name, flushed to the disk and renamed, the index last: whatever moment a build
is killed at, what stands under its final name is whole, and the next build goes on from there. One build at a time
works on a store (a file lock); a second one waits and then finds the work done.
"""

import errno
import hashlib
import json
import logging
import multiprocessing
import multiprocessing.connection
import os
import shutil
import socket
import threading
from collections import Counter, OrderedDict
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import pandas as pd
from filelock import FileLock, Timeout
from numpy.typing import NDArray

from ecgfounder_ft.ecg.leads import STANDARD_LEADS
from ecgfounder_ft.ecg.preprocessing import Preprocessing
from ecgfounder_ft.ecg.recording import Recording, UnreadableRecordingError
from ecgfounder_ft.ecg.wfdb_files import read_header, read_recording, signal_file

FORMAT_VERSION = 1
"""Part of a store's name: raised whenever reading or preprocessing changes what the same settings mean."""

_SHARD_ROWS = (32, 1024)  # fewest and most recordings a shard
_SHARDS_PER_BUILD = 64  # aimed at between those: even work for the processes, and a progress bar that moves
_ROWS_WORTH_A_PROCESS = 128  # a process takes about a second to start, the time of some hundred recordings
_OPEN_SHARDS = 256  # files kept open at once, well below the usual limit of 1024
_LOCK_POLL_SECONDS = 0.5
_TEMPORARY = ".temporary"
_ADVICE = "make room, choose another folder for the store, or fewer recordings (max_samples)"

_LARGEST_MICROVOLTS = np.float32(2**31 - 128)  # the largest float32 that an int32 holds
_MISSING_MICROVOLTS = -_LARGEST_MICROVOLTS

log = logging.getLogger(__name__)


class StoreFullError(RuntimeError):
    """The disk has no room for the store; says how much is needed and how much is free."""


class StoreBuildError(RuntimeError):
    """A process of the build died; says what to do."""


class _Entry(NamedTuple):
    """One source recording in an index; the columns of the index files."""

    path: str
    files: str
    """Names of the signal files beside the header, '/' between them."""
    signature: str
    """Size and modification time of the header and of each signal file."""
    content: str
    """Hash of the contents of all of them."""
    shard: str = ""
    row: int = -1
    """Row in the shard, -1 where the recording was skipped or its content lies elsewhere."""
    signal_hash: str = ""
    repairs: str = ""
    reason: str = ""
    detail: str = ""


@dataclass
class StoredSignals:
    """The recordings of a table, preprocessed and on disk.

    Reading goes by position in :attr:`rows`. Files are read by position (``pread``) straight into the batch, not
    through a memory map: as fast from the page cache, but resident memory stays flat however large the set is, and a
    disk that fails raises an error instead of killing the process.
    """

    folder: Path
    """The folder of this preprocessing."""
    rows: pd.DataFrame
    """A row a stored recording, with the index label of its row in the table: recording, path, shard, row,
    signal_hash."""
    skipped: pd.DataFrame
    """Recordings that could not be used, with the index label of their row in the table: recording, path, reason,
    detail."""
    repairs: dict[str, int]
    """Recordings a repair, most frequent first."""
    shape: tuple[int, int]
    """(leads, samples) of each recording."""
    _shards: list[str] = field(init=False, repr=False)
    _shard_of: NDArray[np.intp] = field(init=False, repr=False)
    _offset_of: NDArray[np.int64] = field(init=False, repr=False)
    _open: "OrderedDict[int, int]" = field(init=False, repr=False)
    _reading: threading.Lock = field(init=False, repr=False)

    def __post_init__(self) -> None:
        codes, names = pd.factorize(self.rows["shard"])
        self._shards = [str(name) for name in names]
        self._shard_of = codes
        first_byte = np.array([_data_offset(self.folder / name) for name in self._shards], dtype=np.int64)
        rows = self.rows["row"].to_numpy(np.int64)
        self._offset_of = first_byte[codes] + rows * self._row_bytes
        self._open = OrderedDict()
        self._reading = threading.Lock()  # so that no thread closes a shard that another reads

    def __len__(self) -> int:
        return len(self.rows)

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
            OSError: if the store was removed or damaged meanwhile.
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
                    raise OSError(
                        errno.EIO,
                        f"{read} bytes at {offset}, expected {size}; delete this file and it is built again",
                        str(self.folder / self._shards[shard]),
                    )
        return out

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
) -> StoredSignals:
    """Preprocess the recordings of a table that are not yet in the store, and open all of them.

    Args:
        table: a catalog; the columns ``recording`` and ``path`` (absolute paths of headers) are used.
        preprocessing: what is done to each recording.
        folder: the folder of all stores; each preprocessing has its own folder in it.
        workers: processes that preprocess. They are started afresh (spawn), so a script that calls this needs the
            usual ``if __name__ == "__main__":``.
        progress: show a progress bar on the terminal.

    Raises:
        StoreFullError: before the work if the disk has no room for what is missing, or during it when it runs full;
            what was built until then stays usable.
        StoreBuildError: if one of the processes dies.
    """
    store = folder / store_name(preprocessing)
    _create(store, preprocessing)
    paths = [os.path.abspath(path) for path in table["path"]]  # noqa: PTH100 - a million Path objects take seconds
    index = _read_index(store, paths, preprocessing)
    contents = _unchanged(paths, index)
    unreadable: dict[str, tuple[str, str]] = {}
    if len(contents) < len(set(paths)):
        with _only_build(store):
            index = _read_index(store, paths, preprocessing)  # the build that was waited for may have done it
            contents = _unchanged(paths, index)
            missing = [path for path in dict.fromkeys(paths) if path not in contents]
            if missing:
                unreadable = _build(store, missing, index, preprocessing, workers, progress)
                index = _read_index(store, paths, preprocessing)
                contents = _unchanged(paths, index)
    return _open(store, table, paths, index, contents, unreadable, _shape(preprocessing))


def store_name(preprocessing: Preprocessing) -> str:
    """Name of a preprocessing's folder: a hash of its settings and the format's version."""
    return _hash(_settings(preprocessing).encode())[:16]


def signal_hash(recording: Recording) -> str:
    """A hash of the signal itself, the same under any name and in any storage form.

    Taken of the millivolts rounded to 1 µV, standard leads in standard order before any others.
    """
    position = {lead: number for number, lead in enumerate(STANDARD_LEADS)}
    order = sorted(range(len(recording.leads)), key=lambda row: position.get(recording.leads[row], len(position)))
    microvolts = np.rint(recording.signal[order] * np.float32(1000))
    microvolts[np.isnan(microvolts)] = _MISSING_MICROVOLTS
    whole = np.clip(microvolts, -_LARGEST_MICROVOLTS, _LARGEST_MICROVOLTS).astype("<i4")
    return _hash(repr(whole.shape).encode(), whole)


def _hash(*parts: Any) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        digest.update(part)
    return digest.hexdigest()


def _shape(preprocessing: Preprocessing) -> tuple[int, int]:
    return len(preprocessing.leads), preprocessing.samples


def _row_bytes(preprocessing: Preprocessing) -> int:
    leads, samples = _shape(preprocessing)
    return 4 * leads * samples


# --- What is known already ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Index:
    """What the index files of a store say of some paths."""

    sources: dict[str, list[tuple[str, str, str]]]
    """Path to (files, signature, content), one for each state its files were seen in."""
    built: dict[str, _Entry]
    """Content to the entry that holds its row, or the reason why it has none."""


def _settings(preprocessing: Preprocessing) -> str:
    content = {"format": FORMAT_VERSION, "preprocessing": preprocessing.to_dict()}
    return json.dumps(content, indent=2, sort_keys=True)


def _create(store: Path, preprocessing: Preprocessing) -> None:
    store.mkdir(parents=True, exist_ok=True)
    settings = store / "settings.json"
    if not settings.is_file():
        with _written_whole(settings) as stream:
            stream.write(_settings(preprocessing).encode())


def _read_index(store: Path, paths: Sequence[str], preprocessing: Preprocessing) -> _Index:
    """Read the index files; what they say of shards that are absent or cut off does not count."""
    index = _Index({}, {})
    wanted = set(paths)
    whole = {"": True}
    for file in sorted(store.glob("index-*.parquet")):
        try:
            columns = pd.read_parquet(file)[list(_Entry._fields)]
        except (OSError, ValueError, KeyError) as error:  # pyarrow's errors are OSErrors and ValueErrors
            log.warning("%s is damaged (%s): its recordings are built again", file, error)
            continue
        for entry in (_Entry(*values) for values in columns.itertuples(index=False, name=None)):
            if entry.shard not in whole:
                whole[entry.shard] = _is_whole(store / entry.shard, _row_bytes(preprocessing))
            if not whole[entry.shard]:
                continue
            if entry.shard or entry.reason:
                index.built.setdefault(entry.content, entry)
            if entry.path in wanted:
                index.sources.setdefault(entry.path, []).append((entry.files, entry.signature, entry.content))
    return index


def _is_whole(shard: Path, row_bytes: int) -> bool:
    try:
        with shard.open("rb") as stream:
            shape = _read_header(stream)
            whole = shard.stat().st_size == stream.tell() + shape[0] * row_bytes
    except (OSError, ValueError):
        whole = False
    if not whole:
        log.warning("%s is absent or damaged: its recordings are built again", shard)
    return whole


def _unchanged(paths: Sequence[str], index: _Index) -> dict[str, str]:
    """Path to content, for those whose files are as they were when their content was built or refused."""
    contents = {}
    for path in dict.fromkeys(paths):
        for files, signature, content in reversed(index.sources.get(path, [])):
            if content in index.built and _signature(path, files) == signature:
                contents[path] = content
                break
    return contents


def _signature(path: str, files: str) -> str:
    """Size and modification time of a header and the files beside it; '-' for an absent one."""
    folder = os.path.dirname(path)  # noqa: PTH120 - called a million times
    states = []
    for file in (path, *(f"{folder}/{name}" for name in files.split("/") if name)):
        try:
            state = os.stat(file)  # noqa: PTH116
            states.append(f"{state.st_size}:{state.st_mtime_ns}")
        except OSError:
            states.append("-")
    return " ".join(states)


# --- Building -------------------------------------------------------------------------------------------------------


def _build(
    store: Path,
    paths: Sequence[str],
    index: _Index,
    preprocessing: Preprocessing,
    workers: int,
    progress: bool,
) -> dict[str, tuple[str, str]]:
    """Build shards of the given paths; returns those whose files cannot be read at all, with reason and detail."""
    _remove_remains(store)
    _require_room(store, len(paths), preprocessing)
    size = min(max(-(-len(paths) // _SHARDS_PER_BUILD), _SHARD_ROWS[0]), _SHARD_ROWS[1])
    chunks = [list(paths[start : start + size]) for start in range(0, len(paths), size)]
    unreadable: dict[str, tuple[str, str]] = {}
    title = f"Preprocessing {len(paths):,} recordings into {_in_words(len(paths) * _row_bytes(preprocessing))}"
    with _progress_bar(title, len(paths), progress) as advance:
        for entries in _shards(store, chunks, frozenset(index.built), preprocessing, workers):
            lasting = [entry for entry in entries if entry.content]
            unreadable |= {entry.path: (entry.reason, entry.detail) for entry in entries if not entry.content}
            if lasting:
                _write_index(store, lasting, preprocessing)
            advance(len(entries))
    return unreadable


def _shards(
    store: Path, chunks: Sequence[list[str]], known: frozenset[str], preprocessing: Preprocessing, workers: int
) -> Iterator[list[_Entry]]:
    """Build a shard a chunk, in this process or in several, and yield its entries as each is done."""
    workers = min(workers, len(chunks), sum(map(len, chunks)) // _ROWS_WORTH_A_PROCESS)
    if workers <= 1:
        for chunk in chunks:
            yield _build_shard(store, chunk, known, preprocessing)
        return
    executor = ProcessPoolExecutor(
        workers,
        mp_context=multiprocessing.get_context("spawn"),  # a fork would inherit torch's threads and the lock
        initializer=_start_worker,
        initargs=(store, known, preprocessing),
    )
    try:
        futures = [executor.submit(_build_shard_in_worker, chunk) for chunk in chunks]
        for future in as_completed(futures):
            yield future.result()
    except BrokenProcessPool as error:
        raise StoreBuildError(
            f"a process that was building {store} died, most likely for want of memory; "
            "start again with fewer processes: what was built is kept"
        ) from error
    finally:
        executor.shutdown(wait=True, cancel_futures=True)


_worker: tuple[Path, frozenset[str], Preprocessing]


def _start_worker(store: Path, known: frozenset[str], preprocessing: Preprocessing) -> None:
    global _worker
    _worker = (store, known, preprocessing)
    parent = multiprocessing.parent_process()
    if parent is not None:  # a worker whose parent was killed would wait for work forever
        threading.Thread(target=_die_with, args=(parent.sentinel,), daemon=True).start()


def _die_with(sentinel: int) -> None:
    multiprocessing.connection.wait([sentinel])
    os._exit(1)


def _build_shard_in_worker(paths: list[str]) -> list[_Entry]:
    store, known, preprocessing = _worker
    return _build_shard(store, paths, known, preprocessing)


def _build_shard(
    store: Path, paths: Sequence[str], known: frozenset[str], preprocessing: Preprocessing
) -> list[_Entry]:
    """Preprocess some recordings into one shard.

    Returns:
        An entry a path: with a row, with a reason, with neither where the content lies elsewhere, and without content
        where the files cannot be read at all.
    """
    entries: list[_Entry] = []
    rows: set[str] = set()
    temporary = store / _temporary_name("shard.npy")
    try:
        with temporary.open("wb") as stream:
            _write_header(stream, (0, *_shape(preprocessing)))
            for path in paths:
                entry, signal = _preprocess(path, (known, rows), preprocessing)
                if signal is not None:
                    entry = entry._replace(row=len(rows))
                    rows.add(entry.content)
                    stream.write(np.ascontiguousarray(signal, dtype="<f4").data)
                entries.append(entry)
            stream.seek(0)
            _write_header(stream, (len(rows), *_shape(preprocessing)))
            _flush(stream)
        if not rows:
            return entries
        shard = f"shard-{_hash(*(entry.content.encode() for entry in entries if entry.row >= 0))}.npy"
        temporary.replace(store / shard)
        return [entry._replace(shard=shard) if entry.row >= 0 else entry for entry in entries]
    except OSError as error:
        raise _disk_error(error, store, len(paths), preprocessing) from error
    finally:
        temporary.unlink(missing_ok=True)


def _preprocess(
    path: str, known: Iterable[Container[str]], preprocessing: Preprocessing
) -> tuple[_Entry, NDArray[np.float32] | None]:
    """Read and preprocess one recording, unless its content is known."""
    entry = _Entry(path, "", "", "")
    try:
        entry = _identify(path)
        if any(entry.content in contents for contents in known):
            return entry, None
        recording = read_recording(Path(path), leads=preprocessing.leads)
        prepared = preprocessing(recording)
    except UnreadableRecordingError as error:
        return entry._replace(reason=error.reason, detail=error.detail), None
    except OSError as error:  # a disk or network that fails: not remembered, so that the next build tries again
        return _Entry(path, "", "", "", reason="file cannot be read", detail=str(error)), None
    except Exception as error:
        error.add_note(f"while preprocessing {path}")
        raise
    if prepared.signal.shape != _shape(preprocessing):
        raise ValueError(
            f"{path}: preprocessing gave {prepared.signal.shape}, expected (leads, samples) {_shape(preprocessing)}"
        )
    return entry._replace(signal_hash=signal_hash(recording), repairs="; ".join(prepared.repairs)), prepared.signal


def _identify(path: str) -> _Entry:
    """An entry with the state of a recording's files.

    Raises:
        UnreadableRecordingError: if the header is absent or none.
        OSError: if a file is there but cannot be read.
    """
    header = read_header(Path(path))
    files = []
    for name in dict.fromkeys(signal.file for signal in header.signals):
        try:
            files.append(signal_file(header, name).name)
        except UnreadableRecordingError:
            files.append(Path(name).name)  # absent now; when it comes, the signature changes
    joined = "/".join(files)
    signature = _signature(path, joined)
    digest = hashlib.blake2b(digest_size=16)
    for file in (header.path, *(header.path.parent / name for name in files)):
        content = file.read_bytes() if file.is_file() else b""
        digest.update(len(content).to_bytes(8, "little"))
        digest.update(content)
    return _Entry(path, joined, signature, digest.hexdigest())


def _write_index(store: Path, entries: Sequence[_Entry], preprocessing: Preprocessing) -> None:
    columns = pd.DataFrame(entries, columns=list(_Entry._fields))
    content = columns.to_parquet(index=False)
    try:
        with _written_whole(store / f"index-{_hash(content)}.parquet") as stream:
            stream.write(content)
    except OSError as error:
        raise _disk_error(error, store, len(entries), preprocessing) from error


# --- Files ----------------------------------------------------------------------------------------------------------


def _temporary_name(name: str) -> str:
    return f".{socket.gethostname()}-{os.getpid()}-{threading.get_ident()}-{name}{_TEMPORARY}"


def _remove_remains(store: Path) -> None:
    """Remove what killed builds of this machine left behind; called under the lock, so none of them still runs."""
    for file in store.glob(f".{socket.gethostname()}-*{_TEMPORARY}"):
        file.unlink(missing_ok=True)


@contextmanager
def _written_whole(path: Path) -> Iterator[BinaryIO]:
    """A file that appears under its name only when all of it is on the disk."""
    temporary = path.parent / _temporary_name(path.name)
    try:
        with temporary.open("wb") as stream:
            yield stream
            _flush(stream)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _flush(stream: BinaryIO) -> None:
    stream.flush()
    os.fsync(stream.fileno())


def _write_header(stream: BinaryIO, shape: tuple[int, int, int]) -> None:
    """The header of a float32 array. Its length does not depend on the number of rows: numpy leaves room for that."""
    np.lib.format.write_array_header_1_0(stream, {"descr": "<f4", "fortran_order": False, "shape": shape})


def _read_header(stream: BinaryIO) -> tuple[int, ...]:
    if np.lib.format.read_magic(stream) != (1, 0):
        raise ValueError("not a shard")
    return np.lib.format.read_array_header_1_0(stream)[0]


def _data_offset(shard: Path) -> int:
    with shard.open("rb") as stream:
        _read_header(stream)
        return stream.tell()


def _require_room(store: Path, recordings: int, preprocessing: Preprocessing) -> None:
    needed = recordings * _row_bytes(preprocessing)
    free = shutil.disk_usage(store).free
    if needed > free:
        raise StoreFullError(
            f"no room for the signal store: {recordings:,} recordings take {_in_words(needed)}, "
            f"{_in_words(free)} are free in {store}; {_ADVICE}"
        )


def _disk_error(error: OSError, store: Path, recordings: int, preprocessing: Preprocessing) -> Exception:
    if error.errno not in (errno.ENOSPC, errno.EDQUOT):
        return error
    return StoreFullError(
        f"the disk ran full while the signal store was built: the next {recordings:,} recordings take "
        f"{_in_words(recordings * _row_bytes(preprocessing))}, {_in_words(shutil.disk_usage(store).free)} are free in "
        f"{store}; {_ADVICE}. What was built is kept"
    )


@contextmanager
def _only_build(store: Path) -> Iterator[None]:
    """Hold the store's lock. The system lets go of it when the process ends, however it ends."""
    lock = FileLock(store / "build.lock")
    try:
        lock.acquire(blocking=False)
    except Timeout:
        log.info("another run is building %s: waiting for it", store)
        lock.acquire(poll_interval=_LOCK_POLL_SECONDS)
    except (OSError, NotImplementedError) as error:
        # Two builds then do the same work twice and put the same files in the same place: slower, not wrong.
        log.warning("%s does not support file locks (%s): building without", store, error)
    try:
        yield
    finally:
        lock.release()


@contextmanager
def _progress_bar(title: str, total: int, shown: bool) -> Iterator[Callable[[int], None]]:
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("remaining"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, disable=not shown) as progress:
        task = progress.add_task(title, total=total)
        yield lambda recordings: progress.advance(task, recordings)


def _in_words(size: int) -> str:
    """Bytes in a unit that reads well.

    >>> _in_words(240_000), _in_words(12_000_000_000)
    ('0.2 MB', '12.0 GB')
    """
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"


# --- Opening --------------------------------------------------------------------------------------------------------


def _open(
    store: Path,
    table: pd.DataFrame,
    paths: Sequence[str],
    index: _Index,
    contents: Mapping[str, str],
    unreadable: Mapping[str, tuple[str, str]],
    shape: tuple[int, int],
) -> StoredSignals:
    rows, skipped, repairs = [], [], Counter[str]()
    for label, recording, path in zip(table.index, table["recording"], paths, strict=True):
        content = contents.get(path)
        if content is None:
            reason, detail = unreadable.get(path, ("file changed", "while the store was built; run again"))
            skipped.append((label, recording, path, reason, detail))
            continue
        entry = index.built[content]
        if entry.reason:
            skipped.append((label, recording, path, entry.reason, entry.detail))
            continue
        rows.append((label, recording, path, entry.shard, entry.row, entry.signal_hash))
        repairs.update(filter(None, entry.repairs.split("; ")))
    columns = ["label", "recording", "path"]
    return StoredSignals(
        folder=store,
        rows=pd.DataFrame(rows, columns=[*columns, "shard", "row", "signal_hash"]).set_index("label"),
        skipped=pd.DataFrame(skipped, columns=[*columns, "reason", "detail"]).set_index("label"),
        repairs=dict(repairs.most_common()),
        shape=shape,
    )
