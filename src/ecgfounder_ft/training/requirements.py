"""What a training needs, looked for before the first recording is read: sense, a device, recordings, weights."""

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import torch
from hydra.utils import get_object, instantiate

from ecgfounder_ft.config.choices import ConfigurationError
from ecgfounder_ft.config.settings import Settings
from ecgfounder_ft.config.slips import suggestion
from ecgfounder_ft.data.sources.source import require_data
from ecgfounder_ft.errors import ExplainedError
from ecgfounder_ft.model.pretrained import require_weights
from ecgfounder_ft.targets import targets_in
from ecgfounder_ft.training.build import scheduler_of
from ecgfounder_ft.training.device import require_device
from ecgfounder_ft.training.monitor import direction_of
from ecgfounder_ft.training.settle import refuse_contradictions


def require_trainable(settings: Settings) -> None:
    """Refuse, before anything is made, a training that could not come to its end.

    Raises:
        ExplainedError: that says what is missing or wrong, and what to do.
    """
    refuse_contradictions(settings)
    _refuse_unknown_arguments(settings.content)
    _refuse_unknown_monitors(settings)
    _try_optimizer(settings)
    require_device(settings.trainer)
    require_data(settings.source, settings.label_map, settings.split.minimum)
    model = settings.model
    if model.weights is not None:
        require_weights(model.weights, Path(model.checkpoint_dir), len(model.leads))


def _refuse_unknown_arguments(content: Mapping[str, Any]) -> None:
    """Keys that a class does not take, as ``+trainer.max_epoch=3`` adds them."""
    for path, target in targets_in(content):
        found = _class_named(str(target), path)
        parameters = inspect.signature(found).parameters
        if any(one.kind is one.VAR_KEYWORD for one in parameters.values()):
            continue
        node = _node(content, path)
        for key in (str(one) for one in node if not str(one).startswith("_")):
            if key not in parameters:
                raise ConfigurationError(f"{path}.{key}: {target} takes no {key}.{suggestion(key, list(parameters))}")


def _class_named(target: str, path: str) -> Any:
    try:
        return get_object(target)
    except Exception as error:  # importing runs what the user wrote
        cause = error.__cause__ or error
        raise ConfigurationError(
            f"{path}._target_={target}: cannot be imported ({type(cause).__name__}: {str(cause).splitlines()[0]}). "
            "Expected package.module.Class, of an installed package or a module beside where you start"
        ) from error


def _node(content: Any, path: str) -> Mapping[str, Any]:
    for part in path.replace("[", ".").replace("]", "").split("."):
        content = content[int(part)] if isinstance(content, list) else content[part]
    return cast(Mapping[str, Any], content)


def _refuse_unknown_monitors(settings: Settings) -> None:
    """A metric that is never logged would stop the run after its first epoch."""
    named = {"monitor.name": settings.monitor.name, "optimized_metric": settings.optimized_metric}
    if settings.wise_ft.floor is not None:
        named["wise_ft.floor"] = settings.wise_ft.floor
    for name, callback in settings.callbacks.items():
        if callback.get("monitor") is not None:
            named[f"callbacks.{name}.monitor"] = callback["monitor"]
    conditions = settings.label_map.codes
    for key, metric in named.items():
        direction_of(metric)
        code = str(metric).partition("/auroc/")[2]
        if code and code not in conditions:
            raise ConfigurationError(f"{key}={metric}: no such condition; there are {', '.join(conditions)}")


def _try_optimizer(settings: Settings) -> None:
    """Make optimizer and schedule for one parameter, so that what they refuse is said now."""
    part = "optimizer"
    try:
        parameter = torch.nn.Parameter(torch.zeros(1))
        build = cast(Any, instantiate(settings.optimizer, _partial_=True, _convert_="all"))
        optimizer = build([{"params": [parameter]}])
        part = "scheduler"
        scheduler_of(settings.scheduler)(optimizer, 10)
    except ExplainedError:
        raise
    except Exception as error:  # whatever a class of torch, or of the user's, raises for its arguments
        cause = error.__cause__ or error
        raise ConfigurationError(f"{part}: {str(cause).splitlines()[0]}") from error
