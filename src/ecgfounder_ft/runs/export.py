"""A finished run as an exported model, with a model card that is filled from the run."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

from ecgfounder_ft.data.splits import TEST, VALIDATION
from ecgfounder_ft.evaluation.evaluate import Evaluation
from ecgfounder_ft.evaluation.predictions import Predictions
from ecgfounder_ft.evaluation.subgroups import SubgroupEvaluation
from ecgfounder_ft.inference import NO_MEDICAL_DEVICE
from ecgfounder_ft.inference.export import ExportedFiles, exported_files, refuse_used, write_exported_model
from ecgfounder_ft.inference.exported_model import ONNX, ExportedModel
from ecgfounder_ft.inference.finished_model import FinishedModel, load_model
from ecgfounder_ft.inference.published import load_pretrained
from ecgfounder_ft.model.pretrained import weights_files
from ecgfounder_ft.report.model_card import CardContent, Tested, render_model_card
from ecgfounder_ft.report.run_facts import EvaluationFacts
from ecgfounder_ft.report.templating import environment
from ecgfounder_ft.runs.digests import require_unedited
from ecgfounder_ft.runs.facts import facts_of, own_recordings
from ecgfounder_ft.runs.folder import RunFolder
from ecgfounder_ft.untrusted.run_files import RunFolderError


def export_run(
    run: RunFolder,
    folder: Path,
    *,
    onnx: bool = True,
    licence: str | None = None,
    trusted: Collection[str] = (),
    accept_edited: bool = False,
) -> ExportedModel:
    """Export the model of a finished run.

    Args:
        run: finished.
        folder: to write, absent or empty.
        onnx: also as ONNX.
        licence: identifier of the Hub; None: that of the published weights where it started from these, else none.
        trusted: dotted names of networks of the user's own that may be built.
        accept_edited: export although files of the run were edited.

    Raises:
        RunFolderError: if the folder is not a run's, or a file of it was edited.
        NetworkError: if the network has no ONNX form.
        ExportedModelError: if the folder to write is not empty, or ONNX Runtime answers otherwise than PyTorch.
    """
    run.require()
    refuse_used(folder)
    require_unedited(run, accept=accept_edited)
    model = load_model(run.path, trusted=trusted)
    files = exported_files(model, onnx=onnx)
    card = render_model_card(card_content(run, model, files, name=folder.resolve().name, licence=licence))
    return write_exported_model(files, card, folder)


def export_pretrained(source: str, folder: Path, *, onnx: bool = True, licence: str | None = None) -> ExportedModel:
    """Export a pretrained file as it was published, with all of its outputs.

    Args:
        source: a name of ``model.weights``, or the path of such a file.
        folder: to write, absent or empty.
        onnx: also as ONNX.
        licence: identifier of the Hub; None: the file's own.

    Raises:
        WeightsError: if the file is absent, damaged or of another network.
        ExportedModelError: if the folder to write is not empty, or ONNX Runtime answers otherwise than PyTorch.
    """
    refuse_used(folder)
    net, record = load_pretrained(source)
    files = exported_files(FinishedModel(net, record), onnx=onnx)
    network, file = weights_files()[Path(source).stem]
    card = (
        environment(autoescape=False)
        .get_template("pretrained_card.md.j2")
        .render(name=folder.resolve().name, network=network, file=file, record=record, licence=licence or file.licence)
    )
    return write_exported_model(files, card, folder)


def card_content(
    run: RunFolder, model: FinishedModel, files: ExportedFiles, *, name: str, licence: str | None
) -> CardContent:
    """Fill the model card of a run.

    Args:
        run: finished.
        model: of the run.
        files: of the exported model.
        name: of the model.
        licence: as for :func:`export_run`.
    """
    facts, predictions = facts_of(run, model, own_recordings(run)), run.predictions()
    calibration, thresholds = predictions.stored_calibration, predictions.stored_thresholds
    _, start = weights_files().get(facts.model.weights or "", (None, None))
    exported = {
        "sha256 of config.json's content": str(files.config["sha256"]),
        **{f"exported with {package}": version for package, version in files.config["versions"].items()},
    }
    return CardContent(
        name=name,
        facts=replace(
            facts,
            provenance={**facts.provenance, **exported},
            evaluation=EvaluationFacts(calibration="none" if calibration is None else calibration.method),
        ),
        calibration=calibration,
        thresholds=thresholds,
        tested=_tested(run, predictions),
        files={file: len(content) for file, content in files.contents.items()},
        onnx_opset=files.config["onnx"].get(ONNX, {}).get("opset"),
        notice=NO_MEDICAL_DEVICE,
        base_model=None if start is None else start.repository,
        licence=licence or (None if start is None else start.licence),
    )


def _tested(run: RunFolder, predictions: Predictions) -> Tested | None:
    """Read the evaluation that the run holds; None without one."""
    metrics = run.read_metrics()
    side = next((name for name in (TEST, VALIDATION) if metrics.get(name)), None)
    if side is None:
        return None
    try:
        tested = Tested(
            side,
            Evaluation.from_dict(metrics[side]),
            [SubgroupEvaluation.from_dict(entry) for entry in metrics.get("subgroups", [])],
            {name: Evaluation.from_dict(entry) for name, entry in metrics.get("baselines", {}).items()},
        )
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise RunFolderError(f"{run.path / run.METRICS} cannot be read ({error}): restore it, or delete it") from error
    if tested.evaluation.codes != predictions.codes:
        raise RunFolderError(
            f"{run.path / run.METRICS} is of {', '.join(tested.evaluation.codes)}, the run of "
            f"{', '.join(predictions.codes)}: it belongs to another run"
        )
    return tested
