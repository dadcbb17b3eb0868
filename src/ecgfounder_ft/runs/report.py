"""The evaluation of a finished run from the files in its folder: metrics, pictures, report.

Training ends with :func:`report_first_evaluation`; ``ecgfounder-ft evaluate`` ends with :func:`report_again`. Both go
through the same steps, so both say the same.
"""

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import yaml
from matplotlib.figure import Figure

from ecgfounder_ft.evaluation.challenge2021 import write_challenge_files
from ecgfounder_ft.evaluation.evaluate import Evaluation
from ecgfounder_ft.evaluation.run_evaluation import RunEvaluation, evaluate_predictions
from ecgfounder_ft.evaluation.settings import EvaluationSettings, EvaluationSettingsError
from ecgfounder_ft.files import write_json
from ecgfounder_ft.inference.finished_model import FinishedModel
from ecgfounder_ft.labels import LabelMap
from ecgfounder_ft.report.page import ReportContent, render_report
from ecgfounder_ft.report.pictures import draw
from ecgfounder_ft.runs.cases import draw_cases
from ecgfounder_ft.runs.digests import write_digests
from ecgfounder_ft.runs.evaluation_folder import EvaluationFolder
from ecgfounder_ft.runs.facts import Evaluated, evaluation_facts, facts_of, own_recordings
from ecgfounder_ft.runs.folder import RunFolder


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
    return evaluated, model, write_evaluation(run, run, evaluated, model, own_recordings(run))


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
    write_evaluation(output, run, evaluated, model, own_recordings(run))
    return evaluated


def with_fits(model: FinishedModel, evaluated: RunEvaluation) -> FinishedModel:
    """The model with the calibration and thresholds of an evaluation in its record."""
    thresholds = None if evaluated.thresholds is None else dict(evaluated.thresholds.values)
    record = replace(model.record, calibration=evaluated.calibration.to_dict(), thresholds=thresholds)
    return replace(model, record=record)


def write_evaluation(
    output: EvaluationFolder, run: RunFolder, evaluated: RunEvaluation, model: FinishedModel, recordings: Evaluated
) -> dict[str, Figure]:
    """Write the files of an evaluation.

    Args:
        output: folder of the files.
        run: that the model comes from.
        evaluated: the evaluation.
        model: the run's.
        recordings: the evaluated ones, and those beside them in the same table.

    Returns:
        The pictures by file stem; none where the settings ask for no report.
    """
    output.write_fits(evaluated.calibration, evaluated.thresholds)
    metrics = metrics_of(evaluated, run.read_start(), recordings.counts)
    output.write_metrics(metrics, classification_report(evaluated.evaluation))
    pictures: dict[str, Figure] = {}
    if evaluated.settings.report:
        history = run.read_history()
        pictures = draw(evaluated, history)
        for name, figure in pictures.items():
            output.write_picture(name, figure)
        cases, note = draw_cases(evaluated, model, recordings.recordings)
        facts = replace(
            facts_of(run, model, recordings),
            evaluation=evaluation_facts(evaluated, [drawing.case for drawing in cases]),
        )
        content = ReportContent(
            title=facts.title,
            created=time.strftime("%Y-%m-%d %H:%M"),
            run=evaluated,
            condition_names=facts.model.conditions,
            facts=facts,
            flow=facts.data.flow,
            notes=facts.data.notes,
            history=history,
            cases=cases,
            attribution=note,
        )
        output.write_report(render_report(content, pictures))
    write_digests(output)
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


def metrics_of(run: RunEvaluation, start: Mapping[str, Any], counts: Mapping[str, Any]) -> dict[str, Any]:
    """The content of ``metrics.json``; docs/evaluation.md describes it."""
    return {
        run.side: run.evaluation.to_dict(),
        "validation": None if run.validation is None else run.validation.to_dict(),
        "calibration": {
            name: {code: {check: asdict(found) for check, found in checks.items()} for code, checks in by_code.items()}
            for name, by_code in run.calibration_check.items()
        },
        "net_benefit": {code: found.to_dict() for code, found in run.net_benefit.items()},
        "conformal": None if run.conformal is None else run.conformal.to_dict(),
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
