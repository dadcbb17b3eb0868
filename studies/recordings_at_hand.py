"""Real recordings in folders that the user names, each signal once, with what their headers say of the label map.

Headers carry ``Dx`` lines (SNOMED codes, or the words of CPSC 2018). PTB-XL's own files have none: its recordings get
those of their copies in PhysioNet/CinC 2021, whose headers lie in another folder.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

from ecgfounder_ft.data.catalog import Catalog, build_table, skipped_table, targets
from ecgfounder_ft.data.recording_facts import facts_of, find_headers, signal_digest
from ecgfounder_ft.data.sources.physionet2021 import DiagnosisReader, read_physionet2021
from ecgfounder_ft.ecg.formats import read_recording
from ecgfounder_ft.ecg.formats.wfdb import read_header
from ecgfounder_ft.ecg.preprocessing import Preprocessing
from ecgfounder_ft.ecg.recording import UnreadableRecordingError
from ecgfounder_ft.labels import STATE_NAMES, LabelMap

console = Console(width=130)

_PTBXL_NAME = re.compile(r"(\d{5})_hr")


@dataclass(frozen=True)
class PtbxlLabels:
    """Where labels and patients of PTB-XL's own files are."""

    headers: Mapping[str, Path]
    """Name to header in PhysioNet/CinC 2021: ``HR00001`` for ``00001_hr``, whose ``ecg_id`` is the number."""
    database: Path | None
    """``ptbxl_database.csv``, for the patients; None: each recording is its own."""

    @classmethod
    def below(cls, folder: Path, database: Path | None) -> "PtbxlLabels":
        """Headers in a folder and those in it."""
        return cls({path.stem: path for path in find_headers(folder)[0]}, database)

    def header_of(self, recording: Path) -> Path | None:
        """The header that states a recording's diagnoses; None where there is none."""
        match = _PTBXL_NAME.fullmatch(recording.stem)
        return self.headers.get(f"HR{match[1]}") if match else None


@dataclass
class Found:
    """Recordings that state a diagnosis, each signal once, not read yet."""

    table: pd.DataFrame
    """Catalog rows, one per recording."""
    states: NDArray[np.int8]
    """(n, conditions) present, absent or unknown."""
    diagnoses: list[list[str]]
    """Entries of each ``Dx`` line."""
    signal: pd.Series
    """Digest of each recording's signal."""

    def some(self, rows: list[int]) -> "Found":
        """Those in some rows."""
        return Found(
            self.table.iloc[rows].reset_index(drop=True),
            self.states[rows],
            [self.diagnoses[row] for row in rows],
            self.signal.iloc[rows].reset_index(drop=True),
        )

    def as_table(self, codes: Sequence[str]) -> pd.DataFrame:
        """What ``data=table`` reads: paths, names, patients and the state of each condition in words."""
        return self.table[["path", "dataset", "constituent", "recording", "patient"]].assign(
            **{code: [STATE_NAMES[state] for state in self.states[:, column]] for column, code in enumerate(codes)}
        )


@dataclass
class RealRecordings(Found):
    """The same, read and preprocessed."""

    inputs: NDArray[np.float32]
    """(n, leads, samples), preprocessed."""


