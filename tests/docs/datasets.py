"""Small stand-ins for what the pages' commands name: the two datasets as downloaded, two folders, a table, runs."""

import csv
import re
import shutil
from pathlib import Path

from ecgfounder_ft.labels import LabelMap

REPORT_LINES = {
    "NORM": "Sinus rhythm",
    "AFIB": "Atrial fibrillation",
    "AFLT": "Atrial flutter",
    "1dAVb": "1st degree A-V block",
    "RBBB": "Right bundle branch block",
    "LBBB": "Left bundle branch block",
}


def write_challenge(root: Path, physionet: Path) -> None:
    """Hand-picked recordings in the layout of PhysioNet/CinC 2021, half Georgia and half Ningbo."""
    for number, header in enumerate(sorted(physionet.rglob("*.hea"))):
        name, folder = (f"E{number:05d}", "georgia/g1") if number % 2 else (f"JS{20000 + number}", "ningbo/g1")
        _rename(header, root / "training" / folder, name, header.stem)


def write_mimic(root: Path, mimic: Path, label_map: LabelMap) -> None:
    """Hand-picked recordings in the layout of MIMIC-IV-ECG, with the two tables."""
    codes = {folder: code for code, condition in label_map.conditions.items() for folder in condition.folders}
    records, reports = [], []
    for number, header in enumerate(sorted(mimic.rglob("*.hea"))):
        subject, study = 10_000_000 + number, 40_000_000 + number
        place = Path("files") / f"p{str(subject)[:4]}" / f"p{subject}" / f"s{study}"
        _rename(header, root / place, str(study), header.stem)
        row = {"subject_id": subject, "study_id": study, "ecg_time": "2180-07-23 08:44:00"}
        records.append({**row, "file_name": study, "path": str(place / str(study))})
        lines = [REPORT_LINES[codes[header.parent.name]], *[""] * 17]
        measured = dict.fromkeys(("rr_interval", "p_onset", "p_end", "qrs_onset", "qrs_end", "t_end"), 29999)
        axes = dict.fromkeys(("p_axis", "qrs_axis", "t_axis"), 29999)
        report = {f"report_{index}": line for index, line in enumerate(lines)}
        reports.append({**row, "cart_id": 1, **report, "bandwidth": "", "filtering": "", **measured, **axes})
    for name, rows in (("record_list.csv", records), ("machine_measurements.csv", reports)):
        with (root / name).open("w", newline="") as stream:
            writer = csv.DictWriter(stream, rows[0])
            writer.writeheader()
            writer.writerows(rows)


def write_table(path: Path, physionet: Path, conditions: tuple[str, ...]) -> None:
    """A table of a user's own, of the recordings of the folders; each condition in turn."""
    with path.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["path", "patient", *conditions])
        for number, header in enumerate(sorted(physionet.rglob("*.hea"))):
            states = [int(number % len(conditions) == index) for index in range(len(conditions))]
            writer.writerow([header.relative_to(path.parent), f"p{number}", *states])


def _rename(header: Path, folder: Path, name: str, old: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    text = re.sub(rf"\b{old}\b", name, header.read_text())
    (folder / f"{name}.hea").write_text(text)
    for signals in header.parent.glob(f"{old}.*"):
        if signals.suffix != ".hea":
            shutil.copy2(signals, folder / f"{name}{signals.suffix}")
