import numpy as np
import pandas as pd
import pytest

from ecgfounder_ft.config.compose import compose_settings
from ecgfounder_ft.data.catalog import CatalogError, catalog_columns, targets
from ecgfounder_ft.data.sources.table.rows import read_table
from ecgfounder_ft.data.store.signal_store import build_store
from ecgfounder_ft.ecg.description import SignalDescription
from ecgfounder_ft.ecg.formats.wfdb import write_recording
from ecgfounder_ft.ecg.leads import STANDARD_LEADS
from ecgfounder_ft.ecg.preprocessing import Preprocessing
from ecgfounder_ft.ecg.preprocessing_settings import Window
from ecgfounder_ft.ecg.recording import Recording
from ecgfounder_ft.labels import PRESENT


def write(folder, name, seed=0, **comments):
    signal = np.random.default_rng(seed).normal(size=(12, 100)).astype(np.float32)
    return write_recording(folder, name, signal, STANDARD_LEADS, 250, storage="dat", comments=comments)


@pytest.fixture
def root(tmp_path):
    for number in range(4):
        write(tmp_path / "ecgs", f"r{number}", seed=number, Age=str(50 + number), Sex="Female")
    return tmp_path


def table(root, content, name="mine.csv"):
    file = root / name
    pd.DataFrame(content).to_csv(file, index=False)
    return file


def test_a_minimal_table(root, label_map):
    file = table(root, {"path": ["ecgs/r0.hea", "ecgs/r1.dat", "ecgs/r2"], "AFIB": ["present", "absent", ""]})
    catalog = read_table(file, label_map)
    assert list(catalog.table) == list(catalog_columns(label_map))
    assert catalog.table["recording"].tolist() == ["mine/ecgs/r0", "mine/ecgs/r1", "mine/ecgs/r2"]
    assert catalog.table["path"].tolist() == [str(root / f"ecgs/r{i}.hea") for i in range(3)]
    assert catalog.table["AFIB"].tolist() == ["present", "absent", "unknown"]
    assert (catalog.table["NORM"] == "unknown").all()
    assert catalog.table["patient"].tolist() == catalog.table["recording"].tolist()
    assert catalog.table["age"].tolist() == [50, 51, 52]
    assert catalog.table["sex"].tolist() == ["female"] * 3
    assert (catalog.table["sampling_rate"] == 250).all()
    assert (catalog.table["samples"] == 100).all()
    assert "no column for NORM" in catalog.notes[0]
    assert "3 recording(s) name no patient" in catalog.notes[-1]


def test_every_column(root, label_map):
    content = {
        "recording": ["x/1", "x/2"],
        "dataset": ["x", "x"],
        "constituent": ["a", "b"],
        "path": ["ecgs/r0.hea", "ecgs/r1.hea"],
        "patient": ["p1", "p1"],
        "age": ["71.5", ""],
        "sex": ["M", "unknown"],
        "fold": ["3", ""],
        **{code: ["1", "0"] for code in label_map.codes},
        "evidence": ["read by two cardiologists", ""],
    }
    catalog = read_table(table(root, content), label_map)
    assert not catalog.notes
    first, second = catalog.table.to_dict("records")
    assert (first["recording"], first["dataset"], first["constituent"]) == ("x/1", "x", "a")
    assert first["patient"] == second["patient"] == "x/p1"
    assert (first["age"], first["sex"], first["fold"]) == (71.5, "male", 3)
    assert np.isnan([second["age"], second["fold"]]).all()
    assert second["sex"] == ""
    assert first["evidence"] == "read by two cardiologists"
    assert targets(catalog.table, label_map).tolist() == [[1] * len(label_map), [0] * len(label_map)]


@pytest.mark.parametrize("values", [[1, 0, None], [1.0, 0.0, np.nan], [True, False, None]])
def test_parquet_with_numbers(root, label_map, values):
    file = root / "mine.parquet"
    pd.DataFrame({"path": [f"ecgs/r{i}.hea" for i in range(3)], "RBBB": values}).to_parquet(file)
    assert read_table(file, label_map).table["RBBB"].tolist() == ["present", "absent", "unknown"]


@pytest.mark.parametrize(
    ("column", "suggestion"),
    [
        ("afib", "AFIB"),
        ("Atrial Fibrillation", "AFIB"),
        ("LBB", "LBBB"),
        ("1dAVB", "1dAVb"),
        ("Patient", "patient"),
        ("filepath", None),
    ],
)
def test_a_column_that_is_nearly_one_is_refused_with_a_suggestion(root, label_map, column, suggestion):
    file = table(root, {"path": ["ecgs/r0.hea"], "NORM": ["1"], column: ["1"]})
    message = rf"column '{column}' is no condition.*" + (f"'{suggestion}'\\?" if suggestion else "remove it")
    with pytest.raises(CatalogError, match=message):
        read_table(file, label_map)


