"""Low-rank adapters beside frozen weights, through peft."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ecgfounder_ft.errors import ExplainedError, how_to_install
from ecgfounder_ft.finetune.strategy import Strategy

if TYPE_CHECKING:  # a configuration is refused before torch is imported
    from torch import nn

    from ecgfounder_ft.model.network import Network


class MissingPeftError(ExplainedError):
    """peft is not installed."""


@dataclass(kw_only=True)
class LoRA(Strategy):
    """LoRA (Hu et al. 2021, https://arxiv.org/abs/2106.09685) on the layers that the network names for it.

    The adapters and the last layer train. The adapters start at zero effect, and are merged into plain weights at the
    end.

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

    def trains(self, parameter: str, in_head: bool) -> bool:
        """True for adapters, and for all of the last layer."""
        return in_head or "lora_" in parameter

    def prepare(self, net: Network) -> None:
        """Add the adapters.

        Raises:
            NetworkError: if the network names no layers for adapters.
            MissingPeftError: if peft is not installed.
        """
        try:
            from peft import LoraConfig, inject_adapter_in_model
        except ImportError as error:
            raise MissingPeftError(f"finetune=lora needs peft: {how_to_install('lora')}") from error
        layers = net.prepare_adapters()
        inject_adapter_in_model(LoraConfig(r=self.rank, lora_alpha=self.alpha, target_modules=layers), net)
        # peft froze the rest. What trains follows from the multipliers of each epoch; and a parameter that is frozen
        # when a process group is set up would never be kept the same in all processes.
        net.requires_grad_(True)

    def finish(self, net: Network) -> None:
        """Merge the adapters into the weights."""
        net.remove_adapters(_merged)
        net.requires_grad_(True)


def _merged(adapter: nn.Module) -> nn.Linear:
    adapter.merge(safe_merge=True)  # type: ignore[operator]
    return adapter.get_base_layer()  # type: ignore[operator]
