"""A run that was killed and resumed ends as one that was never stopped, bit for bit."""

import json
import shutil
from pathlib import Path

import pytest
import torch
import yaml

from ecgfounder_ft.config.choices import ConfigurationError
from ecgfounder_ft.config.compose import compose_settings
from ecgfounder_ft.ecg.preprocessing import Preprocessing
from ecgfounder_ft.labels import LabelMap
from ecgfounder_ft.model.checkpoints import WeightsError
from ecgfounder_ft.runs.folder import RunFolder
from ecgfounder_ft.targets import UntrustedTargetError
from ecgfounder_ft.training.experiment import run_experiment
from ecgfounder_ft.training.resume import (
    ResumeError,
    require_same_meaning,
    resumed_settings,
    same_command_again,
    show_changes,
)
from tests.small_run import run

MID_EPOCH = "callbacks.last_checkpoint.every_n_steps=2"
# 46 training recordings in batches of 16: an epoch has 3 steps. A kill at step 5 is two steps into the second one
CASES = {
    "unfreeze, mid-epoch, EMA, augmentation": (
        "step 5",
        ["finetune=gradual", "callbacks=ema", "callbacks.ema.decay=0.8", "augment=strong", MID_EPOCH],
    ),
    "LP-FT, in the epoch of the switch, stochastic depth": (
        "step 9",
        ["finetune=lp_ft", "finetune.probe_epochs=2", "finetune.stochastic_depth=0.3", MID_EPOCH],
    ),
    "plateau schedule, between epochs": ("validation 2", ["scheduler.patience=0", "optimizer=sgd", "optimizer.lr=0.5"]),
}
SLOW_CASES = {
    "LoRA": ("step 5", ["finetune=lora", MID_EPOCH]),
    "full, mid-epoch": ("step 5", [MID_EPOCH]),
    "linear probe, stored activations": ("validation 1", ["finetune=linear_probe"]),
    "last stages, stored views": (
        "step 5",
        ["finetune=last_stages", "finetune.stages=1", "augment=light", "augment.stored_views=2", MID_EPOCH],
    ),
    "last stages": ("step 11", ["finetune=last_stages", "finetune.stages=1", MID_EPOCH]),
    "gradual, as a part begins": ("validation 0", ["finetune=gradual"]),
    "gradual, within the epoch after": ("step 5", ["finetune=gradual", "callbacks.last_checkpoint.every_n_steps=1"]),
    "LP-FT, during the probe": ("validation 1", ["finetune=lp_ft", "finetune.patience=1"]),
    "discriminative, cosine": ("step 9", ["finetune=discriminative", "scheduler=cosine", MID_EPOCH]),
    "one cycle": ("step 9", ["scheduler=one_cycle", "optimizer=adam", MID_EPOCH]),
    "accumulated gradients": (
        "step 3",
        ["trainer.accumulate_grad_batches=2", "callbacks.last_checkpoint.every_n_steps=1"],
    ),
    "EMA, between epochs": ("validation 2", ["callbacks=ema", "callbacks.ema.decay=0.8"]),
    "drawn with balance": ("step 5", ["data.imbalance=balanced_sampler", MID_EPOCH]),
    "stopped early, killed at the end": (
        "end",
        ["callbacks.early_stopping.patience=1", "optimizer=sgd", "optimizer.lr=1e-9", "trainer.max_epochs=6"],
    ),
    "WiSE-FT, killed at the end": ("end", ["wise_ft.enabled=true", "wise_ft.coefficients=[0.0,0.5,1.0]"]),
    "before the first checkpoint": ("step 2", []),
}
ALL = [pytest.param(*case, id=name) for name, case in CASES.items()]
ALL += [pytest.param(*case, id=name, marks=pytest.mark.slow) for name, case in SLOW_CASES.items()]


@pytest.mark.parametrize(("moment", "overrides"), ALL)
def test_a_killed_run_ends_as_one_that_was_never_stopped(
    moment: str, overrides: list[str], small_root: Path, tmp_path: Path
) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert run(whole, small_root, overrides) == 0
    assert run(killed, small_root, overrides, kill_at=moment) == -9
    assert not (killed / "metrics.json").exists()
    assert run(killed, small_root, resume=True) == 0
    for name in ("metrics.json", "predictions.csv", "training_history.csv"):
        assert (killed / name).read_text() == (whole / name).read_text(), name
    for name in ("model.pth", "checkpoints/best.ckpt", "checkpoints/last.ckpt"):
        before, after = (torch.load(folder / name, weights_only=True) for folder in (whole, killed))
        assert before["state_dict"].keys() == after["state_dict"].keys()
        for key, value in before["state_dict"].items():
            assert torch.equal(value, after["state_dict"][key]), (name, key)


