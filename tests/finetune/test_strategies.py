import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import EarlyStopping

from ecgfounder_ft.finetune.lp_ft import LPFT
from ecgfounder_ft.finetune.strategy import Strategy
from ecgfounder_ft.labels import LabelMap
from ecgfounder_ft.schedules.schedule import Schedule
from ecgfounder_ft.training.callbacks import freeze, set_multipliers
from ecgfounder_ft.training.strategy_table import strategy_rows
from ecgfounder_ft.training.wise_ft import copy_of_state
from tests.settings import schedule, strategy
from tests.small_training import PARTS, small_classifier, small_data, small_trainer

NET1D = ("stem", *(f"stage{number}" for number in range(1, 8)), "head")


@pytest.mark.parametrize(
    ("chosen", "epoch", "expected"),
    [
        (strategy("full"), 0, [1, 1, 1, 1, 1, 1, 1, 1, 1]),
        (strategy("linear_probe"), 9, [0, 0, 0, 0, 0, 0, 0, 0, 1]),
        (strategy("last_stages", stages=2), 0, [0, 0, 0, 0, 0, 0, 1, 1, 1]),
        (strategy("last_stages", stages=0), 0, [0, 0, 0, 0, 0, 0, 0, 0, 1]),
        (strategy("last_stages", stages=99), 0, [1, 1, 1, 1, 1, 1, 1, 1, 1]),
        (strategy("gradual", every_n_epochs=2), 1, [0, 0, 0, 0, 0, 0, 0, 0, 1]),
        (strategy("gradual", every_n_epochs=2), 2, [0, 0, 0, 0, 0, 0, 0, 1, 1]),
        (strategy("gradual", parts_per_step=3), 2, [0, 0, 1, 1, 1, 1, 1, 1, 1]),
        (strategy("gradual", every_n_epochs=1), 50, [1, 1, 1, 1, 1, 1, 1, 1, 1]),
        (strategy("discriminative", decay=0.5), 0, [0.25, 0.25, 0.25, 0.25, 0.5, 0.5, 0.5, 0.5, 1]),
        (strategy("lp_ft", probe_epochs=3), 2, [0, 0, 0, 0, 0, 0, 0, 0, 1]),
        (strategy("lp_ft", probe_epochs=3, full_multiplier=0.2), 3, [0.2] * 9),
    ],
)
def test_multipliers(chosen: Strategy, epoch: int, expected: list[float]) -> None:
    assert list(chosen.multipliers(NET1D, epoch).values()) == expected


def test_lp_ft_switches_where_the_probe_stops_improving_and_remembers_it() -> None:
    probing = strategy("lp_ft", probe_epochs=10, patience=2)
    assert isinstance(probing, LPFT)
    for epoch, score in enumerate([0.5, 0.6, 0.6, 0.55]):
        probing.observe(epoch, score)
    assert probing.switch_epoch == 4
    probing.observe(4, 0.1)  # the second phase changes nothing
    restored = strategy("lp_ft", probe_epochs=10, patience=2)
    assert isinstance(restored, LPFT)
    restored.load_state_dict(probing.state_dict())
    assert restored.switch_epoch == 4


def test_frozen_prefix() -> None:
    assert strategy("linear_probe").frozen_prefix(NET1D, 5) == list(NET1D[:-1])
    assert strategy("last_stages", stages=2).frozen_prefix(NET1D, 5) == list(NET1D[:6])
    assert strategy("gradual", every_n_epochs=2).frozen_prefix(NET1D, 5) == list(
        NET1D[:6]
    )  # two stages join in epochs 2 and 4
    assert strategy("full").frozen_prefix(NET1D, 5) == []
    assert strategy("lp_ft", probe_epochs=10).frozen_prefix(NET1D, 5) == []  # the probe may end earlier


@pytest.mark.parametrize(
    ("build", "word"),
    [
        (lambda: strategy("last_stages", stages=-1), "finetune.stages"),
        (lambda: strategy("gradual", every_n_epochs=0), "finetune.every_n_epochs"),
        (lambda: strategy("gradual", parts_per_step=0), "finetune.parts_per_step"),
        (lambda: strategy("discriminative", decay=0.0), "finetune.decay"),
        (lambda: strategy("lp_ft", patience=0), "finetune.patience"),
        (lambda: strategy("lp_ft", full_multiplier=0.0), "finetune.full_multiplier"),
        (lambda: strategy("full", stochastic_depth=1.0), "finetune.stochastic_depth"),
        (lambda: strategy("linear_probe", stochastic_depth=0.2), "trains no residual block"),
    ],
)
def test_settings_out_of_range_are_refused_by_name(build: object, word: str) -> None:
    with pytest.raises(ValueError, match=word):
        build()  # type: ignore[operator]


def test_linear_probing_changes_nothing_but_the_last_layer(label_map: LabelMap) -> None:
    classifier = small_classifier(label_map)
    before = copy_of_state(classifier.net)
    small_trainer(strategy("linear_probe"), 2).fit(classifier, datamodule=small_data(label_map.codes))
    for name, value in classifier.net.state_dict().items():
        assert torch.equal(value, before[name]) != name.startswith("dense."), name


