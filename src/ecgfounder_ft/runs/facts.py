"""The facts of a run, derived from its configuration, the counts of its data, its split, its epochs and its model."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import yaml
from numpy.typing import NDArray

from ecgfounder_ft.data.catalog import source_of
from ecgfounder_ft.data.sources.source import data_sources
from ecgfounder_ft.data.splits import EXCLUDED, SIDES, TEST, TRAIN, VALIDATION
from ecgfounder_ft.ecg.preprocessing import Preprocessing
from ecgfounder_ft.evaluation.recordings_to_inspect import CONFIDENT_ERROR, LEAST_CERTAIN, Case
from ecgfounder_ft.evaluation.run_evaluation import RANDOM_ENCODER, UNTRAINED_START, RunEvaluation
from ecgfounder_ft.evaluation.subgroups import NOT_STATED, SubgroupEvaluation
from ecgfounder_ft.inference.finished_model import FinishedModel
from ecgfounder_ft.labels import STATE_NAMES, LabelMap
from ecgfounder_ft.report.characteristics import characteristics, flow_of
from ecgfounder_ft.report.run_facts import DataFacts, EvaluationFacts, ModelFacts, RunFacts, TrainingFacts
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


@dataclass(frozen=True)
class Evaluated:
    """What one evaluation was made of, where it is not the run's own test side."""

    recordings: pd.DataFrame
    """One row per recording with the columns of ``splits.csv``."""
    counts: Mapping[str, Any]
    """Recordings that each step of their preparation left, as in ``data.json``."""
    skipped: pd.DataFrame
    """Path, reason and detail of every unusable recording."""
    source: str
    """``data.source`` of the recordings."""
    side: str = TEST
    elsewhere: bool = False
    """Whether they are another set than the one that the run divided."""


def own_recordings(run: RunFolder, side: str = TEST) -> Evaluated:
    """The recordings that the run divided itself."""
    source = str(run.plain_configuration()["data"]["source"])
    return Evaluated(run.read_splits(), run.read_data_counts(), run.read_skipped(), source, side)


def facts_of(run: RunFolder, model: FinishedModel, evaluated: Evaluated) -> RunFacts:
    """Derive the facts of a run; those of an evaluation's numbers come from :func:`evaluation_facts`.

    Args:
        run: that the model comes from.
        model: the run's.
        evaluated: the recordings of the evaluation.
    """
    record, configuration = model.record, run.plain_configuration()
    facts = RunFacts(
        name=run.name,
        model=_model_facts(model),
        data=_data_facts(run, record.label_map, configuration, evaluated),
        training=_training_facts(run, record.seed, configuration),
        provenance=_provenance(model, run),
        configuration=yaml.safe_dump(
            configuration, sort_keys=False, allow_unicode=True, default_flow_style=None, width=110
        ),
    )
    return replace(facts, baselines=_baselines(run, facts.model))


def _model_facts(model: FinishedModel) -> ModelFacts:
    record, preprocessing = model.record, model.record.preprocessing
    return ModelFacts(
        network=type(model.net).__name__,
        parameters=sum(parameter.numel() for parameter in model.net.parameters()),
        leads=tuple(preprocessing.leads),
        sampling_rate=preprocessing.sampling_rate,
        seconds=preprocessing.window.seconds,
        preprocessing=preprocessing_in_words(preprocessing),
        missing_samples=preprocessing.missing,
        exclusive=record.task.exclusive,
        conditions={code: condition.name for code, condition in record.label_map.conditions.items()},
        weights=str((record.pretrained or {}).get("name") or "").removesuffix(".pth"),
        head=record.head,
    )


