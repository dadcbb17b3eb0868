"""HDF5 files of one recording, ``.h5`` and ``.hdf5`` (needs the extra ``hdf5``).

The signal is the dataset ``signal``, or the only dataset of two dimensions. ``sampling_rate`` (Hz), ``unit`` and
``leads`` are attributes of the dataset or of the file, or small datasets of those names beside the signal.
"""

from pathlib import Path
from typing import Any

from ecgfounder_ft.ecg.description import DescriptionError, SignalDescription, StoredNumbers
from ecgfounder_ft.ecg.recording import MissingReaderError, UnreadableRecordingError
from ecgfounder_ft.ecg.recording_size import require_modest_length
from ecgfounder_ft.errors import how_to_install

SUFFIXES = (".h5", ".hdf5")
APART = True

_MOST_OBJECTS, _DEEPEST, _MOST_NAMES = 10_000, 20, 1_000
"""Objects that are searched for a signal, groups within groups, and entries of a description."""

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
            found = _datasets_of(file, path)
            dataset = _signal_of(found, path)
            if dataset.is_virtual or dataset.external:
                raise UnreadableRecordingError("signal lies in another file", "expected it in the file itself", path)
            said = {key: _said(key, dataset, file, found) for key in _DESCRIPTION}
            require_modest_length(dataset.size, path)  # before it is unpacked: nothing is smaller than packed zeros
            values = dataset[()]
    except (KeyError, RuntimeError, ValueError, TypeError) as error:
        raise UnreadableRecordingError("not an HDF5 file", str(error), path) from error
    except OSError as error:  # which h5py also raises for a file of another format
        raise UnreadableRecordingError("not an HDF5 file", str(error), path) from error
    try:
        description = SignalDescription.from_dict(said)
    except (DescriptionError, TypeError) as error:
        raise UnreadableRecordingError("description cannot be used", str(error), path) from error
    units = None if description.unit is None else (description.unit,)
    return StoredNumbers(values, description.sampling_rate, units, description.leads, either_way=True)


def _datasets_of(file: Any, path: Path) -> dict[str, Any]:
    """The datasets by name; links to other files are not followed."""
    import h5py

    found: dict[str, Any] = {}
    seen = 0
    waiting = [("", file)]
    while waiting:
        prefix, group = waiting.pop()
        for name in group:
            seen += 1
            if seen > _MOST_OBJECTS:
                raise UnreadableRecordingError("not one recording", f"more than {_MOST_OBJECTS:,} objects", path)
            if isinstance(group.get(name, getlink=True), h5py.ExternalLink):
                raise UnreadableRecordingError("signal lies in another file", f"{prefix}{name} is a link to it", path)
            item = group.get(name)
            if isinstance(item, h5py.Dataset):
                found[f"{prefix}{name}"] = item
            elif isinstance(item, h5py.Group) and prefix.count("/") < _DEEPEST:
                waiting.append((f"{prefix}{name}/", item))
    return found


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
            if place.get_id(key).get_storage_size() > _MOST_NAMES * 64:
                raise UnreadableRecordingError("description cannot be used", f"{key} has too many entries", None)
            return place[key]
    if key not in found:
        return None
    if found[key].size > _MOST_NAMES or found[key].is_virtual or found[key].external:
        raise UnreadableRecordingError("description cannot be used", f"{key} has {found[key].size} entries", None)
    return found[key][()]
