"""The catalog of PTB-XL from ``ptbxl_database.csv`` and ``scp_statements.csv``, without a look into its headers.

Wagner et al. 2020, Sci Data 7:154. Apart from the settings, so that these are known without importing pandas.
"""

import csv
import logging
import os
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd

from ecgfounder_ft.data.catalog import SKIPPED_COLUMNS, Catalog, CatalogError, build_table, existing_folder
from ecgfounder_ft.data.sources.ptbxl import PTBXL, PtbxlFolder
from ecgfounder_ft.data.sources.ptbxl.statements import StatedConditions, StatementReader, parse_statements
from ecgfounder_ft.labels import PRESENT, LabelMap

logger = logging.getLogger(__name__)

_DATABASE, _STATEMENTS = "ptbxl_database.csv", "scp_statements.csv"
_COLUMNS = ("ecg_id", "patient_id", "age", "sex", "scp_codes", "strat_fold")
_RATES = {"records500": (500.0, 5000, "filename_hr"), "records100": (100.0, 1000, "filename_lr")}
"""Hz, samples per lead, and the column of file names, as the dataset's page states."""
_SEXES = {"0": "male", "0.0": "male", "1": "female", "1.0": "female", "male": "male", "female": "female"}
_OUTSIDE = r"^[/~\\]|^[A-Za-z]:|(?:^|[/\\])\.\.(?:[/\\]|$)"
_WITHHELD_AGE = 300.0
_THREADS = 8


class _Rows:
    """The rows that are still used, and what was left out and has to be said on the way."""

    def __init__(self, table: pd.DataFrame) -> None:
        self.table = table
        self.skipped: list[pd.DataFrame] = []
        self.notes: list[str] = []

    def leave_out(self, wrong: pd.Series, reason: str, detail: pd.Series) -> None:
        if wrong.any():
            gone = self.table[wrong]
            rows = pd.DataFrame({"path": gone["file"], "reason": reason, "detail": detail[wrong].astype(str)})
            self.skipped.append(rows[list(SKIPPED_COLUMNS)])
            self.table = self.table[~wrong]

    def note(self, count: int, text: str) -> None:
        if count:
            self.notes.append(f"{PTBXL}: {count} recording(s) {text}")


def read_ptbxl(settings: PtbxlFolder, label_map: LabelMap) -> Catalog:
    """Catalog of PTB-XL as downloaded.

    Rows that cannot be used are skipped with their reason. An ECG may be listed twice or without a number, and its file
    name may be absent or lead out of the folder. Statements may be no dictionary, or files not downloaded. A table that
    a spreadsheet saved (semicolons, decimal commas) is read, and that is noted.

    Args:
        settings: the folder, and what of it is taken.
        label_map: the conditions and their statements.

    Raises:
        FolderNotFoundError: if the folder does not exist.
        CatalogError: if a table is missing, is no CSV or lacks a column, or there is no folder of recordings.
    """
    assert settings.root is not None
    root = existing_folder(settings.root, "PTB-XL", f"Set its root to the folder that holds {_DATABASE}")
    known = set(_read_csv(root, _STATEMENTS, ("",)).iloc[:, 0].str.strip()) - {""}
    records = _records_folder(root, settings.records)
    rate, samples, column = _RATES[records]
    rows = _Rows(_read_csv(root, _DATABASE, (*_COLUMNS, column)))
    table = rows.table
    if table.attrs["semicolons"]:
        rows.notes.append(f"{PTBXL}: {_DATABASE} was saved by a spreadsheet (semicolons); its decimal commas are read")
    if rate < 500:
        rows.notes.append(
            f"{PTBXL}: recordings of {rate:g} Hz ({records}) hold nothing above {rate / 2:g} Hz; "
            "records500 has the original ones"
        )
    table["file"] = table[column].str.replace("\\", "/", regex=False).str.removesuffix(".hea").str.removesuffix(".dat")
    _leave_out_unusable(rows, settings)
    said = _stated(rows, label_map, known)
    _leave_out_absent(rows, root, records)
    said = said[rows.table.index]
    if label_map.scp_stated_only:
        stated = said.map(lambda one: PRESENT in one.states)
        text = f"state nothing of label map '{label_map.name}' and are left out, as in the published benchmark"
        rows.note(int((~stated).sum()), text)
        rows.leave_out(~stated, "no statement of the label map", rows.table["scp_codes"].str.slice(0, 80))
        said = said[rows.table.index]
    catalog_table = build_table(_columns(rows, said, root, settings, label_map, (rate, samples)), label_map)
    for note in rows.notes:
        logger.warning(note)
    empty = pd.DataFrame(columns=SKIPPED_COLUMNS, dtype=str)
    left_out = pd.concat(rows.skipped, ignore_index=True) if rows.skipped else empty
    if len(left_out):
        logger.warning("%s: %d row(s) skipped: %s", PTBXL, len(left_out), left_out["reason"].value_counts().to_dict())
    return Catalog(catalog_table, left_out, tuple(rows.notes))


