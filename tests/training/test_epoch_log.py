"""What training says of each epoch, and of its end."""

import logging
from types import SimpleNamespace
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import EarlyStopping

from ecgfounder_ft.labels import LabelMap
from ecgfounder_ft.training.callbacks import History
from ecgfounder_ft.training.epoch_log import EpochLog
from tests.settings import strategy
from tests.small_training import small_classifier, small_data, small_trainer

ON_THE_TERMINAL = len("12:00:00 INFO     ")
"""Columns that the log puts before a line there."""


def logged(losses: list[float], max_epochs: int, stopping: EarlyStopping | None = None, mode: str = "min") -> Any:
    """An EpochLog behind a history of validation losses, and a trainer that has come as far."""
    history = History()
    history.epochs = [
        {"epoch": float(epoch), "validation/loss": loss, "train/loss": loss / 2, "learning_rate": 1e-3}
        for epoch, loss in enumerate(losses)
    ]
    trainer = SimpleNamespace(
        max_epochs=max_epochs,
        callbacks=[] if stopping is None else [stopping],
        state=SimpleNamespace(fn="fit"),
    )
    return EpochLog(history, "validation/loss", mode), trainer


def test_a_training_has_one_line_per_epoch_and_says_why_it_ended(
    label_map: LabelMap, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="ecgfounder_ft.training.epoch_log")
    history = History()
    # a large learning rate: after a few epochs nothing gets better
    classifier = small_classifier(label_map, optimizer=lambda groups: torch.optim.AdamW(groups, lr=0.1))
    stopping = EarlyStopping("validation/loss", patience=2, check_on_train_epoch_end=False, check_finite=False)
    trainer = small_trainer(strategy("full"), 30, [history, stopping, EpochLog(history, "validation/loss", "min")])
    trainer.fit(classifier, datamodule=small_data(label_map.codes))
    lines = [record.getMessage() for record in caplog.records if record.name.endswith("epoch_log")]
    epochs = len(history.epochs)
    assert epochs < 30
    assert "up to 30 epoch(s)" in lines[0]
    assert "lowest validation/loss, and it stops after 2 without" in lines[0]
    assert lines[1].split("  ")[0] == "epoch"
    assert [line.split()[0] for line in lines[2:-1]] == [f"{epoch}/29" for epoch in range(epochs)]
    for line, row in zip(lines[2:-1], history.epochs, strict=True):
        cells = line.split()
        assert float(cells[1]) == pytest.approx(row["train/loss"], rel=2e-3, abs=1e-4)
        assert float(cells[3]) == pytest.approx(row["validation/macro_auroc"], abs=1e-3)
        assert cells[4] == "1.0e-1"
    best = min(history.epochs, key=lambda row: row["validation/loss"])["epoch"]
    assert [line.split()[5].partition("@")[2] for line in lines[-2:-1]] == [str(int(best))]
    assert [line.split()[6] for line in lines[-4:-1]] == ["2", "1", "0"]
    assert lines[-1].startswith(f"Stopped after epoch {epochs - 1}: validation/loss has not been better for 2 epoch(s)")
    assert lines[-1].endswith(f"in epoch {int(best)}")


@pytest.mark.parametrize("loss", [0.00012, 9.99999, 123.4, 1e5])
@pytest.mark.parametrize("max_epochs", [1, 50, 1000])
def test_a_line_fits_a_terminal_of_80_columns(loss: float, max_epochs: int, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    epoch_log, trainer = logged([loss] * max_epochs, max_epochs)
    epoch_log.history.epochs[-1]["validation/macro_auroc"] = 1.0
    epoch_log.on_validation_end(trainer, None)
    header, line = (record.getMessage() for record in caplog.records)
    assert len(header) == len(line)
    assert ON_THE_TERMINAL + len(line) <= (80 if max_epochs < 1000 else 84)


def test_the_header_comes_again_after_a_screenful(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    epoch_log, trainer = logged([1.0], 50)
    for _ in range(50):
        epoch_log.on_validation_end(trainer, None)
    assert sum("train loss" in record.getMessage() for record in caplog.records) == 2


def test_validations_outside_of_training_are_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    epoch_log, trainer = logged([1.0], 50)
    trainer.state.fn = "validate"
    epoch_log.on_validation_end(trainer, None)
    assert not caplog.records


def test_the_best_goes_by_the_direction_of_the_metric_and_leaves_nan_out() -> None:
    losses = [float("nan"), 3.0, 1.0, 2.0]
    assert logged(losses, 4, mode="min")[0].best() == (2, 1.0)
    assert logged(losses, 4, mode="max")[0].best() == (1, 3.0)
    assert logged([float("nan")], 4)[0].best() is None


def test_reasons_to_end() -> None:
    def reason(losses: list[float], max_epochs: int, stopping: EarlyStopping | None = None) -> str:
        epoch_log, trainer = logged(losses, max_epochs, stopping)
        return epoch_log.why_it_ended(trainer)

    assert reason([2.0, 1.0, 1.5], 3) == "All 3 epoch(s) are done; best validation/loss: 1.0000 in epoch 1"
    assert "larger trainer.max_epochs may help" in reason([2.0, 1.0], 2)
    assert "may help" not in reason([2.0], 1)
    assert "before its time" in reason([2.0, 1.0], 5)
    assert "no epoch has a value of it" in reason([float("nan")], 1)
    stopping = EarlyStopping("validation/loss")
    _, stopping.stopping_reason_message = stopping._evaluate_stopping_criteria(torch.tensor(float("nan")))
    assert "finite" in reason([1.0], 5, stopping)


@pytest.mark.parametrize(("error", "said"), [(SystemExit(), "SystemExit"), (ValueError("no\nmore"), "no")])
def test_what_ends_training_ahead_of_its_time_is_said(
    error: BaseException, said: str, label_map: LabelMap, caplog: pytest.LogCaptureFixture
) -> None:
    class Ends(pl.Callback):
        def on_train_batch_end(self, *_: Any) -> None:
            raise error

    trainer = small_trainer(strategy("full"), 2, [EpochLog(History(), "validation/loss", "min"), Ends()])
    with pytest.raises(type(error)):
        trainer.fit(small_classifier(label_map), datamodule=small_data(label_map.codes))
    assert f"Stopped in epoch 0: {said}" in [record.getMessage() for record in caplog.records]
