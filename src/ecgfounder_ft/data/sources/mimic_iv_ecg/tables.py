"""The catalog of MIMIC-IV-ECG from two of its tables, without a look into its 800,035 headers.

``record_list.csv`` names the recordings and their patients, ``machine_measurements.csv`` holds up to 18 report lines
each, from which the labels are read. Its measurement columns, with their sentinels (29999, 65535), are not used. Age
and sex are not part of the open dataset and stay empty. Apart from the settings, so that these are known without
importing pandas and pyarrow, which nearly every function here needs.
"""

import csv
import gzip
import logging
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv
from numpy.typing import NDArray

from ecgfounder_ft.data.catalog import SKIPPED_COLUMNS, Catalog, CatalogError, build_table, existing_folder
from ecgfounder_ft.data.sources.mimic_iv_ecg import MIMIC_IV_ECG
from ecgfounder_ft.data.sources.mimic_iv_ecg.report_statements import (
    evidence_of_reports,
    normalise,
    read_lines,
    states_of_reports,
)
from ecgfounder_ft.labels import UNKNOWN, LabelMap

logger = logging.getLogger(__name__)

SAMPLING_RATE = 500.0
"""Hz, of every recording, as the dataset's page states."""
SAMPLES = 5000
"""Per lead, of every recording: 10 seconds."""

_RECORD_LIST = "record_list.csv"
_RECORD_COLUMNS = ("subject_id", "study_id", "path")
_MEASUREMENTS = "machine_measurements.csv"
_REPORT_COLUMNS = tuple(f"report_{index}" for index in range(18))
_OUTSIDE = r"^[/~\\]|^[A-Za-z]:|(?:^|[/\\])\.\.(?:[/\\]|$)"
"""A path that is absolute or climbs out of its folder."""
_THREADS = 8


def read_mimic_iv_ecg(root: Path | str, label_map: LabelMap, *, check_files: bool = True) -> Catalog:
    """Catalog of MIMIC-IV-ECG as downloaded.

    Rows that cannot be used are skipped with their reason: a study listed twice, a number or a path that is
    none, subjects that disagree between the tables, and with ``check_files`` recordings that were not
    downloaded. Where no waveform was downloaded at all, the catalog lists every recording and says so in its
    notes.

    Args:
        root: the folder that holds ``record_list.csv`` and ``machine_measurements.csv`` (also gzipped).
        label_map: the conditions and the patterns of their report lines.
        check_files: whether to look for each recording's ``.hea`` and ``.dat``.

    Raises:
        FolderNotFoundError: if ``root`` does not exist.
        CatalogError: if a table is missing, is no CSV, or lacks a column.
    """
    folder = existing_folder(
        root, "MIMIC-IV-ECG", f"Set data.mimic_iv_ecg.root to the folder that holds {_RECORD_LIST}"
    )
    notes: list[str] = []
    records, skipped = _read_records(folder, notes)
    studies, subjects, lines, texts = _read_reports(folder, notes)
    readings = read_lines([normalise(text) for text in texts], label_map)
    states = states_of_reports(lines, readings, label_map)
    evidence = evidence_of_reports(lines, texts, readings, states, label_map)

    order = np.argsort(studies, kind="stable")
    wanted = records["study_id"].to_numpy()
    place = np.searchsorted(studies[order], wanted)
    row = order[np.minimum(place, len(order) - 1)] if len(order) else np.zeros(len(wanted), dtype=np.intp)
    found = np.zeros(len(wanted), dtype=bool)
    if len(order):
        found = studies[row] == wanted
        disagree = found & (subjects[row] != records["subject_id"].to_numpy())
        skipped.append(
            _skip(records["path"][disagree], f"subject_id differs between {_RECORD_LIST} and {_MEASUREMENTS}")
        )
        records, row, found = records[~disagree], row[~disagree], found[~disagree]
    if not found.all():
        notes.append(
            f"{MIMIC_IV_ECG}: {int((~found).sum())} recording(s) have no row in {_MEASUREMENTS}; "
            "each of their conditions is unknown"
        )

    headers = str(folder) + "/" + records["path"] + ".hea"
    if check_files:
        there, note = _downloaded(folder, records["path"])
        if note:
            notes.append(note)
        missing = headers[~there]
        skipped.append(_skip(missing, "recording is not downloaded", "no .hea and .dat of that name"))
        records, row, found, headers = records[there], row[there], found[there], headers[there]

    recording = MIMIC_IV_ECG + "/" + records["path"].str.rsplit("/", n=1).str[-1]
    columns: dict[str, object] = {
        "recording": recording,
        "dataset": MIMIC_IV_ECG,
        "path": headers,
        "patient": MIMIC_IV_ECG + "/" + records["subject_id"].astype(str),
        "sampling_rate": SAMPLING_RATE,
        "samples": SAMPLES,
        "evidence": np.where(found, evidence[row], "") if len(evidence) else "",
    }
    for index, code in enumerate(label_map.codes):
        columns[code] = np.where(found, states[row, index], UNKNOWN) if len(states) else UNKNOWN
    table = build_table(pd.DataFrame(columns, index=records.index), label_map)
    for note in notes:
        logger.warning(note)
    left_out = pd.concat(skipped, ignore_index=True)
    if len(left_out):
        logger.warning(
            "%s: %d row(s) skipped: %s", MIMIC_IV_ECG, len(left_out), left_out["reason"].value_counts().to_dict()
        )
    return Catalog(table, left_out, tuple(notes))


