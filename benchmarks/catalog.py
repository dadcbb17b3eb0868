"""How long the catalogs of both datasets take at full size, and how much memory.

The tables and headers are generated: MIMIC-IV-ECG's two tables with as many studies and subjects as the real
ones and report lines as its carts print them, and the headers of PhysioNet/CinC 2021 with signal files of the
right size that hold no data. Each catalog is built in a process of its own, whose peak of resident memory is
reported.

    python benchmarks/catalog.py                # both, at full size
    python benchmarks/catalog.py --scale 0.01   # a quick look
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

from ecgfounder_ft.data.catalog import Catalog, count_conditions
from ecgfounder_ft.data.catalog_files import load_catalog, save_catalog
from ecgfounder_ft.data.sources.mimic_iv_ecg.tables import read_mimic_iv_ecg
from ecgfounder_ft.data.sources.physionet2021 import read_physionet2021
from ecgfounder_ft.labels import LabelMap

LABELS = Path(__file__).resolve().parents[1] / "configs" / "labels" / "six_conditions.yaml"
STUDIES, SUBJECTS = 800_035, 161_352

RHYTHMS = {
    "Sinus rhythm": 0.477,
    "Sinus bradycardia": 0.089,
    "Sinus tachycardia": 0.068,
    "Atrial fibrillation": 0.052,
    "Sinus rhythm with borderline 1st degree A-V block": 0.019,
    "Atrial fibrillation with rapid ventricular response": 0.019,
    "Sinus rhythm with 1st degree A-V block": 0.018,
    "Sinus arrhythmia": 0.017,
    "Sinus rhythm with PAC(s)": 0.013,
    "Atrial flutter": 0.015,
    "Ventricular pacing": 0.018,
    "Possible ectopic atrial rhythm": 0.010,
    "Sinus rhythm with PVC(s)": 0.020,
    "--- Recording unsuitable for analysis - please repeat ---": 0.005,
    "Possible atrial fibrillation": 0.010,
}
FINDINGS = {
    "Right bundle branch block": 0.05,
    "RBBB with left anterior fascicular block": 0.02,
    "Left bundle branch block": 0.03,
    "Incomplete RBBB": 0.016,
    "Left axis deviation": 0.15,
    "Prolonged QT interval": 0.06,
    "Possible left atrial abnormality": 0.05,
    "Low QRS voltages in precordial leads": 0.06,
    "Inferior infarct - age undetermined": 0.08,
    "--- Warning: Data quality may affect interpretation ---": 0.06,
}
TERRITORIES = ("inferior", "anterior", "lateral", "septal", "anterolateral", "inferolateral", "high lateral")
CONSTITUENTS = {
    "cpsc_2018": ("A{:04d}", 6877, 1),
    "cpsc_2018_extra": ("Q{:04d}", 3453, 1),
    "st_petersburg_incart": ("I{:04d}", 74, 1),
    "ptb": ("S{:04d}", 516, 1),
    "ptb-xl": ("HR{:05d}", 21837, 1),
    "georgia": ("E{:05d}", 10344, 1),
    "chapman_shaoxing": ("JS{:05d}", 10247, 1),
    "ningbo": ("JS{:05d}", 34905, 10647),
}
DIAGNOSES = ("426783006", "164889003", "164890007", "270492004", "59118001", "164909002", "427084000", "39732003")
LEADS = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")


def generate_mimic(root: Path, scale: float) -> int:
    """Both tables; about 8,000 distinct report lines. Returns the number of studies."""
    rng = np.random.default_rng(0)
    n = int(STUDIES * scale)
    subject = np.sort(10_000_000 + rng.integers(0, max(1, int(SUBJECTS * scale)), n))
    study = rng.permutation(np.arange(40_000_000, 40_000_000 + n))
    path = [
        f"files/p{str(patient)[:4]}/p{patient}/s{number}/{number}"
        for patient, number in zip(subject, study, strict=True)
    ]
    time_of = "2180-07-23 08:44:00"
    records = {"subject_id": subject, "study_id": study, "file_name": study, "ecg_time": time_of, "path": path}
    pd.DataFrame(records).to_csv(root / "record_list.csv", index=False)

    reports = np.full((n, 18), "", dtype=object)
    share = np.array(list(RHYTHMS.values()))
    reports[:, 0] = rng.choice(np.array(list(RHYTHMS), dtype=object), n, p=share / share.sum())
    filled = np.ones(n, dtype=int)
    for finding, probability in FINDINGS.items():
        rows = np.flatnonzero(rng.random(n) < probability)
        reports[rows, filled[rows]] = finding
        filled[rows] += 1
    rows = np.flatnonzero(rng.random(n) < 0.2)  # the long tail of rare lines
    rare = [f"{TERRITORIES[i % 7].capitalize()} ST changes, lead V{i % 6 + 1}, {i // 42} uV" for i in range(8000)]
    reports[rows, filled[rows]] = np.array(rare, dtype=object)[rng.integers(0, len(rare), len(rows))]
    filled[rows] += 1
    reports[np.arange(n), filled] = rng.choice(
        np.array(["Normal ECG", "Abnormal ECG", "Borderline ECG"], dtype=object), n
    )
    measurements = {"subject_id": subject, "study_id": study, "cart_id": 6848296, "ecg_time": time_of}
    measurements |= {f"report_{column}": reports[:, column] for column in range(18)}
    measurements |= {"bandwidth": "0.005-150 Hz", "filtering": "60 Hz notch Baseline filter"}
    names = ("rr_interval", "p_onset", "p_end", "qrs_onset", "qrs_end", "t_end", "p_axis", "qrs_axis", "t_axis")
    measurements |= {name: rng.integers(0, 900, n) for name in names}
    pd.DataFrame(measurements).to_csv(root / "machine_measurements.csv", index=False)
    return n


def generate_physionet(root: Path, scale: float) -> int:
    """Headers in both dialects, and signal files of the size they name. Returns the number of recordings."""
    rng = np.random.default_rng(0)
    total = 0
    for constituent, (pattern, full, first) in CONSTITUENTS.items():
        count = max(1, int(full * scale))
        for index in range(count):
            folder = root / "training" / constituent / f"g{index // 1000 + 1}"
            if index % 1000 == 0:
                folder.mkdir(parents=True)
            name = pattern.format(first + index)
            new = index % 2  # the dialects of the website and of PhysioNet
            form = "16x1+24 1000.0(0)/mV" if new else "16+24 1000/mV"
            lines = [f"{name} 12 500 5000" + ("" if new else " 05-Feb-2020 11:39:16")]
            lines += [f"{name}.mat {form} 16 0 -254 21756 0 {lead}" for lead in LEADS]
            codes = ",".join(rng.choice(DIAGNOSES, rng.integers(1, 4), replace=False))
            mark = "# " if new else "#"
            lines += [
                f"{mark}Age: {rng.integers(18, 90)}",
                f"{mark}Sex: Female",
                f"{mark}Dx: {codes}",
                f"{mark}Rx: Unknown",
            ]
            (folder / f"{name}.hea").write_text("\n".join(lines) + "\n")
            with (folder / f"{name}.mat").open("wb") as stream:
                stream.truncate(24 + 2 * 12 * 5000)
        total += count
    return total


def read_label_map() -> LabelMap:
    content = yaml.safe_load(LABELS.read_text(encoding="utf-8"))
    content.pop("defaults")
    return LabelMap.from_dict(content)


def measure(task: str, root: Path) -> dict[str, object]:
    """Build one catalog in this process."""
    label_map = read_label_map()
    file = root / "catalog.parquet"
    started = time.perf_counter()
    catalog: Catalog
    if task == "mimic":
        catalog = read_mimic_iv_ecg(root, label_map)
    else:
        catalog = read_physionet2021(root, label_map, header_cache=root / "headers.parquet")
    built = time.perf_counter()
    save_catalog(catalog, file, root, label_map)
    saved = time.perf_counter()
    loaded = load_catalog(file, label_map)
    return {
        "recordings": len(catalog),
        "seconds": round(built - started, 2),
        "seconds_to_save": round(saved - built, 2),
        "seconds_to_load": round(time.perf_counter() - saved, 2),
        "megabytes_on_disk": round(file.stat().st_size / 1e6, 1),
        "peak_gigabytes": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6, 3),
        "present": {code: int(count) for code, count in count_conditions(loaded.table, label_map).sum().items()},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scale", type=float, default=1.0, help="share of the full size")
    parser.add_argument("--only", choices=("mimic", "physionet"), help="one of the two")
    parser.add_argument("--measure", nargs=2, metavar=("TASK", "ROOT"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        print(json.dumps(measure(arguments.measure[0], Path(arguments.measure[1]))))
        return
    runs = {"mimic": ["built"], "physionet": ["built", "built again, nothing changed"]}
    for task, names in runs.items():
        if arguments.only not in (None, task):
            continue
        with tempfile.TemporaryDirectory() as folder:
            generate = generate_mimic if task == "mimic" else generate_physionet
            print(f"{task}: {generate(Path(folder), arguments.scale)} generated", flush=True)
            for name in names:
                command = [sys.executable, __file__, "--measure", task, folder]
                answer = subprocess.run(command, check=True, capture_output=True, text=True).stdout
                print(f"{task}, {name}: {answer.splitlines()[-1]}", flush=True)


if __name__ == "__main__":
    main()
