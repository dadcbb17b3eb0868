"""The typed schema of a whole configuration. A misspelt key is refused wherever it stands, experiments included.

The values, and a comment with the unit of each, are in ``configs/``. Classes of this package are their own schema: data
sources, strategies, losses, schedules, augmentation, preprocessing, label map, split and evaluation are found where
they are defined. The schema of a class of torch, Lightning or Optuna is made from the keys of the shipped file that
names it. Nothing here imports torch or numpy, so that ``--help`` and a refused configuration answer at once.
"""

import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, make_dataclass
from pathlib import Path
from typing import Any

import yaml
from hydra.core.config_store import ConfigStore
from omegaconf import MISSING, OmegaConf

from ecgfounder_ft import designs, finetune, losses, schedules
from ecgfounder_ft.config.choices import config_folder
from ecgfounder_ft.data.augmentation import Augmentation
from ecgfounder_ft.data.sources.source import data_sources
from ecgfounder_ft.data.split_settings import SplitSettings
from ecgfounder_ft.designs.design import Design
from ecgfounder_ft.discovery import classes_in
from ecgfounder_ft.ecg.preprocessing_settings import PreprocessingSettings
from ecgfounder_ft.evaluation.settings import EvaluationSettings
from ecgfounder_ft.finetune.strategy import Strategy
from ecgfounder_ft.labels import LabelMap
from ecgfounder_ft.losses.loss import Loss
from ecgfounder_ft.schedules.schedule import Schedule

PROVIDER = "ecgfounder_ft"
"""Name under which Hydra's store holds the schemas."""


@dataclass(kw_only=True)
class TaskSettings:
    """The prediction task and the loss that trains it."""

    name: str
    """``single_label`` or ``multi_label``."""
    loss: Any
    """Loss function, with its ``_target_``."""


@dataclass(kw_only=True)
class ModelSettings:
    """The network and its start."""

    leads: list[str]
    """Leads that it reads, in order."""
    weights: str | None
    """Name of known weights, or a file; None: a random start."""
    head: str
    """Start of the last layer: ``random``, ``pretrained`` or ``auto``."""
    shifts: list[float]
    """Shifts in s whose answers are averaged outside of training."""
    checkpoint_dir: str
    """Folder of downloaded weights."""
    architecture: Any
    """Class (``_target_``) and arguments of the network."""


@dataclass(kw_only=True)
class MonitorSettings:
    """The validation metric that decides which epoch is the best."""

    name: str
    """Name of the metric, for example ``validation/loss``."""
    mode: str
    """``min`` or ``max``."""


@dataclass(kw_only=True)
class WiseFTSettings:
    """Interpolation between the weights at the start and at the end of training."""

    enabled: bool
    """Whether to interpolate."""
    coefficients: list[float]
    """Shares of the end that are tried, 0 to 1."""
    floor: str | None
    """Metric in which the result is never worse than the start; None: no such limit."""


@dataclass(kw_only=True)
class LRFinderSettings:
    """The learning-rate range test before training."""

    enabled: bool
    """Whether to search for a learning rate."""
    lowest: float
    """First learning rate."""
    highest: float
    """Last learning rate."""
    steps: int
    """Number of learning rates between the two."""


@dataclass(kw_only=True)
class BatchSettings:
    """The batches of training, as the configuration's ``data`` group states them."""

    batch_size: Any  # int or "auto"; OmegaConf cannot merge a union
    """Recordings per step and device, or ``auto``."""
    imbalance: str
    """Remedy for rare conditions: ``none``, ``balanced_sampler`` or ``pos_weight``."""

    def __post_init__(self) -> None:
        size = self.batch_size
        if size != "auto" and not (isinstance(size, int) and not isinstance(size, bool) and size >= 1):
            raise ValueError(f"data.batch_size is {size!r}, expected a number of recordings or auto")
        known = ("none", "balanced_sampler", "pos_weight")
        if self.imbalance not in known:
            raise ValueError(f"data.imbalance is {self.imbalance!r}, expected one of: {', '.join(known)}")


@dataclass
class Config:
    """A whole configuration, before its values are known."""

    labels: LabelMap = MISSING
    data: Any = MISSING
    task: TaskSettings = MISSING
    split: SplitSettings = MISSING
    preprocessing: PreprocessingSettings = MISSING
    model: ModelSettings = MISSING
    finetune: Any = MISSING
    augment: Augmentation = MISSING
    optimizer: Any = MISSING
    scheduler: Any = MISSING
    trainer: Any = MISSING
    tf32: bool = MISSING
    monitor: MonitorSettings = MISSING
    evaluation: EvaluationSettings = MISSING
    callbacks: dict[str, Any] = MISSING
    logger: dict[str, Any] = field(default_factory=dict)  # as logger=[] leaves it
    optimized_metric: str = MISSING
    sweep: Any = MISSING
    wise_ft: WiseFTSettings = MISSING
    lr_finder: LRFinderSettings = MISSING
    resume: str | None = MISSING
    trusted_targets: list[str] = MISSING
    seed: int = MISSING
    output_dir: str = MISSING


