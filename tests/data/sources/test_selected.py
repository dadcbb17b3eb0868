import shutil

import numpy as np
import pandas as pd
import pytest

from ecgfounder_ft.data.catalog import CatalogError, FolderNotFoundError, targets
from ecgfounder_ft.data.sources.selected import read_selected_folders
from ecgfounder_ft.ecg.formats.wfdb import write_recording
from ecgfounder_ft.ecg.leads import STANDARD_LEADS
from ecgfounder_ft.labels import ABSENT, PRESENT, UNKNOWN


def write(folder, name, seed=0, storage="dat", samples=5000, **comments):
    signal = np.random.default_rng(seed).normal(size=(12, samples)).astype(np.float32)
    return write_recording(folder, name, signal, STANDARD_LEADS, 500, storage=storage, gain=200, comments=comments)


def conditions(catalog, label_map):
    states = targets(catalog.table, label_map)
    assert not (states == ABSENT).any()
    return {
        recording: {code for code, state in zip(label_map.codes, row, strict=True) if state == PRESENT}
        for recording, row in zip(catalog.table["recording"], states, strict=True)
    }


def test_the_two_folders_as_users_have_them(shared, label_map):
    root = shared / "ecg" / "selected"
    catalog = read_selected_folders(root / "MIMIC IV Selected", root / "Physionet 2021 Selected", label_map)
    provenance = pd.read_csv(root / "PROVENANCE.csv", dtype=str)
    dataset = {"MIMIC IV Selected": "mimic_iv_ecg", "Physionet 2021 Selected": "physionet2021"}
    expected = {
        f"{dataset[row.folder]}/{row.record}": set(row.conditions.replace(";", " ").replace("|", " ").split())
        for row in provenance.itertuples()
    }
    assert conditions(catalog, label_map) == expected
    assert not len(catalog.skipped)
    table = catalog.table.set_index("recording")
    assert table.loc["physionet2021/E00271", ["constituent", "sex", "age"]].tolist() == [
        "georgia",
        "female",
        83,
    ]
    assert (table["constituent"][table["dataset"] == "mimic_iv_ecg"] == "").all()
    assert any("several conditions" in note for note in catalog.notes)


def test_folder_names_match_without_regard_to_case_and_underscores(tmp_path, label_map):
    write(tmp_path / "atrial_FIBRILLATION", "1")
    write(tmp_path / "1ST_degree-av block" / "deeper" / "down", "2", seed=1)
    catalog = read_selected_folders(tmp_path, None, label_map)
    assert conditions(catalog, label_map) == {"mimic_iv_ecg/1": {"AFIB"}, "mimic_iv_ecg/2": {"1dAVb"}}
    assert catalog.table["evidence"].tolist() == [
        "AFIB: folder atrial_FIBRILLATION",
        "1dAVb: folder 1ST_degree-av block",
    ]


def test_a_folder_says_nothing_of_other_conditions(tmp_path, label_map):
    write(tmp_path / "NORMAL", "1")
    states = targets(read_selected_folders(tmp_path, None, label_map).table, label_map)
    assert sorted(states[0].tolist()) == [UNKNOWN] * (len(label_map) - 1) + [PRESENT]


def test_one_recording_in_two_folders_has_two_conditions(tmp_path, label_map):
    write(tmp_path / "Atrial Fibrillation", "1")
    write(tmp_path / "Right bundle branch block", "1")
    catalog = read_selected_folders(tmp_path, None, label_map)
    assert conditions(catalog, label_map) == {"mimic_iv_ecg/1": {"AFIB", "RBBB"}}
    assert catalog.notes == (
        "mimic_iv_ecg: 1 recording(s) lie in the folders of several conditions and have all of these",
    )


def test_namesakes_with_other_signals_stay_apart(tmp_path, label_map):
    write(tmp_path / "Atrial Fibrillation", "1", seed=0)
    write(tmp_path / "Right bundle branch block", "1", seed=1)
    catalog = read_selected_folders(tmp_path, None, label_map)
    found = conditions(catalog, label_map)
    assert sorted(map(sorted, found.values())) == [["AFIB"], ["RBBB"]]
    assert found["mimic_iv_ecg/1"] == {"AFIB"}
    assert "1 recording(s) share a name" in catalog.notes[0]


def test_the_same_name_in_both_datasets_is_two_recordings(tmp_path, label_map):
    write(tmp_path / "m" / "NORMAL", "1")
    write(tmp_path / "p" / "NORMAL", "1", storage="mat")
    catalog = read_selected_folders(tmp_path / "m", tmp_path / "p", label_map)
    assert catalog.table["recording"].tolist() == ["mimic_iv_ecg/1", "physionet2021/1"]


