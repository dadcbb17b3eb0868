"""Settings with the values that ship, and some of them changed: the classes have none of their own."""

from pathlib import Path
from typing import Any

import yaml

from ecgfounder_ft import finetune, losses, schedules
from ecgfounder_ft.data.augmentation import Augmentation
from ecgfounder_ft.data.split_settings import SplitSettings
from ecgfounder_ft.discovery import classes_in
from ecgfounder_ft.evaluation.settings import EvaluationSettings
from ecgfounder_ft.finetune.strategy import Strategy
from ecgfounder_ft.losses.loss import Loss
from ecgfounder_ft.schedules.schedule import Schedule

CONFIGS = Path(__file__).parents[1] / "configs"


def split_settings(**changes: Any) -> SplitSettings:
    """configs/split/random.yaml, with seed 0."""
    return SplitSettings(**(_shipped("split/random") | {"seed": 0} | changes))


def augmentation(**changes: Any) -> Augmentation:
    """configs/augment/none.yaml, at 500 Hz and with seed 0."""
    return Augmentation(**(_shipped("augment/none") | {"sampling_rate": 500.0, "seed": 0} | changes))


def _shipped(name: str) -> dict[str, Any]:
    content = yaml.safe_load((CONFIGS / f"{name}.yaml").read_text(encoding="utf-8"))
    return {key: value for key, value in content.items() if key != "defaults"}


def evaluation_settings(**changes: Any) -> EvaluationSettings:
    """Those of configs/train.yaml, with changes."""
    values = yaml.safe_load((CONFIGS / "train.yaml").read_text())["evaluation"]
    return EvaluationSettings(**{**values, **changes})


def strategy(name: str, **changes: Any) -> Strategy:
    """configs/finetune/<name>.yaml."""
    return classes_in(finetune, Strategy)[name](**(_shipped(f"finetune/{name}") | changes))  # type: ignore[type-abstract]


def loss(name: str, **changes: Any) -> Loss:
    """configs/task/loss/<name>.yaml."""
    return classes_in(losses, Loss)[name](**(_shipped(f"task/loss/{name}") | changes))  # type: ignore[type-abstract]


def schedule(name: str, **changes: Any) -> Schedule:
    """configs/scheduler/<name>.yaml."""
    return classes_in(schedules, Schedule)[name](**(_shipped(f"scheduler/{name}") | changes))  # type: ignore[type-abstract]
