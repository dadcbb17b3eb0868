"""Any module as a network: its parts, its names in checkpoints, and what is refused in words."""

import copy
from collections import OrderedDict
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from ecgfounder_ft.model.checkpoints import WeightsError, load_weights
from ecgfounder_ft.model.network import Network, NetworkError, require_logits
from ecgfounder_ft.model.plain import PlainNetwork
from ecgfounder_ft.training.inputs import digest_of
from ecgfounder_ft.training.wise_ft import copy_of_state, interpolate

LEADS, SAMPLES, CONDITIONS = 3, 40, 4
SHAPE = (LEADS, SAMPLES, CONDITIONS)


class Small(nn.Module):
    """Its first part is called ``net``, as wrappers like to call theirs."""

    def __init__(self, conditions: int = CONDITIONS, width: int = 8) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Conv1d(LEADS, width, 5), nn.BatchNorm1d(width), nn.ReLU())
        self.head = nn.Linear(width, conditions)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.net(x).mean(dim=2))


def sequence() -> nn.Sequential:
    features = nn.Sequential(nn.Conv1d(8, 8, 3), nn.AdaptiveAvgPool1d(1), nn.Flatten())
    parts = [("stem", nn.Conv1d(LEADS, 8, 5)), ("stage", features), ("head", nn.Linear(8, CONDITIONS))]
    return nn.Sequential(OrderedDict(parts))


def recordings(n: int = 5) -> Tensor:
    return torch.randn(n, LEADS, SAMPLES, generator=torch.Generator().manual_seed(0))


def test_its_state_dict_is_the_modules_own_alone_and_inside_another() -> None:
    module = Small()
    net = PlainNetwork(module)
    assert list(net.state_dict()) == list(Small().state_dict())
    other = Small()
    net.load_state_dict(other.state_dict())
    for name, value in module.state_dict().items():
        assert torch.equal(value, other.state_dict()[name])
    outer = nn.ModuleDict({"before": nn.Linear(1, 1), "net": PlainNetwork(Small()), "after": nn.Linear(1, 1)})
    names = list(outer.state_dict())
    assert names == ["before.weight", "before.bias", *(f"net.{name}" for name in module.state_dict()),
                     "after.weight", "after.bias"]  # fmt: skip
    outer.load_state_dict({**outer.state_dict(), **{f"net.{k}": v for k, v in other.state_dict().items()}})
    assert torch.equal(outer["net"].parts()["head"].weight, other.head.weight)
    with pytest.raises(RuntimeError, match="Missing key"):
        outer.load_state_dict({name: value for name, value in outer.state_dict().items() if name != "net.head.bias"})
    with pytest.raises(RuntimeError, match="Unexpected key"):
        outer.load_state_dict({**outer.state_dict(), "net.mystery": torch.zeros(1)})


def test_a_copy_is_a_network_of_its_own() -> None:
    net = PlainNetwork(Small())
    copied = copy.deepcopy(net)
    with torch.no_grad():
        copied.parts()["head"].weight.zero_()
    assert net.state_dict()["head.weight"].abs().sum() > 0
    copied.load_state_dict(net.state_dict())
    assert torch.equal(copied.eval()(recordings()), net.eval()(recordings()))


def test_evaluation_mode_reaches_the_wrapped_module() -> None:
    module = Small()
    net = PlainNetwork(module)
    assert not net.eval().training
    assert not module.training


def test_parts_of_a_sequence_run_one_by_one() -> None:
    net = PlainNetwork(sequence())
    x = recordings()
    assert net.can_enter_between_parts
    assert list(net.parts()) == ["stem", "stage", "head"]
    for before, after in (("stem", "stage"), ("stage", "head")):
        assert torch.equal(net.run_from(after, net.run_until(before, x)), net(x))
    assert torch.equal(net.features(x), net.run_until("stage", x))


def test_parts_of_another_module_do_not() -> None:
    class Backwards(nn.Sequential):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x.flip(2))

    net = PlainNetwork(Small()).eval()
    x = recordings()
    assert not net.can_enter_between_parts
    assert torch.equal(net.run_from("net", x), net(x))
    assert torch.equal(net.parts()["head"](net.features(x)), net(x))
    for run in (lambda: net.run_until("net", x), lambda: net.run_from("head", net.features(x))):
        with pytest.raises(NotImplementedError, match="only the forward of Small"):
            run()
    assert not PlainNetwork(Backwards(*sequence())).can_enter_between_parts
    shared = nn.ReLU()
    assert not PlainNetwork(nn.Sequential(nn.Conv1d(3, 8, 5), shared, *sequence()[1:2], shared)).can_enter_between_parts


def test_what_has_no_parts_or_parameters_beside_them_is_refused() -> None:
    with pytest.raises(NetworkError, match=r"Linear has 0 named child module\(s\); expected at least two"):
        PlainNetwork(nn.Linear(3, 4))
    module = Small()
    module.token = nn.Parameter(torch.zeros(8))
    with pytest.raises(NetworkError, match="parameters of its own, token"):
        PlainNetwork(module)


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (Small(5), r"gives the shape \(1, 5\).*expected one logit for each condition, \(1, 4\)"),
        (nn.Sequential(*sequence(), nn.Softmax(dim=1)), r"last part, '3', is a Softmax with no weight"),
        (nn.Sequential(nn.Conv1d(2, 8, 5), *sequence()[1:]), r"shape \(1, 3, 40\).*RuntimeError: .*channels"),
        (nn.Sequential(nn.Conv1d(3, 4, 5), nn.LSTM(36, 4)), "gives a tuple"),
        (
            nn.Sequential(nn.Sequential(nn.Flatten(), nn.Linear(120, 4)), nn.LayerNorm(4)),
            r"LayerNorm with a weight of the shape \(4,\); expected a linear layer",
        ),
    ],
    ids=["another number of outputs", "a softmax at the end", "another number of leads", "a tuple", "no linear layer"],
)
def test_a_module_that_gives_no_logits_is_refused_in_words(module: nn.Module, message: str) -> None:
    with pytest.raises(NetworkError, match=message):
        require_logits(PlainNetwork(module), *SHAPE)


