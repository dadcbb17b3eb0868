"""The catalog: one table, with one row per recording, in which every data source states what it knows.

Columns, in this order:

=============== ======= ====================================================================================
recording       str     unique name, ``<dataset>/<record name>``
dataset         str     ``mimic_iv_ecg``, ``physionet2021``, or a user's own name
constituent     str     the collection within the dataset (``georgia``), empty where there is none
path            str     the header (``.hea``); absolute in memory, relative to the dataset's root in files
patient         str     ``<dataset>/<patient id>``; the recording's name where the source names no patient
patient_known   bool    whether ``patient`` is a person: False where the source names none, and does not say either
                        that each recording is of another person
sampling_rate   float   Hz
samples         int     per lead
age             float   years, NaN where unknown
sex             str     ``female``, ``male``, or empty
fold            float   the fold that the dataset's publisher gave it, NaN where there is none
<code>          str     one column per condition of the label map: ``present``, ``absent`` or ``unknown``
evidence        str     what the states were read from: ``AFIB: 164889003; RBBB?: 6374002; LBBB?: 6374002``, where
                        a question mark says that it left the condition open; ``unusable: 10370003`` where it left
                        all of them so
=============== ======= ====================================================================================

``unknown`` is left out of loss and evaluation. A condition is unknown where its source says nothing of it, leaves it
open, or is not to be trusted with it: the same finding has the same state whichever dataset it comes from. Nothing
here depends on which conditions there are, or how many.
"""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ecgfounder_ft.ecg.recording import UnreadableRecordingError
from ecgfounder_ft.errors import ExplainedError
from ecgfounder_ft.labels import ABSENT, PRESENT, STATE_NAMES, UNKNOWN, LabelMap

logger = logging.getLogger(__name__)

NUMBER_COLUMNS: dict[str, type[np.number]] = {
    "sampling_rate": np.float64,
    "samples": np.int64,
    "age": np.float32,
    "fold": np.float32,
}
MISSING = frozenset({"", "na", "n/a", "<na>", "nan", "none", "null", "nil", "unknown", "missing", "?", "-", "--", "."})
"""Words, in lower case, that stand for a missing value in any column of any table."""

LEADING_COLUMNS: tuple[str, ...] = (
    "recording",
    "dataset",
    "constituent",
    "path",
    "patient",
    "patient_known",
    "sampling_rate",
    "samples",
    "age",
    "sex",
    "fold",
)
"""The columns before the conditions."""
TRAILING_COLUMNS: tuple[str, ...] = ("evidence",)
"""The columns after the conditions."""

SKIPPED_COLUMNS: tuple[str, ...] = ("path", "reason", "detail")

STATES = pd.CategoricalDtype([STATE_NAMES[state] for state in (PRESENT, ABSENT, UNKNOWN)])
"""A condition column's type: the three spellings, one byte per recording."""

_SEXES = ("female", "male", "")
_STATE_OF_CATEGORY = np.array([PRESENT, ABSENT, UNKNOWN], dtype=np.int8)


class CatalogError(ExplainedError, ValueError):
    """A table that is no catalog; the message lists everything found wrong with it."""


class FolderNotFoundError(ExplainedError, FileNotFoundError):
    """A dataset's folder is not where the configuration says."""


@dataclass(frozen=True)
class Catalog:
    """What a data source holds."""

    table: pd.DataFrame
    """The columns above, one row per recording."""
    skipped: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=SKIPPED_COLUMNS, dtype=str))
    """Files that could not become a row: path, reason (a fixed phrase to count by), detail."""
    notes: tuple[str, ...] = ()
    """What a reader of it has to know: merged duplicates, folders that no condition claims, with counts."""

    def __len__(self) -> int:
        return len(self.table)


def catalog_columns(label_map: LabelMap) -> tuple[str, ...]:
    """The columns of a catalog, in order."""
    return (*LEADING_COLUMNS, *label_map.codes, *TRAILING_COLUMNS)


