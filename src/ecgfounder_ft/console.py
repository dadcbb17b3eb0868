"""What the terminal shows: text from outside as text, never as markup or as control of the terminal; progress bars."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress


def displayable(text: str) -> str:
    """Text that may hold the name of a file, as every table, log and page can hold it.

    What cannot be printed is shown as an escape: bytes that are not UTF-8, control characters (C0 and C1), marks that
    turn the direction of writing, spaces other than the common one.

    >>> displayable("caf\\udce9.hea"), displayable("Ä 心电图"), displayable("a\\u202eb")
    ('caf\\\\udce9.hea', 'Ä 心电图', 'a\\\\u202eb')
    """
    shown = text.encode("utf-8", "backslashreplace").decode("utf-8")
    if shown.isprintable():
        return shown
    return "".join(letter if letter.isprintable() else _escaped(ord(letter)) for letter in shown)


def displayable_lines(text: str) -> str:
    """Text of several lines, each as :func:`displayable` has it."""
    return "\n".join(map(displayable, text.split("\n")))


def say(text: str, *, err: bool = False) -> None:
    """Print what a command has to say.

    Args:
        text: of any number of lines.
        err: to standard error.
    """
    import typer

    typer.echo(displayable_lines(text), err=err)


class PlainFormatter(logging.Formatter):
    """Lines of a log, in which names from outside cannot steer the terminal."""

    def format(self, record: logging.LogRecord) -> str:
        """The record's text, with its traceback."""
        return displayable_lines(super().format(record))


def plain_console(**options: Any) -> Console:
    """A console of Rich on which ``[...]`` in paths, values and codes is text.

    Args:
        options: of :class:`rich.console.Console`.
    """
    from rich.console import Console
    from rich.text import Text

    class Plain(Console):
        def render_str(self, text: str, **_: Any) -> Text:
            return Text(displayable_lines(text))

    return Plain(markup=False, emoji=False, highlight=False, **options)


def progress_bar(shown: bool) -> Progress:
    """A bar with how many are done of how many, the time taken and the time that remains."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
    from rich.progress import TimeRemainingColumn as Remaining

    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("remaining"),
        Remaining(),
        console=plain_console(stderr=True),
        disable=not shown,
    )


def _escaped(code: int) -> str:
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
