"""Files that recordings are stored in, one reader per format.

Each module of this package is one format, and has what :class:`Format` or :class:`NumbersFormat` names; a further
format is one more module. A recording is known by one of its files, whose suffix tells the format.
"""

import importlib
import os
import pkgutil
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Protocol, cast

from ecgfounder_ft.ecg.description import (
    NOTHING_STATED,
    SignalDescription,
    StoredNumbers,
    completed,
    sidecar_of,
)
from ecgfounder_ft.ecg.formats_apart import read_apart
from ecgfounder_ft.ecg.leads import canonical_lead, lead_indices
from ecgfounder_ft.ecg.limb_leads import LIMB_LEADS_COMPUTED, with_limb_leads
from ecgfounder_ft.ecg.recording import Recording, UnreadableRecordingError
from ecgfounder_ft.ecg.recording_size import MOST_BYTES
from ecgfounder_ft.ecg.regular_file import open_regular, require_utf8_name

_LEADS_ARE_MISSING = "leads are missing"


class Format(Protocol):
    """What a module of this package offers whose files say themselves what they hold."""

    SUFFIXES: tuple[str, ...]
    """Suffixes, in lower case, of the file by which a recording of this format is known."""

    def read_recording(
        self, path: Path, leads: Sequence[str] | None = None, stated: SignalDescription = NOTHING_STATED
    ) -> Recording:
        """Read a recording; see :func:`ecgfounder_ft.ecg.formats.read_recording`."""

    def other_files(self, path: Path) -> tuple[str, ...]:
        """Name the other files; see :func:`ecgfounder_ft.ecg.formats.other_files`."""


class NumbersFormat(Protocol):
    """What a module of this package offers whose files may leave out a rate, a unit or lead names.

    Such a file may have a sidecar, which needs no word of the module.
    """

    SUFFIXES: tuple[str, ...]
    """Suffixes, as :class:`Format` has them."""

    def read_numbers(self, path: Path) -> StoredNumbers:
        """The numbers and what the file says of them.

        Raises:
            UnreadableRecordingError: with the reason, if the file cannot be used.
            OSError: if it cannot be opened.
        """

    # A module with ``APART = True`` is read in a process apart, see :mod:`ecgfounder_ft.ecg.formats_apart`.
    # A format whose suffix other files bear too may have ``may_be_recording(path) -> bool``, by which the files of a
    # folder are told apart. A file that is named itself is always tried.


@cache
def formats() -> dict[str, Format | NumbersFormat]:
    """Suffix in lower case to the format of files that end so.

    Raises:
        TypeError: if two formats claim a suffix.
    """
    found: dict[str, Format | NumbersFormat] = {}
    for module in pkgutil.iter_modules(__path__):
        entry = cast("Format | NumbersFormat", importlib.import_module(f"{__name__}.{module.name}"))
        for suffix in entry.SUFFIXES:
            if suffix in found:
                raise TypeError(f"two recording formats claim the suffix {suffix}, one of them {module.name}")
            found[suffix] = entry
    return found


def read_recording(
    path: Path, leads: Sequence[str] | None = None, stated: SignalDescription = NOTHING_STATED
) -> Recording:
    """Read a recording of any format, in millivolts.

    A limb lead that is asked for and not stored is computed from I and II, by which it is defined.

    Args:
        path: the file by which the recording is known, for WFDB the header (``.hea``).
        leads: the leads to read, by name; all of them where None.
        stated: rate, unit and leads for files that do not say them. What a file says itself counts first.

    Raises:
        MissingReaderError: if the format needs a package that is not installed.
        UnreadableRecordingError: with the reason, if the recording cannot be used or its format is not known.
    """
    reader = _format_of(path)
    name = reader.__name__.rpartition(".")[2]  # type: ignore[union-attr]  # a module
    if not hasattr(reader, "read_numbers"):
        recording = _with_limb_leads(reader, path, leads, stated)
        return recording if recording.format else replace(recording, format=name)
    numbers = _numbers(cast(NumbersFormat, reader), path)
    recording = completed(numbers if numbers.format else replace(numbers, format=name), path, stated)
    return recording if leads is None else with_leads(recording, leads)


