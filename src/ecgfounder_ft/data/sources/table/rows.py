"""Reading a user's own table: which of its columns mean what, and which of its rows can be used.

It needs ``path`` (the file by which each recording is known) and at least one condition of the label map, with
``present``, ``absent``, ``unknown``, ``1``, ``0`` or nothing. The other columns of
:mod:`ecgfounder_ft.data.catalog` are optional. Apart from the settings, so that these are known without importing
pandas.
"""

import difflib
import logging
import os
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from ecgfounder_ft.data.catalog import (
    LEADING_COLUMNS,
    MISSING,
    TRAILING_COLUMNS,
    Catalog,
    CatalogError,
    build_table,
    skipped_table,
)
from ecgfounder_ft.data.recording_facts import RecordingFacts, facts_of, parse_age, parse_sex
from ecgfounder_ft.data.sources.table.label_lists import column_of_labels, with_condition_columns
from ecgfounder_ft.ecg.description import NOTHING_STATED, SignalDescription
from ecgfounder_ft.ecg.formats import formats
from ecgfounder_ft.ecg.recording import UnreadableRecordingError
from ecgfounder_ft.labels import ABSENT, PRESENT, UNKNOWN, LabelMap

logger = logging.getLogger(__name__)

_IGNORED = ("split",)
"""Columns of tables that this package writes, which are no part of a catalog."""

_STATES = {
    "present": PRESENT,
    "1": PRESENT,
    "1.0": PRESENT,
    "true": PRESENT,
    "yes": PRESENT,
    "absent": ABSENT,
    "0": ABSENT,
    "0.0": ABSENT,
    "false": ABSENT,
    "no": ABSENT,
    "unknown": UNKNOWN,
    "-1": UNKNOWN,
    "-1.0": UNKNOWN,
    "": UNKNOWN,
}


def read_table(
    path: Path | str,
    label_map: LabelMap,
    root: Path | str | None = None,
    stated: SignalDescription = NOTHING_STATED,
    labels_column: str | None = None,
) -> Catalog:
    """Catalog of a user's own table.

    Rows without a usable path, with one outside the root, listed twice, or whose recording cannot be read are
    skipped with their reason. Ages, sexes and folds that cannot be read become unknown, and recordings without a
    patient their own patient; both are counted in the notes. Sampling rate and length are read from the
    recordings, and age and sex too where the table has no such column.

    Args:
        path: a CSV or Parquet file.
        label_map: the conditions that its columns may name; one without a column is unknown throughout.
        root: the folder that relative paths start from and that no path may leave. Without it, they start
            from the table's own folder, and absolute paths may lie anywhere.
        stated: rate, unit and leads for files that do not say them.
        labels_column: a column that lists the labels of each recording, in place of one column per condition.

    Raises:
        CatalogError: if the file cannot be read, has no ``path`` or no condition, a column looks like a
            condition that is not in the label map, or a condition holds something else than a state.
    """
    file = Path(path).expanduser().absolute()
    given, notes = _checked(file, label_map, labels_column)
    states = {code: _states(given, code, file) for code in label_map.codes if code in given}
    dataset = given["dataset"].where(given["dataset"] != "", file.stem) if "dataset" in given else file.stem
    rows = pd.DataFrame({"dataset": dataset}, index=given.index).assign(**states)
    rows["constituent"] = given.get("constituent", "")
    rows["evidence"] = given.get("evidence", file.name)

    folder = file.parent if root is None else Path(root).expanduser().absolute()
    rows["path"], named, skipped = _headers(given["path"], folder, allow_absolute=root is None)
    rows["recording"] = rows["dataset"] + "/" + named
    if "recording" in given:
        rows["recording"] = given["recording"].where(given["recording"] != "", rows["recording"])
    usable = rows["path"] != ""
    content = [*label_map.codes, "patient", "recording"]
    first = _first_of_each(rows.loc[usable, "path"], given[[c for c in content if c in given]], skipped)
    rows = rows.loc[first]
    rows = _without_repeated_names(rows, skipped)

    reading = facts_of([Path(file) for file in rows["path"]], stated=stated)
    facts = {entry.path: entry for entry in reading.facts}
    rows = rows[rows["path"].isin(facts.keys())]
    headers = [facts[header] for header in rows["path"]]
    rows["sampling_rate"] = [entry.sampling_rate for entry in headers]
    rows["samples"] = [entry.samples for entry in headers]
    rows["patient"] = _patients(given, rows, notes)
    rows["patient_known"] = _patients_known(given.loc[rows.index])
    rows["age"], rows["sex"], rows["fold"] = _person(given.loc[rows.index], headers, notes)
    notes = [f"{file.name}: {note}" for note in notes]
    for note in notes:
        logger.warning(note)
    return Catalog(build_table(rows, label_map), skipped_table([*skipped, *reading.errors]), tuple(notes))


