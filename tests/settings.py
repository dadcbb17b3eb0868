"""Settings with the values that ship, and some of them changed: the classes have none of their own."""

from pathlib import Path
from typing import Any

import yaml

from ecgfounder_ft.data.augmentation import Augmentation
from ecgfounder_ft.data.split_settings import SplitSettings

CONFIGS = Path(__file__).parents[1] / "configs"


def split_settings(**changes: Any) -> SplitSettings:
    """configs/split/random.yaml."""
    return SplitSettings(**(_shipped("split/random") | changes))


def augmentation(**changes: Any) -> Augmentation:
    """configs/augment/none.yaml, at 500 Hz and with seed 0."""
    return Augmentation(**(_shipped("augment/none") | {"sampling_rate": 500.0, "seed": 0} | changes))


def _shipped(name: str) -> dict[str, Any]:
    content = yaml.safe_load((CONFIGS / f"{name}.yaml").read_text(encoding="utf-8"))
    return {key: value for key, value in content.items() if key != "defaults"}