def test_patients_come_from_the_header_where_it_names_them(tmp_path, label_map):
    write(tmp_path / "NORMAL", "1", **{"<subject_id>": "10000032"})
    write(tmp_path / "NORMAL", "2", seed=1, Age="NaN", Sex="F")
    table = read_selected_folders(tmp_path, None, label_map).table
    assert table["patient"].tolist() == ["mimic_iv_ecg/10000032", "mimic_iv_ecg/2"]
    assert np.isnan(table["age"]).all()
    assert table["sex"].tolist() == ["", "female"]


def test_names_with_spaces_and_other_alphabets(tmp_path, label_map):
    write(tmp_path / "мои записи" / "Atrial Flutter", "Müller 心電図 1", storage="mat")
    catalog = read_selected_folders(None, tmp_path / "мои записи", label_map)
    assert conditions(catalog, label_map) == {"physionet2021/Müller 心電図 1": {"AFLT"}}


def test_unclaimed_folders_are_named_with_a_count(tmp_path, label_map, caplog):
    write(tmp_path / "NORMAL", "1")
    write(tmp_path / "Sinus Bradycardia", "2")
    write(tmp_path / "Sinus Bradycardia" / "old", "3")
    write(tmp_path, "4")
    catalog = read_selected_folders(tmp_path, None, label_map)
    assert len(catalog) == 1
    assert len(catalog.notes) == 2
    assert "Sinus Bradycardia' is no condition of label map 'six_conditions': 2 recording(s)" in caplog.text
    assert f"{tmp_path}' is no condition" in caplog.text


def test_what_cannot_be_read_is_skipped_with_its_reason(tmp_path, label_map, shared):
    folder = tmp_path / "NORMAL"
    write(folder, "whole")
    write(folder, "no signal").with_suffix(".dat").unlink()
    with write(folder, "cut short").with_suffix(".dat").open("r+b") as stream:
        stream.truncate(999)
    write(folder, "empty", samples=0)
    (folder / "blank.hea").touch()
    (folder / "archive.hea").write_bytes(b"PK\x03\x04" + bytes(100))
    (folder / "outside.hea").write_text("outside 1 500 10\n../../passwd 16 200/mV 16 0 0 0 0 I\n")
    pointer = write(folder, "pointer")
    pointer.with_suffix(".dat").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")
    for index, path in enumerate(sorted((shared / "ecg" / "odd" / "git-lfs-pointers").rglob("*.hea"))):
        shutil.copy(path, folder / f"lfs{index}.hea")
    catalog = read_selected_folders(tmp_path, None, label_map)
    assert catalog.table["recording"].tolist() == ["mimic_iv_ecg/whole"]
    reasons = dict(zip(catalog.skipped["path"].str.split("/").str[-1], catalog.skipped["reason"], strict=True))
    lfs = "git-lfs pointer instead of a file"
    assert reasons.pop("lfs0.hea") == lfs
    assert {key: value for key, value in reasons.items() if not key.startswith("lfs")} == {
        "no signal.hea": "signal file is missing",
        "cut short.dat": "signal file is truncated",
        "empty.hea": "no samples",
        "blank.hea": "not a WFDB header",
        "archive.hea": "not a WFDB header",
        "outside.hea": "signal file outside the folder",
        "pointer.dat": lfs,
    }


def test_links_are_followed_but_not_in_circles(tmp_path, label_map):
    write(tmp_path / "elsewhere", "1")
    (tmp_path / "root" / "NORMAL").mkdir(parents=True)
    (tmp_path / "root" / "Atrial Flutter").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "root" / "NORMAL" / "up").symlink_to(tmp_path / "root")
    catalog = read_selected_folders(tmp_path / "root", None, label_map)
    assert conditions(catalog, label_map) == {"mimic_iv_ecg/1": {"AFLT"}}


def test_empty_folders_give_an_empty_catalog(tmp_path, label_map):
    (tmp_path / "NORMAL").mkdir()
    assert len(read_selected_folders(tmp_path, None, label_map)) == 0


def test_a_missing_folder_is_an_error_that_says_where_it_looked(tmp_path, label_map, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FolderNotFoundError, match=rf"mimic_iv_ecg.*{tmp_path}/nowhere.*data\.mimic_path"):
        read_selected_folders("nowhere", None, label_map)
    (tmp_path / "file").touch()
    with pytest.raises(FolderNotFoundError, match=r"physionet2021.*a file is there.*data\.physionet_path"):
        read_selected_folders(None, tmp_path / "file", label_map)
    with pytest.raises(CatalogError, match="no dataset"):
        read_selected_folders(None, None, label_map)
