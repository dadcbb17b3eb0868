"""Pretrain the small models of ``checkpoint/demo_*.pth`` on simulated recordings alone.

    python -m studies.small_models.pretrain                 # all four; 8 GB of disk
    python -m studies.small_models.pretrain --models limb_leads --recordings 4000 --epochs 2 --output quick

Two threads are slower than one where other programs keep the cores busy (--threads 1).

The files have the published checkpoints' format: a dictionary with ``state_dict`` (a last layer of 150 rows of which
those that the label map names are trained), epoch, step, optimizer, scheduler and val_auroc. The same seed gives the
same simulated recordings; weights differ in the last digits between machines.
"""

import argparse
import json
import multiprocessing
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
import yaml
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import Progress, track
from scipy.optimize import brentq
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score, roc_auc_score
from torch import Tensor, nn

from ecgfounder_ft.config.pretraining import sizes_in
from ecgfounder_ft.ecg.leads import STANDARD_LEADS
from ecgfounder_ft.ecg.preprocessing import Preprocessing
from ecgfounder_ft.ecg.recording import Recording
from ecgfounder_ft.ecg.simulator import FINDINGS, record, sample_physiology
from ecgfounder_ft.ecg.simulator.hospital import hospital_named
from ecgfounder_ft.ecg.simulator.physiology import BLOCK_FINDINGS, OTHER_RHYTHM_FINDINGS, PACED_FINDINGS
from ecgfounder_ft.ecg.simulator.population import draw_case
from ecgfounder_ft.labels import LabelMap
from ecgfounder_ft.model.ecgfounder.net1d import Net1D

ARCHITECTURE = sizes_in(Path(__file__).parents[2] / "configs" / "model" / "architecture" / "demo.yaml")
TASKS = 150
"""Rows of the published last layer."""
NORMAL_SINUS_RHYTHM, NORMAL_ECG, SINUS_RHYTHM = 1, 2, 3
"""Rows near NORM, trained whether the label map names them or not: a sinus rhythm of normal rate; nothing else besides;
any sinus rhythm."""
UNTRAINED_BIAS = -6.0
"""Of rows that no label map condition names, so that they never speak up."""
SHARES = {1: 0.4, 2: 0.25, 3: 0.7, 5: 0.06, 32: 0.02, 79: 0.04, 11: 0.05, 20: 0.02}
"""Of recordings that a row is to expect: of all of Challenge 2021 (its dx_mapping_scored.csv), rounded; of
the rows near NORM, chosen."""


@dataclass(frozen=True)
class Model:
    """One of the files."""

    leads: tuple[int, ...] | None
    """That it reads; None: one lead, whichever it is."""
    epochs: int
    fitted_at: str = "textbook"
    """Hospital on whose ranges probabilities are fitted; elsewhere than the pretraining's, slopes are fitted too."""


MODELS = {
    "12_lead": Model(tuple(range(12)), epochs=6),
    "1_lead": Model((STANDARD_LEADS.index("I"),), epochs=12, fitted_at="everyday"),
    "limb_leads": Model(tuple(range(6)), epochs=6),
    "any_lead": Model(None, epochs=6, fitted_at="everyday"),
}
TO_FIT = 4000
"""Recordings that slopes are fitted on, and as many of the shifted hospital that what came of it is measured on."""
CHUNK = 250
SHORT_SHARE = 0.05
"""Of recordings that are shorter than the window, which preprocessing pads."""
VALIDATION_SHARE = 0.06

console = Console()


@dataclass
class Cases:
    """Simulated recordings, preprocessed."""

    signals: NDArray[np.float16]
    """(n, 12, samples)."""
    targets: NDArray[np.float32]
    """(n, trained rows), 0 to 1."""
    measures: NDArray[np.float32]
    """(n, 3 + findings): scaled rate, PR and QRS duration (NaN where there is none), then findings as 0 or 1."""


