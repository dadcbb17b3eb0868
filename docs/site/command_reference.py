"""The page with every command of ``ecgfounder-ft`` and its options: from the program itself."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from ecgfounder_ft.cli import app
from ecgfounder_ft.files import write_text

OPENING = """# Commands

What `ecgfounder-ft --help` says, of every command. `python -m ecgfounder_ft` is the same program.
"""


def write_command_reference(page: Path) -> None:
    """Write the page."""
    program: Any = typer.main.get_command(app)
    said = [OPENING]
    for name, command in sorted(program.commands.items()):
        said.extend(_described(name, command))
    write_text(page, "\n".join(said) + "\n")


def _described(name: str, command: Any) -> Iterator[str]:
    arguments = [one for one in command.params if one.param_type_name == "argument"]
    options = [one for one in command.params if one.param_type_name == "option" and not one.hidden]
    shown = " ".join(one.name.upper() for one in arguments)
    yield f"## `{name}`\n\n{_prose(command.help or '')}\n\n```text\necgfounder-ft {name} {shown} [OPTIONS]\n```\n"
    if arguments or options:
        yield "| | default | |\n| --- | --- | --- |"
    for one in arguments:
        yield f"| `{one.name.upper()}` | {_default(one)} | {_prose(one.help or '')} |"
    for one in options:
        yield f"| `{', '.join([*one.opts, *one.secondary_opts])}` | {_default(one)} | {_prose(one.help or '')} |"
    yield ""


def _default(parameter: Any) -> str:
    if parameter.required:
        return "needed"
    return "" if parameter.default is None or callable(parameter.default) else f"`{parameter.default}`"


def _prose(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;").replace("*", "\\*")
