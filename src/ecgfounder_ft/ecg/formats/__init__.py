"""Files that recordings are stored in, one reader per format.

Each module of this package is one format, and has what :class:`Format` names; a further format is one more module.
A recording is known by one of its files, whose suffix tells the format.
"""

import importlib
import pkgutil
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Protocol, cast

from ecgfounder_ft.ecg.recording import Recording, UnreadableRecordingError
from ecgfounder_ft.ecg.regular_file import require_utf8_name


class Format(Protocol):
    """What a module of this package offers."""

    SUFFIXES: tuple[str, ...]
    """Suffixes, in lower case, of the file by which a recording of this format is known."""

    def read_recording(self, path: Path, leads: Sequence[str] | None = None) -> Recording:
        """As :func:`ecgfounder_ft.ecg.formats.read_recording`."""

    def other_files(self, path: Path) -> tuple[str, ...]:
        """As :func:`ecgfounder_ft.ecg.formats.other_files`."""


@cache
def formats() -> dict[str, Format]:
    """Suffix in lower case to the format of files that end so.

    Raises:
        TypeError: if two formats claim a suffix.
    """
    found: dict[str, Format] = {}
    for module in pkgutil.iter_modules(__path__):
        entry = cast(Format, importlib.import_module(f"{__name__}.{module.name}"))
        for suffix in entry.SUFFIXES:
            if suffix in found:
                raise TypeError(f"two recording formats claim the suffix {suffix}, one of them {module.name}")
            found[suffix] = entry
    return found


def read_recording(path: Path, leads: Sequence[str] | None = None) -> Recording:
    """Read a recording of any format, in millivolts.

    Args:
        path: the file by which the recording is known, for WFDB the header (``.hea``).
        leads: the leads to read, by name; all of them where None.

    Raises:
        UnreadableRecordingError: with the reason, if the recording cannot be used or its format is not known.
    """
    return _format_of(path).read_recording(path, leads)


def other_files(path: Path) -> tuple[str, ...]:
    """Names of the files in the same folder that a recording consists of beside ``path`` itself, there or not.

    Raises:
        UnreadableRecordingError: if ``path`` cannot be read, or its format is not known.
    """
    return _format_of(path).other_files(path)


def recordings_in(folder: Path) -> list[Path]:
    """The recordings of every known format below a folder, by path; hidden files do not count."""
    known = formats()
    return sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.casefold() in known and not path.name.startswith(".") and path.is_file()
    )


def _format_of(path: Path) -> Format:
    known = formats()
    require_utf8_name(path)
    suffix = path.suffix.casefold()
    if suffix not in known:
        raise UnreadableRecordingError(
            "unknown recording format", f"the suffix is {path.suffix!r}, expected one of: {', '.join(known)}", path
        )
    return known[suffix]