def _data_facts(
    run: RunFolder, label_map: LabelMap, configuration: Mapping[str, Any], evaluated: Evaluated
) -> DataFacts:
    recordings, counts = _with_those_learnt_from(evaluated.recordings, run), evaluated.counts
    learnt = recordings[recordings["split"].isin([TRAIN, VALIDATION])]
    tested = recordings[recordings["split"] == evaluated.side]
    states = states_of(recordings, label_map)
    described = characteristics(recordings, states, label_map.codes, (TRAIN, VALIDATION, evaluated.side))
    split, data = configuration.get("split", {}), configuration["data"]
    known = data_sources().get(evaluated.source)
    foreign = sorted(set(source_of(tested)) - set(source_of(learnt)))
    # with any other kind a rare source fell on one side by chance
    by_design = split.get("kind") in ("external", "leave_one_source_out") and not evaluated.elsewhere
    capped = _capped(run.read_data_counts() if evaluated.elsewhere else counts)
    if evaluated.elsewhere:
        capped |= {f"{side} elsewhere": n for side, n in _capped(counts).items()}
    return DataFacts(
        source=str(data["source"]),
        datasets=tuple(sorted(set(learnt["dataset"]))),
        evaluated_source=evaluated.source,
        evaluated_datasets=tuple(sorted(set(tested["dataset"]))),
        elsewhere=evaluated.elsewhere,
        natural_prevalence=known is None or known.natural_prevalence,
        label_origin="" if known is None else known.label_origin,
        unlisted=str(data.get("unlisted") or ""),
        split=split_in_words(split),
        external=f"{', '.join(foreign)} not trained on" if by_design and foreign else "",
        side=evaluated.side,
        sides={side.name: side for side in described},
        flow=flow_of(
            evaluated.recordings, states_of(evaluated.recordings, label_map), label_map.codes, (*SIDES, EXCLUDED)
        ),
        skipped=_counted(evaluated.skipped["reason"]),
        excluded=_excluded(recordings),
        repairs=counts.get("repairs", {}),
        left_out=counts.get("left out", {}),
        left_out_labels=counts.get("left out labels", {}),
        capped=capped,
        caps=counts.get("left out by a cap", []),
        notes=counts.get("notes", []),
    )


def _training_facts(run: RunFolder, seed: int, configuration: Mapping[str, Any]) -> TrainingFacts:
    history, monitor = run.read_history(), configuration.get("monitor", {})
    name = str(monitor.get("name", ""))
    return TrainingFacts(
        strategy=file_name_of(configuration.get("finetune")),
        seed=seed,
        loss=file_name_of(configuration.get("task", {}).get("loss")).replace("_", " "),
        imbalance=str(configuration["data"].get("imbalance", "none")),
        epochs=len(history),
        best_epoch=best_epoch(history, name, str(monitor.get("mode", "min"))),
        monitor=name,
        interpolation=run.read_wise_ft().get("chosen"),
        found=(run.read_plan() or {}).get("found", {}),
    )


def evaluation_facts(run: RunEvaluation, cases: Sequence[Case]) -> EvaluationFacts:
    """Count what the checklist states of an evaluation.

    Args:
        run: evaluated.
        cases: recordings that are listed.
    """
    notes, thresholds = run.calibration.notes, run.thresholds
    groups = compared(run.subgroups)
    conditions = run.evaluation.conditions.values()
    return EvaluationFacts(
        calibration=run.calibration.method,
        calibration_notes=len(run.evaluation.codes) if "all" in notes else len(notes),
        thresholds="" if thresholds is None else thresholds.method,
        threshold_notes=0 if thresholds is None else len(thresholds.notes),
        resamples=run.evaluation.resamples,
        with_interval=sum(condition.metrics["auroc"].low is not None for condition in conditions),
        subgroups=groups,
        small_subgroups=len(run.subgroups) - sum(groups.values()),
        errors=sum(case.kind == CONFIDENT_ERROR for case in cases),
        uncertain=sum(case.kind == LEAST_CERTAIN for case in cases),
        age_missing=_missing(run.rows, "age"),
        sex_missing=_missing(run.rows, "sex"),
    )


