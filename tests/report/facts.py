"""The facts of a run that a test changes."""

from dataclasses import fields
from typing import Any

import numpy as np

from ecgfounder_ft.report.characteristics import Characteristics
from ecgfounder_ft.report.run_facts import DataFacts, EvaluationFacts, ModelFacts, RunFacts, TrainingFacts


def side_of(
    name: str, recordings: int, patients: int, present: dict[str, int], patient_unknown: int = 0, **unknown: int
) -> Characteristics:
    """A side of the split with these counts; no age, sex or length is known."""
    return Characteristics(
        name=name,
        recordings=recordings,
        patients=patients,
        patient_unknown=patient_unknown,
        age=None,
        age_missing=recordings,
        sex={"female": 0, "male": 0, "not stated": recordings},
        sources={},
        seconds=None,
        seconds_missing=recordings,
        present=present,
        known={code: recordings - unknown.get(code, 0) for code in present},
        none_present=0,
        several_present=0,
        together=np.zeros((len(present), len(present)), dtype=np.int64),
    )


def run_facts(**changes: Any) -> RunFacts:
    """A fine-tuned network on two datasets, nothing capped and nobody unknown, with changes of any of its fields."""
    sides = {name: side_of(name, 100, 80, {"NORM": 60, "AFIB": 7}) for name in ("train", "validation", "test")}
    facts: dict[str, Any] = {
        "name": "12-30-00",
        "network": "Net1D",
        "parameters": 1234567,
        "leads": ("I", "II"),
        "sampling_rate": 500.0,
        "seconds": 10.0,
        "preprocessing": "500 Hz, 10 s from the centre",
        "missing_samples": "zero",
        "exclusive": False,
        "conditions": {"NORM": "normal sinus rhythm", "AFIB": "atrial fibrillation"},
        "weights": "demo",
        "head": "pretrained",
        "strategy": "lora",
        "seed": 7,
        "source": "merged",
        "datasets": ("a", "b"),
        "evaluated_source": "merged",
        "evaluated_datasets": ("a", "b"),
        "elsewhere": False,
        "natural_prevalence": True,
        "label_origin": "SNOMED codes.",
        "unlisted": "",
        "split": "patients were dealt to the sides at random",
        "external": "",
        "side": "test",
        "sides": sides,
        "loss": "binary cross entropy",
        "epochs": 3,
        "best_epoch": 2,
        "monitor": "validation/loss",
        "calibration": "platt",
        "thresholds": "f1",
        "resamples": 1000,
        "with_interval": 2,
        "subgroups": {"source": 2, "sex": 2, "age": 4},
    } | changes
    groups = {"model": ModelFacts, "data": DataFacts, "training": TrainingFacts, "evaluation": EvaluationFacts}
    parts = {
        group: kind(**{field.name: facts.pop(field.name) for field in fields(kind) if field.name in facts})  # type: ignore[arg-type]
        for group, kind in groups.items()
    }
    return RunFacts(**parts, **facts)
