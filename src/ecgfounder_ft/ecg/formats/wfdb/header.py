"""The text of a ``.hea`` file: one line for the record, one for each signal, and comments.

Format: https://wfdb.io/spec/header-files.html
"""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from ecgfounder_ft.ecg.leads import lead_of_label
from ecgfounder_ft.ecg.recording import UnreadableRecordingError
from ecgfounder_ft.ecg.regular_file import open_regular

DEFAULT_RATE = 250.0
"""Sampling rate in Hz of a header without one, by the format."""
DEFAULT_GAIN = 200.0
"""Digital units per physical unit, of a signal whose gain is absent or zero, as the format says."""

_MOST_BYTES = 1 << 20
_MOST_LETTERS = 4000
"""Letters of a line: ten names as long as a file may have. Some expressions of the wfdb package take quadratic time."""
_MOST_SIGNALS = 1000
"""Electrodes of a body-surface map, four times over."""

_COUNT = re.compile(r"[0-9]{1,15}")
_WHOLE = re.compile(r"-?[0-9]{1,15}")
_DECIMAL = r"[0-9.eE+-]{1,50}"
_RATE = re.compile(rf"({_DECIMAL})(?:/{_DECIMAL}(?:\({_DECIMAL}\))?)?")
_STORAGE_FIELDS = (
    r"(?P<format>[0-9]{1,4})(?:x(?P<per_frame>[0-9]{1,6}))?(?::(?P<skew>[0-9]{1,15}))?(?:\+(?P<offset>[0-9]{1,15}))?"
)
_GAIN_FIELDS = rf"(?P<gain>-?{_DECIMAL})(?:\((?P<baseline>-?[0-9]{{1,15}})\))?(?:/(?P<units>\S+))?"
_STORAGE = re.compile(_STORAGE_FIELDS)
_GAIN = re.compile(_GAIN_FIELDS)
_USUAL_LINE = re.compile(
    rf"(?P<file>\S+)\s+{_STORAGE_FIELDS}\s+{_GAIN_FIELDS}\s+([0-9]{{1,15}})\s+(-?[0-9]{{1,15}})\s+(-?[0-9]{{1,15}})\s+"
    r"(-?[0-9]{1,15})\s+([0-9]{1,15})\s+(?P<lead>\S.*)"
)
"""A signal line with all fields and a file name without blanks. No word can be part of two fields, so that it takes
time in proportion to the line."""


@dataclass(frozen=True)
class SignalSpec:
    """One signal line of a header."""

    file: str
    format: str
    samples_per_frame: int
    skew: int
    byte_offset: int
    gain: float
    """Digital units per physical unit."""
    baseline: float
    """Digital value of zero physical units."""
    units: str
    initial: int | None
    """Digital value of the first sample, None where the header does not say."""
    checksum: int | None
    """Sum of all digital values, of which the lowest 16 bits count; None where the header does not say."""
    lead: str


@dataclass(frozen=True)
class Header:
    """A parsed ``.hea`` file."""

    path: Path
    name: str
    sampling_rate: float | None
    """Hz; None where the header does not say."""
    samples: int | None
    """Samples per lead, None where the header does not say."""
    signals: tuple[SignalSpec, ...]
    comments: tuple[str, ...]
    repairs: tuple[str, ...]

    @property
    def leads(self) -> tuple[str, ...]:
        """Lead names as stored, standard leads in their standard spelling."""
        return tuple(signal.lead for signal in self.signals)

    @property
    def metadata(self) -> dict[str, str]:
        """Comment fields (``#Age: 74`` or ``# Age: 74``) by lower-case name; the first of a name counts."""
        fields: dict[str, str] = {}
        for comment in self.comments:
            name, colon, value = comment.partition(":")
            if colon:
                fields.setdefault(name.strip().casefold(), value.strip())
        return fields


def read_header(path: Path) -> Header:
    """Parse a WFDB header, mending what users meet in circulation.

    Mended, and named in ``repairs``: a record line that names the record with its extension (``X.mat``).

    Raises:
        UnreadableRecordingError: if the file is absent, a git-lfs pointer, or no WFDB header of a recording.
    """
    with open_regular(path, "header", _MOST_BYTES) as (stream, _):
        text = _decoded(stream.read(_MOST_BYTES))
    lines = [line.strip() for line in text.splitlines()]
    comments = tuple(line[1:].replace("\0", "").strip() for line in lines if line.startswith("#"))
    content = [line for line in lines if line and not line.startswith("#")]
    if not content:
        raise _no_header("found an empty file", path)
    if any("\0" in line for line in content):
        raise _no_header("found null bytes", path)
    longest = max(map(len, content))
    if longest > _MOST_LETTERS:
        raise _no_header(f"found a line of {longest:,} letters, expected {_MOST_LETTERS:,} at most", path)
    name, n_leads, rate, samples = _record_line(content[0], path)
    if n_leads == 0:
        raise UnreadableRecordingError("no signals", "the header describes 0 leads", path)
    if n_leads > _MOST_SIGNALS:
        raise _no_header(f"found {n_leads} signals, expected {_MOST_SIGNALS} at most", path)
    if len(content) - 1 < n_leads:
        raise _no_header(f"found {len(content) - 1} signal lines, expected {n_leads}", path)
    if rate is not None and not (rate > 0 and math.isfinite(rate)):
        raise UnreadableRecordingError("no sampling rate", f"found {rate} Hz", path)
    extension = name.casefold().endswith((".mat", ".dat", ".hea"))
    return Header(
        path=path,
        name=path.stem,
        sampling_rate=rate,
        samples=samples,
        signals=tuple(_signal_line(line, path) for line in content[1 : n_leads + 1]),
        comments=comments,
        repairs=("record line names the file extension",) if extension else (),
    )


