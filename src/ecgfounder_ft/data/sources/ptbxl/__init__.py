"""PTB-XL versions 1.0.1 to 1.0.3 (https://physionet.org/content/ptb-xl/), as downloaded."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ecgfounder_ft.data.sources.downloaded import DownloadedDataset, DownloadedFolder
from ecgfounder_ft.labels import LabelMap

if TYPE_CHECKING:
    from ecgfounder_ft.data.catalog import Catalog

PTBXL = "ptbxl"
"""The dataset's name in catalogs."""

RECORDS = ("auto", "records500", "records100")
SIGNAL_PROBLEMS = ("baseline_drift", "static_noise", "burst_noise", "electrodes_problems")
"""Columns of ``ptbxl_database.csv`` that hold a text where a signal has the problem."""
GROUPS = ("site", "device", "heart_axis", "validated_by", "signal_quality")
"""What recordings can be grouped by; ``signal_quality`` is ``problem stated`` or ``no problem stated``."""


@dataclass(kw_only=True)
class PtbxlFolder(DownloadedFolder):
    """The folder that holds ``ptbxl_database.csv``, ``scp_statements.csv`` and ``records500`` or ``records100``.

    Raises:
        ValueError: if a setting is unknown; the message lists those that there are.
    """

    dataset = PTBXL

    records: str
    """``records500``, ``records100``, or ``auto``: the first where it is there, else the second."""
    group_by: str | None
    """One of :data:`GROUPS`, which then stands as the constituent: subgroups, and sources of a split; None: none."""
    leave_out: list[str]
    """Columns of :data:`SIGNAL_PROBLEMS`; recordings with a text in one of them are left out, and counted."""

    def __post_init__(self) -> None:
        for name, found, allowed in (
            ("records", [self.records], RECORDS),
            ("group_by", [self.group_by] if self.group_by is not None else [], GROUPS),
            ("leave_out", self.leave_out, SIGNAL_PROBLEMS),
        ):
            for value in found:
                if value not in allowed:
                    raise ValueError(f"{name} of PTB-XL is '{value}', expected one of: {', '.join(allowed)}")

    def read_files(self, label_map: LabelMap, header_cache: Path) -> Catalog:
        """Read the two tables, and look for each recording's files; no header is read."""
        from ecgfounder_ft.data.sources.ptbxl.database import read_ptbxl

        return read_ptbxl(self, label_map)


@dataclass(kw_only=True)
class Ptbxl(PtbxlFolder, DownloadedDataset):
    """PTB-XL alone."""

    label_origin = (
        "SCP-ECG statements of PTB-XL: those of its physicians, and for the recordings that nobody validated those of "
        "the devices and technicians."
    )

    def __post_init__(self) -> None:
        DownloadedDataset.__post_init__(self)
        PtbxlFolder.__post_init__(self)
