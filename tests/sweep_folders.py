"""Sweep folders as a sweep leaves them, without any training."""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd

from ecgfounder_ft.designs.design import Design, Point
from ecgfounder_ft.evaluation.predictions import predictions_table
from ecgfounder_ft.evaluation.run_evaluation import evaluate_predictions
from ecgfounder_ft.files import write_json
from ecgfounder_ft.runs.folder import RunFolder
from ecgfounder_ft.sweeps.folder import SweepFolder, Trial
from ecgfounder_ft.task import MULTI_LABEL
from tests.settings import evaluation_settings

CODES = ("A", "B")


def predictions(
    strength: float, seed: int, *, tested: Callable[[np.ndarray], np.ndarray] = lambda patients: patients % 2 == 0
) -> pd.DataFrame:
    """Predictions of 80 patients with two recordings each, of two sources; the stronger, the better.

    Args:
        strength: of the log-odds.
        seed: of their noise.
        tested: patients' numbers to whether they are tested; of the others, every third is validated.
    """
    patients = np.repeat(np.arange(80), 2)
    targets = np.random.default_rng(5).integers(0, 2, (80, len(CODES))).repeat(2, axis=0)
    odds = strength * (2 * targets - 1) + np.random.default_rng(seed).normal(size=targets.shape)
    sides = np.where(tested(patients), "test", np.where(patients % 3 == 0, "validation", "train"))
    table = pd.DataFrame(
        {
            "recording": [f"r{row:03}" for row in range(len(patients))],
            "dataset": np.where(patients < 40, "north", "south"),
            "constituent": "",
            "patient": [f"p{patient}" for patient in patients],
            "split": sides,
            "age": 50.0,
            "sex": "female",
        }
    )
    table = predictions_table(table, targets, 1 / (1 + np.exp(-odds)), CODES)
    return table


def write_sweep(
    folder: Path,
    design: Design,
    strengths: Sequence[float],
    *,
    more: Callable[[float, Point], float] = lambda strength, point: strength,
    tested: Callable[[Point], Callable[[np.ndarray], np.ndarray]] = lambda point: lambda patients: patients % 2 == 0,
    sources: Sequence[str] = (),
) -> SweepFolder:
    """A finished sweep of several configurations, ``finetune=s<number>``, each as strong as is said.

    Args:
        folder: of the sweep.
        design: lays it out.
        strengths: of the configurations.
        more: a configuration's strength and a point to the strength there.
        tested: point to what it tests, as for :func:`predictions`.
        sources: of the recordings.
    """
    sweep, settings = (
        SweepFolder(folder),
        evaluation_settings(by=[], resamples=100, calibration="none", thresholds="fixed"),
    )
    name = type(design).__module__.rpartition(".")[2]
    sweep.open([f"sweep={name}", "finetune=" + ",".join(f"s{number}" for number in range(len(strengths)))])
    for number, strength in enumerate(strengths):
        for point in design.points(42, lambda: sources):
            overrides = (f"finetune=s{number}", *point.overrides)
            (trial,) = sweep.add([Trial(" ".join(overrides), overrides, overrides[:1], name, dict(point.place))])
            seed = 100 * number + int(str(point.place.get("seed", 42)))
            table = predictions(more(strength, point), seed, tested=tested(point))
            run = RunFolder(sweep.path / trial.name)
            run.create()
            table[table["split"] != "train"].to_csv(run.path / run.PREDICTIONS, index=False)
            content = {  # all that is read of it
                "labels": {"conditions": {code: {"name": f"condition {code}"} for code in CODES}},
                "task": {"name": MULTI_LABEL.name},
                "split": {"folds": getattr(design, "folds", 5)},
                "evaluation": asdict(settings),
            }
            write_json(run.path / run.CONFIGURATION, content)  # JSON is YAML
            evaluated = evaluate_predictions(run.predictions(), settings)
            run.write_fits(evaluated.calibration, evaluated.thresholds)
            run.write_metrics({"test": evaluated.evaluation.to_dict()}, {})
            size = point.place.get("size")
            kept = table if size is None else pd.concat([table[table["split"] == "train"][: int(str(size))]])
            kept.assign(path="", signal_hash="").to_csv(run.path / run.SPLITS, index=False)
            metric = {"name": "validation/macro_auroc", "mode": "max", "value": more(strength, point) / 10}
            (run.path / ".hydra").mkdir(exist_ok=True)
            write_json(run.path / run.OVERRIDES, list(overrides))  # JSON is YAML
            write_json(run.path / run.STATUS, {"state": "finished", "seconds": 1.0, "optimized_metric": metric})
    return sweep
