"""The evaluation of a finished run from the files in its folder: figures, pictures, report.

Training ends with :func:`report_run`, and ``ecgfounder-ft evaluate`` calls it again, so both say the same.
"""

import json
import logging
import math
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
import torch
import yaml
from matplotlib.figure import Figure

from ecgfounder_ft.config.schema import EvaluationConfig
from ecgfounder_ft.ecg.formats.wfdb import read_recording
from ecgfounder_ft.ecg.paper import overlay_from_window
from ecgfounder_ft.ecg.recording import Recording, UnreadableRecordingError
from ecgfounder_ft.evaluation.challenge2021 import write_challenge_files
from ecgfounder_ft.evaluation.evaluate import Evaluation
from ecgfounder_ft.evaluation.recordings_to_inspect import Case, choose_cases
from ecgfounder_ft.inference.predict import WEIGHTS_FILE, Model, load_model, save_model
from ecgfounder_ft.labels import STATE_NAMES, LabelMap
from ecgfounder_ft.report import plots as figures
from ecgfounder_ft.report.page import AttributionNote, CaseDrawing, content_of, flow_rows, write_report
from ecgfounder_ft.runs.evaluation import (
    CALIBRATION_FILE,
    THRESHOLDS_FILE,
    EvaluationSettings,
    RunEvaluation,
    evaluate_run,
)

log = logging.getLogger(__name__)

REPORT_FILE = "report.html"
METRICS_FILE = "metrics.json"
ATTRIBUTION_STEPS = 32

_STATE_OF_NAME = {name: state for state, name in STATE_NAMES.items()}
_LABEL_ORIGIN = {
    "selected": "The folder that each recording lies in, as sorted by hand.",
    "simulated": "The simulator's own settings; these are no patients.",
    "mimic_iv_ecg": "Machine statements of the MIMIC-IV-ECG reports, read by the patterns of the label map.",
    "physionet2021": "SNOMED CT codes in the headers of PhysioNet/CinC 2021, as its contributors assigned them.",
    "merged": "Machine statements of the MIMIC-IV-ECG reports, read by the patterns of the label map, and SNOMED CT "
    "codes in the headers of PhysioNet/CinC 2021.",
    "table": "The condition columns of a table of the user's own.",
}


@dataclass(frozen=True)
class ReportOptions:
    """What a report holds beside its figures."""

    attribution: bool = True
    """Draw what the decisions rest on (integrated gradients), where captum is installed."""
    cases: bool = True
    """Draw errors and uncertain recordings, where their files are still at hand."""


def evaluation_settings(config: EvaluationConfig) -> EvaluationSettings:
    """The settings that the configuration asks for."""
    return EvaluationSettings(
        calibration=config.calibration,
        thresholds=config.thresholds,
        sensitivity=config.sensitivity,
        by=tuple(config.by),
        resamples=config.resamples,
        seed=config.seed,
    )


def report_options(config: EvaluationConfig) -> ReportOptions:
    """The report that the configuration asks for."""
    return ReportOptions(attribution=config.attribution, cases=config.cases)


def report_run(
    folder: Path,
    settings: EvaluationSettings,
    options: ReportOptions,
    *,
    refit: bool = False,
    trusted: Collection[str] = (),
) -> tuple[RunEvaluation, dict[str, Figure]]:
    """Evaluate a run on its own test recordings and write what it says into its folder.

    Written: ``metrics.json``, ``calibration.json``, ``thresholds.json`` (multi-label), ``classification_report.json``,
    the pictures, and ``report.html``. Calibration and thresholds also go into ``model.pth``, so that predictions use
    them.

    Args:
        folder: of the run.
        settings: of the evaluation.
        options: of the report.
        refit: fit calibration and thresholds anew.
        trusted: as for :func:`~ecgfounder_ft.inference.predict.load_model`.

    Returns:
        The evaluation, and the pictures by file stem.

    Raises:
        RunFolderError: if the folder lacks something.
    """
    run = evaluate_run(folder, settings, refit=refit)
    model = load_model(folder, trusted=trusted)
    model.card.calibration = run.calibration.to_dict()
    model.card.thresholds = None if run.thresholds is None else dict(run.thresholds.values)
    save_model(model, folder / WEIGHTS_FILE)
    write_json(folder / CALIBRATION_FILE, run.calibration.to_dict())
    if run.thresholds is not None:
        write_json(folder / THRESHOLDS_FILE, run.thresholds.to_dict())
    splits = pd.read_csv(folder / "splits.csv", dtype={"constituent": str, "sex": str, "repairs": str})
    counts = _read_json(folder / "data.json")
    source = read_config(folder)["data"]["source"]
    pictures = write_evaluation(folder, folder, run, model, splits, counts, source, options)
    return run, pictures


