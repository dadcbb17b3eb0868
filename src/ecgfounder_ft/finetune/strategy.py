"""The protocol of a fine-tuning strategy.

A strategy says for an epoch which parts of the network (stem, stage1 ... stage7, head) train, and with which multiplier
of the learning rate. What is applied follows from the epoch's number and from the little a strategy remembers, which
stands in the checkpoint; so a resumed run continues as it would have gone on, on either side of an unfreeze.

A strategy's fields are its settings and their schema; their values are in ``configs/finetune/<module>.yaml``. No
strategy imports torch at its top, so that a configuration is checked without it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from ecgfounder_ft.model.network import Network

STORE_ACTIVATIONS = ("auto", "never")


@dataclass(kw_only=True)
class Strategy(ABC):
    """Which parts of the network train in which epoch, and with which multiplier of the learning rate.

    Args:
        store_activations: ``auto``: what parts that never train put out is computed once and stored; ``never``.
        stochastic_depth: probability with which training skips the last residual block; see
            :meth:`~ecgfounder_ft.model.network.Network.skip_blocks`. 0: none is skipped.

    Raises:
        ValueError: if one of the two is none of its values.
    """

    solves: ClassVar[bool] = False
    """Whether the last layer is solved to its optimum, in no epoch, as of a :class:`SolvedHead`."""

    store_activations: str
    stochastic_depth: float

    def __post_init__(self) -> None:
        if not 0 <= self.stochastic_depth < 1:
            raise ValueError(
                f"finetune.stochastic_depth is {self.stochastic_depth}, expected a probability from 0 to below 1"
            )
        if self.store_activations not in STORE_ACTIVATIONS:
            raise ValueError(
                f"finetune.store_activations is '{self.store_activations}', "
                f"expected one of: {', '.join(STORE_ACTIVATIONS)}"
            )

    @abstractmethod
    def multipliers(self, parts: Sequence[str], epoch: int) -> dict[str, float]:
        """Multiplier of the learning rate for each part, from input to output; 0 means frozen.

        Args:
            parts: names of the network's parts, from input to output.
            epoch: counted from 0.
        """

    def trains(self, parameter: str, in_head: bool) -> bool:
        """Tell whether a parameter of a training part trains.

        Args:
            parameter: its name in the part.
            in_head: whether the part is the last one.
        """
        return True

    def prepare(self, net: Network) -> None:  # noqa: B027 - most need none
        """Change the network before training, after its weights are loaded."""

    def finish(self, net: Network) -> None:  # noqa: B027 - most need none
        """Turn a trained network back into what it was before :meth:`prepare`."""

    def observe(self, epoch: int, score: float) -> None:  # noqa: B027 - most need none
        """Take note of an epoch's monitored validation metric, the higher the better."""

    def state_dict(self) -> dict[str, Any]:
        """What the strategy remembers, for the checkpoint."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:  # noqa: B027 - most need none
        """Inverse of :meth:`state_dict`."""

    def frozen_prefix(self, parts: Sequence[str], epochs: int) -> list[str]:
        """The leading parts that train in none of the epochs, so that their output can be computed once."""
        schedule = [self.multipliers(parts, epoch) for epoch in range(max(epochs, 1))]
        prefix: list[str] = []
        for part in parts:
            if any(multipliers[part] > 0 for multipliers in schedule):
                break
            prefix.append(part)
        return prefix
