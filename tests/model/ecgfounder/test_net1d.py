"""Net1D against the reference's numbers, its published keys, and the same network written the plain way."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from benchmarks.plain_net1d import PlainNet1D
from ecgfounder_ft.model.checkpoints import load_weights, read_tensors
from ecgfounder_ft.model.ecgfounder.net1d import Conv1dSame, Net1D, same_padding

SMALL = {"base_filters": 16, "filter_list": (16, 32, 32, 48, 48, 64, 64)}
GOLDEN = Path(__file__).parents[2] / "golden"
UNUSED = re.compile(r"(^|\.)(first_bn|bn[123])\.")


@pytest.mark.parametrize(("leads", "name"), [(12, "12lead"), (1, "1lead")])
def test_gives_the_references_logits_and_features(shared: Path, leads: int, name: str) -> None:
    net = Net1D(leads, 150, **SMALL).eval()
    load_weights(net, shared / "golden" / f"net1d_small_{name}.pth", [[row] for row in range(150)])
    recorded = np.load(shared / "golden" / f"net1d_small_{name}_io.npz")
    for length in (5000, 4999, 2500, 1250):
        x = torch.from_numpy(recorded[f"x{length}"])
        with torch.inference_mode():
            np.testing.assert_allclose(net(x).numpy(), recorded[f"logits{length}"], atol=1e-5, rtol=0)
            np.testing.assert_allclose(net.features(x).numpy(), recorded[f"features{length}"], atol=1e-5, rtol=0)


@pytest.mark.parametrize(("leads", "name"), [(12, "12lead"), (1, "1lead")])
def test_parameters_are_those_of_the_published_checkpoints(leads: int, name: str) -> None:
    lines = (GOLDEN / f"state_dict_{name}.txt").read_text().split("\n")
    published = dict(line.rsplit(" ", 1) for line in lines if line and not UNUSED.search(line))
    with torch.device("meta"):
        net = Net1D(leads, 150)
    ours = {key: "x".join(map(str, value.shape)) for key, value in net.state_dict().items()}
    assert ours == published


def test_every_parameter_gets_a_gradient() -> None:
    net = Net1D(12, 6, **SMALL)
    net(torch.randn(2, 12, 640)).sum().backward()
    without = [name for name, parameter in net.named_parameters() if parameter.grad is None]
    assert without == []


@pytest.mark.parametrize(
    ("length", "stride"), [(5000, 2), (4999, 2), (1250, 2), (77, 2), (5000, 3), (4999, 3), (5000, 4)]
)
def test_equals_the_network_written_the_plain_way(length: int, stride: int) -> None:
    torch.manual_seed(0)
    sizes = SMALL | {"m_blocks": (1, 2, 1, 1, 2, 1, 1), "stride": stride}
    plain, net = PlainNet1D(12, 6, **sizes).eval(), Net1D(12, 6, **sizes).eval()
    net.load_state_dict(plain.state_dict())
    x = torch.randn(3, 12, length)
    expected, found = plain(x), net(x)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)
    expected.sum().backward()
    found.sum().backward()
    for (name, ours), theirs in zip(net.named_parameters(), plain.parameters(), strict=True):
        assert ours.grad is not None, name
        torch.testing.assert_close(ours.grad, theirs.grad, atol=1e-4, rtol=1e-3, msg=name)


def test_parts_run_one_after_another_are_the_whole() -> None:
    net = Net1D(1, 6, **SMALL).eval()
    x = torch.randn(2, 1, 1000)
    assert list(net.parts()) == ["stem", *(f"stage{n}" for n in range(1, 8)), "head"]
    covered = [id(parameter) for part in net.parts().values() for parameter in part.parameters()]
    assert sorted(covered) == sorted(map(id, net.parameters()))
    with torch.inference_mode():
        for before, after in (("stem", "stage1"), ("stage3", "stage4"), ("stage7", "head")):
            assert torch.equal(net.run_from(after, net.run_until(before, x)), net(x))


def test_bfloat16_convolutions_agree_with_float32_on_every_shape_of_the_model() -> None:
    """oneDNN once computed wrong values for 12 or 8 input channels, kernel 16, with folded padding, without a word."""
    torch.manual_seed(0)
    with torch.device("meta"):
        layers = [module for module in Net1D(12, 6).modules() if isinstance(module, Conv1dSame)]
        layers += [Net1D(leads, 6).first_conv for leads in (1, 2, 8)]
    shapes = {
        (m.conv.in_channels, m.conv.out_channels, m.conv.kernel_size[0], m.conv.stride[0], m.conv.groups)
        for m in layers
    }
    assert len(shapes) > 15
    for shape in sorted(shapes):
        layer = Conv1dSame(*shape)
        x = torch.randn(2, 160, shape[0])
        with torch.inference_mode():
            exact = layer(x)
            with torch.autocast("cpu", dtype=torch.bfloat16):
                rough = layer(x)
        error = (rough.float() - exact).norm() / exact.norm()
        assert error < 0.02, f"{shape}: relative error {error:.3f}"


def test_a_random_start_is_seeded() -> None:
    nets = []
    for _ in range(2):
        torch.manual_seed(7)
        nets.append(Net1D(1, 6, **SMALL))
    first, second = (nn.utils.parameters_to_vector(net.parameters()) for net in nets)
    assert torch.equal(first, second)


@pytest.mark.parametrize(("length", "stride", "expected"), [(5000, 2, (7, 7)), (4999, 2, (7, 8)), (1, 1, (7, 8))])
def test_same_padding_puts_the_odd_zero_behind(length: int, stride: int, expected: tuple[int, int]) -> None:
    assert same_padding(length, 16, stride) == expected


def test_stage_widths_and_depths_must_match() -> None:
    with pytest.raises(ValueError, match="7 stage widths for 2 stage depths"):
        Net1D(12, 6, m_blocks=(1, 2))


def test_published_checkpoints_lose_only_their_unused_tensors(shared: Path) -> None:
    net = Net1D(12, 150, **SMALL)
    assert set(read_tensors(net, shared / "golden" / "net1d_small_12lead.pth")) == set(net.state_dict())


def test_stochastic_depth_skips_later_blocks_more_often_in_training_alone() -> None:
    torch.manual_seed(0)
    net = Net1D(3, 4, base_filters=16, filter_list=(16, 32), m_blocks=(1, 1), kernel_size=4)
    x = torch.randn(1, 3, 64).expand(4000, -1, -1)
    with torch.no_grad():
        expected = net.eval()(x[:1])
        net.skip_blocks(0.4)
        torch.testing.assert_close(net.eval()(x[:1]), expected, atol=0, rtol=0)
        net.train()
        blocks = [stage.block_list[0] for stage in net.stage_list]
        before, after = net.run_until("stem", x), blocks[0](net.run_until("stem", x))
        skipped = (after == blocks[0]._shortcut(before)).all(dim=(1, 2))
        assert skipped.float().mean() == pytest.approx(0.2, abs=0.03)  # the first of two: half of the last one's
        taken = blocks[0].eval()(before[:1]) - blocks[0]._shortcut(before[:1])
        torch.testing.assert_close(after[~skipped][:1] - blocks[0]._shortcut(before[:1]), taken / 0.8)
        net.skip_blocks(0.0)
        torch.testing.assert_close(net.train()(x[:1]), expected)


def test_shifts_are_averaged_outside_of_training_and_by_every_way_through_the_network() -> None:
    torch.manual_seed(0)
    net = Net1D(3, 4, base_filters=16, filter_list=(16, 32), m_blocks=(1, 1), kernel_size=4).eval()
    x = torch.randn(5, 3, 64)
    later, earlier = torch.zeros_like(x), torch.zeros_like(x)
    later[..., 7:], earlier[..., :-3] = x[..., :-7], x[..., 3:]
    with torch.no_grad():
        alone = net.features(x)
        expected = torch.stack([alone, net.features(later), net.features(earlier)]).mean(dim=0)
        net.average_over((0, 7, -3))
        torch.testing.assert_close(net.features(x), expected)
        torch.testing.assert_close(net(x), net.dense(expected))
        torch.testing.assert_close(net.run_until("stage2", x), expected)
        torch.testing.assert_close(net.train().features(x), alone)
