"""The report of one run: a single HTML file that opens anywhere, asks no network, and prints on A4.

:class:`ReportContent` is plain data, filled by what knows the run; everything that is None or empty is left out of the
report, or said to be missing. Tables and words come from ``templates/report.html.j2``, pictures from
:mod:`ecgfounder_ft.report.plots` and :mod:`ecgfounder_ft.ecg.paper`.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from ecgfounder_ft.ecg.paper import draw_recording
from ecgfounder_ft.ecg.recording import Recording
from ecgfounder_ft.evaluation.bootstrap import MIN_PATIENTS
from ecgfounder_ft.evaluation.calibration import Calibration
from ecgfounder_ft.evaluation.comparison import PairedComparison
from ecgfounder_ft.evaluation.evaluate import Evaluation
from ecgfounder_ft.evaluation.inputs import EvaluationInput
from ecgfounder_ft.evaluation.metrics import METRICS, Estimate
from ecgfounder_ft.evaluation.recordings_to_inspect import CONFIDENT_ERROR, LEAST_CERTAIN, Case
from ecgfounder_ft.evaluation.run_comparison import RunComparison
from ecgfounder_ft.evaluation.run_evaluation import UNTRAINED_START, RunEvaluation
from ecgfounder_ft.evaluation.subgroups import SubgroupEvaluation, multiplicity
from ecgfounder_ft.evaluation.thresholds import Thresholds
from ecgfounder_ft.labels import PRESENT, STATE_NAMES, UNKNOWN
from ecgfounder_ft.report import plots
from ecgfounder_ft.report.characteristics import Characteristics
from ecgfounder_ft.report.checklist import answers, count_states
from ecgfounder_ft.report.facts import RunFacts
from ecgfounder_ft.report.figures import data_uri
from ecgfounder_ft.report.templating import environment
from ecgfounder_ft.report.training_plots import training_history_figure
from ecgfounder_ft.report.words import baseline_verdict, rare_conditions, sentence

RANKING_METRICS = tuple(name for name, metric in METRICS.items() if metric.table == "ranking")
DECISION_METRICS = tuple(name for name, metric in METRICS.items() if metric.table == "decision")
SUBGROUP_METRICS = ("auroc", "sensitivity", "specificity")

COMPARISON_METRICS = ("auroc", "auprc", "f1", "brier", "ece")

_TABLE_CONDITIONS = 8
"""Conditions side by side in a table of subgroups."""

_PAPER_DPI = 150
_FOREST_PANELS = 3


@dataclass(frozen=True)
class FlowRow:
    """Recordings of one source on one side of the split."""

    side: str
    source: str
    recordings: int
    patients: int
    positives: dict[str, int]
    """Condition code to recordings that have it."""
    unknown: dict[str, int]
    """Condition code to recordings of which it is unknown."""


@dataclass(frozen=True)
class CaseDrawing:
    """A recording to look at, with what is known of it."""

    case: Case
    recording: str
    """Its id."""
    facts: dict[str, str] = field(default_factory=dict)
    """Source, age, sex and the like, as printed."""
    signal: Recording | None = None
    """None where it cannot be drawn."""
    overlay: NDArray[np.floating] | None = None
    """(leads, samples) as the signal: attribution of ``case.code``."""
    position: str = "centre"
    """Which part of a long recording the model saw: ``centre`` or ``start``."""
    missing: str = ""
    """Why there is no drawing."""


@dataclass(frozen=True)
class AttributionNote:
    """What is known of the attributions drawn."""

    method: str
    """Such as "integrated gradients, 32 steps, from a flat line"."""
    correlation: float | None
    """Mean rank correlation of the gradients with those of a network of random weights (Adebayo et al. 2018)."""
    sane: bool | None
    """Whether it is low enough; None where it could not be told."""


@dataclass(frozen=True)
class ReportContent:
    """Everything a report says."""

    title: str
    created: str
    """Date and time, as printed."""
    evaluation: Evaluation
    data: EvaluationInput
    """What the evaluation was made of."""
    condition_names: Mapping[str, str]
    """Condition code to name."""
    facts: RunFacts | None = None
    """What the run did; None where nothing is known beyond its predictions."""
    characteristics: Sequence[Characteristics] = ()
    """Table 1, one entry per side."""
    side: str = "test"
    """Name of the evaluated side of the split."""
    flow: Sequence[FlowRow] = ()
    label_origin: str = ""
    """Who or what stated the labels, and how they were read."""
    skipped: Mapping[str, int] = field(default_factory=dict)
    """Reason to number of recordings that could not be used."""
    left_out: Mapping[str, int] = field(default_factory=dict)
    """Reason to number of readable recordings that were left out on purpose."""
    left_out_labels: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """Source of these to the conditions present (``NORM + RBBB``, ``none present``) to number of recordings."""
    capped: Sequence[Mapping[str, Any]] = ()
    """One row per side and source of which a cap left recordings out: ``side``, ``source``, ``cap``, ``recordings`` and
    ``conditions`` (condition code to recordings that have it)."""
    data_notes: Sequence[str] = ()
    """What a reader has to know of the recordings: sentences without their full stop."""
    thresholds: Thresholds | None = None
    calibration: Calibration | None = None
    uncalibrated: NDArray[np.floating] | None = None
    """(n, k) as ``data``'s: the model's probabilities before calibration."""
    calibration_check: Mapping[str, Mapping[str, Mapping[str, Estimate]]] = field(default_factory=dict)
    """``before`` and ``after`` to condition code to calibration slope, intercept and errors."""
    subgroups: Sequence[SubgroupEvaluation] = ()
    baselines: Mapping[str, Evaluation] = field(default_factory=dict)
    """Name of a baseline to its evaluation on the same recordings."""
    differences: Mapping[str, PairedComparison] = field(default_factory=dict)
    """Name of a baseline to this model's metrics minus its own, on the same resamples."""
    baseline_notes: Mapping[str, str] = field(default_factory=dict)
    """Name of a baseline to what it is."""
    history: Sequence[Mapping[str, Any]] = ()
    """Epoch metrics, see :func:`~ecgfounder_ft.report.training_plots.training_history_figure`."""
    cases: Sequence[CaseDrawing] = ()
    attribution: AttributionNote | None = None
    provenance: Mapping[str, str] = field(default_factory=dict)
    """Versions, checksums, fingerprints, seeds: name to value."""
    configuration: str = ""
    """The resolved configuration as YAML."""


