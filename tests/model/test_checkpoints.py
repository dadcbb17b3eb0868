"""Weights files: the published form is loaded, everything else is refused by name."""

import pickle
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch

from ecgfounder_ft.model.checkpoints import WeightsError, has_task_rows, load_weights, read_state_dict, read_tensors
from ecgfounder_ft.model.ecgfounder.net1d import Net1D

TINY = {"base_filters": 16, "filter_list": (16, 32), "m_blocks": (1, 1)}
ROWS = [[1, 2, 3], [5], [32], [79], [11], [20]]


def published_dictionary(leads: int = 12, prefix: str = "") -> dict:
    """Exactly what a published file holds, dead batch-norm tensors and numpy scalar included."""
    torch.manual_seed(1)
    net = Net1D(leads, 150, **TINY)
    state = OrderedDict((prefix + key, value) for key, value in net.state_dict().items())
    for norm in ("first_bn", "stage_list.0.block_list.0.bn1", "stage_list.1.block_list.0.bn3"):
        state[f"{prefix}{norm}.weight"] = torch.ones(16)
        state[f"{prefix}{norm}.num_batches_tracked"] = torch.tensor(0)
    optimizer = torch.optim.Adam(net.parameters())
    net(torch.randn(1, leads, 500)).sum().backward()
    optimizer.step()
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer)
    return {
        "epoch": 3,
        "step": 10,
        "state_dict": state,
        "optimizer": optimizer.state_dict(),
        "scheduler": scheduler.state_dict(),
        "val_auroc": np.float64(0.97),
    }


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    path = tmp_path / "12_lead.pth"
    torch.save(published_dictionary(), path)
    return path


@pytest.mark.parametrize("prefix", ["", "module."])
def test_loads_the_published_form(tmp_path: Path, prefix: str) -> None:
    content = published_dictionary(prefix=prefix)
    torch.save(content, tmp_path / "file.pth")
    net = Net1D(12, 6, **TINY)
    head = net.dense.weight.detach().clone()
    load_weights(net, tmp_path / "file.pth", head_rows=None)
    key = "stage_list.1.block_list.0.conv2.conv.weight"
    assert torch.equal(net.state_dict()[key], content["state_dict"][prefix + key])
    assert torch.equal(net.dense.weight, head)


def test_pretrained_head_takes_the_mean_of_its_rows(checkpoint: Path) -> None:
    net = Net1D(12, 6, **TINY)
    load_weights(net, checkpoint, head_rows=ROWS)
    published = published_dictionary()["state_dict"]
    torch.testing.assert_close(net.dense.weight[0], published["dense.weight"][[1, 2, 3]].mean(0))
    assert torch.equal(net.dense.weight[2], published["dense.weight"][32])
    assert torch.equal(net.dense.bias[3], published["dense.bias"][79])


@pytest.mark.parametrize(("rule", "added"), [("any", np.log(3)), ("all", -np.log(3)), ("mean", 0.0)])
def test_rules_for_several_rows_differ_in_the_bias_alone(checkpoint: Path, rule: str, added: float) -> None:
    net = Net1D(12, 6, **TINY)
    load_weights(net, checkpoint, ROWS, [rule, "any", "all", "any", "all", "mean"])
    published = published_dictionary()["state_dict"]
    torch.testing.assert_close(net.dense.weight[0], published["dense.weight"][[1, 2, 3]].mean(0))
    torch.testing.assert_close(net.dense.bias[0], published["dense.bias"][[1, 2, 3]].mean() + added)
    assert torch.equal(net.dense.bias[1], published["dense.bias"][5])  # one row stays as it is under any rule


class Malicious:
    def __reduce__(self) -> tuple:
        return (print, ("code from the file ran",))


def test_runs_no_code_from_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save({**published_dictionary(), "extra": Malicious()}, tmp_path / "bad.pth")
    (tmp_path / "plain.pth").write_bytes(pickle.dumps(Malicious()))
    for name in ("bad.pth", "plain.pth"):
        with pytest.raises(WeightsError, match=name):
            read_state_dict(tmp_path / name)
    assert "code from the file ran" not in capsys.readouterr().out


def test_truncated_file_is_refused(checkpoint: Path) -> None:
    checkpoint.write_bytes(checkpoint.read_bytes()[:-2000])
    with pytest.raises(WeightsError, match=r"12_lead\.pth: truncated"):
        read_state_dict(checkpoint)


def test_nan_is_refused_and_named(tmp_path: Path) -> None:
    content = published_dictionary()
    content["state_dict"]["dense.bias"][3] = float("nan")
    torch.save(content, tmp_path / "nan.pth")
    with pytest.raises(WeightsError, match=r"NaN or infinity in dense\.bias"):
        read_tensors(Net1D(12, 6, **TINY), tmp_path / "nan.pth")


def test_one_lead_file_is_refused_by_the_twelve_lead_model(tmp_path: Path) -> None:
    torch.save(published_dictionary(leads=1), tmp_path / "1_lead.pth")
    with pytest.raises(WeightsError, match=r"1_lead\.pth: made for 1 lead\(s\), the model has 12"):
        load_weights(Net1D(12, 6, **TINY), tmp_path / "1_lead.pth", head_rows=None)


def test_missing_unexpected_and_reshaped_tensors_are_named(tmp_path: Path) -> None:
    content = published_dictionary()
    state = content["state_dict"]
    state["stage_list.0.block_list.0.mystery"] = state.pop("stage_list.0.block_list.0.se_fc1.bias")
    state["first_conv.conv.bias"] = torch.zeros(3)
    torch.save(content, tmp_path / "odd.pth")
    with pytest.raises(WeightsError) as error:
        load_weights(Net1D(12, 6, **TINY), tmp_path / "odd.pth", head_rows=None)
    assert "missing: stage_list.0.block_list.0.se_fc1.bias" in str(error.value)
    assert "unexpected: stage_list.0.block_list.0.mystery" in str(error.value)
    assert "first_conv.conv.bias is 3, expected 16" in str(error.value)


def test_a_file_without_weights_says_what_it_holds(tmp_path: Path) -> None:
    torch.save({"epoch": 3, "labels": [1]}, tmp_path / "other.pth")
    with pytest.raises(WeightsError, match="Found epoch, labels; expected a dictionary with 'state_dict'"):
        read_state_dict(tmp_path / "other.pth")


def test_rows_beyond_the_head_are_refused(checkpoint: Path) -> None:
    with pytest.raises(WeightsError, match=r"has 150 tasks, the label map asks for rows \[150\]"):
        load_weights(Net1D(12, 1, **TINY), checkpoint, head_rows=[[150]])


def test_rows_are_there_where_the_layer_is_the_published_one_and_each_output_has_some(checkpoint: Path) -> None:
    net = Net1D(12, 6, **TINY)
    assert has_task_rows(net, checkpoint, ROWS, 150)
    assert not has_task_rows(net, checkpoint, [*ROWS[:-1], []], 150)
    content = published_dictionary()
    for name, value in net.state_dict().items():
        if name.startswith("dense"):
            content["state_dict"][name] = value  # six outputs: row 5 is there and means something else
    torch.save(content, checkpoint)
    assert not has_task_rows(net, checkpoint, [[0], [1], [2], [3], [4], [5]], 150)
    for name in ("dense.weight", "dense.bias"):
        del content["state_dict"][name]
    torch.save(content, checkpoint)
    assert not has_task_rows(net, checkpoint, ROWS, 150)
