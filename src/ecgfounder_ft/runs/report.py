"""The evaluation of a finished run from the files in its folder: metrics, pictures, report.

Training ends with :func:`report_first_evaluation`; ``ecgfounder-ft evaluate`` ends with :func:`report_again`. Both go
through the same steps, so both say the same.
"""

import logging
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import yaml
from matplotlib.figure import Figure

from ecgfounder_ft.data.splits import EXCLUDED, SIDES, TRAIN, VALIDATION
from ecgfounder_ft.ecg.formats import read_recording
from ecgfounder_ft.ecg.paper import overlay_from_window
from ecgfounder_ft.ecg.recording import Recording, UnreadableRecordingError
from ecgfounder_ft.errors import how_to_install
from ecgfounder_ft.evaluation.challenge2021 import write_challenge_files
from ecgfounder_ft.evaluation.evaluate import Evaluation
from ecgfounder_ft.evaluation.recordings_to_inspect import Case, choose_cases
from ecgfounder_ft.evaluation.run_evaluation import (
    RANDOM_ENCODER,
    UNTRAINED_START,
    RunEvaluation,
    evaluate_predictions,
)
from ecgfounder_ft.evaluation.settings import EvaluationSettings, EvaluationSettingsError
from ecgfounder_ft.files import write_json
from ecgfounder_ft.inference.finished_model import FinishedModel
from ecgfounder_ft.labels import LabelMap
from ecgfounder_ft.report import plots
from ecgfounder_ft.report.characteristics import characteristics, dataset_and_constituent
from ecgfounder_ft.report.facts import RunFacts
from ecgfounder_ft.report.page import AttributionNote, CaseDrawing, content_of, flow_rows, render_report
from ecgfounder_ft.report.training_plots import training_history_figure
from ecgfounder_ft.runs.evaluation_folder import EvaluationFolder
from ecgfounder_ft.runs.facts import facts_of, states_of, with_those_learnt_from
from ecgfounder_ft.runs.folder import RunFolder

log = logging.getLogger(__name__)

ATTRIBUTION_STEPS = 32


def report_first_evaluation(
    run: RunFolder, model: FinishedModel, settings: EvaluationSettings
) -> tuple[RunEvaluation, FinishedModel, dict[str, Figure]]:
    """Evaluate a run that has just been trained, and write what that says into its folder.

    Calibration and thresholds are fitted on its validation recordings, and go into ``model.pth``, so that predictions
    use them.

    Args:
        run: with its predictions written.
        model: as trained.
        settings: of the evaluation.

    Returns:
        The evaluation, the model with its calibration and thresholds, and the pictures by file stem.

    Raises:
        RunFolderError: if the folder lacks something.
    """
    predictions = run.predictions()
    fresh = replace(predictions, stored_calibration=None, stored_thresholds=None)
    evaluated = evaluate_predictions(fresh, settings, baselines=run.baselines(predictions.codes))
    model = with_fits(model, evaluated)
    run.write_model(model)
    pictures = write_evaluation(
        run, run, evaluated, model, run.read_splits(), run.read_data_counts(), _source_of(run), settings
    )
    return evaluated, model, pictures


def report_again(
    run: RunFolder,
    output: EvaluationFolder,
    model: FinishedModel,
    settings: EvaluationSettings,
    *,
    refit: bool,
) -> RunEvaluation:
    """Evaluate a finished run again on its own test recordings; what it holds stays as it is.

    Args:
        run: finished.
        output: a new folder for the results. Where calibration or thresholds are fitted anew, it gets a ``model.pth``
            with them.
        model: the run's.
        settings: of the evaluation.
        refit: fit calibration and thresholds anew, by the settings; else those of the first evaluation hold.

    Raises:
        RunFolderError: if the run's folder lacks something.
    """
    predictions = run.predictions()
    evaluated = evaluate_predictions(predictions, settings, refit=refit, baselines=run.baselines(predictions.codes))
    if refit:
        model = with_fits(model, evaluated)
        output.write_model(model)
    write_evaluation(
        output, run, evaluated, model, run.read_splits(), run.read_data_counts(), _source_of(run), settings
    )
    return evaluated


def with_fits(model: FinishedModel, evaluated: RunEvaluation) -> FinishedModel:
    """The model with the calibration and thresholds of an evaluation in its record."""
    thresholds = None if evaluated.thresholds is None else dict(evaluated.thresholds.values)
    card = replace(model.card, calibration=evaluated.calibration.to_dict(), thresholds=thresholds)
    return replace(model, card=card)


