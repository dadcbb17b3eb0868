"""A configuration that was saved with a run, through the schema again: what it instantiates is checked first."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, cast

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from ecgfounder_ft.config.compose import ConfigurationError
from ecgfounder_ft.config.schema import (
    Config,
    ModelConfig,
    TaskConfig,
    own_targets,
    register_schemas,
    schema_of_target,
)
from ecgfounder_ft.data.sources.source import data_sources
from ecgfounder_ft.targets import refuse_untrusted, targets_in


def stored_configuration(content: Mapping[str, Any], file: Path, trusted: Collection[str] = ()) -> DictConfig:
    """A run's saved configuration as the schema types it; nothing of it has been instantiated.

    Args:
        content: of the file, plain containers.
        file: for messages.
        trusted: dotted names beside this package's own, torch's and Lightning's that the user lets it instantiate.

    Raises:
        UntrustedTargetError: if it wants something else instantiated.
        ConfigurationError: if it has a key or value that the schema does not know.
    """
    register_schemas()
    refuse_untrusted(content, own_targets(), trusted, str(file))
    config = OmegaConf.structured(Config)
    config.task, config.model = TaskConfig(), ModelConfig()
    try:
        _type(config, "data", data_sources()[str(content["data"]["source"])])
        for path, target in targets_in(content):
            schema = schema_of_target(target)
            if schema is not None:
                _type(config, path, schema)
        return cast(DictConfig, OmegaConf.merge(config, dict(content)))
    except (OmegaConfBaseException, KeyError, TypeError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ConfigurationError(
            f"{file}: not a configuration of this version ({reason}). It was written by another version, or edited"
        ) from error


def _type(config: DictConfig, path: str, schema: type) -> None:
    *parents, name = path.split(".")
    node: Any = config
    for parent in parents:
        if OmegaConf.is_missing(node, parent):
            node[parent] = {}
        node = node[parent]
    node[name] = OmegaConf.structured(schema)