def find_recordings(folders: list[Path], label_map: LabelMap, ptbxl: PtbxlLabels | None = None) -> Found:
    """Every recording in the folders that states a diagnosis; the same signal under two names is one recording."""
    catalogs = [
        read_physionet2021(folder, label_map) if ptbxl is None else _read_ptbxl(folder, ptbxl, label_map)
        for folder in folders
    ]
    tables = []
    for folder, catalog in zip(folders, catalogs, strict=True):
        of_folder = [f"{folder.name}/{name}" for name in catalog.table["recording"]]
        alone = catalog.table["patient"] == catalog.table["recording"]  # most headers of the Challenge name no patient
        patient = catalog.table["patient"].where(~alone, pd.Series(of_folder, dtype=str))
        tables.append(catalog.table.assign(recording=of_folder, patient=patient))
    _tell_skipped(pd.concat([catalog.skipped for catalog in catalogs]))
    table = pd.concat(tables, ignore_index=True).drop_duplicates("path", ignore_index=True)
    stating = [Path(path) if ptbxl is None else ptbxl.header_of(Path(path)) for path in table["path"]]
    diagnoses = [_diagnoses(path) for path in stating if path is not None]
    digest = pd.Series([signal_digest(Path(path)) for path in table["path"]], dtype=str)
    usable = np.array([bool(stated) for stated in diagnoses], dtype=bool) & ~digest.duplicated().to_numpy()
    if not usable.any():
        raise SystemExit(
            f"{', '.join(map(str, folders))}: none of {len(table)} recordings states a diagnosis. Expected WFDB "
            "headers with a Dx line; of PTB-XL's own files, --headers with a folder of HR00001.hea and so on"
        )
    console.print(f"left out: {int((~usable).sum())} that state nothing or repeat another's signal")
    return Found(table, targets(table, label_map), diagnoses, digest).some(np.flatnonzero(usable).tolist())


def read_all(folders: list[Path], label_map: LabelMap, preprocessing: Preprocessing) -> RealRecordings:
    """Every recording that :func:`find_recordings` finds and that can be read."""
    found = find_recordings(folders, label_map)
    inputs: dict[int, NDArray[np.float32]] = {}
    errors = []
    for row, path in enumerate(track(found.table["path"].tolist(), "preprocessing", console=console)):
        try:
            inputs[row] = preprocessing(read_recording(Path(path))).signal
        except UnreadableRecordingError as error:
            errors.append(error)
    _tell_skipped(skipped_table(errors))
    console.print(f"{len(inputs)} recordings remain")
    kept = found.some(list(inputs))
    return RealRecordings(kept.table, kept.states, kept.diagnoses, kept.signal, np.stack(list(inputs.values())))


def _tell_skipped(skipped: pd.DataFrame) -> None:
    for reason, count in skipped["reason"].value_counts().items():
        console.print(f"skipped: {count} x {reason}")


def _diagnoses(header: Path) -> list[str]:
    """Entries of its ``Dx`` line."""
    line = read_header(header).metadata.get("dx", "")
    return [entry.strip() for entry in line.split(",") if entry.strip()]


def _read_ptbxl(folder: Path, labels: PtbxlLabels, label_map: LabelMap) -> Catalog:
    """Catalog of PTB-XL's ``records500`` with the labels of the Challenge, without recordings that have no header."""
    patients = pd.Series(dtype=int)
    if labels.database is not None:
        patients = pd.read_csv(labels.database, usecols=["ecg_id", "patient_id"]).set_index("ecg_id")["patient_id"]
    reader = DiagnosisReader(label_map)
    reading = facts_of([path for path in find_headers(folder)[0] if labels.header_of(path) is not None])
    rows: list[dict[str, object]] = []
    for facts in reading.facts:
        path = Path(facts.path)
        header = labels.header_of(path)
        assert header is not None
        number = int(header.stem.removeprefix("HR"))
        said = reader.read(",".join(_diagnoses(header)), "ptb-xl")
        known = number in patients.index
        rows.append(
            {
                "recording": f"ptb-xl/{facts.name}",
                "dataset": "ptb-xl",
                "constituent": "ptb-xl",
                "path": facts.path,
                "patient": f"ptb-xl/{int(patients[number])}" if known else f"ptb-xl/{facts.name}",
                "patient_known": known,
                "sampling_rate": facts.sampling_rate,
                "samples": facts.samples,
                "age": facts.age,
                "sex": facts.sex,
                "evidence": said.evidence,
            }
            | said.states
        )
    return Catalog(build_table(rows, label_map), skipped_table(reading.errors))
