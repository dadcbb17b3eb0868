"""Options that several commands share, and the one type of a path."""

from pathlib import Path
from typing import Annotated, Any

import typer


def stated(text: str) -> str:
    """The text that a user typed.

    Raises:
        typer.BadParameter: if it is empty, which would mean the current folder.
    """
    if not text.strip():
        raise typer.BadParameter("an empty value is no path; is a variable of the shell unset?")
    return text


def path_of(text: str | Path) -> Path:
    """The path that a user typed.

    Raises:
        typer.BadParameter: if it is empty, which would mean the current folder, or an address.
    """
    stated(str(text))
    if "://" in str(text):
        raise typer.BadParameter(f"{text} is an address; copy the files to this machine and name the path here")
    return Path(text)


def path_argument(text: str, name: str | None = None) -> Any:
    """An argument that is a path.

    Args:
        text: its help.
        name: in the usage line, where it is not the parameter's own.
    """
    return typer.Argument(parser=path_of, metavar=name, help=text)


def path_option(text: str, *names: str) -> Any:
    """An option that is a path.

    Args:
        text: its help.
        names: as typed, where it is not the parameter's own.
    """
    return typer.Option(*names, parser=path_of, metavar="PATH", help=text)


Run = Annotated[Path, path_argument("The folder of a finished run.", "RUN")]
Labels = Annotated[str, typer.Option(help="Label map: a file of configs/labels, by its name.")]
Bf16 = Annotated[bool, typer.Option("--bf16", help="Compute in bfloat16: faster, less exact.")]
AcceptEdited = Annotated[
    bool, typer.Option("--accept-edited", help="Go on although files of the run were edited, and name them.")
]
Trust = Annotated[
    list[str] | None,
    typer.Option(help="Dotted name of a network of your own that the model may be of; may be given several times."),
]
