"""Decisions of an untrained start: calibration and thresholds from a simulated hospital, judged on real recordings.

    python -m studies.small_models.simulated_thresholds --recordings DIR [DIR ...] --model 1lead --weights demo_1_lead

No label of the place is used. ``ecgfounder-ft train trainer.max_epochs=0`` makes a run whose calibration and thresholds
(those of the highest F1) come from simulated recordings, and ``ecgfounder-ft evaluate`` judges it on the real ones, as
a user would. Folders of recordings are those of ``studies/small_models/real_recordings.py``; only recordings that state
one of the label map's conditions are judged. Follows "Protocol of the third run" in studies/recipes/README.md.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from rich.table import Table

from ecgfounder_ft.config.compose import load_label_map
from ecgfounder_ft.files import write_csv
from ecgfounder_ft.labels import PRESENT
from studies.recordings_at_hand import console, find_recordings

SHOWN = ("auroc", "f1", "sensitivity", "specificity", "ece")


def typed(*words: str) -> None:
    """Run a command of the product; what it says is shown where it fails."""
    done = subprocess.run([sys.executable, "-m", "ecgfounder_ft", *words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"ecgfounder-ft {words[0]} ended with status {done.returncode}:\n{done.stdout}{done.stderr}")


def main() -> None:
    """Make the run, evaluate it, and print what it decides."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recordings", type=Path, nargs="+", required=True)
    parser.add_argument("--model", default="1lead", help="choice of the configuration's group")
    parser.add_argument("--weights", default="demo_1_lead", help="of model.weights")
    parser.add_argument("--architecture", default="demo", help="choice of model/architecture")
    parser.add_argument("--labels", default="six_conditions", help="name of a label map")
    parser.add_argument("--hospital", default="everyday", help="of data.hospital")
    parser.add_argument("--simulated", type=int, default=500, help="recordings per condition, four fifths to decide by")
    parser.add_argument("--resamples", type=int, default=1000)
    options = parser.parse_args()
    label_map = load_label_map(options.labels)
    found = find_recordings(options.recordings, label_map)
    stating = found.some(np.flatnonzero((found.states == PRESENT).any(axis=1)).tolist())
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write_csv(folder / "recordings.csv", stating.as_table(label_map.codes))
        typed(
            *("train", "data=simulated", f"data.root={folder / 'simulated'}", f"data.store={folder / 'store'}"),
            *(f"data.hospital={options.hospital}", f"data.recordings_per_condition={options.simulated}"),
            *("data.max_samples=null", "split.train=0.1", "split.validation=0.8", "split.test=0.1"),
            *(f"labels={options.labels}", "task=multi_label", f"model={options.model}"),
            *(f"model/architecture={options.architecture}", f"model.weights={options.weights}"),
            *("model.head=pretrained", "trainer.max_epochs=0", "evaluation.report=false", "logger=[]"),
            *("trainer.enable_progress_bar=false", f"hydra.run.dir={folder / 'run'}"),
        )
        typed(
            *("evaluate", str(folder / "run"), "--output", str(folder / "judged"), "--no-attribution"),
            *("--resamples", str(options.resamples), "data=table", f"data.path={folder / 'recordings.csv'}"),
            f"data.store={folder / 'real'}",
        )
        judged = json.loads((folder / "judged" / "metrics.json").read_text())["test"]
    table = Table("condition", "with it", "threshold", *SHOWN, title=f"{options.weights}, {judged['n']} recordings")
    rows = {code: (str(row["positives"]), row["threshold"], row) for code, row in judged["conditions"].items()}
    for code, (positives, threshold, row) in (rows | {"macro": ("", None, judged["macro"])}).items():
        values = [row.get("metrics", row)[name] for name in SHOWN]
        cells = ["-" if one is None or one["value"] is None else f"{one['value']:.3f}" for one in values]
        table.add_row(code, positives, "" if threshold is None else f"{threshold:.2f}", *cells)
    console.print(table)


if __name__ == "__main__":
    main()
