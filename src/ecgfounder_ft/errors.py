"""Errors that a user can mend: told in words, without a traceback."""

import sys
from collections.abc import Callable
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


class ExplainedError(Exception):
    """Something in the configuration, the data or the machine that the user can change; the message says what.

    Everything else that is raised is a fault of this package and keeps its traceback.
    """


def run_or_explain(run: Callable[[], Result], *, exit_on_error: bool = True) -> Result | None:
    """Run, and tell an error that the user can mend in its own words.

    Args:
        run: what to run.
        exit_on_error: end the process with status 2 after such an error; False returns None instead, for a trial of a
            sweep whose other trials shall run.
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
            sys.exit(2)
        return None
