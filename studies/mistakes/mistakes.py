"""What each silent mistake of this field costs, one at a time, and what this program says to it. See README.md.

    python -m studies.mistakes.mistakes --recordings physionet2021 cpsc2018-word-labels
    python -m studies.mistakes.mistakes --recordings physionet2021 cpsc2018-word-labels --write  # page, picture

The protocol stands at the head of that page. Mistakes in what the network is given are made on the recordings in the
folders, whose headers carry ``Dx`` lines; mistakes in how recordings are divided on simulated ones, which have patients
with several. Five minutes of one core with the small network.
"""

import argparse
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from rich.progress import track

from benchmarks import machine
from benchmarks.results_between import write_between
from ecgfounder_ft.config.compose import compose_settings, load_label_map
from ecgfounder_ft.config.pretraining import sizes_in
from ecgfounder_ft.data.caps import sample_patients
from ecgfounder_ft.data.split_settings import TEST, TRAIN
from ecgfounder_ft.data.splits import split_recordings
from ecgfounder_ft.ecg.formats import read_recording
from ecgfounder_ft.ecg.leads import STANDARD_LEADS
from ecgfounder_ft.ecg.preprocessing import Preprocessing
from ecgfounder_ft.ecg.recording import Recording, UnreadableRecordingError
from ecgfounder_ft.evaluation.thresholds import choose_thresholds
from ecgfounder_ft.files import sha256_of
from ecgfounder_ft.inference.finished_model import FinishedModel
from ecgfounder_ft.labels import LabelMap
from ecgfounder_ft.model.checkpoints import load_weights
from ecgfounder_ft.model.ecgfounder import NET1D
from ecgfounder_ft.model.record import ModelRecord
from ecgfounder_ft.task import MULTI_LABEL
from studies.mistakes.guards import GUARDS
from studies.mistakes.inputs import INPUT_MISTAKES, printed_in_label_map_order, unknown_as_absent
from studies.mistakes.picture import draw
from studies.mistakes.splits import BATCH, cap_before_split, trained_mistakes
from studies.paired_costs import JUDGED_BY, Cost, Pair, columns_with_enough, costs_of, judged, signed
from studies.recordings_at_hand import Found, PtbxlLabels, console, find_recordings

ROOT = Path(__file__).resolve().parents[2]
PAGE, PICTURE = Path(__file__).with_name("README.md"), Path(__file__).with_name("mistakes.svg")

RIGHT = "right"
AT_HAND, SIMULATED = "On the recordings at hand", "On a simulated hospital"


def zero_shot(weights: Path, architecture: Path, label_map: LabelMap) -> FinishedModel:
    """The network with its last layer from the task rows that the label map names, and its preprocessing."""
    sizes = {"in_channels": len(STANDARD_LEADS), "num_classes": len(label_map), **sizes_in(architecture)}
    record = ModelRecord(label_map, MULTI_LABEL, Preprocessing(), {"_target_": NET1D, **sizes})
    net = record.build_network()
    load_weights(net, weights, *label_map.task_rows)
    return FinishedModel(net.eval().to("cuda" if torch.cuda.is_available() else "cpu"), record)


def ask(found: Found, model: FinishedModel) -> tuple[list[int], dict[str, NDArray[np.float64]]]:
    """The rows of ``found`` that can be read, and their probabilities the right way and with each mistaken input."""
    right = model.record.preprocessing
    ways: dict[str, Callable[[Recording, Preprocessing], NDArray[np.float32]]] = {
        RIGHT: lambda recording, preprocessing: preprocessing(recording).signal,
        **INPUT_MISTAKES,
    }
    answers: dict[str, list[NDArray[np.float64]]] = {way: [] for way in ways}
    waiting: dict[str, list[NDArray[np.float32]]] = {way: [] for way in ways}
    rows = []

    def answer() -> None:
        for way, inputs in waiting.items():
            if inputs:
                answers[way].append(model.uncalibrated(np.stack(inputs)))
                inputs.clear()

    for row, path in enumerate(track(found.table["path"].tolist(), "each input right and mistaken", console=console)):
        try:
            recording = read_recording(Path(path), STANDARD_LEADS)
            inputs = {way: make(recording, right) for way, make in ways.items()}
        except UnreadableRecordingError:
            continue
        rows.append(row)
        for way, signal in inputs.items():
            waiting[way].append(signal)
        if len(waiting[RIGHT]) == BATCH:
            answer()
    answer()
    console.print(f"{len(rows)} recordings read; {len(found.table) - len(rows)} cannot be")
    return rows, {way: np.concatenate(parts) for way, parts in answers.items()}


