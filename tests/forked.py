"""Processes that have imported torch already: forked from one that imports it once for all of them.

They can be killed, and what they change of themselves ends with them, as in a process of one's own.
"""

import contextlib
import multiprocessing
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

context = multiprocessing.get_context("forkserver")
context.set_forkserver_preload(
    [
        "ecgfounder_ft.training.experiment",
        "ecgfounder_ft.sweeps.answer",
        "tests.small_run",
        "tests.sweep_runs",
        "tests.warm",
    ]
)


def call(program: Callable[..., Any], *arguments: Any, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Call a program, whose answer is its exit code, in a process of its own and from a folder; waits for its end."""
    with tempfile.TemporaryDirectory() as folder:
        streams = [Path(folder) / name for name in ("stdout", "stderr")]
        process = context.Process(target=_call, args=(program, arguments, cwd, streams))
        process.start()
        process.join()
        assert process.exitcode is not None
        said = [stream.read_text(encoding="utf-8") for stream in streams]
    return subprocess.CompletedProcess(list(arguments), process.exitcode, *said)


def command(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """``ecgfounder-ft`` as typed."""
    return call(_ecgfounder_ft, *arguments, cwd=cwd)


def _call(program: Callable[..., Any], arguments: tuple[Any, ...], cwd: Path, streams: list[Path]) -> None:
    with contextlib.ExitStack() as stack:
        for number, path in enumerate(streams, start=1):
            os.dup2(stack.enter_context(path.open("w", encoding="utf-8")).fileno(), number)
    os.environ["OMP_NUM_THREADS"] = "1"
    os.chdir(cwd)
    import torch

    torch.set_num_threads(1)
    sys.exit(program(*arguments))


def _ecgfounder_ft(*arguments: str) -> None:
    from ecgfounder_ft.cli import app

    sys.argv = ["ecgfounder-ft", *arguments]
    app()
