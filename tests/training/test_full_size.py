"""The full-size models on real recordings, from a random start and from checkpoints of the published form."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from ecgfounder_ft.config.compose import compose_settings
from ecgfounder_ft.model.ecgfounder.net1d import Net1D
from ecgfounder_ft.training.experiment import run_experiment

pytestmark = pytest.mark.slow

GOLDEN = Path(__file__).parents[1] / "golden"


def published_checkpoint(path: Path, leads: int) -> Path:
    """A file with exactly the keys, shapes and extras of a published one, and random weights."""
    torch.manual_seed(0)
    trained = Net1D(leads, 150).state_dict()
    state = {}
    for line in (GOLDEN / f"state_dict_{leads}lead.txt").read_text().splitlines():
        key, shape = line.rsplit(" ", 1)
        size = [] if shape == "scalar" else [int(part) for part in shape.split("x")]
        state[key] = trained[key] if key in trained else torch.zeros(size)
        assert list(state[key].shape) == size
    content = {
        "epoch": 1,
        "step": 1,
        "state_dict": state,
        "optimizer": {},
        "scheduler": {},
        "val_auroc": np.float64(0.9),
    }
    torch.save(content, path)
    return path


@pytest.mark.parametrize(("model", "leads"), [("12lead", 12), ("1lead", 1)])
@pytest.mark.parametrize("weights", ["random", "published form"])
def test_full_size_training_on_real_recordings_ends_with_every_result(
    shared: Path, tmp_path: Path, model: str, leads: int, weights: str
) -> None:
    selected = shared / "ecg" / "selected"
    file = "null" if weights == "random" else str(published_checkpoint(tmp_path / "weights.pth", leads))
    settings = compose_settings(
        [
            f"model={model}",
            f"model.weights={file}",
            f"data.mimic_path='{selected / 'MIMIC IV Selected'}'",
            f"data.physionet_path='{selected / 'Physionet 2021 Selected'}'",
            f"data.store='{tmp_path / 'store'}'",
            "trainer.max_epochs=2",
            "trainer.enable_progress_bar=false",
            "evaluation.attribution=false",
            f"output_dir={tmp_path / 'run'}",
        ]
    )
    metric = run_experiment(settings)
    assert metric is not None
    assert 0 <= metric <= 1
    run = tmp_path / "run"
    for name in ("metrics.json", "predictions.csv", "report.html", "model.pth", "confusion_matrix.png", "config.yaml"):
        assert (run / name).stat().st_size
    assert re.search("two_sides", (run / "leakage.csv").read_text())
    predictions = pd.read_csv(run / "predictions.csv")
    assert set(predictions["dataset"]) == {"mimic_iv_ecg", "physionet2021"}
    assert predictions.filter(like="probability_").notna().all(axis=None)
