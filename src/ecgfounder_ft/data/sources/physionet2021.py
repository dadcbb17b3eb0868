"""The PhysioNet/Computing in Cardiology Challenge 2021 (https://physionet.org/content/challenge-2021/1.0.3/).

Labels come from the ``Dx`` line of each header: SNOMED CT codes, or words in the copies of the unofficial
phase of 2020. The line lists every diagnosis, so what it does not name is absent; an empty line says nothing.
The label map says which codes leave a condition open, beside which codes nothing is known, which constituents do
not write a condition beside another diagnosis (``unstated_in``) and where a condition's labels are not to be
trusted (``unreliable``): all of that is unknown.
"""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ecgfounder_ft.data.sources.downloaded import DownloadedDataset, DownloadedFolder
from ecgfounder_ft.labels import ABSENT, PRESENT, UNKNOWN, LabelMap

if TYPE_CHECKING:
    import pandas as pd

    from ecgfounder_ft.data.catalog import Catalog
    from ecgfounder_ft.data.recording_facts import RecordingFacts

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
        label_map: the conditions, their codes and words, and what is not to be taken from which constituent.
        ptbxl_database: PTB-XL's ``ptbxl_database.csv`` (https://physionet.org/content/ptb-xl/), from which
            the patients and folds of its recordings are joined; without it each of them is its own patient.
        header_cache: where to remember headers; see :func:`ecgfounder_ft.data.recording_facts.facts_of`.

    Raises:
        FolderNotFoundError: if ``root`` does not exist.
        CatalogError: if ``ptbxl_database`` has not the columns that it should.
    """
    from ecgfounder_ft.data.catalog import Catalog, existing_folder, skipped_table
    from ecgfounder_ft.data.recording_facts import facts_of, find_headers

    folder = existing_folder(
        root,
        "PhysioNet/CinC 2021 recordings",
        "Set data.physionet2021.root to the folder with the Challenge's headers (.hea)",
    )
    headers, left_out = find_headers(folder)
    reading = facts_of(headers, header_cache)
    table, notes = _labelled(reading.facts, folder, label_map)
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
    return Catalog(table, skipped_table([*reading.errors, *left_out]), tuple(notes))


def _labelled(facts: Iterable[RecordingFacts], folder: Path, label_map: LabelMap) -> tuple[pd.DataFrame, list[str]]:
    """Return the catalog table of the Challenge's recordings, and what a reader of it has to know, with counts."""
    from ecgfounder_ft.data.catalog import build_table
    from ecgfounder_ft.data.recording_facts import copies_by_name, unique_name

    reader = DiagnosisReader(label_map)
    rows = []
    told: Counter[str] = Counter()
    strange: Counter[str] = Counter()
    for name, recordings in copies_by_name(facts).items():
        told["share a name with one of another signal; both are kept, under two names"] += len(recordings) - 1
        for number, (first, *others) in enumerate(recordings):
            constituent = constituent_of(name, Path(first.path).relative_to(folder).parts[:-1])
            said = reader.read(first.diagnoses, constituent)
            strange.update(said.strange)
            told["are copies of another, of the same name and signal, and left out"] += len(others)
            told["have an empty Dx line; each condition is unknown"] += not first.diagnoses.strip(" ,")
            told["are paced or have leads reversed; each condition is unknown"] += said.unusable
            for code in said.unwritten:
                told[f"are of constituents that do not write {code} beside another diagnosis; there it is unknown"] += 1
            for code in said.contradicted:
                told[f"state {code} beside what it cannot be with; there it is unknown"] += 1
            recording = f"{PHYSIONET_2021}/{unique_name(name, number, first)}"
            rows.append(_row(recording, constituent, first, said.evidence) | said.states)
    notes = [f"{PHYSIONET_2021}: {count} recording(s) {note}" for note, count in told.items() if count]
    if strange:
        notes.append(
            f"{PHYSIONET_2021}: {strange.total()} diagnos(es) are neither SNOMED codes nor known words "
            f"({', '.join(word for word, _ in strange.most_common(5))}); what these recordings do not name is unknown"
        )
    return build_table(rows, label_map), notes


