"""Building what a signal store lacks: by one process, by several, or by the jobs of a cluster."""

import logging
import multiprocessing
import shutil
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ecgfounder_ft.console import progress_bar
from ecgfounder_ft.data.store.index import Entry, located, read_index, remove_remains, write_index
from ecgfounder_ft.data.store.shard import ADVICE, StoreFullError, build_shard, disk_error, in_words, row_bytes
from ecgfounder_ft.ecg.preprocessing import Preprocessing
from ecgfounder_ft.errors import ExplainedError
from ecgfounder_ft.files import file_lock
from ecgfounder_ft.interruption import Interrupted, children_left_alone, heed_parent
from ecgfounder_ft.memory import keep_freed_memory

_SHARD_ROWS = (32, 1024)  # fewest and most recordings per shard
_SHARDS_PER_BUILD = 64  # aimed at between those: even work for the processes, and a progress bar that moves
_FEWEST_ROWS_PER_PROCESS = 256  # a process takes about a second to start, the time of some hundred recordings
_POLL_SECONDS = 0.5

log = logging.getLogger(__name__)

Unreadable = dict[str, tuple[str, str]]
"""Path to reason and detail, for files that cannot be read at all. The index does not remember them."""


class StoreBuildError(ExplainedError, RuntimeError):
    """A process or job of the build died; says what to do."""


@contextmanager
def only_build(store: Path) -> Iterator[None]:
    """Hold the store's lock. The system lets go of it when the process ends, however it ends."""
    with file_lock(store / "build.lock"):
        # Where there are no locks, two builds do the same work twice and put the same files in the same place: slower,
        # not wrong.
        yield


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
    title = f"Preprocessing {len(paths):,} recordings into {in_words(len(paths) * row_bytes(preprocessing))}"
    with progress_bar(progress) as bar:
        task = bar.add_task(title, total=len(paths))
        if executor is None:
            steps = _build_chunks(store, chunks, known, preprocessing, workers)
        else:
            steps = _build_by_jobs(store, chunks, preprocessing, workers, executor, jobs)
        for done, failed in steps:
            unreadable |= failed
            bar.advance(task, done)
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
            raise disk_error(error, store, len(lasting), preprocessing) from error
        yield len(entries), {entry.path: (entry.reason, entry.detail) for entry in entries if not entry.content}


# --- Several processes ----------------------------------------------------------------------------------------------


def _shards(
    store: Path, chunks: Sequence[list[str]], known: frozenset[str], preprocessing: Preprocessing, workers: int
) -> Iterator[list[Entry]]:
    """Build one shard per chunk, in this process or in several, and yield its entries as each is done."""
    workers = min(workers, len(chunks), sum(map(len, chunks)) // _FEWEST_ROWS_PER_PROCESS)
    if workers <= 1:
        keep_freed_memory()
        for chunk in chunks:
            yield build_shard(store, chunk, known, preprocessing)
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
    return build_shard(store, paths, known, preprocessing)


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
            f"no room for the signal store: {recordings:,} recordings take {in_words(needed)}, "
            f"{in_words(free)} are free in {store}; {ADVICE}"
        )
