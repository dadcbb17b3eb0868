"""From the configuration's ``data`` group to the catalog of its recordings. A new source is one more entry here."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ecgfounder_ft.data.catalog import Catalog, merge_catalogs, state_column, targets
from ecgfounder_ft.errors import ExplainedError
from ecgfounder_ft.labels import ABSENT, UNKNOWN, LabelMap

if TYPE_CHECKING:
    from ecgfounder_ft.config.schema import (
        DataConfig,
        MergedDataConfig,
        MimicIvEcgDataConfig,
        Physionet2021DataConfig,
        SelectedDataConfig,
        SimulatedDataConfig,
        TableDataConfig,
    )

UNLISTED = ("absent", "unknown")


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
    from ecgfounder_ft.data.sources.selected import read_selected_folders

    catalog = read_selected_folders(data.mimic_path, data.physionet_path, label_map)
    if data.unlisted not in UNLISTED:
        raise NoDataError(f"data.unlisted is '{data.unlisted}', expected one of: {', '.join(UNLISTED)}")
    if data.unlisted == "absent":
        states = targets(catalog.table, label_map)
        states[states == UNKNOWN] = ABSENT
        columns = {code: state_column(states[:, column]) for column, code in enumerate(label_map.codes)}
        catalog = replace(catalog, table=catalog.table.assign(**columns))
    return catalog


def _simulated(data: SimulatedDataConfig, label_map: LabelMap) -> Catalog:
    from ecgfounder_ft.data.sources.simulated import write_selected_folders

    write_selected_folders(Path(data.root), label_map, data.recordings_per_condition, data.seed)
    return _selected(data, label_map)


def _mimic_iv_ecg(data: MimicIvEcgDataConfig, label_map: LabelMap) -> Catalog:
    assert data.root is not None  # the configuration has no default for it
    return mimic_iv_ecg_catalog(data.root, label_map, Path(data.catalogs), check_files=data.check_files)


def _physionet2021(data: Physionet2021DataConfig, label_map: LabelMap) -> Catalog:
    assert data.root is not None  # the configuration has no default for it
    return physionet2021_catalog(data.root, label_map, Path(data.catalogs), data.ptbxl_database)


def _merged(data: MergedDataConfig, label_map: LabelMap) -> Catalog:
    catalogs = []
    folder = Path(data.catalogs)
    mimic, physionet = data.mimic_iv_ecg, data.physionet2021
    if mimic.root is not None:
        catalogs.append(mimic_iv_ecg_catalog(mimic.root, label_map, folder, check_files=mimic.check_files))
    if physionet.root is not None:
        catalogs.append(physionet2021_catalog(physionet.root, label_map, folder, physionet.ptbxl_database))
    if not catalogs:
        raise FileNotFoundError(
            "data=merged without a dataset: set data.mimic_iv_ecg.root, data.physionet2021.root, or both"
        )
    return merge_catalogs(catalogs, label_map)


def _table(data: TableDataConfig, label_map: LabelMap) -> Catalog:
    from ecgfounder_ft.data.sources.table import read_table

    return read_table(data.path, label_map, root=data.root)


def physionet2021_catalog(
    root: str | Path, label_map: LabelMap, folder: Path, ptbxl_database: str | Path | None = None
) -> Catalog:
    """Catalog of PhysioNet/CinC 2021, saved in ``folder``; only new and changed headers are read again."""
    from ecgfounder_ft.data.sources.physionet2021 import read_physionet2021
    from ecgfounder_ft.data.sources.table import save_catalog

    headers = folder / f"physionet2021-{_digest(_absolute(root))}.headers.parquet"
    catalog = read_physionet2021(root, label_map, ptbxl_database=ptbxl_database, header_cache=headers)
    save_catalog(catalog, folder / "physionet2021.parquet", root, label_map)
    return catalog


def mimic_iv_ecg_catalog(root: str | Path, label_map: LabelMap, folder: Path, *, check_files: bool = True) -> Catalog:
    """Catalog of MIMIC-IV-ECG, saved in ``folder``; its tables are read again only when they have changed.

    With ``check_files`` they are read each time, since recordings may have been downloaded or deleted meanwhile.
    """
    from ecgfounder_ft.data.sources.mimic_iv_ecg import read_mimic_iv_ecg
    from ecgfounder_ft.data.sources.table import load_catalog, save_catalog

    file = folder / "mimic_iv_ecg.parquet"
    if check_files:
        catalog = read_mimic_iv_ecg(root, label_map)
        save_catalog(catalog, file, root, label_map)
        return catalog
    tables = sorted(path for path in Path(root).glob("*.csv*") if path.is_file())
    signature = [(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in tables]
    file = folder / f"mimic_iv_ecg-{_digest(_absolute(root), signature, label_map.to_dict())}.parquet"
    if file.is_file():
        return load_catalog(file, label_map, root)
    catalog = read_mimic_iv_ecg(root, label_map, check_files=False)
    save_catalog(catalog, file, root, label_map)
    return catalog


def _absolute(root: str | Path) -> str:
    return str(Path(root).expanduser().resolve())


def _digest(*parts: object) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:12]


SOURCES: dict[str, Callable[..., Catalog]] = {
    "selected": _selected,
    "simulated": _simulated,
    "merged": _merged,
    "mimic_iv_ecg": _mimic_iv_ecg,
    "physionet2021": _physionet2021,
    "table": _table,
}
"""``data.source`` to what reads it."""
