"""EDF, EDF+C and BDF (needs the extra ``edf``), through edfio.

The header states rate, unit and name of each channel. Channels beside the standard leads (respiration, annotations) are
left out; where none is a standard lead, all are read. A file whose channels have no unit may have a sidecar.

Format: https://www.edfplus.info/specs/edf.html
"""

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
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about annotations and dates, which are not used
            file = read(path)
            signals = _leads_of(file.signals)
            if not signals:
                raise UnreadableRecordingError("no signals", "the file has annotations only", path)
            rates = {signal.sampling_frequency for signal in signals}
            if len(rates) > 1:
                found = ", ".join(f"{signal.label} {signal.sampling_frequency:g} Hz" for signal in signals)
                raise UnreadableRecordingError("leads of different rates", found, path)
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
        format="bdf" if path.suffix.casefold() == ".bdf" else "edf",
    )


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
