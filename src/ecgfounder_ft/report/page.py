"""The report of one run: a single HTML file that opens anywhere, asks no network, and prints on A4.

Tables and sentences are in ``templates/report.html.j2``; pictures come from :mod:`ecgfounder_ft.report.pictures` and
:mod:`ecgfounder_ft.ecg.paper`. What is None or empty is left out of the page, or said to be missing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ecgfounder_ft.ecg.paper import draw_recording
from ecgfounder_ft.ecg.recording import Recording
from ecgfounder_ft.evaluation.bootstrap import MIN_PATIENTS
from ecgfounder_ft.evaluation.metrics import METRICS
from ecgfounder_ft.evaluation.recordings_to_inspect import CONFIDENT_ERROR, LEAST_CERTAIN, Case
from ecgfounder_ft.evaluation.run_evaluation import UNTRAINED_START, RunEvaluation
from ecgfounder_ft.evaluation.subgroups import multiplicity
from ecgfounder_ft.labels import PRESENT, STATE_NAMES, UNKNOWN
from ecgfounder_ft.report import pictures as drawn
from ecgfounder_ft.report.characteristics import Characteristics, flow_of
from ecgfounder_ft.report.checklist import answers, count_states
from ecgfounder_ft.report.figures import data_uri
from ecgfounder_ft.report.run_facts import RunFacts
from ecgfounder_ft.report.templating import render
from ecgfounder_ft.report.words import baseline_verdict, rare_conditions, sentence

RANKING_METRICS = tuple(name for name, metric in METRICS.items() if metric.table == "ranking")
DECISION_METRICS = tuple(name for name, metric in METRICS.items() if metric.table == "decision")
SUBGROUP_METRICS = ("auroc", "sensitivity", "specificity")
COMPARISON_METRICS = ("auroc", "auprc", "f1", "brier", "ece")

TABLE_CONDITIONS = 8
"""Conditions side by side in one table."""

_PAPER_DPI = 90
"""Dots per inch of a recording on ECG paper; a report of twenty stays under 3 MB."""


@dataclass(frozen=True)
class CaseDrawing:
    """A recording to look at, with what is known of it."""

    case: Case
    recording: str
    """Its id."""
    path: str = ""
    """Its file, as the run read it."""
    facts: dict[str, str] = field(default_factory=dict)
    """Source, age, sex and the like, as printed."""
    signal: Recording | None = None
    """None where it cannot be drawn."""
    overlay: NDArray[np.floating] | None = None
    """(leads, samples) as the signal: attribution of ``case.code``."""
    position: str = "centre"
    """Part of a long recording that the model saw: ``centre`` or ``start``."""
    missing: str = ""
    """Reason why there is no drawing."""


@dataclass(frozen=True)
class AttributionNote:
    """What is known of the attributions drawn."""

    method: str
    """Method in words: "integrated gradients, 32 steps, from a flat line"."""
    correlation: float | None
    """Mean rank correlation of the gradients with those of a network of random weights (Adebayo et al. 2018)."""
    sane: bool | None
    """Whether it is low enough; None where it could not be told."""


@dataclass(frozen=True)
class ReportContent:
    """Everything that a report says."""

    title: str
    created: str
    """Date and time, as printed."""
    run: RunEvaluation
    condition_names: Mapping[str, str]
    """Condition code to name."""
    facts: RunFacts | None = None
    """None where nothing is known beyond the predictions."""
    flow: Mapping[str, Sequence[Characteristics]] = field(default_factory=dict)
    """Side to its recordings by source, the whole side last."""
    notes: Sequence[str] = ()
    """Sentences, without their full stop, that a reader has to know of the recordings."""
    history: Sequence[Mapping[str, Any]] = ()
    """Metrics of the epochs, see :func:`~ecgfounder_ft.report.training_plots.training_history_figure`."""
    cases: Sequence[CaseDrawing] = ()
    attribution: AttributionNote | None = None


def content_of(
    run: RunEvaluation, *, title: str, created: str, condition_names: Mapping[str, str], notes: Sequence[str] = ()
) -> ReportContent:
    """Fill a report from predictions alone.

    Args:
        run: evaluated.
        title: of the report.
        created: date and time, as printed.
        condition_names: condition code to name.
        notes: sentences, without their full stop, that a reader has to know of the recordings.
    """
    table, predictions = run.predictions.table, run.predictions
    sides = [str(side) for side in table["split"].dropna().unique()]
    flow = flow_of(table, predictions.targets(table), predictions.codes, sides)
    return ReportContent(title, created, run, condition_names, flow=flow, notes=notes)


def render_report(content: ReportContent, pictures: Mapping[str, Figure] | None = None) -> str:
    """Fill the report.

    Args:
        content: of the report.
        pictures: of its evaluation, where they are drawn already.
    """
    shown = _pictures(content, drawn.draw(content.run, content.history) if pictures is None else pictures)
    sections = _sections(content)
    checklist = answers(content.facts, frozenset(sections))
    run, evaluation = content.run, content.run.evaluation
    return render(
        "report.html.j2",
        content=content,
        run=run,
        facts=content.facts,
        evaluation=evaluation,
        sections=sections,
        pictures=shown,
        ranking_metrics=RANKING_METRICS,
        decision_metrics=DECISION_METRICS,
        subgroup_metrics=SUBGROUP_METRICS,
        table_conditions=TABLE_CONDITIONS,
        min_patients=MIN_PATIENTS,
        cases=[_case_view(run, drawing) | {"anchor": f"case-{n}"} for n, drawing in enumerate(content.cases, 1)],
        case_kinds={CONFIDENT_ERROR: "The most confident errors", LEAST_CERTAIN: "The least certain recordings"},
        multiplicities=[multiplicity(run.subgroups, evaluation, name) for name in SUBGROUP_METRICS],
        subgroup_tables=_telling_metrics(run),
        warnings=_warnings(content),
        baseline_metrics=COMPARISON_METRICS,
        verdicts={name: baseline_verdict(pair) for name, pair in run.differences.items()},
        untrained_start=UNTRAINED_START,
        checklist=checklist,
        checklist_counts=count_states(checklist),
    )


def _sections(content: ReportContent) -> dict[str, str]:
    """Anchor to heading of every section that this report has, in order."""
    facts, run = content.facts, content.run
    present = {
        "summary": ("Summary", True),
        "flow": ("Recordings and patients", bool(content.flow or content.notes)),
        "characteristics": ("Table 1: the recordings by side", bool(facts and facts.data.sides)),
        "results": ("Results by condition", True),
        "decisions": ("Decisions and thresholds", True),
        "calibration": ("Calibration", _any_known(run)),
        "net-benefit": ("Net benefit", _any_known(run) and bool(run.net_benefit)),
        "conformal": ("Undecided where it has to be", run.conformal is not None),
        "subgroups": ("Subgroups", bool(run.subgroups)),
        "baselines": ("Baselines", bool(run.baselines)),
        "history": ("Training", bool(content.history)),
        "cases": ("Recordings to look at", bool(content.cases)),
        "provenance": ("Provenance", facts is not None),
        "checklist": ("TRIPOD+AI checklist", True),
    }
    return {anchor: heading for anchor, (heading, there) in present.items() if there}


def _any_known(run: RunEvaluation) -> bool:
    return any(condition.n for condition in run.evaluation.conditions.values())


def _pictures(content: ReportContent, figures: Mapping[str, Figure]) -> dict[str, Any]:
    """Every picture but the recordings, as data addresses."""
    run = content.run
    known = dict(figures) if _any_known(run) else {}
    if not content.history:
        known.pop("training_history", None)
    if known and not run.evaluation.exclusive:
        known["cooccurrence"] = drawn.cooccurrence(run)
    pictures: dict[str, Any] = {name: data_uri(figure) for name, figure in known.items()}
    pictures["forests"] = [data_uri(figure) for figure in drawn.forests(run)]
    return pictures


def _telling_metrics(run: RunEvaluation) -> list[str]:
    """Choose the subgroup metrics that some group has, or else the first, which shows the sizes of the groups."""
    told = [
        name
        for name in SUBGROUP_METRICS
        if any(group.metric(code, name).value is not None for group in run.subgroups for code in run.data.codes)
    ]
    return told or list(SUBGROUP_METRICS[:1])


def _warnings(content: ReportContent) -> list[str]:
    """List what a reader has to know before the first number, as sentences without their full stop."""
    found = [sentence(note) for note in content.run.evaluation.notes]
    if content.facts is not None and not content.facts.data.natural_prevalence:
        found.append(
            "The recordings are a selection: AUPRC, F1, PPV, NPV and calibration describe it and no population"
        )
    return [*found, *filter(None, [rare_conditions(content.run.evaluation)])]


def _case_view(run: RunEvaluation, drawing: CaseDrawing) -> dict[str, Any]:
    """Prepare a case with its labels, probabilities and picture for the template."""
    data = run.data
    row = int(np.flatnonzero(data.kept == drawing.case.row)[0])
    conditions = []
    for column, code in enumerate(data.codes):
        probability, state = data.probabilities[row, column], int(data.targets[row, column])
        decided, stated = bool(data.decisions[row, column]), not np.isnan(probability)
        conditions.append(
            {
                "code": code,
                "label": STATE_NAMES[state],
                "probability": float(probability) if stated else None,
                "decided": decided,
                "wrong": state != UNKNOWN and stated and decided != (state == PRESENT),
            }
        )
    picture = None
    if drawing.signal is not None:
        figure = draw_recording(drawing.signal, title="", overlay=drawing.overlay, position=drawing.position)
        picture = data_uri(figure, image_format="png", dpi=_PAPER_DPI)
    return {"drawing": drawing, "case": drawing.case, "conditions": conditions, "picture": picture}
