"""Net1D written the plain way, channels first with torch's own 1-D layers: what ours is measured and checked against.

Written for comparison from the architecture's description; see ``ecgfounder_ft/model/ecgfounder/net1d.py`` for the
sources.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class SamePadded(nn.Module):
    """A 1-D convolution with zero padding to ceil(L / stride) outputs."""

    def __init__(self, *args: int, **kwargs: int) -> None:
        super().__init__()
        self.conv = nn.Conv1d(*args, **kwargs)

    def forward(self, x: Tensor) -> Tensor:
        (kernel,), (stride,) = self.conv.kernel_size, self.conv.stride
        outputs = (x.shape[-1] + stride - 1) // stride
        total = max(0, (outputs - 1) * stride + kernel - x.shape[-1])
        return self.conv(F.pad(x, (total // 2, total - total // 2)))


class Block(nn.Module):
    def __init__(self, inputs: int, width: int, kernel: int, stride: int, groups: int, first: bool) -> None:
        super().__init__()
        self.first, self.stride, self.extra = first, stride, width - inputs
        self.conv1 = SamePadded(inputs, width, 1)
        self.conv2 = SamePadded(width, width, kernel, stride=stride, groups=groups)
        self.conv3 = SamePadded(width, width, 1)
        self.se_fc1 = nn.Linear(width, width // 2)
        self.se_fc2 = nn.Linear(width // 2, width)

    def forward(self, x: Tensor) -> Tensor:
        out = self.conv1(x if self.first else x * torch.sigmoid(x))
        out = self.conv2(out * torch.sigmoid(out))
        out = self.conv3(out * torch.sigmoid(out))
        gate = self.se_fc1(out.mean(-1))
        gate = torch.sigmoid(self.se_fc2(gate * torch.sigmoid(gate)))
        out = out * gate.unsqueeze(-1)
        if self.stride > 1:
            total = self.stride - 1
            x = F.max_pool1d(F.pad(x, (total // 2, total - total // 2)), self.stride)
        if self.extra:
            x = F.pad(x, (0, 0, self.extra // 2, self.extra - self.extra // 2))
        return out + x


class PlainStage(nn.Module):
    def __init__(self, blocks: Sequence[Block]) -> None:
        super().__init__()
        self.block_list = nn.ModuleList(blocks)

    def forward(self, x: Tensor) -> Tensor:
        for block in self.block_list:
            x = block(x)
        return x


class PlainNet1D(nn.Module):
    """The same parameters, names and arguments as ``ecgfounder_ft.model.ecgfounder.net1d.Net1D``."""

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
    ) -> None:
        super().__init__()
        self.first_conv = SamePadded(in_channels, base_filters, kernel_size, stride=stride)
        stages, inputs = [], base_filters
        for number, (width, depth) in enumerate(zip(filter_list, m_blocks, strict=True)):
            blocks = []
            for block in range(depth):
                step = stride if block == 0 else 1
                blocks.append(Block(inputs, width, kernel_size, step, width // groups_width, number + block == 0))
                inputs = width
            stages.append(PlainStage(blocks))
        self.stage_list = nn.ModuleList(stages)
        self.dense = nn.Linear(inputs, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first_conv(x)
        x = x * torch.sigmoid(x)
        for stage in self.stage_list:
            x = stage(x)
        return self.dense(x.mean(-1))
