"""Every fine-tuning strategy from a checkpoint pretrained on simulated recordings, beside a random start.

    python -m benchmarks.strategies                       # about half an hour on 2 cores
    python -m benchmarks.strategies --sizes 128 --seeds 1  # a quick look

A slim Net1D with ECGFounder's 150 outputs learns the rows that the label map names from a simulated hospital population
(several conditions per recording, many other findings). It is then fine-tuned on other simulated patients with exactly
one of the six conditions each. To fit two cores, recordings are 5 s at 250 Hz. Simulated data say whether a strategy
works as it should, not which one is best on patients.
"""

import argparse
import json
import logging
import tempfile
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from pytorch_lightning.callbacks import ModelCheckpoint
from rich.console import Console
from rich.progress import track

from ecgfounder_ft.config.compose import compose_settings, load_label_map
from ecgfounder_ft.data.datamodule import ECGDataModule
from ecgfounder_ft.ecg.leads import STANDARD_LEADS
from ecgfounder_ft.ecg.preprocessing import Preprocessing
from ecgfounder_ft.ecg.recording import Recording
from ecgfounder_ft.ecg.simulator import record, sample_physiology
from ecgfounder_ft.ecg.simulator.population import draw_case
from ecgfounder_ft.finetune.strategy import Strategy
from ecgfounder_ft.labels import LabelMap
from ecgfounder_ft.losses.cross_entropy import CrossEntropy
from ecgfounder_ft.model.checkpoints import load_weights
from ecgfounder_ft.model.ecgfounder import NET1D
from ecgfounder_ft.model.ecgfounder.net1d import Net1D
from ecgfounder_ft.model.record import ModelRecord
from ecgfounder_ft.task import SINGLE_LABEL
from ecgfounder_ft.training.callbacks import FollowStrategy
from ecgfounder_ft.training.classifier import Classifier, Training

ARCHITECTURE: dict[str, Any] = {
    "base_filters": 16,
    "filter_list": [16, 32, 32, 48, 48, 64, 64],
    "m_blocks": [1, 1, 1, 1, 1, 1, 1],
}
TASKS = 150
VALIDATION, TEST = 192, 768
EPOCHS = {128: 16, 1024: 6}
PREPROCESSING = Preprocessing.from_dict(
    Preprocessing().to_dict()
    | {"sampling_rate": 250.0, "window": {**Preprocessing().to_dict()["window"], "seconds": 5.0}}
)


@dataclass
class Cases:
    """Preprocessed recordings in memory, read as a signal store is."""

    signals: NDArray[np.float32]
    targets: NDArray[np.int8]

    def __len__(self) -> int:
        return len(self.signals)

    @property
    def shape(self) -> tuple[int, ...]:
        return self.signals.shape[1:]

    def read(self, indices: Sequence[int], out: NDArray[np.float32] | None = None) -> NDArray[np.float32]:
        return np.take(self.signals, indices, axis=0, out=out)


def simulate(count: int, seed: int, codes: Sequence[str], population: bool) -> Cases:
    """Recordings of a hospital population, or with exactly one of the conditions each, in turn."""
    rng = np.random.default_rng(seed)
    signals, targets = [], []
    for number in track(range(count), f"simulating {count}"):
        conditions, findings = draw_case(rng) if population else (frozenset({codes[number % len(codes)]}), frozenset())
        signal, _ = record(sample_physiology(conditions, rng, findings), rng)
        signals.append(PREPROCESSING(Recording("simulated", STANDARD_LEADS, signal, 500.0)).signal)
        targets.append([int(code in conditions) for code in codes])
    return Cases(np.stack(signals).astype(np.float32), np.array(targets, np.int8))