def test_a_head_that_is_not_the_last_child_is_refused() -> None:
    class Swapped(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.head = nn.Linear(8, CONDITIONS)
            self.stem = nn.Conv1d(LEADS, 8, 5)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(self.stem(x).mean(dim=2))

    with pytest.raises(NetworkError, match="last part, 'stem', is not what gives the network's output"):
        require_logits(PlainNetwork(Swapped()), *SHAPE)


def test_a_parameter_of_two_parts_or_of_none_is_refused() -> None:
    tied = sequence()
    tied.stem.bias = tied.stage[0].bias
    with pytest.raises(NetworkError, match=r"'wrapped\.stem\.bias' stands in 2 of the network's parts"):
        require_logits(PlainNetwork(tied), *SHAPE)

    class Forgetful(Network):
        def __init__(self) -> None:
            super().__init__()
            self.stem, self.middle, self.head = sequence()

        def parts(self) -> dict[str, nn.Module]:
            return {"stem": self.stem, "head": self.head}

        def run_part(self, name: str, x: Tensor) -> Tensor:
            return self.middle(self.stem(x)) if name == "stem" else self.head(x)

    with pytest.raises(NetworkError, match=r"'middle\.0\.weight' stands in 0"):
        require_logits(Forgetful(), *SHAPE)


def test_lazy_layers_get_a_shape_that_trains() -> None:
    net = PlainNetwork(nn.Sequential(nn.Flatten(), nn.LazyLinear(CONDITIONS)))
    require_logits(net, *SHAPE)
    assert net.training
    net(recordings()).sum().backward()
    assert all(parameter.grad is not None for parameter in net.parameters())


def test_trying_it_leaves_running_means_and_random_numbers_alone() -> None:
    net = PlainNetwork(Small())
    before, drawn = copy_of_state(net), torch.random.get_rng_state()
    require_logits(net, *SHAPE)
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert torch.equal(drawn, torch.random.get_rng_state())


@pytest.mark.parametrize("prefix", ["", "net.", "module.net."])
def test_a_start_is_loaded_with_its_head_from_rows(tmp_path: Path, prefix: str) -> None:
    source = Small(10).state_dict()
    torch.save({prefix + name: value for name, value in source.items()}, tmp_path / "start.pth")
    net = PlainNetwork(Small())
    head = net.state_dict()["head.weight"].clone()
    assert net.head_tensors() == ["head.weight", "head.bias"]
    load_weights(net, tmp_path / "start.pth", None)
    assert torch.equal(net.state_dict()["net.0.weight"], source["net.0.weight"])
    assert torch.equal(net.state_dict()["head.weight"], head)
    load_weights(net, tmp_path / "start.pth", [[1, 2], [3], [4], [9]])
    torch.testing.assert_close(net.state_dict()["head.weight"][0], source["head.weight"][[1, 2]].mean(dim=0))
    assert torch.equal(net.state_dict()["head.bias"][3], source["head.bias"][9])


def test_a_start_of_another_network_is_refused_by_its_tensors(tmp_path: Path) -> None:
    torch.save(Small(width=16).state_dict(), tmp_path / "wide.pth")
    with pytest.raises(WeightsError, match=r"net\.0\.weight is 16x3x5, expected 8x3x5") as error:
        load_weights(PlainNetwork(Small()), tmp_path / "wide.pth", [[0], [1], [2], [3]])
    assert "head.weight has rows of 16, expected 8" in str(error.value)
    torch.save(sequence().state_dict(), tmp_path / "other.pth")
    with pytest.raises(WeightsError, match=r"missing: net\.0\.bias.*unexpected: stage\.0\.bias"):
        load_weights(PlainNetwork(Small()), tmp_path / "other.pth", None)


def test_running_means_count_where_parts_are_compared_and_interpolated() -> None:
    net = PlainNetwork(Small())
    start, known = copy_of_state(net), digest_of([net.parts()["net"]])
    net(recordings() + 1)
    assert digest_of([net.parts()["net"]]) != known
    middle = interpolate(start, copy_of_state(net), 0.5)
    assert middle["net.1.num_batches_tracked"] == 1
    torch.testing.assert_close(middle["net.1.running_mean"], net.state_dict()["net.1.running_mean"] / 2)
    net.load_state_dict(middle)


def test_stochastic_depth_is_refused_in_words() -> None:
    with pytest.raises(NetworkError, match=r"skips residual blocks.*parts net, head, names none; set it to 0"):
        PlainNetwork(Small()).skip_blocks(0.2)


def test_averaged_shifts_are_refused_in_words() -> None:
    with pytest.raises(NetworkError, match=r"model\.shifts averages.*parts net, head, does not do; set it to \[0\.0\]"):
        PlainNetwork(Small()).average_over((0, 5))
