"""Files of strangers, opened so that nothing about them can hold a program up or fill its memory."""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from ecgfounder_ft.ecg.recording import UnreadableRecordingError

_GIT_LFS = b"version https://git-lfs"


@contextmanager
def open_regular(path: Path, what: str, most_bytes: int) -> Iterator[tuple[BinaryIO, int]]:
    """A file to read, and its size in bytes.

    A pipe, which would wait for a writer for ever, and a device are not opened for reading at all; a sparse file counts
    with its full size.

    Args:
        path: of the file.
        what: the file in words, for reasons ("header").
        most_bytes: a larger file is refused.

    Raises:
        UnreadableRecordingError: if the file is absent, not regular, too large, a git-lfs pointer, or cannot be read.
    """
    require_utf8_name(path)
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError) as error:  # a ValueError for a null byte in the name
        raise UnreadableRecordingError(f"{what} cannot be read", _cause(error), path) from error
    with os.fdopen(descriptor, "rb") as stream:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise UnreadableRecordingError(f"{what} cannot be read", "not a regular file", path)
        if status.st_size > most_bytes:
            raise UnreadableRecordingError(
                f"{what} is too large", f"{status.st_size:,} bytes, expected {most_bytes:,} at most", path
            )
        try:
            start = stream.read(len(_GIT_LFS))
            stream.seek(0)
        except OSError as error:
            raise UnreadableRecordingError(f"{what} cannot be read", _cause(error), path) from error
        if start == _GIT_LFS:
            raise UnreadableRecordingError(
                "git-lfs pointer instead of a file", "fetch the contents with 'git lfs pull'", path
            )
        yield stream, status.st_size


def require_utf8_name(path: Path) -> None:
    """Tables, logs and reports are UTF-8 and could not name a file whose name is not.

    Raises:
        UnreadableRecordingError: if the name of the file, or of a folder that it lies in, is not UTF-8.
    """
    try:
        str(path).encode("utf-8")
    except UnicodeEncodeError as error:
        raise UnreadableRecordingError(
            "name is not UTF-8", "rename the file, or the folder that it lies in", path
        ) from error


def is_regular(path: Path) -> bool:
    """Whether there is a file of that name that can be read as one; False for a name that no file can have."""
    try:
        return path.is_file()
    except (OSError, ValueError):  # longer than the file system allows
        return False


def _cause(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
