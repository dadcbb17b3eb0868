"""Catalogs as files: what comes back, and what is refused."""

import json
import os

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from ecgfounder_ft.data.catalog import Catalog, CatalogError, build_table, catalog_columns, skipped_table, targets
from ecgfounder_ft.data.catalog_files import load_catalog, save_catalog
from ecgfounder_ft.data.sources.physionet2021 import read_physionet2021
from ecgfounder_ft.data.sources.table.rows import read_table
from ecgfounder_ft.ecg.formats.wfdb import write_recording
from ecgfounder_ft.ecg.leads import STANDARD_LEADS
from ecgfounder_ft.ecg.recording import UnreadableRecordingError
from ecgfounder_ft.labels import UNKNOWN, Condition, LabelMap


@pytest.fixture
def catalog(tmp_path, label_map):
    root = tmp_path / "data"
    for number in range(3):
        folder = root / "training" / "georgia"
        path = folder / f"E0000{number}"
        write_recording(
            folder,
            path.name,
            np.full((12, 50), number + 1.0),
            STANDARD_LEADS,
            500,
            storage="mat",
            comments={"Age": "NaN", "Sex": "Male", "Dx": ["426783006", "", "164889003,59118001"][number]},
        )
    (root / "E00009.hea").touch()
    return read_physionet2021(root, label_map)


def test_it_comes_back_as_it_was(catalog, tmp_path, label_map):
    file = tmp_path / "catalogs" / "physionet2021.parquet"
    save_catalog(catalog, file, tmp_path / "data", label_map)
    again = load_catalog(file, label_map)
    pd.testing.assert_frame_equal(again.table, catalog.table)
    pd.testing.assert_frame_equal(again.skipped, catalog.skipped)
    assert again.notes == catalog.notes
    assert sorted(os.listdir(file.parent)) == ["physionet2021.parquet", "physionet2021.skipped.csv"]  # noqa: PTH208


def test_any_tool_can_read_it(catalog, tmp_path, label_map):
    file = tmp_path / "c.parquet"
    save_catalog(catalog, file, tmp_path / "data", label_map)
    plain = pq.read_table(file)
    assert plain.column_names == list(catalog_columns(label_map))
    assert plain["path"].to_pylist()[0] == "training/georgia/E00000.hea"
    assert plain["NORM"].to_pylist() == ["present", "unknown", "absent"]  # the last one in fibrillation


def test_a_dataset_may_move(catalog, tmp_path, label_map):
    file = tmp_path / "c.parquet"
    save_catalog(catalog, file, tmp_path / "data", label_map)
    table = load_catalog(file, label_map, root="/elsewhere").table
    assert table["path"][0] == "/elsewhere/training/georgia/E00000.hea"


def test_without_a_root_paths_are_absolute(catalog, tmp_path, label_map):
    save_catalog(catalog, tmp_path / "c.parquet", None, label_map)
    loaded = load_catalog(tmp_path / "c.parquet", label_map)
    assert loaded.table["path"].tolist() == catalog.table["path"].tolist()


def test_a_saved_catalog_is_a_table_too(catalog, tmp_path, label_map):
    save_catalog(catalog, tmp_path / "data" / "c.parquet", tmp_path / "data", label_map)
    again = read_table(tmp_path / "data" / "c.parquet", label_map)
    assert again.table["recording"].tolist() == catalog.table["recording"].tolist()
    assert again.table["patient"].tolist() == catalog.table["patient"].tolist()
    assert (targets(again.table, label_map) == targets(catalog.table, label_map)).all()


def test_another_label_map_is_refused(catalog, tmp_path, label_map):
    file = tmp_path / "c.parquet"
    save_catalog(catalog, file, None, label_map)
    other = LabelMap.from_dict(label_map.to_dict() | {"unreliable": {}})
    with pytest.raises(CatalogError, match=r"another label map.*build the catalog again"):
        load_catalog(file, other)


@pytest.mark.parametrize(
    "change",
    [
        lambda content: content.update(unusable=[]),
        lambda content: content["conditions"]["RBBB"].update(uncertain=[]),
        lambda content: content["conditions"]["AFIB"].update(implied_by=[]),
        lambda content: content["conditions"]["NORM"].update(unstated_in=["georgia"]),
        lambda content: content["conditions"]["NORM"].update(excluded_by=[]),
    ],
)
def test_a_label_map_with_other_lists_of_codes_is_refused(catalog, tmp_path, label_map, change):
    save_catalog(catalog, tmp_path / "c.parquet", None, label_map)
    content = label_map.to_dict()
    change(content)
    with pytest.raises(CatalogError, match="another label map"):
        load_catalog(tmp_path / "c.parquet", LabelMap.from_dict(content))


def resave(file, change):
    """Change what a saved catalog says of its label map, as another version would have written it."""
    table = pq.read_table(file)
    about = json.loads(table.schema.metadata[b"ecgfounder_ft"])
    change(about["label_map"])
    pq.write_table(table.replace_schema_metadata({b"ecgfounder_ft": json.dumps(about).encode()}), file)


def test_a_catalog_of_an_older_version_holds_where_its_label_map_says_the_same(tmp_path, label_map):
    plain = LabelMap("plain", {"RBBB": Condition(name="right bundle branch block", snomed=["59118001"])})
    comments = {"Dx": "59118001"}
    write_recording(tmp_path, "E00001", np.ones((12, 50)), STANDARD_LEADS, 500, storage="mat", comments=comments)
    file = tmp_path / "c.parquet"
    save_catalog(read_physionet2021(tmp_path, plain), file, None, plain)

    def older(content):
        del content["unusable"]
        for key in ("implied_by", "uncertain", "unstated_in", "excluded_by"):
            del content["conditions"]["RBBB"][key]

    resave(file, older)
    assert load_catalog(file, plain).table["RBBB"].tolist() == ["present"]
    resave(file, lambda content: content["conditions"]["RBBB"].update(snomed=["713427006"]))
    with pytest.raises(CatalogError, match="another label map"):
        load_catalog(file, plain)
    resave(file, lambda content: content["conditions"]["RBBB"].update(of_a_later_version=[]))
    with pytest.raises(CatalogError, match="another label map"):
        load_catalog(file, plain)


def test_other_files_are_refused(tmp_path, label_map):
    file = tmp_path / "c.parquet"
    with pytest.raises(CatalogError, match="cannot be read"):
        load_catalog(file, label_map)
    pd.DataFrame({"a": [1]}).to_parquet(file)
    with pytest.raises(CatalogError, match="version None, expected 2"):
        load_catalog(file, label_map)
    file.write_bytes(file.read_bytes()[:50])
    with pytest.raises(CatalogError, match="cannot be read"):
        load_catalog(file, label_map)


def test_an_empty_catalog(tmp_path, label_map):
    empty = Catalog(build_table([], label_map), skipped_table([UnreadableRecordingError("no samples")]))
    save_catalog(empty, tmp_path / "c.parquet", None, label_map)
    again = load_catalog(tmp_path / "c.parquet", label_map)
    assert len(again) == 0
    assert again.skipped["reason"].tolist() == ["no samples"]
    assert (targets(again.table, label_map) == UNKNOWN).all()
