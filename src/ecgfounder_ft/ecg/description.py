"""What the numbers in a file mean: rate, unit and leads, from the file, from a sidecar or stated by the user.

WFDB and the formats of ECG devices say it themselves. An array or a table of numbers often does not, and what such a
file leaves open is never guessed: a recording without rate, unit or lead names is refused.
"""

import contextlib
import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ecgfounder_ft.ecg.leads import STANDARD_LEADS, lead_of_label
from ecgfounder_ft.ecg.recording import Recording, UnreadableRecordingError
from ecgfounder_ft.ecg.recording_size import require_modest_length
from ecgfounder_ft.ecg.regular_file import open_regular
from ecgfounder_ft.ecg.units import millivolts_per
from ecgfounder_ft.errors import ExplainedError

SIDECAR_SUFFIX = ".json"
"""Suffix of the file that describes another one of the same name: ``0001.json`` beside ``0001.npy``."""

_MOST_SIDECAR_BYTES = 1 << 20

_HOW_TO_STATE = 'state it (predict --{option}, data.{key} of a table), or put it into {sidecar} as "{key}"'
_OPTIONS = {"sampling_rate": "sampling-rate", "unit": "unit", "leads": "leads"}


class DescriptionError(ExplainedError):
    """A rate, a unit or lead names that are impossible."""


@dataclass(frozen=True)
class SignalDescription:
    """Rate, unit and leads of signals, as far as somebody states them.

    Raises:
        DescriptionError: if one of them is impossible.
    """

    sampling_rate: float | None = None
    """Hz."""
    unit: str | None = None
    """Unit of the numbers: mV, uV, V or nV."""
    leads: tuple[str, ...] | None = None
    """Names in the order of the signals."""

    def __post_init__(self) -> None:
        rate = self.sampling_rate
        if rate is not None and not (math.isfinite(rate) and rate > 0):
            raise DescriptionError(f"sampling rate {rate}: expected a number of Hz above 0")
        if self.unit is not None and millivolts_per(self.unit) is None:
            raise DescriptionError(f"unit {self.unit!r}: expected mV, uV, V or nV")
        if self.leads is not None:
            names = tuple(lead_of_label(lead) for lead in self.leads)
            if not names or not all(names) or len(set(names)) != len(names):
                raise DescriptionError(f"leads {', '.join(self.leads) or '(none)'}: expected names, each once")
            object.__setattr__(self, "leads", names)

    @property
    def is_empty(self) -> bool:
        """Whether nothing is stated."""
        return self == NOTHING_STATED

    def to_dict(self) -> dict[str, Any]:
        """Plain containers."""
        return {
            "sampling_rate": self.sampling_rate,
            "unit": self.unit,
            "leads": None if self.leads is None else list(self.leads),
        }

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> "SignalDescription":
        """From a mapping that may hold other things too.

        Raises:
            DescriptionError: if an entry has another type, or is impossible.
        """
        rate, unit, leads = (_plain(content.get(key)) for key in ("sampling_rate", "unit", "leads"))
        rate, unit = _number_in(_only(rate)), _only(unit)
        if isinstance(leads, str):
            leads = [leads]
        if isinstance(rate, bool) or not isinstance(rate, int | float | None):
            raise DescriptionError(f"sampling_rate is {rate!r}, expected a number of Hz")
        if not isinstance(unit, str | None):
            raise DescriptionError(f"unit is {unit!r}, expected a name such as mV")
        if leads is not None and not (isinstance(leads, list) and all(isinstance(lead, str) for lead in leads)):
            raise DescriptionError(f"leads is {leads!r}, expected a list of names")
        return cls(None if rate is None else float(rate), unit, None if leads is None else tuple(leads))


def _plain(value: Any) -> Any:
    """Turn NumPy's arrays, numbers and texts, and texts as bytes, into Python's own."""
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, bytes):
        return value.decode("utf-8", errors="replace").rstrip("\0")
    return [_plain(one) for one in value] if isinstance(value, list | tuple) else value


def _number_in(value: Any) -> Any:
    """Turn a number that is written as a text, ``"500"`` or ``"500 Hz"``, into a number."""
    if isinstance(value, str):
        with contextlib.suppress(ValueError):
            return float(value.strip().casefold().removesuffix("hz"))
    return value


def _only(value: Any) -> Any:
    """Take the element of a list of one; several equal ones count as one."""
    while isinstance(value, list) and value and all(one == value[0] for one in value):
        value = value[0]
    return value


NOTHING_STATED = SignalDescription()

NAMES_AS_STATED = "lead names as stated"
"""Repair of a file whose own names are not of any standard lead, so that the user's count."""
LEAD_OFF = "the device says that a lead was off"
"""Word of the device, which becomes a quality flag."""
RATE_ASSUMED = "sampling rate assumed by the format"
"""Repair of a file without a rate whose format has a default."""


def lead_names(labels: Sequence[str], stated: Sequence[str] | None, path: Path) -> tuple[tuple[str, ...], list[str]]:
    """Name the signals of a file: by its own labels where they name leads, else as the user states.

    Every reader's names go through here.

    Returns:
        Names and repairs.

    Raises:
        UnreadableRecordingError: if a lead stands there twice.
    """
    names, repairs = tuple(map(lead_of_label, labels)), []
    known = any(name in STANDARD_LEADS for name in names)
    if not known and stated is not None and len(stated) == len(names) and tuple(stated) != names:
        names, repairs = tuple(map(lead_of_label, stated)), [NAMES_AS_STATED]
    repeated = [name for name, count in Counter(names).items() if count > 1 and name in STANDARD_LEADS]
    if repeated:
        raise UnreadableRecordingError("a lead stands there twice", f"found {', '.join(labels)}", path)
    return names, repairs