def mistakes_at_hand(found: Found, answers: Mapping[str, NDArray[np.float64]], codes: Sequence[str]) -> dict[str, Pair]:
    """Mistakes in what the network is given, and in how its answers and the labels are read."""
    states, patients = found.states, found.table["patient"].to_numpy()
    columns = columns_with_enough(states, patients)
    right = {0: judged(states, answers[RIGHT], patients, codes, columns)}
    renamed = printed_in_label_map_order(answers[RIGHT], codes)
    wrong = {
        **{name: judged(states, answers[name], patients, codes, columns) for name in INPUT_MISTAKES},
        "classes in alphabetical order": judged(states, renamed, patients, codes, columns),
        "unknown counted as absent": judged(unknown_as_absent(states), answers[RIGHT], patients, codes, columns),
    }
    pairs = {name: Pair(right, {0: data}) for name, data in wrong.items()}
    return pairs | {"thresholds chosen on test": thresholds_on_test(found, answers[RIGHT], codes)}


def thresholds_on_test(found: Found, answers: NDArray[np.float64], codes: Sequence[str]) -> Pair:
    """One half judged by thresholds of the other, and by its own."""
    halves = ["split.train=0.5", "split.validation=0.0", "split.test=0.5", "split.assignment=stratified"]
    settings = compose_settings(halves).split
    sides = split_recordings(found.table, found.signal, settings, 0, codes)["split"].to_numpy()
    test = sides == TEST
    states, patients = found.states[test], found.table["patient"].to_numpy()[test]
    columns = columns_with_enough(states, patients)
    pair = []
    for side in (TRAIN, TEST):
        chosen = choose_thresholds(found.states[sides == side], answers[sides == side], codes, method="f1").values
        pair.append({0: judged(states, answers[test], patients, codes, columns, chosen)})
    return Pair(*pair)


def report(groups: Mapping[str, Mapping[str, Cost]], about: Mapping[str, str]) -> str:
    """The tables, in Markdown."""
    lines = [f"![Each mistake, its cost and its guard; the numbers stand below]({PICTURE.name})", ""]
    lines += [f"{machine.describe()}, other programs running.", ""]
    for heading, costs in groups.items():
        lines += [f"### {heading}", "", about[heading], ""]
        lines.append("| mistake | " + " | ".join(f"macro {label}" for label in JUDGED_BY.values()) + " |")
        lines.append("| --- |" + " ---: |" * len(JUDGED_BY))
        lines += [
            f"| {name} | " + " | ".join(_cell(cost, metric) for metric in JUDGED_BY) + " |"
            for name, cost in costs.items()
        ]
        lines.append("")
    lines += ["### What the guards said", "", "Each of them was made to fire in the same run.", ""]
    lines += ["| mistake | guard | what it said |", "| --- | --- | --- |"]
    for costs in groups.values():
        lines += [f"| {name} | {GUARDS[name].name} | {_in_table(GUARDS[name].fire())} |" for name in costs]
    return "\n".join(lines)


def _cell(cost: Cost, metric: str) -> str:
    """The right way, the difference and its interval."""
    found = cost.difference[metric]
    if found.value is None:
        return "-"
    return f"{cost.right[metric]:.3f} {signed(found)}"


