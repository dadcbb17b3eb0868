"""Low-rank adapters beside frozen weights, through peft."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ecgfounder_ft.errors import ExplainedError, how_to_install
from ecgfounder_ft.finetune.strategy import Strategy

if TYPE_CHECKING:  # a configuration is refused before torch is imported
    from torch import nn

    from ecgfounder_ft.model.ecgfounder.net1d import Conv1dSame, Net1D
    from ecgfounder_ft.model.network import Network


class MissingPeftError(ExplainedError):
    """peft is not installed."""


class NoBlocksError(ExplainedError):
    """A network without the layers that the adapters are made for."""


@dataclass(kw_only=True)
class LoRA(Strategy):
    """LoRA (Hu et al. 2021, https://arxiv.org/abs/2106.09685) on pointwise convolutions and squeeze-excitation layers.

    The adapters and the last layer train. peft's own layer for 1-D convolutions computes a convolution over (N, C, L),
    while Net1D keeps (N, L, C) and applies a pointwise convolution's weight as a matrix; so for the time of training
    each pointwise convolution becomes the ``nn.Linear`` that it is, which peft wraps as any other. The
    adapters start at zero effect, and are merged into plain weights at the end.

    Args:
        rank: of each adapter.
        alpha: scale of the adapters' effect, over the rank.

    Raises:
        ValueError: if either is below 1.
    """

    rank: int
    alpha: int

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("rank", "alpha"):
            if getattr(self, name) < 1:
                raise ValueError(f"finetune.{name} is {getattr(self, name)}, expected 1 or more")

    def multipliers(self, parts: Sequence[str], epoch: int) -> dict[str, float]:
        """1 for the stages (their adapters) and the head, 0 for the stem."""
        return {part: float(part != parts[0]) for part in parts}

    def trains(self, parameter: str) -> bool:
        """Adapters, and all of the last layer, whose parameters stand in no block."""
        return "lora_" in parameter or "block_list" not in parameter

    def prepare(self, net: Network) -> None:
        """Add the adapters.

        Raises:
            NoBlocksError: if the network is no Net1D.
            MissingPeftError: if peft is not installed.
        """
        blocks = list(_blocks(_net1d(net)))
        try:
            from peft import LoraConfig, inject_adapter_in_model
        except ImportError as error:
            raise MissingPeftError(f"finetune=lora needs peft: {how_to_install('lora')}") from error
        for block in blocks:
            for name in ("conv1", "conv3"):
                setattr(block, name, _as_linear(getattr(block, name)))
        targets = ["conv1", "conv3", "se_fc1", "se_fc2"]
        inject_adapter_in_model(LoraConfig(r=self.rank, lora_alpha=self.alpha, target_modules=targets), net)
        # peft froze the rest. What trains follows from the multipliers of each epoch; and a parameter that is frozen
        # when a process group is set up would never be kept the same in all processes.
        net.requires_grad_(True)

    def finish(self, net: Network) -> None:
        """Merge the adapters into the weights, and make convolutions of them again."""
        for block in _blocks(_net1d(net)):
            for name in ("conv1", "conv3", "se_fc1", "se_fc2"):
                adapter = getattr(block, name)
                adapter.merge(safe_merge=True)
                merged = adapter.get_base_layer()
                setattr(block, name, merged if name.startswith("se") else _as_convolution(merged))
        net.requires_grad_(True)


def _net1d(net: Network) -> Net1D:
    from ecgfounder_ft.model.ecgfounder.net1d import Net1D

    if not isinstance(net, Net1D):
        raise NoBlocksError(
            f"finetune=lora adapts the blocks of Net1D, ECGFounder's network, and this one has the parts "
            f"{', '.join(net.parts())}; choose another strategy, such as finetune=last_stages"
        )
    return net


def _blocks(net: Net1D) -> Iterator[nn.Module]:
    for stage in net.stage_list:
        yield from stage.block_list  # type: ignore[misc]


def _as_linear(pointwise: Conv1dSame) -> nn.Linear:
    from torch import nn

    outputs, inputs, _ = pointwise.conv.weight.shape
    linear = nn.Linear(inputs, outputs, device="meta")
    linear.weight = nn.Parameter(pointwise.conv.weight.detach().squeeze(-1))
    linear.bias = pointwise.conv.bias  # type: ignore[assignment]
    return linear


def _as_convolution(linear: nn.Linear) -> Conv1dSame:
    import torch
    from torch import nn

    from ecgfounder_ft.model.ecgfounder.net1d import Conv1dSame

    with torch.device("meta"):
        pointwise = Conv1dSame(linear.in_features, linear.out_features, kernel_size=1)
    pointwise.conv.weight = nn.Parameter(linear.weight.detach().unsqueeze(-1))
    pointwise.conv.bias = nn.Parameter(linear.bias.detach())
    return pointwise
