"""Reading and writing WFDB recordings in the two storage forms of the datasets.

MIMIC-IV-ECG and PTB-XL store ``.hea`` + ``.dat`` (format 16), PhysioNet/CinC 2020 and 2021 ``.hea`` + ``.mat`` (MAT v4:
a 24-byte header, then the same int16 samples). Both are read here directly, since the general parser of the ``wfdb``
package spends most of its time on the header; any other form goes through ``wfdb``.

Header format: https://wfdb.io/spec/header-files.html
"""

import re
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ecgfounder_ft.ecg.leads import canonical_lead
from ecgfounder_ft.ecg.recording import MissingReaderError, Recording, UnreadableRecordingError

SUFFIXES = (".hea",)
"""Of the file by which a recording is known: its header."""

MISSING_SAMPLE = -32768
"""The value by which format 16 marks a missing sample."""

MILLIVOLTS_PER_UNIT: dict[str, float] = {"mv": 1.0, "uv": 1e-3, "µv": 1e-3, "μv": 1e-3, "v": 1e3}
"""Physical units (lower case) in which a recording may be stored."""

_GIT_LFS = "version https://git-lfs"
_MAX_HEADER_BYTES = 1 << 20
_MAT_V4_HEADER_BYTES = 24

# File and record names may hold spaces, so each line is anchored on the numeric field that follows the name.
_RECORD_LINE = re.compile(
    r"^(?P<name>.+?)(?:/(?P<segments>\d+))?\s+(?P<leads>\d+)"
    r"(?:\s+(?P<rate>[\d.eE+-]+)(?:/[\d.eE+-]+(?:\([\d.eE+-]+\))?)?(?:\s+(?P<samples>\d+)(?:\s.*)?)?)?$"
)
_SIGNAL_LINE = re.compile(
    r"^(?P<file>.+?)\s+(?P<format>\d+)(?:x(?P<per_frame>\d+))?(?::(?P<skew>\d+))?(?:\+(?P<offset>\d+))?"
    r"(?:\s+(?P<gain>-?[\d.eE+-]+)(?:\((?P<baseline>-?\d+)\))?(?:/(?P<units>\S+))?"
    r"(?:\s+(?P<resolution>\d+)(?:\s+(?P<zero>-?\d+)(?:\s+(?P<initial>-?\d+)"
    r"(?:\s+(?P<checksum>-?\d+)(?:\s+(?P<block>\d+)(?:\s+(?P<description>.*))?)?)?)?)?)?)?$"
)


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
    lead: str


@dataclass(frozen=True)
class Header:
    """A parsed ``.hea`` file."""

    path: Path
    name: str
    sampling_rate: float
    """Hz."""
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
        UnreadableRecordingError: if the file is absent, a git-lfs pointer, or no WFDB header.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise UnreadableRecordingError("header cannot be read", str(error.strerror or error), path) from error
    if len(raw) > _MAX_HEADER_BYTES:
        raise UnreadableRecordingError("not a WFDB header", f"{len(raw)} bytes, expected a short text", path)
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        text = raw.decode("latin-1")
    if text.startswith(_GIT_LFS):
        raise UnreadableRecordingError(
            "git-lfs pointer instead of a file", "fetch the contents with 'git lfs pull'", path
        )
    lines = [line.strip() for line in text.splitlines()]
    comments = tuple(line[1:].strip() for line in lines if line.startswith("#"))
    content = [line for line in lines if line and not line.startswith("#")]
    match = _match_record_line(content[0], path.stem) if content else None
    if match is None:
        found = repr(content[0][:80]) if content else "an empty file"
        raise UnreadableRecordingError("not a WFDB header", f"found {found}", path)
    if match["segments"]:
        raise UnreadableRecordingError("multi-segment recording", "expected a single segment", path)
    repairs = []
    if match["name"].casefold().endswith((".mat", ".dat", ".hea")):
        repairs.append("record line names the file extension")
    n_leads = int(match["leads"])
    if len(content) - 1 < n_leads:
        raise UnreadableRecordingError(
            "not a WFDB header", f"{len(content) - 1} signal lines, expected {n_leads}", path
        )
    try:
        rate = float(match["rate"] or 250.0)  # the format's default
        signals = tuple(_parse_signal_line(line, path) for line in content[1 : n_leads + 1])
    except ValueError as error:
        raise UnreadableRecordingError("not a WFDB header", str(error), path) from error
    if not rate > 0:
        raise UnreadableRecordingError("no sampling rate", f"found {match['rate']}", path)
    return Header(
        path=path,
        name=path.stem,
        sampling_rate=rate,
        samples=int(match["samples"]) if match["samples"] else None,
        signals=signals,
        comments=comments,
        repairs=tuple(repairs),
    )


