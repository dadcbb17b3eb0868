"""The model card: what somebody who finds an exported model has to know before using it.

Markdown with the Hub's metadata at its head, so that it is the page of a repository on the Hub. It is filled from the
run; what the run did not do or does not know stands there as not done or not known.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ecgfounder_ft.evaluation.metrics import Estimate, count_recordings
from ecgfounder_ft.report.characteristics import Characteristics
from ecgfounder_ft.report.templating import environment

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
"""Those of the Hub's metadata, by its names."""

_TAGS = ["ecg", "electrocardiogram", "cardiology", "medical", "onnx", "safetensors", "ecgfounder"]


@dataclass(frozen=True)
class Output:
    """One output of the network."""

    code: str
    name: str
    threshold: float | None
    """None where the most probable condition is decided."""


@dataclass(frozen=True)
class Group:
    """A subgroup of the evaluated recordings."""

    attribute: str
    value: str
    recordings: int
    patients: int
    auroc: Estimate
    """Macro mean."""
    left_out: tuple[str, ...]
    """Conditions that have no AUROC in it."""


@dataclass(frozen=True)
class Tested:
    """The evaluation on the run's own test recordings."""

    side: str
    recordings: int
    patients: int
    counts: Mapping[str, int]
    """Condition code to recordings that have it."""
    metrics: Mapping[str, Mapping[str, Estimate]]
    """Condition code to metric to estimate."""
    macro: Mapping[str, Estimate]
    resamples: int
    level: float
    ece_before: Mapping[str, float | None]
    """Condition code to expected calibration error on validation."""
    ece_after: Mapping[str, float | None]
    calibration_notes: Mapping[str, str]
    groups: Sequence[Group]
    baselines: Mapping[str, Estimate]
    """Name to macro AUROC."""


@dataclass(frozen=True)
class CardContent:
    """All that a card says."""

    name: str
    title: str
    network: str
    parameters: int
    exclusive: bool
    outputs: Sequence[Output]
    leads: Sequence[str]
    sampling_rate: float
    """Hz."""
    seconds: float
    """Length of the network's input."""
    preprocessing: str
    """In a sentence part."""
    start: str
    """Where the weights came from."""
    strategy: str
    base_model: str | None
    """Repository on the Hub that the weights came from."""
    data: str
    """What it was trained on."""
    label_origin: str
    split: str
    """How recordings were divided, in words."""
    natural_prevalence: bool
    described: Sequence[Characteristics]
    """The sides of the split."""
    skipped: Mapping[str, int]
    data_notes: Sequence[str]
    calibration: str
    """Method."""
    thresholds: str
    """Rule; empty where there is none."""
    tested: Tested | None
    """None where the run was not evaluated."""
    files: Mapping[str, int]
    """Name to bytes."""
    onnx_opset: int | None
    provenance: Mapping[str, str]
    notice: str
    licence: str | None
    """Identifier of the Hub; None where nobody has said it."""
    tags: Sequence[str] = field(default_factory=lambda: list(_TAGS))


def render_model_card(content: CardContent) -> str:
    """The card as Markdown, with the Hub's metadata."""
    templates = environment(autoescape=False)  # Markdown; what stands in tables goes through the filter "cell"
    templates.filters.update(cell=_cell, error=lambda error: "–" if error is None else f"{error:.3f}")
    return templates.get_template("model_card.md.j2").render(
        card=content, metadata=metadata_of(content), shown=SHOWN, limits=limits_of(content)
    )


def metadata_of(content: CardContent) -> str:
    """The metadata of the card, in YAML, as the Hub reads it."""
    from huggingface_hub import EvalResult, ModelCardData

    results = []
    if content.tested is not None:
        for name, hub_name in _HUB_METRICS.items():
            estimate = content.tested.macro.get(name)
            if estimate is not None and estimate.value is not None:
                results.append(
                    EvalResult(
                        task_type="ecg-classification",
                        task_name="ECG classification",
                        dataset_type=_identifier(content.data),
                        dataset_name=content.data,
                        dataset_split=content.tested.side,
                        metric_type=hub_name,
                        metric_name=f"macro {SHOWN[name]}",
                        metric_value=round(estimate.value, 4),
                    )
                )
    data = ModelCardData(
        license=content.licence,
        library_name="ecgfounder-ft",
        tags=list(content.tags),
        base_model=content.base_model,
        metrics=list(_HUB_METRICS.values()),
        model_name=content.name if results else None,
        eval_results=results or None,
    )
    return str(data.to_yaml()).strip()


def limits_of(content: CardContent) -> list[str]:
    """What the numbers and the model do not say, from what the run did."""
    limits = []
    if content.tested is None:
        limits.append("It was not evaluated: nothing is known of how often it is right.")
    if not content.natural_prevalence:
        limits.append(
            "Its recordings were selected and have no natural prevalence: PPV, AUPRC, calibration and thresholds "
            "describe the selection and no population."
        )
    tested = content.tested
    if tested is not None:
        rare = {code: n for code, n in tested.counts.items() if n < 50}
        if rare:
            listed = ", ".join(f"{code} ({n})" for code, n in rare.items())
            limits.append(f"Few recordings of the test have {listed}; what is said of these conditions is uncertain.")
        limits.append(
            "The test recordings are from the same collections as those that it was trained on, unless the split above "
            "says otherwise. Expect less on recordings from other hospitals, devices and countries, and evaluate on "
            "your own before any use: `ecgfounder-ft evaluate`."
        )
        if not any(group.attribute in ("sex", "age") for group in tested.groups):
            limits.append("Age or sex of the patients were not compared: not known, or too few recordings.")
    unknown = sum(side.patient_unknown for side in content.described)
    if unknown:
        limits.append(
            f"The patient of {count_recordings(unknown)} is unknown, so that one person may stand on two sides of the "
            "split, and intervals are too narrow where that is so."
        )
    limits.append(
        f"It knows {len(content.outputs)} conditions and nothing else: an infarction, another arrhythmia or a paced "
        "rhythm gets probabilities of these conditions all the same."
    )
    if content.exclusive:
        limits.append(
            "It was trained to name exactly one condition of a recording; real ones may have several or none."
        )
    return limits


def _identifier(text: str) -> str:
    return "-".join("".join(letter if letter.isalnum() else " " for letter in text.lower()).split())


def _cell(text: Any) -> str:
    """Text that a table's cell may hold."""
    return " ".join(str(text).replace("|", "\\|").split())
