import math
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import EMAWeightAveraging, ModelCheckpoint
from torch.optim.lr_scheduler import ReduceLROnPlateau

from ecgfounder_ft.labels import LabelMap
from ecgfounder_ft.training.callbacks import FiniteEpochs, History
from ecgfounder_ft.training.classifier import NonFiniteEpochError, NonFiniteLossError
from tests.settings import strategy
from tests.small_training import small_classifier, small_data, small_trainer


def test_a_loss_that_is_not_finite_names_the_recordings(label_map: LabelMap) -> None:
    data = small_data(label_map.codes)
    data.stored.signals[[3, 17]] = math.nan  # type: ignore[attr-defined]
    with pytest.raises(NonFiniteLossError) as caught:
        small_trainer(strategy("full"), 1, log_every_n_steps=50).fit(small_classifier(label_map), datamodule=data)
    # the first NaN spoils the weights, so recordings of later batches may follow; none before it can
    first = next(batch for batch in data.train_dataloader() if {3, 17} & set(batch["index"].tolist()))
    assert {3, 17} & set(first["index"].tolist()) <= set(caught.value.recordings)
    assert caught.value.epoch == 0


def test_the_best_checkpoint_gives_back_the_logged_validation_metrics(label_map: LabelMap, tmp_path: Path) -> None:
    best = ModelCheckpoint(tmp_path, "best", monitor="validation/loss", save_on_train_epoch_end=False)
    seen: list[dict[str, float]] = []

    class Seen(pl.Callback):
        def on_validation_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
            seen.append({name: float(value) for name, value in module.metrics["validation"].items()})  # type: ignore[union-attr, operator]

    data = small_data(label_map.codes)
    trainer = small_trainer(strategy("full"), 6, [best, Seen()], enable_checkpointing=True)
    trainer.fit(small_classifier(label_map), datamodule=data)
    reloaded = small_classifier(label_map)
    reloaded.load_state_dict(torch.load(best.best_model_path, weights_only=True)["state_dict"])
    small_trainer(strategy("full"), 1).validate(reloaded, datamodule=data, verbose=False)
    found = {name: float(value) for name, value in reloaded.metrics["validation"].items()}
    assert found == min(seen, key=lambda metrics: metrics["validation/loss"])
    assert float(best.best_model_score) == found["validation/loss"]  # type: ignore[arg-type]


def test_biases_do_not_decay_and_every_parameter_has_one_group(label_map: LabelMap) -> None:
    classifier = small_classifier(label_map)
    groups = classifier.parameter_groups()
    assert sum(len(group["params"]) for group in groups) == len(list(classifier.net.parameters()))
    names = {parameter: name for name, parameter in classifier.net.named_parameters()}
    for group in groups:
        biases = {names[parameter].endswith("bias") for parameter in group["params"]}
        assert biases == {group.get("weight_decay") == 0.0}


def test_a_plateau_schedule_falls_after_the_epochs_it_was_told(label_map: LabelMap) -> None:
    rates: list[float] = []

    class Rates(pl.Callback):
        def on_train_epoch_start(self, trainer: pl.Trainer, *_: Any) -> None:
            rates.append(trainer.optimizers[0].param_groups[0]["lr"])

    classifier = small_classifier(
        label_map,
        scheduler=lambda optimizer, _: ReduceLROnPlateau(
            optimizer, factor=0.5, patience=1, threshold=1e9, threshold_mode="abs"
        ),
    )
    small_trainer(strategy("full"), 6, [Rates()]).fit(classifier, datamodule=small_data(label_map.codes))
    assert rates == pytest.approx([0.01, 0.01, 0.01, 0.005, 0.005, 0.0025])


def test_steps_are_counted_from_the_data(label_map: LabelMap) -> None:
    told: list[int] = []

    def scheduler(optimizer: torch.optim.Optimizer, steps: int) -> Any:
        told.append(steps)
        return torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1.0)

    for settings in ({}, {"accumulate_grad_batches": 2}, {"limit_train_batches": 1}, {"limit_train_batches": 0.67}):
        trainer = small_trainer(strategy("full"), 2, **settings)
        trainer.fit(small_classifier(label_map, scheduler=scheduler), datamodule=small_data(label_map.codes))
        assert told[-1] == trainer.global_step
    assert told == [6, 4, 2, 4]


