"""Run folders as training leaves them, without a training: configuration and predictions."""

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import yaml
from omegaconf import OmegaConf

from ecgfounder_ft.config.compose import compose_config
from ecgfounder_ft.evaluation.run_evaluation import RunEvaluation, evaluate_predictions
from ecgfounder_ft.evaluation.settings import EvaluationSettings
from ecgfounder_ft.runs.folder import RunFolder
from ecgfounder_ft.task import MULTI_LABEL, Task


@functools.cache
def _configuration() -> dict[str, Any]:
    content = OmegaConf.to_container(compose_config(["output_dir=outputs"]), resolve=True)
    assert isinstance(content, dict)
    return content  # type: ignore[return-value]


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
