"""Errors that a user can mend: told in words, without a traceback."""

import errno
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from ecgfounder_ft.interruption import Interrupted, interruptible

Result = TypeVar("Result")


class ExplainedError(Exception):
    """Something in the configuration, the data or the machine that the user can change; the message says what.

    Everything else that is raised is a fault of this package and keeps its traceback.
    """


class WorkerDiedError(ExplainedError):
    """A process that read recordings for this one was killed."""


@contextmanager
def worker_deaths_explained() -> Iterator[None]:
    """Tell in words that a worker process of a torch DataLoader has died.

    Raises:
        WorkerDiedError: in place of the RuntimeError that torch raises then.
    """
    try:
        yield
    except RuntimeError as error:
        if not str(error).startswith("DataLoader worker"):
            raise
        raise WorkerDiedError(
            f"a process that reads recordings was killed, most likely for want of memory ({str(error).splitlines()[0]})"
            ". Start again with fewer such processes (workers)"
        ) from error


_OF_THE_PLACE = {
    errno.ENOSPC: "make room and start again",
    errno.EDQUOT: "make room within your quota and start again",
    errno.EFBIG: "no file may get so large there: see `ulimit -f`",
    errno.EROFS: "name another place, or make this one writable",
    errno.EACCES: "name another place, or make this one accessible",
    errno.EPERM: "name another place, or make this one accessible",
    errno.ENOTDIR: "a file stands where a folder is expected",
    errno.EMFILE: "more files may have to be open at once: see `ulimit -n`",
    errno.EIO: "the disk or the network behind it fails",
    errno.ESTALE: "the network file system has lost it: start again",
}
"""Errors of the operating system that are no fault of this package, and what to do."""


def run_or_explain(run: Callable[[], Result], *, exit_on_error: bool = True) -> Result | None:
    """Run, and tell an error that the user can mend in its own words. SIGTERM and Ctrl-C end it in order.

    Args:
        run: what to run.
        exit_on_error: end the process with status 2 after such an error; False returns None instead, for a trial of a
            sweep whose other trials shall run.

    Raises:
        SystemExit: with status 2 after such an error, 130 after Ctrl-C, 143 after SIGTERM.
    """
    try:
        with interruptible():
            return run()
    except Interrupted as interruption:
        print(f"\n{interruption}", file=sys.stderr)
        sys.exit(interruption.exit_status)
    except ExplainedError as error:
        print(f"\n{type(error).__name__.removesuffix('Error')}: {error}", file=sys.stderr)
    except OSError as error:
        if error.errno not in _OF_THE_PLACE:
            raise
        place = f" ({error.filename})" if error.filename else ""
        print(f"\n{error.strerror}{place}: {_OF_THE_PLACE[error.errno]}", file=sys.stderr)
    if exit_on_error:
        sys.exit(2)
    return None
