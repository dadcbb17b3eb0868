"""Recordings that a user sorted by hand into one folder per condition.

Both datasets are laid out as ``<dataset folder>/<condition folder>/.../<record>.hea``. A folder says what is
there, not what is absent: a recording's other conditions are unknown. A recording that lies in two condition
folders is one recording with two conditions.
"""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ecgfounder_ft.data.sources.mimic_iv_ecg import MIMIC_IV_ECG
from ecgfounder_ft.data.sources.physionet2021 import ONE_RECORDING_PER_PATIENT, PHYSIONET_2021, constituent_of
from ecgfounder_ft.data.sources.source import DataSource
from ecgfounder_ft.labels import ABSENT, PRESENT, UNKNOWN, LabelMap, folder_key

if TYPE_CHECKING:
    from ecgfounder_ft.data.catalog import Catalog
    from ecgfounder_ft.data.recording_facts import RecordingFacts

logger = logging.getLogger(__name__)

UNLISTED = ("absent", "unknown")
"""What the conditions for whose folders a recording does not lie in may be taken for."""


@dataclass(kw_only=True)
class Selected(DataSource):
    """Two folders, each with one subfolder per condition."""

    label_origin = "The folder that each recording lies in, as sorted by hand."
    natural_prevalence = False

    mimic_path: str | None
    """Folder of the MIMIC-IV-ECG recordings; None: without this dataset."""
    physionet_path: str | None
    """Folder of the PhysioNet/CinC 2021 recordings; None: without this dataset."""
    unlisted: str
    """``absent`` or ``unknown``: what the conditions are for whose folders a recording does not lie in."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.unlisted not in UNLISTED:
            raise ValueError(f"data.unlisted is {self.unlisted!r}, expected one of: {', '.join(UNLISTED)}")

    def require(self, label_map: LabelMap, minimum: int) -> None:
        """Look for the folders that are given.

        Raises:
            FolderNotFoundError: if one is not there.
            CatalogError: if none is given.
        """
        selected_folders(self.mimic_path, self.physionet_path)

    def read(self, label_map: LabelMap) -> Catalog:
        """Read the headers in both folders."""
        from ecgfounder_ft.data.catalog import state_column, targets

        catalog = read_selected_folders(self.mimic_path, self.physionet_path, label_map)
        if self.unlisted == "unknown":
            return catalog
        states = targets(catalog.table, label_map)
        states[states == UNKNOWN] = ABSENT
        columns = {code: state_column(states[:, column]) for column, code in enumerate(label_map.codes)}
        return replace(catalog, table=catalog.table.assign(**columns))


def read_selected_folders(
    mimic_path: Path | str | None, physionet_path: Path | str | None, label_map: LabelMap
) -> Catalog:
    """Catalog of hand-sorted recordings of one or both datasets.

    Condition folders are found by the label map's aliases, at any depth; the nearest one above a header
    counts. A header that cannot be read or has no signal is skipped with its reason. Folders that no
    condition claims are left out and named, with a count, in the log and in the catalog's notes.

    Args:
        mimic_path: folder of the MIMIC-IV-ECG recordings, or None to do without.
        physionet_path: folder of the PhysioNet/CinC 2021 recordings, or None to do without.
        label_map: the conditions and the names of their folders.

    Raises:
        FolderNotFoundError: if a folder that was given does not exist.
        CatalogError: if neither folder is given.
    """
    from ecgfounder_ft.data.catalog import merge_catalogs

    folders = selected_folders(mimic_path, physionet_path)
    return merge_catalogs([_read_dataset(name, root, label_map) for name, root in folders.items()], label_map)


def selected_folders(mimic_path: Path | str | None, physionet_path: Path | str | None) -> dict[str, Path]:
    """Dataset to its folder, of those that are given.

    Raises:
        FolderNotFoundError: if a folder that was given does not exist.
        CatalogError: if neither folder is given.
    """
    from ecgfounder_ft.data.catalog import CatalogError, existing_folder

    found = {}
    for dataset, folder, option in (
        (MIMIC_IV_ECG, mimic_path, "data.mimic_path"),
        (PHYSIONET_2021, physionet_path, "data.physionet_path"),
    ):
        if folder is not None:
            advice = (
                f"Set {option} to the folder that holds one folder per condition, "
                f"or {option}=null to do without this dataset"
            )
            found[dataset] = existing_folder(folder, f"{dataset} recordings", advice)
    if not found:
        raise CatalogError("no dataset: give data.mimic_path, data.physionet_path, or both")
    return found


def _read_dataset(dataset: str, root: Path, label_map: LabelMap) -> Catalog:
    from ecgfounder_ft.console import displayable
    from ecgfounder_ft.data.catalog import Catalog, build_table, skipped_table
    from ecgfounder_ft.data.recording_facts import copies_by_name, facts_of, find_headers, unique_name

    code_of_folder = label_map.code_of_folder()
    unclaimed: Counter[str] = Counter()
    folder_of: dict[str, str] = {}
    headers, left_out = find_headers(root)
    for path in headers:
        folders = path.relative_to(root).parts[:-1]
        folder = next((name for name in reversed(folders) if folder_key(name) in code_of_folder), None)
        if folder is None:
            unclaimed[folders[0] if folders else "."] += 1
        else:
            folder_of[str(path)] = folder
    reading = facts_of([Path(path) for path in folder_of])

    rows: list[dict[str, object]] = []
    in_several = namesakes = 0
    for name, recordings in copies_by_name(reading.facts).items():
        namesakes += len(recordings) - 1
        for number, copies in enumerate(recordings):
            folders_of_code = {
                code_of_folder[folder_key(folder_of[copy.path])]: folder_of[copy.path] for copy in copies
            }
            in_several += len(folders_of_code) > 1
            unique = f"{dataset}/{unique_name(name, number, copies[0])}"
            rows.append(_row(dataset, unique, copies[0], folders_of_code, label_map))
    notes = [
        f"{dataset}: folder '{displayable(str(root / folder))}' is no condition of label map '{label_map.name}': "
        f"{count} recording(s) left out; add the name to a condition's 'folders' to use them"
        for folder, count in sorted(unclaimed.items())
    ]
    if in_several:
        notes.append(
            f"{dataset}: {in_several} recording(s) lie in the folders of several conditions and have all of these"
        )
    if namesakes:
        notes.append(
            f"{dataset}: {namesakes} recording(s) share a name with one of another signal; "
            "both are kept, the later one under its name and a part of its signal's SHA-256"
        )
    for note in notes:
        logger.warning(note)
    return Catalog(build_table(rows, label_map), skipped_table([*reading.errors, *left_out]), tuple(notes))


def _row(
    dataset: str, recording: str, facts: RecordingFacts, folder_of: dict[str, str], label_map: LabelMap
) -> dict[str, object]:
    constituent = constituent_of(facts.name) if dataset == PHYSIONET_2021 else ""
    return {
        "recording": recording,
        "dataset": dataset,
        "constituent": constituent,
        "path": facts.path,
        "patient": f"{dataset}/{facts.subject}" if facts.subject else recording,
        "patient_known": bool(facts.subject) or constituent in ONE_RECORDING_PER_PATIENT,
        "sampling_rate": facts.sampling_rate,
        "samples": facts.samples,
        "age": facts.age,
        "sex": facts.sex,
        "evidence": "; ".join(f"{code}: folder {folder_of[code]}" for code in label_map.codes if code in folder_of),
        **{code: PRESENT if code in folder_of else UNKNOWN for code in label_map.codes},
    }
