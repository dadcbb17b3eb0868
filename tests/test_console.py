"""What comes from outside is text on the terminal, neither markup nor control of it."""

import io
import logging

import pytest
from rich.table import Table

from ecgfounder_ft.console import PlainFormatter, displayable, plain_console, say


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("plain Ä 心电图", "plain Ä 心电图"),
        ("a\x1b[31mb", "a\\x1b[31mb"),
        ("c1\x9b2J", "c1\\x9b2J"),
        ("right\u202eleft", "right\\u202eleft"),
        ("\u2066x", "\\u2066x"),
        ("line\nline", "line\\x0aline"),
        ("caf\udce9", "caf\\udce9"),
    ],
)
def test_what_cannot_be_printed_is_an_escape(given: str, shown: str) -> None:
    assert displayable(given) == shown


def test_brackets_are_no_markup() -> None:
    stream = io.StringIO()
    console = plain_console(file=stream, width=200)
    table = Table(title="leads=[I,II]")
    table.add_column("[bold]code")
    table.add_row("[/red] :heart: [link=x]\x9b")
    console.print(table)
    console.print("Winner by validation: leads=[I,II] [/]")
    said = stream.getvalue()
    for text in (" leads=[I,II] ", "[bold]code", "[/red] :heart: [link=x]\\x9b", "validation: leads=[I,II] [/]"):
        assert text in said


def test_the_log_and_the_commands_show_escapes(capsys: pytest.CaptureFixture[str]) -> None:
    record = logging.LogRecord("x", logging.INFO, "x", 1, "read %s", ("a\u202eb\x9b.hea",), None)
    assert PlainFormatter("%(message)s").format(record) == "read a\\u202eb\\x9b.hea"
    say("a\u202eb\nsecond")
    assert capsys.readouterr().out == "a\\u202eb\nsecond\n"
