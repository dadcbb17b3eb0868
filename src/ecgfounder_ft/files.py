"""Files that appear whole or not at all, and the formats that run folders and stores share."""

from __future__ import annotations

import errno
import functools
import hashlib
import json
import logging
import math
import os
import re
import stat
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ecgfounder_ft.errors import OF_THE_PLACE, ExplainedError

try:
    import fcntl
except ImportError:  # a system without them
    fcntl = None  # type: ignore[assignment]

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger(__name__)


class WriteError(ExplainedError, OSError):
    """A file that cannot be written: the disk is full, or the place is not there or not ours. What was there stays."""


UNFINISHED_SUFFIX = ".unfinished"
"""Suffix of a file that is being written; what a killed process left of it can be deleted."""


@contextmanager
def whole_file(path: Path, *, durable: bool = False) -> Iterator[Path]:
    """A path beside ``path`` to write to; it takes the place of ``path`` in one step, or vanishes after an error.

    Args:
        path: the file that shall appear.
        durable: wait until the content is on the disk, for files that a power cut must not leave empty.

    Raises:
        WriteError: if the disk is full, or the place cannot be written to.
    """
    unfinished = path.with_name(f".{path.name}.{uuid.uuid4().hex[:12]}{UNFINISHED_SUFFIX}")
    try:
        yield unfinished
        if durable:
            with unfinished.open("rb") as stream:
                os.fsync(stream.fileno())
        unfinished.replace(path)
    except WriteError:
        raise
    except OSError as error:
        if error.filename is not None and Path(error.filename) not in (unfinished, path):
            raise  # of something else, which was read meanwhile
        raise _write_error(error, path) from error
    finally:
        with suppress(OSError):  # what cannot be removed must not hide why
            unfinished.unlink(missing_ok=True)


def require_place_for(path: Path) -> None:
    """Refuse a path that a file cannot be written to, before the work that the file is for.

    Raises:
        WriteError: that says what stands in the way.
    """
    if path.is_dir():
        raise WriteError(f"{path} is a folder: name a file in it")
    if not path.parent.is_dir():
        raise WriteError(f"{path}: there is no folder {path.parent}; make it, or name another place")
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise WriteError(f"{path}: {path.parent} cannot be written to; name another place")


def _write_error(error: OSError, path: Path) -> WriteError:
    missing = {errno.ENOENT: f"there is no folder {path.parent}"}
    advice = (OF_THE_PLACE | missing).get(error.errno or 0, "name another place, or make this one writable")
    explained = WriteError(f"{path} cannot be written ({error.strerror or error}): {advice}")
    explained.errno = error.errno
    return explained


def make_shared_folder(folder: Path) -> None:
    """Make a folder, and those above it, each with the group and mode of the one that it is in.

    Several people then share what lies in a folder that is theirs together (setgid, writable by the group). Nothing is
    taken over from a folder where everybody may write but not remove (``/tmp``).
    """
    if folder.is_dir():
        return
    make_shared_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    above = folder.parent.stat()
    if not above.st_mode & stat.S_ISVTX:
        with suppress(OSError):  # a group that is not ours, or a file system without them
            if folder.stat().st_gid != above.st_gid:
                os.chown(folder, -1, above.st_gid)
            folder.chmod(0o700 | above.st_mode & 0o2077)


def write_text(path: Path, text: str) -> None:
    """Write a text file, whole or not at all."""
    with whole_file(path) as unfinished:
        unfinished.write_text(text, encoding="utf-8")


def write_json(path: Path, content: Any) -> None:
    """Write JSON, whole or not at all, with null in place of NaN, which JSON does not have."""
    write_text(path, json.dumps(without_nan(content), indent=2, ensure_ascii=False) + "\n")


def write_csv(path: Path, table: pd.DataFrame, **options: Any) -> None:
    """Write a table as CSV, whole or not at all, without its index; ``options`` as for ``DataFrame.to_csv``."""
    texts = table.select_dtypes(exclude=["number", "bool", "datetime"])
    table = table.assign(**{str(name): column.map(cell_of) for name, column in texts.items()})
    with whole_file(path) as unfinished:
        table.rename(columns=cell_of).to_csv(unfinished, **{"index": False, **options})


def cell_of(value: Any) -> Any:
    """A value as a CSV file holds it: a text that a spreadsheet would take for a formula begins with an apostrophe.

    >>> cell_of("=1+1"), cell_of("-5"), cell_of("@a"), text_of(cell_of("@a"))
    ("'=1+1", '-5', "'@a", '@a')
    """
    if isinstance(value, str) and _FORMULA.match(value) and not _NUMBER.fullmatch(value):
        return f"'{value}"
    return value


def text_of(value: Any) -> Any:
    """The value that :func:`cell_of` was given."""
    return value[1:] if isinstance(value, str) and value.startswith("'") and _FORMULA.match(value) else value


_FORMULA = re.compile(r"'*[=+\-@\t\r]")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?|[+-]?(inf|nan)", re.IGNORECASE)


_POLL_SECONDS = 0.05
"""Between two looks at a lock that another process holds."""


class HeldError(ExplainedError):
    """A lock that another process holds."""


_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL}
"""Errors of a file system without locks."""


@contextmanager
def file_lock(path: Path, *, wait: float = math.inf, remove: bool = False) -> Iterator[bool]:
    """Hold a lock, which the system lets go of when the process ends, however it ends.

    Args:
        path: of the lock's own file, outside of any folder that is removed while it is held.
        wait: seconds, for another process that holds it.
        remove: the file at the end.

    Yields:
        Whether it is held: a file system without locks is told in the log, and the caller goes on without.

    Raises:
        HeldError: if another process holds it for as long.
        WriteError: if the file cannot be opened.
    """
    try:
        descriptor = _lock(path, wait)
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise _write_error(error, path) from error
        _tell_without_locks(path.parent, str(error.strerror))
        yield False
        return
    try:
        yield True
    finally:
        if remove:
            with suppress(OSError):
                path.unlink()
        os.close(descriptor)


@functools.cache
def _tell_without_locks(folder: Path, why: str) -> None:
    log.warning("%s: the file system has no locks (%s); going on without", folder, why)


def _lock(path: Path, wait: float) -> int:
    if fcntl is None:
        raise OSError(errno.ENOSYS, "no locks on this system")
    while True:
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        except PermissionError:
            descriptor = os.open(path, os.O_RDONLY)  # of another user, and readable: enough to hold it
        try:
            _take(descriptor, path, wait)
            if _stands_at(descriptor, path):
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)  # its holder removed the file meanwhile


def _take(descriptor: int, path: Path, wait: float) -> None:
    end, told = time.monotonic() + wait, False
    while True:
        try:
            return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.EACCES):
                raise
            if time.monotonic() >= end:
                raise HeldError(f"{path}: another process holds it") from error
        if wait == math.inf and not told:
            log.warning("%s is held by another process: waiting for it", path)
            told = True
        time.sleep(_POLL_SECONDS)


def _stands_at(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def sha256_of(path: Path) -> str:
    """Hex digest of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def without_nan(content: Any) -> Any:
    """Nested containers with None in place of NaN and infinity, and text for keys: what JSON can hold."""
    if isinstance(content, Mapping):
        return {str(key): without_nan(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [without_nan(value) for value in content]
    if isinstance(content, float) and not math.isfinite(content):
        return None
    return content
