"""The settings of a run: one frozen object, made once from a composed or saved configuration.

Hydra composes; :func:`settings_of` turns the result into objects and checks every value. Functions below take the part
that they need. What Hydra instantiates from classes of other packages stays a plain dictionary. Imports no torch.
"""

import copy
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar, cast

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from ecgfounder_ft.config.choices import ConfigurationError
from ecgfounder_ft.config.schema import (
    BatchSettings,
    LRFinderSettings,
    ModelSettings,
    MonitorSettings,
    WiseFTSettings,
    dotted_name,
    is_own,
    schema_of_target,
)
from ecgfounder_ft.config.slips import plain_words, suggestion
from ecgfounder_ft.data.augmentation import Augmentation
from ecgfounder_ft.data.sources.source import DataSource, source_named
from ecgfounder_ft.data.split_settings import SplitSettings
from ecgfounder_ft.designs.design import Design, DesignError
from ecgfounder_ft.ecg.leads import STANDARD_LEADS, canonical_lead
from ecgfounder_ft.ecg.preprocessing_settings import PreprocessingSettings
from ecgfounder_ft.errors import ExplainedError
from ecgfounder_ft.evaluation.settings import EvaluationSettings
from ecgfounder_ft.finetune.strategy import Strategy
from ecgfounder_ft.labels import LabelMap
from ecgfounder_ft.losses.loss import Loss
from ecgfounder_ft.schedules.schedule import Schedule
from ecgfounder_ft.task import Task, task_named

Made = TypeVar("Made")
Node = Mapping[str, Any]
"""Class (``_target_``) and arguments of something that Hydra instantiates."""


@dataclass(frozen=True)
class TrainerSettings:
    """Values of the Lightning trainer that decide more than its own behaviour."""

    max_epochs: int
    accelerator: str
    """``auto``, ``cpu``, ``gpu`` or ``cuda``."""
    devices: Any
    """Number of devices, ``auto``, or a list of their indices."""
    num_nodes: int
    precision: str
    """``auto``, or a precision as Lightning names it."""
    accumulate_grad_batches: int
    """Batches per optimizer step."""
    enable_progress_bar: bool
    node: Node
    """All arguments of ``pytorch_lightning.Trainer``."""


@dataclass(frozen=True)
class Settings:
    """Everything that a run was told. Each value has been checked, and none changes afterwards."""

    content: dict[str, Any]
    """The configuration in plain containers, resolved; ``config.yaml`` and checkpoints hold it."""
    label_map: LabelMap
    source: DataSource
    batches: BatchSettings
    task: Task
    loss: Loss | Node
    split: SplitSettings
    preprocessing: PreprocessingSettings
    model: ModelSettings
    strategy: Strategy | Node
    augmentation: Augmentation
    optimizer: Node
    scheduler: Schedule | Node
    trainer: TrainerSettings
    monitor: MonitorSettings
    evaluation: EvaluationSettings
    callbacks: dict[str, Node]
    loggers: dict[str, Node]
    wise_ft: WiseFTSettings
    lr_finder: LRFinderSettings
    optimized_metric: str
    tf32: bool
    seed: int
    resume: Path | None
    """Folder of the run that goes on."""
    trusted_targets: tuple[str, ...]
    output_dir: Path

    def __repr__(self) -> str:
        return f"Settings({self.output_dir})"

    @property
    def learning_rate(self) -> float:
        """Learning rate before any multiplier."""
        return float(self.optimizer["lr"])

    @cached_property
    def design(self) -> Design:
        """Design of the sweep.

        Raises:
            DesignError: if one of its values is impossible.
        """
        return design_in(self.content["sweep"])

    def settled(self, batch_size: int, learning_rate: float) -> "Settings":
        """Return the settings with the two values that may have been found out before training."""
        content = copy.deepcopy(self.content)
        content["data"]["batch_size"] = batch_size
        content["optimizer"]["lr"] = learning_rate
        return replace(
            self,
            content=content,
            batches=replace(self.batches, batch_size=batch_size),
            optimizer=content["optimizer"],
        )