def trained_rows(label_map: LabelMap) -> dict[int, str]:
    """Row of the last layer to the condition that it is trained for, or is near to."""
    rows = dict.fromkeys((NORMAL_SINUS_RHYTHM, NORMAL_ECG, SINUS_RHYTHM), "NORM")
    return rows | {row: code for code, condition in label_map.conditions.items() for row in condition.tasks}


def row_targets(rows: dict[int, str], conditions: frozenset[str], findings: frozenset[str], rate: float) -> list[float]:
    """0 or 1 for each trained row, one half where sources draw the line differently, NaN where the label map says that
    nothing is known.
    """
    sinus = not conditions & {"AFIB", "AFLT"} and not findings & {*OTHER_RHYTHM_FINDINGS, *PACED_FINDINGS}
    normal_rate = float("NORM" in conditions)
    if sinus and (50 <= rate < 60 or 100 < rate <= 110):
        normal_rate = 0.5
    if findings & {"atrial pacing", "dual-chamber pacing", "sinus arrhythmia", *BLOCK_FINDINGS}:
        # a pacemaker or another rhythm label beside it: sources write a sinus rhythm or don't
        normal_rate = float("nan") if sinus or findings & set(PACED_FINDINGS) else 0.0
    strictness = {
        NORMAL_SINUS_RHYTHM: normal_rate,
        NORMAL_ECG: conditions == {"NORM"} and findings <= {"sinus arrhythmia"},
        SINUS_RHYTHM: sinus,
    }
    return [float(strictness[row]) if row in strictness else float(code in conditions) for row, code in rows.items()]


def simulate_chunk(job: tuple[int, int, dict[int, str], str]) -> tuple[NDArray, NDArray, NDArray]:
    """One chunk of recordings; its content follows from the seed, its number and the hospital whose ranges it has."""
    seed, chunk, rows, hospital = job
    ranges = hospital_named(hospital).ranges
    rng = np.random.default_rng([seed, chunk])
    preprocessing = Preprocessing()
    signals, targets, measures = [], [], []
    for _ in range(CHUNK):
        conditions, findings = draw_case(rng)
        physiology = sample_physiology(conditions, rng, findings, ranges=ranges)
        duration = rng.uniform(6, 10) if rng.random() < SHORT_SHARE else 10.0
        signal, beats = record(physiology, rng, duration=duration, ranges=ranges)
        recording = Recording("simulated", STANDARD_LEADS, signal, 500.0)
        signals.append(preprocessing(recording).signal.astype(np.float16))
        targets.append(row_targets(rows, conditions, findings, physiology.rate))
        rate = 60.0 / float(np.median(beats.rr[beats.kind != "dropped"]))
        measures.append(
            [(rate - 80) / 30, (physiology.pr - 0.18) / 0.05, (physiology.qrs - 0.11) / 0.03]
            + [float(finding in findings) for finding in FINDINGS]
        )
    return np.stack(signals), np.array(targets, np.float32), np.array(measures, np.float32)


