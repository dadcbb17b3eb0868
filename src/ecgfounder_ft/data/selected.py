"""Recordings that a user sorted by hand into one folder a condition.

Both datasets are laid out as ``<dataset folder>/<condition folder>/.../<record>.hea``. A folder says what is
there, not what is absent: a recording's other conditions are unknown. A recording that lies in two condition
folders is one recording with two conditions.
"""

import logging
from collections import Counter, defaultdict
from pathlib import Path

from ecgfounder_ft.data.catalog import Catalog, build_table, merge_catalogs, skipped_table
from ecgfounder_ft.data.headers import HeaderFacts, find_headers, read_facts, signal_digest
from ecgfounder_ft.data.physionet2021 import constituent_of
from ecgfounder_ft.ecg.recording import UnreadableRecordingError
from ecgfounder_ft.labels import PRESENT, UNKNOWN, LabelMap, folder_key

logger = logging.getLogger(__name__)

MIMIC_IV_ECG = "mimic_iv_ecg"
PHYSIONET_2021 = "physionet2021"


class FolderNotFoundError(FileNotFoundError):
    """A dataset's folder is not where the configuration says."""


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
        ValueError: if neither folder is given.
    """
    folders = {MIMIC_IV_ECG: mimic_path, PHYSIONET_2021: physionet_path}
    catalogs = [
        _read_dataset(dataset, _existing(dataset, Path(folder)), label_map)
        for dataset, folder in folders.items()
        if folder is not None
    ]
    if not catalogs:
        raise ValueError("no dataset: give data.mimic_path, data.physionet_path, or both")
    return merge_catalogs(catalogs, label_map)


def _existing(dataset: str, folder: Path) -> Path:
    absolute = folder.expanduser().absolute()
    if absolute.is_dir():
        return absolute
    option = "data.mimic_path" if dataset == MIMIC_IV_ECG else "data.physionet_path"
    found = "a file is there" if absolute.exists() else "there is no such folder"
    raise FolderNotFoundError(
        f"no folder of {dataset} recordings: looked in {absolute}, but {found}. "
        f"Set {option} to the folder that holds one folder a condition, or {option}=null to do without this dataset"
    )


def _read_dataset(dataset: str, root: Path, label_map: LabelMap) -> Catalog:
    code_of_folder = label_map.code_of_folder()
    skipped: list[UnreadableRecordingError] = []
    unclaimed: Counter[str] = Counter()
    found: dict[str, list[tuple[HeaderFacts, str, str]]] = defaultdict(list)
    for path in find_headers(root):
        folders = path.relative_to(root).parts[:-1]
        folder = next((name for name in reversed(folders) if folder_key(name) in code_of_folder), None)
        if folder is None:
            unclaimed[folders[0] if folders else "."] += 1
            continue
        try:
            facts = read_facts(path)
        except UnreadableRecordingError as error:
            skipped.append(error)
        else:
            found[facts.name].append((facts, code_of_folder[folder_key(folder)], folder))

    notes = [
        f"{dataset}: folder '{root / folder}' is no condition of label map '{label_map.name}': "
        f"{count} recording(s) left out; add the name to a condition's 'folders' to use them"
        for folder, count in sorted(unclaimed.items())
    ]
    rows: list[dict[str, object]] = []
    in_several = namesakes = 0
    for name, copies in sorted(found.items()):
        recordings = _by_signal(copies)
        namesakes += len(recordings) - 1
        for number, (digest, same) in enumerate(recordings.items()):
            unique = name if number == 0 else f"{name}~{digest[:8]}"
            row = _row(dataset, unique, same, label_map)
            in_several += sum(row[code] == PRESENT for code in label_map.codes) > 1
            rows.append(row)
    if in_several:
        notes.append(f"{dataset}: {in_several} recording(s) lie in folders of several conditions and have each")
    if namesakes:
        notes.append(
            f"{dataset}: {namesakes} recording(s) share a name with one of another signal; "
            "both are kept, the later one under its name and a part of its signal's SHA-256"
        )
    for note in notes:
        logger.warning(note)
    if skipped:
        reasons = Counter(error.reason for error in skipped)
        logger.warning("%s: %d recording(s) skipped: %s", dataset, len(skipped), dict(reasons.most_common()))
    return Catalog(build_table(rows, label_map), skipped_table(skipped), tuple(notes))


def _by_signal(
    copies: list[tuple[HeaderFacts, str, str]],
) -> dict[str, list[tuple[HeaderFacts, str, str]]]:
    """Files of one record name, grouped by what their signals hold."""
    if len(copies) == 1:
        return {"": copies}
    groups: dict[str, list[tuple[HeaderFacts, str, str]]] = defaultdict(list)
    for copy in copies:
        groups[signal_digest(copy[0].path)].append(copy)
    return groups


def _row(dataset: str, name: str, copies: list[tuple[HeaderFacts, str, str]], label_map: LabelMap) -> dict[str, object]:
    facts = copies[0][0]
    recording = f"{dataset}/{name}"
    folder_of = {code: folder for _, code, folder in copies}
    return {
        "recording": recording,
        "dataset": dataset,
        "constituent": constituent_of(facts.name) if dataset == PHYSIONET_2021 else "",
        "path": str(facts.path),
        "patient": f"{dataset}/{facts.subject}" if facts.subject else recording,
        "sampling_rate": facts.sampling_rate,
        "samples": facts.samples,
        "age": facts.age,
        "sex": facts.sex,
        "evidence": "; ".join(f"{code}: folder {folder_of[code]}" for code in label_map.codes if code in folder_of),
        **{code: PRESENT if code in folder_of else UNKNOWN for code in label_map.codes},
    }
