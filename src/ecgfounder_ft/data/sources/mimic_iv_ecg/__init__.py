"""MIMIC-IV-ECG version 1.0 (https://physionet.org/content/mimic-iv-ecg/1.0/), as downloaded."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ecgfounder_ft.data.sources.downloaded import DownloadedDataset, DownloadedFolder
from ecgfounder_ft.labels import LabelMap

if TYPE_CHECKING:
    from ecgfounder_ft.data.catalog import Catalog

MIMIC_IV_ECG = "mimic_iv_ecg"
"""The dataset's name in catalogs."""


@dataclass(kw_only=True)
class MimicIvEcgFolder(DownloadedFolder):
    """The folder that holds ``record_list.csv`` and ``machine_measurements.csv``."""

    dataset = MIMIC_IV_ECG

    check_files: bool
    """Look for each recording's files each time, since some may have been downloaded or deleted meanwhile. Otherwise
    ``record_list.csv`` is believed, and the tables are read again only when they have changed."""

    def read_files(self, label_map: LabelMap, header_cache: Path) -> Catalog:
        """Read the two tables; no header is read."""
        from ecgfounder_ft.data.sources.mimic_iv_ecg.tables import read_mimic_iv_ecg

        assert self.root is not None
        return read_mimic_iv_ecg(self.root, label_map, check_files=self.check_files)

    def unchanged_while(self) -> list[tuple[str, int, int]] | None:
        """Name, size and time of change of the tables."""
        if self.check_files or self.root is None:
            return None
        tables = sorted(path for path in Path(self.root).glob("*.csv*") if path.is_file())
        return [(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in tables]


@dataclass(kw_only=True)
class MimicIvEcg(MimicIvEcgFolder, DownloadedDataset):
    """MIMIC-IV-ECG alone."""

    label_origin = "Machine statements of the MIMIC-IV-ECG reports, read by the patterns of the label map."
