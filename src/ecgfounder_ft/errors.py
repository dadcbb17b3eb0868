"""Errors that a user can mend: told in words, without a traceback; and the codes that commands end with."""

import sys
from collections.abc import Callable
from enum import IntEnum
from typing import TypeVar

Result = TypeVar("Result")

EXTRAS = {
    "captum": "attribution",
    "h5py": "hdf5",
    "edfio": "edf",
    "ecgdatakit": "devices",
    "matplotlib": "plots",
    "peft": "lora",
    "pyarrow": "parquet",
    "submitit": "slurm",
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


def run_or_explain(run: Callable[[], Result], *, exit_on_error: bool = True) -> Result | None:
    """Run, and tell an error that the user can mend in its own words.

    Args:
        run: what to run.
        exit_on_error: end the process with :attr:`ExitCode.REFUSED` after such an error; False returns None instead,
            for a trial of a sweep whose other trials shall run.
    """
    try:
        return run()
    except ModuleNotFoundError as error:
        extra = EXTRAS.get(str(error.name).partition(".")[0])
        if extra is None:
            raise
        print(f"\nMissing package: this needs {error.name}: pip install 'ecgfounder-ft[{extra}]'", file=sys.stderr)
        if exit_on_error:
            sys.exit(2)
        return None
    except ExplainedError as error:
        print(f"\n{type(error).__name__.removesuffix('Error')}: {error}", file=sys.stderr)
        if exit_on_error:
            sys.exit(int(ExitCode.REFUSED))
        return None