def state_column(states: Iterable[float] | NDArray[np.number]) -> pd.Categorical:
    """Numeric states (n,) as a condition column; NaN is unknown, and any other number no state at all."""
    values = np.asarray(states, dtype=np.float64)
    known = [values == PRESENT, values == ABSENT, (values == UNKNOWN) | np.isnan(values)]
    return pd.Categorical.from_codes(np.select(known, [0, 1, 2], -1), dtype=STATES)


def targets(table: pd.DataFrame, label_map: LabelMap) -> NDArray[np.int8]:
    """The condition columns as numeric states, (recordings, conditions) in the order of the label map."""
    if not len(table):
        return np.empty((0, len(label_map)), dtype=np.int8)
    codes = [pd.Categorical(table[code], dtype=STATES).codes for code in label_map.codes]
    return _STATE_OF_CATEGORY[np.stack(codes, axis=1)]


def build_table(rows: Sequence[Mapping[str, object]] | pd.DataFrame, label_map: LabelMap) -> pd.DataFrame:
    """Rows in any column order as a catalog table: typed, ordered by ``recording``, absent columns filled.

    Condition columns may be numeric states or their names; where one is absent or NaN, it is unknown. A patient whose
    name is not the recording's is taken as known where ``patient_known`` does not say.

    Raises:
        CatalogError: as :func:`validate`.
    """
    given = pd.DataFrame(rows)
    table = pd.DataFrame(index=given.index)
    for column in catalog_columns(label_map):
        values = given.get(column)
        if column in label_map.codes:
            table[column] = _as_states(values, len(given))
        elif column == "patient_known":
            told = table["patient"] != given.get("recording", "")
            table[column] = (told if values is None else values.where(values.notna(), told)).astype(bool)
        elif column in NUMBER_COLUMNS:
            table[column] = np.nan if values is None else pd.to_numeric(values)
            if NUMBER_COLUMNS[column] is not np.int64 or table[column].notna().all():
                table[column] = table[column].astype(NUMBER_COLUMNS[column])
        else:
            table[column] = pd.Series("", index=given.index, dtype=str) if values is None else values.astype(str)
    table = table.sort_values("recording", ignore_index=True)
    validate(table, label_map)
    return table


def _as_states(values: pd.Series | None, n: int) -> pd.Categorical:
    if values is None:
        return state_column(np.full(n, UNKNOWN))
    if pd.api.types.is_numeric_dtype(values.dtype):
        return state_column(values.to_numpy())
    return pd.Categorical(values.fillna(STATE_NAMES[UNKNOWN]), dtype=STATES)


def validate(table: pd.DataFrame, label_map: LabelMap) -> None:
    """Check that a table is a catalog of this label map.

    Raises:
        CatalogError: naming every column that is missing, and every one that holds what it must not, with a
            count and the first row at fault.
    """
    problems = []
    expected = catalog_columns(label_map)
    missing = [column for column in expected if column not in table.columns]
    if missing:
        raise CatalogError(
            f"no column {', '.join(missing)} among {', '.join(map(str, table.columns))}; "
            f"a catalog of label map '{label_map.name}' has {', '.join(expected)}"
        )

    def report(wrong: pd.Series, column: str, rule: str) -> None:
        if wrong.any():
            row = table.iloc[int(wrong.to_numpy().argmax())]
            problems.append(
                f"{column}: {int(wrong.sum())} row(s) {rule}, the first {row[column]!r} ({row['recording']})"
            )

    for column in ("recording", "dataset", "path", "patient"):
        report(table[column].isna() | (table[column] == ""), column, "are empty")
    report(table["recording"].duplicated(), "recording", "repeat a name")
    report(~(table["sampling_rate"] > 0), "sampling_rate", "are no positive frequency")
    report(~(table["samples"] > 0), "samples", "are no positive number")
    report((table["age"] < 0) | (table["age"] > 150), "age", "are no age in years")
    report(~table["sex"].isin(_SEXES), "sex", "are neither female, male nor empty")
    for code in label_map.codes:
        report(~table[code].isin(STATES.categories), code, "are neither present, absent nor unknown")
    if problems:
        raise CatalogError("not a catalog: " + "; ".join(problems))


