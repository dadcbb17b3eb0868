"""What a reader of results has to know of the recordings that they rest on, in sentences."""

import logging
from typing import Any

from ecgfounder_ft.data.sources.source import DataSource
from ecgfounder_ft.data.split_settings import ONE_SIDE, SplitSettings

log = logging.getLogger(__name__)

SELECTION_NOTE = (
    "These recordings were selected by hand and have no natural prevalence: PPV, NPV, AUPRC, Brier score, calibration "
    "and thresholds describe the selection and no population"
)


def notes_of(source: DataSource, split: SplitSettings | None, counts: dict[str, Any]) -> list[str]:
    """Write the notes from the counts of each step of the preparation."""
    notes = [] if source.natural_prevalence else [SELECTION_NOTE]
    if unknown := counts["patient unknown"]:
        where = ", ".join(f"{n:,} recordings of {name}" for name, n in unknown.items())
        treated = "intervals treat recordings as patients there, and are too narrow where a person has several"
        if split is None:
            consequence = f"whether the run learnt from the same person cannot be told, and {treated}"
        elif split.unknown_patients == ONE_SIDE:
            consequence = f"each of these sources stays on one side, and {treated}"
        else:
            consequence = (
                "each of these recordings counts as a patient of its own, so one person may stand on two sides without "
                f"being counted as leakage (split.unknown_patients=one_side keeps each source together), and {treated}"
            )
        notes.append(f"Patient unknown: {where}; {consequence}")
        log.warning("Patient unknown: %s; %s", where, consequence)
    copies = counts["copies"]
    if copies["recordings under them"]:
        n = sum(copies["labels unknown because copies contradict"].values())
        notes.append(
            f"{copies['recordings under them']:,} recordings are copies of others' signals and stay with them on one "
            f"side; what one of them states holds for those that state nothing "
            f"({sum(copies['labels taken from a copy'].values()):,} labels), and where they contradict, the condition "
            f"is unknown ({n:,} labels)"
        )
    return notes
