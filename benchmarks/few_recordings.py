"""Recipes for few recordings: at a hospital where the start has something to learn, and where it can only be spoilt.

    python -m benchmarks.few_recordings --output few --write     # goes on where it was stopped
    python -m benchmarks.few_recordings --output quick --arms linear_probe slow --seeds 2 --epochs 1 --tested 20

By the protocol of docs/recipe.md ("Few recordings"). Trained and judged as in ``benchmarks.recipe``.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from benchmarks import machine
from benchmarks.paired_costs import signed
from benchmarks.recipe import common, train, write_hospital
from benchmarks.recipe_arms import Judged, fall_backs, halfway, judged_arms, prepared, read_arms
from benchmarks.results_between import RESULTS, write_between
from ecgfounder_ft.sweeps.folder import SweepFolder

HOSPITALS = ["shifted", "textbook"]
ARMS = ["pretrained_head", "discriminative", "lp_ft", "linear_probe", "slow"]
SPOILT = 0.005
"""Macro AUROC that an arm may lose at the hospital of the pretraining."""


def judged_at(hospital: str, options: argparse.Namespace) -> tuple[list[Judged], str]:
    """Simulate a hospital, train what is missing, and judge every arm, as trained and between its start and its end.

    Returns:
        The arms, and how many recordings there are of each side, in words.
    """
    output = options.output.absolute() / hospital
    output.mkdir(parents=True, exist_ok=True)
    shared = common(write_hospital(output, options.trained, options.tested, 0.2, hospital), output, options.epochs)
    sizes, trained = (by.join(map(str, options.sizes)) for by in (",", " and "))
    design = ["sweep=label_efficiency", f"sweep.seeds={options.seeds}", f"sweep.sizes=[{sizes}]"]
    folder = SweepFolder(output / "sweep")
    train([*design, *shared, f"experiment={','.join(options.arms)}"], folder.path, options.processes)
    data = prepared(shared, output)
    arms = {}
    for name, arm in read_arms(folder, options.arms).items():
        arms |= {name: arm, f"{name}, fall-back": fall_backs(arm, data), f"{name}, halfway": halfway(arm, data)}
    sides = data.table["split"].value_counts()
    counted = f"{hospital}: {trained} to train, {sides['validation']} to validate, {sides['test']:,} to test"
    return judged_arms(arms, options.arms[0], options.resamples), counted


def taken(shifted: Sequence[Judged], textbook: Sequence[Judged]) -> str | None:
    """The arm that the protocol takes; None: the start."""
    allowed = [
        (one.over_start.estimate.value or 0.0, one.name)
        for one, other in zip(shifted, textbook, strict=True)
        if (other.over_start.estimate.value or 0.0) >= -SPOILT
    ]
    gain, name = max(allowed, default=(0.0, ""))
    return name if gain > 0 else None


def table_of(by_hospital: Sequence[Sequence[Judged]]) -> list[str]:
    """The lines of the table."""
    head = ["arm"]
    for hospital in HOSPITALS:
        head += [f"{hospital}, {size}" for size in sorted(by_hospital[0][0].auroc)]
        head += ["over its start", "log loss", "below start, val / test"]
    lines = [f"| {' | '.join(head)} |", "| --- |" + " ---: |" * (len(head) - 1)]
    for row in zip(*by_hospital, strict=True):
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
    parser.add_argument("--sizes", type=int, nargs="+", default=[50, 100], help="training recordings")
    parser.add_argument("--trained", type=int, default=27, help="recordings per condition to take those from")
    parser.add_argument("--tested", type=int, default=230, help="recordings per condition to test on")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=20, help="at most")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--resamples", type=int, default=1000)
    parser.add_argument("--write", action="store_true", help="put the table into benchmarks/RESULTS.md")
    options = parser.parse_args()
    found = [judged_at(hospital, options) for hospital in HOSPITALS]
    (shifted, _), (textbook, _) = found
    lines = [
        f"Macro AUROC of the test recordings, mean and deviation of {options.seeds} seeds; at most {options.epochs} "
        f"epochs; {options.resamples:,} draws. Recordings, {'; '.join(counted for _, counted in found)}.",
        "",
        *table_of([judged for judged, _ in found]),
        "",
        f"Taken by the protocol: {taken(shifted, textbook) or 'the start'}.",
        "",
        machine.describe(),
    ]
    table = "\n".join(lines)
    print(table)
    if options.write:
        write_between(RESULTS, "benchmarks.few_recordings", table)


if __name__ == "__main__":
    main()