@dataclass(frozen=True)
class Diagnoses:
    """What a ``Dx`` line says."""

    states: dict[str, int]
    """Condition to its state, in the order of the label map."""
    evidence: str
    """The entries that made a condition present or, with a question mark, unknown."""
    strange: tuple[str, ...] = ()
    """Entries that could not be read."""
    unusable: bool = False
    """One of its codes leaves nothing known."""
    contradicted: tuple[str, ...] = ()
    """Conditions that are unknown because another entry contradicts them."""
    unwritten: tuple[str, ...] = ()
    """Conditions that are unknown because the constituent does not write them beside another diagnosis."""


class DiagnosisReader:
    """Reads ``Dx`` lines by a label map: codes or words, parted by commas, in any order, some repeated or empty."""

    def __init__(self, label_map: LabelMap) -> None:
        self._label_map = label_map
        self._stated = label_map.code_of_snomed() | label_map.code_of_word()
        self._left_open = label_map.codes_left_open_by()
        self._unusable = set(map(str, label_map.unusable))
        self._excluded_by = {code: set(map(str, each.excluded_by)) for code, each in label_map.conditions.items()}
        self._contradicted_by = {code: set(map(str, one.contradicted_by)) for code, one in label_map.conditions.items()}
        self._known = _WORDS | self._stated.keys() | self._left_open.keys() | self._unusable
        self._known |= set().union(*self._excluded_by.values(), *self._contradicted_by.values())
        self._nameless = [  # no line could name these
            code for code, each in label_map.conditions.items() if not (each.snomed or each.implied_by or each.words)
        ]

    def read(self, line: str, constituent: str = "") -> Diagnoses:
        """What a line says.

        A condition is present if an entry states it, else unknown if one leaves it open, else absent: the line lists
        every diagnosis. It is unknown as well beside an entry that is neither a code nor a known word, in an empty
        line, and in a constituent that does not write it beside others, unless an entry excludes it. Labels that the
        label map does not trust are unknown whatever the line says, and so is everything beside a code that makes the
        recording unusable.

        Args:
            line: what follows ``Dx:``.
            constituent: the collection that the recording belongs to, empty where it is not known.
        """
        entries = dict.fromkeys(entry.strip() for entry in line.split(",") if entry.strip())
        strange = tuple(entry for entry in entries if entry not in self._known and not _SNOMED.fullmatch(entry))
        if useless := [entry for entry in entries if entry in self._unusable]:
            unknown = dict.fromkeys(self._label_map.codes, UNKNOWN)
            return Diagnoses(unknown, f"unusable: {', '.join(useless)}", strange, unusable=True)
        named: dict[str, list[str]] = {}
        left_open: dict[str, list[str]] = {}
        for entry in entries:
            if entry in self._stated:
                named.setdefault(self._stated[entry], []).append(entry)
            for code in self._left_open.get(entry, ()):
                left_open.setdefault(code, []).append(entry)
        states, said, unwritten, contradicted = {}, [], [], []
        for code, condition in self._label_map.conditions.items():
            against = [entry for entry in entries if entry in self._contradicted_by[code]]
            if code in named and against:
                states[code] = UNKNOWN
                contradicted.append(code)
                said.append(f"{code}?: {', '.join([*named[code], *against])}")
            elif code in named:
                states[code] = PRESENT
                said.append(f"{code}: {', '.join(named[code])}")
            elif code in left_open:
                states[code] = UNKNOWN
                said.append(f"{code}?: {', '.join(left_open[code])}")
            elif strange or not entries or code in self._nameless:
                states[code] = UNKNOWN
            elif constituent in condition.unstated_in and self._excluded_by[code].isdisjoint(entries):
                states[code] = UNKNOWN
                unwritten.append(code)
            else:
                states[code] = ABSENT
        for code in self._label_map.unreliable.get(constituent, ()):
            states[code] = UNKNOWN
        return Diagnoses(states, "; ".join(said), strange, contradicted=tuple(contradicted), unwritten=tuple(unwritten))


def _row(recording: str, constituent: str, facts: RecordingFacts, evidence: str) -> dict[str, object]:
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
