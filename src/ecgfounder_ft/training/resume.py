"""Going on with an interrupted run, in its own folder and with its own configuration.

This module imports no torch, so that a refused resume answers at once.
"""

import json
import logging
import re
import shlex
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ecgfounder_ft.config.choices import ConfigurationError
from ecgfounder_ft.config.schema import own_targets
from ecgfounder_ft.config.settings import Settings
from ecgfounder_ft.config.stored import changed_settings
from ecgfounder_ft.ecg.preprocessing import Preprocessing
from ecgfounder_ft.errors import ExplainedError
from ecgfounder_ft.labels import LabelMap
from ecgfounder_ft.runs.folder import RunFolder, RunFolderError
from ecgfounder_ft.schedules.one_cycle import OneCycle
from ecgfounder_ft.targets import leaves_of, targets_in, untrusted_targets

log = logging.getLogger(__name__)

MEANING = (
    "label_map",
    "task",
    "preprocessing",
    "architecture",
    "data_fingerprint",
    "pretrained",
    "head",
    "seed",
    "shifts",
)
"""Fields of a model's record that must be the same when its training goes on."""

FIXED = (
    "labels",
    "task",
    "split",
    "preprocessing",
    "model",
    "finetune",
    "augment",
    "optimizer",
    "scheduler",
    "monitor",
    "callbacks.early_stopping",
)
"""Parts of a configuration that a run goes on with: they say what the model means, or the checkpoint holds their
state."""


WRITTEN_BELOW = ("dirpath", "save_dir")
"""Arguments of callbacks and loggers that name the folder which they write below."""
_PARTS_OF_A_PATH = ("name", "version", "filename")
"""Their arguments that they append to it."""

_PLAIN = re.compile(r"[\w/.+-]+", re.ASCII)
"""A path that Hydra's grammar takes without quotation marks."""


class ResumeError(ExplainedError):
    """A run that cannot be gone on with, or not with what was changed."""


def resumed_settings(
    folder: RunFolder, overrides: Sequence[str], trusted: Collection[str] = (), typed: Collection[Any] = ()
) -> Settings:
    """Read the settings that a run was started with, and change single values as typed on the command line.

    They go through the schema again, and nothing is instantiated before everything is known to be trusted.

    Args:
        folder: of the run.
        overrides: as typed, ``resume`` among them.
        trusted: dotted names of classes that the user lets the folder's configuration instantiate.
        typed: values beside those of ``overrides`` that the user typed, whatever they belong to.

    Raises:
        ResumeError: if the folder holds no run or was moved, an override is more than the change of a value, or a
            callback or logger would write outside the folder where nobody typed that.
        UntrustedTargetError: if the folder's configuration wants something instantiated that is not trusted.
        ConfigurationError: if the schema does not know something in it.
    """
    try:
        folder.require()
    except RunFolderError as error:
        raise ResumeError(
            f"resume={folder}: no run there ({error}). Expected the folder of an earlier run, outputs/<date>/<time>"
        ) from error
    settings = folder.settings(trusted)
    if settings.output_dir.resolve() != folder.path.resolve():
        raise ResumeError(f"resume={folder}: the run was started in {settings.output_dir}; move it back there")
    changes = []
    for override in overrides:
        key = override.partition("=")[0]
        if key in ("resume", "trusted_targets"):
            continue
        if "." not in key or key.startswith(("+", "~")):
            raise ResumeError(
                f"{override}: a run goes on with its own configuration; only single values can be changed, such as "
                "trainer.max_epochs=60. Start a new run for anything else"
            )
        if key.startswith(tuple(f"{name}." for name in FIXED)):
            raise ResumeError(
                f"{override}: cannot be changed in the middle of a run, whose checkpoint holds what was learnt with "
                "the value it had. Start a new run"
            )
        if key == "trainer.max_epochs" and isinstance(settings.scheduler, OneCycle):
            raise ResumeError(f"{override}: scheduler=one_cycle ends where it was told to when the run was started")
        changes.append(override)
    try:
        settings = changed_settings(settings, [*changes, f"resume={_as_typed(str(folder))}"], trusted)
    except ConfigurationError as error:
        raise ResumeError(str(error)) from error
    typed = {*typed, *(override.partition("=")[2] for override in overrides)}
    for key, value, place in _places_outside(settings.content, folder):
        if value not in typed:  # the folder may be anybody's, and shall not have files written all over one's disk
            raise ResumeError(
                f"resume={folder}: {key.rpartition('.')[0]} would write to {place}, outside of the run's folder. "
                f"If you want that, type it: {key}={value}"
            )
    return settings


def _places_outside(content: Mapping[str, Any], folder: RunFolder) -> Iterator[tuple[str, str, Path]]:
    """Where callbacks and loggers would write outside of the run's folder: key, its value, the place."""
    for group in ("callbacks", "logger"):
        for name, settings in (content.get(group) or {}).items():
            for key in WRITTEN_BELOW:
                base = settings.get(key)
                if not isinstance(base, str):
                    continue
                if not _is_below(Path(base), folder.path):
                    yield f"{group}.{name}.{key}", base, Path(base)
                for part in _PARTS_OF_A_PATH:
                    value = settings.get(part)
                    if isinstance(value, str) and not _is_below(Path(base, value), Path(base)):
                        yield f"{group}.{name}.{part}", value, Path(base, value)