def test_a_condition_that_the_label_map_lacks_is_refused_but_other_columns_are_noted(root, label_map):
    content = {"path": ["ecgs/r0.hea", "ecgs/r1.hea"], "NORM": ["1", "0"]}
    with pytest.raises(CatalogError, match=r"'WPW' is no condition of label map 'six_conditions' \(NORM, AFIB"):
        read_table(table(root, content | {"WPW": ["1", ""]}), label_map)
    catalog = read_table(table(root, content | {"hospital": ["north", "south"]}), label_map)
    assert any("columns hospital are not used" in note for note in catalog.notes)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"NORM": ["1"]}, "no column 'path' among NORM"),
        ({"path": ["ecgs/r0.hea"]}, "no condition among path; expected some of NORM, AFIB"),
        ({"path": ["a", "b"], "NORM": ["1", "maybe"]}, r"1 value\(s\) of NORM.*'maybe' in row 2"),
        ({"path": ["a"], "NORM": ["0.5"]}, r"1 value\(s\) of NORM.*'0\.5'"),
    ],
)
def test_what_is_no_label_table_is_refused(root, label_map, content, message):
    with pytest.raises(CatalogError, match=message):
        read_table(table(root, content), label_map)


def test_a_file_that_is_none_is_refused(tmp_path, label_map):
    with pytest.raises(CatalogError, match="no table"):
        read_table(tmp_path / "nowhere.csv", label_map)
    (tmp_path / "text.parquet").write_text("path,NORM\n")
    with pytest.raises(CatalogError, match="cannot be read as a table"):
        read_table(tmp_path / "text.parquet", label_map)
    (tmp_path / "empty.csv").touch()
    with pytest.raises(CatalogError, match="cannot be read as a table"):
        read_table(tmp_path / "empty.csv", label_map)


def test_rows_that_cannot_be_used_are_skipped_with_their_reason(root, label_map):
    write(root.parent, "outside")
    (root / "ecgs" / "r3.dat").unlink()
    paths = ["ecgs/r0.hea", "../outside.hea", "", "ecgs/nowhere.hea", "ecgs/r3.hea", "ecgs/../../outside.hea"]
    catalog = read_table(table(root, {"path": paths, "NORM": ["1"] * len(paths)}), label_map)
    assert catalog.table["recording"].tolist() == ["mine/ecgs/r0"]
    assert sorted(catalog.skipped["reason"]) == [
        "header cannot be read",
        "no path",
        "path outside its root",
        "path outside its root",
        "signal file is missing",
    ]


def test_a_root_that_is_given_holds_for_absolute_paths_too(root, tmp_path_factory, label_map):
    elsewhere = write(tmp_path_factory.mktemp("elsewhere"), "e")
    file = table(root, {"path": [str(elsewhere), str(root / "ecgs" / "r0.hea")], "NORM": ["1", "1"]})
    assert len(read_table(file, label_map)) == 2
    catalog = read_table(file, label_map, root=root)
    assert catalog.table["recording"].tolist() == ["mine/ecgs/r0"]
    assert catalog.skipped["reason"].tolist() == ["path outside its root"]
    moved = table(tmp_path_factory.mktemp("tables"), {"path": ["r0.hea"], "NORM": ["1"]})
    assert len(read_table(moved, label_map, root=root / "ecgs")) == 1


def test_paths_that_stand_twice(root, label_map):
    content = {
        "path": ["ecgs/r0.hea", "ecgs/./r0.hea", "ecgs/r1.hea", "ecgs/r1.hea", "ecgs/r2.hea"],
        "NORM": ["1", "1", "1", "0", "1"],
    }
    catalog = read_table(table(root, content), label_map)
    assert catalog.table["recording"].tolist() == ["mine/ecgs/r0", "mine/ecgs/r2"]
    assert catalog.skipped["reason"].tolist() == ["path is listed twice"] * 3
    assert sorted(catalog.skipped["detail"].str.startswith("with different")) == [False, True, True]


def test_recording_names_that_stand_twice(root, label_map):
    content = {"path": [f"ecgs/r{i}" for i in range(3)], "recording": ["a", "a", "b"], "NORM": ["1"] * 3}
    catalog = read_table(table(root, content), label_map)
    assert catalog.table["recording"].tolist() == ["b"]
    assert catalog.skipped["reason"].tolist() == ["recording name is used twice"] * 2


