"""From the configured source to stored and divided recordings: catalog, choice, signal store, split."""

from __future__ import annotations

import hashlib
import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
from numpy.typing import NDArray

from ecgfounder_ft.data.catalog import Catalog, select_max_samples, targets
from ecgfounder_ft.data.sources.source import NoDataError, read_catalog
from ecgfounder_ft.data.splits import EXCLUDED, SIDES, SplitSettings, leakage_report, require_enough, split_recordings
from ecgfounder_ft.data.store.reading import StoredSignals, build_store
from ecgfounder_ft.ecg.preprocessing import Preprocessing
from ecgfounder_ft.labels import ABSENT, PRESENT, LabelMap

if TYPE_CHECKING:
    import numpy as np

    from ecgfounder_ft.config.schema import DataConfig

log = logging.getLogger(__name__)

SPLIT_COLUMNS = (
    "recording",
    "dataset",
    "constituent",
    "patient",
    "split",
    "exclusion",
    "age",
    "sex",
    "signal_hash",
    "repairs",
    "path",
)
"""Columns of ``splits.csv`` before those of the conditions."""


@dataclass(frozen=True)
class PreparedData:
    """The recordings of a run: chosen, stored and divided."""

    table: pd.DataFrame
    """Catalog rows of the stored recordings with ``split``, ``exclusion``, ``signal_hash`` and ``repairs``, aligned to
    ``signals.rows``."""
    targets: NDArray[np.int8]
    """int8 (recordings, conditions) in the order of the label map."""
    signals: StoredSignals
    skipped: pd.DataFrame
    """path, reason, detail of every recording that could not be used."""
    leakage: pd.DataFrame
    """A row a source: patients and signals, and how many of them stand on two sides (none)."""
    counts: dict[str, Any]
    """How many recordings each step left, for the report."""

    @property
    def fingerprint(self) -> str:
        """Digest of the recordings' content, labels and sides."""
        parts = zip(self.signals.rows["signal_hash"], self.targets.tolist(), self.table["split"], strict=True)
        lines = sorted(f"{signal} {labels} {side}" for signal, labels, side in parts)
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Gathered:
    """The recordings of a source that a task can use, preprocessed and stored."""

    table: pd.DataFrame
    """Their catalog rows with ``signal_hash`` and ``repairs``, aligned to ``signals.rows``."""
    signals: StoredSignals
    skipped: pd.DataFrame
    """path, reason, detail of every recording that could not be used."""
    counts: dict[str, Any]
    """How many recordings each step left."""


def gather_recordings(
    config: DataConfig,
    label_map: LabelMap,
    task: str,
    preprocessing: Preprocessing,
    seed: int,
    folder: Path,
    executor: Any = None,
    jobs: int = 1,
) -> Gathered:
    """Read the catalog, choose recordings, and preprocess those that the store does not hold yet.

    Written to ``folder``: ``skipped.csv``, what could not be used, and why. ``executor`` and ``jobs`` as for
    :func:`~ecgfounder_ft.data.store.reading.build_store`.

    Raises:
        NoDataError: if none is left.
    """
    catalog = read_catalog(config, label_map)
    counts: dict[str, Any] = {"catalog": len(catalog)}
    table = _for_task(catalog, label_map, task, counts)
    table = select_max_samples(table, label_map, config.max_samples, seed).reset_index(drop=True)
    counts["chosen"] = len(table)
    workers = config.workers or _cores()
    signals = build_store(table, preprocessing, Path(config.store), workers, executor=executor, jobs=jobs)
    table = table.loc[signals.rows.index].reset_index(drop=True)
    of_signal = {column: signals.rows[column].to_numpy() for column in ("signal_hash", "repairs")}
    table = table.assign(**of_signal)
    counts["stored"] = len(table)
    counts["repairs"] = dict(signals.repairs)
    skipped = pd.concat([catalog.skipped, signals.skipped[catalog.skipped.columns]], ignore_index=True)
    skipped.to_csv(folder / "skipped.csv", index=False)
    counts["skipped"] = skipped["reason"].value_counts().to_dict()
    if len(skipped):
        reasons = "; ".join(f"{count} x {reason}" for reason, count in counts["skipped"].items())
        log.warning("%d recordings skipped (listed in skipped.csv): %s", len(skipped), reasons)
    if signals.repairs:
        log.info("Repaired: %s", "; ".join(f"{count} x {repair}" for repair, count in signals.repairs.items()))
    if not len(table):
        raise NoDataError("no recording could be read; skipped.csv lists each with its reason")
    return Gathered(table, signals, skipped, counts)


def prepare_data(
    config: DataConfig,
    label_map: LabelMap,
    task: str,
    preprocessing: Preprocessing,
    split: SplitSettings,
    seed: int,
    folder: Path,
) -> PreparedData:
    """Gather the recordings and divide them, and write down what became of each.

    Written to ``folder`` beside ``skipped.csv``: ``splits.csv``, every recording with its labels and its side;
    ``leakage.csv``, patients and signals on two sides, by source.

    Raises:
        NoDataError: if none is left.
        LeakageError: if a patient or a signal stands on two sides.
        TooFewRecordingsError: if a side has too few recordings of a condition.
    """
    gathered = gather_recordings(config, label_map, task, preprocessing, seed, folder)
    table, counts = gathered.table, gathered.counts
    sides = split_recordings(table, table["signal_hash"], split, seed, label_map.codes)
    leakage = leakage_report(table, sides["split"], table["signal_hash"])
    leakage.by_source.to_csv(folder / "leakage.csv")
    leakage.require_none()
    # A test side of foreign sources may lack a condition by nature, and is reported as such.
    tested_elsewhere = split.kind in ("external", "leave_one_source_out")
    require_enough(table, sides["split"], label_map.codes, split, SIDES[:2] if tested_elsewhere else SIDES)
    table = table.assign(**sides)
    table[[*SPLIT_COLUMNS, *label_map.codes]].to_csv(folder / "splits.csv", index=False)
    counts["sides"] = table["split"].value_counts().to_dict()
    if excluded := int((table["split"] == EXCLUDED).sum()):
        log.info("%d recordings excluded by the split: %s", excluded, table["exclusion"].value_counts().to_dict())
    states = targets(table, label_map)
    return PreparedData(table, states, gathered.signals, gathered.skipped, leakage.by_source, counts)


def _for_task(catalog: Catalog, label_map: LabelMap, task: str, counts: dict[str, Any]) -> pd.DataFrame:
    """The recordings that the task can learn from."""
    states = targets(catalog.table, label_map)
    if task == "multi_label":
        usable = (states == PRESENT).any(axis=1) | (states == ABSENT).any(axis=1)
        left_out = "none of the conditions known"
    else:
        usable = (states == PRESENT).sum(axis=1) == 1
        left_out = "not exactly one condition (task=single_label)"
    if n := int((~usable).sum()):
        counts["left out"] = {left_out: n}
        log.info("%d recordings left out: %s", n, left_out)
    return catalog.table[usable]


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