def _read_records(folder: Path, notes: list[str]) -> tuple[pd.DataFrame, list[pd.DataFrame]]:
    """Usable rows of the record list (subject_id, study_id as int64, path without suffix), and the others."""
    table = _read_csv(folder, _RECORD_LIST, dict.fromkeys(_RECORD_COLUMNS, pa.string()), notes)
    records = pd.DataFrame({name: table[name].to_pandas() for name in _RECORD_COLUMNS}).fillna("")
    records["path"] = records["path"].str.strip().str.removesuffix(".hea").str.removeprefix("./")
    skipped = []
    for column in ("subject_id", "study_id"):
        number = pd.Series(_whole_numbers(records[column]), index=records.index)
        wrong = number < 0
        skipped.append(
            _skip(records["path"][wrong], f"{column} is no number", "found " + records[column][wrong].map(repr))
        )
        records = records.assign(**{column: number})[~wrong]
    for wrong, reason in (
        (records["path"] == "", "no path"),
        (records["path"].str.contains(_OUTSIDE), "path outside the dataset"),
        (records["study_id"].duplicated() | records["path"].duplicated(), "study is listed twice"),
    ):
        skipped.append(_skip(records["path"][wrong], reason, "study " + records["study_id"][wrong].astype(str)))
        records = records[~wrong[records.index]]
    return records, skipped


def _read_reports(
    folder: Path, notes: list[str]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int32], list[str]]:
    """Study and subject of each report, its lines (reports, 18) as positions, and the distinct lines."""
    words = pa.dictionary(pa.int32(), pa.string())
    types = {"subject_id": pa.string(), "study_id": pa.string(), **dict.fromkeys(_REPORT_COLUMNS, words)}
    table = _read_csv(folder, _MEASUREMENTS, types, notes)
    studies = _whole_numbers(table["study_id"].to_pandas().fillna(""))
    subjects = _whole_numbers(table["subject_id"].to_pandas().fillna(""))
    position: dict[str, int] = {}
    texts: list[str] = []
    lines = np.full((table.num_rows, len(_REPORT_COLUMNS)), -1, dtype=np.int32)
    for column, name in enumerate(_REPORT_COLUMNS):
        array = table[name].combine_chunks()
        array = array.chunk(0) if isinstance(array, pa.ChunkedArray) and array.num_chunks else array
        if not len(array):
            continue
        codes = np.full(len(array.dictionary) + 1, -1, dtype=np.int32)  # the last one stands for a blank
        for index, text in enumerate(array.dictionary.to_pylist()):
            line = normalise(text)
            if line:
                if line not in position:
                    position[line] = len(texts)
                    texts.append(" ".join(text.split()))
                codes[index] = position[line]
        lines[:, column] = codes[array.indices.fill_null(len(codes) - 1).to_numpy()]

    valid = studies >= 0
    if not valid.all():
        notes.append(f"{MIMIC_IV_ECG}: {int((~valid).sum())} row(s) of {_MEASUREMENTS} have no study_id")
        studies, subjects, lines = studies[valid], subjects[valid], lines[valid]
    return *_without_repeats(studies, subjects, lines, notes), texts


