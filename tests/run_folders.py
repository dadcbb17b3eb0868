"""Run folders as training leaves them, without a training: configuration and predictions."""

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import yaml

from ecgfounder_ft.config.compose import compose_settings
from ecgfounder_ft.evaluation.calibration import Calibration
from ecgfounder_ft.evaluation.predictions import predictions_table
from ecgfounder_ft.evaluation.run_evaluation import RunEvaluation, evaluate_predictions
from ecgfounder_ft.evaluation.settings import EvaluationSettings
from ecgfounder_ft.evaluation.thresholds import Thresholds
from ecgfounder_ft.files import write_json
from ecgfounder_ft.runs.folder import RunFolder
from ecgfounder_ft.task import MULTI_LABEL, Task

if TYPE_CHECKING:
    from ecgfounder_ft.inference.finished_model import FinishedModel


@functools.cache
def _configuration() -> dict[str, Any]:
    return compose_settings(["output_dir=outputs"]).content


def write_run(folder: Path, predictions: pd.DataFrame, codes: Sequence[str], task: Task = MULTI_LABEL) -> RunFolder:
    """A run of two or more conditions with these predictions."""
    folder.mkdir(parents=True)
    predictions.to_csv(folder / "predictions.csv", index=False)
    content = {
        **_configuration(),
        "labels": {"name": "few", "conditions": {code: {"name": f"condition {code}"} for code in codes}},
        "task": {"name": task.name, "loss": {}},
        "output_dir": str(folder),
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    return RunFolder(folder)


def evaluate(run: RunFolder, settings: EvaluationSettings, refit: bool = False) -> RunEvaluation:
    """As ``ecgfounder-ft evaluate`` does, without writing anything."""
    predictions = run.predictions()
    return evaluate_predictions(predictions, settings, refit=refit, baselines=run.baselines(predictions.codes))


def write_finished_run(folder: Path, model: "FinishedModel", recordings: int = 60) -> RunFolder:
    """All that a run leaves for its evaluation, of made-up predictions, with this model."""
    codes, generator = model.record.label_map.codes, np.random.default_rng(0)
    sides = np.array(["train", "validation", "test"])[np.arange(recordings) % 3]
    places = np.arange(recordings) // 3 % len(codes)
    states = (places[:, None] == np.arange(len(codes))).astype(np.int8)
    table = pd.DataFrame(
        {
            "recording": [f"made/{number}" for number in range(recordings)],
            "dataset": "made",
            "constituent": "",
            "patient": [f"made/{number}" for number in range(recordings)],
            "split": sides,
            "age": generator.integers(20, 90, recordings),
            "sex": np.array(["female", "male"])[np.arange(recordings) % 2],
            "repairs": "",
        }
    )
    probabilities = generator.uniform(0.01, 0.6, states.shape) + 0.35 * states
    told = table["split"] != "train"
    predictions = predictions_table(table[told], states[told], probabilities[told], codes)
    run = write_run(folder, predictions, codes)
    content = yaml.safe_load((folder / "config.yaml").read_text())
    content["labels"] = model.record.label_map.to_dict()
    (folder / "config.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    named = pd.DataFrame(np.where(states == 1, "present", "absent"), columns=list(codes))
    places_of = {"patient_known": True, "exclusion": "", "seconds": 10.0, "signal_hash": table["recording"]}
    run.write_splits(pd.concat([table.assign(**places_of, path="nowhere.hea"), named], axis=1))
    run.write_skipped(pd.DataFrame({"path": ["a.hea"], "reason": ["flat recording"], "detail": [""]}))
    capped = {"side": "train", "source": "made", "cap": "data.max_samples", "recordings": 2, "conditions": {}}
    capped["conditions"] = dict.fromkeys(codes, 0)
    left_out = {"left out": {"no label": 1}, "left out labels": {"made": {"none": 1}}, "left out by a cap": [capped]}
    run.write_data_counts({**left_out, "repairs": {"padded": 1}, "notes": ["made up"], "skipped": {}})
    run.write_history([{"epoch": 0.0, "validation/loss": 0.5, "train/loss": 0.6, "learning_rate": 0.1}])
    run.write_plan({"epochs": 1, "batch_size": 8, "learning_rate": 0.1, "found": {"batch_size": "a search"}})
    encoder = {"fitted_on": 20, "of": 20, "seed": 0, "features": 8, "strength": 0.1}
    run.write_random_encoder(encoder, predictions)
    run.write_start({"validation": {"validation/loss": 0.7}, "test": {"test/loss": 0.7}}, predictions)
    assert model.record.calibration is not None
    assert model.record.thresholds is not None
    run.write_fits(Calibration.from_dict(model.record.calibration), Thresholds("fixed", model.record.thresholds))
    run.write_model(model)
    write_json(folder / run.WISE_FT, {"chosen": 0.5})
    return run
