"""Errors that a user can mend: told in words, without a traceback; and the codes that commands end with."""

import errno
import json
import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import IntEnum
from importlib.metadata import PackageNotFoundError, distribution
from typing import TypeVar
from urllib.parse import unquote, urlsplit

from ecgfounder_ft.console import displayable_lines
from ecgfounder_ft.interruption import Interrupted, interruptible

Result = TypeVar("Result")

EXTRAS = {
    "captum": "attribution",
    "h5py": "hdf5",
    "edfio": "edf",
    "ecgdatakit": "devices",
    "matplotlib": "plots",
    "mlflow": "mlflow",
    "optuna": "sweep",
    "peft": "lora",
    "pyarrow": "parquet",
    "submitit": "slurm",
    "wandb": "wandb",
    "wfdb": "wfdb",
    **dict.fromkeys(
        (
            "hydra",
            "jinja2",
            "omegaconf",
            "onnx",
            "onnxscript",
            "pandas",
            "pytorch_lightning",
            "regex",
            "safetensors",
            "sklearn",
            "tensorboard",
            "torch",
            "torchmetrics",
            "yaml",
        ),
        "train",
    ),
}
"""Module to the extra of this package that installs it."""


def how_to_install(extra: str) -> str:
    """The command that installs an extra of this package from where the package itself came.

    Args:
        extra: one of :data:`EXTRAS`.
    """
    try:
        origin = json.loads(distribution("ecgfounder-ft").read_text("direct_url.json") or "{}")
    except (PackageNotFoundError, ValueError):
        return f'pip install ".[{extra}]", in the folder of the repository'
    address = str(origin.get("url", ""))
    if not address:
        return f'pip install "ecgfounder-ft[{extra}]"'
    if "dir_info" not in origin:
        return f"pip install {shlex.quote(f'ecgfounder-ft[{extra}] @ {address}')}"
    editable = "-e " if origin["dir_info"].get("editable") else ""
    return f"pip install {editable}{shlex.quote(f'{unquote(urlsplit(address).path)}[{extra}]')}"


class ExitCode(IntEnum):
    """What every command ends with, for scripts. Documented in ``docs/exit_codes.md``."""

    DONE = 0
    """The result is there."""
    NO_RESULT = 1
    """It ran, and no usable result came of it: no recording had an answer, or a trial of a sweep failed. Also Python's
    own code for a fault of this package, which shows a traceback."""
    REFUSED = 2
    """Something that the user can mend; the last lines on standard error say what."""


class ExplainedError(Exception):
    """Something in the configuration, the data or the machine that the user can change; the message says what.

    Everything else that is raised is a fault of this package and keeps its traceback.
    """


def first_line(error: BaseException) -> str:
    """The first line of an error's message, or its type where it has none."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]


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


OF_THE_PLACE = {
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
        exit_on_error: end the process with :attr:`ExitCode.REFUSED` after such an error; False returns None instead,
            for a trial of a sweep whose other trials shall run.

    Raises:
        SystemExit: with status 2 after such an error, 130 after Ctrl-C, 143 after SIGTERM.
    """
    try:
        with interruptible():
            return run()
    except Interrupted as interruption:
        _tell(str(interruption))
        sys.exit(interruption.exit_status)
    except ModuleNotFoundError as error:
        extra = EXTRAS.get(str(error.name).partition(".")[0])
        if extra is None:
            raise
        _tell(f"Missing package: this needs {error.name}: {how_to_install(extra)}")
    except ExplainedError as error:
        _tell(f"{type(error).__name__.removesuffix('Error')}: {error}")
    except OSError as error:
        if error.errno not in OF_THE_PLACE:
            raise
        place = f" ({error.filename})" if error.filename else ""
        _tell(f"{error.strerror}{place}: {OF_THE_PLACE[error.errno]}")
    if exit_on_error:
        sys.exit(int(ExitCode.REFUSED))
    return None


def _tell(text: str) -> None:
    print(f"\n{displayable_lines(text)}", file=sys.stderr)