def _read_csv(root: Path, name: str, columns: Sequence[str]) -> pd.DataFrame:
    """All columns of a table as text, whether commas or semicolons part them."""
    file = root / name
    if not file.is_file():
        raise CatalogError(f"no {name} in {root}; download it from https://physionet.org/content/ptb-xl/")
    text, encoding = file.read_bytes(), "utf-8-sig"
    try:
        text.decode(encoding)
    except UnicodeDecodeError:
        encoding = "cp1252"  # what spreadsheets of Western Europe save; only report texts differ
    first = text.split(b"\n", 1)[0]
    separator = ";" if first.count(b";") > first.count(b",") else ","
    try:
        table = pd.read_csv(
            file, dtype=str, keep_default_na=False, encoding=encoding, encoding_errors="replace", sep=separator
        )
    except (ValueError, OSError, csv.Error) as error:
        raise CatalogError(f"{file} cannot be read as CSV: {error}") from error
    table = table.rename(columns=lambda column: "" if str(column).startswith("Unnamed:") else str(column).strip())
    missing = [column for column in columns if column not in table.columns]
    if missing and missing != [""]:
        raise CatalogError(f"{file}: no column {', '.join(missing)} among {', '.join(table.columns)}")
    if table.empty:
        raise CatalogError(f"{file}: no row below the names of the columns")
    table.attrs["semicolons"] = separator == ";"
    return table


def _records_folder(root: Path, wanted: str) -> str:
    there = [name for name in _RATES if (root / name).is_dir()]
    if not there or (wanted != "auto" and wanted not in there):
        looked = " or ".join(_RATES) if wanted == "auto" else wanted
        raise CatalogError(
            f"no folder {looked} in {root}, which holds {', '.join(there) or 'no recordings'}; download it from "
            "https://physionet.org/content/ptb-xl/, or choose another by data.records"
        )
    return there[0] if wanted == "auto" else wanted


def _numbers(values: pd.Series) -> pd.Series:
    """Read numbers, NaN for what is no number; a decimal comma is read as a point."""
    return pd.to_numeric(values.str.strip().str.replace(",", ".", regex=False), errors="coerce")


def _leave_out_unusable(rows: _Rows, settings: PtbxlFolder) -> None:
    """Leave out rows without a number or a usable file name, and those with a problem that the settings name."""
    number = _numbers(rows.table["ecg_id"])
    whole = number.notna() & (number > 0) & (number == np.floor(number))
    rows.leave_out(~whole, "ecg_id is no number", rows.table["ecg_id"])
    rows.table = rows.table.assign(number=number[rows.table.index].astype("int64"))
    rows.leave_out(rows.table["file"].str.strip() == "", "no file name", "ECG " + rows.table["ecg_id"])
    outside = rows.table["file"].str.contains(_OUTSIDE)
    rows.leave_out(outside, "path outside the dataset", "ECG " + rows.table["ecg_id"])
    repeated = rows.table["number"].duplicated() | rows.table["file"].duplicated()
    rows.leave_out(repeated, "ECG is listed twice", "ECG " + rows.table["ecg_id"])
    for column in settings.leave_out:
        if column not in rows.table:
            raise CatalogError(f"{_DATABASE} has no column {column}, which data.leave_out names")
        said = rows.table[column].str.strip()
        rows.note(int((said != "").sum()), f"have {column} and are left out, as data.leave_out asks")
        rows.leave_out(said != "", f"left out for {column}", said)


def _stated(rows: _Rows, label_map: LabelMap, known: set[str]) -> pd.Series:
    """What the statements of each row say, by its index."""
    reader = StatementReader(label_map)
    answers: dict[str, StatedConditions | str] = {}
    names: dict[str, list[str]] = {}
    for text in rows.table["scp_codes"].unique():
        try:
            statements = parse_statements(text)
        except ValueError as error:
            answers[text] = str(error)
            continue
        answers[text] = reader.read(statements)
        names[text] = [name for name in statements if name not in known]
    found = rows.table["scp_codes"].map(answers)
    unreadable = found.map(lambda one: isinstance(one, str))
    rows.leave_out(unreadable, "statements cannot be read", found)
    found = found[~unreadable]
    texts = rows.table["scp_codes"]
    strange: Counter[str] = Counter(name for text in texts for name in names[text])
    if strange:
        listed = ", ".join(f"{name} ({count})" for name, count in strange.most_common(5))
        rows.note(
            int(texts.map(lambda text: bool(names[text])).sum()),
            f"have statements that {_STATEMENTS} does not know, which say nothing here: {listed}",
        )
    rows.note(int(found.map(lambda one: one.unusable).sum()), "are paced; each condition is unknown")
    told = Counter(code for one in found for code in one.contradicted)
    for code, count in told.items():
        rows.note(count, f"state {code} beside what it cannot be with; there it is unknown")
    return found