def write_evaluation(
    output: Path,
    run_folder: Path,
    run: RunEvaluation,
    model: Model,
    recordings: pd.DataFrame,
    counts: Mapping[str, Any],
    source: str,
    options: ReportOptions,
) -> dict[str, Figure]:
    """Write the files of an evaluation.

    Args:
        output: folder that they go into.
        run_folder: of the run that the model comes from.
        run: the evaluation.
        model: the run's.
        recordings: a row a recording with the columns of ``splits.csv``; those that were trained on, too.
        counts: how many recordings each step of their preparation left.
        source: ``data.source`` that they are from.
        options: of the report.

    Returns:
        The pictures by file stem.
    """
    history_file = run_folder / "training_history.csv"
    epochs = pd.read_csv(history_file).to_dict("records") if history_file.stat().st_size > 1 else []
    history = [{str(name): value for name, value in epoch.items()} for epoch in epochs]
    label_map = model.card.label_map
    write_json(output / METRICS_FILE, metrics_of(run, _read_json(run_folder / "start.json"), counts))
    write_json(output / "classification_report.json", classification_report(run.evaluation))
    pictures = draw(run, history)
    for name, figure in pictures.items():
        figures.save_figure(figure, output / f"{name}.png")
    cases, note = _draw_cases(run, model, recordings, options)
    config = read_config(run_folder)
    skipped = pd.read_csv(output / "skipped.csv")
    write_report(
        content_of(
            run,
            title=f"Evaluation of {run_folder.name}",
            created=time.strftime("%Y-%m-%d %H:%M"),
            condition_names={code: condition.name for code, condition in label_map.conditions.items()},
            flow=_flow(recordings, label_map),
            label_origin=_LABEL_ORIGIN.get(source, ""),
            skipped=skipped["reason"].value_counts().to_dict(),
            left_out=counts.get("left out", {}),
            history=history,
            cases=cases,
            attribution=note,
            provenance=provenance(model, run_folder),
            configuration=yaml.safe_dump(
                config, sort_keys=False, allow_unicode=True, default_flow_style=None, width=110
            ),
        ),
        output / REPORT_FILE,
    )
    return pictures


def read_config(run_folder: Path) -> dict[str, Any]:
    """The resolved configuration of a run."""
    return cast(dict[str, Any], yaml.safe_load((run_folder / "config.yaml").read_text(encoding="utf-8")))


def metrics_of(run: RunEvaluation, start: Mapping[str, Any], counts: Mapping[str, Any]) -> dict[str, Any]:
    """The content of ``metrics.json``; docs/evaluation.md describes it."""
    return {
        run.split: run.evaluation.to_dict(),
        "validation": None if run.validation is None else run.validation.to_dict(),
        "subgroups": [group.to_dict() for group in run.subgroups],
        "baselines": {name: evaluation.to_dict() for name, evaluation in run.baselines.items()},
        "start": dict(start),
        "data": dict(counts),
    }


def classification_report(evaluation: Evaluation) -> dict[str, Any]:
    """Precision, recall, F1 and support a condition, with their macro means, as scikit-learn names them."""
    names = {"precision": "ppv", "recall": "sensitivity", "f1-score": "f1"}
    report: dict[str, Any] = {
        code: {name: condition.figures[figure].value for name, figure in names.items()}
        | {"support": condition.positives}
        for code, condition in evaluation.conditions.items()
    }
    report["macro avg"] = {name: evaluation.macro[figure].value for name, figure in names.items()}
    report["macro avg"]["support"] = sum(condition.positives for condition in evaluation.conditions.values())
    report["accuracy"] = evaluation.overall["accuracy"].value
    return report


def draw(run: RunEvaluation, history: Sequence[Mapping[str, Any]]) -> dict[str, Figure]:
    """The pictures of an evaluation, by file stem."""
    evaluation, data = run.evaluation, run.data
    if evaluation.confusion_matrix is not None:
        confusion = figures.confusion_matrix_figure(evaluation.confusion_matrix, evaluation.codes)
    else:
        tables = {code: condition.confusion for code, condition in evaluation.conditions.items()}
        confusion = figures.confusion_tables_figure(tables)
    known = (data.targets, data.probabilities, evaluation.codes)
    return {
        "training_history": figures.training_history_figure(history),
        "confusion_matrix": confusion,
        "per_condition": figures.condition_bars_figure(evaluation),
        "roc_curves": figures.roc_figure(*known, evaluation=evaluation),
        "precision_recall_curves": figures.precision_recall_figure(*known, evaluation=evaluation),
        "reliability": figures.reliability_figure(*known, uncalibrated=run.uncalibrated),
    }


