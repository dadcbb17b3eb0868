"""One ECG recording in memory, and the reasons why a file may not become one."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ecgfounder_ft.console import displayable
from ecgfounder_ft.errors import ExplainedError


class UnreadableRecordingError(ExplainedError):
    """A recording that cannot be used. It is skipped, counted and listed; it never ends a run.

    Args:
        reason: a short, fixed phrase to count by ("signal file is truncated").
        detail: what was found and what was expected.
        path: the file at fault.
    """

    def __init__(self, reason: str, detail: str = "", path: Path | str | None = None) -> None:
        self.reason = reason
        self.detail = displayable(detail)
        self.path = None if path is None else displayable(str(path))
        super().__init__(": ".join(part for part in (self.path, reason, self.detail) if part))

    def __reduce__(self) -> tuple[type, tuple[str, str, str | None]]:
        return type(self), (self.reason, self.detail, self.path)  # so that it crosses process borders


class MissingReaderError(UnreadableRecordingError):
    """A recording whose format needs a package that is not installed: nothing is wrong with the file."""


@dataclass(frozen=True)
class Recording:
    """Simultaneously sampled leads of one patient."""

    name: str
    """Record name: the file's name without its suffix."""
    leads: tuple[str, ...]
    """Lead names in the order of the signal's rows, standard leads in their standard spelling."""
    signal: NDArray[np.floating]
    """(leads, samples), millivolts, NaN where a sample is missing."""
    sampling_rate: float
    """Hz."""
    metadata: Mapping[str, str] = field(default_factory=dict)
    """The header's comment fields by lower-case name: ``age``, ``sex``, ``dx``, ``<subject_id>``."""
    path: Path | None = None
    """The file by which it is known: for WFDB its header."""
    repairs: tuple[str, ...] = ()
    """What had to be mended to read it, each a fixed phrase to count by."""
    format: str = ""
    """The format that it was stored in, as its reader names it; empty for one that was never stored."""

    def __post_init__(self) -> None:
        if self.signal.ndim != 2 or self.signal.shape[0] != len(self.leads):
            raise ValueError(
                f"{self.name}: a signal of shape {self.signal.shape} for {len(self.leads)} leads; "
                "expected (leads, samples)"
            )

    @property
    def duration(self) -> float:
        """Seconds."""
        return self.signal.shape[1] / self.sampling_rate