def _leave_out_absent(rows: _Rows, root: Path, records: str) -> None:
    """Leave out recordings whose header or signal is not there."""
    stems = [f"{root}/{file}" for file in rows.table["file"]]

    def missing(part: Sequence[str]) -> list[str]:
        found = []
        for stem in part:
            absent = [suffix for suffix in (".hea", ".dat") if not os.path.isfile(stem + suffix)]  # noqa: PTH113 - fast
            found.append(f"no {' and no '.join(absent)}" if absent else "")
        return found

    size = 1000
    with ThreadPoolExecutor(_THREADS) as threads:  # network drives answer many questions at once
        answers = list(threads.map(missing, (stems[start : start + size] for start in range(0, len(stems), size))))
    absent = pd.Series([one for part in answers for one in part], index=rows.table.index, dtype=object)
    rows.leave_out(absent != "", "recording is not downloaded", absent + f" of that name in {records}")


def _columns(
    rows: _Rows,
    said: pd.Series,
    root: Path,
    settings: PtbxlFolder,
    label_map: LabelMap,
    form: tuple[float, int],
) -> pd.DataFrame:
    """The catalog's columns; ``form`` is the rate in Hz and the number of samples."""
    table = rows.table
    recording = PTBXL + "/" + table["number"].map("{:05d}".format)
    person = _numbers(table["patient_id"])
    rows.note(int(person.isna().sum()), "have no patient_id; each counts as a patient of its own")
    named = PTBXL + "/patient-" + person.map(lambda one: "" if np.isnan(one) else f"{one:.0f}")
    columns: dict[str, object] = {
        "recording": recording,
        "dataset": PTBXL,
        "constituent": _group(table, settings.group_by),
        "path": str(root) + "/" + table["file"] + ".hea",
        "patient": named.where(person.notna(), recording),
        "patient_known": person.notna(),
        "sampling_rate": form[0],
        "samples": form[1],
        "age": _ages(rows),
        "sex": table["sex"].str.strip().str.casefold().map(_SEXES).fillna(""),
        "fold": _numbers(table["strat_fold"]),
        "evidence": said.map(lambda one: one.evidence),
    }
    without_fold = int(columns["fold"].isna().sum())  # type: ignore[attr-defined]
    rows.note(without_fold, "have no strat_fold; split=published leaves them out")
    states = np.array([one.states for one in said], dtype=np.int8).reshape(len(said), len(label_map))
    columns |= {code: states[:, place] for place, code in enumerate(label_map.codes)}
    return pd.DataFrame(columns, index=table.index)


def _ages(rows: _Rows) -> pd.Series:
    """Read ages in years: 90 where PTB-XL withholds an age above 89 (written as 300), NaN where the age is absent."""
    ages = _numbers(rows.table["age"])
    withheld = ages == _WITHHELD_AGE
    strange = ages.notna() & ~withheld & ~ages.between(0, 120)
    rows.note(int(withheld.sum()), "have an age of 300, which stands for above 89; it is taken as 90")
    rows.note(int((ages.isna() | strange).sum()), "have no usable age")
    return ages.mask(withheld, 90.0).mask(strange)


def _group(table: pd.DataFrame, group_by: str | None) -> pd.Series | str:
    """The value that each recording is grouped by, empty where it states none."""
    if group_by is None:
        return ""
    if group_by == "signal_quality":
        from ecgfounder_ft.data.sources.ptbxl import SIGNAL_PROBLEMS

        problem = pd.Series(False, index=table.index)
        for column in SIGNAL_PROBLEMS:
            problem |= table.get(column, pd.Series("", index=table.index)).str.strip() != ""
        return problem.map({True: "problem stated", False: "no problem stated"})
    if group_by not in table:
        raise CatalogError(f"{_DATABASE} has no column {group_by}, which data.group_by names")
    values = table[group_by].str.strip().str.split().str.join(" ").str.removesuffix(".0")
    return values.where(values == "", f"{group_by} " + values)