def _in_table(text: str) -> str:
    """Verbatim, in a cell of a Markdown table."""
    escaped = text.replace("|", "\\|")
    return f"`{escaped}`"


def write(text: str) -> None:
    """Put the tables between the markers of the page."""
    write_between(PAGE, "studies.mistakes.mistakes", text)


def parser() -> argparse.ArgumentParser:
    """The options."""
    found = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    found.add_argument("--recordings", type=Path, nargs="+", required=True)
    found.add_argument("--weights", type=Path, default=ROOT / "checkpoint" / "demo_12_lead.pth")
    found.add_argument("--architecture", type=Path, default=ROOT / "configs" / "model" / "architecture" / "demo.yaml")
    found.add_argument("--labels", default="six_conditions", help="name of a label map")
    found.add_argument("--headers", type=Path, help="of PTB-XL in PhysioNet/CinC 2021, for PTB-XL's own recordings")
    found.add_argument("--ptbxl-database", type=Path, help="ptbxl_database.csv, for its patients; with --headers")
    found.add_argument("--most", type=int, help="recordings, in whole patients drawn at random")
    found.add_argument("--resamples", type=int, default=1000)
    found.add_argument("--hospital", type=int, default=420, help="simulated patients to divide; 0: none, no training")
    found.add_argument("--epochs", type=int, default=12)
    found.add_argument("--seeds", type=int, default=3)
    found.add_argument("--natural", type=int, default=1500, help="simulated patients of a natural prevalence")
    found.add_argument("--cap", type=int, default=40, help="recordings of each condition of those")
    found.add_argument("--threads", type=int, default=2)
    found.add_argument("--write", action="store_true", help="into README.md and mistakes.svg of this folder")
    found.add_argument("--picture", type=Path, help="draw it there")
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    """Make every mistake, fire every guard, print the tables."""
    options = parser().parse_args(arguments)
    torch.set_num_threads(options.threads)
    label_map = load_label_map(options.labels)
    codes = label_map.codes
    model = zero_shot(options.weights, options.architecture, label_map)
    ptbxl = None if options.headers is None else PtbxlLabels.below(options.headers, options.ptbxl_database)
    found = find_recordings(options.recordings, label_map, ptbxl)
    if options.most is not None:
        found = found.some(np.flatnonzero(sample_patients(found.table["patient"], options.most)).tolist())
    rows, answers = ask(found, model)
    found = found.some(rows)
    of_network = f"{options.weights.name} (sha256 {sha256_of(options.weights)[:12]})"
    about = {
        AT_HAND: f"{of_network}, zero-shot, on {len(rows)} recordings of {found.table['patient'].nunique()} patients "
        f"({', '.join(folder.name for folder in options.recordings)}): each metric the right way, what the mistake "
        "adds to it, and the interval of that.",
        SIMULATED: f"{of_network}, as in the protocol: {options.hospital} patients to train on and to test, "
        f"{options.epochs} epochs, {options.seeds} seed(s); {options.natural} patients for the cap.",
    }
    groups: dict[str, dict[str, Cost]] = {}
    groups[AT_HAND] = costs_of(mistakes_at_hand(found, answers, codes), options.resamples)
    if not groups[AT_HAND]:
        raise SystemExit(f"{len(rows)} recordings say too little: expected five patients with and without a condition")
    if options.hospital:
        pairs = trained_mistakes(model, options.hospital, options.epochs, options.seeds)
        pairs |= cap_before_split(model, options.natural, options.cap)
        groups[SIMULATED] = costs_of(pairs, options.resamples)
    text = report(groups, about)
    print(text)
    guards = {name: guard.name for name, guard in GUARDS.items()}
    for file in filter(None, (options.picture, PICTURE if options.write else None)):
        draw(groups, guards, file)
    if options.write:
        write(text)


if __name__ == "__main__":
    main()
