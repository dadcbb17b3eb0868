"""The model card: what somebody who finds an exported model has to know before using it.

Markdown with the Hub's metadata at its head, so that it is the page of a repository on the Hub. It is filled from the
run; what the run did not do or does not know stands there as not done or not known.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ecgfounder_ft.evaluation.calibration import Calibration
from ecgfounder_ft.evaluation.evaluate import Evaluation
from ecgfounder_ft.evaluation.metrics import count_recordings
from ecgfounder_ft.evaluation.subgroups import NOT_STATED, SubgroupEvaluation
from ecgfounder_ft.evaluation.thresholds import Thresholds
from ecgfounder_ft.report.run_facts import RunFacts
from ecgfounder_ft.report.templating import environment
from ecgfounder_ft.report.words import DASH

SHOWN = {
    "auroc": "AUROC",
    "auprc": "AUPRC",
    "sensitivity": "Sensitivity",
    "specificity": "Specificity",
    "ppv": "PPV",
    "f1": "F1",
}
"""Metrics of the table of conditions, by their names in ``metrics.json``, to their headings."""

_HUB_METRICS = {"auroc": "roc_auc", "auprc": "average_precision", "f1": "f1"}
"""Metrics of the Hub's metadata, by its names."""

_TAGS = ["ecg", "electrocardiogram", "cardiology", "medical", "onnx", "safetensors", "ecgfounder"]

_FEW_POSITIVES = 50
"""Test recordings with a condition, below which the card warns."""


@dataclass(frozen=True)
class Tested:
    """The evaluation that ``metrics.json`` holds."""

    side: str
    evaluation: Evaluation
    subgroups: Sequence[SubgroupEvaluation]
    baselines: Mapping[str, Evaluation]


@dataclass(frozen=True)
class CardContent:
    """All that a card says."""

    name: str
    facts: RunFacts
    calibration: Calibration | None
    thresholds: Thresholds | None
    """None where the most probable condition is decided."""
    tested: Tested | None
    """None where the run was not evaluated."""
    files: Mapping[str, int]
    """File name to bytes."""
    onnx_opset: int | None
    notice: str
    base_model: str | None
    """Repository on the Hub that the weights came from."""
    licence: str | None
    """Identifier of the Hub; None where nobody has said it."""


def render_model_card(content: CardContent) -> str:
    """The card as Markdown, with the Hub's metadata."""
    templates = environment(autoescape=False)  # Markdown; what stands in tables goes through the filter "cell"
    templates.filters.update(cell=_cell, error=lambda error: DASH if error is None else f"{error:.3f}")
    templates.filters.update(shown_groups=shown_groups, without_auroc=_without_auroc)
    return templates.get_template("model_card.md.j2").render(
        card=content,
        facts=content.facts,
        tested=content.tested,
        metadata=metadata_of(content),
        shown=SHOWN,
        limits=limits_of(content),
    )


def metadata_of(content: CardContent) -> str:
    """The metadata of the card, in YAML, as the Hub reads it."""
    from huggingface_hub import EvalResult, ModelCardData

    data = content.facts.data.trained_on
    results = []
    if content.tested is not None:
        for name, hub_name in _HUB_METRICS.items():
            estimate = content.tested.evaluation.macro.get(name)
            if estimate is not None and estimate.value is not None:
                results.append(
                    EvalResult(
                        task_type="ecg-classification",
                        task_name="ECG classification",
                        dataset_type=_identifier(data),
                        dataset_name=data,
                        dataset_split=content.tested.side,
                        metric_type=hub_name,
                        metric_name=f"macro {SHOWN[name]}",
                        metric_value=round(estimate.value, 4),
                    )
                )
    metadata = ModelCardData(
        license=content.licence,
        library_name="ecgfounder-ft",
        tags=_TAGS,
        base_model=content.base_model,
        metrics=list(_HUB_METRICS.values()),
        model_name=content.name if results else None,
        eval_results=results or None,
    )
    return str(metadata.to_yaml()).strip()


def limits_of(content: CardContent) -> list[str]:
    """List what the numbers and the model do not say."""
    facts, tested, limits = content.facts, content.tested, []
    if tested is None:
        limits.append("It was not evaluated: nothing is known of how often it is right.")
    if not facts.data.natural_prevalence:
        limits.append(
            "Its recordings were selected and have no natural prevalence: PPV, AUPRC, calibration and thresholds "
            "describe the selection and no population."
        )
    if tested is not None:
        conditions = tested.evaluation.conditions
        rare = {code: one.positives for code, one in conditions.items() if one.positives < _FEW_POSITIVES}
        if rare:
            listed = ", ".join(f"{code} ({n})" for code, n in rare.items())
            limits.append(f"Few test recordings have {listed}; the metrics of these conditions are uncertain.")
        limits.append(
            "The test recordings are from the same collections as the training recordings, unless the split above "
            "says otherwise. Expect less on recordings from other hospitals, devices and countries, and evaluate on "
            "your own before any use: `ecgfounder-ft evaluate`."
        )
        if not any(group.attribute in ("sex", "age") for group in shown_groups(tested)):
            limits.append("Age and sex of the patients were not compared: not known, or too few recordings.")
    if unknown := facts.data.patient_unknown:
        limits.append(
            f"The patient of {count_recordings(unknown)} is unknown, so one person may be on two sides of the split, "
            "and intervals are then too narrow."
        )
    limits.append(
        f"It knows {len(facts.model.conditions)} conditions and nothing else: an infarction, another arrhythmia or a "
        "paced rhythm gets probabilities of these conditions all the same."
    )
    if facts.model.exclusive:
        limits.append(
            "It was trained to name exactly one condition of a recording; real recordings may have several or none."
        )
    return limits


def shown_groups(tested: Tested) -> list[SubgroupEvaluation]:
    """Choose the subgroups with an AUROC of some condition, "not stated" apart."""
    return [
        group
        for group in tested.subgroups
        if group.evaluation and group.value != NOT_STATED and group.evaluation.macro["auroc"].value is not None
    ]


def _without_auroc(group: SubgroupEvaluation) -> list[str]:
    conditions = {} if group.evaluation is None else group.evaluation.conditions
    return [code for code, one in conditions.items() if one.metrics["auroc"].value is None]


def _identifier(text: str) -> str:
    return "-".join("".join(letter if letter.isalnum() else " " for letter in text.lower()).split())


def _cell(text: Any) -> str:
    """Text that a table's cell may hold."""
    return " ".join(str(text).replace("|", "\\|").split())
