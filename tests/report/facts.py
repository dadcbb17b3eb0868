"""The record of a run that a test changes."""

from typing import Any

from ecgfounder_ft.report.facts import RunFacts, SideFacts


def run_facts(**changes: Any) -> RunFacts:
    """A fine-tuned network on two datasets, nothing capped and nobody unknown, with changes."""
    side = SideFacts(100, 80, {"NORM": 60, "AFIB": 7}, {"NORM": 0, "AFIB": 0})
    facts: dict[str, Any] = {
        "network": "Net1D",
        "parameters": 1234567,
        "leads": ("I", "II"),
        "weights": "demo",
        "head": "pretrained",
        "strategy": "lora",
        "seed": 7,
        "preprocessing": "500 Hz, 10 s from the centre",
        "missing_samples": "zero",
        "exclusive": False,
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
        "sides": {"train": side, "validation": side, "test": side},
        "loss": "binary cross entropy",
        "epochs": 3,
        "best_epoch": 2,
        "monitor": "validation/loss",
        "calibration": "platt",
        "calibrated_on": 100,
        "thresholds": "f1",
        "resamples": 1000,
        "with_interval": 2,
        "conditions": 2,
        "subgroups": {"source": 2, "sex": 2, "age": 4},
    }
    return RunFacts(**(facts | changes))
