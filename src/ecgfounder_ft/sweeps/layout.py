"""From what is typed behind ``-m`` to the overrides of trials."""

import copy
import hashlib
import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override

from ecgfounder_ft.designs.design import DesignError

NOT_THE_COMMAND = ("sweep.resume", "sweep.n_trials", "sweep.n_jobs")
"""Values that may change from one start of a sweep to the next."""

NOT_THE_TRIAL = ("sweep", "output_dir", "trusted_targets", "data.workers", "trainer.enable_progress_bar")
"""Parts of a configuration that say nothing of what a training ends in."""


@dataclass(frozen=True)
class Typed:
    """What was typed behind ``-m``."""

    fixed: list[str]
    """Overrides that all trials have."""
    axes: dict[str, list[str]]
    """Key to its values, each as typed."""
    ranges: dict[str, Override]
    """Key to a range of numbers without steps, which only a search can take."""
    parsed: dict[str, Override]
    """The axes and ranges as Hydra parsed them."""

    @property
    def keys(self) -> list[str]:
        """Of all that was typed."""
        return [*(one.lstrip("+~").partition("=")[0] for one in self.fixed), *self.axes, *self.ranges]

    def combinations(self) -> list[tuple[str, ...]]:
        """Every combination of the axes' values, as overrides.

        Raises:
            DesignError: if there are ranges.
        """
        if self.ranges:
            raise DesignError(
                f"{', '.join(self.ranges)}: a range without steps takes a search, sweep=optuna. List the values for "
                "anything else"
            )
        choices = ([f"{key}={value}" for value in values] for key, values in self.axes.items())
        return list(itertools.product(*choices))


def parse(arguments: Sequence[str], config_loader: Any) -> Typed:
    """Tell what all trials share from what varies. Several values of ``sweep.<key>`` are one list.

    Raises:
        DesignError: if several designs are asked for at once.
    """
    fixed: list[str] = []
    axes: dict[str, list[str]] = {}
    ranges: dict[str, Override] = {}
    parsed: dict[str, Override] = {}
    for override in OverridesParser.create(config_loader=config_loader).parse_overrides(list(arguments)):
        key = override.get_key_element()
        if not override.is_sweep_override():
            fixed.append(str(override.input_line))
        elif key == "sweep" or key.startswith("sweep/"):
            raise DesignError(f"{override.input_line}: a sweep has one design; start one sweep for each")
        elif not override.is_discrete_sweep():
            ranges[key] = parsed[key] = override
        elif key.startswith("sweep."):
            fixed.append(f"{key}=[{','.join(override.sweep_string_iterator())}]")
        else:
            axes[key], parsed[key] = list(override.sweep_string_iterator()), override
    return Typed(fixed, axes, ranges, parsed)


def command_of(arguments: Sequence[str]) -> list[str]:
    """What makes two starts of a sweep the same: all that was typed, in any order, without :data:`NOT_THE_COMMAND`.

    Of a key that was typed twice the last one counts, as it does for Hydra.
    """
    typed = {entry.lstrip("+").partition("=")[0]: entry for entry in arguments}
    return sorted(entry for key, entry in typed.items() if key not in NOT_THE_COMMAND)


def digest_of(content: Mapping[str, Any]) -> str:
    """Digest a configuration in plain containers, without :data:`NOT_THE_TRIAL`."""
    shown = copy.deepcopy(dict(content))
    for path in ("hydra", *NOT_THE_TRIAL):
        *parents, name = path.split(".")
        node: Any = shown
        for parent in parents:
            node = node.get(parent, {})
        if isinstance(node, dict):
            node.pop(name, None)
    return hashlib.sha256(json.dumps(_plain(shown), sort_keys=True).encode()).hexdigest()[:16]


def _plain(content: Any) -> Any:
    if isinstance(content, Mapping):
        return {str(key): _plain(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [_plain(value) for value in content]
    return content if isinstance(content, str | int | float | bool | None) else str(content)
