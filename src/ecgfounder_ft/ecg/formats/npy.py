"""NumPy arrays: ``.npy``, described by a sidecar or the user, and ``.npz``, which can describe itself.

An archive holds ``signal``, (leads, samples) or (samples, leads), and as far as it describes itself ``sampling_rate``
(Hz), ``unit`` and ``leads``; where it has one array only, that is the signal whatever its name.

Pickled objects are never loaded: they run code.
"""

import zipfile
from pathlib import Path

import numpy as np

from ecgfounder_ft.ecg.description import DescriptionError, SignalDescription, StoredNumbers
from ecgfounder_ft.ecg.recording import UnreadableRecordingError
from ecgfounder_ft.ecg.recording_size import MOST_SAMPLES

SUFFIXES = (".npy", ".npz")

_MOST_UNPACKED = 8 * MOST_SAMPLES + (1 << 20)
"""Bytes of an archive: float64, and some for its description."""

_DESCRIPTION = ("sampling_rate", "unit", "leads")


def read_numbers(path: Path) -> StoredNumbers:
    """Read an array or an archive; either axis may be time."""
    try:
        if path.suffix.casefold() == ".npz":
            return _read_archive(path)
        return _checked(np.load(path, allow_pickle=False), path)
    except (UnreadableRecordingError, OSError):
        raise
    except Exception as error:  # NumPy raises whatever its parsing meets; each of them means the same here
        raise UnreadableRecordingError("not a NumPy array", str(error), path) from error


def _read_archive(path: Path) -> StoredNumbers:
    with zipfile.ZipFile(path) as archive:
        size = sum(entry.file_size for entry in archive.infolist())
    if size > _MOST_UNPACKED:
        raise UnreadableRecordingError(
            "too long", f"{size:,} bytes unpacked, expected {_MOST_UNPACKED:,} at most; cut it into parts", path
        )
    with np.load(path, allow_pickle=False) as content:
        arrays = {name: content[name] for name in content.files}
    others = [name for name in arrays if name not in _DESCRIPTION]
    name = "signal" if "signal" in others else others[0] if len(others) == 1 else None
    if name is None:
        raise UnreadableRecordingError("no signal", f"arrays {', '.join(arrays)}; expected one named signal", path)
    said = {key: arrays[key] for key in _DESCRIPTION if key in arrays}
    try:
        description = SignalDescription.from_dict(said)
    except (DescriptionError, TypeError) as error:
        raise UnreadableRecordingError("description cannot be used", str(error), path) from error
    return _checked(arrays[name], path, description)


def _checked(array: np.ndarray, path: Path, said: SignalDescription | None = None) -> StoredNumbers:
    if array.dtype.kind not in "iuf":
        raise UnreadableRecordingError("not numbers", f"an array of {array.dtype}", path)
    if said is None:
        return StoredNumbers(array, either_way=True)
    units = None if said.unit is None else (said.unit,)
    return StoredNumbers(array, said.sampling_rate, units, said.leads, either_way=True)