@dataclass(frozen=True)
class StoredNumbers:
    """The numbers of a file, and what the file itself says of them."""

    values: NDArray[np.number]
    """(leads, samples), or (samples, leads) where ``either_way`` is set; NaN where a sample is missing."""
    sampling_rate: float | None = None
    """Hz."""
    units: tuple[str, ...] | None = None
    """Unit of each lead, or one for all of them."""
    leads: tuple[str, ...] | None = None
    either_way: bool = False
    """Whether the number of leads has to tell which axis is time."""
    metadata: Mapping[str, str] = field(default_factory=dict)
    repairs: tuple[str, ...] = ()
    format: str = ""


def sidecar_of(path: Path) -> Path:
    """The file that may describe another one; it need not be there."""
    return path.with_suffix(SIDECAR_SUFFIX)


def completed(numbers: StoredNumbers, path: Path, stated: SignalDescription) -> Recording:
    """A recording in millivolts. What the file says counts first, then its sidecar, then what the user states.

    Raises:
        UnreadableRecordingError: if rate, unit or leads are said nowhere, or do not fit the numbers.
    """
    beside = _read_sidecar(path)
    rate = _first(numbers.sampling_rate, beside.sampling_rate, stated.sampling_rate)
    leads = _first(numbers.leads, beside.leads, stated.leads)
    unit = _first(beside.unit, stated.unit)
    if rate is None:
        raise _unsaid("no sampling rate", "sampling_rate", path)
    if not (math.isfinite(rate) and rate > 0):
        raise UnreadableRecordingError("no sampling rate", f"found {rate} Hz", path)
    if leads is None:
        raise _unsaid("no lead names", "leads", path)
    names, naming = lead_names(leads, _first(beside.leads, stated.leads), path)
    require_modest_length(numbers.values.size, path)
    values = _leads_first(numbers, len(names), path)
    factors, repairs = _factors(numbers, unit, names, path)
    repairs += naming
    signal = values.astype(np.float64)
    signal *= factors[:, None]
    signal[np.isinf(signal)] = np.nan
    if np.isnan(signal).any():
        repairs.append("missing samples")
    return Recording(
        name=path.stem,
        leads=names,
        signal=signal,
        sampling_rate=float(rate),
        metadata=numbers.metadata,
        path=path,
        repairs=(*numbers.repairs, *repairs),
        format=numbers.format,
    )


def _first(*found: Any) -> Any:
    return next((value for value in found if value is not None), None)


def _unsaid(reason: str, key: str, path: Path) -> UnreadableRecordingError:
    how = _HOW_TO_STATE.format(option=_OPTIONS[key], key=key, sidecar=sidecar_of(path).name)
    return UnreadableRecordingError(reason, f"neither the file nor {sidecar_of(path).name} says it; {how}", path)


def _leads_first(numbers: StoredNumbers, n_leads: int, path: Path) -> NDArray[np.number]:
    values = numbers.values
    if values.ndim == 1 and n_leads == 1:
        values = values[None]
    if values.ndim != 2:
        raise UnreadableRecordingError(
            "not one recording", f"an array of shape {values.shape}, expected (leads, samples)", path
        )
    if numbers.either_way and values.shape[0] != n_leads:
        values = values.T
    elif numbers.either_way and values.shape[1] == n_leads:
        raise UnreadableRecordingError("leads or samples", f"a square array of shape {values.shape}", path)
    if values.shape[0] != n_leads:
        raise UnreadableRecordingError(
            "another number of leads", f"an array of shape {numbers.values.shape} for {n_leads} lead names", path
        )
    if values.shape[1] == 0:
        raise UnreadableRecordingError("no samples", "the recording has length 0", path)
    return values


def _factors(
    numbers: StoredNumbers, unit: str | None, leads: Sequence[str], path: Path
) -> tuple[NDArray[np.float64], list[str]]:
    """Millivolts per number of each lead, and what had to be mended."""
    units = numbers.units or ("",)
    if len(units) == 1:
        units *= len(leads)
    if all(not name for name in units) and unit is None:
        raise _unsaid("no unit", "unit", path)
    found = []
    for lead, name in zip(leads, units, strict=True):
        used = unit if unit is not None and millivolts_per(name) is None else name
        if not used:
            raise UnreadableRecordingError("no unit", f"lead {lead}, although other leads have one", path)
        factor = millivolts_per(used)
        if factor is None:
            raise UnreadableRecordingError("unknown unit", f"lead {lead} in {used!r}", path)
        found.append(factor)
    return np.array(found), ["unit converted to mV"] if any(factor != 1 for factor in found) else []


def _read_sidecar(path: Path) -> SignalDescription:
    file = sidecar_of(path)
    if file == path or not file.is_file():
        return NOTHING_STATED
    try:
        with open_regular(file, "sidecar", _MOST_SIDECAR_BYTES) as (stream, _):
            content = json.loads(stream.read().decode("utf-8-sig"))
        if not isinstance(content, dict):
            raise DescriptionError("expected an object with sampling_rate, unit and leads")
        return SignalDescription.from_dict(content)
    except UnreadableRecordingError:
        raise
    except (OSError, ValueError, RecursionError, DescriptionError) as error:
        raise UnreadableRecordingError("sidecar cannot be used", str(error), file) from error
