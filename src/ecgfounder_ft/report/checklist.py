"""TRIPOD+AI: which item is answered where in a report.

Items by number and topic after Collins et al., BMJ 2024;385:e078378 (https://www.tripod-statement.org), in our own
short words; the statement itself says what each asks for.
"""

from collections.abc import Set
from dataclasses import dataclass


@dataclass(frozen=True)
class Item:
    """One item of the checklist."""

    number: str
    topic: str
    asks: str
    section: str = ""
    """Anchor of the section that answers it, empty where only the authors can."""
    how: str = ""
    """What stands there."""
    to_add: str = ""
    """What the authors have to add."""


@dataclass(frozen=True)
class Answer:
    """An item with its state in one report."""

    item: Item
    state: str
    """``answered``, ``in part``, ``not in this run`` or ``for the authors``."""


_ALL = "all of it"

# fmt: off
ITEMS: tuple[Item, ...] = (
    Item("1", "Title", "the kind of study, what is predicted, in whom", "summary", "the heading"),
    Item("2", "Abstract", "a structured abstract", to_add="see TRIPOD+AI for Abstracts; the summary has the metrics"),
    Item("3a–c", "Background", "clinical context, intended use, known inequalities", to_add=_ALL),
    Item("4", "Objectives", "development or evaluation, and of what", "summary", "evaluation of a fine-tuned model"),
    Item("5a–b", "Data", "sources, dates, representativeness", "flow", "recordings by source and side", "dates"),
    Item("6a–c", "Participants", "setting, eligibility, treatments", "flow", "what was left out, and why", "setting"),
    Item("7", "Data preparation", "preprocessing and quality checks, alike across groups", "provenance",
         "preprocessing settings in the configuration"),
    Item("8a–c", "Outcome", "how it was defined and assessed, and by whom", "flow", "origin of the labels",
         "qualification of the readers"),
    Item("9a–c", "Predictors", "what goes into the model and how it was measured", "provenance",
         "leads, sampling rate and window in the configuration", "devices"),
    Item("10", "Sample size", "how it was arrived at", "flow", "numbers per condition", "the reasoning"),
    Item("11", "Missing data", "how unknown labels and missing samples were handled", "flow",
         "unknown labels by condition; skipped recordings by reason"),
    Item("12a", "Use of data", "how data were divided", "flow", "by side; the rule in the configuration"),
    Item("12b", "Predictor handling", "transformations before the model", "provenance", "preprocessing settings"),
    Item("12c", "Model building", "type, training, tuning, internal validation", "history",
         "training by epoch; every setting in the configuration"),
    Item("12d", "Heterogeneity", "how differences between hospitals and the like were assessed", "subgroups",
         "metrics by subgroup"),
    Item("12e", "Performance measures", "which measures, and why", "results",
         "ranking, decisions and calibration, with intervals over patients"),
    Item("12f", "Updating", "recalibration, where done", "calibration", "whether, and on which recordings"),
    Item("12g", "Predictions", "how the model's predictions come about", "provenance", "network and weights"),
    Item("13", "Class imbalance", "what was done about it, and recalibration after it", "calibration",
         "calibration; the setting in the configuration"),
    Item("14", "Fairness", "how it was addressed", "subgroups", "metrics by subgroup", "the reasoning"),
    Item("15", "Model output", "probabilities or classes, and how thresholds were chosen", "decisions",
         "both, and the rule"),
    Item("16", "Training and evaluation", "how the two sets differ", "flow", "recordings by source and side"),
    Item("17", "Ethics", "approval or waiver", to_add=_ALL),
    Item("18a–d", "Open science", "funding, conflicts, protocol, registration", to_add=_ALL),
    Item("18e–f", "Sharing", "availability of data and code", "provenance", "versions and checksums", "links"),
    Item("19", "Patients and public", "their part in the study", to_add=_ALL),
    Item("20a–c", "Participants", "flow, characteristics, comparison with the development data", "flow",
         "by side and source", "characteristics"),
    Item("21", "Numbers", "participants and outcome events in each analysis", "results",
         "recordings, positives and patients beside the metrics"),
    Item("22", "Model specification", "enough to use the model", "provenance", "configuration and weights"),
    Item("23a", "Performance", "estimates with intervals, for key subgroups too", "results",
         "intervals over patients"),
    Item("23b", "Heterogeneity", "performance across hospitals and the like", "subgroups", "metrics by subgroup"),
    Item("24", "Updated model", "results of updating", "calibration", "before and after, where done"),
    Item("25", "Interpretation", "overall, with fairness", to_add=_ALL),
    Item("26", "Limitations", "of the study and the model", "cases", "what the model got wrong", "the discussion"),
    Item("27a", "Poor input", "what happens with bad or missing input", "flow", "skipped recordings by reason"),
    Item("27b–c", "Use", "who would use it, what comes next", to_add=_ALL),
)
# fmt: on


def answers(sections: Set[str]) -> list[Answer]:
    """The state of every item in a report that has these sections."""
    return [Answer(item, _state(item, sections)) for item in ITEMS]


def _state(item: Item, sections: Set[str]) -> str:
    if not item.section:
        return "for the authors"
    if item.section not in sections:
        return "not in this run"
    return "in part" if item.to_add else "answered"
