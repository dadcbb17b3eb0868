"""Composing a configuration from its files and from what a user types. Imports no torch."""

import logging
from collections.abc import Sequence
from dataclasses import fields
from typing import Any

import yaml
from hydra.core.config_search_path import ConfigSearchPath, SearchPathQuery
from hydra.errors import HydraException
from hydra.plugins.search_path_plugin import SearchPathPlugin
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from ecgfounder_ft.config.choices import ConfigurationError, choices, config_folder, own_config_folder
from ecgfounder_ft.config.schema import PROVIDER, register_schemas, schemas
from ecgfounder_ft.config.settings import Settings, settings_of
from ecgfounder_ft.config.slips import explain
from ecgfounder_ft.labels import LabelMap

log = logging.getLogger(__name__)

UNREADABLE = (HydraException, OmegaConfBaseException, yaml.YAMLError, ValueError, TypeError, AttributeError, OSError)
"""Errors that Hydra and the libraries below it raise for an unusable file or line."""


def log_own_config_folder() -> None:
    """Log which folder of the user's takes precedence, if there is one.

    Raises:
        ConfigurationError: if the package's folder is not there.
    """
    own = own_config_folder()
    if own is not None:
        log.info("Configurations: files of %s take precedence over those of the package", own)


class OwnConfigFolder(SearchPathPlugin):
    """Puts the user's folder before the package's, for ``hydra.main`` as for ``compose``.

    Other searches of the same process, of an application that uses this package as a library, are left alone.
    """

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        """Called by Hydra after its own folder and the application's are in ``search_path``."""
        own, packages = own_config_folder(), str(config_folder())
        if own is not None and any(entry.path == packages for entry in search_path.get_path()):
            search_path.prepend("own", f"file://{own}", anchor=SearchPathQuery(path=packages))


def register_configurations() -> None:
    """Make schemas and the user's folder known to Hydra; called before a configuration is composed."""
    from hydra.core.config_store import ConfigStore
    from hydra.core.plugins import Plugins

    register_schemas()
    Plugins.instance().register(OwnConfigFolder)
    # The name by which Hydra's users know it. The plugin has registered a choice of its own by now, which stops at the
    # first lost trial; a file of this name would be merged into that
    launcher = {"defaults": ["slurm", "_self_"]}
    ConfigStore.instance().store(group="hydra/launcher", name="submitit_slurm", node=launcher, provider=PROVIDER)


def compose_config(overrides: Sequence[str] = ()) -> DictConfig:
    """Compose the configuration of ``ecgfounder-ft train <overrides>``, without Hydra's own part and unchecked.

    Raises:
        ConfigurationError: if an override names what does not exist.
    """
    from hydra import compose, initialize_config_dir

    register_configurations()
    log_own_config_folder()
    try:
        with initialize_config_dir(str(config_folder()), version_base="1.3"):
            config = compose("train", overrides=list(overrides), return_hydra_config=False)
    except UNREADABLE as error:
        raise ConfigurationError(explained(error, overrides)) from error
    if OmegaConf.is_missing(config, "output_dir") or OmegaConf.is_interpolation(config, "output_dir"):
        config.output_dir = "outputs"  # the run folder is Hydra's to name, and there is no run
    return config


def explained(error: Exception, overrides: Sequence[str]) -> str:
    """What Hydra or OmegaConf refuses of overrides or of a file, in the user's words."""
    return explain(error, overrides, choices, lambda: keys_of(overrides), choices_with)


def choices_with(key: str) -> list[str]:
    """The choices, as typed, that have a dotted key: ``finetune.rank`` is there with ``finetune=lora``."""
    group, _, name = key.rpartition(".")
    group = group.replace(".", "/")
    return [
        f"{group}={schema.removesuffix('_schema')}"
        for schema, settings in schemas().get(group, {}).items()
        if name in {entry.name for entry in fields(settings)} and schema.removesuffix("_schema") in _names(group)
    ]


def _names(group: str) -> set[str]:
    return {name.rstrip("*") for name in choices().get(group, ())}


def keys_of(overrides: Sequence[str]) -> list[str]:
    """Every dotted key of the configuration that the choices among some overrides make, or else of the shipped one."""
    from hydra import compose, initialize_config_dir

    register_configurations()
    groups = choices()
    chosen = [one for one in overrides if one.partition("=")[0] in groups]
    for attempt in (chosen, []):
        with initialize_config_dir(str(config_folder()), version_base="1.3"):
            try:
                config = compose("train", overrides=attempt, return_hydra_config=True)
            except UNREADABLE:
                continue
        return _paths(OmegaConf.to_container(config, resolve=False))
    return []


def _paths(content: Any, path: str = "") -> list[str]:
    found = [path] if path else []
    if isinstance(content, dict):
        for key, value in content.items():
            found += _paths(value, f"{path}.{key}" if path else str(key))
    return found


def compose_settings(overrides: Sequence[str] = ()) -> Settings:
    """Compose the settings that ``ecgfounder-ft train <overrides>`` would run with.

    Raises:
        ConfigurationError: if an override names what does not exist, or a value is impossible.
    """
    return settings_of(compose_config(overrides))


def load_label_map(name: str) -> LabelMap:
    """Read the label map ``labels/<name>.yaml`` of the user's folder or of the package's.

    Raises:
        ConfigurationError: if no label map has that name; the message lists all of them.
    """
    folders = [folder / "labels" for folder in (own_config_folder(), config_folder()) if folder is not None]
    if not any((folder / f"{name}.yaml").is_file() for folder in folders):
        there = ", ".join(sorted({path.stem for folder in folders for path in folder.glob("*.yaml")}))
        looked = " or ".join(str(folder) for folder in folders)
        raise ConfigurationError(f"no label map '{name}' in {looked}; there are {there}")
    return compose_settings([f"labels={name}"]).label_map