def write_evaluation(
    output: EvaluationFolder,
    run: RunFolder,
    evaluated: RunEvaluation,
    model: FinishedModel,
    recordings: pd.DataFrame,
    counts: Mapping[str, Any],
    source: str,
    settings: EvaluationSettings,
) -> dict[str, Figure]:
    """Write the files of an evaluation.

    Args:
        output: folder that they go into.
        run: that the model comes from.
        evaluated: the evaluation.
        model: the run's.
        recordings: one row per recording with the columns of ``splits.csv``; those that were trained on, too.
        counts: how many recordings each step of their preparation left.
        source: ``data.source`` that they are from.
        settings: of the evaluation.

    Returns:
        The pictures by file stem; none where the settings ask for no report.
    """
    output.write_fits(evaluated.calibration, evaluated.thresholds)
    output.write_metrics(metrics_of(evaluated, run.read_start(), counts), classification_report(evaluated.evaluation))
    if not settings.report:
        return {}
    history = run.read_history()
    label_map = model.card.label_map
    pictures = draw(evaluated, history)
    for name, figure in pictures.items():
        output.write_picture(name, figure)
    cases, note = _draw_cases(evaluated, model, recordings, settings)
    unusable = (output if output.skipped_file.is_file() else run).read_skipped()
    skipped = {str(reason): int(n) for reason, n in unusable["reason"].value_counts().items()}
    everyone = with_those_learnt_from(recordings, run)
    elsewhere = len(everyone) > len(recordings)
    described = characteristics(
        everyone, states_of(everyone, label_map), label_map.codes, (TRAIN, VALIDATION, evaluated.side)
    )
    facts = facts_of(
        run, evaluated, model, everyone, described, counts, source, skipped, elsewhere=elsewhere, cases=len(cases)
    )
    content = content_of(
        evaluated,
        title=facts.title,
        facts=facts,
        created=time.strftime("%Y-%m-%d %H:%M"),
        condition_names={code: condition.name for code, condition in label_map.conditions.items()},
        flow=_flow(recordings, label_map),
        characteristics=described,
        baseline_notes=baseline_notes(run, facts),
        label_origin=facts.label_origin,
        skipped=skipped,
        left_out=counts.get("left out", {}),
        left_out_labels=counts.get("left out labels", {}),
        capped=counts.get("left out by a cap", []),
        data_notes=counts.get("notes", []),
        history=history,
        cases=cases,
        attribution=note,
        provenance=provenance(model, run),
        configuration=yaml.safe_dump(
            run.plain_configuration(), sort_keys=False, allow_unicode=True, default_flow_style=None, width=110
        ),
    )
    output.write_report(render_report(content))
    return pictures


def settings_of(
    run: RunFolder,
    given: Mapping[str, Any] | None = None,
    overrides: Sequence[str] = (),
    trusted: Collection[str] = (),
) -> EvaluationSettings:
    """The settings that a run was evaluated by, with others in their place where they are given.

    A setting that is newer than the run has the value that ships.

    Args:
        run: finished.
        given: name to value.
        overrides: as typed, ``evaluation.<name>=<value>``.
        trusted: as for :meth:`RunFolder.configuration`.

    Raises:
        EvaluationSettingsError: if a setting is unknown or out of range.
    """
    own = run.settings(trusted).evaluation
    changes = {name: value for name, value in (given or {}).items() if value is not None}
    for override in overrides:
        name, _, value = override.removeprefix("evaluation.").partition("=")
        if name not in vars(own):
            raise EvaluationSettingsError(f"{override}: there is no such setting; there are {', '.join(vars(own))}")
        changes[name] = yaml.safe_load(value)
    try:
        return replace(own, **changes)
    except TypeError as error:
        raise EvaluationSettingsError(f"{' '.join(overrides)}: {error}") from error


def _source_of(run: RunFolder) -> str:
    return str(run.plain_configuration()["data"]["source"])


def metrics_of(run: RunEvaluation, start: Mapping[str, Any], counts: Mapping[str, Any]) -> dict[str, Any]:
    """The content of ``metrics.json``; docs/evaluation.md describes it."""
    return {
        run.side: run.evaluation.to_dict(),
        "validation": None if run.validation is None else run.validation.to_dict(),
        "calibration": {
            name: {code: {check: asdict(found) for check, found in checks.items()} for code, checks in by_code.items()}
            for name, by_code in run.calibration_check.items()
        },
        "subgroups": [group.to_dict() for group in run.subgroups],
        "baselines": {name: evaluation.to_dict() for name, evaluation in run.baselines.items()},
        "baseline_differences": {name: asdict(difference) for name, difference in run.differences.items()},
        "start": dict(start),
        "data": dict(counts),
    }


def classification_report(evaluation: Evaluation) -> dict[str, Any]:
    """Precision, recall, F1 and support per condition, with their macro means, as scikit-learn names them."""
    names = {"precision": "ppv", "recall": "sensitivity", "f1-score": "f1"}
    report: dict[str, Any] = {
        code: {name: condition.metrics[metric].value for name, metric in names.items()}
        | {"support": condition.positives}
        for code, condition in evaluation.conditions.items()
    }
    report["macro avg"] = {name: evaluation.macro[metric].value for name, metric in names.items()}
    report["macro avg"]["support"] = sum(condition.positives for condition in evaluation.conditions.values())
    report["accuracy"] = evaluation.overall["accuracy"].value
    return report


