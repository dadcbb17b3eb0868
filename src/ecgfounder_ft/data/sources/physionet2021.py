"""The PhysioNet/Computing in Cardiology Challenge 2021 (https://physionet.org/content/challenge-2021/1.0.3/).

Labels come from the ``Dx`` line of each header: SNOMED CT codes, or words in the copies of the unofficial
phase of 2020. The line lists every diagnosis, so what it does not name is absent; an empty line says nothing.
Constituents whose labels of a condition are not to be trusted stand in the label map (``unreliable``) and
become unknown.
"""

from __future__ import annotations

import logging
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ecgfounder_ft.data.sources.downloaded import DownloadedDataset, DownloadedFolder
from ecgfounder_ft.labels import ABSENT, PRESENT, UNKNOWN, LabelMap

if TYPE_CHECKING:
    import pandas as pd

    from ecgfounder_ft.data.catalog import Catalog
    from ecgfounder_ft.data.wfdb_headers import HeaderFacts

logger = logging.getLogger(__name__)

PHYSIONET_2021 = "physionet2021"
"""The dataset's name in catalogs."""

_CONSTITUENT_OF_PREFIX = {
    "A": "cpsc_2018",
    "Q": "cpsc_2018_extra",
    "I": "st_petersburg_incart",
    "S": "ptb",
    "HR": "ptb-xl",
    "E": "georgia",
}
CONSTITUENTS: tuple[str, ...] = (*_CONSTITUENT_OF_PREFIX.values(), "chapman_shaoxing", "ningbo")
"""The collections, named as the folders of version 1.0.3."""

ONE_RECORDING_PER_PATIENT = ("chapman_shaoxing", "ningbo")
"""The collections whose publishers say so (Zheng et al. 2020, Sci Data 7:48 and Sci Rep 10:2898); of the others,
PTB-XL's patients stand in ``ptbxl_database.csv``, and those of CPSC, PTB, St Petersburg and Georgia in no file that
goes with the Challenge."""

_RECORD_NAME = re.compile(r"(?P<prefix>A|Q|I|S|HR|E|JS)(?P<number>\d+)")
_LAST_CHAPMAN = 10646
"""Chapman-Shaoxing and Ningbo share the prefix JS; Ningbo's numbers go on from here."""

_SNOMED = re.compile(r"\d{6,18}")
_WORDS = {"Normal", "AF", "I-AVB", "LBBB", "RBBB", "PAC", "PVC", "STD", "STE"}
"""Every label of CPSC 2018 (http://2018.icbeb.org/Challenge.html), which the unofficial phase kept as words."""


@dataclass(kw_only=True)
class Physionet2021Folder(DownloadedFolder):
    """The folder of the Challenge's recordings, or any part of it."""

    dataset = PHYSIONET_2021

    ptbxl_database: str | None
    """PTB-XL's ``ptbxl_database.csv``, for the patients and folds of its recordings; None: without these."""

    def read_files(self, label_map: LabelMap, header_cache: Path) -> Catalog:
        """Read the headers, of those that are remembered only new and changed ones."""
        assert self.root is not None
        return read_physionet2021(self.root, label_map, ptbxl_database=self.ptbxl_database, header_cache=header_cache)


@dataclass(kw_only=True)
class Physionet2021(Physionet2021Folder, DownloadedDataset):
    """PhysioNet/CinC Challenge 2021 alone."""

    label_origin = "SNOMED CT codes in the headers of PhysioNet/CinC 2021, as its contributors assigned them."


def constituent_of(record_name: str, folders: tuple[str, ...] = ()) -> str:
    """The collection that a recording of the Challenge belongs to, empty where neither name nor folder tells.

    The record name goes first: copies put both JS collections into one folder.

    >>> constituent_of("HR00001"), constituent_of("JS10646"), constituent_of("JS10647"), constituent_of("x")
    ('ptb-xl', 'chapman_shaoxing', 'ningbo', '')
    >>> constituent_of("renamed", ("training", "georgia", "g1"))
    'georgia'
    """
    match = _RECORD_NAME.fullmatch(record_name)
    if match is None:
        return next((folder for folder in reversed(folders) if folder in CONSTITUENTS), "")
    if match["prefix"] == "JS":
        return "chapman_shaoxing" if int(match["number"]) <= _LAST_CHAPMAN else "ningbo"
    return _CONSTITUENT_OF_PREFIX[match["prefix"]]


