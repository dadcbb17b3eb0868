"""From a source to stored and divided recordings: catalog, choice, signal store, split.

Nothing but the signal store and saved catalogs is written here. Both steps return what they found, so that a caller can
write down what was skipped and how recordings were divided before it asks whether a run may go on
(:meth:`Gathered.require_any`, :meth:`PreparedData.require_sound`).
"""

from __future__ import annotations

import hashlib
import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ecgfounder_ft.data.catalog import Catalog, label_patterns, select_max_samples, targets
from ecgfounder_ft.data.sources.source import DataSource, NoDataError, read_catalog
from ecgfounder_ft.data.split_settings import SplitSettings
from ecgfounder_ft.data.splits import EXCLUDED, LeakageReport, leakage_report, require_enough, split_recordings
from ecgfounder_ft.data.store.reading import StoredSignals, build_store
from ecgfounder_ft.ecg.preprocessing import Preprocessing
from ecgfounder_ft.labels import LabelMap
from ecgfounder_ft.task import Task

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
"""Columns of a table of the split before those of the conditions."""


@dataclass(frozen=True)
class Gathered:
    """The recordings of a source that a task can use, preprocessed and stored; there may be none."""

    table: pd.DataFrame
    """Their catalog rows with ``signal_hash`` and ``repairs``, aligned to ``signals.rows``."""
    signals: StoredSignals
    skipped: pd.DataFrame
    """path, reason, detail of every recording that could not be used."""
    counts: dict[str, Any]
    """How many recordings each step left: ``catalog``, ``left out`` by the task (reason to number, where there are
    any) with their ``left out labels`` (source to conditions to number), ``chosen``, ``stored``, ``repairs`` and
    ``skipped`` (reason to number)."""

    def require_any(self) -> None:
        """Stop where no recording is left.

        Raises:
            NoDataError: with the reasons, and how many recordings each of them took.
        """
        if len(self.table):
            return
        reasons = self.counts.get("left out", {}) | self.counts["skipped"]
        raise NoDataError(
            f"none of {self.counts['catalog']} recordings can be used: "
            + "; ".join(f"{count} x {reason}" for reason, count in reasons.items())
        )


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
    leakage: LeakageReport
    """Patients and signals on two sides, not judged yet."""
    counts: dict[str, Any]
    """As of :class:`Gathered`, and the recordings of each side (``sides``)."""
    codes: tuple[str, ...]
    """The conditions, in the order of the label map."""
    split: SplitSettings
    """How the recordings were divided."""

    @property
    def fingerprint(self) -> str:
        """Digest of the recordings' content, labels and sides."""
        parts = zip(self.signals.rows["signal_hash"], self.targets.tolist(), self.table["split"], strict=True)
        lines = sorted(f"{signal} {labels} {side}" for signal, labels, side in parts)
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]

    def splits_table(self) -> pd.DataFrame:
        """One row per recording with its side and its labels, as it is kept beside results."""
        return self.table[[*SPLIT_COLUMNS, *self.codes]]

    def require_sound(self) -> None:
        """Stop where nothing could be learnt from the split, or measured by it.

        Raises:
            LeakageError: if a patient or a signal stands on two sides.
            TooFewRecordingsError: if a side has too few recordings of a condition.
        """
        self.leakage.require_none()
        require_enough(self.table, self.table["split"], self.codes, self.split, self.split.sides_that_need_all)


def gather_recordings(
    source: DataSource,
    label_map: LabelMap,
    task: Task,
    preprocessing: Preprocessing,
    seed: int,
    executor: Any = None,
    jobs: int = 1,
) -> Gathered:
    """Read the catalog, choose recordings, and preprocess those that the store does not hold yet.

    Args:
        source: where the recordings are.
        label_map: the conditions.
        task: which recordings can be used.
        preprocessing: what is done to each recording.
        seed: of the choice of ``source.max_samples``.
        executor: as for :func:`~ecgfounder_ft.data.store.reading.build_store`.
        jobs: likewise.

    Raises:
        NoDataError: if the source has no recording at all.
        StoreFullError, StoreBuildError: as :func:`~ecgfounder_ft.data.store.reading.build_store`.
    """
    catalog = read_catalog(source, label_map)
    counts: dict[str, Any] = {"catalog": len(catalog)}
    table = _for_task(catalog, label_map, task, counts)
    table = select_max_samples(table, label_map, source.max_samples, seed).reset_index(drop=True)
    counts["chosen"] = len(table)
    workers = source.workers or _cores()
    signals = build_store(table, preprocessing, Path(source.store), workers, executor=executor, jobs=jobs)
    table = table.loc[signals.rows.index].reset_index(drop=True)
    of_signal = {column: signals.rows[column].to_numpy() for column in ("signal_hash", "repairs")}
    table = table.assign(**of_signal)
    counts["stored"] = len(table)
    counts["repairs"] = dict(signals.repairs)
    skipped = pd.concat([catalog.skipped, signals.skipped[catalog.skipped.columns]], ignore_index=True)
    counts["skipped"] = skipped["reason"].value_counts().to_dict()
    if len(skipped):
        reasons = "; ".join(f"{count} x {reason}" for reason, count in counts["skipped"].items())
        log.warning("%d recordings skipped: %s", len(skipped), reasons)
    if signals.repairs:
        log.info("Repaired: %s", "; ".join(f"{count} x {repair}" for repair, count in signals.repairs.items()))
    return Gathered(table, signals, skipped, counts)


def divide_recordings(gathered: Gathered, label_map: LabelMap, split: SplitSettings, seed: int) -> PreparedData:
    """Give each recording its side. Whether the result can be used is :meth:`PreparedData.require_sound`'s to say.

    Args:
        gathered: at least one recording.
        label_map: the conditions.
        split: how recordings are divided.
        seed: another seed gives another division.

    Raises:
        ValueError: if the split names a source or a fold that the recordings do not have.
    """
    sides = split_recordings(gathered.table, gathered.table["signal_hash"], split, seed, label_map.codes)
    table = gathered.table.assign(**sides)
    if excluded := int((table["split"] == EXCLUDED).sum()):
        log.info("%d recordings excluded by the split: %s", excluded, table["exclusion"].value_counts().to_dict())
    return PreparedData(
        table=table,
        targets=targets(table, label_map),
        signals=gathered.signals,
        skipped=gathered.skipped,
        leakage=leakage_report(table, table["split"], table["signal_hash"]),
        counts=gathered.counts | {"sides": table["split"].value_counts().to_dict()},
        codes=label_map.codes,
        split=split,
    )


def _for_task(catalog: Catalog, label_map: LabelMap, task: Task, counts: dict[str, Any]) -> pd.DataFrame:
    """The recordings that the task can learn from."""
    usable = task.usable(targets(catalog.table, label_map))
    if n := int((~usable).sum()):
        counts["left out"] = {task.unusable: n}
        counts["left out labels"] = label_patterns(catalog.table[~usable], label_map)
        log.info("%d recordings left out: %s", n, task.unusable)
    return catalog.table[usable]


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