def require_columns(path: Path | str, label_map: LabelMap, minimum: int, labels_column: str | None = None) -> None:
    """Refuse a table whose columns cannot be meant, before its recordings are looked at.

    Args:
        path: a CSV or Parquet file.
        label_map: the conditions that its columns may name.
        minimum: recordings of each condition that will be asked for; with 0, conditions may have no column.
        labels_column: a column that lists the labels of each recording.

    Raises:
        CatalogError: that says what to do.
    """
    file = Path(path).expanduser().absolute()
    given, _ = _checked(file, label_map, labels_column)
    missing = [code for code in label_map.codes if code not in given]
    if missing and minimum > 0:
        there = [code for code in label_map.codes if code in given]
        raise CatalogError(
            f"{file}: no column for {', '.join(missing)} of label map '{label_map.name}', which needs {minimum} "
            f"recording(s) of each. If {', '.join(there)} are all that you want, write them into "
            "configs/labels/mine.yaml and type labels=mine (docs/data.md)"
        )


def _checked(file: Path, label_map: LabelMap, labels_column: str | None) -> tuple[pd.DataFrame, list[str]]:
    """Read a table whose columns can be meant, with one column per condition, and what is to be noted of it."""
    given = _read_file(file)
    if labels_column is None:
        return given, _check_columns(given, file, label_map)
    given, notes = with_condition_columns(given, labels_column, label_map, file)
    return given, [*_check_columns(given, file, label_map), *notes]


def _read_file(file: Path) -> pd.DataFrame:
    """All columns as text, blanks and missing values as empty text."""
    if not file.is_file():
        raise CatalogError(
            f"no table {file}; give a CSV or Parquet file with the column path and one column per condition"
        )
    try:
        if file.suffix.casefold() in {".parquet", ".pq"}:
            table = pd.read_parquet(file)
            table = table.astype(object).where(table.notna(), "").astype(str)
        else:
            with file.open("rb") as stream:
                encoding = "utf-16" if stream.read(2) in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
            table = pd.read_csv(file, dtype=str, keep_default_na=False, encoding=encoding, skipinitialspace=True)
    except UnicodeDecodeError as error:
        raise CatalogError(
            f"{file}: byte {error.object[error.start]:#04x} at position {error.start} is not UTF-8. Save the table as "
            "UTF-8 (pandas: to_csv(..., encoding='utf-8'))"
        ) from error
    except (ValueError, OSError, pa.ArrowException) as error:
        raise CatalogError(f"{file} cannot be read as a table: {error}") from error
    if len(table.columns) == 1 and (separator := _separator_in(str(table.columns[0]))):
        raise CatalogError(
            f"{file}: its columns are separated by {separator}, expected commas. Save it as CSV with commas "
            "(pandas: to_csv(..., sep=','))"
        )
    if table.empty:
        raise CatalogError(f"{file}: no row below the names of the columns; expected one for each recording")
    table = table.apply(lambda column: column.str.strip()).rename(columns=lambda name: str(name).strip())
    if "patient" not in table and "patient_id" in table:  # as PTB-XL and others call it
        table = table.rename(columns={"patient_id": "patient"})
    return table.mask(table.apply(lambda column: column.str.casefold().isin(MISSING)), "")


def _separator_in(line: str) -> str:
    """Name of what most likely separates the names in a line that no comma separates; empty where nothing does."""
    names = {";": "semicolons", "\t": "tabs", "|": "bars"}
    return next((name for mark, name in names.items() if mark in line), "")


