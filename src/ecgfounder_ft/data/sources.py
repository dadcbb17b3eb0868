"""From the configuration's ``data`` group to the catalog of its recordings. A new source is one more entry here."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from ecgfounder_ft.data.catalog import Catalog
from ecgfounder_ft.errors import ExplainedError
from ecgfounder_ft.labels import LabelMap

if TYPE_CHECKING:
    from ecgfounder_ft.config import DataConfig, SelectedDataConfig, SimulatedDataConfig


class NoDataError(ExplainedError):
    """No recordings where the configuration says."""


def read_catalog(data: DataConfig, label_map: LabelMap) -> Catalog:
    """Catalog of the configured source.

    Raises:
        NoDataError: if the source is unknown, or its folders are not there or hold no recording.
    """
    reader = SOURCES.get(data.source)
    if reader is None:
        raise NoDataError(f"data.source is '{data.source}', expected one of: {', '.join(SOURCES)}")
    try:
        catalog = reader(data, label_map)
    except FileNotFoundError as error:
        raise NoDataError(
            f"{error}\n\nThe datasets are MIMIC-IV-ECG (https://physionet.org/content/mimic-iv-ecg) and PhysioNet/CinC "
            "2021 (https://physionet.org/content/challenge-2021).\n"
            "To see the project at work without any data: python train.py experiment=demo"
        ) from error
    if not len(catalog):
        reasons = catalog.skipped["reason"].value_counts()
        skipped = "; ".join(f"{count} x {reason}" for reason, count in reasons.items()) or "none found at all"
        raise NoDataError(
            f"no usable recording in the configured folders. Skipped: {skipped}. {' '.join(catalog.notes)}"
        )
    return catalog


def _selected(data: SelectedDataConfig, label_map: LabelMap) -> Catalog:
    from ecgfounder_ft.data.selected import read_selected_folders

    return read_selected_folders(data.mimic_path, data.physionet_path, label_map)


def _simulated(data: SimulatedDataConfig, label_map: LabelMap) -> Catalog:
    from ecgfounder_ft.data.simulated import write_selected_folders

    write_selected_folders(Path(data.root), label_map, data.recordings_per_condition, data.seed)
    return _selected(data, label_map)


SOURCES: dict[str, Callable[..., Catalog]] = {"selected": _selected, "simulated": _simulated}
"""``data.source`` to what reads it."""
