"""The typed schema of a whole configuration. A misspelt key is refused wherever it stands, experiments included.

The values, and a comment with the unit of each, are in ``configs/``. Classes of this package are their own schema: data
sources, strategies, losses, schedules, augmentation, preprocessing, label map, split and evaluation are found where
they are defined. Only what is not ours (``third_party.py``) or has no class of its own is repeated here. Nothing here
imports torch or numpy, so that ``--help`` and a refused configuration answer at once.
"""

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field, make_dataclass
from pathlib import Path
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING, OmegaConf

from ecgfounder_ft import designs, finetune, losses, schedules
from ecgfounder_ft.config.third_party import MIRRORS, TrainerConfig
from ecgfounder_ft.data.augmentation import Augmentation
from ecgfounder_ft.data.sources.source import DataSource, data_sources
from ecgfounder_ft.data.split_settings import SplitSettings
from ecgfounder_ft.designs.design import Design
from ecgfounder_ft.discovery import classes_in
from ecgfounder_ft.ecg.preprocessing_settings import PreprocessingSettings
from ecgfounder_ft.evaluation.settings import EvaluationSettings
from ecgfounder_ft.finetune.strategy import Strategy
from ecgfounder_ft.labels import LabelMap
from ecgfounder_ft.losses.loss import Loss
from ecgfounder_ft.model.ecgfounder.architecture import Net1DArchitecture
from ecgfounder_ft.schedules.schedule import Schedule


@dataclass
class TaskConfig:
    """What is predicted, and the loss that trains it."""

    name: str = MISSING
    loss: Any = MISSING


@dataclass
class ModelConfig:
    """The network and where it starts."""

    leads: list[str] = MISSING
    weights: str | None = MISSING
    head: str = MISSING
    shifts: list[float] = MISSING
    checkpoint_dir: str = MISSING
    architecture: Any = MISSING


@dataclass
class MonitorConfig:
    """The validation metric by which the best epoch is known."""

    name: str = MISSING
    mode: str = MISSING


@dataclass
class WiseFTConfig:
    """Interpolation between the weights at the start and at the end of training."""

    enabled: bool = MISSING
    coefficients: list[float] = MISSING
    floor: str | None = MISSING


@dataclass
class LRFinderConfig:
    """The learning-rate range test before training."""

    enabled: bool = MISSING
    lowest: float = MISSING
    highest: float = MISSING
    steps: int = MISSING


@dataclass
class Config:
    """A whole experiment."""

    labels: LabelMap = MISSING
    data: DataSource = MISSING
    task: TaskConfig = MISSING
    split: SplitSettings = MISSING
    preprocessing: PreprocessingSettings = MISSING
    model: ModelConfig = MISSING
    finetune: Any = MISSING
    augment: Augmentation = MISSING
    optimizer: Any = MISSING
    scheduler: Any = MISSING
    trainer: TrainerConfig = MISSING
    tf32: bool = MISSING
    monitor: MonitorConfig = field(default_factory=MonitorConfig)
    evaluation: EvaluationSettings = MISSING
    callbacks: dict[str, Any] = MISSING
    logger: dict[str, Any] = field(default_factory=dict)  # as logger=[] leaves it
    optimized_metric: str = MISSING
    sweep: Any = MISSING
    wise_ft: WiseFTConfig = field(default_factory=WiseFTConfig)
    lr_finder: LRFinderConfig = field(default_factory=LRFinderConfig)
    resume: str | None = MISSING
    trusted_targets: list[str] = MISSING
    seed: int = MISSING
    output_dir: str = MISSING


def dotted_name(target: type) -> str:
    """As a ``_target_`` names it."""
    return f"{target.__module__}.{target.__qualname__}"


def with_target(settings: type) -> type:
    """The schema of a class that is instantiated: its own fields, and ``_target_``."""
    fields = [("_target_", str, field(default=dotted_name(settings)))]
    return make_dataclass(settings.__name__, fields, bases=(settings,), kw_only=True)


PROVIDER = "ecgfounder_ft"
"""Under which Hydra's store holds the schemas."""


@functools.cache
def schemas() -> Mapping[str, Mapping[str, type]]:
    """Configuration group to the schemas that its files name in their ``defaults``, ``<file>_schema`` as a rule."""
    own: dict[str, Mapping[str, type]] = {
        "finetune": classes_in(finetune, Strategy),  # type: ignore[type-abstract]
        "task/loss": classes_in(losses, Loss),  # type: ignore[type-abstract]
        "scheduler": classes_in(schedules, Schedule),  # type: ignore[type-abstract]
        "sweep": classes_in(designs, Design),  # type: ignore[type-abstract]
    }
    found: dict[str, dict[str, type]] = {
        "": {"config_schema": Config},
        "labels": {"label_map_schema": LabelMap},
        "data": {f"{name}_schema": source for name, source in data_sources().items()},
        "task": {"task_schema": TaskConfig},
        "split": {"split_schema": SplitSettings},
        "preprocessing": {"preprocessing_schema": PreprocessingSettings},
        "model": {"model_schema": ModelConfig},
        "model/architecture": {"net1d_schema": Net1DArchitecture},
        "augment": {"augmentation_schema": with_target(Augmentation)},
    }
    for group, classes in own.items():
        found[group] = {f"{name}_schema": with_target(settings) for name, settings in classes.items()}
    for group, mirrors in MIRRORS.items():
        found[group] = {**found.get(group, {}), **mirrors}
    return found


def schema_of_target(target: str) -> type | None:
    """The schema of what a ``_target_`` names; None where it has none."""
    for group in schemas().values():
        for schema in group.values():
            if getattr(schema, "_target_", None) == target:
                return schema
    return None


def own_targets() -> frozenset[str]:
    """Every ``_target_`` of the shipped schemas."""
    named = (getattr(schema, "_target_", None) for group in schemas().values() for schema in group.values())
    return frozenset(target for target in named if target)


def register_schemas() -> None:
    """Make the schemas, and what interpolations call, known to Hydra; called before a configuration is composed."""
    OmegaConf.register_new_resolver(
        "if_set", lambda value, then, otherwise: otherwise if value is None else then, replace=True
    )
    OmegaConf.register_new_resolver("count", len, replace=True)
    OmegaConf.register_new_resolver("short_path", lambda path: "/".join(Path(path).parts[-2:]), replace=True)
    store = ConfigStore.instance()
    there = store.repo.get("config_schema.yaml")
    if there is not None and there.provider == PROVIDER:
        return  # storing them again takes a tenth of the time of composing
    for group, found in schemas().items():
        for name, node in found.items():
            store.store(group=group or None, name=name, node=node, provider=PROVIDER)