def test_mixed_recordings_share_their_loss(label_map: LabelMap) -> None:
    share = torch.tensor([1.0, 0.0] * 4)

    def augment(signal: torch.Tensor, key: Any) -> Any:
        return signal, (torch.arange(8).roll(1), share)

    classifier = small_classifier(label_map, augment=augment)
    small_trainer(strategy("full"), 1, limit_train_batches=1).fit(classifier, datamodule=small_data(label_map.codes))
    mixed = classifier.metrics["train"]["train/loss"]
    plain = small_classifier(label_map)
    batch = next(iter(small_data(label_map.codes).train_dataloader()))
    loss = plain.losses
    logits = plain.net(batch["signal"])
    expected = share * loss(logits, batch["target"]) + (1 - share) * loss(logits, batch["target"].roll(1, dims=0))
    torch.testing.assert_close(mixed, expected.mean())


def test_an_average_is_what_is_validated_and_kept(label_map: LabelMap, tmp_path: Path) -> None:
    best = ModelCheckpoint(tmp_path, "best", monitor="validation/loss", save_on_train_epoch_end=False)
    average = EMAWeightAveraging(decay=0.9)
    data = small_data(label_map.codes)
    classifier = small_classifier(label_map)
    trainer = small_trainer(strategy("full"), 1, [average, best], enable_checkpointing=True)
    trainer.fit(classifier, datamodule=data)
    content = torch.load(best.best_model_path, weights_only=True)
    assert not torch.equal(content["state_dict"]["net.dense.bias"], content["current_model_state"]["net.dense.bias"])
    plain = small_classifier(label_map)
    plain.load_state_dict(content["state_dict"])
    small_trainer(strategy("full"), 1).validate(plain, datamodule=data, verbose=False)
    assert float(plain.metrics["validation"]["validation/loss"]) == float(best.best_model_score)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("accelerator", "precision"),
    [
        ("cpu", "bf16-mixed"),
        pytest.param("gpu", "bf16-mixed", marks=pytest.mark.gpu),
        pytest.param("gpu", "16-mixed", marks=pytest.mark.gpu),
    ],
)
def test_training_in_half_precision_ends_near_float32(label_map: LabelMap, accelerator: str, precision: str) -> None:
    data = small_data(label_map.codes)
    losses = []
    for chosen in ("32-true", precision):
        classifier = small_classifier(label_map)
        trainer = small_trainer(strategy("full"), 6, accelerator=accelerator, precision=chosen)
        trainer.fit(classifier, datamodule=data)
        assert all(parameter.dtype == torch.float32 for parameter in classifier.parameters())
        losses.append(float(classifier.metrics["train"]["train/loss"]))
    assert losses[0] < 1.5  # of 1.79 for a guess: something was learnt
    assert losses[1] == pytest.approx(losses[0], abs=0.1)


class Spoils(pl.Callback):
    """Makes a weight NaN after the last batch of an epoch."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        if trainer.current_epoch == self.epoch and trainer.is_last_batch:
            with torch.no_grad():
                next(pl_module.parameters()).fill_(math.nan)


def test_weights_that_are_not_finite_end_training_with_the_epochs_before(
    label_map: LabelMap, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    history = History()
    best = ModelCheckpoint(tmp_path, "best", monitor="validation/macro_auroc", mode="max")
    callbacks = [Spoils(2), history, FiniteEpochs(history), best]
    trainer = small_trainer(strategy("full"), 5, callbacks, enable_checkpointing=True)
    trainer.fit(small_classifier(label_map), datamodule=small_data(label_map.codes))
    assert [row["epoch"] for row in history.epochs] == [0, 1, 2]
    assert math.isnan(history.epochs[-1]["validation/macro_auroc"])
    assert math.isnan(history.epochs[-1]["validation/auroc/NORM"])
    assert "after epoch 2: training diverged" in caplog.text
    weights = torch.load(best.best_model_path, weights_only=True)["state_dict"]
    assert all(value.isfinite().all() for value in weights.values())


def test_weights_that_are_not_finite_fail_without_an_epoch_before(label_map: LabelMap) -> None:
    history = History()
    trainer = small_trainer(strategy("full"), 5, [Spoils(0), history, FiniteEpochs(history)])
    with pytest.raises(NonFiniteEpochError, match="after epoch 0, and no earlier epoch can be used"):
        trainer.fit(small_classifier(label_map), datamodule=small_data(label_map.codes))
