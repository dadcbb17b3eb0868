"""Recipes of fine-tuning side by side, by the protocol of README.md of this folder.

    python -m studies.recipes.recipe --output recipe --write     # goes on where it was stopped
    python -m studies.recipes.recipe --output quick --sizes 60 120 --seeds 2 --epochs 1 --recordings 60 \
        --first today lp_ft --second ema                    # a quick look

Every training is a trial of the product's own sweep: ``ecgfounder-ft train -m sweep=label_efficiency experiment=...``,
where an arm is a file of ``studies/recipes/configs/``. The sweep's folder has its page, ``sweep.html``, with the
learning curves of all arms; the table that this command prints adds what the protocol asks for beside.
"""

import argparse
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from benchmarks import machine
from benchmarks.results_between import write_between
from ecgfounder_ft.config.compose import compose_settings, load_label_map
from ecgfounder_ft.data.catalog import targets
from ecgfounder_ft.data.split_settings import TEST, TRAIN, VALIDATION
from ecgfounder_ft.data.splits import split_recordings
from ecgfounder_ft.files import write_csv
from ecgfounder_ft.sweeps.answer import show_answer
from ecgfounder_ft.sweeps.folder import SweepFolder
from ecgfounder_ft.task import SINGLE_LABEL, Task
from studies.recipes.arms import best_by_validation, crops, ensembles, fall_backs, judged_arms, prepared, read_arms
from studies.recipes.table import table_of

ARMS = Path(__file__).parent / "configs"
FIRST = [
    "today",
    "pretrained_head",
    "authors_notebook",
    "warmup_cosine",
    "discriminative",
    "lp_ft",
    "stochastic_depth",
    "random_encoder",
]
SECOND = ["ema", "light_augmentation"]
FOLDS = {TRAIN: 1, VALIDATION: 9, TEST: 10}
"""Those of ``split=published``."""


def write_hospital(
    output: Path,
    trained: int,
    tested: int,
    validation: float,
    hospital: str = "shifted",
    *,
    wrong_labels: float = 0.05,
    task: Task = SINGLE_LABEL,
    seed: int = 1,
    tested_in: Path | None = None,
) -> Path:
    """The table of a simulated hospital: wrong labels on training and validation, other patients and none to test on.

    Args:
        output: folder of the simulations and of the table.
        trained: recordings per condition, on average, to train and validate on.
        tested: the same to test on.
        validation: share of the first simulation's patients.
        hospital: of ``data.hospital``.
        wrong_labels: of ``data.wrong_labels``, in the first simulation.
        task: recordings that it does not use are left out.
        seed: of the first simulation; that of the second is 2.
        tested_in: folder of the second simulation; None: as the first.
    """
    label_map = load_label_map("six_conditions")
    parts = []
    for name, root, number, wrong, recordings in (
        ("hospital", output, seed, wrong_labels, trained),
        ("tested", tested_in or output, 2, 0.0, tested),
    ):
        settings = compose_settings(
            [
                "data=simulated",
                f"data.hospital={hospital}",
                f"data.root={root / name}",
                f"data.seed={number}",
                f"data.wrong_labels={wrong}",
                f"data.recordings_per_condition={recordings}",
            ]
        )
        table = settings.source.read(label_map).table
        table = table[task.usable(targets(table, label_map))].reset_index(drop=True)
        for column in ("recording", "patient"):
            table[column] = name + "/" + table[column].astype(str)
        if name == "hospital":
            shares = ["split.test=0", f"split.train={1 - validation}", f"split.validation={validation}"]
            split = compose_settings(["split=random", *shares]).split
            sides = split_recordings(table, table["recording"], split, split.seed, label_map.codes)["split"]
        else:
            sides = pd.Series(TEST, index=table.index)
        parts.append(table.assign(fold=sides.map(FOLDS)))
    path = output / "hospital.csv"
    columns = ["path", "dataset", "constituent", "recording", "patient", "age", "sex", "fold", *label_map.codes]
    write_csv(path, pd.concat(parts, ignore_index=True)[columns])
    return path