def provenance(model: Model, run_folder: Path) -> dict[str, str]:
    """Where a model comes from, name to value as printed."""
    card = model.card
    pretrained = card.pretrained or {}
    return {
        "run": run_folder.name,
        "label map": f"{card.label_map.name} ({', '.join(card.label_map.codes)})",
        "task": card.task.name,
        "pretrained weights": str(pretrained.get("name") or "none: random start"),
        "their sha256": str(pretrained.get("sha256") or "-"),
        "last layer's start": card.head,
        "data fingerprint": card.data_fingerprint,
        "seed": str(card.seed),
        "leads": " ".join(card.preprocessing.leads),
        **{f"version of {name}": version for name, version in card.versions.items()},
    }


def _flow(recordings: pd.DataFrame, label_map: LabelMap) -> list[Any]:
    states = recordings[list(label_map.codes)].map(_STATE_OF_NAME.__getitem__).to_numpy(dtype=np.int8)
    return flow_rows(recordings["split"], recordings["dataset"], recordings["patient"], states, label_map.codes)


def _draw_cases(
    run: RunEvaluation, model: Model, recordings: pd.DataFrame, options: ReportOptions
) -> tuple[list[CaseDrawing], AttributionNote | None]:
    if not options.cases:
        return [], None
    paths = dict(zip(recordings["recording"], recordings["path"], strict=True))
    position = model.card.preprocessing.window.position
    drawings = [_drawing(case, run, paths, position) for case in choose_cases(run.data)]
    if not options.attribution:
        return drawings, None
    try:
        from ecgfounder_ft.report.attribution import integrated_gradients, randomisation_check
    except ModuleNotFoundError:
        log.warning("No attributions in the report: captum is not installed (pip install 'ecgfounder-ft[attribution]')")
        return drawings, None
    drawable = [number for number, drawing in enumerate(drawings) if drawing.signal is not None]
    if not drawable:
        return drawings, None
    signals = [drawings[number].signal for number in drawable]
    inputs = torch.from_numpy(np.stack([model.card.preprocessing(signal).signal for signal in signals if signal]))
    outputs = [run.data.codes.index(drawings[number].case.code) for number in drawable]
    log.info("Attributing %d decisions (integrated gradients, %d steps)", len(outputs), ATTRIBUTION_STEPS)
    found = integrated_gradients(model.net, inputs, outputs, steps=ATTRIBUTION_STEPS)
    few = slice(0, 4)  # enough to tell whether attributions depend on what was learned
    check = randomisation_check(model.net, inputs[few], outputs[few], steps=ATTRIBUTION_STEPS)
    settings = model.card.preprocessing
    for number, weights in zip(drawable, found.weights, strict=True):
        signal = drawings[number].signal
        assert signal is not None
        overlay = overlay_from_window(signal, weights, tuple(settings.leads), settings.sampling_rate, position=position)
        drawings[number] = replace(drawings[number], overlay=overlay)
    method = f"integrated gradients, {ATTRIBUTION_STEPS} steps, from a flat line"
    return drawings, AttributionNote(method, check.correlation, check.sane)


def _drawing(case: Case, run: RunEvaluation, paths: Mapping[str, str], position: str) -> CaseDrawing:
    row = run.rows.iloc[case.row]
    facts = {"source": str(row["dataset"])}
    for name in ("constituent", "age", "sex"):
        if name in row and pd.notna(row[name]) and row[name] != "":
            facts[name] = f"{row[name]:g}" if isinstance(row[name], float) else str(row[name])
    name = str(row["recording"])
    signal, missing = _read(paths.get(name))
    return CaseDrawing(case=case, recording=name, facts=facts, signal=signal, position=position, missing=missing)


def _read(path: str | None) -> tuple[Recording | None, str]:
    if path is None:
        return None, "its file is not known"
    try:
        return read_recording(Path(path)), ""
    except UnreadableRecordingError as error:
        return None, f"it cannot be read any more: {error.reason}"


def write_json(path: Path, content: Any) -> None:
    """Write JSON with null in place of NaN, which JSON does not have."""
    path.write_text(json.dumps(_without_nan(content), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _without_nan(content: Any) -> Any:
    if isinstance(content, Mapping):
        return {str(key): _without_nan(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [_without_nan(value) for value in content]
    if isinstance(content, float) and not math.isfinite(content):
        return None
    return content


def _read_json(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def write_scorer_files(run_folder: Path, run: RunEvaluation, folder: Path) -> str:
    """Write the Challenge's files for an evaluated run, and say in a sentence what was written."""
    conditions = load_model(run_folder).card.label_map.conditions
    snomed = {code: condition.snomed for code, condition in conditions.items()}
    sexes = run.rows["sex"].fillna("").astype(str).tolist()
    files = write_challenge_files(
        folder, run.data, run.rows["recording"].tolist(), snomed, ages=run.rows["age"].tolist(), sexes=sexes
    )
    left_out = f", {files.left_out} with an unknown label left out" if files.left_out else ""
    written = f"{len(files.data.targets)} recordings in {files.labels} and {files.outputs}"
    return f"for the Challenge's scorer: {written}{left_out}"