def flow_rows(
    sides: ArrayLike, sources: ArrayLike, patients: ArrayLike, targets: NDArray[np.integer], codes: Sequence[str]
) -> list[FlowRow]:
    """Count recordings, patients and labels by side and source, in order of appearance.

    Args:
        sides: (n,) names.
        sources: (n,) names.
        patients: (n,) ids.
        targets: (n, k) 1, 0 or -1.
        codes: (k,) condition codes.
    """
    side, source, patient = (np.asarray(values).astype(str) for values in (sides, sources, patients))
    rows = []
    for name in dict.fromkeys(side.tolist()):
        for origin in dict.fromkeys(source[side == name].tolist()):
            mask = (side == name) & (source == origin)
            part = targets[mask]
            rows.append(
                FlowRow(
                    name,
                    origin,
                    int(mask.sum()),
                    len(np.unique(patient[mask])),
                    {code: int((part[:, column] == PRESENT).sum()) for column, code in enumerate(codes)},
                    {code: int((part[:, column] == UNKNOWN).sum()) for column, code in enumerate(codes)},
                )
            )
    return rows


def content_of(
    run: RunEvaluation, *, title: str, created: str, condition_names: Mapping[str, str], **more: Any
) -> ReportContent:
    """The content of a report as far as a run's predictions tell it.

    Args:
        run: evaluated.
        title: of the report.
        created: date and time, as printed.
        condition_names: condition code to name.
        more: the other fields of :class:`ReportContent`, which go before those from the predictions.
    """
    predictions = run.predictions
    known = {
        "flow": flow_rows(
            predictions.table["split"],
            predictions.table["dataset"],
            predictions.table["patient"],
            predictions.targets(predictions.table),
            predictions.codes,
        ),
        "thresholds": run.thresholds,
        "calibration": run.calibration,
        "uncalibrated": None if run.calibration.method == "none" else run.uncalibrated,
        "calibration_check": run.calibration_check,
        "subgroups": run.subgroups,
        "baselines": run.baselines,
        "differences": run.differences,
    }
    return ReportContent(
        title=title,
        created=created,
        evaluation=run.evaluation,
        data=run.data,
        condition_names=condition_names,
        side=run.side,
        **{**known, **more},
    )