def existing_folder(folder: Path | str, what: str, advice: str) -> Path:
    """The absolute path of a folder that has to be there.

    Raises:
        FolderNotFoundError: which names what was looked for, where, and the advice what to do.
    """
    absolute = Path(folder).expanduser().absolute()
    if absolute.is_dir():
        return absolute
    found = "a file is there" if absolute.exists() else "there is no such folder"
    raise FolderNotFoundError(f"no folder of {what}: looked in {absolute}, but {found}. {advice}")


def skipped_table(errors: Iterable[UnreadableRecordingError]) -> pd.DataFrame:
    """What was skipped, one row per file, ordered by path."""
    rows = sorted((error.path or "", error.reason, error.detail) for error in errors)
    return pd.DataFrame(rows, columns=SKIPPED_COLUMNS, dtype=str)


def merge_catalogs(catalogs: Sequence[Catalog], label_map: LabelMap) -> Catalog:
    """Several catalogs of the same label map as one.

    Raises:
        CatalogError: if a recording's name stands in two of them.
    """
    if not catalogs:
        raise ValueError("no catalog to merge")
    table = pd.concat([catalog.table for catalog in catalogs], ignore_index=True)
    repeated = table.loc[table["recording"].duplicated(), "recording"]
    if len(repeated):
        raise CatalogError(
            f"{len(repeated)} recording(s) stand in two catalogs, the first {repeated.iloc[0]}; "
            "give each catalog a dataset name of its own"
        )
    validate(table, label_map)
    skipped = pd.concat([catalog.skipped for catalog in catalogs], ignore_index=True)
    return Catalog(table, skipped, tuple(note for catalog in catalogs for note in catalog.notes))


def count_conditions(table: pd.DataFrame, label_map: LabelMap, by: str = "dataset") -> pd.DataFrame:
    """How many recordings state each condition: one row per dataset (or another column's value), one column per
    condition.

    The last column, ``recordings``, counts recordings, of which one may state several conditions or none.
    """
    present = pd.DataFrame(targets(table, label_map) == PRESENT, columns=list(label_map.codes))
    present["recordings"] = True
    return present.groupby(table[by].to_numpy(), sort=True).sum().rename_axis(index=by)


def source_of(table: pd.DataFrame) -> pd.Series:
    """The finest name of where a recording comes from: its constituent, or without one its dataset."""
    constituent = table["constituent"].astype(str)
    return constituent.where(constituent != "", table["dataset"].astype(str))


def unknown_patients(table: pd.DataFrame) -> pd.Series:
    """Source to the number of its recordings whose patient is unknown, without sources that have none."""
    if "patient_known" not in table:
        return pd.Series(dtype=int)
    return source_of(table)[~table["patient_known"].astype(bool)].value_counts().sort_index()


def label_patterns(table: pd.DataFrame, label_map: LabelMap) -> dict[str, dict[str, int]]:
    """Which conditions recordings have together, by source: source to pattern to number of recordings.

    A source is a constituent, or a dataset without any. A pattern is the conditions that are present (``NORM + RBBB``)
    or, where none is, ``none present``, or ``none known``. Sources stand in alphabetical order, the patterns of each by
    their number, the largest first. For what a task leaves out: the same ECG may have one condition in a source that
    does not write down the other, and two in another.
    """
    states = targets(table, label_map)
    names = np.array(label_map.codes, dtype=object)
    distinct, which = np.unique(states, axis=0, return_inverse=True)
    texts = [
        " + ".join(names[row == PRESENT]) or ("none known" if (row == UNKNOWN).all() else "none present")
        for row in distinct
    ]
    source = source_of(table)
    pattern = np.array(texts, dtype=object)[which.ravel()] if len(table) else np.array([], dtype=object)
    counts: dict[str, dict[str, int]] = {}
    for name, part in pd.Series(pattern, index=table.index).groupby(source.to_numpy(dtype=object), sort=True):
        found = part.value_counts().sort_index().sort_values(ascending=False, kind="stable")
        counts[str(name)] = {str(text): int(n) for text, n in found.items()}
    return counts


def describe_counts(table: pd.DataFrame, label_map: LabelMap) -> str:
    """The counts of :func:`count_conditions`, with a line of totals, as text for a log."""
    counts = count_conditions(table, label_map)
    counts.loc["total"] = counts.sum()
    return str(counts.to_string())
