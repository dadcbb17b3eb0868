"""Net1D, the residual network of ECGFounder, with the parameters and names of its published checkpoints.

Architecture: Hong et al. 2020, "HOLMES" (https://doi.org/10.1145/3394486.3403212), and ECGFounder, Li et al. 2024
(https://arxiv.org/abs/2410.04133). A stem convolution, then seven stages of pre-activation bottleneck blocks
(pointwise, grouped, pointwise convolution, squeeze-and-excitation), global mean and a linear layer.

Activations are kept as (N, L, C), channels last: pointwise convolutions, nearly all of the arithmetic, are then plain
matrix products, and grouped ones run as channels-last 2-D convolutions of height 1. Parameters keep the shapes of 1-D
convolutions, so published files load unchanged.
"""

import re
from collections.abc import Callable, Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ecgfounder_ft.model.network import Network

STEM_CHANNEL_MULTIPLE = 16
"""The stem's input is padded to a multiple of this many channels with zeros. Results do not change, and oneDNN's
bfloat16 convolution (3.12, AMX) computes wrong values for 8 or 12 input channels when it pads the length itself."""

_UNUSED_BATCH_NORM = re.compile(r"(^|\.)(first_bn|bn[123])\.")
"""Tensors that the published network owns but, with ``use_bn=False``, never uses."""