def _is_below(place: Path, folder: Path) -> bool:
    return place.resolve().is_relative_to(folder.resolve())


def command_that_goes_on(folder: RunFolder, content: Mapping[str, Any]) -> str:
    """What to type so that an interrupted run goes on, in whatever folder.

    Args:
        folder: of the run.
        content: its configuration in plain containers. What of it is not trusted by itself, and places outside of the
            folder, have to be named again.
    """
    script = Path(sys.argv[0]).resolve()
    own = Path(__file__).resolve().parents[1]
    program = f"python {shlex.quote(str(script))}" if script.name == "train.py" and script.parent != own else ""
    path = str(folder.path.resolve())
    named = untrusted_targets(content, own_targets())
    arguments = [f"resume={_as_typed(path)}"]
    arguments += [f"trusted_targets=[{','.join(named)}]"] if named else []
    arguments += [f"{key}={_as_typed(value)}" for key, value, _ in _places_outside(content, folder)]
    return " ".join([program or "ecgfounder-ft train", *map(shlex.quote, arguments)])


def _as_typed(path: str) -> str:
    return path if _PLAIN.fullmatch(path) else "'" + path.replace("'", "\\'") + "'"


def same_command_again(folder: RunFolder, typed: Settings) -> Settings:
    """Read the settings of a run whose own command has been started once more.

    Args:
        folder: of the run.
        typed: settings by the command. Their targets were typed by the user, and are trusted.

    Raises:
        ResumeError: if the folder was moved.
    """
    targets = [str(target) for _, target in targets_in(typed.content)]
    values = {value for _, value in leaves_of(typed.content)}
    return resumed_settings(folder, (), [*targets, *typed.trusted_targets], values)


def _with_all_settings(record: Mapping[str, Any]) -> dict[str, Any]:
    """A model's record of before there was a setting says the same as one that has the setting's first value."""
    read = {
        name: kind.from_dict(record[name]).to_dict()
        for name, kind in (("label_map", LabelMap), ("preprocessing", Preprocessing))
        if name in record
    }
    return {"shifts": [0.0], **record, **read}


def require_same_meaning(before: Mapping[str, Any], now: Mapping[str, Any], folder: RunFolder) -> None:
    """Refuse to go on where the model would come to mean another thing; show in the log what else differs.

    Args:
        before: the model's record in the checkpoint.
        now: the record that this run would write.
        folder: of the run.

    Raises:
        ResumeError: that lists each difference.
    """
    problems = []
    before, now = _with_all_settings(before), _with_all_settings(now)
    for name in MEANING:
        for path, old, new in _differences(before.get(name), now.get(name), name):
            problems.append(f"{path} was {_shown(old)} and is {_shown(new)}")
    if problems:
        raise ResumeError(
            f"resume={folder}: this would go on with another model or other data: {'; '.join(problems)}. "
            "Restore what was changed, or start a new run"
        )
    for path, old, new in _differences(before.get("versions"), now.get("versions"), "versions"):
        log.warning("Differs since the run was started: %s was %s and is %s", path, _shown(old), _shown(new))


def require_epochs_left(begun: int, asked: int, folder: RunFolder) -> None:
    """Refuse to end before what was begun.

    Args:
        begun: epochs that the checkpoint was in or behind.
        asked: ``trainer.max_epochs``; -1 is without end.
        folder: of the run.

    Raises:
        ResumeError: that names both numbers.
    """
    if 0 <= asked < begun:
        raise ResumeError(
            f"resume={folder}: trainer.max_epochs={asked}, but {begun} epochs were begun; give {begun} or more. The "
            "run's results keep the best of all epochs"
        )


def show_changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Show in the log where a configuration differs from the one that the checkpoint was written with."""
    for path, old, new in _differences(before, now, ""):
        if path not in (".resume", ".trusted_targets"):
            log.info("Changed for the rest of the run: %s was %s and is %s", path[1:], _shown(old), _shown(new))


def _differences(before: Any, now: Any, path: str) -> list[tuple[str, Any, Any]]:
    if isinstance(before, Mapping) and isinstance(now, Mapping):
        keys = [*before, *(key for key in now if key not in before)]
        found = [_differences(before.get(key), now.get(key), f"{path}.{key}") for key in keys]
        return [difference for part in found for difference in part]
    plain_before, plain_now = json.dumps(before, default=list), json.dumps(now, default=list)
    return [] if plain_before == plain_now else [(path, before, now)]


def _shown(value: Any) -> str:
    text = json.dumps(value, default=str, ensure_ascii=False)
    return text if len(text) <= 80 else text[:77] + "..."
