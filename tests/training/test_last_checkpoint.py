from pathlib import Path

import pytest
import torch

from ecgfounder_ft.labels import LabelMap
from ecgfounder_ft.training.callbacks import LAST_CHECKPOINT, LastCheckpoint
from tests.settings import strategy
from tests.small_training import small_classifier, small_data, small_trainer


def _steps(
    folder: Path, label_map: LabelMap, monkeypatch: pytest.MonkeyPatch, every: int | None, **settings: int
) -> list[int]:
    """Optimizer steps after which the file was written, in two epochs of three batches."""
    trainer = small_trainer(
        strategy("full"), 2, [LastCheckpoint(str(folder), every)], enable_checkpointing=True, **settings
    )
    written: list[int] = []
    save = trainer.save_checkpoint
    monkeypatch.setattr(trainer, "save_checkpoint", lambda path: (written.append(trainer.global_step), save(path)))
    trainer.fit(small_classifier(label_map), datamodule=small_data(label_map.codes))
    assert torch.load(folder / LAST_CHECKPOINT, weights_only=True)["global_step"] == written[-1]
    return written


def test_it_writes_after_each_validation_and_at_chosen_steps_but_an_epoch_s_last(
    tmp_path: Path, label_map: LabelMap, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert _steps(tmp_path, label_map, monkeypatch, None) == [3, 6]
    assert _steps(tmp_path, label_map, monkeypatch, 2) == [2, 3, 4, 6]
    assert _steps(tmp_path, label_map, monkeypatch, 1) == [1, 2, 3, 4, 5, 6]


def test_it_never_writes_between_two_optimizer_steps(
    tmp_path: Path, label_map: LabelMap, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert _steps(tmp_path, label_map, monkeypatch, 1, accumulate_grad_batches=2) == [1, 2, 3, 4]


def test_a_checkpoint_says_what_it_is_of(tmp_path: Path, label_map: LabelMap, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = small_trainer(strategy("full"), 1, [LastCheckpoint(str(tmp_path))], enable_checkpointing=True)
    config = {"optimizer": {"lr": 1e-2}}
    trainer.fit(small_classifier(label_map, config=config), datamodule=small_data(label_map.codes))
    content = torch.load(tmp_path / LAST_CHECKPOINT, weights_only=True)
    assert content["ecgfounder_ft_config"] == config
    assert list(content["ecgfounder_ft"]["label_map"]["conditions"]) == list(label_map.codes)
    assert {"preprocessing", "versions", "data_fingerprint"} <= content["ecgfounder_ft"].keys()


def test_steps_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match="every_n_steps"):
        LastCheckpoint("folder", 0)
