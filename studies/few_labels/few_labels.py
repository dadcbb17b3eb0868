"""Ways to use few labels, side by side, by the protocol of README.md of this folder.

python -m studies.few_labels.few_labels --output few_labels --write     # goes on where it was stopped
python -m studies.few_labels.few_labels --output quick --sizes 30 --draws 1 --trained 20 --tested 10 --arms solved
"""

import argparse
import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from benchmarks import machine
from benchmarks.results_between import write_between
from ecgfounder_ft.config.compose import compose_settings
from ecgfounder_ft.runs.folder import RunFolder
from ecgfounder_ft.task import MULTI_LABEL
from ecgfounder_ft.training.experiment import run_experiment
from studies.recipes.recipe import common, write_hospital

WRONG_LABELS = {"shifted": 0.05, "everyday": 0.10}
"""Hospital to the share of its training and validation recordings whose labels are wrong."""
CROPS = "model.shifts=[-0.5,-0.25,0.0,0.25,0.5]"
ARMS = {
    "start": ["trainer.max_epochs=0", "evaluation.calibration=none", "evaluation.thresholds=fixed"],
    "recalibrated": ["trainer.max_epochs=0"],
    "solved": ["finetune=solved_head"],
    "solved, crops": ["finetune=solved_head", CROPS],
    "solved, to the start": ["finetune=solved_head", "finetune.towards=start"],
    "lp_ft": ["finetune=lp_ft"],
    "full": ["finetune=full"],
}
"""Arm to what is typed for it."""
BASELINE = "recalibrated"
TRAINED = ("lp_ft", "full")
LARGEST_TRAINED = 500
"""Training recordings up to which the arms of gradient descent run."""
AS_GOOD = 0.002
"""Macro AUROC within which the arm with the lower Brier score is taken."""


def result_of(folder: Path) -> dict[str, float]:
    """Read macro AUROC, Brier score and F1 of the test recordings of a run."""
    macro = RunFolder(folder).read_metrics()["test"]["macro"]
    return {name: float(macro[name]["value"]) for name in ("auroc", "brier", "f1")}


def train(folder: Path, overrides: list[str]) -> dict[str, float]:
    """Train one arm, unless its folder holds the result already."""
    file = folder / "result.json"
    if not file.is_file():
        run_experiment(compose_settings([*overrides, f"output_dir={folder}"]))
        file.write_text(json.dumps(result_of(folder)))
    found: dict[str, float] = json.loads(file.read_text())
    return found


def run_all(options: argparse.Namespace) -> pd.DataFrame:
    """Run every arm at every size, draw and hospital; one row for each."""
    rows: list[dict[str, Any]] = []
    for draw in range(1, options.draws + 1):
        for hospital, wrong in WRONG_LABELS.items():
            output = options.output.absolute() / hospital
            place = output / f"draw-{draw}"
            place.mkdir(parents=True, exist_ok=True)
            table = write_hospital(
                place,
                options.trained,
                options.tested,
                0.2,
                hospital,
                wrong_labels=wrong,
                task=MULTI_LABEL,
                seed=200 + draw,
                tested_in=output,
            )
            shared = [*common(table, output / "store", options.epochs, MULTI_LABEL, 10.0), f"seed={draw}"]
            shared += ["split.minimum=0", "evaluation.attribution=false"]
            for size in options.sizes:
                for arm in options.arms:
                    if arm in TRAINED and size > LARGEST_TRAINED:
                        continue
                    given = [*shared, f"split.training_recordings={size}", *ARMS[arm]]
                    name = f"{size}-{arm.replace(',', '').replace(' ', '_')}"
                    found = train(place / name, given)
                    rows.append({"hospital": hospital, "draw": draw, "size": size, "arm": arm, **found})
    return pd.DataFrame(rows)


def taken(results: pd.DataFrame, size: int) -> str:
    """Return the arm that the protocol takes at a size."""
    own = results[results["size"] == size]
    means = own.groupby(["arm", "hospital"])["auroc"].mean().unstack()
    allowed = [arm for arm in means.index if (means.loc[arm] - means.loc[BASELINE] >= 0).all()]
    best = means.loc[allowed].mean(axis=1).max()
    as_good = [arm for arm in allowed if means.loc[arm].mean() >= best - AS_GOOD]
    losses = own.groupby("arm")["brier"].mean()
    return str(losses.loc[as_good].idxmin())


def table_of(results: pd.DataFrame) -> list[str]:
    """Return the lines of the table."""
    lines = [
        "| recordings | arm | shifted | everyday | against recalibrated (95% interval) | Brier score | macro F1 |",
        "| ---: | --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    keys = ["hospital", "draw"]
    for size in sorted(results["size"].unique()):
        own = results[results["size"] == size]
        base = own[own["arm"] == BASELINE].set_index(keys)["auroc"]
        for arm in own["arm"].unique():
            one = own[own["arm"] == arm].set_index(keys)
            by_hospital = one["auroc"].groupby("hospital").mean()
            differences = (one["auroc"] - base.reindex(one.index)).to_numpy()
            n = len(differences)
            shown = "-"
            if arm != BASELINE and n > 1:
                half = stats.t.ppf(0.975, n - 1) * differences.std(ddof=1) / np.sqrt(n)
                shown = (
                    f"{differences.mean():+.3f} ({differences.mean() - half:+.3f} to {differences.mean() + half:+.3f})"
                )
            cells = [f"{by_hospital[hospital]:.3f}" for hospital in WRONG_LABELS]
            means = one[["brier", "f1"]].mean()
            lines.append(
                f"| {size:,} | {arm} | {' | '.join(cells)} | {shown} | {means['brier']:.3f} | {means['f1']:.3f} |"
            )
        lines.append(f"| {size:,} | **taken by the rule: {taken(results, size)}** | | | | | |")
    return lines


def main() -> None:
    """Train what is missing, and print the table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True, help="folder that everything lies in")
    parser.add_argument("--arms", nargs="+", default=list(ARMS), choices=list(ARMS))
    parser.add_argument("--sizes", type=int, nargs="+", default=[50, 150, 500, 2000], help="training recordings")
    parser.add_argument("--trained", type=int, default=440, help="recordings per condition to take those from")
    parser.add_argument("--tested", type=int, default=100, help="recordings per condition to test on")
    parser.add_argument("--draws", type=int, default=2, help="simulations of each hospital")
    parser.add_argument("--epochs", type=int, default=10, help="at most")
    parser.add_argument("--write", action="store_true", help="put the table into RESULTS.md of this folder")
    options = parser.parse_args()
    options.arms = list(dict.fromkeys([BASELINE, *options.arms]))
    logging.basicConfig(level=logging.WARNING)
    results = run_all(options)
    results.to_csv(options.output / "results.csv", index=False)
    head = f"Macro AUROC of the test recordings, mean of {options.draws} draws; at most {options.epochs} epochs."
    text = "\n".join([head, "", *table_of(results), "", machine.describe()])
    print(text)
    if options.write:
        write_between(Path(__file__).with_name("RESULTS.md"), "studies.few_labels.few_labels", text)


if __name__ == "__main__":
    main()
