"""The arguments of Net1D, apart from the network itself, so that a configuration is checked without importing torch."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from omegaconf import MISSING

from ecgfounder_ft.model.ecgfounder import NET1D


@dataclass
class Net1DArchitecture:
    """Arguments of :class:`~ecgfounder_ft.model.ecgfounder.net1d.Net1D`; their meaning stands there."""

    _target_: str = NET1D
    in_channels: int = MISSING
    num_classes: int = MISSING
    base_filters: int = MISSING
    filter_list: list[int] = MISSING
    m_blocks: list[int] = MISSING
    kernel_size: int = MISSING
    stride: int = MISSING
    groups_width: int = MISSING
    ratio: float = MISSING


def sizes_in(file: Path) -> dict[str, Any]:
    """Net1D's arguments in a file of ``configs/model/architecture``, but for the numbers of leads and of conditions.

    Those two are interpolated from the rest of a configuration; without one, the caller knows them.
    """
    content = yaml.safe_load(file.read_text(encoding="utf-8"))
    left_out = ("defaults", "_target_", "in_channels", "num_classes")
    return {key: value for key, value in content.items() if key not in left_out}