def same_padding(length: int, kernel_size: int, stride: int) -> tuple[int, int]:
    """Zeros before and after, so that the output has ceil(length / stride) samples (the odd one goes after)."""
    outputs = -(-length // stride)
    total = max(0, (outputs - 1) * stride + kernel_size - length)
    return total // 2, total - total // 2


def shifted(x: Tensor, samples: int) -> Tensor:
    """Recordings (N, leads, samples) so many samples later, or earlier below 0; zeros move in."""
    if samples >= 0:
        return F.pad(x[..., : x.shape[-1] - samples], (samples, 0))
    return F.pad(x[..., -samples:], (0, -samples))


class Conv1dSame(nn.Module):
    """A convolution over (N, L, C) whose output has ceil(L / stride) samples.

    The parameters stand in ``conv``, as in the published checkpoints.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv1d(in_channels, out_channels, kernel_size, stride=stride, groups=groups)

    def forward(self, x: Tensor) -> Tensor:
        """(N, L, in_channels) to (N, ceil(L / stride), out_channels)."""
        conv = self.conv
        if conv.kernel_size == (1,):
            return F.linear(x, conv.weight.squeeze(-1), conv.bias)
        (kernel_size,), (stride,) = conv.kernel_size, conv.stride
        weight = conv.weight.unsqueeze(2)
        surplus = -x.shape[2] % STEM_CHANNEL_MULTIPLE if conv.groups == 1 else 0
        before, after = same_padding(x.shape[1], kernel_size, stride)
        if surplus:
            weight = F.pad(weight, (0, 0, 0, 0, 0, surplus))
        x = F.pad(x, (0, surplus, before, after))
        image = x.transpose(1, 2).unsqueeze(2)  # (N, C, 1, L), channels last in memory
        out = F.conv2d(image, weight, conv.bias, stride=(1, stride), groups=conv.groups)
        return out.squeeze(2).transpose(1, 2)


class BottleneckBlock(nn.Module):
    """Pre-activation bottleneck with squeeze-and-excitation.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output; where they exceed the input's, the shortcut is padded with zeros.
        ratio: channels of the grouped convolution over ``out_channels``.
        kernel_size: of the grouped convolution.
        stride: of the grouped convolution; the shortcut is max-pooled to match.
        groups_width: channels of each group.
        activate_input: False for the network's first block, whose input the stem has activated already.
    """

    skipped: float = 0.0
    """Probability with which training skips the block, leaving the shortcut."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        ratio: float,
        kernel_size: int,
        stride: int,
        groups_width: int,
        activate_input: bool,
    ) -> None:
        super().__init__()
        middle = int(out_channels * ratio)
        self.stride = stride
        self.channel_padding = ((out_channels - in_channels) // 2, -(-(out_channels - in_channels) // 2))
        self.activate_input = activate_input
        self.conv1 = Conv1dSame(in_channels, middle, kernel_size=1)
        self.conv2 = Conv1dSame(middle, middle, kernel_size, stride, groups=out_channels // groups_width)
        self.conv3 = Conv1dSame(middle, out_channels, kernel_size=1)
        self.se_fc1 = nn.Linear(out_channels, out_channels // 2)
        self.se_fc2 = nn.Linear(out_channels // 2, out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """(N, L, in_channels) to (N, ceil(L / stride), out_channels)."""
        out = self.conv1(F.silu(x) if self.activate_input else x)
        out = self.conv2(F.silu(out))
        out = self.conv3(F.silu(out))
        excitation = torch.sigmoid(self.se_fc2(F.silu(self.se_fc1(out.mean(dim=1)))))
        if self.training and self.skipped:
            taken = torch.rand(len(x), 1, device=x.device) >= self.skipped
            excitation = excitation * taken / (1 - self.skipped)
        return torch.addcmul(self._shortcut(x), out, excitation.unsqueeze(1))

    def _shortcut(self, x: Tensor) -> Tensor:
        if self.stride > 1:
            # The published network pools over ``stride`` samples as if its own stride were 1, so half of the
            # ``stride - 1`` zeros that keep the length go before the first sample and the odd one after the last.
            # Not by max_pool2d, somewhat faster on processors: torch has no deterministic gradient of it on CUDA.
            before, after = same_padding(x.shape[1], self.stride, 1)
            x = F.pad(x, (0, 0, before, after))
            steps = x.shape[1] // self.stride
            x = x[:, : steps * self.stride].unflatten(1, (steps, self.stride)).amax(dim=2)
        return F.pad(x, self.channel_padding) if any(self.channel_padding) else x


class Stage(nn.Module):
    """Bottleneck blocks of one width, the first of which downsamples."""

    def __init__(self, blocks: Sequence[BottleneckBlock]) -> None:
        super().__init__()
        self.block_list = nn.ModuleList(blocks)

    def forward(self, x: Tensor) -> Tensor:
        """(N, L, C) to (N, ceil(L / stride), C')."""
        for block in self.block_list:
            x = block(x)
        return x


class Net1D(Network):
    """ECGFounder's network. The defaults are those of the published checkpoints.

    Args:
        in_channels: leads.
        num_classes: outputs of the last layer.
        base_filters: channels of the stem.
        filter_list: channels of each stage.
        m_blocks: blocks of each stage.
        kernel_size: samples of the stem's and the grouped convolutions' kernels.
        stride: of the stem and of each stage's first block.
        groups_width: channels of each group of the grouped convolutions.
        ratio: bottleneck width over stage width.

    Raises:
        ValueError: if ``filter_list`` and ``m_blocks`` differ in length.
    """

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        base_filters: int = 64,
        filter_list: Sequence[int] = (64, 160, 160, 400, 400, 1024, 1024),
        m_blocks: Sequence[int] = (2, 2, 2, 3, 3, 4, 4),
        kernel_size: int = 16,
        stride: int = 2,
        groups_width: int = 16,
        ratio: float = 1.0,
    ) -> None:
        super().__init__()
        if len(filter_list) != len(m_blocks):
            raise ValueError(f"{len(filter_list)} stage widths for {len(m_blocks)} stage depths: expected as many")
        self.in_channels = in_channels
        self.first_conv = Conv1dSame(in_channels, base_filters, kernel_size, stride)
        stages = []
        channels = base_filters
        for stage_index, (width, depth) in enumerate(zip(filter_list, m_blocks, strict=True)):
            blocks = []
            for block_index in range(depth):
                blocks.append(
                    BottleneckBlock(
                        in_channels=channels,
                        out_channels=width,
                        ratio=ratio,
                        kernel_size=kernel_size,
                        stride=stride if block_index == 0 else 1,
                        groups_width=groups_width,
                        activate_input=(stage_index, block_index) != (0, 0),
                    )
                )
                channels = width
            stages.append(Stage(blocks))
        self.stage_list = nn.ModuleList(stages)
        self.dense = nn.Linear(channels, num_classes)

    def parts(self) -> dict[str, nn.Module]:
        """The network from input to output: ``stem``, ``stage1`` ... ``stage7``, ``head``."""
        stages = {f"stage{index}": stage for index, stage in enumerate(self.stage_list, start=1)}
        return {"stem": self.first_conv, **stages, "head": self.dense}

    def run_part(self, name: str, x: Tensor) -> Tensor:
        """One part of :meth:`parts` on the output of the part before it.

        ``stem`` takes recordings (N, leads, samples); between the stages stand activations (N, L, C); the last stage
        ends in its mean over time, (N, width), since that is all that ``head`` reads. Where shifts are averaged, all
        between the stem and that mean has a row for each shift of each recording.
        """
        averaged = not self.training and self.shifts != (0,)
        if name == "stem":
            if averaged:  # the copies of a batch one after the other
                x = torch.cat([shifted(x, samples) for samples in self.shifts])
            return F.silu(self.first_conv(x.transpose(1, 2)))
        if name == "head":
            return self.dense(x)
        x = self.parts()[name](x)
        if name != f"stage{len(self.stage_list)}":
            return x
        x = x.mean(dim=1)
        return x.unflatten(0, (len(self.shifts), -1)).mean(dim=0) if averaged else x

    def skip_blocks(self, probability: float) -> None:
        """Block l of L is skipped with l / L times the probability."""
        blocks = self._blocks()
        for place, block in enumerate(blocks, start=1):
            block.skipped = probability * place / len(blocks)

    def prepare_adapters(self) -> list[str]:
        """Pointwise convolutions, for now as linear layers, and squeeze-excitation layers.

        peft's own layer for 1-D convolutions computes a convolution over (N, C, L). This network keeps (N, L, C) and
        applies a pointwise convolution's weight as a matrix, so each becomes the ``nn.Linear`` that it is.
        """
        for block in self._blocks():
            block.conv1, block.conv3 = _as_linear(block.conv1), _as_linear(block.conv3)  # type: ignore[assignment]
        return ["conv1", "conv3", "se_fc1", "se_fc2"]

    def remove_adapters(self, merged: Callable[[nn.Module], nn.Linear]) -> None:
        """Convolutions again."""
        for block in self._blocks():
            block.conv1, block.conv3 = _as_convolution(merged(block.conv1)), _as_convolution(merged(block.conv3))
            block.se_fc1, block.se_fc2 = merged(block.se_fc1), merged(block.se_fc2)

    def _blocks(self) -> list[BottleneckBlock]:
        return [module for module in self.modules() if isinstance(module, BottleneckBlock)]

    def average_over(self, shifts: Sequence[int]) -> None:
        """In one batch of so many times the recordings."""
        self.shifts = tuple(shifts)

    def own_tensors(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """A checkpoint's tensors under this network's names, without the batch-norm tensors of published files."""
        tensors = super().own_tensors(state)
        return {key: value for key, value in tensors.items() if not _UNUSED_BATCH_NORM.search(key)}

    def published_tensors(self) -> dict[str, Tensor]:
        """With the batch-norm tensors that the published network owns and, with ``use_bn=False``, never uses.

        Its code refuses a file without them. They are those of a fresh batch norm, which is the identity.
        """
        tensors = dict(self.state_dict())
        norms = {"first_bn": self.first_conv.conv.out_channels}
        for name, block in self.named_modules():
            if isinstance(block, BottleneckBlock):
                widths = (block.conv1.conv.in_channels, block.conv2.conv.in_channels, block.conv3.conv.in_channels)
                norms |= {f"{name}.bn{number}": width for number, width in enumerate(widths, 1)}
        for name, width in norms.items():
            fresh = nn.BatchNorm1d(width).state_dict()
            tensors |= {f"{name}.{key}": value for key, value in fresh.items()}
        return tensors

    def leads_of(self, tensors: Mapping[str, Tensor]) -> int | None:
        """Input channels of the stem."""
        stem = tensors.get("first_conv.conv.weight")
        return None if stem is None else stem.shape[1]


def _as_linear(pointwise: Conv1dSame) -> nn.Linear:
    outputs, inputs, _ = pointwise.conv.weight.shape
    linear = nn.Linear(inputs, outputs, device="meta")
    linear.weight = nn.Parameter(pointwise.conv.weight.detach().squeeze(-1))
    linear.bias = pointwise.conv.bias  # type: ignore[assignment]
    return linear


def _as_convolution(linear: nn.Linear) -> Conv1dSame:
    with torch.device("meta"):
        pointwise = Conv1dSame(linear.in_features, linear.out_features, kernel_size=1)
    pointwise.conv.weight = nn.Parameter(linear.weight.detach().unsqueeze(-1))
    pointwise.conv.bias = nn.Parameter(linear.bias.detach())
    return pointwise
