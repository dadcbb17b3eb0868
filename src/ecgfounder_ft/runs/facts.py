"""What a run did, from its configuration, the counts of its data, its split, its epochs and its evaluation."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ecgfounder_ft.data.catalog import source_of
from ecgfounder_ft.data.sources.source import data_sources
from ecgfounder_ft.data.splits import TEST, TRAIN, VALIDATION
from ecgfounder_ft.ecg.preprocessing import Preprocessing
from ecgfounder_ft.evaluation.run_evaluation import RunEvaluation
from ecgfounder_ft.evaluation.subgroups import NOT_STATED, SubgroupEvaluation
from ecgfounder_ft.inference.finished_model import FinishedModel
from ecgfounder_ft.labels import STATE_NAMES, LabelMap
from ecgfounder_ft.report.characteristics import Characteristics
from ecgfounder_ft.report.facts import RunFacts, SideFacts
from ecgfounder_ft.runs.folder import RunFolder
from ecgfounder_ft.untrusted.run_files import RunFolderError

_STATE_OF_NAME = {name: state for state, name in STATE_NAMES.items()}

_SPLITS = {
    "random": "patients were dealt to the sides at random",
    "external": "trained on some sources and tested on all others",
    "leave_one_source_out": "tested on one source that was left out",
    "kfold": "tested on one fold of the patients",
    "published": "by the folds that the dataset was published with",
}


def facts_of(
    run: RunFolder,
    evaluated: RunEvaluation,
    model: FinishedModel,
    recordings: pd.DataFrame,
    described: Sequence[Characteristics],
    counts: Mapping[str, Any],
    source: str,
    skipped: Mapping[str, int],
    *,
    elsewhere: bool,
    cases: int = 0,
) -> RunFacts:
    """The record of a run and of one evaluation of it.

    Args:
        run: that the model comes from.
        evaluated: the evaluation.
        model: the run's.
        recordings: as of :func:`with_those_learnt_from`.
        described: these, by side.
        counts: of the evaluated recordings' preparation, as in ``data.json``.
        source: ``data.source`` of the evaluated recordings.
        skipped: reason to number of recordings that could not be used.
        elsewhere: the evaluated recordings are another set than that which the run divided.
        cases: recordings that are listed.
    """
    config = run.plain_configuration()
    card = model.card
    label_map, preprocessing = card.label_map, card.preprocessing
    learnt = recordings[recordings["split"].isin([TRAIN, VALIDATION])]
    tested = recordings[recordings["split"] == evaluated.side]
    sides = {of.side: _side(of) for of in described}
    history, plan = run.read_history(), run.read_plan() or {}
    thresholds, groups, notes = evaluated.thresholds, evaluated.subgroups, evaluated.calibration.notes
    known = data_sources().get(source)
    split, monitor = config.get("split", {}), config.get("monitor", {})
    foreign = sorted(set(source_of(tested)) - set(source_of(learnt)))
    # with any other kind a rare source fell on one side by chance
    by_design = split.get("kind") in ("external", "leave_one_source_out")
    capped = _capped(run.read_data_counts() if elsewhere else counts)
    if elsewhere:
        capped |= {f"{side} elsewhere": n for side, n in _capped(counts).items()}
    return RunFacts(
        network=str(card.architecture.get("_target_", "network")).rsplit(".", 1)[-1],
        parameters=sum(parameter.numel() for parameter in model.net.parameters()),
        leads=tuple(preprocessing.leads),
        weights=str((card.pretrained or {}).get("name") or "").removesuffix(".pth"),
        head=card.head,
        strategy=file_name_of(config.get("finetune")),
        seed=card.seed,
        preprocessing=preprocessing_in_words(preprocessing),
        missing_samples=preprocessing.missing,
        exclusive=card.task.exclusive,
        source=str(config["data"]["source"]),
        datasets=tuple(sorted(set(learnt["dataset"]))),
        evaluated_source=source,
        evaluated_datasets=tuple(sorted(set(tested["dataset"]))),
        elsewhere=elsewhere,
        natural_prevalence=known is None or known.natural_prevalence,
        label_origin="" if known is None else known.label_origin,
        unlisted=str(config["data"].get("unlisted") or ""),
        split=split_in_words(split),
        external=f"{', '.join(foreign)} not trained on" if by_design and foreign and not elsewhere else "",
        side=evaluated.side,
        sides=sides,
        left_out=counts.get("left out", {}),
        capped=capped,
        skipped=dict(skipped),
        excluded=_excluded(recordings),
        repairs=counts.get("repairs", {}),
        loss=file_name_of(config.get("task", {}).get("loss")).replace("_", " "),
        imbalance=str(config["data"].get("imbalance", "none")),
        epochs=len(history),
        best_epoch=best_epoch(history, str(monitor.get("name", "")), str(monitor.get("mode", "min"))),
        monitor=str(monitor.get("name", "")),
        interpolation=run.read_wise_ft().get("chosen"),
        found=plan.get("found", {}),
        calibration=evaluated.calibration.method,
        calibrated_on=sides[VALIDATION].recordings if VALIDATION in sides else 0,
        calibration_notes=len(label_map.codes) if "all" in notes else len(notes),
        thresholds="" if thresholds is None else thresholds.method,
        threshold_notes=0 if thresholds is None else len(thresholds.notes),
        resamples=evaluated.evaluation.resamples,
        with_interval=sum(
            condition.metrics["auroc"].low is not None for condition in evaluated.evaluation.conditions.values()
        ),
        conditions=len(label_map.codes),
        subgroups=compared(groups),
        small_subgroups=len(groups) - sum(compared(groups).values()),
        baselines=tuple(evaluated.baselines),
        cases=cases,
        age_missing=_missing(evaluated.rows, "age"),
        sex_missing=_missing(evaluated.rows, "sex"),
    )


def compared(groups: Sequence[SubgroupEvaluation]) -> dict[str, int]:
    """Attribute to its groups with an AUROC of some condition, without "not stated" and without attributes that this
    leaves with only one."""
    found: dict[str, int] = {}
    for group in groups:
        codes = () if group.evaluation is None else group.evaluation.codes
        if group.value != NOT_STATED and any(group.metric(code, "auroc").value is not None for code in codes):
            found[group.attribute] = found.get(group.attribute, 0) + 1
    return {name: n for name, n in found.items() if n > 1}


def with_those_learnt_from(recordings: pd.DataFrame, run: RunFolder) -> pd.DataFrame:
    """The evaluated recordings and, where they are another set, those that the run trained and validated on."""
    if (recordings["split"] == TRAIN).any():
        return recordings
    splits = run.read_splits()
    learnt = splits[splits["split"].isin([TRAIN, VALIDATION])]
    return pd.concat([learnt, recordings], ignore_index=True)


def states_of(recordings: pd.DataFrame, label_map: LabelMap) -> NDArray[np.int8]:
    """The condition columns of a table of the split, (recordings, conditions).

    Raises:
        RunFolderError: if it has none of a condition, or something else than a state in it.
    """
    missing = [code for code in label_map.codes if code not in recordings]
    if missing:
        raise RunFolderError(f"the table of the split has no column {', '.join(missing[:8])}: restore splits.csv")
    states = recordings[list(label_map.codes)].map(lambda name: _STATE_OF_NAME.get(str(name)))
    if states.isna().to_numpy().any():
        raise RunFolderError(
            f"the table of the split has a state of a condition that is none of {', '.join(_STATE_OF_NAME)}: "
            "restore splits.csv"
        )
    return states.to_numpy(dtype=np.int8)


def best_epoch(history: Sequence[Mapping[str, Any]], metric: str, mode: str) -> int | None:
    """Number, from 1, of the epoch whose metric is best, the first of equals; None where no epoch has it."""
    values = [(float(row[metric]), number) for number, row in enumerate(history, 1) if _number(row.get(metric))]
    if not values:
        return None
    sign = 1 if mode == "min" else -1
    return min(values, key=lambda entry: (sign * entry[0], entry[1]))[1]


def _side(of: Characteristics) -> SideFacts:
    unknown = {code: of.recordings - known for code, known in of.known.items()}
    return SideFacts(of.recordings, of.patients, of.present, unknown, of.patient_unknown)


def _capped(counts: Mapping[str, Any]) -> dict[str, int]:
    sums: dict[str, int] = {}
    for row in counts.get("left out by a cap", []):
        sums[row["side"]] = sums.get(row["side"], 0) + int(row["recordings"])
    return sums


def _excluded(recordings: pd.DataFrame) -> dict[str, int]:
    if "exclusion" not in recordings:
        return {}
    out = ~recordings["split"].isin([TRAIN, VALIDATION, TEST])
    reasons = recordings.loc[out, "exclusion"].fillna("no reason stated").value_counts()
    return {str(reason): int(n) for reason, n in reasons.items()}


def split_in_words(split: Mapping[str, Any]) -> str:
    """How recordings were divided, from the configuration's ``split``."""
    kind = str(split.get("kind", ""))
    words = _SPLITS.get(kind, kind)
    if kind == "leave_one_source_out":
        words += f" ({split.get('held_out')})"
    elif kind == "external":
        words += f" ({', '.join(map(str, split.get('train_sources', [])))} trained on)"
    elif kind == "kfold":
        words += f" (fold {int(split.get('fold', 0)) + 1} of {split.get('folds')})"
    if kind in ("random", "kfold") and split.get("assignment") == "stratified":
        words += ", stratified over conditions and sources"
    if kind == "random":
        words += ", " + " / ".join(f"{100 * float(split.get(side, 0)):.3g}%" for side in (TRAIN, VALIDATION, TEST))
    return f"{words}; a known patient stands on one side"


