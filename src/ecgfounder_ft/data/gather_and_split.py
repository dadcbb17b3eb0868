"""From a source to stored and divided recordings: catalog, choice, signal store, split.

Where a source has a natural prevalence (:attr:`DataSource.natural_prevalence`), the split comes first, on all of its
recordings. What is too much is then left out side by side: on the training side by condition
(:func:`~ecgfounder_ft.data.caps.draw_by_condition`), on validation and test by patients drawn at random, so that
these keep the prevalence. Only what is chosen is preprocessed and stored. That is also when signals become known, so
copies of one signal on two sides are found then, among the chosen recordings, and excluded from the side that matters
less: a recording that is not used cannot leak.

A selection by hand has no prevalence to keep: ``max_samples`` caps all of it, then it is stored, then divided, copies
together.

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

from ecgfounder_ft.data.caps import draw_by_condition, exclude_beyond, sample_patients, select_max_samples
from ecgfounder_ft.data.catalog import (
    Catalog,
    count_conditions,
    label_patterns,
    source_of,
    state_column,
    targets,
    unknown_patients,
)
from ecgfounder_ft.data.leakage import LeakageReport, leakage_report
from ecgfounder_ft.data.near_copies import find_copies, groups_of, labels_of_copies, name_groups
from ecgfounder_ft.data.notes import notes_of
from ecgfounder_ft.data.sources.source import DataSource, NoDataError, first_skipped, read_catalog
from ecgfounder_ft.data.split_settings import EXCLUDED, SIDES, TEST, TRAIN, SplitSettings
from ecgfounder_ft.data.splits import exclude_copies, require_enough, split_recordings
from ecgfounder_ft.data.store.signal_store import StoredSignals, build_store
from ecgfounder_ft.ecg.preprocessing import Preprocessing
from ecgfounder_ft.labels import LabelMap
from ecgfounder_ft.task import Task

log = logging.getLogger(__name__)

SPLIT_COLUMNS = (
    "recording",
    "dataset",
    "constituent",
    "patient",
    "patient_known",
    "split",
    "exclusion",
    "age",
    "sex",
    "seconds",
    "signal_hash",
    "repairs",
    "path",
)
"""Columns of a table of the split before those of the conditions."""

CONTRADICTION = "copies of this signal contradict each other, and nothing that the task needs is left"
"""Why a stored recording is excluded."""


@dataclass(frozen=True)
class Gathered:
    """The recordings of a source that a task can use, preprocessed and stored; there may be none."""

    table: pd.DataFrame
    """Their catalog rows with ``seconds`` (length as recorded), ``signal_hash``, ``repairs``, ``signal`` (a name that
    copies of one signal share) and ``exclusion`` (why a recording is of no use after all, or ""), aligned to
    ``signals.rows``. Copies of one signal state the same."""
    signals: StoredSignals
    skipped: pd.DataFrame
    """path, reason, detail of every recording that could not be used."""
    counts: dict[str, Any]
    """How many recordings each step left: ``catalog``, ``left out`` by the task (reason to number, where there are
    any) with their ``left out labels`` (source to conditions to number), ``divided`` (side to number, before caps) and
    ``excluded before storing`` (source to number), where the split came first, ``left out by a cap`` (one row per side
    and source), ``chosen``, ``stored``, ``repairs`` and ``skipped`` (reason to number), ``copies``, ``patient
    unknown`` (source to number) and ``notes`` for the reader of results."""
    sides: pd.DataFrame | None = None
    """``split`` and ``exclusion`` of each recording where the split came first, aligned to :attr:`table`."""

    def require_any(self) -> None:
        """Stop where no recording is left.

        Raises:
            NoDataError: with the reasons, and how many recordings each of them took.
        """
        if len(self.table):
            return
        reasons = self.counts.get("left out", {}) | self.counts["skipped"]
        told = "; ".join(f"{count} x {reason}" for reason, count in reasons.items())
        raise NoDataError(
            ". ".join(
                [f"none of {self.counts['catalog']} recordings can be used: {told}", *first_skipped(self.skipped)]
            ),
            self.skipped,
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
    """Counts of :class:`Gathered`, and the recordings of each side (``sides``)."""
    codes: tuple[str, ...]
    """The conditions, in the order of the label map."""
    split: SplitSettings
    """How the recordings were divided."""

    @property
    def digest(self) -> str:
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
    split: SplitSettings | None = None,
) -> Gathered:
    """Read the catalog, choose recordings, and preprocess those that the store does not hold yet.

    Args:
        source: where the recordings are.
        label_map: the conditions.
        task: which recordings can be used.
        preprocessing: what is done to each recording.
        seed: of the choice, and of the split where that comes first.
        executor: as for :func:`~ecgfounder_ft.data.store.signal_store.build_store`.
        jobs: likewise.
        split: how recordings will be divided, which decides what is chosen where the source has a natural prevalence.
            None: all of them are to be evaluated, and ``max_samples`` caps only a selection.

    Raises:
        NoDataError: if the source has no recording at all.
        ValueError: if the split names a source or a fold that the recordings do not have.
        StoreFullError, StoreBuildError: as :func:`~ecgfounder_ft.data.store.signal_store.build_store`.
    """
    catalog = read_catalog(source, label_map)
    counts: dict[str, Any] = {"catalog": len(catalog)}
    table = _for_task(catalog, label_map, task, counts).reset_index(drop=True)
    if source.natural_prevalence:
        table, sides = _choose_by_side(table, label_map, source, split, seed, counts)
    else:
        table, sides = _choose_of_selection(table, label_map, source, seed, counts), None
    counts["chosen"] = len(table)
    workers = source.workers or _cores()
    signals = build_store(
        table, preprocessing, Path(source.store), workers, executor=executor, jobs=jobs, stated=source.stated
    )
    table = table.loc[signals.rows.index].reset_index(drop=True)
    if sides is not None:
        sides = sides.loc[signals.rows.index].reset_index(drop=True)
    of_signal = {column: signals.rows[column].to_numpy() for column in ("signal_hash", "repairs")}
    table = table.assign(**of_signal, seconds=(table["samples"] / table["sampling_rate"]).round(3))
    counts["stored"] = len(table)
    counts["repairs"] = dict(signals.repairs)
    skipped = pd.concat([catalog.skipped, signals.skipped[catalog.skipped.columns]], ignore_index=True)
    counts["skipped"] = skipped["reason"].value_counts().to_dict()
    if len(skipped):
        reasons = "; ".join(f"{count} x {reason}" for reason, count in counts["skipped"].items())
        log.warning("%d recordings skipped: %s", len(skipped), reasons)
    if signals.repairs:
        log.info(
            "Repaired or flagged: %s", "; ".join(f"{count} x {repair}" for repair, count in signals.repairs.items())
        )
    table = _with_copies(table, signals, label_map, task, preprocessing, counts)
    counts["patient unknown"] = {str(name): int(n) for name, n in unknown_patients(table).items()}
    counts["notes"] = [*notes_of(source, split, counts), *catalog.notes]
    return Gathered(table, signals, skipped, counts, sides)


def divide_recordings(gathered: Gathered, label_map: LabelMap, split: SplitSettings) -> PreparedData:
    """Give each recording its side. Whether the result can be used is :meth:`PreparedData.require_sound`'s to say.

    Args:
        gathered: at least one recording. Where the split came first, by the same settings.
        label_map: the conditions.
        split: how recordings are divided.

    Raises:
        ValueError: if the split names a source or a fold that the recordings do not have.
        TooFewRecordingsError: if ``split.training_recordings`` is more than there are.
    """
    table = gathered.table
    if gathered.sides is not None:
        sides = exclude_copies(gathered.sides, table["signal"])
    else:
        sides = split_recordings(table, table["signal"], split, split.seed, label_map.codes)
    useless = table["exclusion"] != ""
    sides.loc[useless, "split"] = EXCLUDED
    sides.loc[useless, "exclusion"] = table.loc[useless, "exclusion"]
    table = table.assign(**sides)
    if split.training_recordings is not None:
        table = exclude_beyond(table, label_map.codes, split.training_recordings, split.seed)
    if excluded := int((table["split"] == EXCLUDED).sum()):
        reasons = table.loc[table["split"] == EXCLUDED, "exclusion"].value_counts().to_dict()
        log.info("%d recordings excluded by the split: %s", excluded, reasons)
    leakage = leakage_report(table, table["split"], table["signal"])
    return PreparedData(
        table=table,
        targets=targets(table, label_map),
        signals=gathered.signals,
        skipped=gathered.skipped,
        leakage=leakage.with_excluded(gathered.counts.get("excluded before storing", {})),
        counts=gathered.counts | {"sides": table["split"].value_counts().to_dict()},
        codes=label_map.codes,
        split=split,
    )


# --- What is chosen -------------------------------------------------------------------------------------------------


def _choose_of_selection(
    table: pd.DataFrame, label_map: LabelMap, source: DataSource, seed: int, counts: dict[str, Any]
) -> pd.DataFrame:
    """What ``max_samples`` leaves of recordings that have no natural prevalence."""
    chosen = select_max_samples(table, label_map, source.max_samples, seed)
    left_out = table[~table.index.isin(chosen.index)]
    counts["left out by a cap"] = _by_source(left_out, label_map, "before the split", "data.max_samples")
    return chosen.reset_index(drop=True)


def _choose_by_side(
    table: pd.DataFrame,
    label_map: LabelMap,
    source: DataSource,
    split: SplitSettings | None,
    seed: int,
    counts: dict[str, Any],
) -> tuple[pd.DataFrame, pd.DataFrame | None]:
    """The chosen recordings and their sides, if there is a split; without one, all are to be evaluated."""
    if split is None:
        sides = pd.DataFrame({"split": TEST, "exclusion": ""}, index=table.index)
        whole: list[str] = []
    elif len(table):
        sides = split_recordings(table, table["recording"], split, seed, label_map.codes)
        counts["divided"] = {side: int((sides["split"] == side).sum()) for side in (*SIDES, EXCLUDED)}
        excluded = table[sides["split"] == EXCLUDED]
        if len(excluded):
            reasons = sides.loc[excluded.index, "exclusion"].value_counts()
            by_split = {f"{reason} (split.kind={split.kind})": int(n) for reason, n in reasons.items()}
            counts["left out"] = counts.get("left out", {}) | by_split
            log.info("%d recordings left out by the split: %s", len(excluded), by_split)
        counts["excluded before storing"] = {str(k): int(n) for k, n in source_of(excluded).value_counts().items()}
        whole = split.whole_sides
    else:
        return table, None
    chosen = np.zeros(len(table), dtype=bool)
    left_out: list[dict[str, Any]] = []
    for side in SIDES:
        rows = np.flatnonzero(sides["split"] == side)
        if not len(rows):
            continue
        if side == TRAIN:
            cap = "data.max_samples"
            kept = draw_by_condition(table.iloc[rows], label_map, source.max_samples, seed)
        else:
            cap = "data.max_evaluation_recordings"
            limit = None if side in whole else source.max_evaluation_recordings
            kept = sample_patients(table["patient"].iloc[rows], limit, seed)
        chosen[rows[kept]] = True
        left_out += _by_source(table.iloc[rows[~kept]], label_map, side, cap)
    counts["left out by a cap"] = left_out
    for row in left_out:
        log.info("%(recordings)d %(side)s recordings of %(source)s left out by %(cap)s", row)
    return table[chosen].reset_index(drop=True), None if split is None else sides[chosen].reset_index(drop=True)


def _by_source(left_out: pd.DataFrame, label_map: LabelMap, side: str, cap: str) -> list[dict[str, Any]]:
    """What a cap left out of a side: one row per source, with the number of recordings and of those with each
    condition."""
    found = count_conditions(left_out.assign(source=source_of(left_out)), label_map, by="source")
    return [
        {
            "side": side,
            "source": str(source),
            "cap": cap,
            "recordings": int(row["recordings"]),
            "conditions": {code: int(row[code]) for code in label_map.codes},
        }
        for source, row in found.iterrows()
    ]


def _with_copies(
    table: pd.DataFrame,
    signals: StoredSignals,
    label_map: LabelMap,
    task: Task,
    preprocessing: Preprocessing,
    counts: dict[str, Any],
) -> pd.DataFrame:
    """The table with ``signal``, ``exclusion``, and the labels that copies of one signal agree on."""
    identical, _ = pd.factorize(table["signal_hash"])
    found = find_copies(signals.fingerprints, signals, preprocessing.sampling_rate, identical)
    group = groups_of(identical, pairs=found.pairs)
    stated, filled, contradicted = labels_of_copies(targets(table, label_map), group)
    columns: dict[str, Any] = {"signal": name_groups(group, table["signal_hash"]), "exclusion": ""}
    changed = filled | (contradicted & (targets(table, label_map) != stated))
    columns |= {
        code: state_column(stated[:, column]) for column, code in enumerate(label_map.codes) if changed[:, column].any()
    }
    table = table.assign(**columns)
    table.loc[~task.usable(stated), "exclusion"] = CONTRADICTION
    size = np.bincount(group, minlength=1)
    counts["copies"] = {
        "pairs of fingerprints compared": found.compared,
        "pairs of signals compared": found.alike,
        "recordings with an identical signal": int(table["signal_hash"].duplicated(keep=False).sum()),
        "recordings with a near copy": len(np.unique(found.pairs)),
        "signals under several names": int((size > 1).sum()),
        "recordings under them": int(size[size > 1].sum()),
        "labels taken from a copy": {code: int(filled[:, column].sum()) for column, code in enumerate(label_map.codes)},
        "labels unknown because copies contradict": {
            code: int(contradicted[:, column].sum()) for column, code in enumerate(label_map.codes)
        },
    }
    if (size > 1).any():
        log.warning(
            "%d signal(s) under several names, in %d recordings (%d of them with a near copy). Labels taken from a "
            "copy: %d; unknown, because copies contradict: %d",
            (size > 1).sum(),
            size[size > 1].sum(),
            len(np.unique(found.pairs)),
            filled.sum(),
            contradicted.sum(),
        )
    return table


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
