"""Tables of numbers as text, ``.csv`` and ``.tsv``: one column per lead, one line per sample.

Columns are parted by commas, semicolons or tabs; beside semicolons and tabs a decimal comma is understood. A separator
at the end of every line, and a second line with the units of the columns, are understood too. Lines
before the table that begin with ``#`` may say ``# sampling_rate: 500`` and ``# unit: mV``. The first line of the table
may name the leads, with units in brackets: ``I (mV)``, ``V1 [uV]``. A column ``time (s)`` or ``time (ms)`` gives the
sampling rate where its steps are even; a column ``time`` without a unit is not used, since it may be either. An empty
field is a missing sample.
"""

import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ecgfounder_ft.ecg.description import StoredNumbers
from ecgfounder_ft.ecg.leads import STANDARD_LEADS, lead_of_label
from ecgfounder_ft.ecg.recording import UnreadableRecordingError
from ecgfounder_ft.ecg.units import millivolts_per

SUFFIXES = (".csv", ".tsv")

_BRACKETS = {")": "(", "]": "["}
_SECONDS = {"s": 1.0, "sec": 1.0, "seconds": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6}
_TIME_NAMES = ("time", "t", "timestamp", "elapsed time")
_MISSING = ("", "nan", "na", "n/a", "null")
"""Fields, in lower case, that stand for a missing sample."""
_FIRST_BYTES = 4096
_UNEVENNESS = 0.01
"""Share of the median step between two times by which another may differ: times are often written with few digits."""


def looks_like_recording(path: Path) -> bool:
    """Tell whether the first line of a table names leads or holds numbers alone, as tables of patients do not."""
    try:
        with path.open("rb") as stream:
            start = stream.read(_FIRST_BYTES).decode("utf-8-sig", errors="replace")
    except OSError:
        return False
    _, lines = _comments(start.splitlines())
    if not lines:
        return False
    fields = _fields(lines[0], max(";\t,", key=lines[0].count))
    named = [lead_of_label(_name_and_unit(field)[0]) in STANDARD_LEADS for field in fields]
    return any(named) or all(_is_number(field) for field in fields)


