"""A model's record: what it holds, and that it is refused before anything of a network stands in memory."""

import math
import time
from typing import Any

import pytest
import torch

from ecgfounder_ft.ecg.preprocessing import Preprocessing
from ecgfounder_ft.labels import LabelMap
from ecgfounder_ft.model.ecgfounder import NET1D
from ecgfounder_ft.model.ecgfounder.net1d import Net1D
from ecgfounder_ft.model.network import NetworkError
from ecgfounder_ft.model.plain import PlainNetwork
from ecgfounder_ft.model.record import ModelRecord
from ecgfounder_ft.targets import UntrustedTargetError
from ecgfounder_ft.task import MULTI_LABEL, SINGLE_LABEL

NET: dict[str, Any] = {
    "_target_": NET1D,
    "in_channels": 12,
    "num_classes": 6,
    "base_filters": 16,
    "filter_list": [16, 32],
    "m_blocks": [1, 1],
}


def linear(width: Any) -> dict[str, Any]:
    """A network of torch's own layers."""
    layers = [{"_target_": "torch.nn.LazyLinear", "out_features": outputs} for outputs in (width, 6)]
    return {"_target_": "torch.nn.Sequential", "_args_": [{"_target_": "torch.nn.Flatten"}, *layers]}


@pytest.fixture
def record(label_map: LabelMap) -> ModelRecord:
    return ModelRecord(label_map, MULTI_LABEL, Preprocessing(), dict(NET))


def test_a_record_goes_through_plain_containers(record: ModelRecord) -> None:
    content = record.to_dict()
    assert content["task"] == "multi_label"
    assert content["architecture"] == NET
    assert ModelRecord.from_dict(content) == record
    assert ModelRecord.from_dict({**content, "task": "single_label"}).task is SINGLE_LABEL
    with pytest.raises(ValueError, match="task is 'regression', expected one of: single_label, multi_label"):
        ModelRecord.from_dict({**content, "task": "regression"})


def test_the_start_is_that_of_the_network_built_by_hand(record: ModelRecord) -> None:
    torch.manual_seed(4)
    built = record.build_network()
    torch.manual_seed(4)
    expected = Net1D(**{key: value for key, value in NET.items() if key != "_target_"})
    assert isinstance(built, Net1D)
    for name, value in expected.state_dict().items():
        assert torch.equal(built.state_dict()[name], value), name


def test_layers_of_torch_are_built_without_trust(record: ModelRecord) -> None:
    record.architecture = linear(8)
    net = record.build_network()
    assert isinstance(net, PlainNetwork)
    assert net.parts()["1"].weight.shape == (8, 12 * 5000)
    assert net.parts()["1"].weight.device.type == "cpu"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"filter_list": [16, 900_000]}, r"parameters, expected 1,000,000,000 at most"),
        ({"filter_list": [16, 10**9]}, r"architecture\.filter_list\[1\] is no number up to 1,000,000"),
        ({"kernel_size": 10**15}, r"architecture\.kernel_size is no number up to"),
        ({"kernel_size": 10**5000}, r"an integer of 16,610 bits, expected 64 at most"),
        ({"ratio": math.inf}, r"architecture\.ratio is no number up to"),
        ({"ratio": math.nan}, r"architecture\.ratio is no number up to"),
        ({"m_blocks": [1, 100_000]}, r"m_blocks is \[1, 100000\], expected 1,000 blocks at most"),
        ({"in_channels": 10**9}, r"in_channels is 1000000000, but there are 12 leads"),
        ({"num_classes": 150}, r"num_classes is 150, but there are 6 conditions"),
        ({"base_filter": 3}, r"Net1D cannot be built.*base_filter"),
        ({"groups_width": 0}, r"Net1D cannot be built"),
        ({"_target_": "torch.nn.Linear"}, r"torch\.nn\.Linear cannot be built"),
        ({"_partial_": True}, r"Net1D cannot be built.*_partial_"),
        ({"_target_": "torch.nn.Linear", "_partial_": True}, r"gives a \w+, expected a torch\.nn\.Module"),
        (linear(100_000), r"parameters, expected 1,000,000,000 at most"),
        (linear(10**7), r"out_features is no number up to 1,000,000"),
        ({"_target_": "torch.nn.Sequential", "_args_": []}, r"named child module"),
    ],
)
def test_an_implausible_network_is_refused_at_once(record: ModelRecord, changes: dict[str, Any], message: str) -> None:
    record.architecture = {**NET, **changes} if "_args_" not in changes else changes
    started = time.monotonic()
    with pytest.raises((NetworkError, UntrustedTargetError), match=rf"(?s)^model\.pth: .*{message}"):
        record.build_network(where="model.pth")
    assert time.monotonic() - started < 5


