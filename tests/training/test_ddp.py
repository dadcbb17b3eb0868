"""Two processes train as one does."""

import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import torch

from tests.conftest import REPOSITORY
from tests.small_run import small_run


def _train(folder: Path, data: Path, *overrides: str, flags: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "train.py", *flags, *small_run(data, f"hydra.run.dir={folder}", *overrides)],
        cwd=REPOSITORY,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=250,
        check=False,
    )


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "strategy",
    [
        ["finetune=gradual", "callbacks.last_checkpoint.every_n_steps=1"],
        ["finetune=linear_probe", "trainer.accumulate_grad_batches=2"],
        ["finetune=lora"],
    ],
    ids=["gradual", "stored activations, accumulation", "lora"],
)
def test_two_processes_train_as_one(strategy: list[str], tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    for folder, settings in ((one, []), (two, ["data.batch_size=8", "trainer=ddp"])):
        process = _train(folder, tmp_path, *settings, *strategy)
        assert process.returncode == 0, process.stdout + process.stderr
    before, after = (pd.read_csv(folder / "predictions.csv") for folder in (one, two))
    assert before["recording"].tolist() == after["recording"].tolist()
    columns = [name for name in before if name.startswith("probability_")]
    pd.testing.assert_frame_equal(before[columns], after[columns], rtol=0, atol=2e-4)
    before, after = (pd.read_csv(folder / "training_history.csv") for folder in (one, two))
    pd.testing.assert_frame_equal(before, after, rtol=1e-3, atol=1e-3)
    states = [torch.load(folder / "model.pth", weights_only=True)["state_dict"] for folder in (one, two)]
    for name, value in states[0].items():
        torch.testing.assert_close(states[1][name], value, rtol=1e-3, atol=3e-4, msg=name)


@pytest.mark.slow
def test_a_sweep_with_several_devices_per_trial_is_refused(tmp_path: Path) -> None:
    process = _train(
        tmp_path,
        tmp_path,
        "trainer=ddp",
        "optimizer.lr=1e-3,1e-4",
        f"hydra.sweep.dir={tmp_path / 'sweep'}",
        flags=("-m",),
    )
    assert not list(tmp_path.rglob("metrics.json"))
    assert "each further process would start the whole sweep again" in process.stdout + process.stderr