def test_full_fine_tuning_changes_every_part(label_map: LabelMap) -> None:
    classifier = small_classifier(label_map)
    before = copy_of_state(classifier.net)
    small_trainer(strategy("full"), 1).fit(classifier, datamodule=small_data(label_map.codes))
    for name, value in classifier.net.state_dict().items():
        assert not torch.equal(value, before[name]), name


class Watch(pl.Callback):
    """What each epoch found trainable, in training mode, with a gradient, and in the optimizer's state."""

    def __init__(self) -> None:
        self.epochs: list[dict[str, set[str]]] = []

    def on_train_batch_end(self, trainer: pl.Trainer, module: pl.LightningModule, *_: object) -> None:
        parts = module.net.parts().items()  # type: ignore[union-attr, operator]
        optimizer = trainer.optimizers[0]
        found = {
            "trainable": {name for name, part in parts if all(p.requires_grad for p in part.parameters())},
            "training": {name for name, part in parts if all(m.training for m in part.modules())},
            "gradient": {name for name, part in parts if any(p.grad is not None for p in part.parameters())},
            "state": {name for name, part in parts if any(p in optimizer.state for p in part.parameters())},
        }
        self.epochs[trainer.current_epoch :] = [found]


@pytest.mark.parametrize("optimizer", [torch.optim.AdamW, torch.optim.Adam, torch.optim.SGD])
def test_frozen_parts_are_in_eval_mode_and_hold_neither_gradient_nor_optimizer_state(
    label_map: LabelMap, optimizer: type[torch.optim.Optimizer]
) -> None:
    settings = {"momentum": 0.9} if optimizer is torch.optim.SGD else {}
    classifier = small_classifier(label_map, optimizer=lambda groups: optimizer(groups, lr=1e-2, **settings))
    watch = Watch()
    small_trainer(strategy("gradual", every_n_epochs=2), 5, [watch]).fit(
        classifier, datamodule=small_data(label_map.codes)
    )
    for epoch, found in enumerate(watch.epochs):
        trained = set(PARTS[-1 - epoch // 2 :])
        assert found == dict.fromkeys(("trainable", "training", "gradient", "state"), trained), epoch


def test_early_stopping_begins_anew_where_a_part_is_unfrozen(label_map: LabelMap) -> None:
    stopping = EarlyStopping("validation/loss", patience=3, min_delta=1e9, check_on_train_epoch_end=False)
    trainer = small_trainer(strategy("gradual", every_n_epochs=2), 20, [stopping])
    trainer.fit(small_classifier(label_map), datamodule=small_data(label_map.codes))
    assert (
        trainer.current_epoch == 11
    )  # the last part joins in epoch 8, which is the first of three without improvement


@pytest.mark.parametrize("chosen", [schedule("cosine", warmup=0.2, floor=0.1), schedule("one_cycle", warmup=0.2)])
def test_learning_rates_follow_a_schedule_times_the_part_s_multiplier(chosen: Schedule) -> None:
    def optimizer() -> torch.optim.Optimizer:
        groups = [
            {"params": [torch.nn.Parameter(torch.ones(1))], "part": part, "multiplier": 1.0} for part in ("a", "b")
        ]
        return torch.optim.SGD(groups, lr=0.1, momentum=0.9)

    def learning_rates(multipliers: list[dict[str, float]]) -> list[list[float]]:
        used = optimizer()
        scheduler = chosen(used, 10)
        seen = []
        for step in range(9):
            set_multipliers(used, multipliers[step])
            if hasattr(scheduler, "base_lrs"):
                scheduler.base_lrs = [group["initial_lr"] for group in used.param_groups]
            seen.append([group["lr"] for group in used.param_groups])
            used.step()
            scheduler.step()
        return seen

    plain = learning_rates([{"a": 1.0, "b": 1.0}] * 9)
    changed = learning_rates([{"a": 1.0, "b": 0.0}] * 3 + [{"a": 0.1, "b": 0.01}] * 6)
    for step in range(9):
        expected = [plain[step][0] * (1 if step < 3 else 0.1), plain[step][1] * (1 if step < 3 else 0.01)]
        assert changed[step] == pytest.approx(expected)


def test_a_frozen_part_drops_its_gradient(label_map: LabelMap) -> None:
    net = small_classifier(label_map).net
    net(torch.ones(1, 12, 64)).sum().backward()
    freeze(net.parts(), {part: float(part == "head") for part in PARTS}, strategy("linear_probe"))
    assert net.first_conv.conv.weight.grad is None
    assert net.dense.weight.grad is not None


def test_summary_says_what_trains_now_and_later(label_map: LabelMap) -> None:
    rows = strategy_rows(
        small_classifier(label_map).net, strategy("lp_ft", probe_epochs=2, full_multiplier=0.1), 5, 1e-2
    )
    assert rows[0] == ("stem", "784", "0", "784 from epoch 2", "0.001")
    assert rows[-1] == ("head", "198", "198", "", "0.01 then 0.001")
    assert strategy_rows(small_classifier(label_map).net, strategy("linear_probe"), 5, 1e-2)[0][-1] == "frozen"


def test_every_strategy_knows_when_activations_are_stored() -> None:
    for name in ("full", "linear_probe", "last_stages", "gradual", "discriminative", "lp_ft", "lora"):
        assert strategy(name).store_activations == "auto"
        assert strategy(name, store_activations="never").store_activations == "never"
        with pytest.raises(ValueError, match="expected one of: auto, never"):
            strategy(name, store_activations="sometimes")