def render_report(content: ReportContent) -> str:
    """The report as HTML."""
    pictures = _pictures(content)
    sections = _sections(content, pictures)
    checklist = answers(content.facts, frozenset(sections))
    return (
        environment()
        .get_template("report.html.j2")
        .render(
            content=content,
            evaluation=content.evaluation,
            sections=sections,
            pictures=pictures,
            ranking_metrics=RANKING_METRICS,
            decision_metrics=DECISION_METRICS,
            subgroup_metrics=SUBGROUP_METRICS,
            table_conditions=_TABLE_CONDITIONS,
            min_patients=MIN_PATIENTS,
            flow_totals=_flow_totals(content.flow),
            cases=[_case_view(content, drawing) for drawing in content.cases],
            case_kinds=(CONFIDENT_ERROR, LEAST_CERTAIN),
            multiplicities=[multiplicity(content.subgroups, content.evaluation, name) for name in SUBGROUP_METRICS],
            subgroup_tables=_telling_metrics(content),
            warnings=_warnings(content),
            table_sources=list(dict.fromkeys(name for one in content.characteristics for name in one.sources)),
            baseline_metrics=COMPARISON_METRICS,
            verdicts={name: baseline_verdict(pair) for name, pair in content.differences.items()},
            untrained_start=UNTRAINED_START,
            checklist=checklist,
            checklist_counts=count_states(checklist),
        )
    )


def render_comparison(comparison: RunComparison, *, title: str, created: str) -> str:
    """The page that sets runs side by side, as HTML."""
    picture = plots.differences_figure(comparison.differences, comparison.sorted_by)
    return (
        environment()
        .get_template("comparison.html.j2")
        .render(
            comparison=comparison,
            title=title,
            created=created,
            picture=data_uri(picture),
            macro_metrics=tuple(dict.fromkeys((comparison.sorted_by, *COMPARISON_METRICS))),
            table_conditions=_TABLE_CONDITIONS,
        )
    )


def _sections(content: ReportContent, pictures: Mapping[str, Any]) -> dict[str, str]:
    """Anchor to heading of every section that this report has, in order."""
    present = {
        "summary": ("Summary", True),
        "flow": ("Recordings and patients", bool(content.flow or content.label_origin or content.skipped)),
        "characteristics": ("Table 1: the recordings by side", bool(content.characteristics)),
        "results": ("Results by condition", True),
        "decisions": ("Decisions and thresholds", True),
        "calibration": ("Calibration", "reliability" in pictures),
        "subgroups": ("Subgroups", bool(content.subgroups)),
        "baselines": ("Baselines", bool(content.baselines)),
        "history": ("Training", bool(content.history)),
        "cases": ("Recordings to look at", bool(content.cases)),
        "provenance": ("Provenance", bool(content.provenance or content.configuration)),
        "checklist": ("TRIPOD+AI checklist", True),
    }
    return {anchor: heading for anchor, (heading, there) in present.items() if there}


