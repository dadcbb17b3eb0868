"""The training command looked through before Hydra runs it: nothing is made, and nothing of a file is run, until then.

Hydra composes the configuration again afterwards; composing takes a third of a second.
"""

from collections.abc import Collection, Sequence
from pathlib import Path

from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from ecgfounder_ft.config.choices import ConfigurationError, choices, config_folder
from ecgfounder_ft.config.command_line import CommandLine, read_command_line
from ecgfounder_ft.config.compose import UNREADABLE, explained, keys_of, register_configurations
from ecgfounder_ft.config.origins import refuse_strangers
from ecgfounder_ft.config.settings import Settings, settings_of
from ecgfounder_ft.targets import UntrustedTargetError


def looked_through(arguments: Sequence[str]) -> tuple[CommandLine, list[Settings | Path]]:
    """Read what was typed and the settings that it makes: one, or several of a sweep.

    Returns:
        The command line, and for each configuration its settings, or the folder of the run that it resumes. None of a
        command that only shows a configuration.

    Raises:
        ConfigurationError: if a name, a choice or a value is wrong; the message says what was meant most likely.
        UntrustedTargetError: if a file from elsewhere wants something run that the user does not trust.
    """
    line = read_command_line(arguments)
    trials = line.trials()
    if line.config_dir is not None:
        refuse_strangers(line.config_dir, line.trusted_targets)
    found: list[Settings | Path] = []
    for overrides in trials:
        config = _compose(line, overrides)
        if config.trusted_targets and not line.trusted_targets:
            raise UntrustedTargetError(
                "a configuration file sets trusted_targets. What may be run is said on the command line alone: "
                "trusted_targets=[...]"
            )
        if not line.shows:
            found.append(settings_of(config) if config.resume is None else Path(config.resume))
    return line, found


def _compose(line: CommandLine, overrides: Sequence[str]) -> DictConfig:
    from hydra._internal.hydra import Hydra
    from hydra._internal.utils import create_config_search_path
    from hydra.core.config_search_path import SearchPathQuery
    from hydra.core.global_hydra import GlobalHydra
    from hydra.types import RunMode

    register_configurations()
    path = create_config_search_path(str(config_folder()))  # as hydra.main does it
    if line.config_dir is not None:
        folder = f"file://{line.config_dir}"
        path.prepend(provider="command-line", path=folder, anchor=SearchPathQuery(provider="schema"))
    loader = Hydra.create_main_hydra2("train", path).config_loader
    try:
        try:
            config = loader.load_configuration(line.config_name, list(overrides), RunMode.RUN)
        finally:
            GlobalHydra.instance().clear()
    except UNREADABLE as error:
        raise ConfigurationError(explained(error, overrides)) from error
    for key in (one for one in config if one not in (*_known_keys(), "hydra")):
        raise ConfigurationError(explained_key(str(key), overrides))
    _require_places(config, overrides)
    with open_dict(config):
        config.pop("hydra")
        config.output_dir = "outputs"  # the run folder is Hydra's to name
    OmegaConf.set_struct(config, False)
    return config


def _require_places(config: DictConfig, overrides: Sequence[str]) -> None:
    """Look at what is typed for Hydra itself, which it would read later, and refuse with a traceback."""
    typed = [one.lstrip("+").partition("=")[0] for one in overrides]
    for key in ("hydra.run.dir", *(one for one in typed if one.startswith("hydra."))):
        try:
            place = OmegaConf.select(config, key)
        except (OmegaConfBaseException, ValueError) as error:
            if "Environment variable" in str(error):  # other values may be there once Hydra runs: hydra.job.num
                raise ConfigurationError(explained(error, overrides)) from error
            continue
        if key.endswith(".dir") and not str(place).strip():
            raise ConfigurationError(f"{key} is empty, which would mean the current folder: name a folder")


def explained_key(key: str, overrides: Sequence[str]) -> str:
    """That there is no such key at the top of a configuration, and what was meant."""
    from ecgfounder_ft.config.slips import PRINT_ALL, suggestion

    typed = next((one for one in overrides if one.lstrip("+").partition("=")[0] == key), key)
    return f"{typed}: there is no value {key}.{suggestion(key, [*keys_of(()), *choices()]) or f' {PRINT_ALL}'}"


def _known_keys() -> Collection[str]:
    from dataclasses import fields

    from ecgfounder_ft.config.schema import Config

    return [entry.name for entry in fields(Config)]
