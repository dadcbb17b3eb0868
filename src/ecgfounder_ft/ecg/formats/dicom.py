"""DICOM waveforms, ``.dcm`` (needs the extra ``devices``), through pydicom.

A file holds groups of channels. Groups of original signals count, not those that a device derived (median beats).
Groups of one rate and length are one recording; of several such recordings the one with most leads, then the longest,
is read.

Format: DICOM PS3.3, C.10.9 (https://dicom.nema.org/medical/dicom/current/output/chtml/part03/sect_C.10.9.html).
"""

from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ecgfounder_ft.ecg.description import LEAD_OFF, StoredNumbers
from ecgfounder_ft.ecg.leads import STANDARD_LEADS, lead_of_label
from ecgfounder_ft.ecg.recording import MissingReaderError, UnreadableRecordingError
from ecgfounder_ft.errors import how_to_install

SUFFIXES = (".dcm",)
APART = True

SEVERAL_GROUPS = "other waveforms of the file left out"
_FAULTY = ("DISCONNECTED", "QUESTIONABLE")
"""Words of ``ChannelStatus`` that say that a channel is not to be trusted."""


def read_numbers(path: Path) -> StoredNumbers:
    """Read the leads of a file."""
    try:
        import pydicom
    except ImportError as error:
        raise MissingReaderError(
            "DICOM needs a package", f"pydicom is not installed: {how_to_install('devices')}", path
        ) from error
    try:
        dataset = pydicom.dcmread(path)
        groups = list(enumerate(dataset.get("WaveformSequence") or []))
        if not groups:
            raise UnreadableRecordingError("no signals", "the file holds no waveform", path)
        original = [pair for pair in groups if pair[1].get("WaveformOriginality") != "DERIVED"]
        together: dict[tuple[float, int], list[tuple[int, Any]]] = defaultdict(list)
        for number, group in original or groups:
            together[(float(group.SamplingFrequency), int(group.NumberOfWaveformSamples))].append((number, group))
        (rate, _), chosen = max(together.items(), key=lambda item: (_standard_leads(item[1]), item[0][1] / item[0][0]))
        channels = [channel for _, group in chosen for channel in group.ChannelDefinitionSequence]
        values = np.concatenate([_values(dataset, number, group) for number, group in chosen])
    except UnreadableRecordingError:
        raise
    except Exception as error:  # pydicom raises whatever its parsing meets; each of them means the same here
        raise UnreadableRecordingError("not a DICOM waveform", f"{type(error).__name__}: {error}", path) from error
    kept = [place for place, one in enumerate(channels) if lead_of_label(_label(one)) in STANDARD_LEADS]
    kept = kept or list(range(len(channels)))
    repairs = [SEVERAL_GROUPS] if len(chosen) < len(groups) else []
    if any(_is_faulty(channels[place]) for place in kept):
        repairs.append(LEAD_OFF)
    return StoredNumbers(
        values[kept],
        sampling_rate=rate,
        units=tuple(_unit(channels[place]) for place in kept),
        leads=tuple(_label(channels[place]) for place in kept),
        metadata=_metadata(dataset),
        repairs=tuple(repairs),
        format="DICOM Waveform",
    )


def _standard_leads(groups: list[tuple[int, Any]]) -> int:
    labels = [_label(channel) for _, group in groups for channel in group.ChannelDefinitionSequence]
    return len({lead_of_label(label) for label in labels} & set(STANDARD_LEADS))


def _values(dataset: Any, number: int, group: Any) -> NDArray[np.float64]:
    """(channels, samples) in the unit of each channel, NaN where the file has its padding value."""
    from pydicom.waveforms.numpy_handler import multiplex_array

    raw = np.asarray(multiplex_array(dataset, number, as_raw=True)).T
    values = raw.astype(np.float64)
    for row, channel in zip(values, group.ChannelDefinitionSequence, strict=True):
        row *= float(channel.get("ChannelSensitivity") or 1)
        row *= float(channel.get("ChannelSensitivityCorrectionFactor") or 1)
        row += float(channel.get("ChannelBaseline") or 0)
    padding = group.get("WaveformPaddingValue")
    if padding is not None:
        padding = np.frombuffer(padding, raw.dtype)[0] if isinstance(padding, bytes) else padding
        values[raw == padding] = np.nan
    return values


def _label(channel: Any) -> str:
    source = channel.get("ChannelSourceSequence")
    meaning = str(source[0].get("CodeMeaning", "")) if source else ""
    return str(channel.get("ChannelLabel") or meaning).partition("(")[0].strip()


def _unit(channel: Any) -> str:
    units = channel.get("ChannelSensitivityUnitsSequence")
    return str(units[0].get("CodeValue", "")) if units else ""


def _is_faulty(channel: Any) -> bool:
    status = channel.get("ChannelStatus") or []
    words = [status] if isinstance(status, str) else list(status)
    return any(str(word).upper() in _FAULTY for word in words)


def _metadata(dataset: Any) -> dict[str, str]:
    age, sex = str(dataset.get("PatientAge") or ""), str(dataset.get("PatientSex") or "")
    found = {"age": age[:3].lstrip("0") or "0"} if age.endswith("Y") and age[:3].isdigit() else {}
    return found | ({"sex": sex} if sex in ("M", "F") else {})