def design_in(node: Node) -> Design:
    """Make the design of a sweep from the ``sweep`` group.

    Raises:
        DesignError: if one of its values is impossible.
    """
    schema = schema_of_target(node["_target_"])
    if schema is None or not issubclass(schema, Design):
        raise DesignError(f"sweep wants {node['_target_']}, which is not a design of sweeps")
    values = {key: value for key, value in node.items() if key != "_target_"}
    try:
        return schema.__mro__[1](**values)
    except ValueError as error:
        raise DesignError(str(error)) from error


def plain_content(config: DictConfig) -> dict[str, Any]:
    """Turn a composed configuration into plain containers, with every interpolation resolved.

    Raises:
        ConfigurationError: if a value is missing or cannot be made from the others.
    """
    try:
        for key in sorted(map(str, OmegaConf.missing_keys(config))):
            raise ConfigurationError(f"{key} has no value, and needs one: type {key}=...")
        return cast(dict[str, Any], OmegaConf.to_container(config, resolve=True))
    except ConfigurationError:
        raise
    except (OmegaConfBaseException, ValueError) as error:
        raise ConfigurationError(
            f"{getattr(error, 'full_key', None) or 'the configuration'}: {plain_words(str(error))}. It is made from "
            "other values by ${...}; look at those"
        ) from error


def unchecked_content(config: DictConfig) -> dict[str, Any]:
    """Turn a configuration of a sweep into plain containers, resolved unless a value is left to the trial to refuse."""
    shown = config.copy()
    OmegaConf.set_readonly(shown, False)
    OmegaConf.set_struct(shown, False)
    shown.output_dir = ""
    try:
        return cast(dict[str, Any], OmegaConf.to_container(shown, resolve=True))
    except OmegaConfBaseException:
        return cast(dict[str, Any], OmegaConf.to_container(shown, resolve=False))


def settings_of(config: DictConfig) -> Settings:
    """Make the settings from a configuration that Hydra composed, or that was read from a run's folder.

    Raises:
        ConfigurationError: that names the first impossible value, says what was expected, and what to type.
    """
    return settings_in(plain_content(config))


def settings_in(content: dict[str, Any]) -> Settings:
    """Make the settings from a configuration in plain containers.

    Raises:
        ConfigurationError: that names the first impossible value, says what was expected, and what to type.
    """
    for group in ("labels", "data", "task", "split", "preprocessing", "model", "finetune", "augment"):
        if not isinstance(content.get(group), dict):
            raise ConfigurationError(f"{group} was taken away; choose one, {group}=...")
    for key, (holds, expected) in RULES.items():
        found, value = _value(content, key)
        if found and not holds(value):
            raise ConfigurationError(f"{key}={_shown(value)}: expected {expected}")
    _refuse_no_paths({key: value for key, value in content.items() if key not in _OF_OTHERS}, ())
    _refuse_leads(content)
    if content["lr_finder"]["lowest"] >= content["lr_finder"]["highest"]:
        raise ConfigurationError("lr_finder.lowest is not below lr_finder.highest")
    label_map = _made(LabelMap, content["labels"], "labels")
    source_class = source_named(content["data"]["source"])
    task = _task(content["task"])
    trainer = content["trainer"]
    return Settings(
        content=content,
        label_map=label_map,
        source=_made(source_class, _part(content["data"], source_class), "data"),
        batches=_made(BatchSettings, _part(content["data"], BatchSettings), "data"),
        task=task,
        loss=_loss(content["task"], task),
        split=_made(SplitSettings, content["split"], "split"),
        preprocessing=_made(PreprocessingSettings, content["preprocessing"], "preprocessing"),
        model=_made(ModelSettings, content["model"], "model"),
        strategy=_made_of_target(content["finetune"], "finetune"),
        augmentation=_made_of_target(content["augment"], "augment"),
        optimizer=content["optimizer"],
        scheduler=_made_of_target(content["scheduler"], "scheduler"),
        trainer=TrainerSettings(**{name: trainer[name] for name in _TRAINER}, node=trainer),
        monitor=_made(MonitorSettings, content["monitor"], "monitor"),
        evaluation=_made(EvaluationSettings, content["evaluation"], "evaluation"),
        callbacks=_nodes(content["callbacks"]),
        loggers=_nodes(content["logger"]),
        wise_ft=_made(WiseFTSettings, content["wise_ft"], "wise_ft"),
        lr_finder=_made(LRFinderSettings, content["lr_finder"], "lr_finder"),
        optimized_metric=content["optimized_metric"],
        tf32=content["tf32"],
        seed=content["seed"],
        resume=None if content["resume"] is None else Path(content["resume"]),
        trusted_targets=tuple(content["trusted_targets"]),
        output_dir=Path(content["output_dir"]),
    )


