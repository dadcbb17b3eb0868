"""What ECG devices and archives write (needs the extra ``devices``), through ecgdatakit.

GE MUSE XML, HL7 aECG, Philips Sierra XML and Mortara XML (``.xml``), SCP-ECG, ISHNE Holter, MFER and AliveCor Kardia.
The content of a file tells which of them it is. What the library was tested for, and where its word is not taken:
docs/formats.md.
"""

import re
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ecgfounder_ft.ecg.description import LEAD_OFF, StoredNumbers
from ecgfounder_ft.ecg.leads import STANDARD_LEADS, lead_of_label
from ecgfounder_ft.ecg.recording import MissingReaderError, UnreadableRecordingError
from ecgfounder_ft.ecg.units import millivolts_per
from ecgfounder_ft.errors import how_to_install

SUFFIXES = (".xml", ".scp", ".ecg", ".mwf", ".mfer", ".mfr", ".json")
APART = True

_NOT_TAKEN = ("EDF/EDF+", "WFDB", "EDAN ARC Holter", "XLE ECG")
"""Formats of the library that have readers of their own here, or that it calls experimental."""

_FIRST_BYTES = 4096

CHECKSUM_DIFFERS = "checksum differs"
SHORTER_THAN_DECLARED = "shorter than its header says"
WARNED = "the reader warned"

_ISHNE = "ISHNE Holter"
_ISHNE_FAULT = -32768
"""The count by which ISHNE marks a lead that is off."""


def may_be_recording(path: Path) -> bool:
    """Whether a file of a folder looks like one: JSON is what settings and sidecars are written in, too."""
    if path.suffix.casefold() != ".json":
        return True
    try:
        with path.open("rb") as stream:
            return b'"recordedAt"' in stream.read(_FIRST_BYTES)
    except OSError:
        return True  # which reading it will tell


def read_numbers(path: Path) -> StoredNumbers:
    """Read the leads of a file."""
    try:
        from ecgdatakit import FileParser
        from ecgdatakit.exceptions import ChecksumWarning, ECGDataKitError
    except ImportError as error:
        raise MissingReaderError(
            "devices' formats need a package", f"ecgdatakit is not installed: {how_to_install('devices')}", path
        ) from error
    kind = FileParser.detect_format(path)
    if kind is None or kind["name"] in _NOT_TAKEN:
        raise UnreadableRecordingError("unknown recording format", "no ECG by its content", path)
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            record = FileParser.parse(path, auto_scale=False)
    except ImportError as error:
        raise MissingReaderError(f"{kind['name']} needs a package", str(error), path) from error
    except (ECGDataKitError, ValueError, RecursionError) as error:
        raise UnreadableRecordingError("not a readable ECG file", f"{type(error).__name__}: {error}", path) from error
    leads = _leads_of(record.leads)
    _refuse_uneven(leads, path)
    repairs = [CHECKSUM_DIFFERS] if any(issubclass(entry.category, ChecksumWarning) for entry in caught) else []
    told = [str(entry.message) for entry in caught if not issubclass(entry.category, ChecksumWarning)]
    told = [text for text in told if not text.startswith("auto_scale=False")]
    if record.raw_metadata.get("samples_per_lead", 0) < record.raw_metadata.get("ecg_size", 0):  # ISHNE only
        repairs.append(SHORTER_THAN_DECLARED)
    stated = record.raw_metadata.get("sampling_rate_stated", True)
    if any(name in _leads_off(path) for name in map(_label, leads)):
        repairs.append(LEAD_OFF)
    missing = _ISHNE_FAULT if record.file_format.name == _ISHNE else None
    return StoredNumbers(
        np.stack([_numbers_of(lead, missing) for lead in leads]),
        sampling_rate=float(leads[0].sampling_rate) if stated and leads[0].sampling_rate else None,
        units=tuple(lead.resolution_unit or lead.units for lead in leads),
        leads=tuple(lead.label for lead in leads),
        metadata=_metadata(record) | ({"reader": "; ".join(told)} if told else {}),
        repairs=(*repairs, *([WARNED] if told else [])),
        format=record.file_format.name,
    )


def _label(lead: Any) -> str:
    return lead_of_label(lead.label)


def _leads_off(path: Path) -> set[str]:
    """Leads that a MUSE file says were off."""
    if path.suffix.casefold() != ".xml":
        return set()
    blocks = re.split(rb"<LeadData>", path.read_bytes())[1:]
    found = [re.search(rb"<LeadID>\s*([^<]{1,40}?)\s*</LeadID>", block) for block in blocks]
    off = [re.search(rb"<LeadOff>\s*TRUE\s*</LeadOff>", block, re.IGNORECASE) is not None for block in blocks]
    names = [name[1] for name, is_off in zip(found, off, strict=True) if name and is_off]
    return {lead_of_label(name.decode("latin-1")) for name in names}


def _leads_of(leads: Sequence[Any]) -> list[Any]:
    """Return the standard leads, or without any those in volts: a file may hold other channels beside them."""
    standard = [lead for lead in leads if lead_of_label(lead.label) in STANDARD_LEADS]
    volts = [lead for lead in leads if millivolts_per(lead.resolution_unit or lead.units or "") is not None]
    return standard or volts or list(leads)


def _refuse_uneven(leads: Sequence[Any], path: Path) -> None:
    if not leads:
        raise UnreadableRecordingError("no signals", "the file holds no leads", path)
    found = {(lead.sampling_rate, len(lead.samples)) for lead in leads}
    if len(found) > 1:
        text = ", ".join(f"{lead.label} {len(lead.samples)} at {lead.sampling_rate} Hz" for lead in leads)
        raise UnreadableRecordingError("leads of different rates or lengths", text, path)


def _numbers_of(lead: Any, missing: int | None) -> NDArray[np.float64]:
    """Samples in the lead's unit; where the file states no unit, in what its scale gives, for the user to name."""
    samples = np.asarray(lead.samples, dtype=np.float64)
    if missing is not None:
        samples = np.where(samples == missing, np.nan, samples)
    return samples * lead.resolution + lead.offset if lead.is_raw else samples


def _metadata(record: Any) -> dict[str, str]:
    """Age and sex as headers of WFDB have them."""
    found = {}
    if record.patient.age is not None:
        found["age"] = str(record.patient.age)
    if record.patient.sex in ("M", "F"):
        found["sex"] = record.patient.sex
    return found