def dotted_name(target: type) -> str:
    """Return the name of a class as a ``_target_`` states it."""
    return f"{target.__module__}.{target.__qualname__}"


def with_target(settings: type) -> type:
    """Make the schema of a class that is instantiated: its own fields, and ``_target_``."""
    fields = [("_target_", str, field(default=dotted_name(settings)))]
    return make_dataclass(settings.__name__, fields, bases=(settings,), kw_only=True)


def with_batches(source: type) -> type:
    """Make the schema of the ``data`` group for a source: its own fields, and those of the batches."""
    return make_dataclass(source.__name__, [], bases=(source, BatchSettings), kw_only=True)


OTHERS = (
    "model/architecture",
    "optimizer",
    "scheduler",
    "trainer",
    "callbacks",
    "logger",
    "hydra/launcher",
    "sweep/sampler",
    "sweep/pruner",
)
"""Groups whose files name classes of other packages, or classes that import torch."""
_OF_SEVERAL_KINDS = ("devices", "version")
"""Arguments of others that take a number as well as a word."""


def _schemas_of_others(group: str) -> Iterator[tuple[str, type]]:
    """Read the shipped files of a group and make a schema for each class of another package that they name.

    A file asks for the schema in its ``defaults``, as ``adamw_schema``, or as ``ema_schema@ema`` for the values below
    one key. Keys that the file has are the keys that may be set; a number or a truth value has to stay one.
    """
    for file in sorted((config_folder() / group).glob("*.yaml")):
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
        for entry in content.get("defaults", []):
            if not isinstance(entry, str) or "_schema" not in entry:
                continue
            name, _, key = entry.partition("@")
            values = content[key] if key else content
            if "_target_" in values:
                yield name, _schema_of(name, values)


def _schema_of(name: str, values: Mapping[str, Any]) -> type:
    fields: list[Any] = [("_target_", str, field(default=values["_target_"]))]
    for key, value in values.items():
        if key not in ("defaults", "_target_"):
            kind: Any = Any
            if type(value) in (bool, int, float) and key not in _OF_SEVERAL_KINDS:
                kind = type(value) | None
            elif _is_float(value):
                kind = float | None
            fields.append((key, kind, field(default=MISSING)))
    return make_dataclass(name, fields)


def _is_float(value: Any) -> bool:
    """Tell whether a text is a number to OmegaConf, as ``1e-3`` is, though not to YAML 1.1."""
    try:
        return isinstance(value, str) and value not in ("", "nan", "inf") and float(value) is not None
    except ValueError:
        return False


@functools.cache
def schemas() -> Mapping[str, Mapping[str, type]]:
    """Return configuration group to the schemas that its files name in their ``defaults``."""
    own: dict[str, Mapping[str, type]] = {
        "finetune": classes_in(finetune, Strategy),  # type: ignore[type-abstract]
        "task/loss": classes_in(losses, Loss),  # type: ignore[type-abstract]
        "scheduler": classes_in(schedules, Schedule),  # type: ignore[type-abstract]
        "sweep": classes_in(designs, Design),  # type: ignore[type-abstract]
    }
    found: dict[str, dict[str, type]] = {
        "": {"config_schema": Config},
        "labels": {"label_map_schema": LabelMap},
        "data": {f"{name}_schema": with_batches(source) for name, source in data_sources().items()},
        "task": {"task_schema": TaskSettings},
        "split": {"split_schema": SplitSettings},
        "preprocessing": {"preprocessing_schema": PreprocessingSettings},
        "model": {"model_schema": ModelSettings},
        "augment": {"augmentation_schema": with_target(Augmentation)},
    }
    for group, classes in own.items():
        found[group] = {f"{name}_schema": with_target(settings) for name, settings in classes.items()}
    for group in OTHERS:
        found[group] = {**found.get(group, {}), **dict(_schemas_of_others(group))}
    return found


def schema_of_target(target: str) -> type | None:
    """Return the schema of the class that a ``_target_`` names; None if it has none."""
    for group in schemas().values():
        for schema in group.values():
            if getattr(schema, "_target_", None) == target:
                return schema
    return None


def is_own(schema: type) -> bool:
    """Tell whether a schema was made from a class of this package, which checks its own values."""
    return any(base.__module__.startswith("ecgfounder_ft.") for base in schema.__mro__[1:])


def own_targets() -> frozenset[str]:
    """Return every ``_target_`` of the shipped schemas."""
    named = (getattr(schema, "_target_", None) for group in schemas().values() for schema in group.values())
    return frozenset(target for target in named if target)


def register_schemas() -> None:
    """Tell Hydra of the schemas, and of what interpolations call; needed before a configuration is composed."""
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
