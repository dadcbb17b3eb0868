"""The samples of the signals that a header describes, and whether they are those that the header speaks of."""

import math
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ecgfounder_ft.ecg.formats.wfdb.header import Header, SignalSpec
from ecgfounder_ft.ecg.formats.wfdb.mat import HEADER_BYTES, is_v5, read_v5, require_v4
from ecgfounder_ft.ecg.recording import MissingReaderError, UnreadableRecordingError
from ecgfounder_ft.ecg.recording_size import MOST_BYTES, MOST_SAMPLES, require_modest_length
from ecgfounder_ft.ecg.regular_file import is_regular, open_regular
from ecgfounder_ft.ecg.units import millivolts_per
from ecgfounder_ft.errors import how_to_install

MISSING_SAMPLE = -32768
"""The value by which format 16 marks a missing sample."""

_COMPRESSED_FORMATS = ("508", "516", "524")
"""Formats of FLAC. A sample in any other format takes a byte at the least."""


def signal_file(header: Header, name: str) -> Path:
    """The signal file that a header names, always beside the header.

    A user who renamed a recording leaves the old name in the header; a file with the header's own stem is then taken.

    Raises:
        UnreadableRecordingError: if the name points out of the header's folder or no such file is there.
    """
    if Path(name).name != name or name in {"", ".", "..", "~"} or "\\" in name:
        raise UnreadableRecordingError("signal file outside the folder", f"named {name!r}", header.path)
    path = header.path.parent / name
    if is_regular(path):
        return path
    suffix = Path(name).suffix
    renamed = header.path.with_suffix(suffix)
    if suffix and renamed != header.path and is_regular(renamed):
        return renamed
    raise UnreadableRecordingError("signal file is missing", f"expected {name} beside the header", header.path)


def read_digital(header: Header, file: str) -> NDArray[np.floating] | NDArray[np.int16]:
    """Samples of every signal in one file, (signals in the file, samples): int16, or physical units through wfdb.

    Raises:
        UnreadableRecordingError: if the file is absent, or is not what the header says.
    """
    path = signal_file(header, file)
    specs = [spec for spec in header.signals if spec.file == file]
    if header.samples == 0:
        raise UnreadableRecordingError("no samples", "the recording has length 0", header.path)
    require_modest_length(len(specs) * (header.samples or 0), path)
    with open_regular(path, "signal file", MOST_BYTES) as (stream, size):
        frames = header.samples
        if path.suffix.casefold() == ".mat":
            if is_v5(stream):
                _require_int16_format(specs, path)
                return read_v5(stream, len(specs), frames, MOST_SAMPLES, path)
            frames = require_v4(stream, size, len(specs), frames, path)
            _require_int16_format(specs, path)
        if not _is_plain(specs):
            return _read_through_wfdb(header, specs, size, path)
        available = max(size - specs[0].byte_offset, 0)
        if frames is None:
            frames = available // (2 * len(specs))
        expected = 2 * frames * len(specs)
        if available < expected:
            raise _truncated(available, expected, path)
        require_modest_length(frames * len(specs), path)
        stream.seek(specs[0].byte_offset)
        samples = np.fromfile(stream, dtype="<i2", count=frames * len(specs))
    if samples.size < frames * len(specs):  # it shrank meanwhile
        raise _truncated(2 * samples.size, expected, path)
    return np.ascontiguousarray(samples.reshape(frames, len(specs)).T)  # what follows goes lead by lead


def count_samples(header: Header) -> int:
    """Samples per lead, as the header says and the size of its signal files allows; the samples are not read.

    Raises:
        UnreadableRecordingError: if a signal file is missing, cut short or a git-lfs pointer, or there are no samples.
    """
    samples = header.samples
    if samples == 0:
        raise UnreadableRecordingError("no samples", "the recording has length 0", header.path)
    for name in dict.fromkeys(spec.file for spec in header.signals):
        path = signal_file(header, name)
        specs = [spec for spec in header.signals if spec.file == name]
        if {spec.format for spec in specs} != {"16"}:
            continue  # only format 16 has a size that follows from the number of samples
        available = max(path.stat().st_size - specs[0].byte_offset, 0)
        frame = 2 * sum(spec.samples_per_frame for spec in specs)
        if samples is not None and samples * frame == available:
            continue
        with open_regular(path, "signal file", MOST_BYTES) as (stream, size):
            if path.suffix.casefold() == ".mat":
                if not is_v5(stream):
                    samples = require_v4(stream, size, len(specs), samples, path)
                elif samples is None:
                    samples = read_v5(stream, len(specs), None, MOST_SAMPLES, path).shape[1]
                continue
        samples = available // frame if samples is None else samples
        if available < samples * frame:
            raise _truncated(available, samples * frame, path)
    if not samples:
        raise UnreadableRecordingError("no samples", "the recording has length 0 or does not say", header.path)
    return samples