def pretrain(cases: Cases, label_map: LabelMap, path: Path, epochs: int) -> None:
    """A network with 150 outputs in the published format, trained on the rows that the label map names."""
    torch.manual_seed(0)
    net = Net1D(len(STANDARD_LEADS), TASKS, **ARCHITECTURE)
    rows = [(row, column) for column, one in enumerate(label_map.conditions.values()) for row in one.tasks]
    outputs, columns = (torch.tensor(numbers) for numbers in zip(*rows, strict=True))
    signals, targets = torch.from_numpy(cases.signals), torch.from_numpy(cases.targets).float()[:, columns]
    steps = epochs * (len(cases) // 32)
    optimizer = torch.optim.AdamW(net.parameters(), lr=3e-3, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=3e-3, total_steps=steps)
    for _ in track(range(epochs), "pretraining"):
        for chosen in torch.randperm(len(cases))[: len(cases) // 32 * 32].split(32):
            loss = F.binary_cross_entropy_with_logits(net(signals[chosen])[:, outputs], targets[chosen])
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            optimizer.step()
            schedule.step()
    torch.save({"state_dict": net.state_dict()}, path)


def strategies(epochs: int) -> dict[str, tuple[Strategy, str, float]]:
    """Name to strategy, start of the last layer (``none``: all of the network starts at random), and learning rate."""
    return {
        "random start, full": (shipped("full"), "none", 3e-3),
        "linear_probe": (shipped("linear_probe"), "pretrained", 1e-2),
        "last_stages (2)": (shipped("last_stages"), "pretrained", 1e-3),
        "full": (shipped("full"), "pretrained", 1e-3),
        "gradual": (shipped("gradual", f"every_n_epochs={max(1, epochs // 12)}"), "pretrained", 1e-3),
        "discriminative": (shipped("discriminative"), "pretrained", 3e-3),
        "lp_ft": (shipped("lp_ft", f"probe_epochs={epochs // 2}"), "pretrained", 1e-2),
        "lora (rank 8)": (shipped("lora"), "pretrained", 1e-3),
    }


def shipped(name: str, *changes: str) -> Strategy:
    """A strategy with the values of configs/finetune/<name>.yaml, and some of them changed."""
    overrides = [f"finetune={name}", *(f"finetune.{change}" for change in changes)]
    strategy = compose_settings(overrides).strategy
    assert isinstance(strategy, Strategy)
    return strategy


def fine_tune(
    strategy: Strategy,
    head: str,
    rate: float,
    data: ECGDataModule,
    model_record: ModelRecord,
    path: Path,
    epochs: int,
    seed: int,
) -> dict[str, float]:
    """Train, take the best epoch by validation loss, and test it. ``epochs`` 0: the start."""
    pl.seed_everything(seed, verbose=False)
    training = Training(
        loss=CrossEntropy(label_smoothing=0.0),
        optimizer=lambda groups: torch.optim.AdamW(groups, lr=rate, weight_decay=1e-4),
        scheduler=lambda optimizer, _: torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=3),
        monitor="validation/loss",
    )
    classifier = Classifier(model_record, model_record.build_network(), training)
    if head != "none":
        rows, combine = model_record.label_map.task_rows
        load_weights(classifier.net, path, rows if head == "pretrained" else None, combine)
    strategy.prepare(classifier.net)
    with tempfile.TemporaryDirectory() as folder:
        best = ModelCheckpoint(folder, "best", monitor="validation/loss", save_on_train_epoch_end=False)
        follow = FollowStrategy(strategy, "validation/loss", "min")
        trainer = pl.Trainer(
            max_epochs=epochs,
            accelerator="cpu",
            devices=1,
            callbacks=[follow, best],
            logger=False,
            gradient_clip_val=1.0,
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            use_distributed_sampler=False,
        )
        begun = time.perf_counter()
        trainer.fit(classifier, datamodule=data)
        seconds = time.perf_counter() - begun
        if best.best_model_path:
            classifier.load_state_dict(torch.load(best.best_model_path, weights_only=True)["state_dict"])
    parts = classifier.net.parts()
    trained = {part for epoch in range(epochs) for part, r in strategy.multipliers(list(parts), epoch).items() if r > 0}
    count = sum(
        parameter.numel()
        for part in trained
        for name, parameter in parts[part].named_parameters()
        if strategy.trains(name, "block_list" not in name)
    )
    strategy.finish(classifier.net)
    trainer.test(classifier, datamodule=data, verbose=False)
    metrics: Mapping[str, torch.Tensor] = classifier.metrics["test"]
    names = ("macro_auroc", "macro_f1", "accuracy")
    return {name: float(metrics[f"test/{name}"]) for name in names} | {"seconds": seconds, "trainable": count}


def main() -> None:
    """Simulate, pretrain, fine-tune, and print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[128, 1024])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--pretraining", type=int, default=3000, help="recordings")
    parser.add_argument("--pretraining-epochs", type=int, default=8)
    parser.add_argument("--output", type=Path, help="JSON of every run")
    options = parser.parse_args()
    for name in ("pytorch_lightning.utilities.rank_zero", "pytorch_lightning.accelerators.cuda"):
        logging.getLogger(name).setLevel(logging.WARNING)
    warnings.filterwarnings("ignore")
    label_map = load_label_map("six_conditions")
    codes = label_map.codes
    largest = max(options.sizes)
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pretrained.pth"
        pretrain(simulate(options.pretraining, 1, codes, population=True), label_map, path, options.pretraining_epochs)
        cases = simulate(largest + VALIDATION + TEST, 2, codes, population=False)
        whole = {"_target_": NET1D, "in_channels": len(STANDARD_LEADS), "num_classes": len(codes), **ARCHITECTURE}
        model_record = ModelRecord(label_map, SINGLE_LABEL, PREPROCESSING, whole)
        for size in options.sizes:
            split = ["train"] * size + ["excluded"] * (largest - size) + ["validation"] * VALIDATION + ["test"] * TEST
            epochs = EPOCHS.get(size, 6)
            for seed in range(options.seeds):
                data = ECGDataModule(cases, split, cases.targets, codes, SINGLE_LABEL, seed=seed)  # type: ignore[arg-type]
                if seed == 0 and size == options.sizes[0]:
                    found = fine_tune(shipped("full"), "pretrained", 1e-3, data, model_record, path, 0, seed)
                    rows.append({"strategy": "zero-shot (pretrained head)", "recordings": 0, "seed": 0, **found})
                for name, (strategy, head, rate) in strategies(epochs).items():
                    found = fine_tune(strategy, head, rate, data, model_record, path, epochs, seed)
                    rows.append({"strategy": name, "recordings": size, "seed": seed, **found})
                    print(json.dumps(rows[-1]), flush=True)
                    if options.output is not None:
                        options.output.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    Console().print(table(pd.DataFrame(rows)), soft_wrap=True)


def table(runs: pd.DataFrame) -> str:
    """Means over the seeds, with the standard deviation of the AUROC and F1, in Markdown."""
    lines = ["| recordings | strategy | macro AUROC | macro F1 | seconds | trainable parameters |"]
    lines.append("| ---: | --- | --- | --- | ---: | ---: |")
    for (size, name), group in runs.groupby(["recordings", "strategy"], sort=False):
        cells = [f"{group[key].mean():.3f} ± {group[key].std(ddof=0):.3f}" for key in ("macro_auroc", "macro_f1")]
        counts = f"{group['seconds'].mean():.0f} | {int(group['trainable'].iloc[0]):,}"
        lines.append(f"| {size} | {name} | {' | '.join(cells)} | {counts} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