def _match_record_line(line: str, stem: str) -> re.Match[str] | None:
    """The fields of a record line. A name that holds spaces and numbers is told from them by the file's own name."""
    if line.startswith(f"{stem} "):
        line = "_" + line[len(stem) :]
    return _RECORD_LINE.match(line)


def _parse_signal_line(line: str, path: Path) -> SignalSpec:
    match = _SIGNAL_LINE.match(line)
    if match is None:
        raise UnreadableRecordingError("not a WFDB header", f"signal line {line[:80]!r}", path)
    gain = float(match["gain"] or 0) or 200.0  # the format's default where the gain is absent or zero
    return SignalSpec(
        file=match["file"],
        format=match["format"],
        samples_per_frame=int(match["per_frame"] or 1),
        skew=int(match["skew"] or 0),
        byte_offset=int(match["offset"] or 0),
        gain=gain,
        baseline=float(match["baseline"] if match["baseline"] is not None else (match["zero"] or 0)),
        units=match["units"] or "mV",
        lead=canonical_lead(match["description"] or ""),
    )


def signal_file(header: Header, name: str) -> Path:
    """The signal file that a header names, always beside the header.

    A user who renamed a recording leaves the old name in the header; a file with the header's own stem is then taken.

    Raises:
        UnreadableRecordingError: if the name points out of the header's folder or no such file is there.
    """
    if Path(name).name != name or name in {"", ".", "..", "~"} or "\\" in name:
        raise UnreadableRecordingError("signal file outside the folder", f"named {name!r}", header.path)
    path = header.path.parent / name
    if path.is_file():
        return path
    renamed = header.path.with_suffix(Path(name).suffix)
    if renamed.is_file():
        return renamed
    raise UnreadableRecordingError("signal file is missing", f"expected {name} beside the header", header.path)


def other_files(path: Path) -> tuple[str, ...]:
    """Names of the signal files of a header, those that are there and those that should be.

    Raises:
        UnreadableRecordingError: if the header is absent or none.
    """
    header = read_header(path)
    files = []
    for name in dict.fromkeys(signal.file for signal in header.signals):
        try:
            files.append(signal_file(header, name).name)
        except UnreadableRecordingError:
            files.append(Path(name).name)
    return tuple(files)


def read_recording(path: Path, leads: Sequence[str] | None = None) -> Recording:
    """Read a recording, in millivolts.

    Args:
        path: the header (``.hea``).
        leads: the leads to read, by name; all of them where None. Only the files that hold them need to exist.

    Raises:
        UnreadableRecordingError: with the reason, if the recording cannot be used.
    """
    header = read_header(path)
    repairs = list(header.repairs)
    if leads is None:
        chosen = list(range(len(header.signals)))
    else:
        position = {name.casefold(): index for index, name in reversed(list(enumerate(header.leads)))}
        missing = [lead for lead in leads if lead.casefold() not in position]
        if missing:
            raise UnreadableRecordingError(
                "leads are missing", f"no {', '.join(missing)} among {', '.join(header.leads)}", path
            )
        chosen = [position[lead.casefold()] for lead in leads]
    specs = [header.signals[index] for index in chosen]
    for spec in specs:
        if spec.units.casefold() not in MILLIVOLTS_PER_UNIT:
            raise UnreadableRecordingError("unknown unit", f"lead {spec.lead} in {spec.units!r}", path)
    if any(spec.units.casefold() != "mv" for spec in specs):
        repairs.append("unit converted to mV")
    if any(spec.units.casefold() == "mv" and spec.units != "mV" for spec in specs):
        repairs.append("unit spelt other than mV")
    if any(not (header.path.parent / spec.file).is_file() for spec in specs):
        repairs.append("signal file renamed")
    digital = {name: _read_digital(header, name) for name in dict.fromkeys(spec.file for spec in specs)}
    signal = np.stack([_millivolts(header, index, digital[header.signals[index].file]) for index in chosen])
    if signal.shape[1] == 0:
        raise UnreadableRecordingError("no samples", "the recording has length 0", path)
    if np.isnan(signal).any():
        repairs.append("missing samples")
    return Recording(
        name=header.name,
        leads=tuple(spec.lead for spec in specs),
        signal=signal,
        sampling_rate=header.sampling_rate,
        metadata=header.metadata,
        path=path,
        repairs=tuple(repairs),
    )


