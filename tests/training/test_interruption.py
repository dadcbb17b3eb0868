"""A run that SIGTERM or Ctrl-C ends leaves a checkpoint of that moment, and goes on as if it had never been stopped."""

import json
import signal
from pathlib import Path

import pytest
import torch
from filelock import FileLock

from ecgfounder_ft.runs.folder import RunFolder, RunFolderError
from ecgfounder_ft.training.resume import command_that_goes_on
from tests.small_run import run

SETTINGS = ["finetune=gradual", "callbacks=ema", "callbacks.ema.decay=0.8", "augment=light", "trainer.max_epochs=2"]


@pytest.fixture(scope="module")
def whole(small_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("interruption") / "whole"
    assert run(folder, small_root, SETTINGS) == 0
    return folder


# 46 training recordings in batches of 16: an epoch has 3 steps
@pytest.mark.parametrize(
    ("moment", "number", "steps"),
    [
        pytest.param("step 4", signal.SIGTERM, 4, id="mid-epoch"),
        pytest.param("validation 0", signal.SIGINT, 3, id="as validation begins"),
        pytest.param("step 6", signal.SIGTERM, 6, id="last step", marks=pytest.mark.slow),
        pytest.param("start", signal.SIGINT, 0, id="before training", marks=pytest.mark.slow),
        pytest.param("end", signal.SIGTERM, 6, id="after training", marks=pytest.mark.slow),
    ],
)
def test_a_signal_leaves_a_checkpoint_of_that_moment_and_nothing_is_lost(
    moment: str, number: int, steps: int, whole: Path, small_root: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    assert run(folder, small_root, SETTINGS, kill_at=moment, number=number) == 128 + number
    said = folder.with_suffix(".stderr").read_text()
    assert f"To go on: ecgfounder-ft train resume={folder}" in said
    assert "Traceback" not in said
    assert RunFolder(folder).read_status()["state"] == "interrupted"
    checkpoint = folder / "checkpoints" / "last.ckpt"
    assert (torch.load(checkpoint, weights_only=True)["global_step"] if steps else 0) == steps
    assert checkpoint.exists() == bool(steps)
    assert run(folder, small_root, resume=True) == 0
    for name in ("metrics.json", "predictions.csv", "training_history.csv"):
        assert (folder / name).read_text() == (whole / name).read_text(), name
    for name in ("model.pth", "checkpoints/best.ckpt", "checkpoints/last.ckpt"):
        before, after = (torch.load(place / name, weights_only=True)["state_dict"] for place in (whole, folder))
        assert all(torch.equal(value, after[key]) for key, value in before.items()), name
    assert not list(folder.rglob(".*.unfinished"))


@pytest.mark.slow
def test_a_launcher_that_lets_the_run_go_on_changes_nothing(whole: Path, small_root: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    assert run(folder, small_root, SETTINGS, kill_at="validation 0", number=signal.SIGUSR2) == 0
    assert folder.with_suffix(".stderr").read_text().count("launcher told") == 1
    for name in ("metrics.json", "predictions.csv", "training_history.csv"):
        assert (folder / name).read_text() == (whole / name).read_text(), name


def test_a_checkpoint_holds_where_random_numbers_stand(whole: Path) -> None:
    callbacks = torch.load(whole / "checkpoints" / "last.ckpt", weights_only=True)["callbacks"]
    state = next(value for key, value in callbacks.items() if key.startswith("LastCheckpoint"))
    assert {"python", "numpy", "torch", "cuda"} <= state.keys()


def test_a_second_run_in_the_same_folder_is_refused(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    with folder.only_run(), pytest.raises(RunFolderError, match="another process is training there"):  # noqa: SIM117
        with RunFolder(tmp_path).only_run():
            pass
    with folder.only_run():  # the lock goes with its holder
        assert FileLock(tmp_path / RunFolder.LOCK).lock_file
    with folder.only_run(hold=False), RunFolder(tmp_path).only_run():  # a further process of a run on several devices
        pass


def test_a_new_run_does_not_begin_where_another_has_a_checkpoint(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    with folder.unused():
        pass
    folder.last_checkpoint.parent.mkdir()
    folder.last_checkpoint.touch()
    with pytest.raises(RunFolderError, match="go on with it by resume="):
        folder.unused().__enter__()


def test_the_command_is_one_that_can_be_typed(tmp_path: Path) -> None:
    plain = command_that_goes_on(RunFolder(Path("/runs/2026-01-01/a_b")), {})
    assert plain == "ecgfounder-ft train resume=/runs/2026-01-01/a_b"
    odd = command_that_goes_on(RunFolder(Path("/runs/lr=0.1, a run")), {"model": {"_target_": "mine.Network"}})
    assert odd == """ecgfounder-ft train 'resume='"'"'/runs/lr=0.1, a run'"'"'' 'trusted_targets=[mine.Network]'"""


def test_the_status_of_a_failure_is_another(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="wrong"), RunFolder(tmp_path).recorded_status():
        raise ValueError("wrong")
    assert json.loads((tmp_path / "status.json").read_text())["state"] == "failed"
