"""The files of a signal store: shards of signals, the index that says what lies where, and how both are written.

Every file is written under a temporary name, flushed to the disk and renamed, a shard before the index that speaks of
it: at whatever moment a build is killed, what stands under its final name is whole.
"""

import hashlib
import logging
import os
import time
import uuid
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

import numpy as np

from ecgfounder_ft.errors import ExplainedError
from ecgfounder_ft.files import UNFINISHED_SUFFIX, HeldError, file_lock, whole_file

if TYPE_CHECKING:
    import pandas as pd  # a process takes longer to import it than a hundred recordings take

SETTINGS_FILE = "settings.json"
"""The preprocessing of a store, to read."""

_ABANDONED_SECONDS = 3600

log = logging.getLogger(__name__)


class Entry(NamedTuple):
    """One source recording in an index; its fields are the columns of the index files."""

    path: str
    """The header, absolute."""
    files: str = ""
    """Names of the signal files beside it, '/' between them."""
    signature: str = ""
    """Size and modification time of the header and of each signal file."""
    content: str = ""
    """Hash of the contents of all of them."""
    shard: str = ""
    """Name of the shard that holds it, empty where it was skipped or the same content lies elsewhere."""
    row: int = -1
    """Row in the shard."""
    checksum: int = -1
    """Checksum of the row's bytes, see :func:`checksum_of`."""
    signal_hash: str = ""
    repairs: str = ""
    """Repairs and quality flags: phrases with '; ' between them."""
    reason: str = ""
    """Why it was skipped."""
    detail: str = ""
    fingerprint: bytes = b""
    """float16 numbers that find near copies, see :mod:`ecgfounder_ft.data.near_copies`."""


def hash_of(*parts: Any) -> str:
    """A hash of bytes, 32 hexadecimal digits."""
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        digest.update(part)
    return digest.hexdigest()


def checksum_of(block: Any) -> int:
    """CRC-32 of a block of bytes, here one recording: at 4 GB/s, without the lock that keeps Python's threads apart.

    It finds every error of up to 32 bits in a row, and of four thousand million others all but one.
    """
    return zlib.crc32(block)


class DamagedStoreError(ExplainedError, OSError):
    """Stored numbers that are not those which were stored."""


# --- Index ----------------------------------------------------------------------------------------------------------


def write_index(store: Path, entries: Sequence[Entry]) -> None:
    """Add an index file."""
    import pandas as pd

    content = pd.DataFrame(entries, columns=list(Entry._fields)).to_parquet(index=False)
    with whole_file(store / f"index-{hash_of(content)}.parquet", durable=True) as unfinished:
        unfinished.write_bytes(content)


def read_index(store: Path, row_bytes: int) -> "pd.DataFrame":
    """All entries of a store, one per row; those of shards that are absent or cut off do not count.

    Args:
        store: the folder.
        row_bytes: of a recording in a shard.
    """
    import pandas as pd

    # pyarrow's own reader, since pandas' spends several milliseconds on each file
    from pyarrow import concat_tables, parquet

    tables = []
    for file in sorted(store.glob("index-*.parquet")):
        try:
            tables.append(parquet.read_table(file, columns=list(Entry._fields), partitioning=None))
        except (OSError, ValueError) as error:  # pyarrow's errors are both
            log.warning("%s is damaged (%s): its recordings are built again", file, error)
    if not tables:
        return pd.DataFrame([], columns=list(Entry._fields))
    entries = concat_tables(tables).to_pandas()
    whole = {shard: not shard or is_whole(store / shard, row_bytes) for shard in entries["shard"].unique()}
    return entries[entries["shard"].map(whole).astype(bool)]


def located(index: "pd.DataFrame") -> "pd.DataFrame":
    """The entries that say where a content lies, or why it was skipped, by content."""
    telling = index[(index["shard"] != "") | (index["reason"] != "")]
    return telling.drop_duplicates("content").set_index("content")