def _provenance(model: FinishedModel, run: RunFolder) -> dict[str, str]:
    record = model.record
    pretrained = record.pretrained or {}
    return {
        "run": run.name,
        "label map": f"{record.label_map.name} ({', '.join(record.label_map.codes)})",
        "task": record.task.name,
        "pretrained weights": str(pretrained.get("name") or "none: random start"),
        "sha256 of the pretrained weights": str(pretrained.get("sha256") or "-"),
        "start of the last layer": record.head,
        "data fingerprint": record.data_fingerprint,
        "seed": str(record.seed),
        "leads": " ".join(record.preprocessing.leads),
        **{f"version of {name}": version for name, version in record.versions.items()},
    }


def _baselines(run: RunFolder, model: ModelFacts) -> dict[str, str]:
    head = "matching rows of the pretrained last layer" if model.head == "pretrained" else "a random last layer"
    start = f"the network before its first step of training: {model.start} with {head}"
    notes = {UNTRAINED_START: f"{start}, calibrated by its own validation answers as this model is"}
    record = run.read_random_encoder()
    if record:
        drawn = f"{record['fitted_on']:,}"
        if record["fitted_on"] < record["of"]:
            drawn += f" of {record['of']:,}"
        notes[RANDOM_ENCODER] = (
            f"a {model.network} of the same architecture with random weights (seed {record['seed']}) that never "
            f"trained; a logistic regression on its {record['features']:,} features, fitted on {drawn} training "
            f"recordings, with the L2 penalty that validation chose (C = {record['strength']:g})"
        )
    return notes


def compared(groups: Sequence[SubgroupEvaluation]) -> dict[str, int]:
    """Count the groups of each attribute that have an AUROC of some condition.

    "Not stated" is left out, and so are attributes with fewer than two such groups.
    """
    found: dict[str, int] = {}
    for group in groups:
        codes = () if group.evaluation is None else group.evaluation.codes
        if group.value != NOT_STATED and any(group.metric(code, "auroc").value is not None for code in codes):
            found[group.attribute] = found.get(group.attribute, 0) + 1
    return {name: n for name, n in found.items() if n > 1}


def _with_those_learnt_from(recordings: pd.DataFrame, run: RunFolder) -> pd.DataFrame:
    """Add the recordings that the run trained and validated on, where the evaluated ones are another set."""
    if (recordings["split"] == TRAIN).any():
        return recordings
    splits = run.read_splits()
    return pd.concat([splits[splits["split"].isin([TRAIN, VALIDATION])], recordings], ignore_index=True)


def states_of(recordings: pd.DataFrame, label_map: LabelMap) -> NDArray[np.int8]:
    """Read the condition columns of a table of the split, (recordings, conditions).

    Raises:
        RunFolderError: if it lacks a condition, or holds something else than a state.
    """
    missing = [code for code in label_map.codes if code not in recordings]
    if missing:
        raise RunFolderError(f"the table of the split has no column {', '.join(missing[:8])}: restore splits.csv")
    states = recordings[list(label_map.codes)].map(lambda name: _STATE_OF_NAME.get(str(name)))
    if states.isna().to_numpy().any():
        raise RunFolderError(
            f"the table of the split has a state of a condition other than {', '.join(_STATE_OF_NAME)}: "
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


def _capped(counts: Mapping[str, Any]) -> dict[str, int]:
    sums: dict[str, int] = {}
    for row in counts.get("left out by a cap", []):
        sums[row["side"]] = sums.get(row["side"], 0) + int(row["recordings"])
    return sums


def _excluded(recordings: pd.DataFrame) -> dict[str, int]:
    if "exclusion" not in recordings:
        return {}
    out = ~recordings["split"].isin(SIDES)
    return _counted(recordings.loc[out, "exclusion"].fillna("no reason stated"))


def _counted(reasons: pd.Series) -> dict[str, int]:
    return {str(reason): int(n) for reason, n in reasons.value_counts().items()}


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
