"""Files of bounded size that are files: no pipe that never ends, no device, nothing larger than it may be."""

import json
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from ecgfounder_ft.errors import ExplainedError
from ecgfounder_ft.records import require_bounded

MOST_VALUES = 1_000_000
"""Values of a JSON or YAML file, containers included."""


@contextmanager
def open_bounded(path: Path, most: int, refused: type[ExplainedError]) -> Iterator[BinaryIO]:
    """Open a regular file for reading.

    Args:
        path: of the file.
        most: bytes that it may have.
        refused: the error that is raised.

    Raises:
        ExplainedError: ``refused``, if it is absent, no regular file, too large, or cannot be read.
    """
    try:
        stream = os.fdopen(os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)), "rb")
    except OSError as error:
        raise refused(f"{path}: cannot be read ({error.strerror or error}); restore it or copy it again") from error
    with stream:
        found = os.fstat(stream.fileno())
        if not stat.S_ISREG(found.st_mode):
            raise refused(f"{path}: is no regular file; restore it or copy it again")
        if found.st_size > most:
            raise refused(f"{path}: has {found.st_size:,} bytes, expected {most:,} at most; restore it")
        yield stream


def read_bounded(path: Path, most: int, refused: type[ExplainedError]) -> bytes:
    """The content of a file, as :func:`open_bounded` opens it; a file that grows meanwhile is refused."""
    with open_bounded(path, most, refused) as stream:
        content = stream.read(most + 1)
    if len(content) > most:
        raise refused(f"{path}: has more than {most:,} bytes; restore it")
    return content


def parse_json(content: bytes) -> Any:
    """JSON whose numbers are finite and whose containers are as small as they look.

    Raises:
        ValueError: if it is malformed, or holds more than :data:`MOST_VALUES`.
    """

    def number(text: str) -> float:
        value = float(text)
        if value in (float("inf"), float("-inf")) or value != value:
            raise ValueError(f"it holds the number {text[:40]}, expected finite ones")
        return value

    try:
        found = json.loads(content.decode("utf-8"), parse_float=number, parse_constant=number)
    except RecursionError as error:
        raise ValueError("it holds too many containers in each other") from error
    require_bounded(found, values=MOST_VALUES, characters=max(len(content), 1))
    json.dumps(found, ensure_ascii=False).encode("utf-8")  # half a character, which no text may hold, is a ValueError
    return found