def _check_columns(given: pd.DataFrame, file: Path, label_map: LabelMap) -> list[str]:
    """Refuse a table whose columns cannot be meant, and note those that are not used."""
    documented = (*LEADING_COLUMNS, *label_map.codes, *TRAILING_COLUMNS)
    unused = []
    for column in given.columns:
        if column in documented or column.startswith("Unnamed:"):
            continue
        values = given[column].str.casefold()
        close = _closest(column, label_map, documented)
        if close or ((values != "").any() and column not in _IGNORED and values.isin(_STATES.keys()).all()):
            meant = f"did you mean '{close}'?" if close else "remove it, or use a label map that has it."
            raise CatalogError(
                f"{file}: column '{column}' is no condition of label map '{label_map.name}' "
                f"({', '.join(label_map.codes)}): {meant}"
            )
        unused.append(column)
    if given.columns.duplicated().any():
        raise CatalogError(f"{file}: column '{given.columns[given.columns.duplicated()][0]}' stands there twice")
    if "path" not in given:
        raise CatalogError(f"{file}: no column 'path' among {', '.join(given.columns)}")
    if not any(code in given for code in label_map.codes):
        listed = column_of_labels(given.drop(columns="path"), label_map)
        advice = f". If column '{listed}' lists the labels of each recording, type data.labels_column={listed}"
        raise CatalogError(
            f"{file}: no condition among {', '.join(given.columns)}; expected some of {', '.join(label_map.codes)}"
            + (advice if listed else "")
        )
    notes = [f"no column for {code}; it is unknown in every recording" for code in label_map.codes if code not in given]
    return notes + ([f"columns {', '.join(unused)} are not used"] if unused else [])


def _closest(column: str, label_map: LabelMap, documented: tuple[str, ...]) -> str:
    """The documented column that an undocumented one most likely means, or empty."""
    if column in _IGNORED:
        return ""
    meant = {name.casefold(): name for name in documented}
    for code, condition in label_map.conditions.items():
        for alias in (condition.name, *condition.folders, *condition.words):
            meant.setdefault(alias.casefold(), code)
    close = difflib.get_close_matches(column.casefold(), list(meant), n=1, cutoff=0.75)
    return meant[close[0]] if close else ""


def _states(given: pd.DataFrame, code: str, file: Path) -> pd.Series:
    values = given[code].str.casefold()
    wrong = ~values.isin(_STATES.keys())
    if wrong.any():
        row = int(wrong.to_numpy().argmax())
        raise CatalogError(
            f"{file}: {int(wrong.sum())} value(s) of {code} are no state, the first {given[code].iloc[row]!r} "
            f"in row {row + 1}; expected present, absent, unknown, 1, 0 or nothing"
        )
    return values.map(_STATES)


def _headers(
    paths: pd.Series, folder: Path, *, allow_absolute: bool
) -> tuple[pd.Series, pd.Series, list[UnreadableRecordingError]]:
    """The absolute file of each row (empty where there is none), its name below the folder, and what is wrong.

    For WFDB that is the header, whatever of the recording is named, and the name is without suffix.
    """
    headers, names, skipped = [], [], []
    top = os.path.normpath(folder)
    for text in paths:
        header = name = ""
        if not text:
            skipped.append(UnreadableRecordingError("no path", "the row names no file"))
        else:
            if "\\" in text and not Path(folder, text).exists():  # written on Windows
                text = text.replace("\\", "/")
            full = os.path.normpath(Path(folder, text))
            inside = full.startswith(os.path.join(top, ""))  # noqa: PTH118
            if inside or (allow_absolute and Path(text).is_absolute()):
                stem, suffix = os.path.splitext(full)  # noqa: PTH122
                wfdb = suffix in {".hea", ".dat", ".mat"} or suffix.casefold() not in formats()
                stem = stem if suffix in {".hea", ".dat", ".mat"} else full
                header = f"{stem}.hea" if wfdb else full
                name = os.path.relpath(stem, top) if inside else stem.lstrip(os.sep)
            else:
                skipped.append(UnreadableRecordingError("path outside its root", f"the root is {top}", full))
        headers.append(header)
        names.append(name)
    index = paths.index
    return pd.Series(headers, index=index, dtype=str), pd.Series(names, index=index, dtype=str), skipped


def _without_repeated_names(rows: pd.DataFrame, skipped: list[UnreadableRecordingError]) -> pd.DataFrame:
    """Leave out the recordings whose name stands in several rows."""
    repeated = rows["recording"].duplicated(keep=False)
    skipped += [
        UnreadableRecordingError("recording name is used twice", f"found {name}", header)
        for name, header in zip(rows.loc[repeated, "recording"], rows.loc[repeated, "path"], strict=True)
    ]
    return rows[~repeated]