def other_files(path: Path) -> tuple[str, ...]:
    """Names of the files in the same folder that a recording consists of beside ``path`` itself, there or not.

    Raises:
        UnreadableRecordingError: if ``path`` cannot be read, or its format is not known.
    """
    reader = _format_of(path)
    if hasattr(reader, "read_numbers"):
        sidecar = sidecar_of(path).name
        return () if sidecar == path.name else (sidecar,)
    return reader.other_files(path)


def find_recordings(folder: Path) -> Iterator[Path]:
    """The recordings of every known format below a folder, as :func:`walk_files` lists them.

    Files of which a format says that they are something else (:class:`NumbersFormat`) do not count.

    Raises:
        UnreadableRecordingError: if a folder cannot be listed.
    """
    yield from filter(may_be_recording, walk_files(folder))


def may_be_recording(path: Path) -> bool:
    """Tell whether a file of a folder has the suffix of a format, and is not known to be something else."""
    reader = formats().get(path.suffix.casefold())
    if reader is None or not path.is_file():
        return False
    judge = getattr(reader, "may_be_recording", None)
    return judge is None or bool(judge(path))


def walk_files(folder: Path) -> Iterator[Path]:
    """Every file below a folder that is not hidden, by path; pipes and broken links too, for the caller to refuse.

    Links to folders are followed, unless in a circle. One folder's names at a time are in memory.

    Raises:
        UnreadableRecordingError: if a folder cannot be listed.
    """
    yield from _walk_files(folder, (os.path.realpath(folder),))


def _walk_files(folder: Path, above: tuple[str, ...]) -> Iterator[Path]:
    try:
        with os.scandir(folder) as listing:
            entries = sorted((entry.name, entry.is_dir(), entry.is_symlink()) for entry in listing)
    except OSError as error:
        raise UnreadableRecordingError("folder cannot be listed", str(error.strerror or error), folder) from error
    for name, is_folder, is_link in entries:
        path = folder / name
        if is_folder:
            real = os.path.realpath(path) if is_link else os.path.join(above[-1], name)  # noqa: PTH118
            if real not in above:
                yield from _walk_files(path, (*above, real))
        elif not name.startswith("."):
            yield path


def _format_of(path: Path) -> Format | NumbersFormat:
    known = formats()
    require_utf8_name(path)
    suffix = path.suffix.casefold()
    if suffix not in known:
        raise UnreadableRecordingError(
            "unknown recording format", f"the suffix is {path.suffix!r}, expected one of: {', '.join(known)}", path
        )
    return known[suffix]


def _numbers(reader: NumbersFormat, path: Path) -> StoredNumbers:
    with open_regular(path, "file", MOST_BYTES) as (_, size):
        if not size:
            raise UnreadableRecordingError("file is empty", "it has 0 bytes", path)
    try:
        if getattr(reader, "APART", False):
            return read_apart(reader.__name__, path)  # type: ignore[attr-defined]  # a module
        return reader.read_numbers(path)
    except OSError as error:
        raise UnreadableRecordingError("file cannot be read", str(error.strerror or error), path) from error


def _with_limb_leads(reader: Format, path: Path, leads: Sequence[str] | None, stated: SignalDescription) -> Recording:
    try:
        return reader.read_recording(path, leads, stated)
    except UnreadableRecordingError as missing:
        if leads is None or missing.reason != _LEADS_ARE_MISSING:
            raise
        try:
            whole = reader.read_recording(path, None, stated)
        except UnreadableRecordingError:
            raise missing from None  # a lead that was not asked for is at fault
        return with_leads(whole, leads)


def with_leads(recording: Recording, leads: Sequence[str]) -> Recording:
    """The leads that were asked for, in that order, limb leads computed where they are absent."""
    names, signal = with_limb_leads(recording.leads, recording.signal, leads)
    try:
        rows = lead_indices(names, leads)
    except KeyError as error:
        missing = error.args[0].partition(" among ")[0]
        detail = f"{missing} among {', '.join(recording.leads)}"  # as stored
        raise UnreadableRecordingError(_LEADS_ARE_MISSING, detail, recording.path) from error
    return replace(
        recording,
        leads=tuple(canonical_lead(names[row]) for row in rows),
        signal=signal if rows == list(range(len(signal))) else signal[rows],
        repairs=(*recording.repairs, *([LIMB_LEADS_COMPUTED] if max(rows, default=0) >= len(recording.leads) else [])),
    )