def _without_repeats(
    studies: NDArray[np.int64], subjects: NDArray[np.int64], lines: NDArray[np.int32], notes: list[str]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int32]]:
    """One report per study; where several disagree, none of their lines counts."""
    repeated = pd.Series(studies).duplicated(keep=False).to_numpy()
    if not repeated.any():
        return studies, subjects, lines
    order = np.flatnonzero(repeated)[np.argsort(studies[repeated], kind="stable")]
    starts = np.flatnonzero(np.r_[True, studies[order][1:] != studies[order][:-1]])
    disagreeing = 0
    for group in np.split(order, starts[1:]):
        if (lines[group] != lines[group[0]]).any():
            lines[group] = -1
            disagreeing += 1
    notes.append(
        f"{MIMIC_IV_ECG}: {len(starts)} studies have several rows in {_MEASUREMENTS}, of which {disagreeing} "
        "disagree; each condition of those is unknown"
    )
    first = ~pd.Series(studies).duplicated().to_numpy()
    return studies[first], subjects[first], lines[first]


def _read_csv(folder: Path, name: str, types: dict[str, pa.DataType], notes: list[str]) -> pa.Table:
    """Some columns of a table; rows with too many or too few fields are left out and counted."""
    file = next((path for path in (folder / name, folder / f"{name}.gz") if path.is_file()), None)
    if file is None:
        raise CatalogError(f"no {name} in {folder}; download it from https://physionet.org/content/mimic-iv-ecg/1.0/")
    opened = gzip.open if file.suffix == ".gz" else open
    with opened(file, "rt", encoding="utf-8-sig", errors="replace", newline="") as stream:
        header = next(csv.reader(stream), [])
    missing = [column for column in types if column not in header]
    if missing:
        raise CatalogError(f"{file}: no column {', '.join(missing)} among {', '.join(header) or 'none'}")
    ragged = 0

    def leave_out(row: pyarrow.csv.InvalidRow) -> str:
        nonlocal ragged
        ragged += 1
        return "skip"

    try:
        table = pyarrow.csv.read_csv(
            file,
            parse_options=pyarrow.csv.ParseOptions(invalid_row_handler=leave_out),
            convert_options=pyarrow.csv.ConvertOptions(
                include_columns=list(types), column_types=types, strings_can_be_null=True, check_utf8=False
            ),
        )
    except (pa.ArrowException, OSError) as error:
        raise CatalogError(f"{file} cannot be read as CSV: {error}") from error
    if ragged:
        notes.append(f"{MIMIC_IV_ECG}: {ragged} row(s) of {name} have not {len(header)} fields and are left out")
    return table


def _whole_numbers(values: pd.Series) -> NDArray[np.int64]:
    """Positive whole numbers, -1 where a value is none."""
    numbers = pd.to_numeric(values, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    whole = np.isfinite(numbers) & (numbers > 0) & (numbers == np.floor(numbers)) & (numbers < 2**53)
    return np.where(whole, numbers, -1).astype(np.int64)


def _skip(paths: pd.Series, reason: str, detail: str | pd.Series = "") -> pd.DataFrame:
    rows = pd.DataFrame({"path": paths.astype(str), "reason": reason, "detail": detail}, index=paths.index)
    return rows[list(SKIPPED_COLUMNS)]


def _downloaded(folder: Path, paths: pd.Series) -> tuple[NDArray[np.bool_], str]:
    """Which recordings are there, and a note where none was downloaded at all."""
    tops = paths.str.split("/", n=1).str[0].unique()
    if len(paths) and not any((folder / top).exists() for top in tops):
        return np.ones(len(paths), dtype=bool), (
            f"{MIMIC_IV_ECG}: no waveforms in {folder} ({', '.join(tops[:3])} is not there); every recording of "
            f"{_RECORD_LIST} is listed all the same"
        )
    stems = [f"{folder}/{path}" for path in paths]

    def exist(part: Sequence[str]) -> list[bool]:
        return [os.path.exists(f"{stem}.hea") and os.path.exists(f"{stem}.dat") for stem in part]  # noqa: PTH110

    size = 10_000
    with ThreadPoolExecutor(_THREADS) as threads:  # network drives answer many questions at once
        answers = threads.map(exist, (stems[start : start + size] for start in range(0, len(stems), size)))
        return np.array([answer for part in answers for answer in part], dtype=bool), ""