def simulate_cases(
    n: int, seed: int, rows: dict[int, str], workers: int, folder: Path, hospital: str = "textbook"
) -> Cases:
    """Simulate ``n`` recordings (rounded up to whole chunks) into a file under ``folder``."""
    chunks = -(-n // CHUNK)
    signals = np.lib.format.open_memmap(
        folder / f"{hospital}.npy", "w+", dtype=np.float16, shape=(chunks * CHUNK, 12, Preprocessing().samples)
    )
    targets, measures = [], []
    jobs = [(seed, chunk, rows, hospital) for chunk in range(chunks)]
    with multiprocessing.get_context("spawn").Pool(workers) as pool:
        results = pool.imap(simulate_chunk, jobs)
        for chunk, result in enumerate(track(results, "simulating", total=chunks, console=console)):
            signals[chunk * CHUNK : (chunk + 1) * CHUNK] = result[0]
            targets.append(result[1])
            measures.append(result[2])
    return Cases(signals, np.concatenate(targets), np.concatenate(measures))


def network_input(signals: NDArray[np.float16], leads: tuple[int, ...] | NDArray[np.integer]) -> Tensor:
    """Float32 input of a network, scaled as the preprocessing scales an input of these leads.

    Args:
        signals: (n, 12, samples).
        leads: the same of all recordings, which gives (n, leads, samples), or an array of one for each, which
            gives (n, 1, samples).
    """
    chosen = signals[:, list(leads)] if isinstance(leads, tuple) else signals[np.arange(len(leads)), leads][:, None]
    x = torch.from_numpy(np.ascontiguousarray(chosen)).float()
    if x.shape[1] < 12:
        x = x - x.mean(dim=(1, 2), keepdim=True)
        x = x / (x.std(dim=(1, 2), keepdim=True) + 1e-8)
    return x


def augmented(x: Tensor, generator: torch.Generator) -> Tensor:
    """Shifted in time (zeros move in), leads scaled a little, noise added, a lead dead now and then."""
    n, leads, samples = x.shape

    def uniform(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator)

    if uniform(1) < 0.5:
        shift = int(torch.randint(1, samples // 4, (1,), generator=generator))
        x = F.pad(x, (0, shift))[..., shift:] if uniform(1) < 0.5 else F.pad(x, (shift, 0))[..., :samples]
    x = x * (1 + 0.1 * torch.randn(n, leads, 1, generator=generator))
    x = x + 0.06 * uniform(n, 1, 1) * torch.randn(n, leads, samples, generator=generator)
    if leads > 1:
        x = x * (uniform(n, leads, 1) > 0.03)
    return x


def weights_of(label: NDArray, share: float) -> NDArray[np.float64]:
    """Weights with which labels of 0 and 1 have their shares among a hospital's recordings in place of their own."""
    return np.where(label == 1, share / label.mean(), (1 - share) / (1 - label.mean()))


def fit_biases(net: Net1D, logits: NDArray, targets: NDArray, rows: dict[int, str]) -> None:
    """Move the rows' biases to where probabilities add up at the shares of :data:`SHARES`, in place.

    What is simulated has far more of each condition than a hospital sees. The biases are those of highest likelihood on
    held-out simulated recordings that are weighted to the shares; slopes stay.
    """
    for column, row in enumerate(rows):
        clear = np.isin(targets[:, column], (0.0, 1.0))
        label, score = targets[clear, column], logits[clear, column].astype(np.float64)
        share = SHARES[row]
        weight = weights_of(label, share)

        def surplus(shift: float, score: NDArray = score, weight: NDArray = weight, share: float = share) -> float:
            return float(np.average(1 / (1 + np.exp(-score - shift)), weights=weight)) - share

        with torch.no_grad():
            net.dense.bias[row] += brentq(surplus, -20, 20)


def logits_of(net: Net1D, cases: Cases, leads: tuple[int, ...] | None, rows: dict[int, str], seed: int) -> NDArray:
    """(n, trained rows), of one lead drawn for each recording where a model reads any."""
    drawn = np.random.default_rng(seed).integers(12, size=len(cases.targets))
    net.eval()
    with torch.inference_mode():
        parts = [
            net(network_input(cases.signals[part], leads or drawn[part]))[:, list(rows)]
            for part in np.array_split(np.arange(len(drawn)), max(len(drawn) // 128, 1))
        ]
    return torch.cat(parts).double().numpy()


def fit_slopes(net: Net1D, logits: NDArray, targets: NDArray, rows: dict[int, str]) -> None:
    """Scale and move the rows to the highest likelihood (Platt) at the shares of :data:`SHARES`, in place.

    On recordings unlike those of the pretraining more positives look like none, and probabilities that were fitted to
    the pretraining's are too sure of that.
    """
    for column, row in enumerate(rows):
        clear = np.isin(targets[:, column], (0.0, 1.0))
        label, score = targets[clear, column], logits[clear, column]
        fitted = LogisticRegression(C=np.inf).fit(score[:, None], label, weights_of(label, SHARES[row]))
        slope, shift = float(fitted.coef_[0, 0]), float(fitted.intercept_[0])
        with torch.no_grad():
            net.dense.weight[row] *= slope
            net.dense.bias[row] = slope * net.dense.bias[row] + shift


def decisions(logits: NDArray, targets: NDArray, rows: dict[int, str]) -> dict[str, float]:
    """Mean log loss over the rows and macro F1 of decisions at .5, at the shares of :data:`SHARES`."""
    losses, f1 = [], []
    for column, row in enumerate(rows):
        clear = np.isin(targets[:, column], (0.0, 1.0))
        label, score = targets[clear, column], logits[clear, column]
        weight = weights_of(label, SHARES[row])
        losses.append(float(np.average(np.logaddexp(0, score) - label * score, weights=weight)))
        f1.append(float(f1_score(label, score >= 0, sample_weight=weight)))
    return {"log loss": round(float(np.mean(losses)), 4), "F1": round(float(np.mean(f1)), 4)}


class Measures(nn.Module):
    """A second last layer for what else is known of a simulated recording; it guides training and is then dropped."""

    def __init__(self, features: int, findings: int) -> None:
        super().__init__()
        self.regress = nn.Linear(features, 3)
        self.classify = nn.Linear(features, findings)

    def loss(self, features: Tensor, measures: Tensor) -> Tensor:
        """Mean absolute error of the known measures and cross-entropy of the findings."""
        known = torch.isfinite(measures[:, :3])
        error = F.smooth_l1_loss(self.regress(features)[known], measures[:, :3][known])
        return error + F.binary_cross_entropy_with_logits(self.classify(features), measures[:, 3:])


def train(
    cases: Cases, leads: tuple[int, ...] | None, rows: dict[int, str], epochs: int, seed: int
) -> tuple[Net1D, float, int]:
    """Train a network on all but a validation share of the cases.

    Args:
        cases: simulated recordings.
        leads: that the network reads; None: one, drawn anew each time that a recording is read.
        rows: of the last layer, that are trained.
        epochs: over the training share.
        seed: of the weights, the order, augmentation and drawn leads.

    Returns:
        The network with its 150 rows, its macro AUROC over the trained rows on the validation share, and the steps.
    """
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    net = Net1D(in_channels=len(leads or (0,)), num_classes=TASKS, **ARCHITECTURE)
    indices = torch.tensor(list(rows))
    extra = Measures(net.dense.in_features, len(FINDINGS))
    n = len(cases.targets)
    n_train = n - max(int(VALIDATION_SHARE * n), 1)
    batch = 64
    steps = epochs * (n_train // batch)
    parameters = [*net.parameters(), *extra.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=2e-3, weight_decay=0.02)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=3e-3, total_steps=steps, pct_start=0.15)
    targets, measures = torch.from_numpy(cases.targets), torch.from_numpy(cases.measures)
    net.train()

    def of_leads(chosen: NDArray[np.integer]) -> Tensor:
        drawn = leads or torch.randint(12, (len(chosen),), generator=generator).numpy()
        return network_input(cases.signals[chosen], drawn)

    what = "any lead" if leads is None else f"{len(leads)} lead(s)"
    with Progress(console=console) as progress:
        bar = progress.add_task(f"training {what}", total=steps)
        for _ in range(epochs):
            order = torch.randperm(n_train, generator=generator)[: n_train // batch * batch]
            for chosen in order.split(batch):
                chosen = chosen.sort().values
                x = augmented(of_leads(chosen.numpy()), generator)
                features = net.features(x)
                known = targets[chosen].isfinite()
                smooth = 0.01 + 0.98 * targets[chosen]
                loss = F.binary_cross_entropy_with_logits(net.dense(features)[:, indices][known], smooth[known])
                loss = loss + 0.3 * extra.loss(features, measures[chosen])
                optimizer.zero_grad()
                loss.backward()
                nn.utils.clip_grad_norm_(parameters, 1.0)
                optimizer.step()
                scheduler.step()
                progress.update(bar, advance=1, description=f"training {what}, loss {loss.item():.3f}")
    net.eval()
    with torch.inference_mode():
        parts = np.arange(n_train, n)
        logits = [net(of_leads(part))[:, indices] for part in np.array_split(parts, 20)]
    truth, scores = cases.targets[n_train:], torch.cat(logits).numpy()
    aurocs = [
        roc_auc_score(truth[clear, k], scores[clear, k])
        for k, clear in enumerate(np.isin(truth, (0.0, 1.0)).T)
        if len(np.unique(truth[clear, k])) == 2
    ]
    fit_biases(net, scores, truth, rows)
    with torch.no_grad():
        untrained = torch.ones(TASKS, dtype=torch.bool).index_fill(0, indices, False)
        net.dense.weight[untrained] = 0.0
        net.dense.bias[untrained] = UNTRAINED_BIAS
    return net, float(np.mean(aurocs)), steps


def save(net: Net1D, path: Path, epochs: int, steps: int, auroc: float) -> None:
    """Write a checkpoint in the published format."""
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {
        "epoch": epochs,
        "step": steps,
        "state_dict": {key: value.clone() for key, value in net.state_dict().items()},
        "optimizer": {},
        "scheduler": {},
        "val_auroc": np.float64(auroc),
    }
    torch.save(content, path)


def main() -> None:
    """Simulate, train, save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recordings", type=int, default=56_000)
    parser.add_argument("--epochs", type=int, default=None, help="in place of each model's own")
    parser.add_argument("--to-fit", type=int, default=TO_FIT, help="recordings for slopes, where a model's are fitted")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=2, help="processes that simulate")
    parser.add_argument("--threads", type=int, default=2, help="of torch")
    parser.add_argument("--models", nargs="+", choices=list(MODELS), default=list(MODELS))
    parser.add_argument("--output", type=Path, default=Path("checkpoint"))
    parser.add_argument("--labels", type=Path, default=Path("configs/labels/six_conditions.yaml"))
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    content = yaml.safe_load(options.labels.read_text())
    content.pop("defaults", None)
    rows = trained_rows(LabelMap.from_dict(content))
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        cases = simulate_cases(options.recordings, options.seed, rows, options.workers, Path(folder))
        console.print(f"{len(cases.targets)} recordings simulated in {time.monotonic() - started:.0f} s")
        elsewhere: dict[str, Cases] = {}
        for name in options.models:
            model = MODELS[name]
            epochs = options.epochs or model.epochs
            began, worked = time.monotonic(), time.process_time()
            net, auroc, steps = train(cases, model.leads, rows, epochs, options.seed)
            fitted = {}
            if model.fitted_at != "textbook":
                for hospital in (model.fitted_at, "shifted"):
                    if hospital not in elsewhere:
                        elsewhere[hospital] = simulate_cases(
                            options.to_fit, options.seed + 1, rows, options.workers, Path(folder), hospital
                        )
                at, check = elsewhere[model.fitted_at], elsewhere["shifted"]
                before = decisions(logits_of(net, check, model.leads, rows, options.seed), check.targets, rows)
                fit_slopes(net, logits_of(net, at, model.leads, rows, options.seed), at.targets, rows)
                after = decisions(logits_of(net, check, model.leads, rows, options.seed), check.targets, rows)
                fitted = {"at the shifted hospital": {"before the fit": before, "after it": after}}
            path = options.output / f"demo_{name}.pth"
            save(net, path, epochs, steps, auroc)
            report = {"file": str(path), "MB": round(path.stat().st_size / 1e6, 2)}
            report |= {"AUROC on simulated": round(auroc, 4), "seconds": round(time.monotonic() - began)}
            report |= {"processor seconds": round(time.process_time() - worked), **fitted}
            console.print(json.dumps(report))


if __name__ == "__main__":
    main()
