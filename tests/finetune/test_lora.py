import pytest
import torch

pytest.importorskip("peft")

from ecgfounder_ft.finetune import lora
from ecgfounder_ft.finetune.lora import LoRA
from ecgfounder_ft.labels import LabelMap
from ecgfounder_ft.model.errors import NetworkError
from ecgfounder_ft.model.plain import PlainNetwork
from ecgfounder_ft.training.strategy_table import strategy_rows
from ecgfounder_ft.training.wise_ft import copy_of_state
from tests.settings import strategy
from tests.small_training import PARTS, small_classifier, small_data, small_trainer


def test_adapters_start_without_effect_and_merge_into_a_plain_network(label_map: LabelMap) -> None:
    classifier = small_classifier(label_map)
    plain = copy_of_state(classifier.net)
    signal = torch.randn(3, 12, 64, generator=torch.Generator().manual_seed(1))
    start = classifier.net(signal)
    chosen = strategy("lora", rank=4, alpha=8)
    chosen.prepare(classifier.net)
    torch.testing.assert_close(classifier.net(signal), start)
    frozen = {name: value.clone() for name, value in classifier.net.state_dict().items() if "base_layer" in name}
    small_trainer(chosen, 2).fit(classifier, datamodule=small_data(label_map.codes))
    for name, value in frozen.items():
        assert torch.equal(classifier.net.state_dict()[name], value), name
    classifier.eval()
    trained = classifier.net(signal)
    assert not torch.allclose(trained, start, atol=1e-3)
    chosen.finish(classifier.net)
    torch.testing.assert_close(classifier.net(signal), trained, atol=1e-5, rtol=1e-5)
    merged = classifier.net.state_dict()
    assert {name: value.shape for name, value in merged.items()} == {n: v.shape for n, v in plain.items()}
    adapted = ("conv1.conv.weight", "conv3.conv.weight", "se_fc1.weight", "se_fc2.weight", "dense.weight", "dense.bias")
    for name, value in merged.items():
        assert torch.equal(value, plain[name]) != name.endswith(adapted), name


def test_adapters_and_last_layer_train_and_nothing_else(label_map: LabelMap) -> None:
    classifier = small_classifier(label_map)
    chosen = strategy("lora", rank=2, alpha=4)
    chosen.prepare(classifier.net)
    trainer = small_trainer(chosen, 1)
    trainer.fit(classifier, datamodule=small_data(label_map.codes))
    names = {name for name, parameter in classifier.net.named_parameters() if parameter in trainer.optimizers[0].state}
    assert names == {name for name in classifier.net.state_dict() if "lora_" in name or name.startswith("dense.")}
    rows = strategy_rows(classifier.net, chosen, 1, 1e-2)
    assert rows[0][2] == "0"
    assert rows[1][2] == f"{2 * (16 + 16) * 2 + 2 * (16 + 8) * 2:,}"  # two convolutions of 16, two layers of 16 and 8
    assert chosen.frozen_prefix(PARTS, 3) == ["stem"]


def test_settings_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match="rank is 0"):
        strategy("lora", rank=0)


def test_a_network_without_blocks_is_refused_in_words() -> None:
    net = PlainNetwork(torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.Linear(2, 1)))
    with pytest.raises(NetworkError, match=r"with the parts 0, 1, names none; choose another strategy"):
        strategy("lora", rank=4, alpha=8).prepare(net)


def test_rank_and_alpha_are_the_configurations_to_say() -> None:
    with pytest.raises(TypeError, match="rank"):
        LoRA()  # type: ignore[call-arg]


def test_nothing_of_torch_stands_at_the_top_of_the_module() -> None:
    assert not {"torch", "nn", "Net1D", "Conv1dSame", "Network"} & set(vars(lora))