_TRAINER = tuple(entry.name for entry in fields(TrainerSettings) if entry.name != "node")


def _part(content: Mapping[str, Any], settings: type) -> dict[str, Any]:
    """Take the values of one class from a group that two classes share."""
    other = {entry.name for entry in fields(BatchSettings)}
    mine = settings is BatchSettings
    return {key: value for key, value in content.items() if (key in other) is mine}


def _nodes(content: Mapping[str, Any] | None) -> dict[str, Node]:
    """Leave out what was set to null, as ``callbacks.ema=null`` takes one away."""
    return {str(name): node for name, node in (content or {}).items() if node}


def _made(settings: type[Made], content: Mapping[str, Any], group: str) -> Made:
    """Make an object of a class of settings; texts become numbers where the class has numbers."""
    try:
        return cast(Made, OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(settings), dict(content))))
    except (ExplainedError, OmegaConfBaseException, ValueError, TypeError) as error:
        said = str(error)
        if isinstance(error, OmegaConfBaseException):
            key = getattr(error, "full_key", None)
            said = f"{key}: {plain_words(said)}" if key else plain_words(said)
        raise ConfigurationError(said if group in said else f"{group}: {said}") from error


def _made_of_target(content: Any, group: str) -> Any:
    """Make an object of this package's class that a ``_target_`` names; a class of others stays a node."""
    schema = schema_of_target(content["_target_"]) if isinstance(content, dict) and "_target_" in content else None
    if schema is None or not is_own(schema):
        return content
    own = next(base for base in schema.__mro__[1:] if dotted_name(base) == content["_target_"])
    return _made(own, {key: value for key, value in content.items() if key != "_target_"}, group)


_OF_OTHERS = ("callbacks", "logger", "trainer")
"""Groups of other people's classes, to which an empty text may mean something."""


_PLACE = re.compile(r"(path|root|dir|store|resume)$")
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")


def _refuse_no_paths(content: Any, keys: tuple[str, ...]) -> None:
    """Refuse empty texts, which would be the current folder as a path, and addresses in place of a path."""
    if isinstance(content, str) and not content.strip():
        raise ConfigurationError(
            f"{'.'.join(keys)} is empty: give it a value, or null for none. Is a variable of the shell unset?"
        )
    if isinstance(content, str) and keys and _PLACE.search(keys[-1]) and _ADDRESS.match(content):
        raise ConfigurationError(
            f"{'.'.join(keys)}={content} is an address: copy the files to this machine and name the path here"
        )
    if isinstance(content, dict | list):
        for key, value in content.items() if isinstance(content, dict) else enumerate(content):
            _refuse_no_paths(value, (*keys, str(key)))


def _refuse_leads(content: Mapping[str, Any]) -> None:
    leads, read = content["model"]["leads"], content["preprocessing"]["leads"]
    if not isinstance(leads, list) or not leads:
        raise ConfigurationError(f"model.leads={_shown(leads)}: expected some of [{','.join(STANDARD_LEADS)}]")
    for lead in map(str, leads):
        if canonical_lead(lead) not in STANDARD_LEADS:
            raise ConfigurationError(
                f"model.leads names {lead}, which is no lead.{suggestion(lead, STANDARD_LEADS)} There are "
                f"{', '.join(STANDARD_LEADS)}"
            )
    if len(read) != len(leads):
        raise ConfigurationError(
            f"preprocessing.leads are {len(read)}, and model.leads {len(leads)}: type model.leads=[...] alone, which "
            "preprocessing follows"
        )


def _task(content: Mapping[str, Any]) -> Task:
    try:
        return task_named(str(content["name"]))
    except (KeyError, ValueError) as error:
        raise ConfigurationError(f"task.name: {str(error).strip(chr(39))}") from error


def _loss(content: Mapping[str, Any], task: Task) -> Loss | Node:
    loss = _made_of_target(content["loss"], "task.loss")
    if isinstance(loss, Loss) and loss.exclusive != task.exclusive:
        raise ConfigurationError(
            f"task.loss is {type(loss).__name__}, which is not made for task={task.name}; its own is "
            f"task/loss={task.default_loss}"
        )
    return cast(Loss | Node, loss)