def test_implausible_recordings_and_label_maps_are_refused(record: ModelRecord, label_map: LabelMap) -> None:
    record.preprocessing.window.seconds = math.inf
    with pytest.raises(NetworkError, match="inf samples of a recording, expected 1,000,000 at most"):
        record.build_network()
    leads = [f"electrode {number}" for number in range(300)]
    many = ModelRecord(label_map, MULTI_LABEL, Preprocessing(leads=leads), {**NET, "in_channels": 300})
    with pytest.raises(NetworkError, match="300 leads, expected 256 at most"):
        many.build_network()
    condition = next(iter(label_map.conditions.values()))
    alike = LabelMap("many", {f"C{number}": type(condition)(name="one") for number in range(10_001)})
    with pytest.raises(NetworkError, match="10,001 conditions, expected 10,000 at most"):
        ModelRecord(alike, MULTI_LABEL, Preprocessing(), NET).build_network()


def test_a_network_averages_over_the_shifts_of_its_record_and_implausible_ones_are_refused(record: ModelRecord) -> None:
    record.shifts = [-0.5, 0.0, 0.5]
    assert record.build_network().shifts == (-250, 0, 250)
    for strange in ([], [0.0] * 65, [10.0], [math.nan]):
        record.shifts = strange
        with pytest.raises(NetworkError, match="expected 1 to 64, each shorter than the 10 s that the network reads"):
            record.build_network()
    old = {name: value for name, value in record.to_dict().items() if name != "shifts"}
    assert ModelRecord.from_dict(old).shifts == [0.0]


def test_a_record_without_a_class_is_refused(record: ModelRecord) -> None:
    del record.architecture["_target_"]
    with pytest.raises(NetworkError, match="architecture has no _target_"):
        record.build_network()


@pytest.mark.parametrize(
    "architecture",
    [
        {"_target_": "builtins.print", "_args_": ["code ran"]},
        {**NET, "ratio": {"_target_": "builtins.print", "_args_": ["code ran"]}},
        {"_target_": "torch.nn.Sequential", "_args_": [{"_target_": "builtins.print", "_args_": ["code ran"]}]},
        {"_target_": "torch.nn.Sequential", "_args_": ["${oc.create:{_target_: builtins.print, _args_: [code ran]}}"]},
        {**NET, "ratio": "${oc.create:{_target_: builtins.print, _args_: [code ran]}}"},
        {"_target_": "${oc.decode:builtins.print}", "_args_": ["code ran"]},
        {"_target_": "pytorch_lightning.loggers.CSVLogger", "save_dir": "written"},
        {"_target_": "torch.optim.Adam", "params": []},
    ],
    ids=["top", "argument", "layer", "made layer", "made argument", "made class", "logger", "optimizer"],
)
def test_no_code_runs_that_is_not_trusted(
    record: ModelRecord, architecture: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    record.architecture = architecture
    with pytest.raises(UntrustedTargetError, match=r"model\.pth"):
        record.build_network(where="model.pth")
    assert "code ran" not in capsys.readouterr().out


def test_the_interpolations_refused_above_would_run_code(capsys: pytest.CaptureFixture[str]) -> None:
    from hydra.utils import instantiate

    layer = "${oc.create:{_target_: builtins.print, _args_: [code ran]}}"
    instantiate({"_target_": "torch.nn.Sequential", "_args_": [layer]})
    assert "code ran" in capsys.readouterr().out


def test_what_the_user_trusts_is_run(record: ModelRecord, capsys: pytest.CaptureFixture[str]) -> None:
    record.architecture = {"_target_": "builtins.print", "_args_": ["code ran"]}
    with pytest.raises(NetworkError, match=r"builtins\.print gives a NoneType, expected a torch\.nn\.Module"):
        record.build_network(trusted=["builtins.print"])
    assert "code ran" in capsys.readouterr().out


def test_a_class_that_is_not_there_says_what_python_missed(record: ModelRecord) -> None:
    record.architecture = {"_target_": "no_such_module.Network"}
    with pytest.raises(NetworkError, match="No module named 'no_such_module'"):
        record.build_network(trusted=["no_such_module.Network"])