def draw(run: RunEvaluation, history: Sequence[Mapping[str, Any]]) -> dict[str, Figure]:
    """The pictures of an evaluation, by file stem."""
    evaluation, data = run.evaluation, run.data
    if evaluation.confusion_matrix is not None:
        confusion = plots.confusion_matrix_figure(evaluation.confusion_matrix, evaluation.codes)
    else:
        tables = {code: condition.confusion for code, condition in evaluation.conditions.items()}
        confusion = plots.confusion_tables_figure(tables)
    known = (data.targets, data.probabilities, evaluation.codes)
    return {
        "training_history": training_history_figure(history),
        "confusion_matrix": confusion,
        "per_condition": plots.condition_bars_figure(evaluation),
        "roc_curves": plots.roc_figure(*known, evaluation=evaluation),
        "precision_recall_curves": plots.precision_recall_figure(*known, evaluation=evaluation),
        "reliability": plots.reliability_figure(*known, uncalibrated=run.uncalibrated),
    }


def provenance(model: FinishedModel, run: RunFolder) -> dict[str, str]:
    """Where a model comes from, name to value as printed."""
    card = model.card
    pretrained = card.pretrained or {}
    return {
        "run": run.name,
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


def baseline_notes(run: RunFolder, facts: RunFacts) -> dict[str, str]:
    """Name of a baseline to what it is, in a sentence."""
    head = "matching rows of the pretrained last layer" if facts.head == "pretrained" else "a random last layer"
    notes = {UNTRAINED_START: f"the network before its first step of training: {facts.start} with {head}"}
    record = run.read_random_encoder()
    if record:
        drawn = f"{record['fitted_on']:,}"
        if record["fitted_on"] < record["of"]:
            drawn += f" of {record['of']:,}"
        notes[RANDOM_ENCODER] = (
            f"a {facts.network} of the same architecture with random weights (seed {record['seed']}) that never "
            f"trained; a logistic regression on its {record['features']:,} features, fitted on {drawn} training "
            f"recordings, with the L2 penalty that validation chose (C = {record['strength']:g})"
        )
    return {name: note for name, note in notes.items() if name in facts.baselines}


def _flow(recordings: pd.DataFrame, label_map: LabelMap) -> list[Any]:
    place = {side: number for number, side in enumerate((*SIDES, EXCLUDED))}
    recordings = recordings.sort_values("split", key=lambda sides: sides.map(place), kind="stable")
    states = states_of(recordings, label_map)
    return flow_rows(
        recordings["split"], dataset_and_constituent(recordings), recordings["patient"], states, label_map.codes
    )


def _draw_cases(
    run: RunEvaluation, model: FinishedModel, recordings: pd.DataFrame, settings: EvaluationSettings
) -> tuple[list[CaseDrawing], AttributionNote | None]:
    if not settings.cases:
        return [], None
    paths = dict(zip(recordings["recording"], recordings["path"], strict=True))
    position = model.card.preprocessing.window.position
    drawings = [_drawing(case, run, paths, position) for case in choose_cases(run.data)]
    if not settings.attribution:
        return drawings, None
    try:
        from ecgfounder_ft.report.attribution import integrated_gradients, randomisation_check
    except ModuleNotFoundError:
        log.warning("No attributions in the report: captum is not installed (%s)", how_to_install("attribution"))
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
    preprocessing = model.card.preprocessing
    for number, weights in zip(drawable, found.weights, strict=True):
        signal = drawings[number].signal
        assert signal is not None
        overlay = overlay_from_window(
            signal, weights, tuple(preprocessing.leads), preprocessing.sampling_rate, position=position
        )
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


def write_scorer_files(label_map: LabelMap, run: RunEvaluation, folder: Path) -> str:
    """Write the Challenge's files for an evaluated run, and say in a sentence what was written.

    Our metrics of exactly these recordings stand beside them.
    """
    snomed = {code: condition.snomed for code, condition in label_map.conditions.items()}
    sexes = run.rows["sex"].fillna("").astype(str).tolist()
    files = write_challenge_files(
        folder, run.data, run.rows["recording"].tolist(), snomed, ages=run.rows["age"].tolist(), sexes=sexes
    )
    beside = folder / EvaluationFolder.METRICS
    write_json(beside, files.metrics(resamples=run.settings.resamples, seed=run.settings.seed))
    left_out = f", {files.left_out} with an unknown label left out" if files.left_out else ""
    written = f"{len(files.data.targets)} recordings in {files.labels} and {files.outputs}"
    found = files.challenge_metric
    score = "undefined" if found.value is None else f"{found.value:.3f}"
    return (
        f"for the Challenge's scorer: {written}{left_out}; metrics of these in {beside}, "
        f"Challenge metric {score} ({found.reason})"
    )
