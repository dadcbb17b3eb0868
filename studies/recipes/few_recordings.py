"""Recipes for few recordings: at a hospital where the start has much to learn, and where it can be spoilt.

    python -m studies.recipes.few_recordings --output few --write     # goes on where it was stopped
    python -m studies.recipes.few_recordings --output quick --arms linear_probe slow --draws 2 --epochs 1 --tested 20

Follows "Protocol of the third run" in README.md of this folder. Trains and judges as ``studies.recipes.recipe``
does; each training of an arm has recordings and a seed of its own.
"""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks import machine
from benchmarks.results_between import write_between
from ecgfounder_ft.sweeps.folder import SweepFolder
from ecgfounder_ft.task import MULTI_LABEL
from studies.paired_costs import signed
from studies.recipes.arms import Arm, Judged, fall_backs, halfway, judged_arms, prepared, read_arms
from studies.recipes.recipe import common, train, write_hospital

WRONG_LABELS = {"shifted": 0.05, "everyday": 0.10}
"""Hospital to the share of its training and validation recordings whose labels are wrong."""
ARMS = ["pretrained_head", "slow", "discriminative", "linear_probe", "fast_probe"]
AS_GOOD = 0.002
"""Macro AUROC within which the arm is taken that more rarely ends below its start."""


def trained_on(draw: int, hospital: str, options: argparse.Namespace) -> tuple[dict[str, Arm], dict[str, int]]:
    """Simulate the recordings of one draw, train what is missing, and make the arms between start and end.

    Returns:
        Name to arm, and the number of recordings of each side.
    """
    output = options.output.absolute() / hospital
    folder = output / f"draw-{draw}"
    folder.mkdir(parents=True, exist_ok=True)
    table = write_hospital(
        folder,
        options.trained,
        options.tested,
        0.15,
        hospital,
        wrong_labels=WRONG_LABELS[hospital],
        task=MULTI_LABEL,
        seed=100 + draw,
        tested_in=output,
    )
    shared = common(table, output / "store", options.epochs, MULTI_LABEL, 10.0)
    shared += [f"seed={draw}", "evaluation.calibration=none"]
    sizes = ",".join(map(str, options.sizes))
    design = [
        "sweep=label_efficiency",
        "sweep.seeds=1",
        f"sweep.sizes=[{sizes}]",
        f"experiment={','.join(options.arms)}",
    ]
    sweep = SweepFolder(folder / "sweep")
    train([*design, *shared], sweep.path, options.processes)
    data = prepared(shared, folder)
    arms: dict[str, Arm] = {}
    for name, arm in read_arms(sweep, options.arms).items():
        arms |= {name: arm, f"{name}, fall-back": fall_backs(arm, data), f"{name}, halfway": halfway(arm, data)}
    return arms, dict(data.table["split"].value_counts())


def together(draws: Sequence[Mapping[str, Arm]]) -> dict[str, Arm]:
    """Arms with the trainings of all draws."""
    first, *others = draws
    arms = dict(first)
    for other in others:
        for name, arm in arms.items():
            arms[name] = replace(
                arm,
                **{
                    field: {size: {**seeds, **getattr(other[name], field)[size]} for size, seeds in found.items()}
                    for field, found in vars(arm).items()
                },
            )
    return arms


def taken(by_hospital: Mapping[str, Sequence[Judged]]) -> str | None:
    """The arm that the protocol takes; None: the start."""
    allowed = []
    for row in zip(*by_hospital.values(), strict=True):
        gains = [one.over_start.estimate.value or 0.0 for one in row]
        if min(gains) >= 0 and max(gains) > 0:
            allowed.append((sum(gains) / len(gains), sum(one.below_start[1] for one in row), row[0].name))
    best = max((gain for gain, _, _ in allowed), default=0.0)
    as_good = [one for one in allowed if one[0] >= best - AS_GOOD]
    return min(as_good, key=lambda one: (one[1], -one[0]))[2] if as_good else None


def table_of(by_hospital: Mapping[str, Sequence[Judged]]) -> list[str]:
    """The lines of the table."""
    head = ["arm"]
    for hospital, arms in by_hospital.items():
        head += [f"{hospital}, {size}" for size in sorted(arms[0].auroc)]
        head += ["over its start", "log loss", "below start, val / test"]
    lines = [f"| {' | '.join(head)} |", "| --- |" + " ---: |" * (len(head) - 1)]
    for row in zip(*by_hospital.values(), strict=True):
        cells = [f"`{row[0].name}`"]
        for one in row:
            sizes, (validation, test, trainings) = sorted(one.auroc), one.below_start
            cells += [f"{one.auroc[size]:.3f} ± {one.deviation[size]:.3f}" for size in sizes]
            cells += [signed(one.over_start.estimate), " / ".join(f"{one.log_loss[size]:.3f}" for size in sizes)]
            cells.append(f"{validation} / {test} of {trainings}")
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def main() -> None:
    """Train what is missing at both hospitals, and print the table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True, help="folder that everything lies in")
    parser.add_argument("--arms", nargs="+", default=ARMS, choices=ARMS)
    parser.add_argument("--sizes", type=int, nargs="+", default=[50, 150], help="training recordings")
    parser.add_argument("--trained", type=int, default=32, help="recordings per condition to take those from")
    parser.add_argument("--tested", type=int, default=130, help="recordings per condition to test on")
    parser.add_argument("--draws", type=int, default=5, help="times that each arm is trained, on other recordings")
    parser.add_argument("--epochs", type=int, default=20, help="at most")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--resamples", type=int, default=1000)
    parser.add_argument("--write", action="store_true", help="put the table into RESULTS.md of this folder")
    options = parser.parse_args()
    judged, counted = {}, []
    for hospital in WRONG_LABELS:
        draws, sides = zip(*(trained_on(draw, hospital, options) for draw in range(1, options.draws + 1)), strict=True)
        judged[hospital] = judged_arms(together(draws), options.arms[0], options.resamples)
        validated = sorted({side["validation"] for side in sides})
        counted.append(f"{hospital}: {validated[0]} to {validated[-1]} to validate, {sides[0]['test']:,} to test")
    lines = [
        f"Macro AUROC of the test recordings, mean and deviation of {options.draws} trainings, each on its own "
        f"recordings; at most {options.epochs} epochs; {options.resamples:,} draws of patients and "
        f"trainings. {'; '.join(counted)}.",
        "",
        *table_of(judged),
        "",
        f"Taken by the protocol: {taken(judged) or 'the start'}.",
        "",
        machine.describe(),
    ]
    table = "\n".join(lines)
    print(table)
    if options.write:
        write_between(Path(__file__).with_name("RESULTS.md"), "studies.recipes.few_recordings", table)


if __name__ == "__main__":
    main()
