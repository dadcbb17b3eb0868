"""The status of a run: who works in its folder, and how the run ended."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import yaml

from ecgfounder_ft.errors import ExplainedError
from ecgfounder_ft.files import HeldError, file_lock, write_json, write_text
from ecgfounder_ft.interruption import Interrupted
from ecgfounder_ft.runs.evaluation_folder import EvaluationFolder
from ecgfounder_ft.untrusted import run_files
from ecgfounder_ft.untrusted.run_files import RunFolderError


class PrunedError(ExplainedError):
    """A run that a search has given up; not a failure.

    Args:
        message: why.
        metric: what it had come to: ``name``, ``mode`` and ``value``, as ``optimized_metric`` of a finished run.
    """

    def __init__(self, message: str, metric: Mapping[str, Any]) -> None:
        super().__init__(message)
        self.metric = dict(metric)


class RunStatus(EvaluationFolder):
    """The lock and the status file in the folder of a run."""

    STATUS = "status.json"
    LOCK = ".lock"
    OVERRIDES = ".hydra/overrides.yaml"

    @contextmanager
    def only_run(self, hold: bool = True) -> Iterator[None]:
        """Hold the folder's lock, so that no second run writes into it. The system releases it with the process.

        Args:
            hold: False in all but one process of a run on several devices.

        Raises:
            RunFolderError: if another process holds it.
        """
        with ExitStack() as stack:
            if hold:
                try:
                    stack.enter_context(file_lock(self.path / self.LOCK, wait=0))
                except HeldError as error:
                    raise RunFolderError(
                        f"{self.path}: another process is training there; wait for it, end it, or choose another folder"
                    ) from error
            yield

    @contextmanager
    def recorded_status(self, write: bool = True) -> Iterator[dict[str, Any]]:
        """Keep ``status.json``: running, finished, pruned, interrupted or failed.

        Args:
            write: False in all but one process of a run on several devices.

        Yields:
            The status, to which more can be added.
        """
        status: dict[str, Any] = {"state": "running", "started": time.strftime("%Y-%m-%dT%H:%M:%S%z")}
        begun = time.monotonic()

        def save() -> None:
            if write:
                write_json(self.path / self.STATUS, status)

        save()
        if write:
            (self.path / self.DIGESTS).unlink(missing_ok=True)  # of the files that this run writes anew
        try:
            yield status
        except (Interrupted, KeyboardInterrupt) as error:
            status |= {"state": "interrupted", "error": str(error) or "KeyboardInterrupt"}
            raise
        except PrunedError as error:
            status |= {"state": "pruned", "error": str(error), "optimized_metric": error.metric}
            raise
        except BaseException as error:
            status |= {"state": "failed", "error": f"{type(error).__name__}: {error}"}
            raise
        else:
            status["state"] = "finished"
        finally:
            status["seconds"] = round(time.monotonic() - begun, 1)
            save()

    def write_lost(self, reason: str, overrides: Sequence[str]) -> None:
        """Write the end of a run that could not write it itself; it may never have begun.

        Args:
            reason: what is known of the end.
            overrides: what was typed for the run.
        """
        file = self.path / self.OVERRIDES
        file.parent.mkdir(parents=True, exist_ok=True)
        if not file.is_file():
            write_text(file, yaml.safe_dump(list(overrides)))
        status = {"started": None, "seconds": None, **self.read_status()}
        # an interrupted run has left a checkpoint; one that still says that it runs was killed
        state = "interrupted" if status.get("state") == "interrupted" else "failed"
        write_json(self.path / self.STATUS, {**status, "state": state, "error": reason})

    def read_status(self) -> dict[str, Any]:
        """Read the status as last written; empty without one."""
        return run_files.read_json(self.path, self.path / self.STATUS, dict) or {}

    def overrides(self) -> list[str]:
        """Read what was typed behind ``train.py`` for this run."""
        file = self.path / self.OVERRIDES
        return list(yaml.safe_load(file.read_text(encoding="utf-8")) or []) if file.is_file() else []
