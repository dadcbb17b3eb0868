"""The settings of a run that was saved: through the schema again, and checked before anything is instantiated."""

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, cast

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from ecgfounder_ft.config.choices import ConfigurationError
from ecgfounder_ft.config.schema import Config, own_targets, register_schemas, schema_of_target, schemas
from ecgfounder_ft.config.settings import Settings, settings_of
from ecgfounder_ft.targets import refuse_untrusted, targets_in

log = logging.getLogger(__name__)


def saved_settings(content: Mapping[str, Any], file: Path, trusted: Collection[str] = ()) -> Settings:
    """Make the settings of a run's saved configuration; nothing of it is instantiated.

    Args:
        content: the file's content in plain containers.
        file: for messages.
        trusted: dotted names beside this package's own, torch's and Lightning's that the user lets it instantiate.

    Raises:
        UntrustedTargetError: if it wants something else instantiated.
        ConfigurationError: if it has a key or value that the schema does not know.
    """
    return settings_of(_with_shipped_values(_through_schema(content, file, trusted), file))


def changed_settings(settings: Settings, overrides: Sequence[str], trusted: Collection[str] = ()) -> Settings:
    """Change single values of saved settings, each typed as ``key=value``.

    Raises:
        UntrustedTargetError: if a value wants something instantiated that is not trusted.
        ConfigurationError: if there is no such value, or a value is impossible.
    """
    config = _through_schema(settings.content, settings.output_dir, trusted)
    for override in overrides:
        try:
            change = OmegaConf.from_dotlist([override])
            refuse_untrusted(OmegaConf.to_container(change), own_targets(), trusted, "the command line")
            config = cast(DictConfig, OmegaConf.merge(config, change))
        except OmegaConfBaseException as error:
            reason = str(error).splitlines()[0]
            raise ConfigurationError(f"{override}: the run's configuration has no such value ({reason})") from error
    return settings_of(config)


def _with_shipped_values(config: DictConfig, file: Path) -> DictConfig:
    """Give settings that are newer than the file the value that ships."""
    missing = sorted(map(str, OmegaConf.missing_keys(config)))
    if missing:
        from ecgfounder_ft.config.compose import compose_config

        shipped = compose_config([f"data={config.data.source}"])
        for key in missing:
            group, _, name = key.rpartition(".")
            values = OmegaConf.select(shipped, group) if group else shipped
            if isinstance(values, DictConfig) and name in values and not OmegaConf.is_missing(values, name):
                value = values[name]
                log.warning("%s does not state %s; it is taken as %s, which ships", file, key, value)
                OmegaConf.update(config, key, value)
    return config


def _through_schema(content: Mapping[str, Any], file: Path, trusted: Collection[str]) -> DictConfig:
    register_schemas()
    refuse_untrusted(content, own_targets(), trusted, str(file))
    config = OmegaConf.structured(Config)
    try:
        for entry in fields(Config):
            if OmegaConf.is_missing(config, entry.name) and is_dataclass(entry.type):
                config[entry.name] = OmegaConf.structured(entry.type)
        _type(config, "data", schemas()["data"][f"{content['data']['source']}_schema"])
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
