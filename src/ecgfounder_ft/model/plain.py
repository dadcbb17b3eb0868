"""Any ``torch.nn.Module`` as a network of this package."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from ecgfounder_ft.model.network import Network, NetworkError

_ATTRIBUTE = "wrapped"


class PlainNetwork(Network):
    """A module whose named children are its parts, in the order in which they were assigned.

    The parts of an ``nn.Sequential`` can be run one by one. Of any other module only its own ``forward`` knows how they
    belong together, so that batches cannot enter between them.

    Its state dict is that of the wrapped module, without a prefix, so that a checkpoint loads into the bare module.

    Args:
        module: from (N, leads, samples) to logits (N, conditions); its last child is the head.

    Raises:
        NetworkError: if it has fewer than two children, or parameters of its own beside theirs.
    """

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        name = type(module).__name__
        children = dict(module.named_children())
        if len(children) < 2:
            raise NetworkError(
                f"{name} has {len(children)} named child module(s); expected at least two: what computes features, "
                "and the head, an nn.Linear, as the last one"
            )
        direct = [key for key, _ in module.named_parameters(recurse=False)]
        if direct:
            raise NetworkError(
                f"{name} has parameters of its own, {', '.join(direct)}, which belong to no part; put them into the "
                "child module that they train with"
            )
        self.wrapped = module
        # A child that stands in a Sequential twice is named once, and its parts are then not all that runs.
        runs_in_order = isinstance(module, nn.Sequential) and type(module).forward is nn.Sequential.forward
        self.can_enter_between_parts = runs_in_order and len(children) == len(module)  # type: ignore[arg-type]
        self.register_load_state_dict_pre_hook(_add_prefix)

    def parts(self) -> dict[str, nn.Module]:
        """The named children."""
        return dict(self.wrapped.named_children())

    def run_part(self, name: str, x: Tensor) -> Tensor:
        """A child on the output of the child before it.

        Raises:
            NotImplementedError: if the children cannot be run one by one.
        """
        if not self.can_enter_between_parts:
            raise NotImplementedError(f"only the forward of {type(self.wrapped).__name__} knows how its parts follow")
        output: Tensor = self.parts()[name](x)
        return output

    def run_from(self, first: str, x: Tensor) -> Tensor:
        """Logits (N, conditions); where parts cannot be run one by one, from recordings alone."""
        if first == next(iter(self.parts())):
            return self(x)
        return super().run_from(first, x)

    def features(self, x: Tensor) -> Tensor:
        """(N, leads, samples) to what the head is given, by the module's own ``forward``."""
        *_, head = self.parts().values()
        given: list[Tensor] = []
        hook = head.register_forward_pre_hook(lambda _module, inputs: given.append(inputs[0]))
        try:
            self(x)
        finally:
            hook.remove()
        return given[-1]

    def forward(self, x: Tensor) -> Tensor:
        """The module's own, (N, leads, samples) to logits (N, conditions)."""
        logits: Tensor = self.wrapped(x)
        return logits

    def state_dict(self, *args: Any, **options: Any) -> Any:
        """The wrapped module's, with the options of ``nn.Module.state_dict``."""
        return self.wrapped.state_dict(*args, **options)


def _add_prefix(module: nn.Module, state: Mapping[str, Any], prefix: str, *_: Any) -> None:
    """Before loading: the wrapped module's names to those under which torch looks for its tensors."""
    assert isinstance(state, dict)
    for key in [key for key in state if key.startswith(prefix)]:
        state[f"{prefix}{_ATTRIBUTE}.{key.removeprefix(prefix)}"] = state.pop(key)
