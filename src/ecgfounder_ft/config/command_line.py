"""What was typed behind the training command, taken apart as Hydra will. Imports no torch."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from ecgfounder_ft.config.choices import ConfigurationError, choices
from ecgfounder_ft.config.slips import EARLIER_OPTIONS, PRINT_ALL, now_called

MOST_TRIALS = 20
"""Of a sweep that are composed before it starts, a third of a second each."""


@dataclass(frozen=True)
class CommandLine:
    """Flags and overrides."""

    overrides: tuple[str, ...]
    """``group=choice`` and ``key=value``, as typed."""
    config_dir: Path | None
    """A further folder of configurations, by ``--config-dir``."""
    config_name: str
    """The file that everything starts from."""
    multirun: bool
    """A sweep."""
    shows: bool
    """Something about the configuration is printed, and nothing trained."""

    @property
    def trusted_targets(self) -> tuple[str, ...]:
        """Dotted names that the user trusts; what a file says of it does not count."""
        return trusted_in(self.overrides)

    def trials(self) -> list[list[str]]:
        """Overrides without sweeps: those of the command, or the first trial of a sweep and one for each other value.

        Not every combination, and of many values the first :data:`MOST_TRIALS`: a trial looks again.
        """
        first, others = [], []
        for override in _parsed(self.overrides):
            if not override.is_sweep_override():
                first.append(override.input_line)
                continue
            if override.is_discrete_sweep():
                values = list(override.sweep_string_iterator())
            elif override.is_interval_sweep():
                values = [str(override.value().start)]
            else:
                continue  # a glob, whose values the sweeper finds
            key = override.get_key_element()
            if key.startswith("sweep."):  # one list of the sweep's own, and no values to try one by one
                first.append(f"{key}=[{','.join(values)}]")
                continue
            first.append(f"{key}={values[0]}")
            others += [(key, value) for value in values[1:]]
        return [first] + [
            [f"{key}={value}" if one.startswith(f"{key}=") else one for one in first]
            for key, value in others[: MOST_TRIALS - 1]
        ]


def read_command_line(arguments: Sequence[str]) -> CommandLine:
    """Take apart what was typed.

    Raises:
        ConfigurationError: if it is no command, with what to type in place of an option of the earlier tool.
    """
    from hydra._internal.utils import get_args_parser  # that of hydra.main, which parses the same line again

    _refuse_earlier_options(arguments)
    parser = get_args_parser()
    parser.error = _refuse_flag  # type: ignore[method-assign]  # its own prints how Hydra is used, and ends the process
    given, unknown = parser.parse_known_args(list(arguments))
    if unknown and not unknown[0].startswith("-"):
        raise ConfigurationError(
            f"{unknown[0]}: type flags such as -m before all values: -m {' '.join(given.overrides)} ..."
        )
    if unknown:
        raise ConfigurationError(
            f"{unknown[0]}: no such option. Values are typed without dashes, as optimizer.lr=1e-4; {PRINT_ALL}"
        )
    if given.experimental_rerun is not None:
        raise ConfigurationError(
            "--experimental-rerun reads a pickled file, which can run any code. `resume=FOLDER` goes on with a run"
        )
    if given.config_path is not None:
        raise ConfigurationError(
            "--config-path would take the place of every file of the package. --config-dir FOLDER adds one of yours"
        )
    if given.config_name is not None and Path(given.config_name).name != given.config_name:
        raise ConfigurationError(f"--config-name {given.config_name}: files are named, not given by a path")
    multirun = bool(given.multirun) or "hydra.mode=MULTIRUN" in given.overrides
    _refuse_values(given.overrides, multirun)
    return CommandLine(
        overrides=tuple(given.overrides),
        config_dir=None if given.config_dir is None else Path(given.config_dir).absolute(),
        config_name=given.config_name or "train",
        multirun=multirun,
        shows=bool(given.cfg or given.info or given.shell_completion or given.hydra_help),
    )


def _refuse_values(overrides: Sequence[str], multirun: bool) -> None:
    """Refuse what Hydra would take, and do something else with than is meant.

    Raises:
        ConfigurationError: that says what to type in its place.
    """
    groups = choices()
    for override in _parsed(overrides):
        value, typed, key = override.value(), override.input_line, override.key_or_group
        if key in groups or "/" in key:
            _refuse_path(typed, key, value)
        if key in ("hydra.searchpath", "hydra/searchpath"):
            raise ConfigurationError(f"{typed}: type --config-dir FOLDER in its place")
        if key == "resume" and value is not None and multirun:
            raise ConfigurationError(
                f"{typed} beside -m: one run goes on without -m; a sweep goes on where the command that started it is "
                "typed again"
            )
        if override.is_sweep_override() and not multirun:
            raise ConfigurationError(
                f"{typed}: several values. Type -m before them for a sweep, or [...] around them for a list"
            )
        if key == "hydra.sweep.subdir":
            raise ConfigurationError(
                f"{typed}: folders of trials have numbers; hydra.sweep.dir=FOLDER names the one of the sweep"
            )
        if key == "output_dir" and value is None:
            raise ConfigurationError("output_dir=null: expected a folder; hydra.run.dir=FOLDER names that of a run")


def _refuse_flag(message: str) -> NoReturn:
    raise ConfigurationError(message)


def _refuse_path(typed: str, group: str, value: object) -> None:
    """Refuse a choice that leads out of the folders of configurations."""
    from hydra.core.override_parser.types import ChoiceSweep

    several = value.list if isinstance(value, ChoiceSweep) else value
    given = [str(one) for one in (several if isinstance(several, list) else [several])]
    for one in given:
        if ".." in Path(one).parts or Path(one).is_absolute():
            raise ConfigurationError(
                f"{typed}: choices are named, not given by a path. Put the file at configs/{group}/<name>.yaml, or "
                f"at <folder>/{group}/<name>.yaml and type --config-dir <folder>; then {group}=<name>"
            )


def trusted_in(overrides: Sequence[str]) -> tuple[str, ...]:
    """``trusted_targets`` as typed."""
    found: list[str] = []
    for override in _parsed(one for one in overrides if one.lstrip("+").startswith("trusted_targets=")):
        value = override.value()
        found = [str(name) for name in value] if isinstance(value, list) else [str(value)]
    return tuple(found)


def _parsed(overrides):  # type: ignore[no-untyped-def]
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import OverrideParseException

    overrides = list(overrides)
    try:
        return OverridesParser.create().parse_overrides(overrides)
    except OverrideParseException as error:
        from ecgfounder_ft.config.slips import explain

        raise ConfigurationError(explain(error, overrides, dict, list, lambda key: ())) from error


def _refuse_earlier_options(arguments: Sequence[str]) -> None:
    """All of them at once, so that a command is put right in one go."""
    given, wanted = [], []
    for position, argument in enumerate(arguments):
        name, equals, value = argument.partition("=")
        option = name.removeprefix("--").replace("-", "_")
        if option not in EARLIER_OPTIONS or (not equals and not name.startswith("--")):
            continue
        following = arguments[position + 1] if position + 1 < len(arguments) else ""
        if not equals and following and not following.startswith("-") and "=" not in following:
            value, argument = following, f"{argument} {following}"
        given.append(argument)
        wanted.append(now_called(option, value or "..."))
    if given:
        raise ConfigurationError(f"{' '.join(given)}: as the earlier tool called it; now {' '.join(wanted)}")
