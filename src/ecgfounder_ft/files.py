"""Files that appear whole or not at all, and the formats that run folders and stores share."""

from __future__ import annotations

import errno
import hashlib
import json
import math
import os
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ecgfounder_ft.errors import OF_THE_PLACE, ExplainedError

if TYPE_CHECKING:
    import pandas as pd


class WriteError(ExplainedError, OSError):
    """A file that cannot be written: the disk is full, or the place is not there or not ours. What was there stays."""


UNFINISHED_SUFFIX = ".unfinished"
"""Of a file that is being written; what a killed process left of it can be deleted."""


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


def write_text(path: Path, text: str) -> None:
    """Write a text file, whole or not at all."""
    with whole_file(path) as unfinished:
        unfinished.write_text(text, encoding="utf-8")


def write_json(path: Path, content: Any) -> None:
    """Write JSON, whole or not at all, with null in place of NaN, which JSON does not have."""
    write_text(path, json.dumps(without_nan(content), indent=2, ensure_ascii=False) + "\n")


def write_csv(path: Path, table: pd.DataFrame, **options: Any) -> None:
    """Write a table as CSV, whole or not at all, without its index; ``options`` as for ``DataFrame.to_csv``."""
    with whole_file(path) as unfinished:
        table.to_csv(unfinished, **{"index": False, **options})


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