def millivolts(header: Header, index: int, digital: NDArray[np.floating] | NDArray[np.int16]) -> NDArray[np.float64]:
    """One signal in millivolts, NaN where a sample is missing.

    Args:
        header: of the recording.
        index: of the signal among the header's.
        digital: of :func:`read_digital`.

    Raises:
        UnreadableRecordingError: if initial value or checksum are not those of the header, or its gain makes the
            samples larger than any number.
    """
    spec = header.signals[index]
    row = [other for other, signal in enumerate(header.signals) if signal.file == spec.file].index(index)
    values = digital[row]
    factor = millivolts_per(spec.units)
    assert factor is not None, spec.units  # read_recording refuses others
    if values.dtype != np.int16:  # physical values already, from wfdb
        if np.isinf(values).any():
            raise _implausible_gain(header, spec)
        return values * factor
    _require_as_described(header, spec, values)
    physical = values.astype(np.float64)
    physical -= spec.baseline
    factor = factor / spec.gain if abs(spec.gain) > sys.float_info.min else math.inf
    if not math.isfinite(factor * (abs(spec.baseline) - MISSING_SAMPLE)):
        raise _implausible_gain(header, spec)
    physical *= factor
    missing = values == MISSING_SAMPLE
    if missing.any():
        physical[missing] = np.nan
    return physical


def _require_as_described(header: Header, spec: SignalSpec, values: NDArray[np.integer]) -> None:
    """Compare the samples of a signal with the initial value and the checksum of its header.

    A value that is 0 in every signal of a header was not computed: tools that write headers by hand fill the columns
    so.
    """
    if spec.initial is not None and len(values) and any(signal.initial for signal in header.signals):
        _require_equal("initial value", spec.initial, int(values[0]), header, spec)
    if spec.checksum is not None and any(signal.checksum for signal in header.signals):
        _require_equal("checksum", spec.checksum, int(values.sum(dtype=np.int64)), header, spec)


def _require_equal(what: str, expected: int, found: int, header: Header, spec: SignalSpec) -> None:
    """Compare as 16 bits, whether a header writes them with a sign or without."""
    if (expected - found) % (1 << 16):
        raise UnreadableRecordingError(
            "samples are not those of the header",
            f"lead {spec.lead} of {spec.file}: {what} {_signed(found)}, by the header {expected}; the file is "
            "damaged, or belongs to another header",
            header.path,
        )


def _implausible_gain(header: Header, spec: SignalSpec) -> UnreadableRecordingError:
    return UnreadableRecordingError(
        "implausible gain", f"lead {spec.lead}: {spec.gain:g} units per {spec.units}", header.path
    )


def _signed(value: int) -> int:
    """Return a value as headers have it, 16 bits with a sign."""
    return (value + (1 << 15)) % (1 << 16) - (1 << 15)


def _is_plain(specs: list[SignalSpec]) -> bool:
    return all(
        spec.format == "16"
        and spec.samples_per_frame == 1
        and spec.skew == 0
        and spec.byte_offset == specs[0].byte_offset
        for spec in specs
    )


def _require_int16_format(specs: list[SignalSpec], path: Path) -> None:
    for spec in specs:
        if not _is_plain([spec]) or spec.byte_offset != HEADER_BYTES:
            raise UnreadableRecordingError(
                "MAT file of another format",
                f"the header says format {spec.format}, {spec.samples_per_frame} sample(s) per frame, "
                f"skew {spec.skew}, byte offset {spec.byte_offset}; expected 16x1+{HEADER_BYTES}",
                path,
            )


def _read_through_wfdb(header: Header, specs: list[SignalSpec], size: int, path: Path) -> NDArray[np.float64]:
    """Physical values of the signals of one file, (signals, samples)."""
    try:
        import wfdb
    except ModuleNotFoundError as error:
        raise MissingReaderError(
            "this WFDB storage format needs a package",
            f"{error.name} is not installed: {how_to_install('wfdb')}",
            path,
        ) from error
    _require_bounded(header, specs, size, path)
    rows = [index for index, spec in enumerate(header.signals) if spec.file == specs[0].file]
    record = str(header.path.with_suffix(""))
    try:
        stored = wfdb.rdrecord(record, channels=rows, physical=False, smooth_frames=False).e_d_signal
        frames = wfdb.rdrecord(record, channels=rows, physical=True, smooth_frames=False).e_p_signal
        if len({len(values) for values in frames}) > 1:  # several rates: read_recording refuses those it is asked for
            frames = np.asarray(wfdb.rdrecord(record, channels=rows, physical=True).p_signal).T
        physical = np.asarray(frames, dtype=np.float64)
    except Exception as error:  # wfdb raises whatever its parsing meets; each of them means the same here
        raise UnreadableRecordingError("wfdb cannot read it", f"{type(error).__name__}: {error}", path) from error
    for spec, values in zip(specs, stored, strict=True):
        if spec.skew == 0:
            _require_as_described(header, spec, np.asarray(values))
    return physical


def _require_bounded(header: Header, specs: list[SignalSpec], size: int, path: Path) -> None:
    """Refuse what would make wfdb reserve more memory than the file can fill."""
    frame = sum(spec.samples_per_frame for spec in specs)
    frames = header.samples
    if any(spec.format in _COMPRESSED_FORMATS for spec in specs):
        if frames is None:
            raise UnreadableRecordingError("unknown length", "the header of a compressed file gives none", path)
    else:
        available = max(size - min(spec.byte_offset for spec in specs), 0)
        if frames is not None and frames * frame > available:
            raise _truncated(available, frames * frame, path)
        frames = available // frame if frames is None else frames
    require_modest_length(frames * frame, path)
    if any(spec.skew > frames for spec in specs):
        raise UnreadableRecordingError("skew is longer than the recording", f"of {frames} samples", path)


def _truncated(available: int, expected: int, path: Path) -> UnreadableRecordingError:
    return UnreadableRecordingError(
        "signal file is truncated", f"{available} bytes of samples, expected {expected}", path
    )