def _decoded(raw: bytes) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def _no_header(detail: str, path: Path) -> UnreadableRecordingError:
    return UnreadableRecordingError("not a WFDB header", detail, path)


# File and record names may hold spaces, so the fields are looked for after each word in turn, and the first place where
# all that follows reads as fields ends the name. The words of a name are bounded, so that no line takes long.


def _record_line(line: str, path: Path) -> tuple[str, int, float | None, int | None]:
    """Name, number of signals, rate in Hz and samples per signal."""
    first = 0
    if line.startswith(f"{path.stem} "):  # a name that holds spaces and numbers
        first = len(path.stem)
    for name, fields, _ in _ends_of_name(line, first):
        rate = _RATE.fullmatch(fields[1]) if len(fields) > 1 else None
        if not _COUNT.fullmatch(fields[0]) or (len(fields) > 1 and rate is None):
            continue
        if len(fields) > 2 and not _COUNT.fullmatch(fields[2]):
            continue
        _, slash, segments = name.rpartition("/")
        if slash and segments.isdigit():
            raise UnreadableRecordingError("multi-segment recording", "expected a single segment", path)
        samples = int(fields[2]) if len(fields) > 2 else None
        return name, int(fields[0]), None if rate is None else _number(rate[1], path), samples
    raise _no_header(f"found {line[:80]!r}", path)


def _signal_line(line: str, path: Path) -> SignalSpec:
    found = _with_all_fields(line) or _with_some_fields(line)
    if found is None:
        raise _no_header(f"signal line {line[:80]!r}", path)
    file, storage, gain, numbers, lead = found
    if storage["per_frame"] is not None and int(storage["per_frame"]) == 0:
        raise _no_header(f"0 samples per frame in {line[:80]!r}", path)
    zero, initial, checksum = (None if text is None else int(text) for text in (*numbers[1:4], None, None, None)[:3])
    baseline = gain["baseline"] if gain is not None else None
    return SignalSpec(
        file=file,
        format=storage["format"],
        samples_per_frame=int(storage["per_frame"] or 1),
        skew=int(storage["skew"] or 0),
        byte_offset=int(storage["offset"] or 0),
        gain=(0.0 if gain is None else _number(gain["gain"], path)) or DEFAULT_GAIN,
        baseline=float(zero or 0) if baseline is None else float(baseline),
        units=(None if gain is None else gain["units"]) or "mV",
        initial=initial,
        checksum=checksum,
        lead=lead_of_label(lead),
    )


_SignalFields = tuple[str, re.Match[str], re.Match[str] | None, list[str], str]
"""File, storage, gain, the numbers that follow (resolution, zero, initial value, checksum, block size) and the name."""
_NUMBERS = (_COUNT, _WHOLE, _WHOLE, _WHOLE, _COUNT)


def _with_all_fields(line: str) -> _SignalFields | None:
    """Read a line as the format says: a name stands behind all five numbers."""
    if usual := _USUAL_LINE.fullmatch(line):
        return usual["file"], usual, usual, list(usual.groups()[-6:-1]), usual["lead"]
    for file, fields, places in _ends_of_name(line):
        storage = _STORAGE.fullmatch(fields[0])
        gain = _GAIN.fullmatch(fields[1]) if len(fields) > 1 else None
        numbers = fields[2:7]
        if storage is None or (len(fields) > 1 and gain is None):
            continue
        if all(form.fullmatch(text) for form, text in zip(_NUMBERS, numbers, strict=False)):
            return file, storage, gain, numbers, line[places[7] :] if len(fields) > 7 else ""
    return None


def _with_some_fields(line: str) -> _SignalFields | None:
    """Read a line as CinC 2024 wrote headers, and wfdb reads them: the name follows earlier, ``16 0    I``."""
    for file, fields, places in _ends_of_name(line):
        storage = _STORAGE.fullmatch(fields[0])
        gain = _GAIN.fullmatch(fields[1]) if len(fields) > 1 else None
        if storage is None or gain is None:
            continue
        count = 0
        while count < min(len(_NUMBERS), len(fields) - 2) and _NUMBERS[count].fullmatch(fields[2 + count]):
            count += 1
        lead = line[places[2 + count] :] if len(fields) > 2 + count else ""
        return file, storage, gain, fields[2 : 2 + count], lead
    return None


_MOST_FIELDS = 8  # of a signal line behind the file, the lead's name included
_MOST_WORDS = 64  # of a name


def _ends_of_name(line: str, first: int = 0) -> Iterator[tuple[str, list[str], list[int]]]:
    """Each way to part a line into a name and the words after it: name, up to eight words, and where these begin.

    Args:
        line: without blanks at its ends.
        first: characters that surely belong to the name.
    """
    matches = islice(re.finditer(r"\S+", line), _MOST_WORDS + _MOST_FIELDS)
    words = [(match[0], match.start()) for match in matches]
    for number, (_, start) in enumerate(words[: _MOST_WORDS + 1]):
        if number and start >= first:
            following = words[number : number + _MOST_FIELDS]
            yield line[:start].rstrip(), [word for word, _ in following], [place for _, place in following]


def _number(text: str, path: Path) -> float:
    try:
        value = float(text)
    except ValueError as error:
        raise _no_header(f"{text!r} is no number", path) from error
    if not math.isfinite(value):
        raise _no_header(f"{text!r} is not a finite number", path)
    return value
