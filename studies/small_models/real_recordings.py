"""How a checkpoint reads real recordings: zero-shot, and fine-tuned on four fifths of them by the product's own sweep.

    python -m studies.small_models.real_recordings --recordings DIR [DIR ...] --weights checkpoint/demo_12_lead.pth

DIR: folders of WFDB recordings whose headers carry ``Dx`` lines (SNOMED codes, or the words of CPSC 2018). Reported are
AUROC of each condition with 95% intervals from a bootstrap over patients, and their macro average, on the recordings
that state one of the label map's conditions and on all of them. Unknown labels are left out. Two rows help where labels
are loose: NORM where nothing but a sinus rhythm is stated, against all recordings without it; and fibrillation or
flutter together, with the sources that do not tell them apart.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from rich.table import Table

from ecgfounder_ft.config.compose import load_label_map
from ecgfounder_ft.config.pretraining import sizes_in
from ecgfounder_ft.ecg.leads import STANDARD_LEADS
from ecgfounder_ft.ecg.preprocessing import Preprocessing
from ecgfounder_ft.evaluation.evaluate import evaluate
from ecgfounder_ft.evaluation.probabilities import log_odds
from ecgfounder_ft.files import sha256_of, write_csv
from ecgfounder_ft.labels import ABSENT, PRESENT, UNKNOWN, LabelMap
from ecgfounder_ft.model.checkpoints import load_weights
from ecgfounder_ft.model.ecgfounder.net1d import Net1D
from ecgfounder_ft.sweeps.folder import SweepFolder
from ecgfounder_ft.task import MULTI_LABEL
from studies.paired_costs import JUDGED_BY, Cost, Pair, columns_with_enough, costs_of, judged, signed
from studies.recordings_at_hand import RealRecordings, console, read_all

ENOUGH = 5
"""Recordings of a condition below which its AUROC says little; a second macro average leaves such conditions out."""


def build(weights: Path, architecture: dict, leads: int, label_map: LabelMap) -> Net1D:
    """The network with its last layer from the checkpoint's matching task rows."""
    net = Net1D(in_channels=leads, num_classes=len(label_map), **architecture)
    load_weights(net, weights, *label_map.task_rows)
    return net


