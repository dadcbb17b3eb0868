"""Datasets as they are downloaded: catalogs of them are saved, so that reading them again is fast."""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from ecgfounder_ft.data.sources.source import DataSource
from ecgfounder_ft.discovery import classes_in
from ecgfounder_ft.labels import LabelMap

if TYPE_CHECKING:
    from ecgfounder_ft.data.catalog import Catalog


@dataclass(kw_only=True)
class DownloadedFolder(ABC):
    """One dataset in its folder: what a source of this dataset alone has, and a source that merges several."""

    dataset: ClassVar[str]
    """The dataset's name in catalogs, and that of the files they are saved in."""

    root: str | None
    """The folder, as downloaded; None: without this dataset."""

    @abstractmethod
    def read_files(self, label_map: LabelMap, header_cache: Path) -> Catalog:
        """The catalog, from the files of the dataset.

        Args:
            label_map: the conditions.
            header_cache: a file that may be used to remember WFDB headers.

        Raises:
            FolderNotFoundError: if there is no such folder.
            CatalogError: if the files in it are not what they should be.
        """

    def require_folder(self) -> None:
        """Look for the folder.

        Raises:
            FolderNotFoundError: if there is none.
        """
        from ecgfounder_ft.data.catalog import existing_folder

        if self.root is not None:
            existing_folder(self.root, f"{self.dataset} recordings", "Set its root to the folder as downloaded")

    def unchanged_while(self) -> object:
        """A JSON value that stays the same as long as the saved catalog is up to date.

        None: the files are read each time.
        """
        return None

    def catalog(self, label_map: LabelMap, folder: Path) -> Catalog:
        """The catalog, which is saved in ``folder`` and loaded from there while :meth:`unchanged_while` is the same.

        Raises:
            FolderNotFoundError, CatalogError: as :meth:`read_files`.
        """
        from ecgfounder_ft.data.catalog_files import SCHEMA_VERSION, load_catalog, save_catalog

        assert self.root is not None
        place = str(Path(self.root).expanduser().resolve())
        state = self.unchanged_while()
        key = "" if state is None else f"-{_digest(place, state, label_map.to_dict(), SCHEMA_VERSION)}"
        file = folder / f"{self.dataset}{key}.parquet"
        if state is not None and file.is_file():
            return load_catalog(file, label_map, self.root)
        found = self.read_files(label_map, folder / f"{self.dataset}-{_digest(place)}.headers.parquet")
        save_catalog(found, file, self.root, label_map)
        return found


@dataclass(kw_only=True)
class DownloadedDataset(DownloadedFolder, DataSource):
    """A source that is one downloaded dataset."""

    root: str
    """The folder, as downloaded."""
    catalogs: str
    """Folder of the saved catalogs."""

    def require(self, label_map: LabelMap, minimum: int) -> None:
        """Look for the folder."""
        self.require_folder()

    def read(self, label_map: LabelMap) -> Catalog:
        """Read the dataset, or its saved catalog."""
        return self.catalog(label_map, Path(self.catalogs))


def downloaded_datasets() -> dict[str, type[DownloadedDataset]]:
    """Name to settings of the sources that are one downloaded dataset."""
    from ecgfounder_ft.data import sources

    return classes_in(sources, DownloadedDataset)  # type: ignore[type-abstract]


def _digest(*parts: object) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:12]