def common(table: Path, store: Path, epochs: int, task: Task = SINGLE_LABEL, seconds: float = 5.0) -> list[str]:
    """What all arms share, as typed."""
    return [
        "data=table",
        f"data.path={table}",
        f"data.store={store}",
        "data.max_samples=null",
        f"task={task.name}",
        "split=published",
        f"preprocessing.window.seconds={seconds}",
        "model/architecture=demo",
        "model.weights=demo_12_lead",
        f"trainer.max_epochs={epochs}",
        "callbacks.early_stopping.patience=4",
        "evaluation.report=false",
        "evaluation.baselines=false",
        "evaluation.by=[]",
        "evaluation.resamples=0",
        "logger=[]",
        "trainer.enable_progress_bar=false",
    ]


def train(typed_: Sequence[str], sweep: Path, processes: int) -> None:
    """One sweep, by several processes of the same command; what is done in its folder is not done again.

    Raises:
        RuntimeError: if no process came to its end.
    """
    command = [sys.executable, "-m", "ecgfounder_ft", "train", "--config-dir", str(ARMS), "-m", *typed_]
    command += [f"hydra.sweep.dir={sweep}"]
    surroundings = os.environ | ({"OMP_NUM_THREADS": "1"} if processes > 1 else {})
    logs = [(sweep.parent / f"process-{number}.log").open("a") for number in range(processes)]
    running = [subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=surroundings) for log in logs]
    ends = [process.wait() for process in running]
    for log in logs:
        log.close()
    if all(ends):  # the first to end may see the other still at its last trial, and say so
        raise RuntimeError(f"a sweep ended with {ends}; what happened stands in {sweep.parent}/process-*.log")


def main() -> None:
    """Simulate, train what is missing, and print the table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True, help="folder that everything lies in")
    parser.add_argument("--first", nargs="+", default=FIRST, choices=FIRST, help="arms; `today` is always among them")
    parser.add_argument("--second", nargs="+", default=SECOND, choices=SECOND, help="what is added to the best of them")
    parser.add_argument("--sizes", type=int, nargs="+", default=[128, 1000], help="training recordings")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=20, help="at most")
    parser.add_argument("--recordings", type=int, default=230, help="per condition, to train and to test on each")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--resamples", type=int, default=1000)
    parser.add_argument("--write", action="store_true", help="put the table into RESULTS.md of this folder")
    options = parser.parse_args()
    output, first = options.output.absolute(), list(dict.fromkeys(["today", *options.first]))
    output.mkdir(parents=True, exist_ok=True)
    hospital = write_hospital(output, options.recordings, options.recordings, validation=0.12)
    shared = common(hospital, output / "store", options.epochs)
    design = ["sweep=label_efficiency", f"sweep.seeds={options.seeds}"]
    design += [f"sweep.sizes=[{','.join(map(str, options.sizes))}]"]
    folder = SweepFolder(output / "sweep")
    train([*design, *shared, f"experiment={','.join(first)}"], folder.path, options.processes)
    best = best_by_validation(read_arms(folder, first))
    train([*design, *shared, f"experiment={best}", f"+with={','.join(options.second)}"], folder.path, options.processes)
    show_answer(folder, resamples=options.resamples)
    arms = read_arms(folder, [*first, *options.second])
    data, chosen = prepared(shared, output), arms[best]
    arms |= {"wise_ft": fall_backs(chosen, data), "crops": crops(chosen, data), "ensemble": ensembles(chosen)}
    judged = judged_arms(arms, "today", options.resamples)
    table = "\n".join([*table_of(judged, best, options), "", machine.describe()])
    print(table)
    if options.write:
        write_between(Path(__file__).with_name("RESULTS.md"), "studies.recipes.recipe", table)


if __name__ == "__main__":
    main()
