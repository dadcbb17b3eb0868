"""HDF5 files of one recording, ``.h5`` and ``.hdf5`` (needs the extra ``hdf5``).

The signal is the dataset ``signal``, or the only dataset of two dimensions. ``sampling_rate`` (Hz), ``unit`` and
``leads`` are attributes of the dataset or of the file, or small datasets of those names beside the signal.
"""

from pathlib import Path
from typing import Any

import numpy as np

from ecgfounder_ft.ecg.description import DescriptionError, SignalDescription, StoredNumbers
from ecgfounder_ft.ecg.recording import MissingReaderError, UnreadableRecordingError
from ecgfounder_ft.ecg.recording_size import require_modest_length
from ecgfounder_ft.errors import how_to_install

SUFFIXES = (".h5", ".hdf5")

_DESCRIPTION = ("sampling_rate", "unit", "leads")


def read_numbers(path: Path) -> StoredNumbers:
    """Read the signal of a file; either axis may be time."""
    try:
        import h5py
    except ImportError as error:
        raise MissingReaderError(
            "HDF5 needs a package", f"h5py is not installed: {how_to_install('hdf5')}", path
        ) from error
    try:
        with h5py.File(path, "r") as file:
            found: dict[str, Any] = {}
            file.visititems(lambda name, item: found.update({name: item}) if isinstance(item, h5py.Dataset) else None)
            dataset = _signal_of(found, path)
            said = {key: _plain(_said(key, dataset, file, found)) for key in _DESCRIPTION}
            require_modest_length(dataset.size, path)  # before it is unpacked: nothing is smaller than packed zeros
            values = dataset[()]
    except (KeyError, RuntimeError, ValueError, TypeError) as error:
        raise UnreadableRecordingError("not an HDF5 file", str(error), path) from error
    except OSError as error:  # which h5py also raises for a file that is none
        raise UnreadableRecordingError("not an HDF5 file", str(error), path) from error
    try:
        description = SignalDescription.from_dict(said)
    except (DescriptionError, TypeError) as error:
        raise UnreadableRecordingError("description cannot be used", str(error), path) from error
    units = None if description.unit is None else (description.unit,)
    return StoredNumbers(values, description.sampling_rate, units, description.leads, either_way=True)


def _signal_of(found: dict[str, Any], path: Path) -> Any:
    numeric = {name: item for name, item in found.items() if item.dtype.kind in "iuf"}
    if "signal" in numeric:
        return numeric["signal"]
    flat = [item for item in numeric.values() if item.ndim == 2]
    if len(flat) == 1:
        return flat[0]
    described = ", ".join(f"{name} {item.shape}" for name, item in found.items()) or "no datasets"
    raise UnreadableRecordingError("no signal", f"found {described}; expected a dataset named signal", path)


def _said(key: str, dataset: Any, file: Any, found: dict[str, Any]) -> Any:
    for place in (dataset.attrs, file.attrs):
        if key in place:
            return place[key]
    return found[key][()] if key in found else None


def _plain(value: Any) -> Any:
    """Python's own numbers and texts in place of NumPy's, whose texts may be bytes."""
    if isinstance(value, bytes):
        return value.decode("utf-8", errors="replace")
    if isinstance(value, np.ndarray):
        return [_plain(entry) for entry in value] if value.ndim else _plain(value[()])
    return value.item() if isinstance(value, np.generic) else value
