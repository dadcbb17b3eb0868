"""Configuration files from elsewhere, by ``--config-dir``: they may come from a stranger.

The package's files, and those in the user's own ``configs``, are trusted. Of the others Hydra would instantiate more
than this package does (callbacks, launcher, sweeper, log handlers), and an interpolation can make a ``_target_`` where
none stands. So they are read as text, before Hydra composes anything from them.
"""

import re
from collections.abc import Collection
from pathlib import Path
from typing import Any

import yaml

from ecgfounder_ft.config.choices import ConfigurationError
from ecgfounder_ft.config.schema import own_targets
from ecgfounder_ft.targets import UntrustedTargetError, leaves_of, refuse_untrusted, require_small

LARGEST = 1_000_000
"""Bytes of a configuration file."""

MOST = 1000
"""Files of a folder that is given by ``--config-dir``."""

_PLAIN = re.compile(r"\$\{count:\$\{[\w.]+\}\}|\$\{[\w.]+\}")
"""Interpolations that only take a value, or the number of values, from elsewhere in the configuration."""

_HYDRA = re.compile(r"(^|[/@\s:])hydra([/.@:\s]|$)")


def refuse_strangers(folder: Path, trusted: Collection[str]) -> None:
    """Refuse a folder with a file that wants anything run which is not trusted, or reaches out of what values are for.

    All of its files, since which of them come in follows from choices in others and from sweeps.

    Args:
        folder: as given by ``--config-dir``.
        trusted: dotted names that the user typed.

    Raises:
        UntrustedTargetError: that names file, key and target.
        ConfigurationError: if there is no such folder, it holds more than configurations, or a file cannot be read.
    """
    for file in _files_below(folder):
        below = str(file.relative_to(folder))
        content, package = _read(file)
        if not isinstance(content, dict):
            if content is None:
                continue
            raise ConfigurationError(f"{file}: holds a {type(content).__name__}, expected the keys of a configuration")
        _refuse_hydra(file, below, content, package)
        without = {key: value for key, value in content.items() if key != "defaults"}
        if "trusted_targets" in content:
            raise UntrustedTargetError(
                f"{file}: sets trusted_targets. What may be run is said on the command line alone, by who runs it: "
                "trusted_targets=[...]"
            )
        if "output_dir" in content:
            raise UntrustedTargetError(f"{file}: sets output_dir; where results go is typed: hydra.run.dir=FOLDER")
        bare = _without_plain_interpolations(without, file)
        refuse_untrusted(bare, own_targets(), trusted, str(file))


def _files_below(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise ConfigurationError(f"--config-dir {folder}: no such folder")
    found = []
    for file in (one for one in folder.rglob("*") if one.suffix in (".yaml", ".yml") and one.is_file()):
        found.append(file)
        if len(found) > MOST:
            raise ConfigurationError(f"--config-dir {folder}: more than {MOST} YAML files; name a folder of its own")
    return sorted(found)


def _read(file: Path) -> tuple[Any, str]:
    try:
        if file.stat().st_size > LARGEST:
            raise ConfigurationError(f"{file}: {file.stat().st_size} bytes, expected at most {LARGEST}")
        text = file.read_text(encoding="utf-8")
        content = yaml.safe_load(text)
    except (OSError, ValueError, yaml.YAMLError, RecursionError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ConfigurationError(f"{file}: cannot be read as YAML ({reason})") from error
    require_small(content, str(file))
    header = re.search(r"^\s*#\s*@\s*package\s+(\S+)", text, re.MULTILINE)
    return content, header[1] if header else ""


def _refuse_hydra(file: Path, below: str, content: dict[Any, Any], package: str) -> None:
    """Hydra's own part starts programs and handlers."""
    defaults = content.get("defaults") or []
    listed = [str(part) for _, part in leaves_of(defaults)]
    listed += [str(key) for entry in defaults if isinstance(entry, dict) for key in entry]
    for entry in listed:
        if "${" in entry or ".." in Path(entry).parts:
            raise UntrustedTargetError(f"{file}: defaults name {entry!r}; expected files of groups by their names")
    sets = [*(str(key) for key in content), package, *listed, Path(below).parts[0]]
    if any(_HYDRA.search(name) for name in sets):
        raise UntrustedTargetError(
            f"{file}: sets something of hydra, which can start programs. Type it on the command line, or put the file "
            "into configs/ of the current folder if you trust it"
        )


def _without_plain_interpolations(content: Any, file: Path) -> Any:
    if isinstance(content, dict):
        return {
            key: value if key == "_target_" else _without_plain_interpolations(value, file)
            for key, value in content.items()
        }
    if isinstance(content, list):
        return [_without_plain_interpolations(value, file) for value in content]
    return _PLAIN.sub("", content) if isinstance(content, str) else content
