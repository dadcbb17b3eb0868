"""``ecgfounder-ft`` in this process: torch is imported once for all commands."""

from click.testing import Result
from typer.testing import CliRunner

from ecgfounder_ft.cli import app


def console(*arguments: str) -> Result:
    """Run a command as typed; ``exit_code``, ``stdout`` and ``stderr`` are in the result."""
    found = CliRunner().invoke(app, list(arguments))
    if found.exception is not None and not isinstance(found.exception, SystemExit):
        raise found.exception  # an error that no user should see
    return found
