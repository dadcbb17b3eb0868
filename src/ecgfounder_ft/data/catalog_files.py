"""Catalogs as files, saved for later.

A saved catalog is a Parquet file of the columns documented in :mod:`ecgfounder_ft.data.catalog`, with the label map,
the root of its paths and its notes in the file's metadata, and what was skipped in a CSV beside it.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from ecgfounder_ft.data.catalog import SKIPPED_COLUMNS, Catalog, CatalogError, build_table, validate
from ecgfounder_ft.files import make_shared_folder, whole_file, write_csv
from ecgfounder_ft.labels import LabelMap

SCHEMA_VERSION = 2
"""Version of saved catalogs; raised whenever older files cannot be read as they are."""

_METADATA_KEY = b"ecgfounder_ft"


def save_catalog(catalog: Catalog, file: Path | str, root: Path | str | None, label_map: LabelMap) -> None:
    """Write a catalog as Parquet, with what was skipped in ``<name>.skipped.csv`` beside it.

    Each file appears whole or not at all.

    Args:
        catalog: what to write.
        file: where to; its folder is made if absent.
        root: the dataset's folder, from which paths below it are written; None writes them absolute.
        label_map: the one that the catalog was built with.
    """
    validate(catalog.table, label_map)
    file = Path(file)
    make_shared_folder(file.parent)
    table = catalog.table.reset_index(drop=True)
    top = "" if root is None else os.path.normpath(Path(root).expanduser().absolute())
    if top:
        table = table.assign(path=table["path"].str.removeprefix(os.path.join(top, "")))  # noqa: PTH118
    arrow = pa.Table.from_pandas(table, preserve_index=False)
    for column in ("dataset", "constituent", "sex"):
        position = arrow.schema.get_field_index(column)
        arrow = arrow.set_column(position, column, arrow[column].dictionary_encode())
    about = {
        "schema_version": SCHEMA_VERSION,
        "root": top,
        "label_map": label_map.to_dict(),
        "notes": list(catalog.notes),
    }
    metadata = {**(arrow.schema.metadata or {}), _METADATA_KEY: json.dumps(about).encode()}
    with whole_file(file) as unfinished:
        pq.write_table(arrow.replace_schema_metadata(metadata), unfinished, compression="zstd")
        write_csv(_skipped_file(file), catalog.skipped)


def load_catalog(file: Path | str, label_map: LabelMap, root: Path | str | None = None) -> Catalog:
    """Read a saved catalog, with absolute paths.

    Args:
        file: as :func:`save_catalog` wrote it.
        label_map: must be the one that the catalog was built with.
        root: where the dataset lies now, if it was moved.

    Raises:
        CatalogError: if it is no saved catalog, of another version, or of another label map.
    """
    file = Path(file)
    try:
        arrow = pq.read_table(file)
    except (OSError, pa.ArrowException) as error:
        raise CatalogError(f"{file} cannot be read as a catalog: {error}") from error
    about = json.loads((arrow.schema.metadata or {}).get(_METADATA_KEY, b"{}"))
    _check_origin(about, file, label_map)
    table = arrow.to_pandas()
    for column in ("dataset", "constituent", "sex"):
        table[column] = table[column].astype(str)
    top = about["root"] if root is None else os.path.normpath(Path(root).expanduser().absolute())
    if top:
        table["path"] = table["path"].where(table["path"].str.startswith("/"), f"{top}{os.sep}" + table["path"])
    beside = _skipped_file(file)
    skipped = pd.DataFrame(columns=SKIPPED_COLUMNS, dtype=str)
    if beside.is_file():
        skipped = pd.read_csv(beside, dtype=str, keep_default_na=False)
    return Catalog(build_table(table, label_map), skipped, tuple(about["notes"]))


def _check_origin(about: Mapping[str, object], file: Path, label_map: LabelMap) -> None:
    if about.get("schema_version") != SCHEMA_VERSION:
        raise CatalogError(
            f"{file}: version {about.get('schema_version')}, expected {SCHEMA_VERSION}; build the catalog again"
        )
    if not _is_label_map(about["label_map"], label_map):
        raise CatalogError(
            f"{file} was built with another label map than '{label_map.name}' is now, so its labels may be others; "
            "build the catalog again"
        )


def _is_label_map(record: object, label_map: LabelMap) -> bool:
    """Whether a stored record says the same as this label map; keys that an older version did not have are empty."""
    try:
        return LabelMap.from_dict(cast("dict[str, Any]", record)) == label_map
    except (AttributeError, KeyError, TypeError, ValueError):
        return False


def _skipped_file(file: Path) -> Path:
    return file.with_suffix(".skipped.csv")
