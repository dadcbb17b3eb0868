"""Files that appear whole or not at all, and the formats that run folders and stores share."""

from __future__ import annotations

import hashlib
import json
import math
import os
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd


UNFINISHED_SUFFIX = ".unfinished"
"""Of a file that is being written; what a killed process left of it can be deleted."""


@contextmanager
def whole_file(path: Path, *, durable: bool = False) -> Iterator[Path]:
    """A path beside ``path`` to write to; it takes the place of ``path`` in one step, or vanishes after an error.

    Args:
        path: the file that shall appear.
        durable: wait until the content is on the disk, for files that a power cut must not leave empty.
    """
    unfinished = path.with_name(f".{path.name}.{uuid.uuid4().hex[:12]}{UNFINISHED_SUFFIX}")
    try:
        yield unfinished
        if durable:
            with unfinished.open("rb") as stream:
                os.fsync(stream.fileno())
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


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
