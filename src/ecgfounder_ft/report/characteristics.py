"""Table 1: who the recordings are of, side by side, and which conditions occur together."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ecgfounder_ft.evaluation.metrics import count_patients, count_recordings
from ecgfounder_ft.evaluation.subgroups import NOT_STATED
from ecgfounder_ft.labels import PRESENT, UNKNOWN


@dataclass(frozen=True)
class Quartiles:
    """A number of each recording, where it is known."""

    median: float
    low: float
    """First quartile."""
    high: float
    """Third quartile."""


@dataclass(frozen=True)
class Characteristics:
    """The recordings of one side of the split, or of one source on it."""

    name: str
    """Name of the side or of the source."""
    recordings: int
    patients: int
    patient_unknown: int
    """Recordings whose patient is unknown; each counts as a patient of its own."""
    age: Quartiles | None
    """Years at the recording; None where none is known."""
    age_missing: int
    sex: dict[str, int]
    """``female``, ``male`` and ``not stated`` to recordings."""
    sources: dict[str, int]
    """Dataset, and collection within it, to recordings."""
    seconds: Quartiles | None
    """Length as recorded; None where none is known."""
    seconds_missing: int
    present: dict[str, int]
    """Condition code to recordings that have it."""
    known: dict[str, int]
    """Condition code to recordings of which it is known to be present or absent."""
    none_present: int
    """Recordings without any of the conditions."""
    several_present: int
    """Recordings with two conditions or more."""
    together: NDArray[np.int64]
    """(k, k) recordings that have the row's and the column's condition."""

    @property
    def unknown(self) -> dict[str, int]:
        """Condition code to recordings of which it is unknown."""
        return {code: self.recordings - known for code, known in self.known.items()}

    @property
    def size(self) -> str:
        """Recordings and patients, in words."""
        words = f"{count_recordings(self.recordings)} of {count_patients(self.patients)}"
        if self.patient_unknown:
            words += f" ({self.patient_unknown:,} without a known patient, counted as one patient each)"
        return words

    @property
    def fewest(self) -> tuple[str, int] | None:
        """The condition with the fewest recordings, and their number; None where there is no condition."""
        return min(self.present.items(), key=lambda entry: entry[1]) if self.present else None

    def percent(self, number: int) -> str:
        """Print a number of recordings as a share of all."""
        return f"{100 * number / self.recordings:.1f}%" if self.recordings else "–"


def characteristics(
    recordings: pd.DataFrame, states: NDArray[np.integer], codes: Sequence[str], sides: Sequence[str]
) -> list[Characteristics]:
    """Describe the recordings of each side that has any.

    Args:
        recordings: one row per recording with ``split``, ``dataset``, ``patient``, and where known ``constituent``,
            ``patient_known``, ``age`` (years), ``sex`` and ``seconds``.
        states: (n, k) 1, 0 or -1.
        codes: (k,) condition codes.
        sides: names, in the order wanted.
    """
    found = []
    for side in sides:
        rows = (recordings["split"] == side).to_numpy()
        if rows.any():
            found.append(_describe(side, recordings[rows], states[rows], codes))
    return found


def flow_of(
    recordings: pd.DataFrame, states: NDArray[np.integer], codes: Sequence[str], sides: Sequence[str]
) -> dict[str, list[Characteristics]]:
    """Describe each source on each side that has recordings, and last the whole side, named ``all``.

    Args:
        recordings: as for :func:`characteristics`, as are the others.
        states: (n, k).
        codes: (k,).
        sides: names, in the order wanted.
    """
    sources = dataset_and_constituent(recordings)
    flow = {}
    for side in sides:
        rows = (recordings["split"] == side).to_numpy()
        if rows.any():
            parts = {str(name): rows & (sources == name).to_numpy() for name in sources[rows].unique()} | {"all": rows}
            flow[side] = [_describe(name, recordings[part], states[part], codes) for name, part in parts.items()]
    return flow


def dataset_and_constituent(recordings: pd.DataFrame) -> pd.Series:
    """(n,) ``dataset: constituent``, or the dataset alone where it has no constituents."""
    source, part = _texts(recordings, "dataset"), _texts(recordings, "constituent")
    return source.where(part == "", source + ": " + part)


def _describe(name: str, table: pd.DataFrame, states: NDArray[np.integer], codes: Sequence[str]) -> Characteristics:
    age, age_missing = _quartiles(table, "age")
    seconds, seconds_missing = _quartiles(table, "seconds")
    sex = _texts(table, "sex").replace("", NOT_STATED).value_counts()
    sources = dataset_and_constituent(table).value_counts().sort_index()
    present = states == PRESENT
    number = present.sum(axis=1)
    return Characteristics(
        name=name,
        recordings=len(table),
        patients=table["patient"].nunique(),
        patient_unknown=int((~table["patient_known"].astype(bool)).sum()) if "patient_known" in table else 0,
        age=age,
        age_missing=age_missing,
        sex={name: int(sex.get(name, 0)) for name in ("female", "male", NOT_STATED)},
        sources={str(name): int(count) for name, count in sources.items()},
        seconds=seconds,
        seconds_missing=seconds_missing,
        present={code: int(present[:, column].sum()) for column, code in enumerate(codes)},
        known={code: int((states[:, column] != UNKNOWN).sum()) for column, code in enumerate(codes)},
        none_present=int((number == 0).sum()),
        several_present=int((number > 1).sum()),
        together=present.T.astype(np.int64) @ present.astype(np.int64),
    )


def _quartiles(table: pd.DataFrame, name: str) -> tuple[Quartiles | None, int]:
    """Describe the numbers that are there, and count those that are not."""
    if name not in table:
        return None, len(table)
    values = pd.to_numeric(table[name], errors="coerce").to_numpy(dtype=np.float64)
    values = values[np.isfinite(values)]
    missing = len(table) - len(values)
    if not len(values):
        return None, missing
    low, median, high = np.percentile(values, (25, 50, 75))
    return Quartiles(float(median), float(low), float(high)), missing


def _texts(table: pd.DataFrame, name: str) -> pd.Series:
    return table[name].fillna("").astype(str) if name in table else pd.Series("", index=table.index, dtype=str)
