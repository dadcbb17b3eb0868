"""How time and memory grow with the number of recordings: catalog, store, epoch, probe, evaluation.

    python -m benchmarks.growth                      # 1,000, 4,000 and 16,000 recordings; 8 GB of disk
    python -m benchmarks.growth --sizes 200 800

The recordings are written in the form of PhysioNet/CinC 2021. Each step runs in a process of its own, on what the
step before left on the disk; reported are its seconds, its peak of resident memory and, of that, what it held before
the step began (imports, and the table that it works on). The probe takes the slim network: how the steps grow does not
depend on the network's size.
"""

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import track

from benchmarks.store import in_a_new_process, peak_resident, seconds
from ecgfounder_ft.config.compose import compose_settings, load_label_map
from ecgfounder_ft.ecg.formats.wfdb import write_recording
from ecgfounder_ft.ecg.leads import STANDARD_LEADS
from ecgfounder_ft.ecg.preprocessing import Preprocessing
from ecgfounder_ft.task import MULTI_LABEL

DIFFERENT_SIGNALS = 64
PROBE_EPOCHS = 5
Measured = tuple[float, float, float]
"""Seconds, MB resident at the peak, and before."""


def write_recordings(folder: Path, n: int) -> None:
    """Random walks with noise; one sample of each differs, so that no two are the same recording."""
    generator = np.random.default_rng(0)
    conditions = list(load_label_map("six_conditions").conditions.values())
    signals = np.cumsum(generator.normal(scale=0.01, size=(DIFFERENT_SIGNALS, 12, 5000)), axis=-1)
    signals += generator.normal(scale=0.05, size=signals.shape)
    for number in track(range(n), f"writing {n:,} recordings", console=Console(stderr=True)):
        signal = signals[number % DIFFERENT_SIGNALS]
        signal[0, 0] = number / 1000
        comments = {"Age": "60", "Sex": "Female", "Dx": conditions[number % len(conditions)].snomed[0]}
        group = folder / "recordings" / "georgia" / f"g{1 + number // 1000}"
        write_recording(group, f"E{number:05d}", signal, STANDARD_LEADS, 500, storage="mat", comments=comments)


def measured(run: Callable[[], object]) -> Measured:
    before = peak_resident()
    return seconds(run), peak_resident(), before


def catalog(folder: Path) -> Measured:
    from ecgfounder_ft.data.catalog_files import save_catalog
    from ecgfounder_ft.data.sources.physionet2021 import read_physionet2021

    label_map = load_label_map("six_conditions")

    def run() -> None:
        root = folder / "recordings"
        save_catalog(read_physionet2021(root, label_map), folder / "catalog.parquet", root, label_map)

    return measured(run)


def _table(folder: Path) -> Any:
    from ecgfounder_ft.data.catalog_files import load_catalog

    return load_catalog(folder / "catalog.parquet", load_label_map("six_conditions")).table


def _store(folder: Path, workers: int = 1) -> Any:
    from ecgfounder_ft.data.store.signal_store import build_store

    return build_store(_table(folder), Preprocessing(), folder / "store", workers, progress=False)


def store(folder: Path) -> Measured:
    """Of the process that directs the two that preprocess."""
    import ecgfounder_ft.data.store.signal_store

    assert ecgfounder_ft.data.store.signal_store
    return measured(lambda: _store(folder, workers=2))


def _prepared(folder: Path) -> Any:
    """The recordings divided; a twentieth for validation, another for test."""
    from ecgfounder_ft.data.catalog import targets
    from ecgfounder_ft.data.gather_and_split import PreparedData
    from ecgfounder_ft.data.leakage import leakage_report

    label_map = load_label_map("six_conditions")
    table, signals = _table(folder), _store(folder)
    sides = [
        "validation" if number % 20 == 0 else "test" if number % 20 == 1 else "train" for number in range(len(table))
    ]
    table = table.assign(split=sides, exclusion="")
    leakage = leakage_report(table, table["split"], signals.rows["signal_hash"])
    split = compose_settings(["data=simulated"]).split
    states = targets(table, label_map)
    return PreparedData(table, states, signals, signals.skipped, leakage, {}, label_map.codes, split)


def _data(folder: Path) -> Any:
    from ecgfounder_ft.data.datamodule import ECGDataModule
    from ecgfounder_ft.task import MULTI_LABEL

    data = _prepared(folder)
    return ECGDataModule(data.signals, data.table["split"], data.targets, data.codes, MULTI_LABEL, batch_size=32)


def epoch(folder: Path) -> Measured:
    """The training batches of one epoch, read and touched; no network."""
    data = _data(folder)
    return measured(lambda: [float(batch["signal"][0, 0, 0]) for batch in data.train_dataloader()])


def probe(folder: Path) -> Measured:
    """Embeddings computed and stored, then epochs of the last layer alone."""
    from ecgfounder_ft.training.build import build_model
    from ecgfounder_ft.training.fit import fit
    from ecgfounder_ft.training.settle import settle

    data = _prepared(folder)
    settings = compose_settings(
        [
            "task=multi_label",
            "model/architecture=slim",
            "model.weights=null",
            "model.head=random",
            "finetune=linear_probe",
            f"trainer.max_epochs={PROBE_EPOCHS}",
            "trainer.accelerator=cpu",
            "trainer.enable_progress_bar=false",
            "scheduler=constant",
            f"output_dir={folder / 'probe'}",
            "~callbacks.early_stopping",
        ]
    )
    model = build_model(settings, data)

    def run() -> None:
        fit(settle(settings, model, data), model, data, folder / "probe" / "last.ckpt")

    return measured(run)


def evaluation(folder: Path) -> Measured:
    """All metrics of the recordings with 1,000 bootstrap resamples, of made-up probabilities."""
    from ecgfounder_ft.data.catalog import targets
    from ecgfounder_ft.evaluation.evaluate import evaluate

    label_map = load_label_map("six_conditions")
    table = _table(folder)
    states = targets(table, label_map)
    probabilities = 1 / (1 + np.exp(-(3 * (states == 1) - 2 + np.random.default_rng(0).normal(size=states.shape))))
    patients = table["patient"].to_numpy()
    return measured(
        lambda: evaluate(states, probabilities, patients, label_map.codes, task=MULTI_LABEL, resamples=1000)
    )


STEPS: dict[str, Callable[[Path], Measured]] = {
    "catalog": catalog,
    "store, 2 processes": store,
    "data of an epoch": epoch,
    f"probe, {PROBE_EPOCHS} epochs": probe,
    "evaluation, 1,000 resamples": evaluation,
}


def main() -> None:
    """Measure every step at every size and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1000, 4000, 16_000], help="recordings")
    parser.add_argument("--folder", type=Path, help="where to work (a temporary folder)")
    options = parser.parse_args()
    found: dict[str, list[Measured]] = {step: [] for step in STEPS}
    for n in options.sizes:
        with tempfile.TemporaryDirectory(dir=options.folder) as name:
            write_recordings(Path(name), n)
            for step, measures in found.items():
                measures.append(in_a_new_process(STEPS[step], Path(name)))
    columns = [f"{n:,}" for n in options.sizes]
    print("\nSeconds; peak of resident memory in MB (before the step)\n")
    print(f"| recordings | {' | '.join(columns)} |\n| --- |{' ---: |' * len(columns)}")
    for step, measures in found.items():
        cells = [f"{taken:.1f} s; {peak:.0f} ({before:.0f}) MB" for taken, peak, before in measures]
        print(f"| {step} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
