"""MIMIC-IV-ECG and PhysioNet/CinC 2021 as downloaded, behind one label map."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ecgfounder_ft.data.sources.downloaded import DownloadedFolder
from ecgfounder_ft.data.sources.mimic_iv_ecg import MimicIvEcgFolder
from ecgfounder_ft.data.sources.physionet2021 import Physionet2021Folder
from ecgfounder_ft.data.sources.source import DataSource
from ecgfounder_ft.labels import LabelMap

if TYPE_CHECKING:
    from ecgfounder_ft.data.catalog import Catalog


@dataclass(kw_only=True)
class Merged(DataSource):
    """Both datasets, or one of them."""

    label_origin = (
        "Machine statements of the MIMIC-IV-ECG reports, read by the patterns of the label map, and SNOMED CT codes in "
        "the headers of PhysioNet/CinC 2021."
    )

    catalogs: str
    """Folder of the saved catalogs."""
    mimic_iv_ecg: MimicIvEcgFolder
    physionet2021: Physionet2021Folder

    def read(self, label_map: LabelMap) -> Catalog:
        """Read the datasets whose folder is given, one after the other.

        Raises:
            FileNotFoundError: if neither is.
        """
        from ecgfounder_ft.data.catalog import merge_catalogs

        return merge_catalogs([dataset.catalog(label_map, Path(self.catalogs)) for dataset in self._given()], label_map)

    def require(self, label_map: LabelMap, minimum: int) -> None:
        """Look for the folders that are given.

        Raises:
            FileNotFoundError: if none is.
        """
        for dataset in self._given():
            dataset.require_folder()

    def _given(self) -> list[DownloadedFolder]:
        both: tuple[DownloadedFolder, ...] = (self.mimic_iv_ecg, self.physionet2021)
        given = [dataset for dataset in both if dataset.root is not None]
        if not given:
            raise FileNotFoundError(
                "data=merged without a dataset: set data.mimic_iv_ecg.root, data.physionet2021.root, or both"
            )
        return given
