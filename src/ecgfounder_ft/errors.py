"""Errors that a user can mend: told in words, without a traceback."""

import sys
from collections.abc import Callable
from typing import TypeVar

Result = TypeVar("Result")


class ExplainedError(Exception):
    """Something in the configuration, the data or the machine that the user can change; the message says what.

    Everything else that is raised is a fault of this package and keeps its traceback.
    """


def run_or_explain(run: Callable[[], Result]) -> Result:
    """Run, and end the process with status 2 and the error's own words where it is one that the user can mend."""
    try:
        return run()
    except ExplainedError as error:
        print(f"\n{type(error).__name__.removesuffix('Error')}: {error}", file=sys.stderr)
        sys.exit(2)
