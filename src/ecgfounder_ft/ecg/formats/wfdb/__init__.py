"""Reading and writing WFDB recordings in the two storage forms of the datasets.

MIMIC-IV-ECG and PTB-XL store ``.hea`` + ``.dat`` (format 16), PhysioNet/CinC 2020 and 2021 ``.hea`` + ``.mat`` (MAT v4:
a 24-byte header, then the same int16 samples). Both are read here directly, since the general parser of the ``wfdb``
package spends most of its time on the header; any other form goes through ``wfdb``.

A recording is one only if its files are what the header says: their size, what a ``.mat`` says of itself, and the
initial values and checksums of the header, where it gives them.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ecgfounder_ft.ecg.description import NOTHING_STATED, RATE_ASSUMED, SignalDescription, lead_names
from ecgfounder_ft.ecg.formats.wfdb.header import DEFAULT_RATE, Header, SignalSpec, read_header
from ecgfounder_ft.ecg.formats.wfdb.signals import (
    count_samples,
    millivolts,
    read_digital,
    signal_file,
)
from ecgfounder_ft.ecg.formats.wfdb.writing import write_recording
from ecgfounder_ft.ecg.recording import Recording, UnreadableRecordingError
from ecgfounder_ft.ecg.recording_size import require_modest_length
from ecgfounder_ft.ecg.regular_file import is_regular
from ecgfounder_ft.ecg.units import millivolts_per

__all__ = [
    "DEFAULT_RATE",
    "SUFFIXES",
    "Header",
    "SignalSpec",
    "count_samples",
    "other_files",
    "read_header",
    "read_recording",
    "signal_file",
    "write_recording",
]

SUFFIXES = (".hea",)
"""Suffix of the file by which a recording is known, its header."""


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


def read_recording(
    path: Path, leads: Sequence[str] | None = None, stated: SignalDescription = NOTHING_STATED
) -> Recording:
    """Read a recording, in millivolts.

    Args:
        path: the header (``.hea``).
        leads: the leads to read, by name; all of them where None. Only the files that hold them need to exist.
        stated: rate and leads for a header that does not say them.

    Raises:
        UnreadableRecordingError: with the reason, if the recording cannot be used.
    """
    header = read_header(path)
    names, repairs = lead_names(header.leads, stated.leads, path)
    repairs = [*header.repairs, *repairs]
    if leads is None:
        chosen = list(range(len(header.signals)))
    else:
        position = {name.casefold(): index for index, name in reversed(list(enumerate(names)))}
        missing = [lead for lead in leads if lead.casefold() not in position]
        if missing:
            raise UnreadableRecordingError(
                "leads are missing", f"no {', '.join(missing)} among {', '.join(names)}", path
            )
        chosen = [position[lead.casefold()] for lead in leads]
    specs = [header.signals[index] for index in chosen]
    rate = header.sampling_rate or stated.sampling_rate
    if rate is None:
        rate = DEFAULT_RATE
        repairs.append(RATE_ASSUMED)
    per_frame = {spec.samples_per_frame for spec in specs}
    if len(per_frame) > 1:
        found = ", ".join(f"{spec.lead} {spec.samples_per_frame}" for spec in specs)
        raise UnreadableRecordingError("leads of different rates", f"samples per frame: {found}", path)
    rate *= per_frame.pop()
    for spec in specs:
        if millivolts_per(spec.units) is None:
            raise UnreadableRecordingError("unknown unit", f"lead {spec.lead} in {spec.units!r}", path)
    if any(spec.units.casefold() != "mv" for spec in specs):
        repairs.append("unit converted to mV")
    if any(spec.units.casefold() == "mv" and spec.units != "mV" for spec in specs):
        repairs.append("unit spelt other than mV")
    if any(not is_regular(header.path.parent / spec.file) for spec in specs):
        repairs.append("signal file renamed")
    require_modest_length(len(specs) * (header.samples or 0), path)
    digital = {name: read_digital(header, name) for name in dict.fromkeys(spec.file for spec in specs)}
    lengths = {name: samples.shape[1] for name, samples in digital.items()}
    if len(set(lengths.values())) > 1:
        raise UnreadableRecordingError("signal files of different length", f"samples per lead: {lengths}", path)
    require_modest_length(len(specs) * lengths[specs[0].file], path)
    signal = np.empty((len(chosen), lengths[specs[0].file]))
    for row, index in zip(signal, chosen, strict=True):  # of an hour, two signals in memory would be 350 MB
        row[:] = millivolts(header, index, digital[header.signals[index].file])
    if signal.shape[1] == 0:
        raise UnreadableRecordingError("no samples", "the recording has length 0", path)
    if np.isnan(signal).any():
        repairs.append("missing samples")
    return Recording(
        name=header.name,
        leads=tuple(names[index] for index in chosen),
        signal=signal,
        sampling_rate=rate,
        metadata=header.metadata,
        path=path,
        repairs=tuple(repairs),
    )
