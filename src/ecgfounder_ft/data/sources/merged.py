"""Several downloaded datasets behind one label map."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ecgfounder_ft.data.sources.downloaded import DownloadedFolder
from ecgfounder_ft.data.sources.mimic_iv_ecg import MimicIvEcgFolder
from ecgfounder_ft.data.sources.physionet2021 import PHYSIONET_2021, Physionet2021Folder
from ecgfounder_ft.data.sources.ptbxl import PTBXL, PtbxlFolder
from ecgfounder_ft.data.sources.source import DataSource
from ecgfounder_ft.labels import LabelMap

if TYPE_CHECKING:
    from ecgfounder_ft.data.catalog import Catalog


@dataclass(kw_only=True)
class Merged(DataSource):
    """The datasets whose folder is given. Each field that is a :class:`DownloadedFolder` is one."""

    label_origin = (
        "Machine statements of the MIMIC-IV-ECG reports, read by the patterns of the label map, SNOMED CT codes in the "
        "headers of PhysioNet/CinC 2021, and SCP-ECG statements of PTB-XL, as far as these are among the sources."
    )

    catalogs: str
    """Folder of the saved catalogs."""
    mimic_iv_ecg: MimicIvEcgFolder
    physionet2021: Physionet2021Folder
    ptbxl: PtbxlFolder

    def read(self, label_map: LabelMap) -> Catalog:
        """Read the datasets whose folder is given, one after the other.

        The Challenge holds PTB-XL too. Where PTB-XL itself is given, the Challenge's copies of its recordings are left
        out, and counted.

        Raises:
            FileNotFoundError: if none is.
        """
        from ecgfounder_ft.data.catalog import merge_catalogs

        found = {dataset.dataset: dataset.catalog(label_map, Path(self.catalogs)) for dataset in self._given()}
        if PTBXL in found and PHYSIONET_2021 in found:
            found[PHYSIONET_2021] = _without_copies(found[PHYSIONET_2021], found[PTBXL])
        return merge_catalogs(list(found.values()), label_map)

    def require(self, label_map: LabelMap, minimum: int) -> None:
        """Look for the folders that are given.

        Raises:
            FileNotFoundError: if none is.
        """
        for dataset in self._given():
            dataset.require_folder()

    def _given(self) -> list[DownloadedFolder]:
        datasets = [getattr(self, one.name) for one in fields(self)]
        folders = [dataset for dataset in datasets if isinstance(dataset, DownloadedFolder)]
        given = [dataset for dataset in folders if dataset.root is not None]
        if not given:
            keys = [f"data.{dataset.dataset}.root" for dataset in folders]
            raise FileNotFoundError(f"data=merged without a dataset: set {', '.join(keys)}, or several of them")
        return given


def _without_copies(challenge: Catalog, ptbxl: Catalog) -> Catalog:
    """The Challenge without its copies of PTB-XL's recordings: the number of ``HR00001`` is its ``ecg_id``."""
    import pandas as pd

    numbers = challenge.table["recording"].str.extract(r"/HR(\d+)", expand=False)
    copies = (challenge.table["constituent"] == "ptb-xl") & (PTBXL + "/" + numbers).isin(set(ptbxl.table["recording"]))
    if not copies.any():
        return challenge
    note = f"{PHYSIONET_2021}: {int(copies.sum())} recording(s) stand in {PTBXL} too, and are taken from there"
    gone = pd.DataFrame({"path": challenge.table.loc[copies, "path"], "reason": f"stands in {PTBXL}", "detail": ""})
    skipped = pd.concat([challenge.skipped, gone], ignore_index=True)
    return replace(
        challenge,
        table=challenge.table[~copies].reset_index(drop=True),
        skipped=skipped,
        notes=(*challenge.notes, note),
    )