def _first_of_each(
    headers: pd.Series, content: pd.DataFrame, skipped: list[UnreadableRecordingError]
) -> "pd.Index[int]":
    """Rows to keep: of a path that is listed several times the first, or none if its rows disagree."""
    repeated = headers[headers.duplicated(keep=False)]
    drop: list[int] = []
    for header, rows in repeated.groupby(repeated).groups.items():
        agree = len(content.loc[rows].drop_duplicates()) == 1
        left_out = rows[1:] if agree else rows
        drop.extend(left_out)
        detail = "with the same content" if agree else "with different content; none of its rows is used"
        skipped += [UnreadableRecordingError("path is listed twice", detail, str(header)) for _ in left_out]
    return headers.index.difference(drop)


def _patients(given: pd.DataFrame, rows: pd.DataFrame, notes: list[str]) -> pd.Series:
    named = given["patient"].loc[rows.index] if "patient" in given else pd.Series("", index=rows.index, dtype=str)
    blank = named == ""
    named = _one_spelling(named, notes)
    if blank.any():
        notes.append(
            f"{int(blank.sum())} recording(s) name no patient; each is taken as a patient of its own, "
            "so that one person's recordings may fall on different sides of a split"
        )
    prefixed = [
        name if name.startswith(f"{dataset}/") else f"{dataset}/{name}"
        for name, dataset in zip(named, rows["dataset"], strict=True)
    ]
    return pd.Series(prefixed, index=rows.index, dtype=str).where(~blank, rows["recording"])


def _one_spelling(named: pd.Series, notes: list[str]) -> pd.Series:
    """Name each patient as first spelt: ids that are equal as numbers, or but for case, are one person's."""
    first: dict[str, str] = {}
    spelt = named.map(lambda name: first.setdefault(_patient_key(name), name))
    others = spelt != named
    if others.any():
        one = int(others.to_numpy().argmax())
        notes.append(
            f"{named[others].nunique()} patient(s) are spelt in several ways, such as {spelt.iloc[one]!r} and "
            f"{named.iloc[one]!r}; each is taken as one"
        )
    return spelt


def _patient_key(name: str) -> str:
    """The part of a patient's id that tells it from others.

    >>> _patient_key("0123"), _patient_key("123.0"), _patient_key("P1"), _patient_key("1.5")
    ('123', '123', 'p1', '1.5')
    """
    whole = re.fullmatch(r"0*([0-9]+)(?:\.0*)?", name)
    return whole[1] if whole else name.casefold()


def _patients_known(given: pd.DataFrame) -> pd.Series:
    """Whether each row names a patient, and does not say itself that this is none."""
    known = given["patient"] != "" if "patient" in given else pd.Series(False, index=given.index)
    if "patient_known" in given:
        known &= ~given["patient_known"].str.casefold().isin({"false", "0", "0.0"})
    return known


def _person(
    given: pd.DataFrame, headers: list[RecordingFacts], notes: list[str]
) -> tuple[pd.Series, pd.Series, pd.Series]:
    """Age, sex and fold from the table, age and sex from the headers where it has no such column."""
    index = given.index
    age = pd.Series([entry.age for entry in headers], index=index, dtype=float)
    sex = pd.Series([entry.sex for entry in headers], index=index, dtype=str)
    fold = pd.Series(np.nan, index=index)
    if "age" in given:
        age = given["age"].map(parse_age)
        _note_losses(given["age"], age.isna(), notes)
    if "fold" in given:
        fold = pd.to_numeric(given["fold"], errors="coerce")
        _note_losses(given["fold"], fold.isna(), notes)
    if "sex" in given:
        coded = given["sex"].str.removesuffix(".0")
        if coded.isin({"0", "1", ""}).all() and coded.isin({"0", "1"}).any():
            notes.append("sex is coded by 0 and 1, and read as PTB-XL has it: 0 male, 1 female")
            sex = coded.map({"0": "male", "1": "female", "": ""})
        else:
            sex = given["sex"].map(parse_sex)
        _note_losses(given["sex"], sex == "", notes)
    return age, sex, fold


def _note_losses(values: pd.Series, lost: pd.Series, notes: list[str]) -> None:
    wrong = values[lost & (values != "")]
    if len(wrong):
        notes.append(
            f"{len(wrong)} value(s) of {values.name} cannot be read, the first {wrong.iloc[0]!r}; unknown there"
        )