def test_what_changes_the_meaning_is_refused_and_the_rest_can_be_changed(small_root: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    assert run(folder, small_root, ["trainer.max_epochs=1"], kill_at="end") == -9
    assert run(folder, small_root, ["data.max_samples=8"], resume=True) == 2
    assert "data_fingerprint was" in json.loads((folder / "status.json").read_text())["error"]
    file = folder / "config.yaml"
    original = file.read_text()
    assert "max_samples: 8" not in original  # a refused resume changes nothing
    file.write_text(original.replace("frequency: 50.0", "frequency: 60.0"))
    assert run(folder, small_root, resume=True) == 2
    error = json.loads((folder / "status.json").read_text())["error"]
    assert "preprocessing.notch.frequency was 50.0 and is 60.0" in error
    file.write_text(original)
    assert run(folder, small_root, ["trainer.max_epochs=2"], resume=True) == 0
    assert len((folder / "training_history.csv").read_text().splitlines()) == 3
    assert "max_epochs: 2" in file.read_text()
    assert run(folder, small_root, ["trainer.max_epochs=1"], resume=True) == 2
    assert "trainer.max_epochs=1, but 2 epochs were begun" in json.loads((folder / "status.json").read_text())["error"]


def _saved(folder: Path, *changes: str) -> RunFolder:
    run = RunFolder(folder)
    run.create()
    run.write_configuration(compose_settings([f"output_dir={folder}", *changes]).content)
    return run


def test_only_single_values_of_an_existing_run_can_be_changed(tmp_path: Path) -> None:
    with pytest.raises(ResumeError, match=r"no run folder .*nowhere.*outputs/<date>/<time>"):
        resumed_settings(RunFolder(tmp_path / "nowhere"), [])
    assert not (tmp_path / "nowhere").exists()
    with pytest.raises(ResumeError, match=r"no config\.yaml"):
        resumed_settings(RunFolder(tmp_path), [])
    run = _saved(tmp_path / "run")
    settings = resumed_settings(run, [f"resume={run}", "trainer.max_epochs=5"])
    assert settings.trainer.max_epochs == 5
    assert settings.resume == run.path
    with pytest.raises(ResumeError, match=r"finetune=full.*only single values"):
        resumed_settings(run, ["finetune=full"])
    with pytest.raises(ResumeError, match="no such value"):
        resumed_settings(run, ["trainer.max_epoch=5"])
    with pytest.raises(ResumeError, match="no such value"):
        resumed_settings(run, ["trainer.max_epochs=many"])
    with pytest.raises(ResumeError, match="cannot be changed in the middle of a run"):
        resumed_settings(run, ["optimizer.lr=1e-4"])
    with pytest.raises(ResumeError, match="move it back"):
        resumed_settings(RunFolder(run.path.rename(tmp_path / "moved")), [])


def test_a_one_cycle_schedule_keeps_its_length(tmp_path: Path) -> None:
    with pytest.raises(ResumeError, match="one_cycle ends"):
        resumed_settings(_saved(tmp_path / "run", "scheduler=one_cycle"), ["trainer.max_epochs=5"])


def test_a_stranger_s_configuration_runs_nothing(tmp_path: Path) -> None:
    run = _saved(tmp_path / "run")
    file = run.path / "config.yaml"
    content = yaml.safe_load(file.read_text())
    trap = tmp_path / "ran"
    touch = {"_target_": "pathlib.Path.touch", "self": str(trap)}
    for place in ("callbacks", "logger"):
        bad = {**content, place: {**content[place], "trap": {"_target_": "pathlib.Path.touch", "self": str(trap)}}}
        file.write_text(yaml.safe_dump(bad))
        with pytest.raises(UntrustedTargetError, match=rf"config\.yaml: {place}\.trap wants 'pathlib\.Path\.touch'"):
            resumed_settings(run, [])
    file.write_text(yaml.safe_dump({**content, "optimizer": {"_target_": "torch.optim.optimizer.torch.hub.load"}}))
    with pytest.raises(UntrustedTargetError, match="optimizer wants"):
        resumed_settings(run, [])
    made = "${oc.create:{_target_:pathlib.Path.touch,self:" + str(trap) + "}}"
    file.write_text(yaml.safe_dump({**content, "callbacks": {"trap": made}}))
    with pytest.raises(UntrustedTargetError, match=r"callbacks\.trap is .*expected a plain value"):
        resumed_settings(run, [])
    file.write_text(yaml.safe_dump({**content, "optimizer": {**content["optimizer"], "lrr": 1}}))
    with pytest.raises(ConfigurationError, match="lrr"):
        resumed_settings(run, [])
    for bad in (
        {"hydra": {"callbacks": {"trap": touch}}},
        {"trusted_targets": ["pathlib.Path.touch"], "logger": {"trap": touch}},
        {"optimizer": {"_target_": "torch.optim.SGD", "lr": touch}},
        {"model": {**content["model"], "architecture": {"_target_": "torch.nn.Sequential", "_args_": [[touch]]}}},
        {"scheduler": {**touch, "_partial_": True}},
        {"data": {**content["data"], "mimic_path": "${oc.env:HOME}"}},
    ):
        file.write_text(yaml.safe_dump({**content, **bad}))
        with pytest.raises((UntrustedTargetError, ConfigurationError)):
            resumed_settings(run, [])
    mine = {**content, "callbacks": {**content["callbacks"], "mine": {"_target_": "my_package.Mine", "a": 1}}}
    file.write_text(yaml.safe_dump(mine))
    assert resumed_settings(run, [], ["my_package.Mine"]).callbacks["mine"]["a"] == 1
    assert not trap.exists()


def test_a_stranger_s_configuration_writes_nowhere_else(tmp_path: Path) -> None:
    run = _saved(tmp_path / "run")
    file = run.path / "config.yaml"
    content = yaml.safe_load(file.read_text())
    outside = tmp_path / "outside"
    for place, key, value in (
        ("callbacks.model_checkpoint", "dirpath", str(outside)),
        ("callbacks.last_checkpoint", "dirpath", f"{run}/../outside"),
        ("callbacks.model_checkpoint", "filename", "../../../outside"),
        ("logger.tensorboard", "save_dir", str(outside)),
        ("logger.tensorboard", "version", str(outside)),
    ):
        group, name = place.split(".")
        changed = {**content[group], name: {**content[group][name], key: value}}
        file.write_text(yaml.safe_dump({**content, group: changed}))
        with pytest.raises(ResumeError, match=rf"{place} would write to .*outside.*type it: {place}\."):
            resumed_settings(run, [])
        assert resumed_settings(run, [], typed=[value]).content[group][name][key] == value
    file.write_text(yaml.safe_dump(content))
    typed = [f"callbacks.model_checkpoint.dirpath={outside}"]
    assert resumed_settings(run, typed).callbacks["model_checkpoint"]["dirpath"] == str(outside)
    moved = _saved(tmp_path / "run", *typed)  # the command that began it is typed again
    settings = compose_settings([f"output_dir={run}", *typed])
    assert same_command_again(moved, settings).callbacks["model_checkpoint"]["dirpath"] == str(outside)


def test_changed_values_are_shown(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    show_changes({"trainer": {"max_epochs": 3}, "resume": None}, {"trainer": {"max_epochs": 5}, "resume": "folder"})
    assert [record.getMessage() for record in caplog.records] == [
        "Changed for the rest of the run: trainer.max_epochs was 3 and is 5"
    ]


def test_other_versions_are_shown_and_taken(caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    before = {"task": "single_label", "versions": {"torch": "2.6"}}
    require_same_meaning(before, {"task": "single_label", "versions": {"torch": "2.7"}}, RunFolder(tmp_path))
    assert "versions.torch was" in caplog.text
    with pytest.raises(ResumeError, match='task was "single_label" and is "multi_label"'):
        require_same_meaning(before, {"task": "multi_label"}, RunFolder(tmp_path))


def test_a_run_of_before_there_was_a_setting_of_preprocessing_is_gone_on_with(tmp_path: Path) -> None:
    now = {"preprocessing": Preprocessing().to_dict()}
    before = {"preprocessing": {key: value for key, value in now["preprocessing"].items() if key != "plausible"}}
    require_same_meaning(before, now, RunFolder(tmp_path))
    other = {"preprocessing": Preprocessing(scale=None).to_dict()}
    with pytest.raises(ResumeError, match=r"preprocessing\.scale was"):
        require_same_meaning(before, other, RunFolder(tmp_path))


def test_a_run_of_before_there_was_a_rule_for_task_rows_is_gone_on_with(tmp_path: Path, label_map: LabelMap) -> None:
    now = {"label_map": label_map.to_dict(), "shifts": [0.0]}
    before = {"label_map": label_map.to_dict()}
    for condition in before["label_map"]["conditions"].values():
        del condition["combine"]
    require_same_meaning(before, now, RunFolder(tmp_path))
    now["label_map"]["conditions"]["NORM"]["combine"] = "all"
    with pytest.raises(ResumeError, match=r"combine was \"mean\" and is \"all\""):
        require_same_meaning(before, now, RunFolder(tmp_path))


def test_a_damaged_checkpoint_is_refused_in_words(finished_run: Path, tmp_path: Path) -> None:
    folder = RunFolder(shutil.copytree(finished_run, tmp_path / "run"))
    content = bytearray(folder.last_checkpoint.read_bytes())
    content[len(content) // 2] ^= 16
    folder.last_checkpoint.write_bytes(content)
    settings = folder.path / folder.CONFIGURATION
    settings.write_text(settings.read_text().replace(str(finished_run), str(folder)))
    with pytest.raises(WeightsError, match=r"last\.ckpt"):
        run_experiment(resumed_settings(folder, ["trainer.max_epochs=2"]))
