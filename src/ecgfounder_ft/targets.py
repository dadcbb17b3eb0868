"""Which ``_target_`` of a configuration that was read from a file may be instantiated.

What a user types is trusted. A run's folder or a model file may come from a stranger, and a ``_target_`` in it may name
any function of any package: only what is listed here, or named by the user, is instantiated from such a file.
"""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from ecgfounder_ft.errors import ExplainedError
from ecgfounder_ft.records import require_bounded

_LIBRARY_CLASSES = re.compile(
    r"torch\.(optim|optim\.lr_scheduler|nn)\.[A-Z]\w*|pytorch_lightning\.(callbacks|loggers)\.[A-Z]\w*|"
    r"pytorch_lightning\.Trainer"
)
"""Classes that stand right in these modules, so that no path leads through them to something else."""


MOST_VALUES, MOST_CHARACTERS = 200_000, 2**24
"""Values of a file; anchors of YAML can make a short one hold billions."""


class UntrustedTargetError(ExplainedError):
    """A file that wants something instantiated which neither this package nor the user trusts."""


def leaves_of(content: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every value in nested containers that is no container, with its dotted path."""
    if isinstance(content, Mapping):
        for key, value in content.items():
            yield from leaves_of(value, f"{path}.{key}" if path else str(key))
    elif isinstance(content, Sequence) and not isinstance(content, str | bytes):
        for number, value in enumerate(content):
            yield from leaves_of(value, f"{path}[{number}]")
    else:
        yield path, content


def targets_in(content: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every ``_target_`` in nested containers, with the dotted path of the mapping that it stands in."""
    if isinstance(content, Mapping):
        if "_target_" in content:
            yield path, content["_target_"]
        for key, value in content.items():
            yield from targets_in(value, f"{path}.{key}" if path else str(key))
    elif isinstance(content, Sequence) and not isinstance(content, str | bytes):
        for number, value in enumerate(content):
            yield from targets_in(value, f"{path}[{number}]")


def require_small(content: Any, where: str) -> None:
    """Refuse containers that hold more, or deeper, than any configuration, before anything walks through them.

    Raises:
        UntrustedTargetError: that says so.
    """
    try:
        require_bounded(content, values=MOST_VALUES, characters=MOST_CHARACTERS)
    except ValueError as error:
        raise UntrustedTargetError(f"{where}: no configuration: {error}") from error


def untrusted_targets(content: Any, own: Collection[str]) -> list[str]:
    """The targets that a user would have to name for :func:`refuse_untrusted` to let containers pass, sorted."""
    found = {str(target) for _, target in targets_in(content)}
    return sorted(target for target in found if target not in own and not _LIBRARY_CLASSES.fullmatch(target))


def refuse_untrusted(content: Any, own: Collection[str], trusted: Collection[str], where: str) -> None:
    """Refuse containers that name a target which is not trusted, or that could come to name one.

    An interpolation, ``${...}``, can make a mapping with a ``_target_`` where none stands. What this package saves is
    resolved and holds none.

    Args:
        content: nested containers, as read from a file.
        own: dotted names of this package's classes that may stand there.
        trusted: dotted names that the user typed.
        where: the file, for the message.

    Raises:
        UntrustedTargetError: that names the target and where it stands.
    """
    require_small(content, where)
    for path, target in targets_in(content):
        if isinstance(target, str) and (target in own or target in trusted or _LIBRARY_CLASSES.fullmatch(target)):
            continue
        raise UntrustedTargetError(
            f"{where}: {path or 'the top'} wants {target!r} to be run, which is no class of this package, torch or "
            "Lightning that belongs there. If you trust the file and wrote or know that class, name it: "
            f"trusted_targets=[{target}]"
        )
    for path, value in leaves_of(content):
        if isinstance(value, str) and "${" in value:
            raise UntrustedTargetError(f"{where}: {path} is {value!r}; expected a plain value, without ${{...}}")