def test_wrong_ages_sexes_and_blank_patients_are_counted(root, label_map):
    content = {
        "path": [f"ecgs/r{i}" for i in range(4)],
        "NORM": ["1"] * 4,
        "patient": ["p", "", "  ", "p"],
        "age": ["old", "-3", "NaN", "44"],
        "sex": ["robot", "F", "", "m"],
        "fold": ["one", "2", "", "4"],
    }
    catalog = read_table(table(root, content), label_map)
    assert catalog.table["patient"].tolist() == ["mine/p", "mine/ecgs/r1", "mine/ecgs/r2", "mine/p"]
    assert catalog.table["patient_known"].tolist() == [True, False, False, True]
    assert catalog.table["age"].isna().tolist() == [True, True, True, False]
    assert catalog.table["sex"].tolist() == ["", "female", "", "male"]
    notes = "\n".join(catalog.notes)
    assert "2 recording(s) name no patient" in notes
    assert "2 value(s) of age cannot be read, the first 'old'" in notes
    assert "1 value(s) of sex cannot be read, the first 'robot'" in notes
    assert "1 value(s) of fold cannot be read, the first 'one'" in notes


def test_names_with_spaces_and_other_alphabets(tmp_path, label_map):
    write(tmp_path / "записи 1", "心電図 ü")
    file = table(tmp_path, {"path": ["записи 1/心電図 ü.hea"], "NORM": ["1"]}, "моя таблица.csv")
    assert read_table(file, label_map).table["recording"].tolist() == ["моя таблица/записи 1/心電図 ü"]


def test_real_recordings_without_codes_in_their_headers(shared, label_map, tmp_path):
    index = pd.read_csv(shared / "ecg" / "INDEX.csv", dtype=str, keep_default_na=False)
    index = index[index["file"].str.startswith("ptbxl-records500/") & index["file"].str.endswith(".hea")]
    content = {"path": index["file"], "dataset": "ptbxl"}
    for code in label_map.codes:
        content[code] = index["six_conditions"].str.split("|").map(lambda names, code=code: int(code in names))
    file = table(tmp_path, content, "labels.csv")
    catalog = read_table(file, label_map, root=shared / "ecg")
    assert len(catalog) == len(index) == 35
    expected = index.set_index("ptbxl/" + index["file"].str.removesuffix(".hea"))["six_conditions"]
    for name, states in zip(catalog.table["recording"], targets(catalog.table, label_map), strict=True):
        named = {code for code, state in zip(label_map.codes, states, strict=True) if state == PRESENT}
        assert named == set(filter(None, expected[name].split("|")))


def test_a_table_may_name_recordings_in_any_format(root, label_map):
    millivolts = np.random.default_rng(0).normal(size=(12, 300))
    np.save(root / "ecgs" / "a.npy", millivolts * 1000)
    np.savez(root / "ecgs" / "b.npz", signal=millivolts, sampling_rate=250, unit="mV", leads=STANDARD_LEADS)
    paths = ["ecgs/r0.hea", "ecgs/a.npy", "ecgs/b.npz", "ecgs/r1"]
    file = table(root, {"path": paths, "NORM": ["1"] * 4})
    catalog = read_table(file, label_map)
    assert catalog.table["recording"].tolist() == ["mine/ecgs/b.npz", "mine/ecgs/r0", "mine/ecgs/r1"]
    assert catalog.skipped["reason"].tolist() == ["no sampling rate"]
    stated = SignalDescription(500.0, "uV", STANDARD_LEADS)
    catalog = read_table(file, label_map, stated=stated)
    assert catalog.table["sampling_rate"].tolist() == [500, 250, 250, 250]
    assert catalog.table["samples"].tolist() == [300, 300, 100, 100]
    preprocessing = Preprocessing(window=Window(seconds=0.4, min_seconds=0.1))
    stored = build_store(catalog.table, preprocessing, root / "store", progress=False, stated=stated)
    assert len(stored) == 4
    plain = build_store(catalog.table, preprocessing, root / "store", progress=False)
    assert plain.skipped["path"].tolist() == [str(root / "ecgs" / "a.npy")]
    own = preprocessing(Recording("a", STANDARD_LEADS, millivolts, 500)).signal
    np.testing.assert_allclose(stored.read([0])[0], own, atol=1e-5)