def unchanged(paths: Iterable[str], index: "pd.DataFrame") -> dict[str, str]:
    """Content by path, for those whose files are as they were when the content was built or skipped."""
    # Plain sets and lists: several times faster here than pandas' isin and merge
    wanted, known = set(paths), set(located(index).index)
    found: dict[str, str] = {}
    states: dict[tuple[str, str], str] = {}
    columns = (index[column].tolist() for column in ("path", "files", "signature", "content"))
    for path, files, then, content in zip(*columns, strict=True):
        if path in wanted and content in known:
            now = states.get((path, files)) or states.setdefault((path, files), signature(path, files))
            if now == then:
                found[path] = content
    return found


def signature(path: str, files: str) -> str:
    """Size and modification time of a header and of the files beside it; '-' for an absent one."""
    folder = os.path.dirname(path)  # noqa: PTH120 - called a million times
    states = []
    for file in (path, *(f"{folder}/{name}" for name in files.split("/") if name)):
        try:
            state = os.stat(file)  # noqa: PTH116
            states.append(f"{state.st_size}:{state.st_mtime_ns}")
        except OSError:
            states.append("-")
    return " ".join(states)


# --- Shards ---------------------------------------------------------------------------------------------------------


def write_shard_header(stream: BinaryIO, shape: tuple[int, int, int]) -> None:
    """The header of a float32 ``.npy``. Its length does not depend on the rows: numpy leaves room for their number."""
    np.lib.format.write_array_header_1_0(stream, {"descr": "<f4", "fortran_order": False, "shape": shape})


def read_shard_header(stream: BinaryIO) -> tuple[int, ...]:
    """The shape; the stream then stands at the first recording.

    Raises:
        ValueError: if the file is no shard.
    """
    if np.lib.format.read_magic(stream) != (1, 0):
        raise ValueError("not a shard")
    return np.lib.format.read_array_header_1_0(stream)[0]


def is_whole(shard: Path, row_bytes: int) -> bool:
    """Whether a shard is there in its full length."""
    try:
        with shard.open("rb") as stream:
            rows = read_shard_header(stream)[0]
            whole = shard.stat().st_size == stream.tell() + rows * row_bytes
    except (OSError, ValueError):
        whole = False
    if not whole:
        log.warning("%s is absent or damaged: its recordings are built again", shard)
    return whole


# --- Safe writing ---------------------------------------------------------------------------------------------------


@contextmanager
def temporary_file(folder: Path) -> Iterator[tuple[BinaryIO, Path]]:
    """A file to write to and then to rename, for a shard, whose name follows from what was written.

    It is locked as long as it is written, so that :func:`remove_remains` knows it from those of killed processes, and
    removed at the end where it was not renamed.
    """
    temporary = folder / f".{uuid.uuid4().hex}.temporary"
    try:
        with file_lock(temporary, wait=0), temporary.open("wb") as stream:
            yield stream, temporary
    finally:
        temporary.unlink(missing_ok=True)


def flush(stream: BinaryIO) -> None:
    """Have everything written so far on the disk."""
    stream.flush()
    os.fsync(stream.fileno())


def remove_remains(folder: Path) -> None:
    """Remove what writers that were killed left behind.

    Of temporary shards those that nobody holds a lock on; of other unfinished files, which take moments to write and
    are not locked, those that nobody has written to for :data:`_ABANDONED_SECONDS`.
    """
    for temporary in folder.glob(".*.temporary"):
        with suppress(OSError, HeldError), file_lock(temporary, wait=0) as alone:
            if alone:  # without locks on this file system nobody can tell, and they stay
                temporary.unlink()
    for pattern in ("index-*.parquet", SETTINGS_FILE):
        for unfinished in folder.glob(f".{pattern}.*{UNFINISHED_SUFFIX}"):
            with suppress(OSError):
                if time.time() - unfinished.stat().st_mtime > _ABANDONED_SECONDS:
                    unfinished.unlink()
