"""Which of ECGFounder's rows near NORM start it best: the protocol of docs/finetuning.md, on simulated recordings.

    python -m studies.small_models.normal_rows --weights checkpoint/demo_12_lead.pth
    python -m studies.small_models.normal_rows --recordings DIR [DIR ...]   # real recordings beside them, as a check

Any checkpoint whose last layer has the 150 rows will do.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from rich.table import Table
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.metrics import log_loss, roc_auc_score

from ecgfounder_ft.config.compose import load_label_map
from ecgfounder_ft.config.pretraining import sizes_in
from ecgfounder_ft.ecg.leads import STANDARD_LEADS
from ecgfounder_ft.ecg.preprocessing import Preprocessing
from ecgfounder_ft.ecg.recording import Recording
from ecgfounder_ft.ecg.simulator import record, sample_physiology
from ecgfounder_ft.ecg.simulator.population import draw_case
from ecgfounder_ft.labels import UNKNOWN, Condition, LabelMap
from studies.recordings_at_hand import read_all
from studies.small_models.real_recordings import build, predict

ROWS = {"NORMAL SINUS RHYTHM": 1, "NORMAL ECG": 2, "SINUS RHYTHM": 3}
ARMS: dict[str, tuple[int, ...]] = {
    "mean of rows 1, 2 and 3": (0, 1, 2),
    "row 1": (0,),
    "mean of rows 1 and 2": (0, 1),
    "any of rows 1 and 3": (0, 2),
}
"""Columns whose mean it is; a rule that adds a constant has the same AUROC, and the same log loss once fitted."""


def simulated(count: int, seed: int, preprocessing: Preprocessing) -> tuple[NDArray[np.float32], NDArray[np.int8]]:
    """Inputs and whether each recording is NORM."""
    rng = np.random.default_rng(seed)
    inputs, states = [], []
    for _ in track(range(count), "simulating"):
        conditions, findings = draw_case(rng)
        signal, _ = record(sample_physiology(conditions, rng, findings), rng)
        inputs.append(preprocessing(Recording("simulated", STANDARD_LEADS, signal, 500.0)).signal)
        states.append("NORM" in conditions)
    return np.stack(inputs), np.array(states, np.int8)


def measures(score: NDArray, label: NDArray) -> tuple[float, float]:
    """AUROC, and log loss after a fit of slope and intercept."""
    fitted = LogisticRegression(C=1e6).fit(score[:, None], label).predict_proba(score[:, None])[:, 1]
    return float(roc_auc_score(label, score)), float(log_loss(label, fitted))


def add_rows(table: Table, title: str, scores: dict[str, NDArray], label: NDArray, resamples: int) -> None:
    rng = np.random.default_rng(0)
    drawn = [rng.integers(0, len(label), len(label)) for _ in range(resamples)]
    for name, score in scores.items():
        auroc, loss = measures(score, label)
        resampled = [roc_auc_score(label[rows], score[rows]) for rows in drawn if 0 < label[rows].mean() < 1]
        low, high = np.percentile(resampled, [2.5, 97.5])
        table.add_row(title, str(len(label)), name, f"{auroc:.3f}", f"{low:.3f} to {high:.3f}", f"{loss:.3f}")
    table.add_section()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, default=Path("checkpoint/demo_12_lead.pth"))
    parser.add_argument("--architecture", type=Path, default=Path("configs/model/architecture/demo.yaml"))
    parser.add_argument("--labels", default="six_conditions", help="name of a label map")
    parser.add_argument("--leads", nargs="+", default=list(STANDARD_LEADS), help="of the model, as --leads I")
    parser.add_argument("--recordings", type=Path, nargs="*", default=[])
    parser.add_argument("--simulated", type=int, default=3000)
    parser.add_argument("--resamples", type=int, default=1000)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    rows = LabelMap("rows", {name: Condition(name=name, tasks=[row]) for name, row in ROWS.items()})
    net = build(options.weights, sizes_in(options.architecture), len(options.leads), rows)
    preprocessing = Preprocessing(leads=options.leads)
    inputs, label = simulated(options.simulated, 99, preprocessing)
    other, other_label = simulated(max(options.simulated // 2, 20), 98, preprocessing)
    fit = LinearRegression().fit(predict(net, other), other_label)

    def scores(logits: NDArray) -> dict[str, NDArray]:
        found = {name: logits[:, list(columns)].mean(axis=1) for name, columns in ARMS.items()}
        return found | {"least squares": fit.predict(logits)}

    table = Table("recordings", "n", "rule", "AUROC", "95% interval", "log loss")
    add_rows(table, "simulated", scores(predict(net, inputs)), label, options.resamples)
    if options.recordings:
        label_map = load_label_map(options.labels)
        data = read_all(options.recordings, label_map, preprocessing)
        states = data.states[:, label_map.codes.index("NORM")]
        known = states != UNKNOWN
        add_rows(table, "real", scores(predict(net, data.inputs[known])), states[known], options.resamples)
    console = Console(width=110)
    console.print(f"weights of rows 1, 2 and 3 by least squares: {', '.join(f'{w:.3f}' for w in fit.coef_)}")
    console.print(table)


if __name__ == "__main__":
    main()
