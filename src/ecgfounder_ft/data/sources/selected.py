"""Recordings that a user sorted by hand into one folder a condition.

Both datasets are laid out as ``<dataset folder>/<condition folder>/.../<record>.hea``. A folder says what is
there, not what is absent: a recording's other conditions are unknown. A recording that lies in two condition
folders is one recording with two conditions.
"""

import logging
from collections import Counter
from pathlib import Path

from ecgfounder_ft.data.catalog import (
    Catalog,
    CatalogError,
    build_table,
    existing_folder,
    merge_catalogs,
    skipped_table,
)
from ecgfounder_ft.data.sources.mimic_iv_ecg import MIMIC_IV_ECG
from ecgfounder_ft.data.sources.physionet2021 import PHYSIONET_2021, constituent_of
from ecgfounder_ft.data.sources.wfdb_headers import HeaderFacts, copies_by_name, find_headers, read_headers, unique_name
from ecgfounder_ft.labels import PRESENT, UNKNOWN, LabelMap, folder_key

logger = logging.getLogger(__name__)


def read_selected_folders(
    mimic_path: Path | str | None,
    physionet_path: Path | str | None,
    label_map: LabelMap,
    header_cache: Path | None = None,
) -> Catalog:
    """Catalog of hand-sorted recordings of one or both datasets.

    Condition folders are found by the label map's aliases, at any depth; the nearest one above a header
    counts. A header that cannot be read or has no signal is skipped with its reason. Folders that no
    condition claims are left out and named, with a count, in the log and in the catalog's notes.

    Args:
        mimic_path: folder of the MIMIC-IV-ECG recordings, or None to do without.
        physionet_path: folder of the PhysioNet/CinC 2021 recordings, or None to do without.
        label_map: the conditions and the names of their folders.
        header_cache: where to remember headers, one file a dataset; see
            :func:`ecgfounder_ft.data.sources.wfdb_headers.read_headers`.

    Raises:
        FolderNotFoundError: if a folder that was given does not exist.
        CatalogError: if neither folder is given.
    """
    catalogs = []
    for dataset, folder, option in (
        (MIMIC_IV_ECG, mimic_path, "data.mimic_path"),
        (PHYSIONET_2021, physionet_path, "data.physionet_path"),
    ):
        if folder is not None:
            advice = (
                f"Set {option} to the folder that holds one folder a condition, "
                f"or {option}=null to do without this dataset"
            )
            root = existing_folder(folder, f"{dataset} recordings", advice)
            cache = None if header_cache is None else header_cache.with_suffix(f".{dataset}.parquet")
            catalogs.append(_read_dataset(dataset, root, label_map, cache))
    if not catalogs:
        raise CatalogError("no dataset: give data.mimic_path, data.physionet_path, or both")
    return merge_catalogs(catalogs, label_map)


def _read_dataset(dataset: str, root: Path, label_map: LabelMap, header_cache: Path | None) -> Catalog:
    code_of_folder = label_map.code_of_folder()
    unclaimed: Counter[str] = Counter()
    folder_of: dict[str, str] = {}
    for path in find_headers(root):
        folders = path.relative_to(root).parts[:-1]
        folder = next((name for name in reversed(folders) if folder_key(name) in code_of_folder), None)
        if folder is None:
            unclaimed[folders[0] if folders else "."] += 1
        else:
            folder_of[str(path)] = folder
    reading = read_headers([Path(path) for path in folder_of], header_cache)

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
        f"{dataset}: folder '{root / folder}' is no condition of label map '{label_map.name}': "
        f"{count} recording(s) left out; add the name to a condition's 'folders' to use them"
        for folder, count in sorted(unclaimed.items())
    ]
    if in_several:
        notes.append(f"{dataset}: {in_several} recording(s) lie in folders of several conditions and have each")
    if namesakes:
        notes.append(
            f"{dataset}: {namesakes} recording(s) share a name with one of another signal; "
            "both are kept, the later one under its name and a part of its signal's SHA-256"
        )
    for note in notes:
        logger.warning(note)
    return Catalog(build_table(rows, label_map), skipped_table(reading.errors), tuple(notes))


def _row(
    dataset: str, recording: str, facts: HeaderFacts, folder_of: dict[str, str], label_map: LabelMap
) -> dict[str, object]:
    return {
        "recording": recording,
        "dataset": dataset,
        "constituent": constituent_of(facts.name) if dataset == PHYSIONET_2021 else "",
        "path": facts.path,
        "patient": f"{dataset}/{facts.subject}" if facts.subject else recording,
        "sampling_rate": facts.sampling_rate,
        "samples": facts.samples,
        "age": facts.age,
        "sex": facts.sex,
        "evidence": "; ".join(f"{code}: folder {folder_of[code]}" for code in label_map.codes if code in folder_of),
        **{code: PRESENT if code in folder_of else UNKNOWN for code in label_map.codes},
    }
