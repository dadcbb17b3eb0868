"""Values that cannot be meant, refused before anything is read or written. Imports no torch.

Classes of settings refuse theirs themselves when they are made; here they are made. What torch and Lightning define,
and what has no class of its own, is looked at here.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any, cast

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from ecgfounder_ft.config.compose import ConfigurationError, typed
from ecgfounder_ft.config.schema import schema_of_target
from ecgfounder_ft.config.slips import plain_words, suggestion
from ecgfounder_ft.data.sources.source import source_named
from ecgfounder_ft.data.split_settings import SplitSettings
from ecgfounder_ft.ecg.leads import STANDARD_LEADS, canonical_lead
from ecgfounder_ft.ecg.preprocessing_settings import PreprocessingSettings
from ecgfounder_ft.evaluation.settings import EvaluationSettings
from ecgfounder_ft.labels import LabelMap
from ecgfounder_ft.losses.loss import Loss
from ecgfounder_ft.task import task_named

ACCELERATORS = ("auto", "cpu", "gpu", "cuda")
PRECISIONS = ("auto", "32-true", "bf16-mixed", "16-mixed")
HEADS = ("random", "pretrained", "auto")
LARGEST_SEED = 2**32 - 1
"""That numpy takes."""

Rule = tuple[Callable[[Any], bool], str]


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
    "model.head": _one_of(*HEADS),
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
    "trainer.accelerator": _one_of(*ACCELERATORS),
    "trainer.devices": _DEVICES,
    "trainer.precision": _one_of(*PRECISIONS),
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
"""Dotted key to what its value has to be; keys that a configuration has not are passed over."""


def refuse_impossible_values(config: DictConfig) -> None:
    """Refuse a configuration that could not be trained, whatever the recordings.

    Raises:
        ConfigurationError: that names the value, says what was expected, and what to type.
    """
    for key in sorted(map(str, OmegaConf.missing_keys(config))):
        raise ConfigurationError(f"{key} has no value, and needs one: type {key}=...")
    content = _resolved(config)
    for group in ("labels", "data", "task", "split", "preprocessing", "model", "finetune", "augment"):
        if not isinstance(content.get(group), dict):
            raise ConfigurationError(f"{group} was taken away; choose one, {group}=...")
    for key, (holds, expected) in RULES.items():
        found, value = _value(content, key)
        if found and not holds(value):
            raise ConfigurationError(f"{key}={_shown(value)}: expected {expected}")
    _refuse_leads(content["model"]["leads"])
    if len(content["preprocessing"]["leads"]) != len(content["model"]["leads"]):
        raise ConfigurationError(
            f"preprocessing.leads are {len(content['preprocessing']['leads'])}, and model.leads "
            f"{len(content['model']['leads'])}: type model.leads=[...] alone, which preprocessing follows"
        )
    if content["lr_finder"]["lowest"] >= content["lr_finder"]["highest"]:
        raise ConfigurationError("lr_finder.lowest is not below lr_finder.highest")
    for settings, group in (
        (LabelMap, "labels"),
        (SplitSettings, "split"),
        (PreprocessingSettings, "preprocessing"),
        (EvaluationSettings, "evaluation"),
        (source_named(content["data"]["source"]), "data"),
    ):
        _made(settings, content[group], group)
    for group in ("finetune", "augment", "scheduler", "optimizer"):
        _made_of_target(content[group], group)
    _refuse_loss(content["task"])


def _resolved(config: DictConfig) -> dict[str, Any]:
    try:
        return cast(dict[str, Any], OmegaConf.to_container(config, resolve=True))
    except OmegaConfBaseException as error:
        raise ConfigurationError(
            f"{getattr(error, 'full_key', None) or 'the configuration'}: {plain_words(str(error))}. It is made from "
            "other values by ${...}; look at those"
        ) from error


def _made(settings: type, content: Mapping[str, Any], group: str) -> Any:
    try:
        return typed(settings, dict(content))
    except ConfigurationError as error:
        raise ConfigurationError(str(error) if group in str(error) else f"{group}: {error}") from error


def _made_of_target(content: Any, group: str) -> Any:
    """The settings of this package that a ``_target_`` names; None for a class of others."""
    schema = schema_of_target(content["_target_"]) if isinstance(content, dict) and "_target_" in content else None
    if schema is None or not schema.__mro__[1].__module__.startswith("ecgfounder_ft."):
        return None
    if schema.__module__.endswith("third_party"):  # keys may be added to those, as torch has more than are listed
        return None
    return _made(schema, content, group)


def _refuse_leads(leads: Any) -> None:
    if not isinstance(leads, list) or not leads:
        raise ConfigurationError(f"model.leads={_shown(leads)}: expected some of [{','.join(STANDARD_LEADS)}]")
    for lead in map(str, leads):
        if canonical_lead(lead) not in STANDARD_LEADS:
            raise ConfigurationError(
                f"model.leads names {lead}, which is no lead.{suggestion(lead, STANDARD_LEADS)} There are "
                f"{', '.join(STANDARD_LEADS)}"
            )


def _refuse_loss(task: Mapping[str, Any]) -> None:
    try:
        chosen = task_named(str(task["name"]))
    except (KeyError, ValueError) as error:
        raise ConfigurationError(f"task.name: {str(error).strip(chr(39))}") from error
    loss = _made_of_target(task["loss"], "task.loss")
    if isinstance(loss, Loss) and loss.exclusive != chosen.exclusive:
        raise ConfigurationError(
            f"task.loss is {type(loss).__name__}, which is not made for task={chosen.name}; its own is "
            f"task/loss={chosen.default_loss}"
        )


def _value(content: Any, key: str) -> tuple[bool, Any]:
    for part in key.split("."):
        if not isinstance(content, dict) or part not in content:
            return False, None
        content = content[part]
    return True, content


def _shown(value: Any) -> str:
    text = "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
