"""Building what a signal store lacks: by one process, by several, or by the jobs of a cluster."""

import errno
import hashlib
import logging
import multiprocessing
import shutil
import time
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout
from numpy.typing import NDArray

from ecgfounder_ft.data.near_copies import fingerprint
from ecgfounder_ft.data.store.index import (
    Entry,
    flush,
    hash_of,
    located,
    read_index,
    remove_remains,
    signature,
    temporary_file,
    write_index,
    write_shard_header,
)
from ecgfounder_ft.ecg.formats import other_files, read_recording
from ecgfounder_ft.ecg.leads import STANDARD_LEADS
from ecgfounder_ft.ecg.preprocessing import Preprocessing
from ecgfounder_ft.ecg.recording import Recording, UnreadableRecordingError
from ecgfounder_ft.errors import ExplainedError
from ecgfounder_ft.interruption import Interrupted, children_left_alone, heed_parent
from ecgfounder_ft.memory import keep_freed_memory

_SHARD_ROWS = (32, 1024)  # fewest and most recordings per shard
_SHARDS_PER_BUILD = 64  # aimed at between those: even work for the processes, and a progress bar that moves
_FEWEST_ROWS_PER_PROCESS = 256  # a process takes about a second to start, the time of some hundred recordings
_POLL_SECONDS = 0.5
_ADVICE = "make room, choose another folder for the store, or fewer recordings (max_samples)"
_MISSING_MICROVOLTS = np.float32(-(2**31))  # the smallest int32
_LARGEST_MICROVOLTS = np.float32(2**31 - 128)  # the largest float32 that an int32 holds

log = logging.getLogger(__name__)

Unreadable = dict[str, tuple[str, str]]
"""Path to reason and detail, for files that cannot be read at all. The index does not remember them."""


class StoreFullError(ExplainedError, RuntimeError):
    """The disk has no room for the store; says how much is needed and how much is free."""


class StoreBuildError(ExplainedError, RuntimeError):
    """A process or job of the build died; says what to do."""


def shape_of(preprocessing: Preprocessing) -> tuple[int, int]:
    """(leads, samples) of what a preprocessing gives."""
    return len(preprocessing.leads), preprocessing.samples


def row_bytes(preprocessing: Preprocessing) -> int:
    """Bytes of a recording in a shard."""
    leads, samples = shape_of(preprocessing)
    return 4 * leads * samples


def signal_hash(recording: Recording) -> str:
    """A hash of the signal itself, the same under any name and in any storage form.

    Taken of the millivolts rounded to 1 µV, standard leads in standard order before any others.
    """
    position = {lead: number for number, lead in enumerate(STANDARD_LEADS)}
    order = sorted(range(len(recording.leads)), key=lambda row: position.get(recording.leads[row], len(position)))
    microvolts = recording.signal[order] * np.float32(1000)
    np.rint(microvolts, out=microvolts)
    np.clip(microvolts, -_LARGEST_MICROVOLTS, _LARGEST_MICROVOLTS, out=microvolts)
    missing = np.isnan(microvolts)
    if missing.any():
        microvolts[missing] = _MISSING_MICROVOLTS
    return hash_of(repr(microvolts.shape).encode(), microvolts.astype("<i4"))


@contextmanager
def only_build(store: Path) -> Iterator[None]:
    """Hold the store's lock. The system lets go of it when the process ends, however it ends."""
    lock = FileLock(store / "build.lock")
    try:
        lock.acquire(blocking=False)
    except Timeout:
        log.warning("another run is building %s: waiting for it", store)
        lock.acquire(poll_interval=_POLL_SECONDS)
    except (OSError, NotImplementedError) as error:
        # Two builds then do the same work twice and put the same files in the same place: slower, not wrong.
        log.warning("%s does not support file locks (%s): building without", store, error)
    try:
        yield
    finally:
        lock.release()