def _pictures(content: ReportContent) -> dict[str, Any]:
    """Every picture but the recordings, as data addresses."""
    data, evaluation, codes = content.data, content.evaluation, content.evaluation.codes
    drawn: dict[str, Figure] = {}
    if any(condition.n for condition in evaluation.conditions.values()):
        drawn["bars"] = plots.condition_bars_figure(evaluation, title="")
        drawn["roc"] = plots.roc_figure(data.targets, data.probabilities, codes, evaluation=evaluation)
        drawn["precision_recall"] = plots.precision_recall_figure(
            data.targets, data.probabilities, codes, evaluation=evaluation
        )
        drawn["reliability"] = plots.reliability_figure(
            data.targets, data.probabilities, codes, uncalibrated=content.uncalibrated, title=""
        )
        if evaluation.confusion_matrix is not None:
            drawn["confusion"] = plots.confusion_matrix_figure(
                np.array(evaluation.confusion_matrix), codes, title="Label and decision"
            )
        else:
            drawn["confusion"] = plots.confusion_tables_figure(
                {code: evaluation.conditions[code].confusion for code in codes}, title=""
            )
            together = plots.decision_cooccurrence(data.targets, data.decisions)
            drawn["cooccurrence"] = plots.cooccurrence_figure(together, codes)
    if content.history:
        drawn["history"] = training_history_figure(content.history, title="")
    pictures: dict[str, Any] = {name: data_uri(figure) for name, figure in drawn.items()}
    told = [code for code in codes if any(group.metric(code, "auroc").value is not None for group in content.subgroups)]
    parts = np.array_split(np.array(told), math.ceil(len(told) / _FOREST_PANELS)) if told else []
    pictures["forests"] = [
        data_uri(plots.forest_figure(content.subgroups, evaluation, part.tolist(), title="")) for part in parts
    ]
    return pictures


def _telling_metrics(content: ReportContent) -> list[str]:
    """The subgroup metrics that some group has for some condition; where none has, the first, for the groups' sizes."""
    told = [
        name
        for name in SUBGROUP_METRICS
        if any(group.metric(code, name).value is not None for group in content.subgroups for code in content.data.codes)
    ]
    return told or list(SUBGROUP_METRICS[:1])


def _warnings(content: ReportContent) -> list[str]:
    """What a reader has to know before the first number, as sentences without their full stop."""
    evaluation, facts = content.evaluation, content.facts
    found = [sentence(note) for note in evaluation.notes]
    if facts is not None and not facts.natural_prevalence:
        found.append(
            "The recordings are a selection: AUPRC, F1, PPV, NPV and calibration describe it and no population"
        )
    return [*found, *filter(None, [rare_conditions(evaluation)])]


def _flow_totals(flow: Sequence[FlowRow]) -> list[FlowRow]:
    """Sums over sources, one row per side; patients of different sources are different."""
    totals = []
    for side in dict.fromkeys(row.side for row in flow):
        rows = [row for row in flow if row.side == side]
        totals.append(
            FlowRow(
                side,
                "all",
                sum(row.recordings for row in rows),
                sum(row.patients for row in rows),
                {code: sum(row.positives[code] for row in rows) for code in rows[0].positives},
                {code: sum(row.unknown[code] for row in rows) for code in rows[0].unknown},
            )
        )
    return totals


def _case_view(content: ReportContent, drawing: CaseDrawing) -> dict[str, Any]:
    """A case with its labels, probabilities and picture, ready to print."""
    data = content.data
    row = int(np.flatnonzero(data.kept == drawing.case.row)[0])
    conditions = []
    for column, code in enumerate(data.codes):
        probability = data.probabilities[row, column]
        state = int(data.targets[row, column])
        conditions.append(
            {
                "code": code,
                "label": STATE_NAMES[state],
                "probability": None if np.isnan(probability) else float(probability),
                "decided": bool(data.decisions[row, column]),
                "wrong": state != UNKNOWN
                and not np.isnan(probability)
                and bool(data.decisions[row, column]) != (state == PRESENT),
            }
        )
    picture = None
    if drawing.signal is not None:
        figure = draw_recording(drawing.signal, title="", overlay=drawing.overlay, position=drawing.position)
        picture = data_uri(figure, image_format="png", dpi=_PAPER_DPI)
    return {"drawing": drawing, "case": drawing.case, "conditions": conditions, "picture": picture}