# ------------------------------------------------------------------- values of classes without a check of their own

LARGEST_SEED = 2**32 - 1
"""Largest seed that numpy takes."""

Rule = tuple[Callable[[Any], bool], str]
"""A check, and what it expects in words."""


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _whole(least: int) -> Rule:
    return lambda value: _number(value) and value == int(value) and value >= least, f"a whole number from {least}"


def _share(*, zero: bool = True, one: bool = True) -> Rule:
    words = "from 0" if zero else "above 0"
    upto = "to 1" if one else "and below 1"
    return (
        lambda value: _number(value) and (value >= 0 if zero else value > 0) and (value <= 1 if one else value < 1),
        f"a number {words} {upto}",
    )


def _one_of(*allowed: str) -> Rule:
    return lambda value: value in allowed, f"one of {', '.join(allowed)}"


def _optional(rule: Rule) -> Rule:
    return lambda value: value is None or rule[0](value), f"{rule[1]}, or null"


_POSITIVE: Rule = (lambda value: _number(value) and value > 0, "a number above 0")
_NOT_NEGATIVE: Rule = (lambda value: _number(value) and value >= 0, "a number from 0")
_BATCHES: Rule = (
    lambda value: _number(value) and (value >= 1 and value == int(value) if isinstance(value, int) else 0 < value <= 1),
    "a number of batches from 1, or a share above 0.0 to 1.0",
)
_DEVICES: Rule = (
    lambda value: (
        value in ("auto", -1)
        or (isinstance(value, int) and value >= 1)
        or (isinstance(value, list) and bool(value) and all(isinstance(one, int) and one >= 0 for one in value))
    ),
    "a number from 1, auto, or a list of devices",
)

RULES: Mapping[str, Rule] = {
    "seed": (lambda value: _whole(0)[0](value) and value <= LARGEST_SEED, f"a whole number from 0 to {LARGEST_SEED}"),
    "model.head": _one_of("random", "pretrained", "auto"),
    "optimizer.lr": _POSITIVE,
    "optimizer.weight_decay": _NOT_NEGATIVE,
    "optimizer.momentum": _share(one=False),
    "optimizer.betas": (
        lambda value: isinstance(value, list) and len(value) == 2 and all(map(_share(one=False)[0], value)),
        "two numbers from 0 and below 1",
    ),
    "scheduler.factor": _share(zero=False, one=False),
    "scheduler.patience": _whole(0),
    "scheduler.min_lr": _NOT_NEGATIVE,
    "scheduler.warmup": _share(one=False),
    "scheduler.floor": _share(),
    "trainer.max_epochs": (
        _whole(0)[0],
        "a whole number from 0 (0: the start is evaluated and nothing trained)",
    ),
    "trainer.accelerator": _one_of("auto", "cpu", "gpu", "cuda"),
    "trainer.devices": _DEVICES,
    "trainer.precision": _one_of("auto", "32-true", "bf16-mixed", "16-mixed"),
    "trainer.gradient_clip_val": _optional(_POSITIVE),
    "trainer.accumulate_grad_batches": _whole(1),
    "trainer.log_every_n_steps": _whole(1),
    "trainer.deterministic": (lambda value: value in (True, False, "warn"), "true, false or warn"),
    "trainer.limit_train_batches": _optional(_BATCHES),
    "trainer.limit_val_batches": _optional(_BATCHES),
    "trainer.limit_test_batches": _optional(_BATCHES),
    "lr_finder.lowest": _POSITIVE,
    "lr_finder.highest": _POSITIVE,
    "lr_finder.steps": _whole(2),
    "wise_ft.coefficients": (
        lambda value: isinstance(value, list) and bool(value) and all(map(_share()[0], value)),
        "a list of shares from 0 to 1",
    ),
    "callbacks.early_stopping.patience": _whole(0),
    "callbacks.last_checkpoint.every_n_steps": _optional(_whole(1)),
    "callbacks.ema.decay": _share(),
}
"""Expected values by dotted key; a key that a configuration lacks is passed over."""


def _value(content: Any, key: str) -> tuple[bool, Any]:
    for part in key.split("."):
        if not isinstance(content, dict) or part not in content:
            return False, None
        content = content[part]
    return True, content


def _shown(value: Any) -> str:
    text = "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
