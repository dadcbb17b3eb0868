"""A finished run as an exported model, with a model card that is filled from the run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from ecgfounder_ft.data.sources.source import data_sources
from ecgfounder_ft.data.splits import TEST, TRAIN, VALIDATION
from ecgfounder_ft.evaluation.metrics import Estimate
from ecgfounder_ft.evaluation.subgroups import NOT_STATED
from ecgfounder_ft.inference import NO_MEDICAL_DEVICE
from ecgfounder_ft.inference.export import ExportedFiles, exported_files, refuse_used, write_exported_model
from ecgfounder_ft.inference.exported_model import ONNX, ExportedModel
from ecgfounder_ft.inference.finished_model import FinishedModel, load_model
from ecgfounder_ft.model.ecgfounder.published import PUBLISHED, REPOSITORY
from ecgfounder_ft.report.characteristics import Characteristics, characteristics
from ecgfounder_ft.report.model_card import CardContent, Group, Output, Tested, render_model_card
from ecgfounder_ft.runs.facts import file_name_of, preprocessing_in_words, split_in_words, states_of
from ecgfounder_ft.runs.folder import RunFolder

LICENCE_OF_PUBLISHED_WEIGHTS = "mit"


def export_run(
    run: RunFolder, folder: Path, *, onnx: bool = True, licence: str | None = None, trusted: Collection[str] = ()
) -> ExportedModel:
    """Export the model of a finished run.

    Args:
        run: finished.
        folder: to write, absent or empty.
        onnx: also as ONNX.
        licence: identifier of the Hub; None: that of the published weights where it started from these, else none.
        trusted: dotted names of networks of the user's own that may be built.

    Raises:
        RunFolderError: if the folder is none of a run.
        NetworkError: if the network has no ONNX form.
        ExportedModelError: if the folder to write is not empty, or ONNX Runtime answers otherwise than PyTorch.
    """
    run.require()
    refuse_used(folder)
    model = load_model(run.path, trusted=trusted)
    files = exported_files(model, onnx=onnx)
    card = render_model_card(card_content(run, model, files, name=folder.resolve().name, licence=licence))
    return write_exported_model(files, card, folder)


def card_content(
    run: RunFolder, model: FinishedModel, files: ExportedFiles, *, name: str, licence: str | None
) -> CardContent:
    """What the model card of a run says.

    Args:
        run: finished.
        model: of the run.
        files: of the exported model.
        name: of the model.
        licence: as for :func:`export_run`.
    """
    config, card, metrics = run.plain_configuration(), model.card, run.read_metrics()
    codes, preprocessing = card.label_map.codes, card.preprocessing
    published = str((card.pretrained or {}).get("name") or "").removesuffix(".pth")
    from_published = published in PUBLISHED
    described = _sides(run, model)
    source = str(config["data"]["source"])
    known = data_sources().get(source)
    sources = sorted({name for side in described for name in side.sources})
    data = f"{source} ({', '.join(sources)})" if sources and sources != [source] else source
    leads = f"{len(preprocessing.leads)} lead{'s' if len(preprocessing.leads) != 1 else ''}"
    verb = "fine-tuned" if published else "trained"
    strategy, network = file_name_of(config.get("finetune")), type(model.net).__name__
    start = published or "a random start"
    unusable = list(run.read_skipped()["reason"]) if run.skipped_file.is_file() else []
    sizes = {name: len(content) for name, content in files.contents.items()}
    return CardContent(
        name=name,
        title=f"{network} on {leads}, from {start}, {verb} on {data}",
        network=network,
        parameters=sum(parameter.numel() for parameter in model.net.parameters()),
        exclusive=card.task.exclusive,
        outputs=[
            Output(code, condition.name, (card.thresholds or {}).get(code))
            for code, condition in card.label_map.conditions.items()
        ],
        leads=preprocessing.leads,
        sampling_rate=preprocessing.sampling_rate,
        seconds=preprocessing.window.seconds,
        preprocessing=preprocessing_in_words(preprocessing),
        start=start,
        strategy=strategy,
        base_model=REPOSITORY if from_published else None,
        data=data,
        label_origin="" if known is None else known.label_origin,
        split=split_in_words(config.get("split", {})),
        natural_prevalence=known is None or known.natural_prevalence,
        described=described,
        skipped=dict(Counter(map(str, unusable))),
        data_notes=run.read_data_counts().get("notes", []),
        calibration=str((card.calibration or {}).get("method", "none")),
        thresholds=_rule(run),
        tested=_tested(metrics, codes, card.calibration or {}),
        files=sizes,
        onnx_opset=files.config["onnx"].get(ONNX, {}).get("opset"),
        provenance=_provenance(run, model, files),
        notice=NO_MEDICAL_DEVICE,
        licence=licence or (LICENCE_OF_PUBLISHED_WEIGHTS if from_published else None),
    )


def _sides(run: RunFolder, model: FinishedModel) -> list[Characteristics]:
    if not (run.path / run.SPLITS).is_file():
        return []
    recordings, label_map = run.read_splits(), model.card.label_map
    return characteristics(recordings, states_of(recordings, label_map), label_map.codes, (TRAIN, VALIDATION, TEST))


def _rule(run: RunFolder) -> str:
    thresholds = run.predictions().stored_thresholds if (run.path / run.PREDICTIONS).is_file() else None
    return "" if thresholds is None else thresholds.method


def _tested(metrics: Mapping[str, Any], codes: Collection[str], calibration: Mapping[str, Any]) -> Tested | None:
    """What ``metrics.json`` says of the side that was evaluated."""
    side = next((name for name in (TEST, VALIDATION) if metrics.get(name)), None)
    if side is None:
        return None
    found = metrics[side]
    return Tested(
        side=side,
        recordings=found["n"],
        patients=found["patients"],
        counts={code: found["conditions"][code]["positives"] for code in codes},
        metrics={code: _estimates(found["conditions"][code]["metrics"]) for code in codes},
        macro=_estimates(found["macro"]),
        resamples=found["resamples"],
        level=found["level"],
        ece_before={code: calibration.get("ece_before", {}).get(code) for code in codes},
        ece_after={code: calibration.get("ece_after", {}).get(code) for code in codes},
        calibration_notes=calibration.get("notes", {}),
        groups=[_group(entry, codes) for entry in metrics.get("subgroups", []) if _is_shown(entry)],
        baselines={
            name: Estimate(**evaluation["macro"]["auroc"]) for name, evaluation in metrics.get("baselines", {}).items()
        },
    )


def _estimates(content: Mapping[str, Any]) -> dict[str, Estimate]:
    return {name: Estimate(**entry) for name, entry in content.items()}


def _is_shown(entry: Mapping[str, Any]) -> bool:
    """Groups with an AUROC of some condition."""
    evaluation = entry.get("evaluation")
    if evaluation is None or entry["value"] == NOT_STATED:
        return False
    return evaluation["macro"]["auroc"]["value"] is not None


def _group(entry: Mapping[str, Any], codes: Collection[str]) -> Group:
    conditions = entry["evaluation"]["conditions"]
    absent = [code for code in codes if conditions[code]["metrics"]["auroc"]["value"] is None]
    macro = Estimate(**entry["evaluation"]["macro"]["auroc"])
    return Group(
        str(entry["attribute"]), str(entry["value"]), entry["n"], entry["patients"], macro, left_out=tuple(absent)
    )


def _provenance(run: RunFolder, model: FinishedModel, files: ExportedFiles) -> dict[str, str]:
    card = model.card
    return {
        "run": run.name,
        "label map": card.label_map.name,
        "weights that it started from, sha256": str((card.pretrained or {}).get("sha256") or "none"),
        "start of the last layer": card.head,
        "data fingerprint": card.data_fingerprint,
        "seed": str(card.seed),
        "sha256 of config.json's content": str(files.config["sha256"]),
        **{f"trained with {name}": found for name, found in card.versions.items()},
        **{f"exported with {name}": found for name, found in files.config["versions"].items()},
    }
