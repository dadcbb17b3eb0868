"""How a configuration is composed: where its files are, and what a user adds to them. Imports no torch."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar, cast

from omegaconf import DictConfig, OmegaConf

from ecgfounder_ft.config.schema import register_schemas
from ecgfounder_ft.errors import ExplainedError
from ecgfounder_ft.labels import LabelMap

Settings = TypeVar("Settings")


class ConfigurationError(ExplainedError):
    """A configuration that cannot be composed."""


def config_folder() -> Path:
    """The folder of the YAML files: ``configs`` in the current folder, or in this package's checkout.

    Raises:
        ConfigurationError: if neither is there.
    """
    candidates = [Path.cwd() / "configs", Path(__file__).parents[3] / "configs"]
    for folder in candidates:
        if (folder / "train.yaml").is_file():
            return folder
    looked = " and ".join(str(folder) for folder in candidates)
    raise ConfigurationError(f"no configuration files: looked for train.yaml in {looked}; run in the checkout")


def compose_config(overrides: Sequence[str] = ()) -> DictConfig:
    """The configuration that ``python train.py <overrides>`` would run with, without Hydra's own part.

    Raises:
        ConfigurationError: if an override names what does not exist.
    """
    from hydra import compose, initialize_config_dir
    from hydra.errors import HydraException

    register_schemas()
    with initialize_config_dir(str(config_folder()), version_base="1.3"):
        try:
            config = compose("train", overrides=list(overrides), return_hydra_config=False)
        except HydraException as error:
            raise ConfigurationError(str(error)) from error
    if OmegaConf.is_missing(config, "output_dir") or OmegaConf.is_interpolation(config, "output_dir"):
        config.output_dir = "outputs"  # the run folder is Hydra's to name, and there is no run
    return config


def typed(settings: type[Settings], node: Any) -> Settings:
    """The object of a class of settings that a configuration node describes, composed or read from a file."""
    content = OmegaConf.to_container(node, resolve=True)
    return cast(Settings, OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(settings), content)))


def load_label_map(name: str) -> LabelMap:
    """The label map ``configs/labels/<name>.yaml``.

    Raises:
        ConfigurationError: if there is none of that name; the message lists those that are there.
    """
    folder = config_folder() / "labels"
    if not (folder / f"{name}.yaml").is_file():
        there = ", ".join(sorted(path.stem for path in folder.glob("*.yaml")))
        raise ConfigurationError(f"no label map '{name}' in {folder}; there are {there}")
    return typed(LabelMap, compose_config([f"labels={name}"]).labels)
