"""What the rest of the package asks of a network: its parts from input to output, and what loading a start needs.

Fine-tuning strategies speak of parts by their names, and the last part is always the head. Nothing outside the folder
of a network knows what stands in its parts.
"""

import re
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn

from ecgfounder_ft.model.errors import NetworkError


class Network(nn.Module, ABC):
    """A network from recordings (N, leads, samples) to logits (N, conditions), in parts."""

    can_enter_between_parts: bool = True
    """Whether batches may enter behind a frozen part: :meth:`run_part` then takes what the part before it put out."""

    shifts: tuple[int, ...] = (0,)
    """Samples by which a recording is shifted for what :meth:`average_over` averages."""

    @abstractmethod
    def parts(self) -> dict[str, nn.Module]:
        """Name to module, from input to output. Each parameter stands in exactly one part.

        The last one is the head: a layer with a weight of one row for each condition, whose output are the logits.
        """

    @abstractmethod
    def run_part(self, name: str, x: Tensor) -> Tensor:
        """One part of :meth:`parts` on the output of the part before it; the first part takes recordings."""

    def run_from(self, first: str, x: Tensor) -> Tensor:
        """Logits (N, conditions) from the input of the part named ``first``."""
        names = list(self.parts())
        for name in names[names.index(first) :]:
            x = self.run_part(name, x)
        return x

    def run_until(self, last: str, x: Tensor) -> Tensor:
        """Output of the part named ``last`` from recordings (N, leads, samples)."""
        names = list(self.parts())
        for name in names[: names.index(last) + 1]:
            x = self.run_part(name, x)
        return x

    def features(self, x: Tensor) -> Tensor:
        """(N, leads, samples) to the (N, width) features that the head reads."""
        *_, last, _ = self.parts()
        return self.run_until(last, x)

    def forward(self, x: Tensor) -> Tensor:
        """(N, leads, samples) to logits (N, conditions)."""
        return self.run_from(next(iter(self.parts())), x)

    def own_tensors(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """A checkpoint's tensors under this network's names.

        The prefixes ``module.`` and ``net.``, which wrappers put before them, are stripped, unless a name of this
        network begins so.
        """
        own = self.state_dict()

        def stripped(key: str) -> str:
            while key not in own and (shorter := re.sub(r"^(module|net)\.", "", key)) != key:
                key = shorter
            return key

        return {stripped(key): value for key, value in state.items()}

    def published_tensors(self) -> dict[str, Tensor]:
        """The tensors as the network's own publication names them, for programs that load its checkpoints."""
        return dict(self.state_dict())

    def head_tensors(self) -> list[str]:
        """Names of the head's parameters, as in :meth:`state_dict`."""
        head = {id(parameter) for parameter in list(self.parts().values())[-1].parameters()}
        return [name for name, value in self.state_dict(keep_vars=True).items() if id(value) in head]

    def skip_blocks(self, probability: float) -> None:
        """Let training skip residual blocks at random: stochastic depth (Huang et al. 2016,
        https://arxiv.org/abs/1603.09382).

        Each recording skips each block by itself, the last one with this probability and the earlier ones with less, in
        proportion to their place; what is not skipped is scaled up to keep its mean. A part that is frozen, and any
        network in evaluation mode, skips nothing. Nothing of it stands in the state dict.

        Args:
            probability: from 0 to below 1.

        Raises:
            NetworkError: if this network has no residual blocks that it knows of.
        """
        raise NetworkError(
            f"finetune.stochastic_depth={probability:g} skips residual blocks, and this network, with the parts "
            f"{', '.join(self.parts())}, names none; set it to 0"
        )

    def prepare_adapters(self) -> list[str]:
        """Make ready for low-rank adapters, and return the names of the layers that get one.

        Each is an ``nn.Linear`` then, by its own name without those of the modules that it stands in.

        Raises:
            NetworkError: if this network names no layers for adapters.
        """
        raise NetworkError(
            f"finetune=lora adapts layers that a network names, and this one, with the parts {', '.join(self.parts())},"
            " names none; choose another strategy, such as finetune=last_stages"
        )

    def remove_adapters(self, merged: Callable[[nn.Module], nn.Linear]) -> None:
        """Put plain layers in the place of adapted ones: the inverse of :meth:`prepare_adapters`.

        Args:
            merged: the plain layer of an adapted one, with the adapter's effect in its weights.
        """

    def average_over(self, shifts: Sequence[int]) -> None:
        """Answer, outside of training, with the mean of what the head reads of a recording shifted in time.

        Since the head is linear, its logits are then the mean of those of the shifted recordings. Nothing of it stands
        in the state dict.

        Args:
            shifts: samples by which a recording is shifted, to a later time where above 0; zeros move in.

        Raises:
            NetworkError: if this network cannot.
        """
        raise NetworkError(
            f"model.shifts averages the features of shifted recordings, which this network, with the parts "
            f"{', '.join(self.parts())}, does not do; set it to [0.0]"
        )

    def leads_of(self, tensors: Mapping[str, Tensor]) -> int | None:
        """How many leads tensors of this network's names were made for; None where it cannot be told from them."""
        return None


def require_logits(net: Network, leads: int, samples: int, conditions: int) -> None:
    """Try a network on one silent recording, so that a wrong shape is told in words, and before any training.

    Args:
        net: used in evaluation mode and left as it was, but for lazy layers, which get their shape.
        leads: of the recording.
        samples: of the recording.
        conditions: of the label map.

    Raises:
        NetworkError: that says what was expected and what was found.
    """
    *_, (name, head) = net.parts().items()
    given: list[Tensor] = []
    hook = head.register_forward_hook(lambda _module, _inputs, output: given.append(output))
    was_training = net.training
    net.eval()
    try:
        with torch.no_grad():  # not inference_mode, in which lazy layers would get tensors that cannot train
            logits = net(torch.zeros(1, leads, samples))
    except NetworkError:
        raise
    except Exception as error:
        raise NetworkError(
            f"the network does not take a recording of the shape (1, {leads}, {samples}), which is (recordings, leads, "
            f"samples): {type(error).__name__}: {error}"
        ) from error
    finally:
        hook.remove()
        net.train(was_training)
    expected = f"expected one logit for each condition, (1, {conditions})"
    if not isinstance(logits, Tensor):
        raise NetworkError(f"the network gives a {type(logits).__name__} for one recording; {expected}")
    if logits.shape != (1, conditions):
        raise NetworkError(f"the network gives the shape {tuple(logits.shape)} for one recording; {expected}")
    if len(given) != 1 or given[0] is not logits:
        raise NetworkError(
            f"the last part, '{name}', is not what gives the network's output; expected the head there, a linear layer "
            "of one output for each condition, with nothing after it"
        )
    weight = getattr(head, "weight", None)
    if not isinstance(weight, nn.Parameter) or weight.ndim != 2 or len(weight) != conditions:
        found = f"a weight of the shape {tuple(weight.shape)}" if isinstance(weight, Tensor) else "no weight"
        raise NetworkError(
            f"the last part, '{name}', is a {type(head).__name__} with {found}; expected a linear layer, whose weight "
            f"has one row for each of the {conditions} conditions"
        )
    _require_each_parameter_once(net)


def _require_each_parameter_once(net: Network) -> None:
    """What stands in no part would never train, and an optimizer refuses what stands in two."""
    places = Counter(id(parameter) for part in net.parts().values() for parameter in part.parameters())
    for name, parameter in net.named_parameters():
        if places[id(parameter)] != 1:
            raise NetworkError(
                f"the parameter '{name}' stands in {places[id(parameter)]} of the network's parts "
                f"({', '.join(net.parts())}); expected each parameter in exactly one of them"
            )
