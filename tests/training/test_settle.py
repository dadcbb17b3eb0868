"""What was settled before training is what trains, and what every record of the run says."""

import copy
import json
from pathlib import Path

import pytest
import torch

from ecgfounder_ft.config.choices import ConfigurationError
from ecgfounder_ft.config.compose import compose_settings
from ecgfounder_ft.runs.folder import RunFolder
from ecgfounder_ft.training import settle as settling
from ecgfounder_ft.training.classifier import CONFIG_KEY
from ecgfounder_ft.training.monitor import MonitorError, direction_of
from ecgfounder_ft.training.settle import TrainingPlan, refuse_contradictions
from tests.small_run import run, small_run, train


@pytest.fixture(scope="module")
def searched(small_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose learning rate was sought, with its page."""
    folder = tmp_path_factory.mktemp("searched")
    finder = ("lr_finder.enabled=true", "lr_finder.steps=30", "scheduler=constant")
    page = ("evaluation.report=true", "evaluation.cases=false")
    return train(folder, small_root, "trainer.max_epochs=1", "optimizer.lr=1e-3", *finder, *page)


def test_every_record_has_the_learning_rate_that_trained(searched: Path) -> None:
    suggestion = json.loads((searched / "lr_finder.json").read_text())["suggestion"]
    assert suggestion is not None
    assert suggestion != 1e-3
    checkpoint = torch.load(searched / "checkpoints" / "last.ckpt", weights_only=True)
    trained = {group["lr"] for group in checkpoint["optimizer_states"][0]["param_groups"]}
    assert trained == {suggestion}
    assert RunFolder(searched).settings().learning_rate == suggestion
    assert checkpoint[CONFIG_KEY]["optimizer"]["lr"] == suggestion
    plan = TrainingPlan.from_dict(json.loads((searched / "plan.json").read_text()))
    assert plan.learning_rate == suggestion
    assert plan.found == {"optimizer.lr": "range test (was 0.001)"}
    assert f"lr: {suggestion}" in (searched / "report.html").read_text()


def test_a_plan_says_what_is_frozen_and_where_batches_enter(small_root: Path, tmp_path: Path) -> None:
    folder = train(tmp_path / "probe", small_root, "finetune=linear_probe", "trainer.max_epochs=1")
    plan = TrainingPlan.from_dict(json.loads((folder / "plan.json").read_text()))
    assert plan.frozen_parts == ["stem", "stage1", "stage2", "stage3"]
    assert (plan.entry, plan.stored_views) == ("head", 0)
    assert (plan.batch_size, plan.precision, plan.accelerator, plan.epochs) == (16, "32-true", "cpu", 1)


def test_a_plan_is_not_changed_and_nor_is_its_configuration(
    small_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    settle = settling.settle

    def watched(*arguments: object) -> settling.Settled:
        seen.append(settle(*arguments))  # type: ignore[arg-type]
        return seen[-1]

    monkeypatch.setattr("ecgfounder_ft.training.experiment.settle", watched)
    settings = compose_settings(small_run(small_root, f"output_dir={tmp_path}", "trainer.max_epochs=0"))
    before = copy.deepcopy(settings.content)
    from ecgfounder_ft.training.experiment import run_experiment

    run_experiment(settings)
    assert settings.content == before
    with pytest.raises(AttributeError):
        seen[0].plan.batch_size = 1
    with pytest.raises(AttributeError):
        seen[0].settings.optimizer = {}


@pytest.mark.slow
def test_a_resumed_run_keeps_the_learning_rate_that_was_found(small_root: Path, tmp_path: Path) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    changes = ["trainer.max_epochs=2", "lr_finder.enabled=true", "lr_finder.steps=20"]
    assert run(whole, small_root, changes) == 0
    assert run(killed, small_root, changes, kill_at="step 1") == -9  # before the first checkpoint
    sought = (killed / "lr_finder.json").stat().st_mtime_ns
    assert run(killed, small_root, resume=True) == 0
    assert (killed / "lr_finder.json").stat().st_mtime_ns == sought
    for name in ("metrics.json", "plan.json", "training_history.csv"):
        assert (killed / name).read_text() == (whole / name).read_text(), name


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            ["monitor.name=validation/macro_auroc"],
            r"of validation/macro_auroc the higher is better: set monitor.mode=max",
        ),
        (["monitor.name=validation/auc", "monitor.mode=max"], "'validation/auc' is no validation metric"),
        (["optimized_metric=test/macro_auroc"], "'test/macro_auroc' is no validation metric"),
        (["augment=strong", "augment.stored_views=2"], r"augment\.stored_views=2 with augment\.mixup=0\.2"),
    ],
)
def test_contradictions_are_refused_before_anything_is_written(changes: list[str], words: str) -> None:
    with pytest.raises((ConfigurationError, MonitorError), match=words):
        refuse_contradictions(compose_settings(changes))


def test_a_loss_of_the_other_task_is_refused(small_root: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="CrossEntropy, which is not made for task=multi_label"):
        train(tmp_path / "run", small_root, "task=multi_label", "task/loss=cross_entropy")


def test_directions() -> None:
    assert direction_of("validation/loss") == "min"
    assert direction_of("validation/macro_f1") == direction_of("validation/auroc/AFIB") == "max"