def read_physionet2021(
    root: Path | str,
    label_map: LabelMap,
    *,
    ptbxl_database: Path | str | None = None,
    header_cache: Path | None = None,
) -> Catalog:
    """Catalog of the Challenge's recordings, in any folders below ``root``.

    Args:
        root: the folder as downloaded, or any part of it.
        label_map: the conditions, their codes and words, and the constituents not to be trusted.
        ptbxl_database: PTB-XL's ``ptbxl_database.csv`` (https://physionet.org/content/ptb-xl/), from which
            the patients and folds of its recordings are joined; without it each of them is its own patient.
        header_cache: where to remember headers; see :func:`ecgfounder_ft.data.wfdb_headers.read_headers`.

    Raises:
        FolderNotFoundError: if ``root`` does not exist.
        CatalogError: if ``ptbxl_database`` has not the columns that it should.
    """
    from ecgfounder_ft.data.catalog import Catalog, build_table, existing_folder, skipped_table
    from ecgfounder_ft.data.wfdb_headers import copies_by_name, find_headers, read_headers, unique_name

    folder = existing_folder(
        root,
        "PhysioNet/CinC 2021 recordings",
        "Set data.physionet2021.root to the folder with the Challenge's headers (.hea)",
    )
    reading = read_headers(list(find_headers(folder)), header_cache)
    codes = label_map.code_of_snomed() | label_map.code_of_word()
    rows = []
    copies = namesakes = unstated = 0
    unreadable: Counter[str] = Counter()
    for name, recordings in copies_by_name(reading.facts).items():
        namesakes += len(recordings) - 1
        for number, (facts, *others) in enumerate(recordings):
            copies += len(others)
            constituent = constituent_of(name, Path(facts.path).relative_to(folder).parts[:-1])
            states, evidence, strange = read_diagnoses(facts.diagnoses, label_map, codes)
            unreadable.update(strange)
            unstated += not facts.diagnoses.strip(" ,")
            for code in label_map.unreliable.get(constituent, ()):
                states[code] = UNKNOWN
            recording = f"{PHYSIONET_2021}/{unique_name(name, number, facts)}"
            rows.append(_row(recording, constituent, facts, evidence) | states)
    table = build_table(rows, label_map)
    notes = [
        note
        for count, note in (
            (copies, "are copies of another, of the same name and signal, and left out"),
            (namesakes, "share a name with one of another signal; both are kept, under two names"),
            (unstated, "have an empty Dx line; each condition is unknown"),
        )
        if count
        for note in [f"{PHYSIONET_2021}: {count} recording(s) {note}"]
    ]
    if unreadable:
        notes.append(
            f"{PHYSIONET_2021}: {unreadable.total()} diagnos(es) are neither SNOMED codes nor known words "
            f"({', '.join(word for word, _ in unreadable.most_common(5))}); what these recordings do not name "
            "is unknown"
        )
    if ptbxl_database is not None:
        table, note = _join_ptbxl(table, Path(ptbxl_database))
        notes.append(note)
    elif stray := int((table["constituent"] == "ptb-xl").sum()):
        notes.append(
            f"{PHYSIONET_2021}: patient unknown in {stray} PTB-XL recording(s), whose people were recorded several "
            "times; set ptbxl_database to PTB-XL's ptbxl_database.csv (https://physionet.org/content/ptb-xl/)"
        )
    for note in notes:
        logger.warning(note)
    return Catalog(table, skipped_table(reading.errors), tuple(notes))


def read_diagnoses(
    line: str, label_map: LabelMap, codes: dict[str, str] | None = None
) -> tuple[dict[str, int], str, list[str]]:
    """Read a ``Dx`` line: codes or words, parted by commas, in any order, some of them repeated or empty.

    Args:
        line: what follows ``Dx:``.
        label_map: the conditions.
        codes: SNOMED code or word to condition, where the caller has it at hand.

    Returns:
        The state of each condition by code, the evidence, and the entries that could not be read.
    """
    if codes is None:
        codes = label_map.code_of_snomed() | label_map.code_of_word()
    entries = dict.fromkeys(entry.strip() for entry in line.split(",") if entry.strip())
    strange = [
        entry for entry in entries if entry not in codes and entry not in _WORDS and not _SNOMED.fullmatch(entry)
    ]
    unnamed = UNKNOWN if strange or not entries else ABSENT
    named: dict[str, list[str]] = {}
    for entry in entries:
        if entry in codes:
            named.setdefault(codes[entry], []).append(entry)
    states = {code: PRESENT if code in named else unnamed for code in label_map.codes}
    for code, condition in label_map.conditions.items():
        if not condition.snomed and not condition.words:
            states[code] = UNKNOWN  # no line could name it
    evidence = "; ".join(f"{code}: {', '.join(named[code])}" for code in label_map.codes if code in named)
    return states, evidence, strange


def _row(recording: str, constituent: str, facts: HeaderFacts, evidence: str) -> dict[str, object]:
    return {
        "recording": recording,
        "dataset": PHYSIONET_2021,
        "constituent": constituent,
        "path": facts.path,
        "patient": recording,
        "patient_known": constituent in ONE_RECORDING_PER_PATIENT,
        "sampling_rate": facts.sampling_rate,
        "samples": facts.samples,
        "age": facts.age,
        "sex": facts.sex,
        "evidence": evidence,
    }


def _join_ptbxl(table: pd.DataFrame, file: Path) -> tuple[pd.DataFrame, str]:
    """Patients and folds of PTB-XL's recordings: the number of ``HR00001`` is its ``ecg_id``."""
    import pandas as pd

    from ecgfounder_ft.data.catalog import CatalogError

    columns = ["ecg_id", "patient_id", "strat_fold"]
    try:
        published = pd.read_csv(file, usecols=columns)
        published = published.astype({"ecg_id": int, "patient_id": int, "strat_fold": float})
    except FileNotFoundError as error:
        raise CatalogError(
            f"no file {file.absolute()}; get ptbxl_database.csv from https://physionet.org/content/ptb-xl/"
        ) from error
    except (ValueError, pd.errors.ParserError) as error:
        raise CatalogError(f"{file} is no ptbxl_database.csv with numbers in {columns}: {error}") from error
    published = published.drop_duplicates("ecg_id").set_index("ecg_id")
    ptbxl = table["constituent"] == "ptb-xl"
    number = pd.to_numeric(table.loc[ptbxl, "recording"].str.extract(r"/HR(\d+)", expand=False), errors="coerce")
    joined = published.reindex(number.to_numpy()).set_axis(number.index)
    found = joined.dropna(subset="patient_id")
    table = table.copy()
    table.loc[found.index, "patient"] = [f"{PHYSIONET_2021}/ptb-xl-{int(patient)}" for patient in found["patient_id"]]
    table.loc[found.index, "patient_known"] = True
    table.loc[found.index, "fold"] = found["strat_fold"].astype("float32")
    note = (
        f"{PHYSIONET_2021}: {len(found)} of {int(ptbxl.sum())} PTB-XL recordings joined with {file.name}: "
        f"{found['patient_id'].nunique()} patients"
    )
    return table, note