def test_the_settings_of_a_table_state_what_its_files_do_not_say(root, label_map):
    np.save(root / "ecgs" / "a.npy", np.random.default_rng(0).normal(size=(12, 300)))
    file = table(root, {"path": ["ecgs/a.npy"], "NORM": ["1"]})
    said = ["data.sampling_rate=500", "data.unit=uV", f"data.leads=[{','.join(STANDARD_LEADS)}]"]
    source = compose_settings(["data=table", f"data.path={file}", *said]).source
    assert source.read(label_map).table["sampling_rate"].tolist() == [500]
    assert source.stated == SignalDescription(500.0, "uV", STANDARD_LEADS)


def test_patients_are_one_however_they_are_spelt_and_words_for_missing_are_nobody(root, label_map):
    names = ["100", "100.0", "0100", "P1", "p1", "NA", "?", "unknown", "-", "None"]
    paths = [f"r{number}" for number in range(len(names))]
    for number, name in enumerate(paths):
        signal = np.random.default_rng(number).normal(size=(12, 500))
        write_recording(root, name, signal, STANDARD_LEADS, 500, storage="dat")
    catalog = read_table(table(root, {"path": paths, "NORM": ["1"] * 10, "patient": names}), label_map)
    rows = catalog.table.set_index("recording")
    found = [rows.loc[f"mine/{name}", "patient"] for name in paths]
    assert found[:5] == ["mine/100"] * 3 + ["mine/P1"] * 2
    assert found[5:] == [f"mine/{name}" for name in paths[5:]]
    assert not rows.loc[[f"mine/{name}" for name in paths[5:]], "patient_known"].any()
    assert any("spelt in several ways" in note for note in catalog.notes)


def test_ages_and_sexes_as_ptb_xl_writes_them(root, label_map):
    for number in range(3):
        signal = np.random.default_rng(number).normal(size=(12, 500))
        write_recording(root, f"r{number}", signal, STANDARD_LEADS, 500, storage="dat")
    columns = {
        "path": ["r0", "r1", "r2"],
        "NORM": ["1", "no", "yes"],
        "age": ["300", "61.0", "NA"],
        "sex": ["0", "1", ""],
    }
    catalog = read_table(table(root, columns), label_map)
    assert catalog.table["age"].fillna(-1).tolist() == [90, 61, -1]
    assert catalog.table["sex"].tolist() == ["male", "female", ""]
    assert any("0 male, 1 female" in note for note in catalog.notes)


def test_paths_of_windows_and_other_encodings(root, label_map):
    signal = np.random.default_rng(0).normal(size=(12, 500))
    write_recording(root / "a", "r0", signal, STANDARD_LEADS, 500, storage="dat")
    assert len(read_table(table(root, {"path": ["a\\r0"], "NORM": ["1"]}), label_map)) == 1
    file = root / "utf16.csv"
    file.write_text("path,NORM\na/r0,1\n", encoding="utf-16")
    assert len(read_table(file, label_map)) == 1
    file.write_bytes("path,NORM,patient\na/r0,1,J\xfcrgen\n".encode("latin-1"))
    with pytest.raises(CatalogError, match=r"byte 0xfc at position \d+ is not UTF-8"):
        read_table(file, label_map)


@pytest.mark.parametrize(
    "cells",
    [
        ["AF|PVC", "RBBB; 1st degree AV block", ""],
        ['["AFIB"]', '["RBBB", "1dAVb"]', "NA"],
        ["{'164889003': 100.0}", "['RBBB' '270492004']", "?"],
    ],
)
def test_labels_in_one_column(root, label_map, cells):
    file = table(root, {"path": [f"ecgs/r{n}.hea" for n in range(3)], "diagnosis": cells})
    with pytest.raises(CatalogError, match="labels_column=diagnosis"):
        read_table(file, label_map)
    catalog = read_table(file, label_map, labels_column="diagnosis")
    assert catalog.table["AFIB"].tolist() == ["present", "absent", "unknown"]
    assert catalog.table["RBBB"].tolist() == ["absent", "present", "unknown"]
    assert catalog.table["1dAVb"].tolist() == ["absent", "present", "unknown"]
    assert any("'PVC' (1)" in note for note in catalog.notes) is ("PVC" in cells[0])


def test_a_column_of_labels_that_cannot_be_meant_is_refused(root, label_map):
    content = {"path": ["ecgs/r0.hea"], "diagnosis": ["PVC"], "AFIB": [1]}
    with pytest.raises(CatalogError, match="use one"):
        read_table(table(root, content), label_map, labels_column="diagnosis")
    del content["AFIB"]
    with pytest.raises(CatalogError, match=r"names no condition .* it has 'PVC'"):
        read_table(table(root, content), label_map, labels_column="diagnosis")
    with pytest.raises(CatalogError, match="no column 'other'"):
        read_table(table(root, content), label_map, labels_column="other")
