"""How a configuration is composed: where its files are, and what a user adds to them. Imports no torch.

The files are those of the package. A folder ``configs`` in the current folder comes before them: a file there is one
more choice of its group, or takes the place of the package's file of the same name.
"""

import copy
import functools
import logging
from collections.abc import Hashable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar, cast

import yaml
from hydra.core.config_search_path import ConfigSearchPath, SearchPathQuery
from hydra.errors import HydraException
from hydra.plugins.search_path_plugin import SearchPathPlugin
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from ecgfounder_ft.config.schema import PROVIDER, register_schemas, schemas
from ecgfounder_ft.config.slips import explain, plain_words
from ecgfounder_ft.errors import ExplainedError
from ecgfounder_ft.labels import LabelMap

log = logging.getLogger(__name__)

Settings = TypeVar("Settings")


UNREADABLE = (HydraException, OmegaConfBaseException, yaml.YAMLError, ValueError, TypeError, AttributeError, OSError)
"""What Hydra and those beneath it raise for a file or a line that makes no configuration."""


class ConfigurationError(ExplainedError, ValueError):
    """A configuration that cannot be composed, or holds what cannot be meant."""


def config_folder() -> Path:
    """The folder of the package's YAML files: in the installed package, or at the top of its checkout.

    Raises:
        ConfigurationError: if neither is there.
    """
    candidates = [Path(__file__).parents[1] / "configs", Path(__file__).parents[3] / "configs"]
    for folder in candidates:
        if (folder / "train.yaml").is_file():
            return folder
    looked = " and ".join(str(folder) for folder in candidates)
    raise ConfigurationError(f"no configuration files: looked for train.yaml in {looked}; install the package again")


def own_config_folder() -> Path | None:
    """The user's ``configs`` in the current folder; None without one, or where it is the package's folder itself.

    Raises:
        ConfigurationError: if the package's folder is not there.
    """
    folder = Path.cwd() / "configs"
    return folder if folder.is_dir() and not folder.samefile(config_folder()) else None


def choices() -> dict[str, list[str]]:
    """Configuration group to the names of its files, the default first and marked by ``*``; a user's own among them.

    Files whose names are not choices but parts of other files say so in their first line (``# part:``).
    """
    defaults = {}
    for entry in yaml.safe_load((config_folder() / "train.yaml").read_text(encoding="utf-8"))["defaults"]:
        if isinstance(entry, dict):
            defaults.update(entry)
    found: dict[str, set[str]] = {}
    for folder in filter(None, (config_folder(), own_config_folder())):
        for file in folder.rglob("*.yaml"):
            group = file.parent.relative_to(folder).as_posix()
            if group != "." and not group.startswith("hydra") and not _is_part(file):
                found.setdefault(group, set()).add(file.stem)
    return {
        group: sorted(
            (f"{name}*" if name in _as_list(defaults.get(group)) else name for name in found[group]),
            key=lambda name: (not name.endswith("*"), name),
        )
        for group in sorted(found)
    }


def _as_list(chosen: Any) -> list[str]:
    """Names that a default chooses; a group such as ``logger`` takes several."""
    return chosen if isinstance(chosen, list) else [chosen]


def _is_part(file: Path) -> bool:
    with file.open(encoding="utf-8", errors="replace") as stream:
        return stream.readline().startswith("# part:")


def log_own_config_folder() -> None:
    """Say in the log which folder of the user's takes precedence, if there is one.

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
    """The configuration that ``ecgfounder-ft train <overrides>`` would run with, without Hydra's own part.

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


class _Plain:
    """Plain containers, alike where they are written alike."""

    def __init__(self, content: Any) -> None:
        self.content = content
        self.text = repr(content)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Plain) and self.text == other.text

    def __hash__(self) -> int:
        return hash(self.text)


def typed(settings: type[Settings], node: Any) -> Settings:
    """The object of a class of settings that a configuration node describes, composed or read from a file.

    Args:
        settings: the class.
        node: of OmegaConf, or plain containers without interpolations.

    Raises:
        ConfigurationError: if a key or value is none of that class.
    """
    try:
        content = node if isinstance(node, dict) else OmegaConf.to_container(node, resolve=True)
        found = _typed(cast(Hashable, settings), _Plain(content))
        return copy.deepcopy(cast(Settings, found))  # the caller's own, to change
    except ExplainedError:
        raise
    except OmegaConfBaseException as error:
        key = getattr(error, "full_key", None)
        raise ConfigurationError(f"{key}: {plain_words(str(error))}" if key else plain_words(str(error))) from error
    except (ValueError, TypeError) as error:
        raise ConfigurationError(str(error)) from error


@functools.lru_cache(maxsize=32)  # a run asks four times for its label map, whose thousand values take 60 ms each time
def _typed(settings: type, plain: _Plain) -> Any:
    return OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(settings), plain.content))


def load_label_map(name: str) -> LabelMap:
    """The label map ``labels/<name>.yaml`` of the user's folder or of the package's.

    Raises:
        ConfigurationError: if there is none of that name; the message lists those that are there.
    """
    folders = [folder / "labels" for folder in (own_config_folder(), config_folder()) if folder is not None]
    if not any((folder / f"{name}.yaml").is_file() for folder in folders):
        there = ", ".join(sorted({path.stem for folder in folders for path in folder.glob("*.yaml")}))
        looked = " or ".join(str(folder) for folder in folders)
        raise ConfigurationError(f"no label map '{name}' in {looked}; there are {there}")
    return typed(LabelMap, compose_config([f"labels={name}"]).labels)