def preprocessing_in_words(settings: Preprocessing) -> str:
    """Sampling rate, window, filters and scale in one sentence part."""
    parts = [f"{settings.sampling_rate:g} Hz", f"{settings.window.seconds:g} s from the {settings.window.position}"]
    if settings.notch is not None:
        parts.append(f"notch at {settings.notch.frequency:g} Hz")
    if settings.band_pass is not None:
        parts.append(f"band-pass {settings.band_pass.low:g} to {settings.band_pass.high:g} Hz")
    if settings.baseline_median is not None:
        parts.append(f"running median of {settings.baseline_median.seconds:g} s subtracted")
    scales = {None: "in millivolts", "zscore": "z-scored"}
    return ", ".join([*parts, scales.get(settings.scale, f"scaled by {settings.scale}")])


def file_name_of(node: Any) -> str:
    """The last module of a ``_target_`` within this package, which is the name of its file in ``configs/``."""
    if not isinstance(node, Mapping) or "_target_" not in node:
        return "not stated"
    parts = str(node["_target_"]).split(".")
    return parts[-2] if parts[0] == "ecgfounder_ft" and len(parts) > 1 else parts[-1]


def _missing(rows: pd.DataFrame, name: str) -> int:
    return len(rows) if name not in rows else int((rows[name].isna() | (rows[name] == "")).sum())


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not np.isnan(value)
