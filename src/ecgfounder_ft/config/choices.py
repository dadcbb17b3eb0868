"""Files of configurations: where they are, and which choices of which group they make.

The files are those of the package. A folder ``configs`` in the current folder comes before them: a file there is one
more choice of its group, or takes the place of the package's file of the same name.
"""

from pathlib import Path
from typing import Any

import yaml

from ecgfounder_ft.errors import ExplainedError


class ConfigurationError(ExplainedError, ValueError):
    """A configuration that cannot be composed, or that holds an impossible value."""


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