def _read_digital(header: Header, file: str) -> NDArray[np.floating] | NDArray[np.int16]:
    """Samples of every signal in one file, (signals in the file, samples): int16, or millivolts through wfdb."""
    path = signal_file(header, file)
    columns = [spec for spec in header.signals if spec.file == file]
    first = columns[0]
    plain = all(
        spec.format == "16" and spec.samples_per_frame == 1 and spec.skew == 0 and spec.byte_offset == first.byte_offset
        for spec in columns
    )
    if not plain:
        return _read_through_wfdb(header, path)
    available = path.stat().st_size - first.byte_offset
    with path.open("rb") as stream:
        if stream.read(len(_GIT_LFS)) == _GIT_LFS.encode():
            raise UnreadableRecordingError(
                "git-lfs pointer instead of a file", "fetch the contents with 'git lfs pull'", path
            )
    frames = header.samples if header.samples is not None else max(available, 0) // (2 * len(columns))
    expected = 2 * frames * len(columns)
    if available < expected:
        raise UnreadableRecordingError(
            "signal file is truncated", f"{max(available, 0)} bytes of samples, expected {expected}", path
        )
    samples = np.fromfile(path, dtype="<i2", count=frames * len(columns), offset=first.byte_offset)
    return np.ascontiguousarray(samples.reshape(frames, len(columns)).T)  # what follows goes lead by lead


def _millivolts(header: Header, index: int, digital: NDArray) -> NDArray[np.float64]:
    spec = header.signals[index]
    row = [other for other, signal in enumerate(header.signals) if signal.file == spec.file].index(index)
    values = digital[row]
    if values.dtype != np.int16:  # physical values already, from wfdb
        return values * MILLIVOLTS_PER_UNIT[spec.units.casefold()]
    factor = MILLIVOLTS_PER_UNIT[spec.units.casefold()] / spec.gain
    physical = values.astype(np.float64)
    physical -= spec.baseline
    physical *= factor
    missing = values == MISSING_SAMPLE
    if missing.any():
        physical[missing] = np.nan
    return physical


def _read_through_wfdb(header: Header, path: Path) -> NDArray[np.float64]:
    try:
        import wfdb
    except ModuleNotFoundError as error:
        raise MissingReaderError(
            "this WFDB storage format needs a package",
            f"{error.name} is not installed: pip install 'ecgfounder-ft[wfdb]'",
            path,
        ) from error
    try:
        record = wfdb.rdrecord(str(header.path.with_suffix("")), physical=True)
    except Exception as error:  # wfdb raises whatever its parsing meets; each of them means the same here
        raise UnreadableRecordingError("wfdb cannot read it", f"{type(error).__name__}: {error}", path) from error
    rows = [index for index, spec in enumerate(header.signals) if spec.file == path.name]
    return np.asarray(record.p_signal).T[rows]


def write_recording(
    folder: Path,
    name: str,
    signal: NDArray[np.floating],
    leads: Sequence[str],
    sampling_rate: float,
    *,
    storage: str,
    gain: float = 1000.0,
    comments: Mapping[str, str] | None = None,
) -> Path:
    """Write a recording as one of the two datasets stores it.

    Args:
        folder: created if absent.
        name: record name; the files are ``<name>.hea`` and ``<name>.dat`` or ``<name>.mat``.
        signal: (leads, samples), millivolts; NaN is written as a missing sample.
        leads: lead names in the order of the rows.
        sampling_rate: Hz.
        storage: ``dat`` (MIMIC-IV-ECG) or ``mat`` (PhysioNet/CinC 2021).
        gain: digital units per millivolt.
        comments: header fields in order, written ``# name: value``.

    Returns:
        The header's path.
    """
    if storage not in {"dat", "mat"}:
        raise ValueError(f"storage '{storage}': expected 'dat' or 'mat'")
    folder.mkdir(parents=True, exist_ok=True)
    scaled = np.round(np.nan_to_num(signal, nan=0.0) * gain)
    digital = np.clip(scaled, -32767, 32767).astype("<i2")
    digital[np.isnan(signal)] = MISSING_SAMPLE
    n_leads, n_samples = digital.shape
    file = folder / f"{name}.{storage}"
    with file.open("wb") as stream:
        if storage == "mat":
            # MAT v4: little-endian int16 matrix, its shape, no imaginary part, and the 4 bytes "val\0" of its name
            stream.write(struct.pack("<5i", 30, n_leads, n_samples, 0, 4) + b"val\0")
        stream.write(np.ascontiguousarray(digital.T).tobytes())
    form = "16" if storage == "dat" else f"16x1+{_MAT_V4_HEADER_BYTES}"
    lines = [f"{name} {n_leads} {sampling_rate:g} {n_samples}"]
    for row, lead in enumerate(leads):
        checksum = int(digital[row].astype(np.int64).sum()) & 0xFFFF
        checksum -= 0x10000 if checksum >= 0x8000 else 0
        initial = digital[row, 0] if n_samples else 0
        lines.append(f"{file.name} {form} {gain:.1f}(0)/mV 16 0 {initial} {checksum} 0 {lead}")
    lines += [f"# {field}: {value}" for field, value in (comments or {}).items()]
    header = folder / f"{name}.hea"
    header.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return header
