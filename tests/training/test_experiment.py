import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf

from ecgfounder_ft.config.choices import ConfigurationError
from ecgfounder_ft.config.compose import compose_settings
from ecgfounder_ft.inference.finished_model import load_model
from ecgfounder_ft.labels import LabelMap
from ecgfounder_ft.model.bfloat16 import has_bfloat16
from ecgfounder_ft.model.ecgfounder.net1d import Net1D
from ecgfounder_ft.training import settle
from ecgfounder_ft.training.classifier import CONFIG_KEY, Classifier
from ecgfounder_ft.training.fit import TrainingStoppedError
from ecgfounder_ft.training.settle import OutOfMemoryError, SeveralDevicesError
from tests import small_run

Train = Callable[..., Path]
SHORT = "trainer.max_epochs=2"
"""For runs that are held against each other."""

needs_bfloat16 = pytest.mark.skipif(
    not has_bfloat16("cpu"),
    reason="no bfloat16 instructions, which are never emulated",
)


@pytest.fixture
def train(small_root: Path, tmp_path: Path) -> Train:
    """Trains a small run into a folder of the test's own."""
    return lambda name, *changes: small_run.train(tmp_path / name, small_root, *changes)


@pytest.fixture(scope="module")
def probe(small_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A linear probe on stored activations; read only."""
    return small_run.train(tmp_path_factory.mktemp("probe") / "run", small_root, "finetune=linear_probe", SHORT)


@pytest.fixture
def pretrained(tmp_path: Path) -> Path:
    """A file in the published format for the small network, with 150 outputs."""
    torch.manual_seed(5)
    architecture = compose_settings([*small_run.SMALL, "model.architecture.num_classes=150"]).model.architecture
    path = tmp_path / "pretrained.pth"
    net = instantiate(architecture, _convert_="all")
    assert isinstance(net, Net1D)
    torch.save({"state_dict": net.state_dict()}, path)
    return path


def _state(folder: Path) -> dict[str, torch.Tensor]:
    content: dict[str, torch.Tensor] = torch.load(folder / "model.pth", weights_only=True)["state_dict"]
    return content


def test_zero_shot_the_start_is_the_model(train: Train, pretrained: Path, label_map: LabelMap) -> None:
    folder = train(
        "zero",
        f"model.weights={pretrained}",
        "model.head=auto",
        "model.shifts=[-0.1,0.0,0.1]",
        "trainer.max_epochs=0",
        "evaluation.calibration=none",
    )
    source, state = torch.load(pretrained, weights_only=True)["state_dict"], _state(folder)
    for output, condition in enumerate(label_map.conditions.values()):
        expected = source["dense.weight"][list(condition.tasks)].mean(dim=0)
        torch.testing.assert_close(state["dense.weight"][output], expected)
    assert torch.equal(state["first_conv.conv.weight"], source["first_conv.conv.weight"])
    assert (folder / "checkpoints" / "last.ckpt").is_file()
    model = load_model(folder)
    assert (model.record.head, model.net.shifts) == ("pretrained", (-50, 0, 50))
    start = json.loads((folder / "start.json").read_text())
    assert start["test"]["test/macro_auroc"] == pytest.approx(
        json.loads((folder / "metrics.json").read_text())["test"]["macro"]["auroc"]["value"], abs=1e-6
    )


@pytest.mark.parametrize("strategy", [["finetune=linear_probe"], ["finetune=last_stages", "finetune.stages=1"]])
def test_stored_activations_give_what_the_plain_way_gives(train: Train, probe: Path, strategy: list[str]) -> None:
    stored = probe if strategy == ["finetune=linear_probe"] else train("stored", *strategy, SHORT)
    plain = train("plain", *strategy, SHORT, "finetune.store_activations=never")
    for name in ("predictions.csv", "training_history.csv"):
        before, after = pd.read_csv(plain / name), pd.read_csv(stored / name)
        pd.testing.assert_frame_equal(before, after, rtol=1e-5, atol=1e-5)
    before, after = _state(plain), _state(stored)
    for name, value in before.items():
        torch.testing.assert_close(after[name], value, rtol=1e-5, atol=1e-5)


@needs_bfloat16
def test_stored_activations_follow_the_precision(train: Train, probe: Path) -> None:
    """And gradients of a fused optimizer are clipped, which Lightning refuses if the optimizer unscales them itself."""
    mixed = ("finetune=linear_probe", SHORT, "trainer.precision=bf16-mixed", "optimizer.fused=true")
    stored, plain = train("stored", *mixed), train("plain", *mixed, "finetune.store_activations=never")
    found, wanted, other = (_state(folder)["dense.weight"] for folder in (stored, plain, probe))
    assert (found - wanted).abs().max() < 0.2 * (other - wanted).abs().max()


def test_activations_are_not_stored_where_signals_change_or_everything_trains(
    train: Train, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    train("augmented", "finetune=linear_probe", "augment=light", "trainer.max_epochs=1")
    train("full", "trainer.max_epochs=1")
    assert "batches enter" not in caplog.text
    assert "parts up to stage3 never train, but run in every epoch" in caplog.text


def test_stored_views_stand_in_for_augmentation_where_parts_never_train(
    train: Train, probe: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    views = ("augment=light", "augment.stored_views=2")
    first = train("views", "finetune=linear_probe", SHORT, *views)
    assert "Parts up to stage3 never train: batches enter at head" in caplog.text
    assert "Epochs take 2 stored views of each training recording in turn" in caplog.text
    assert caplog.text.count("for 46 recordings") == 2  # of training; those of all 72 may have been there
    caplog.clear()
    again = train("again", "finetune=linear_probe", SHORT, *views)
    assert "Computing" not in caplog.text
    weights = [_state(folder)["dense.weight"] for folder in (first, again, probe)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])
    histories = [pd.read_csv(folder / "training_history.csv") for folder in (first, probe)]
    starts = [json.loads((folder / "start.json").read_text()) for folder in (first, probe)]
    assert starts[0] == starts[1]
    assert histories[0]["train/loss"][0] != histories[1]["train/loss"][0]
    caplog.clear()
    train("full", *views, "trainer.max_epochs=1")
    assert "signals change anew in every epoch" in caplog.text
    with pytest.raises(ConfigurationError, match=r"augment\.stored_views=2 with augment\.mixup=0\.2"):
        train("mixed", "finetune=linear_probe", "augment=strong", "augment.stored_views=2")


def test_wise_ft_and_the_range_test_leave_their_tables_and_pictures(train: Train) -> None:
    folder = train("both", "wise_ft.enabled=true", "lr_finder.enabled=true", "lr_finder.steps=20")
    found = json.loads((folder / "wise_ft.json").read_text())
    assert [row["coefficient"] for row in found["rows"]] == [round(0.1 * step, 1) for step in range(11)]
    losses = {row["coefficient"]: row["validation/loss"] for row in found["rows"]}
    allowed = [row for row in found["rows"] if row[found["floor"]] >= found["rows"][0][found["floor"]]]
    assert losses[found["chosen"]] == min(row["validation/loss"] for row in allowed)
    start = json.loads((folder / "start.json").read_text())["validation"]
    assert start["validation/loss"] == losses[0.0]
    best = pd.read_csv(folder / "training_history.csv")["validation/loss"].min()
    assert losses[1.0] == pytest.approx(best)
    assert len(json.loads((folder / "lr_finder.json").read_text())["learning_rates"]) > 10
    for name in ("wise_ft.png", "lr_finder.png"):
        assert (folder / name).stat().st_size > 5000


@pytest.mark.parametrize("callbacks", ["default", "ema"])
def test_the_tested_model_is_the_best_checkpoint(train: Train, callbacks: str) -> None:
    folder = train("run", f"callbacks={callbacks}", "trainer.max_epochs=2", "evaluation.calibration=none")
    content = torch.load(folder / "checkpoints" / "best.ckpt", weights_only=True)
    for name, value in _state(folder).items():
        assert torch.equal(value, content["state_dict"][f"net.{name}"]), name
    averaged = "current_model_state" in content
    assert averaged == (callbacks == "ema")
    history = pd.read_csv(folder / "training_history.csv")
    row = history.loc[history["validation/loss"].idxmin()]
    metrics = json.loads((folder / "metrics.json").read_text())["validation"]["macro"]
    assert metrics["auroc"]["value"] == pytest.approx(row["validation/macro_auroc"], abs=1e-6)


def test_the_range_test_takes_one_device(train: Train) -> None:
    with pytest.raises(SeveralDevicesError, match="a learning rate of its own"):
        train("two", "trainer=ddp", "lr_finder.enabled=true")


def test_a_full_gpu_ends_in_words(train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(Classifier, "training_step", full)
    with pytest.raises(OutOfMemoryError, match=r"data.batch_size=8 trainer.accumulate_grad_batches=2"):
        train("full")
    with pytest.raises(OutOfMemoryError, match="finetune=lora"):
        train("one", "data.batch_size=1")


def test_the_batch_size_is_found_and_stands_in_the_run(train: Train) -> None:
    folder = train("auto", "data.batch_size=auto", "trainer.max_epochs=1")
    size = OmegaConf.load(folder / "config.yaml").data.batch_size
    assert size in {8, 16, 32, 64}
    content = torch.load(folder / "checkpoints" / "best.ckpt", weights_only=True)
    assert content[CONFIG_KEY]["data"]["batch_size"] == size


def test_a_batch_size_that_is_none_is_refused(train: Train) -> None:
    with pytest.raises(ConfigurationError, match=r"data\.batch_size is 'large'"):
        train("large", "data.batch_size=large")
    with pytest.raises(SeveralDevicesError, match="a size of its own"):
        train("several", "trainer=ddp", "data.batch_size=auto")


def test_a_gpu_too_small_for_the_smallest_batch_ends_in_words(train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    monkeypatch.setattr(settle, "find_batch_size", full)
    with pytest.raises(OutOfMemoryError, match=r"too small for 8 recording.*linear_probe.*data.batch_size=1"):
        train("tiny", "data.batch_size=auto")


def test_a_training_that_diverges_names_recordings(train: Train) -> None:
    with pytest.raises(TrainingStoppedError, match=r"NaN or infinite in epoch 0 for .*(mimic_iv_ecg|physionet2021)/"):
        train("wild", "optimizer=sgd", "optimizer.lr=1e30", "trainer.gradient_clip_val=null")


def test_a_last_epoch_that_leaves_no_usable_model_is_a_failed_run(train: Train) -> None:
    """All recordings are one batch, so its loss is finite, and nothing but the end of the epoch can tell."""
    diverging = ("optimizer=sgd", "optimizer.lr=1e8", "trainer.gradient_clip_val=null")
    with pytest.raises(TrainingStoppedError, match=r"NaN or infinite after epoch 0.*Lower optimizer\.lr"):
        train("one-batch", *diverging, "trainer.max_epochs=1", "data.batch_size=4096", "finetune=full")