def build_missing(
    store: Path,
    paths: Sequence[str],
    known: frozenset[str],
    preprocessing: Preprocessing,
    workers: int,
    progress: bool,
    executor: Any = None,
    jobs: int = 1,
) -> Unreadable:
    """Build shards of the given paths.

    Args:
        store: the folder of the preprocessing.
        paths: headers, each once.
        known: contents that lie in the store already, under whatever path.
        preprocessing: what is done to each recording.
        workers: processes, of this machine or of each job.
        progress: show a progress bar.
        executor: a submitit executor that runs ``jobs`` jobs; None builds on this machine.
        jobs: jobs of the executor, at most as many as there are shards to build.

    Raises:
        StoreFullError, StoreBuildError: what was built until then is kept.
    """
    remove_remains(store)
    _require_room(store, len(paths), preprocessing)
    size = min(max(-(-len(paths) // _SHARDS_PER_BUILD), _SHARD_ROWS[0]), _SHARD_ROWS[1])
    chunks = [list(paths[start : start + size]) for start in range(0, len(paths), size)]
    unreadable: Unreadable = {}
    title = f"Preprocessing {len(paths):,} recordings into {_in_words(len(paths) * row_bytes(preprocessing))}"
    with _progress_bar(title, len(paths), progress) as advance:
        if executor is None:
            steps = _build_chunks(store, chunks, known, preprocessing, workers)
        else:
            steps = _build_by_jobs(store, chunks, preprocessing, workers, executor, jobs)
        for done, failed in steps:
            unreadable |= failed
            advance(done)
    return unreadable


def _build_chunks(
    store: Path, chunks: Sequence[list[str]], known: frozenset[str], preprocessing: Preprocessing, workers: int
) -> Iterator[tuple[int, Unreadable]]:
    """Build one shard per chunk and write its index; yields how many recordings were done, and which are unreadable."""
    for entries in _shards(store, chunks, known, preprocessing, workers):
        lasting = [entry for entry in entries if entry.content]
        try:
            if lasting:
                write_index(store, lasting)
        except OSError as error:
            raise _disk_error(error, store, len(lasting), preprocessing) from error
        yield len(entries), {entry.path: (entry.reason, entry.detail) for entry in entries if not entry.content}


# --- One shard ------------------------------------------------------------------------------------------------------


def _build_shard(store: Path, paths: Sequence[str], known: frozenset[str], preprocessing: Preprocessing) -> list[Entry]:
    """Preprocess some recordings into one shard.

    Returns:
        One entry per path: with a row, with a reason, with neither where the content lies elsewhere, and without
        content where the files cannot be read at all.
    """
    entries: list[Entry] = []
    rows: set[str] = set()
    try:
        with temporary_file(store) as (stream, temporary):
            write_shard_header(stream, (0, *shape_of(preprocessing)))
            for path in paths:
                entry, signal = _preprocess(path, (known, rows), preprocessing)
                if signal is not None:
                    entry = entry._replace(row=len(rows))
                    rows.add(entry.content)
                    stream.write(np.ascontiguousarray(signal, dtype="<f4").data)
                entries.append(entry)
            if not rows:
                return entries
            stream.seek(0)
            write_shard_header(stream, (len(rows), *shape_of(preprocessing)))
            flush(stream)
            shard = f"shard-{hash_of(*(entry.content.encode() for entry in entries if entry.row >= 0))}.npy"
            temporary.replace(store / shard)
    except OSError as error:
        raise _disk_error(error, store, len(paths), preprocessing) from error
    return [entry._replace(shard=shard) if entry.row >= 0 else entry for entry in entries]


def _preprocess(
    path: str, known: Iterable[Container[str]], preprocessing: Preprocessing
) -> tuple[Entry, NDArray[np.float32] | None]:
    """Read and preprocess one recording, unless its content is known."""
    entry = Entry(path)
    try:
        entry = _identify(path)
        if any(entry.content in contents for contents in known):
            return entry, None
        recording = read_recording(Path(path), leads=preprocessing.leads)
        prepared = preprocessing(recording)
    except UnreadableRecordingError as error:
        return entry._replace(reason=error.reason, detail=error.detail), None
    except OSError as error:  # a disk or network that fails: not remembered, so that the next build tries again
        return Entry(path, reason="file cannot be read", detail=str(error)), None
    except Exception as error:
        error.add_note(f"while preprocessing {path}")
        raise
    if prepared.signal.shape != shape_of(preprocessing):
        raise ValueError(
            f"{path}: preprocessing gave {prepared.signal.shape}, expected (leads, samples) {shape_of(preprocessing)}"
        )
    entry = entry._replace(
        signal_hash=signal_hash(recording),
        repairs="; ".join(prepared.repairs),
        fingerprint=fingerprint(recording.signal, recording.sampling_rate).astype("<f2").tobytes(),
    )
    return entry, prepared.signal


def _identify(path: str) -> Entry:
    """An entry with the state and the content of a recording's files.

    Raises:
        UnreadableRecordingError: if the file by which it is known cannot be read.
        OSError: if a file is there but cannot be read.
    """
    main = Path(path)
    files = other_files(main)  # absent ones too: when such a file comes, the signature changes
    joined = "/".join(files)
    state = signature(path, joined)  # before the content: a change in between is noticed by the next build
    digest = hashlib.blake2b(digest_size=16)
    for file in (main, *(main.parent / name for name in files)):
        content = file.read_bytes() if file.is_file() else b""
        digest.update(len(content).to_bytes(8, "little"))
        digest.update(content)
    return Entry(path, joined, state, digest.hexdigest())


# --- Several processes ----------------------------------------------------------------------------------------------


def _shards(
    store: Path, chunks: Sequence[list[str]], known: frozenset[str], preprocessing: Preprocessing, workers: int
) -> Iterator[list[Entry]]:
    """Build one shard per chunk, in this process or in several, and yield its entries as each is done."""
    workers = min(workers, len(chunks), sum(map(len, chunks)) // _FEWEST_ROWS_PER_PROCESS)
    if workers <= 1:
        keep_freed_memory()
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
        with children_left_alone():
            futures = [executor.submit(_build_shard_in_worker, chunk) for chunk in chunks]
        for future in as_completed(futures):
            yield future.result()
    except BrokenProcessPool as error:
        raise StoreBuildError(
            f"a process that was building {store} died, most likely for want of memory; "
            "start again with fewer processes: what was built is kept"
        ) from error
    except (Interrupted, KeyboardInterrupt):
        for process in multiprocessing.active_children():  # a shard can take a minute; what is whole stays
            process.kill()
        raise
    finally:
        executor.shutdown(wait=True, cancel_futures=True)


_worker: tuple[Path, frozenset[str], Preprocessing]


def _start_worker(store: Path, known: frozenset[str], preprocessing: Preprocessing) -> None:
    global _worker
    _worker = (store, known, preprocessing)
    heed_parent()
    keep_freed_memory()


def _build_shard_in_worker(paths: list[str]) -> list[Entry]:
    store, known, preprocessing = _worker
    return _build_shard(store, paths, known, preprocessing)


# --- Several machines -----------------------------------------------------------------------------------------------


def _build_by_jobs(
    store: Path, chunks: Sequence[list[str]], preprocessing: Preprocessing, workers: int, executor: Any, jobs: int
) -> Iterator[tuple[int, Unreadable]]:
    """Deal the chunks out to the jobs of a submitit executor and follow them by the index files that they write."""
    jobs = max(1, min(jobs, len(chunks)))
    followed = _index_rows(store)
    submitted = executor.map_array(
        _build_part,
        [store] * jobs,
        [chunks[number::jobs] for number in range(jobs)],
        [preprocessing] * jobs,
        [workers] * jobs,
    )
    log.info("%d jobs build %s: %s", jobs, store, ", ".join(job.job_id for job in submitted))
    try:
        while not all(job.done() for job in submitted):
            time.sleep(_POLL_SECONDS)
            rows = _index_rows(store)
            yield rows - followed, {}
            followed = rows
        for job in submitted:
            error = job.exception()
            if error is not None:
                raise StoreBuildError(
                    f"job {job.job_id}, which was building {store}, failed; what was built is kept. Its log is in "
                    f"{job.paths.folder}. {error}"
                ) from error
            yield 0, job.result()
    finally:
        for job in submitted:
            if not job.done():
                job.cancel()


def _build_part(store: Path, chunks: list[list[str]], preprocessing: Preprocessing, workers: int) -> Unreadable:
    """What one job does."""
    known = frozenset(located(read_index(store, row_bytes(preprocessing))).index)
    unreadable: Unreadable = {}
    for _, failed in _build_chunks(store, chunks, known, preprocessing, workers):
        unreadable |= failed
    return unreadable


def _index_rows(store: Path) -> int:
    from pyarrow import parquet

    return sum(parquet.read_metadata(file).num_rows for file in store.glob("index-*.parquet"))


# --- Disk space -----------------------------------------------------------------------------------------------------


def _require_room(store: Path, recordings: int, preprocessing: Preprocessing) -> None:
    needed = recordings * row_bytes(preprocessing)
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
        f"{_in_words(recordings * row_bytes(preprocessing))}, {_in_words(shutil.disk_usage(store).free)} are free in "
        f"{store}; {_ADVICE}. What was built is kept"
    )


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