def read_numbers(path: Path) -> StoredNumbers:
    """Read a table; columns are leads."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise UnreadableRecordingError("not a table of numbers", f"no UTF-8 text: {error.reason}", path) from error
    said, lines = _comments(text.splitlines())
    if not lines:
        raise UnreadableRecordingError("not a table of numbers", "it has no lines", path)
    separator = max(";\t,", key=lines[0].count)
    if all(line.rstrip().endswith(separator) for line in lines):
        lines = [line.rstrip()[: -len(separator)] for line in lines]
    header = _fields(lines[0], separator)
    decimal = "," if separator in ";\t" and any("," in line for line in lines[1:]) else "."
    named = not all(_is_number(field.replace(decimal, ".")) for field in header)
    of_columns = _fields(lines[1], separator) if named and len(lines) > 1 else []
    has_units = len(of_columns) == len(header) and all(_is_unit(field) for field in of_columns)
    columns = _columns(lines[named + has_units :], separator, decimal, len(header), path)
    rate = _said_rate(said, path)
    unit = said.get("unit", said.get("units"))
    if not named:
        return StoredNumbers(columns, rate, None if unit is None else (unit,))
    names, units = zip(*map(_name_and_unit, header), strict=True)
    if has_units:
        units = tuple(of_columns)
    times = [place for place, name in enumerate(names) if name.casefold() in _TIME_NAMES]
    if times and rate is None and (scale := _SECONDS.get(units[times[0]].casefold())) is not None:
        rate = _rate_of(columns[times[0]] * scale, path)
    leads = [place for place in range(len(names)) if place not in times]
    stated = tuple(units[place] or unit or "" for place in leads)
    return StoredNumbers(columns[leads], rate, stated, tuple(names[place] for place in leads))


def _fields(line: str, separator: str) -> list[str]:
    return [field.strip().strip("\"'").strip() for field in line.split(separator)]


def _is_unit(field: str) -> bool:
    return field.casefold() in _SECONDS or millivolts_per(field) is not None


def _comments(lines: list[str]) -> tuple[dict[str, str], list[str]]:
    """What the lines before the table say, by lower-case name, and the lines of the table."""
    said: dict[str, str] = {}
    for number, line in enumerate(lines):
        if line.strip() and not line.startswith("#"):
            return said, [other for other in lines[number:] if other.strip()]
        name, colon, value = line.removeprefix("#").partition(":")
        if colon:
            said.setdefault(name.strip().casefold().replace(" ", "_"), value.strip())
    return said, []


def _is_number(field: str) -> bool:
    try:
        float(field)
    except ValueError:
        return False
    return True


def _columns(lines: list[str], separator: str, decimal: str, n_columns: int, path: Path) -> NDArray[np.float64]:
    """(columns, lines)."""
    rows = []
    for number, line in enumerate(lines, start=1):
        fields = line.split(separator)
        if len(fields) != n_columns:
            found = f"{len(fields)} fields in line {number} of the numbers, expected {n_columns}"
            raise UnreadableRecordingError("not a table of numbers", found, path)
        try:
            rows.append([_number(field, decimal) for field in fields])
        except ValueError as error:
            raise UnreadableRecordingError("not a table of numbers", f"line {number} of them: {error}", path) from error
    return np.array(rows, dtype=np.float64).reshape(len(rows), n_columns).T


def _number(field: str, decimal: str) -> float:
    text = field.strip().strip('"').strip()
    if text.casefold() in _MISSING:
        return np.nan
    if "_" in text:  # which Python takes in numbers
        raise ValueError(f"{text!r} is no number")
    return float(text if decimal == "." else text.replace(decimal, "."))


def _said_rate(said: dict[str, str], path: Path) -> float | None:
    text = said.get("sampling_rate", said.get("sampling_frequency"))
    if text is None:
        return None
    number = re.match(r"^([\d.eE+-]+)\s*(hz)?$", text, flags=re.IGNORECASE)
    if number is None or not _is_number(number[1]):
        raise UnreadableRecordingError("no sampling rate", f"found {text!r}, expected a number of Hz", path)
    return float(number[1])


def _name_and_unit(field: str) -> tuple[str, str]:
    """Part ``V1 [uV]`` into the name and the unit in brackets, which may be absent.

    >>> _name_and_unit("V1 [uV]"), _name_and_unit("I"), _name_and_unit("a)")
    (('V1', 'uV'), ('I', ''), ('a)', ''))
    """
    opening = _BRACKETS.get(field[-1:], "")
    name, bracket, unit = field[:-1].rpartition(opening) if opening else (field, "", "")
    if not bracket or any(other in unit for other in field[-1:] + opening):
        return field.strip(), ""
    return name.strip(), unit.strip()


def _rate_of(seconds: NDArray[np.float64], path: Path) -> float:
    steps = np.diff(seconds)
    if not len(steps) or not np.isfinite(steps).all() or not (step := float(np.median(steps))) > 0:
        raise UnreadableRecordingError("no sampling rate", "the times do not rise", path)
    if np.abs(steps - step).max() > max(_UNEVENNESS * step, _last_digit(seconds)):
        raise UnreadableRecordingError(
            "uneven sampling", f"steps of {steps.min():g} to {steps.max():g} s between samples", path
        )
    return round(len(steps) / float(seconds[-1] - seconds[0]), 6)


def _last_digit(seconds: NDArray[np.float64]) -> float:
    """The step of the last digit that the times are written with."""
    for digits in range(1, 10):
        if np.abs(seconds - seconds.round(digits)).max() < 1e-12:
            return 1.01 * 10.0**-digits
    return 0.0