def predict(net: Net1D, inputs: NDArray[np.float32]) -> NDArray[np.float64]:
    """(n, conditions) logits."""
    net.eval()
    with torch.inference_mode():
        parts = [net(torch.from_numpy(part.copy())) for part in np.array_split(inputs, max(len(inputs) // 32, 1))]
    return torch.cat(parts).double().numpy()


def cross_validated(
    data: RealRecordings, options: argparse.Namespace, codes: list[str], folder: Path, seed: int
) -> NDArray:
    """(n, conditions) logits of each recording by the trained models that have not seen its patient, the mean of them.

    The product's own sweep trains: ``--members`` trials per fold, on a table of these recordings. Where none of the
    conditions is known, there is nothing to judge, and NaN stands in place of logits.

    Args:
        data: the recordings.
        options: of the command.
        codes: the conditions.
        folder: of the table and the sweep; the store beside it serves every seed.
        seed: of the folds and of the trainings.

    Raises:
        RuntimeError: if a fold was not trained, or a recording has no prediction.
    """
    table = data.as_table(codes)
    write_csv(folder / "recordings.csv", table)
    command = [
        *(sys.executable, "-m", "ecgfounder_ft", "train", "-m", "sweep=cross_validation"),
        *(f"sweep.folds={options.folds}", f"sweep.seeds={options.members}", f"seed={seed}"),
        *("data=table", f"data.path={folder / 'recordings.csv'}", f"data.store={folder.parent / 'store'}"),
        *(
            "split.assignment=stratified",
            "split.train=0.85",
            "split.validation=0.15",
            "split.test=0",
            "split.minimum=0",
        ),
        *(f"labels={options.labels}", f"model/architecture={options.architecture.stem}"),
        *(f"model.leads=[{','.join(options.leads)}]", "model.head=pretrained"),
        f"model.weights={'null' if options.random_start else options.weights.absolute()}",
        *("evaluation.calibration=none", "evaluation.report=false", "evaluation.baselines=false"),
        *("logger=[]", "trainer.enable_progress_bar=false", *options.train, f"hydra.sweep.dir={folder / 'sweep'}"),
    ]
    surroundings = os.environ | {"OMP_NUM_THREADS": str(options.threads)}
    log = folder / "train.log"
    with log.open("a") as output:
        finished = subprocess.run(command, stdout=output, stderr=subprocess.STDOUT, check=False, env=surroundings)
    if finished.returncode:
        raise RuntimeError(f"training ended with status {finished.returncode}; what happened stands in {log}")
    sweep = SweepFolder(folder / "sweep")
    found = []
    for trial in sweep.trials():
        predictions = sweep.run(trial).predictions()
        rows = predictions.rows("test")
        found.append(pd.DataFrame(log_odds(predictions.probabilities(rows)), index=rows["recording"]))
    predicted = pd.concat(found)
    if predicted.index.value_counts().max() > options.members:
        raise RuntimeError(f"{folder} holds trainings of other settings too; name another folder with --output")
    logits = predicted.groupby(level=0).mean().reindex(table["recording"]).to_numpy()
    missing = np.isnan(logits).any(axis=1) & (data.states != UNKNOWN).any(axis=1)
    if missing.any():
        raise RuntimeError(f"{int(missing.sum())} recordings have no prediction; see {log}")
    return logits


def auroc_rows(data: RealRecordings, logits: NDArray, label_map: LabelMap, options: argparse.Namespace) -> dict:
    """AUROC with intervals: of each condition and their macro average, on two sets, and the rows for loose labels."""
    codes = list(label_map.codes)
    probabilities = 1 / (1 + np.exp(-logits))
    patients = data.table["patient"].to_numpy()
    stating = (data.states == PRESENT).any(axis=1)
    results: dict[str, dict] = {}

    def measure(name: str, rows: NDArray, states: NDArray, scores: NDArray, of: list[str]) -> None:
        found = evaluate(
            states[rows], scores[rows], patients[rows], of, task=MULTI_LABEL, resamples=options.resamples, seed=0
        )
        results[name] = {
            code: {
                "n": condition.n,
                "positives": condition.positives,
                **{key: getattr(condition.metrics["auroc"], key) for key in ("value", "low", "high")},
                "f1": condition.metrics["f1"].value,
            }
            for code, condition in found.conditions.items()
        }
        if len(of) > 1:
            macro = found.macro["auroc"]
            results[name]["macro"] = {"value": macro.value, "low": macro.low, "high": macro.high}
            results[name]["macro"]["f1"] = found.macro["f1"].value
            enough = [index for index, code in enumerate(of) if found.conditions[code].positives >= ENOUGH]
            if len(enough) < len(of):
                names = [of[index] for index in enough]
                fewer = evaluate(
                    states[rows][:, enough], scores[rows][:, enough], patients[rows], names,
                    task=MULTI_LABEL, resamples=options.resamples, seed=0,
                ).macro["auroc"]  # fmt: skip
                label = f"macro, {ENOUGH} or more"
                results[name][label] = {"value": fewer.value, "low": fewer.low, "high": fewer.high}

    measure("one of the conditions", stating, data.states, probabilities, codes)
    measure("all recordings", np.ones(len(stating), bool), data.states, probabilities, codes)
    if "NORM" in codes:
        column = codes.index("NORM")
        names = {*label_map.conditions["NORM"].snomed, *label_map.conditions["NORM"].words}
        alone = np.array([set(stated) <= names for stated in data.diagnoses])
        strict = np.where(alone, PRESENT, np.where(data.states[:, column] == ABSENT, ABSENT, UNKNOWN)).astype(np.int8)
        for name, rows in (("one of the conditions", stating), ("all recordings", np.ones(len(stating), bool))):
            label = f"NORM stated alone, {name}"
            measure(label, rows, strict[:, None], probabilities[:, [column]], ["NORM"])
    if {"AFIB", "AFLT"} <= set(codes):
        pair = [codes.index("AFIB"), codes.index("AFLT")]
        entries = {
            entry
            for code in ("AFIB", "AFLT")
            for entry in (*label_map.conditions[code].snomed, *label_map.conditions[code].words)
        }
        either = np.array([[PRESENT if set(stated) & entries else ABSENT] for stated in data.diagnoses], dtype=np.int8)
        score = 1 - (1 - probabilities[:, pair]).prod(axis=1, keepdims=True)
        measure("AFIB or AFLT, all recordings", np.ones(len(stating), bool), either, score, ["either"])
    return results


def gains(
    data: RealRecordings, start: NDArray, repeats: Sequence[NDArray], codes: list[str], resamples: int
) -> tuple[list[str], dict[str, Cost]]:
    """What fine-tuning changes in the macro metrics against the start, over the same patients, with intervals.

    Args:
        data: the recordings.
        start: logits (n, conditions) before training.
        repeats: of each repeat of the cross-validation, the logits after it; the mean of their changes is told.
        codes: the conditions.
        resamples: of the patients.

    Returns:
        The conditions that enough patients have for an interval, and the change over them, on the two sets of
        :func:`auroc_rows`; a set where there is none is left out.
    """
    patients = data.table["patient"].to_numpy()
    columns = columns_with_enough(data.states, patients)
    predicted = np.isfinite(repeats).all(axis=(0, 2))
    stating = (data.states == PRESENT).any(axis=1)
    pairs = {}
    for name, rows in (("one of the conditions", stating & predicted), ("all recordings", predicted)):
        before, *after = (
            judged(data.states[rows], 1 / (1 + np.exp(-logits[rows])), patients[rows], codes, columns)
            for logits in (start, *repeats)
        )
        pairs[name] = Pair(dict.fromkeys(range(len(after)), before), dict(enumerate(after)))
    return [codes[column] for column in columns], costs_of(pairs, resamples)


def show(title: str, results: dict) -> None:
    table = Table("set", "condition", "recordings", "with it", "AUROC", "95% interval", "F1 at .5", title=title)
    for name, rows in results.items():
        for code, row in rows.items():
            value, low, high = (("-" if row[key] is None else f"{row[key]:.3f}") for key in ("value", "low", "high"))
            f1 = "" if row.get("f1") is None else f"{row['f1']:.3f}"
            table.add_row(
                name, code, str(row.get("n", "")), str(row.get("positives", "")), value, f"{low} to {high}", f1
            )
        table.add_section()
    console.print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recordings", type=Path, nargs="+", required=True)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--architecture", type=Path, default=Path("configs/model/architecture/demo.yaml"))
    parser.add_argument("--labels", default="six_conditions", help="name of a label map")
    parser.add_argument("--leads", nargs="+", default=list(STANDARD_LEADS), help="of the model, as --leads I")
    parser.add_argument("--folds", type=int, default=5, help="0: zero-shot only")
    parser.add_argument(
        "--train", nargs="*", default=[], help="what is typed behind ecgfounder-ft train, as finetune=full"
    )
    parser.add_argument("--output", type=Path, default=None, help="folder of the trainings; goes on where it stopped")
    parser.add_argument("--resamples", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0, help="of the folds and of the trainings")
    parser.add_argument("--members", type=int, default=1, help="trainings of each fold whose logits are averaged")
    parser.add_argument("--repeats", type=int, default=1, help="cross-validations, with seeds from --seed up")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--random-start", action="store_true", help="fine-tune from random weights, to compare")
    parser.add_argument("--json", type=Path, default=None, help="write the numbers there")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    label_map = load_label_map(options.labels)
    architecture = sizes_in(options.architecture)
    data = read_all(options.recordings, label_map, Preprocessing(leads=options.leads))

    def make() -> Net1D:
        if options.random_start:
            return Net1D(in_channels=len(options.leads), num_classes=len(label_map), **architecture)
        return build(options.weights, architecture, len(options.leads), label_map)

    record: dict[str, Any] = {
        "weights": str(options.weights),
        "sha256": sha256_of(options.weights),
        "recordings": len(data.table),
    }
    start = predict(make(), data.inputs)
    record["zero-shot"] = auroc_rows(data, start, label_map, options)
    show("random" if options.random_start else "zero-shot", record["zero-shot"])
    if options.folds:
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary) if options.output is None else options.output.absolute()
            folder.mkdir(parents=True, exist_ok=True)
            repeats = []
            for seed in range(options.seed, options.seed + options.repeats):
                own = folder / f"seed-{seed}"
                own.mkdir(exist_ok=True)
                repeats.append(cross_validated(data, options, list(label_map.codes), own, seed))
        for number, logits in enumerate(repeats):
            rows = auroc_rows(data, logits, label_map, options)
            record.setdefault("fine-tuned", []).append(rows)
            show(f"fine-tuned, {options.folds}-fold, seed {options.seed + number}", rows)
        conditions, found = gains(data, start, repeats, list(label_map.codes), options.resamples)
        record["gain"] = {
            name: {key: asdict(one) for key, one in cost.difference.items()} for name, cost in found.items()
        }
        console.print(
            f"Gain over the start, macro of {', '.join(conditions)}, paired over patients, mean of {len(repeats)}:"
        )
        for name, cost in found.items():
            changes = (f"{JUDGED_BY[key]} {signed(one)}" for key, one in cost.difference.items())
            console.print(f"  {name}: {', '.join(changes)}")
    if options.json is not None:
        options.json.write_text(json.dumps(record, indent=1))


if __name__ == "__main__":
    main()
