"""Write a PTB-XL of simulated recordings, to try ``benchmark=ptbxl_...`` without a download.

    python scripts/simulate_ptbxl.py outputs/simulated_ptbxl --recordings 600

The tables have the form of the real ones, the folds are dealt by patient, and the signals show what the statements say:
six rhythms and conduction findings of the simulator. Statements of other findings do not occur. For a first look and
for tests, not for science.
"""

import argparse
import csv
from pathlib import Path

import numpy as np
from rich.progress import track

from ecgfounder_ft.ecg.formats.wfdb import write_recording
from ecgfounder_ft.ecg.simulator import simulate

STATEMENTS = {
    ("NORM",): "{'NORM': 100.0, 'SR': 0.0}",
    ("AFIB",): "{'AFIB': 0.0}",
    ("AFLT",): "{'AFLT': 0.0}",
    ("NORM", "1dAVb"): "{'1AVB': 100.0, 'SR': 0.0}",
    ("NORM", "RBBB"): "{'CRBBB': 100.0, 'SR': 0.0}",
    ("NORM", "LBBB"): "{'CLBBB': 100.0, 'SR': 0.0}",
}
"""Conditions of the simulator to statements of PTB-XL."""

COLUMNS = (
    "ecg_id",
    "patient_id",
    "age",
    "sex",
    "site",
    "device",
    "scp_codes",
    "heart_axis",
    "validated_by",
    "baseline_drift",
    "static_noise",
    "burst_noise",
    "electrodes_problems",
    "strat_fold",
    "filename_lr",
    "filename_hr",
)
"""Columns of ``ptbxl_database.csv`` that are written."""

TABLE_OF_STATEMENTS = [
    ("", "description", "diagnostic", "form", "rhythm", "diagnostic_class", "diagnostic_subclass"),
    ("NORM", "normal ECG", "1.0", "", "", "NORM", "NORM"),
    ("1AVB", "first degree AV block", "1.0", "", "", "CD", "_AVB"),
    ("CRBBB", "complete right bundle branch block", "1.0", "", "", "CD", "CRBBB"),
    ("CLBBB", "complete left bundle branch block", "1.0", "", "", "CD", "CLBBB"),
    ("SR", "sinus rhythm", "", "", "1.0", "", ""),
    ("AFIB", "atrial fibrillation", "", "", "1.0", "", ""),
    ("AFLT", "atrial flutter", "", "", "1.0", "", ""),
]


def write_ptbxl(root: Path, recordings: int, seed: int) -> None:
    """Write the two tables and ``records500``.

    Args:
        root: the folder; it is made.
        recordings: how many; two of each patient.
        seed: of everything random.
    """
    root.mkdir(parents=True, exist_ok=True)
    with (root / "scp_statements.csv").open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows(TABLE_OF_STATEMENTS)
    kinds = list(STATEMENTS)
    with (root / "ptbxl_database.csv").open("w", encoding="utf-8", newline="") as stream:
        table = csv.DictWriter(stream, COLUMNS, restval="")
        table.writeheader()
        for number in track(range(1, recordings + 1), description="simulating recordings"):
            rng = np.random.default_rng([seed, number])
            patient = (number + 1) // 2
            conditions = kinds[int(rng.integers(len(kinds)))]
            folder = f"records500/{number // 1000 * 1000:05d}"
            (root / folder).mkdir(parents=True, exist_ok=True)
            made = simulate(conditions, rng).recording
            name = f"{number:05d}_hr"
            write_recording(root / folder, name, made.signal, made.leads, made.sampling_rate, storage="dat")
            person = np.random.default_rng([seed, 0, patient])
            table.writerow(
                {
                    "ecg_id": number,
                    "patient_id": f"{patient}.0",
                    "age": f"{person.integers(20, 90)}.0",
                    "sex": int(person.integers(2)),
                    "site": "0.0",
                    "device": "simulated",
                    "scp_codes": STATEMENTS[conditions],
                    "strat_fold": patient % 10 + 1,
                    "filename_hr": f"{folder}/{name}",
                }
            )


def main() -> None:
    """Write it."""
    parser = argparse.ArgumentParser(description="Write a PTB-XL of simulated recordings.")
    parser.add_argument("root", type=Path, help="the folder")
    parser.add_argument("--recordings", type=int, default=600)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    write_ptbxl(given.root, given.recordings, given.seed)


if __name__ == "__main__":
    main()
