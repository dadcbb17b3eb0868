"""A table of the user's own recordings and labels; its columns are described in docs/data.md."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ecgfounder_ft.data.sources.source import DataSource
from ecgfounder_ft.labels import LabelMap

if TYPE_CHECKING:
    from ecgfounder_ft.data.catalog import Catalog
    from ecgfounder_ft.ecg.description import SignalDescription


@dataclass(kw_only=True)
class Table(DataSource):
    """A CSV or Parquet file, one row per recording."""

    label_origin = "The condition columns of a table of the user's own."

    path: str
    """The table."""
    root: str | None
    """Folder that relative paths start from and that no path may leave; None: the table's own folder."""
    labels_column: str | None
    """Column that lists the labels of each recording (``AF|PVC``, ``["AFIB"]``); None: one column per condition."""
    sampling_rate: float | None
    """Hz, of files that do not say it; None: such files are skipped."""
    unit: str | None
    """Of the numbers in files that do not say it: mV, uV, V or nV; None: such files are skipped."""
    leads: list[str] | None
    """Names, in order, in files that do not say them; None: such files are skipped."""

    @property
    def stated(self) -> SignalDescription:
        """The three settings above.

        Raises:
            DescriptionError: if one of them is impossible.
        """
        from ecgfounder_ft.ecg.description import SignalDescription

        return SignalDescription(self.sampling_rate, self.unit, None if self.leads is None else tuple(self.leads))

    def require(self, label_map: LabelMap, minimum: int) -> None:
        """Look at the names of the columns.

        Raises:
            CatalogError: if the file cannot be read, or its columns cannot be meant.
        """
        from ecgfounder_ft.data.sources.table.rows import require_columns

        require_columns(self.path, label_map, minimum, self.labels_column)

    def read(self, label_map: LabelMap) -> Catalog:
        """Read the table and what the files that it names say of themselves."""
        from ecgfounder_ft.data.sources.table.rows import read_table

        return read_table(self.path, label_map, self.root, self.stated, self.labels_column)
