"""What sets one run apart from others: the values that were typed for it, in a sweep those that vary in it alone."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from ecgfounder_ft.runs.folder import RunFolder

if TYPE_CHECKING:
    from hydra.core.override_parser.types import Override

_PLACES = ("data.mimic_path", "data.physionet_path", "data.root", "data.path", "data.store", "model.checkpoint_dir")
_WITHOUT_INFLUENCE = ("output_dir", "resume", "trusted_targets", "logger", "trainer.enable_progress_bar", *_PLACES)
"""Keys that say where things are and what is shown, not what is learnt."""
_SWEEP = "multirun.yaml"
"""Hydra's record of a sweep, in its folder."""


def varied_values(run: RunFolder) -> dict[str, str | int | float | bool]:
    """Key to value of what was typed for a run; for a trial of a sweep only what the sweep varies.

    A run that was not started from the command line has none.
    """
    typed = _parsed(run.overrides())
    fixed = {
        override.get_key_element().lstrip("+")
        for override in _parsed(_sweep_overrides(run))
        if not override.is_sweep_override()
    }
    return {
        key: _plain(override.value())
        for override in typed
        if not override.is_delete()
        and (key := override.get_key_element().lstrip("+")) not in fixed
        and not any(key == name or key.startswith(f"{name}.") for name in _WITHOUT_INFLUENCE)
    }


def _sweep_overrides(run: RunFolder) -> list[str]:
    file = Path(run.path).parent / _SWEEP
    if not file.is_file():
        return []
    content: Any = yaml.safe_load(file.read_text(encoding="utf-8"))
    return list(content["hydra"]["overrides"]["task"])


def _parsed(overrides: list[str]) -> "list[Override]":
    from hydra.core.override_parser.overrides_parser import OverridesParser

    return OverridesParser.create().parse_overrides(overrides)


def _plain(value: Any) -> str | int | float | bool:
    return value if isinstance(value, str | int | float | bool) else str(value)
