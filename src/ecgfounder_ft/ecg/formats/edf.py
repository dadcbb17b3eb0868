"""EDF, EDF+C and BDF (needs the extra ``edf``), through edfio.

The header states rate, unit and name of each channel. Channels beside the standard leads (respiration, annotations) are
left out; where none is a standard lead, all are read. A file whose channels have no unit may have a sidecar.

Format: https://www.edfplus.info/specs/edf.html
"""

import math
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from ecgfounder_ft.ecg.description import StoredNumbers
from ecgfounder_ft.ecg.leads import STANDARD_LEADS, lead_of_label
from ecgfounder_ft.ecg.recording import MissingReaderError, UnreadableRecordingError
from ecgfounder_ft.errors import how_to_install

SUFFIXES = (".edf", ".bdf")

_NUMBER_OF_RECORDS = 236
"""Byte of the header at which the number of data records stands; -1 while a recording goes on."""


def read_numbers(path: Path) -> StoredNumbers:
    """Read the leads of a file."""
    try:
        import edfio
    except ImportError as error:
        raise MissingReaderError(
            "EDF needs a package", f"edfio is not installed: {how_to_install('edf')}", path
        ) from error
    read = edfio.read_bdf if path.suffix.casefold() == ".bdf" else edfio.read_edf
    try:
        content, repairs = _with_points(path.read_bytes())
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what they are about is looked at here: calibration, gaps and length
            file = read(content, header_encoding="latin-1")
            signals = _leads_of(file.signals)
            if not signals:
                raise UnreadableRecordingError("no signals", "the file has annotations only", path)
            rates = {signal.sampling_frequency for signal in signals}
            if len(rates) > 1:
                found = ", ".join(f"{signal.label} {signal.sampling_frequency:g} Hz" for signal in signals)
                raise UnreadableRecordingError("leads of different rates", found, path)
            _refuse_uncalibrated(file, signals, content, path)
            _refuse_gaps(file, path)
            _refuse_truncated(file, path)
            values = np.stack([signal.data for signal in signals])
    except UnreadableRecordingError:
        raise
    except Exception as error:  # edfio raises whatever its parsing meets; each of them means the same here
        raise UnreadableRecordingError("not an EDF file", f"{type(error).__name__}: {error}", path) from error
    return StoredNumbers(
        values,
        sampling_rate=float(rates.pop()),
        units=tuple(signal.physical_dimension.strip() for signal in signals),
        leads=tuple(signal.label.strip() for signal in signals),
        repairs=repairs,
        format="bdf" if path.suffix.casefold() == ".bdf" else "edf",
    )


_FIXED, _BEFORE_RANGE, _FIELD = 256, 16 + 80 + 8, 8
"""Bytes of the fixed header, of the fields of a signal before its ranges, and of each of the four limits of these."""
_LIMITS = ("physical minimum", "physical maximum", "digital minimum", "digital maximum")


def _range_fields(content: bytes) -> list[list[str]]:
    """The four limits of each signal as texts."""
    count = int(content[252:_FIXED])
    fields = []
    for number in range(count):
        starts = [_FIXED + count * (_BEFORE_RANGE + _FIELD * limit) + _FIELD * number for limit in range(len(_LIMITS))]
        fields.append([content[start : start + _FIELD].decode("latin-1").strip() for start in starts])
    return fields


def _with_points(content: bytes) -> tuple[bytes, tuple[str, ...]]:
    """Replace decimal commas in the limits of the signals by points, which EDF asks for."""
    first = _FIXED + int(content[252:_FIXED]) * _BEFORE_RANGE
    last = first + int(content[252:_FIXED]) * _FIELD * len(_LIMITS)
    limits = content[first:last]
    if b"," not in limits:
        return content, ()
    return content[:first] + limits.replace(b",", b".") + content[last:], ("decimal comma in the header",)


def _refuse_uncalibrated(file: Any, signals: Any, content: bytes, path: Path) -> None:
    """edfio takes counts for physical values where the limits of a signal cannot be used."""
    fields = _range_fields(content)
    every = [label.strip() for label in _labels(content)]
    for signal in signals:
        limits = fields[every.index(signal.label.strip())]
        try:
            low, high, first, last = map(float, limits)
        except ValueError:
            low = high = first = last = float("nan")
        if not (math.isfinite(low) and math.isfinite(high) and low != high and first != last):
            found = ", ".join(f"{name} {text!r}" for name, text in zip(_LIMITS, limits, strict=True))
            raise UnreadableRecordingError("no calibration", f"lead {signal.label}: {found}", path)


def _labels(content: bytes) -> list[str]:
    count = int(content[252:_FIXED])
    return [content[_FIXED + 16 * number : _FIXED + 16 * (number + 1)].decode("latin-1") for number in range(count)]


def _leads_of(signals: Any) -> list[Any]:
    standard = [signal for signal in signals if lead_of_label(signal.label) in STANDARD_LEADS]
    return standard or list(signals)


def _refuse_gaps(file: Any, path: Path) -> None:
    """EDF+D and BDF+D leave out stretches of time, which would be joined without a word."""
    if str(file.reserved).startswith(("EDF+D", "BDF+D")):
        raise UnreadableRecordingError("recording has gaps", "EDF+D is discontinuous, expected EDF or EDF+C", path)


def _refuse_truncated(file: Any, path: Path) -> None:
    """A file that was cut short is read as far as it goes; its header says how far it should."""
    with path.open("rb") as stream:
        stream.seek(_NUMBER_OF_RECORDS)
        declared = int(stream.read(8).decode("ascii"))
    if 0 <= file.num_data_records < declared:
        raise UnreadableRecordingError(
            "signal file is truncated", f"{file.num_data_records} data records, expected {declared}", path
        )
