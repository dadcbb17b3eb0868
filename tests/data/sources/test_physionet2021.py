import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ecgfounder_ft.data.catalog import CatalogError, FolderNotFoundError, targets
from ecgfounder_ft.data.sources.physionet2021 import CONSTITUENTS, DiagnosisReader, constituent_of, read_physionet2021
from ecgfounder_ft.ecg.formats.wfdb import write_recording
from ecgfounder_ft.ecg.leads import STANDARD_LEADS
from ecgfounder_ft.labels import ABSENT, PRESENT, UNKNOWN, Condition, LabelMap


def read_diagnoses(line: str, label_map: LabelMap, constituent: str = "") -> tuple[dict[str, int], str, list[str]]:
    """States, evidence and strange entries of one ``Dx`` line."""
    said = DiagnosisReader(label_map).read(line, constituent)
    return said.states, said.evidence, list(said.strange)


@pytest.fixture
def trusting(label_map):
    """The shipped label map without the constituents that it does not trust."""
    return LabelMap.from_dict(label_map.to_dict() | {"unreliable": {}})


def write(folder, name, seed=0, samples=100, **comments):
    signal = np.random.default_rng(seed).normal(size=(12, samples)).astype(np.float32)
    return write_recording(folder, name, signal, STANDARD_LEADS, 500, storage="mat", comments=comments)


def present(catalog, label_map):
    states = targets(catalog.table, label_map)
    return {
        path: {code for code, state in zip(label_map.codes, row, strict=True) if state == PRESENT}
        for path, row in zip(catalog.table["path"], states, strict=True)
    }


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("426783006", {"NORM"}),
        ("164889003,59118001", {"AFIB", "RBBB"}),
        (" 164889003 , 713427006,", {"AFIB", "RBBB"}),
        ("59118001,713427006,59118001", {"RBBB"}),
        ("164909002", {"LBBB"}),
        ("733534002", {"LBBB"}),
        ("I-AVB", {"1dAVb"}),
        ("AF,RBBB", {"AFIB", "RBBB"}),
        ("PVC", set()),
        ("713426002,251120003", set()),
        ("164947007", {"1dAVb"}),
        ("164947007,426783006", {"NORM", "1dAVb"}),
        ("282825002", {"AFIB"}),
        ("314208002", {"AFIB"}),
        ("426749004", {"AFIB"}),
        ("698252002,445118002", set()),
    ],
)
def test_a_dx_line_names_what_is_present_and_the_rest_is_absent(label_map, line, expected):
    states, _, strange = read_diagnoses(line, label_map)
    assert states == {code: PRESENT if code in expected else ABSENT for code in label_map.codes}
    assert not strange


@pytest.mark.parametrize(
    ("line", "expected", "evidence"),
    [
        ("6374002", {"RBBB": UNKNOWN, "LBBB": UNKNOWN}, "RBBB?: 6374002; LBBB?: 6374002"),
        ("6374002,713427006", {"RBBB": PRESENT, "LBBB": UNKNOWN}, "RBBB: 713427006; LBBB?: 6374002"),
        ("6374002,59118001,164909002", {"RBBB": PRESENT, "LBBB": PRESENT}, "RBBB: 59118001; LBBB: 164909002"),
        ("195080001", {"AFIB": UNKNOWN, "AFLT": UNKNOWN}, "AFIB?: 195080001; AFLT?: 195080001"),
        ("195080001,164889003", {"AFIB": PRESENT, "AFLT": UNKNOWN}, "AFIB: 164889003; AFLT?: 195080001"),
        ("164890007,195080001", {"AFIB": UNKNOWN, "AFLT": PRESENT}, "AFIB?: 195080001; AFLT: 164890007"),
        ("195080001,282825002", {"AFIB": PRESENT, "AFLT": UNKNOWN}, "AFIB: 282825002; AFLT?: 195080001"),
        ("233917008", {"1dAVb": UNKNOWN}, "1dAVb?: 233917008"),
        ("233917008,270492004", {"1dAVb": PRESENT}, "1dAVb: 270492004"),
        ("204384007", {"1dAVb": UNKNOWN}, "1dAVb?: 204384007"),
    ],
)
def test_a_code_that_leaves_conditions_open_makes_them_unknown_unless_stated(label_map, line, expected, evidence):
    states, found, strange = read_diagnoses(line, label_map, "ptb-xl")
    assert states == dict.fromkeys(label_map.codes, ABSENT) | expected
    assert (found, strange) == (evidence, [])


@pytest.mark.parametrize("code", ["10370003", "251266004", "251268003", "251139008"])
@pytest.mark.parametrize("beside", ["", "426783006,", "164889003,59118001,", "6374002,"])
def test_a_paced_rhythm_or_reversed_leads_leave_nothing_known(label_map, code, beside):
    states, evidence, strange = read_diagnoses(beside + code, label_map)
    assert set(states.values()) == {UNKNOWN}
    assert (evidence, strange) == (f"unusable: {code}", [])


class TestAConditionThatIsNotWrittenBesideOthers:
    SILENT = ("cpsc_2018", "cpsc_2018_extra", "st_petersburg_incart", "ptb", "georgia", "chapman_shaoxing")

    def norm(self, line, constituent, label_map):
        return read_diagnoses(line, label_map, constituent)[0]["NORM"]

    @pytest.mark.parametrize("line", ["59118001", "270492004", "164909002,39732003", "164884008", "6374002", "I-AVB"])
    def test_it_is_unknown_beside_findings_that_are_no_rhythm(self, label_map, line):
        for constituent in self.SILENT:
            assert self.norm(line, constituent, label_map) == UNKNOWN, constituent
        for constituent in set(CONSTITUENTS) - set(self.SILENT) | {""}:
            assert self.norm(line, constituent, label_map) == ABSENT, constituent

    @pytest.mark.parametrize(
        "line",
        ["426177001", "427084000,428750005", "427393009", "164889003,59118001", "AF", "195080001", "713422000"],
    )
    def test_it_is_absent_beside_another_rhythm(self, label_map, line):
        for constituent in self.SILENT:
            assert self.norm(line, constituent, label_map) == ABSENT, constituent

    def test_it_is_present_where_it_is_stated(self, label_map):
        for constituent in self.SILENT:
            assert self.norm("446358003,164867002,426783006", constituent, label_map) == PRESENT
            assert self.norm("Normal", constituent, label_map) == PRESENT

    def test_the_other_conditions_stay_absent(self, label_map):
        states, evidence, _ = read_diagnoses("59118001", label_map, "georgia")
        assert states == dict.fromkeys(label_map.codes, ABSENT) | {"RBBB": PRESENT, "NORM": UNKNOWN}
        assert evidence == "RBBB: 59118001"

    def test_the_label_map_decides_where(self, label_map):
        content = label_map.to_dict()
        content["conditions"]["NORM"]["unstated_in"] = ["ptb-xl"]
        other = LabelMap.from_dict(content)
        assert self.norm("59118001", "georgia", other) == ABSENT
        assert self.norm("59118001", "ptb-xl", other) == UNKNOWN

    def test_constituents_of_the_shipped_map_exist(self, label_map):
        for condition in label_map.conditions.values():
            assert set(condition.unstated_in) <= set(CONSTITUENTS)
        assert set(label_map.unreliable) <= set(CONSTITUENTS)

    def test_it_is_counted_in_the_notes(self, tmp_path, label_map):
        write(tmp_path, "E00001", Dx="59118001")
        write(tmp_path, "E00002", seed=1, Dx="426177001")
        write(tmp_path, "HR00001", seed=2, Dx="59118001")
        write(tmp_path, "HR00002", seed=3, Dx="10370003")
        catalog = read_physionet2021(tmp_path, label_map)
        assert catalog.table.set_index("recording")["NORM"].to_dict() == {
            "physionet2021/E00001": "unknown",
            "physionet2021/E00002": "absent",
            "physionet2021/HR00001": "absent",
            "physionet2021/HR00002": "unknown",
        }
        of_patients = [note for note in catalog.notes if "patient unknown in 2 PTB-XL recording(s)" in note]
        assert len(of_patients) == 1
        assert [note for note in catalog.notes if note not in of_patients] == [
            "physionet2021: 1 recording(s) are paced or have leads reversed; each condition is unknown",
            "physionet2021: 1 recording(s) are of constituents that do not write NORM beside another diagnosis; "
            "there it is unknown",
        ]


@pytest.mark.parametrize("line", ["", " ", ",", " , ,"])
def test_an_empty_dx_line_says_nothing(label_map, line):
    states, evidence, strange = read_diagnoses(line, label_map)
    assert set(states.values()) == {UNKNOWN}
    assert (evidence, strange) == ("", [])


def test_an_entry_that_is_neither_code_nor_known_word_leaves_the_rest_unknown(label_map):
    states, _, strange = read_diagnoses("AF,flutter?", label_map)
    assert states["AFIB"] == PRESENT
    assert {state for code, state in states.items() if code != "AFIB"} == {UNKNOWN}
    assert strange == ["flutter?"]


def test_a_condition_without_codes_or_words_cannot_be_absent():
    other = LabelMap("two", {"A": Condition(name="a", snomed=["426783006"]), "B": Condition(name="b")})
    assert read_diagnoses("426783006", other)[0] == {"A": PRESENT, "B": UNKNOWN}


def test_evidence_names_the_codes_in_the_order_of_the_label_map(label_map):
    _, evidence, _ = read_diagnoses("713427006,164889003,59118001,427393009", label_map)
    assert evidence == "AFIB: 164889003; RBBB: 713427006, 59118001"


@pytest.mark.parametrize(
    ("name", "constituent"),
    [
        ("A6877", "cpsc_2018"),
        ("Q0001", "cpsc_2018_extra"),
        ("I0074", "st_petersburg_incart"),
        ("S0549", "ptb"),
        ("HR21837", "ptb-xl"),
        ("E10344", "georgia"),
        ("JS10646", "chapman_shaoxing"),
        ("JS10647", "ningbo"),
        ("00001_hr", ""),
        ("Andrea1", ""),
    ],
)
def test_constituents_by_record_name(name, constituent):
    assert constituent_of(name) == constituent


def test_both_js_collections_in_one_folder_are_told_apart():
    assert constituent_of("JS20000", ("chapman_shaoxing",)) == "ningbo"
    assert constituent_of("mine", ("training", "ptb-xl", "g3")) == "ptb-xl"


@pytest.mark.parametrize("folder", ["physionet2021", "cpsc2018-word-labels"])
def test_labels_of_real_recordings_equal_their_index(shared, trusting, folder):
    root = shared / "ecg"
    index = pd.read_csv(root / "INDEX.csv", dtype=str, keep_default_na=False)
    index = index[index["file"].str.startswith(f"{folder}/")]
    catalog = read_physionet2021(root / folder, trusting)
    found = present(catalog, trusting)
    headers_only = set(catalog.skipped["path"])
    # the index lists codes that name a condition; this one has 164947007, prolonged PR, which implies one
    index.loc[index["file"] == "physionet2021/ptb-xl/HR00599.hea", "six_conditions"] = "NORM|1dAVb"
    # sinus rhythm beside sinus bradycardia is a contradiction, and unknown
    contradicted = [f"physionet2021/ptb-xl/{name}.hea" for name in ("HR14287", "HR00002", "HR06003", "HR06002")]
    index.loc[index["file"].isin(contradicted), "six_conditions"] = ""
    expected = {
        str(root / file): set(filter(None, conditions.split("|")))
        for file, conditions in zip(index["file"], index["six_conditions"], strict=True)
    }
    assert found == {path: names for path, names in expected.items() if path not in headers_only}
    assert len(found) + len(headers_only) == len(index)
    assert {Path(path).parent.name for path in headers_only} <= {"st_petersburg_incart"}
    assert len(headers_only) == (20 if folder == "physionet2021" else 0)
    assert set(catalog.skipped["reason"]) <= {"signal file is missing"}
    table = catalog.table.set_index("path")
    files = index.set_index(str(root) + "/" + index["file"]).loc[table.index]
    assert (table["samples"] == files["samples"].astype(int)).all()
    assert (table["sampling_rate"] == files["sampling_rate_hz"].astype(float)).all()
    if folder == "physionet2021":
        assert (table["constituent"] == [Path(path).parent.name for path in table.index]).all()


def test_paced_and_unwritten_rhythms_of_real_recordings_are_unknown(shared, label_map):
    table = read_physionet2021(shared / "ecg" / "physionet2021", label_map).table.set_index("recording")
    paced = [f"physionet2021/{name}" for name in ("HR12083", "JS23463", "Q0398")]
    assert (table.loc[paced, list(label_map.codes)] == "unknown").all(axis=None)
    assert table.loc[paced, "evidence"].tolist() == ["unusable: 10370003"] * 3
    assert table.loc["physionet2021/E00271", ["NORM", "RBBB"]].tolist() == ["unknown", "present"]
    assert table.loc["physionet2021/E07509", ["NORM", "RBBB"]].tolist() == ["absent", "present"]  # sinus bradycardia
    assert table.loc["physionet2021/Q1804", "NORM"] == "present"  # beside an old infarct
    unwritten = (table["NORM"] == "unknown") & ~table.index.isin(paced)
    assert table[unwritten]["constituent"].value_counts().to_dict() == {
        "georgia": 14,
        "cpsc_2018_extra": 14,
        "cpsc_2018": 5,
        "ptb-xl": 4,  # beside sinus bradycardia
        "ptb": 1,
    }


def test_fibrillation_and_flutter_are_unknown_in_ningbo_alone(shared, label_map, trusting):
    root = shared / "ecg" / "physionet2021"
    table = read_physionet2021(root, label_map).table
    trusted = read_physionet2021(root, trusting).table
    ningbo = table["constituent"] == "ningbo"
    assert ningbo.sum() == 61
    assert (table.loc[ningbo, ["AFIB", "AFLT"]] == "unknown").all(axis=None)
    assert (trusted.loc[ningbo, "AFLT"] == "present").sum() == 5
    pd.testing.assert_frame_equal(table[~ningbo], trusted[~ningbo])
    others = table.columns.difference(["AFIB", "AFLT"])
    pd.testing.assert_frame_equal(table[others], trusted[others])


def test_age_and_sex_as_headers_write_them(tmp_path, label_map):
    write(tmp_path, "A0001", Age="74", Sex="Male", Dx="426783006")
    write(tmp_path, "A0002", seed=1, Age="NaN", Sex="F", Dx="426783006")
    write(tmp_path, "A0003", seed=2, Age="300", Sex="Unknown", Dx="426783006")
    table = read_physionet2021(tmp_path, label_map).table
    assert table["age"].tolist()[::2] == [74.0, 90.0]
    assert np.isnan(table["age"][1])
    assert table["sex"].tolist() == ["male", "female", ""]


def test_copies_are_counted_once_and_namesakes_are_kept(tmp_path, label_map):
    write(tmp_path / "a", "A0001", Dx="426783006")
    write(tmp_path / "b", "A0001", Dx="426783006")
    write(tmp_path / "c", "A0001", seed=1, Dx="164889003")
    catalog = read_physionet2021(tmp_path, label_map)
    assert len(catalog) == 2
    assert catalog.table["recording"][0] == "physionet2021/A0001"
    assert catalog.table["recording"][1].startswith("physionet2021/A0001~")
    assert sum("1 recording(s) are copies" in note for note in catalog.notes) == 1
    assert sum("1 recording(s) share a name" in note for note in catalog.notes) == 1


def test_what_says_nothing_is_noted(tmp_path, label_map):
    write(tmp_path, "A0001", Dx="")
    write(tmp_path, "A0002", seed=1, Dx="something")
    catalog = read_physionet2021(tmp_path, label_map)
    assert "1 recording(s) have an empty Dx line" in catalog.notes[0]
    assert "something" in catalog.notes[1]
    assert (targets(catalog.table, label_map) == UNKNOWN).all()


class TestPtbxlDatabase:
    def csv(self, folder, **changes):
        columns = {
            "ecg_id": [1, 2, 3],
            "patient_id": [15709.0, 13243.0, 15709.0],
            "strat_fold": [3, 10, 3],
            "age": [56.0, 19.0, 37.0],
        }
        file = folder / "ptbxl_database.csv"
        pd.DataFrame(columns | changes).to_csv(file, index=False)
        return file

    def test_patients_and_folds_are_joined(self, tmp_path, label_map):
        for number in range(1, 5):
            write(tmp_path, f"HR{number:05d}", seed=number, Dx="426783006")
        write(tmp_path, "E00001", seed=9, Dx="426783006")
        catalog = read_physionet2021(tmp_path, label_map, ptbxl_database=self.csv(tmp_path))
        table = catalog.table.set_index("recording")
        assert table["patient"].to_dict() == {
            "physionet2021/E00001": "physionet2021/E00001",
            "physionet2021/HR00001": "physionet2021/ptb-xl-15709",
            "physionet2021/HR00002": "physionet2021/ptb-xl-13243",
            "physionet2021/HR00003": "physionet2021/ptb-xl-15709",
            "physionet2021/HR00004": "physionet2021/HR00004",
        }
        assert table["fold"].dropna().to_dict() == {
            "physionet2021/HR00001": 3,
            "physionet2021/HR00002": 10,
            "physionet2021/HR00003": 3,
        }
        assert "3 of 4 PTB-XL recordings joined with ptbxl_database.csv: 2 patients" in catalog.notes[-1]
        assert table.index[table["patient_known"]].str[-7:].tolist() == ["HR00001", "HR00002", "HR00003"]

    def test_without_it_each_recording_is_its_own_patient(self, tmp_path, label_map):
        write(tmp_path, "HR00001", Dx="426783006")
        catalog = read_physionet2021(tmp_path, label_map)
        table = catalog.table
        assert table["patient"].tolist() == ["physionet2021/HR00001"]
        assert not table["patient_known"].any()
        assert "patient unknown in 1 PTB-XL recording" in catalog.notes[-1]
        assert "set ptbxl_database to PTB-XL's ptbxl_database.csv" in catalog.notes[-1]
        assert table["fold"].isna().all()

    def test_another_table_is_refused(self, tmp_path, label_map):
        write(tmp_path, "HR00001", Dx="426783006")
        with pytest.raises(CatalogError, match="with numbers in"):
            read_physionet2021(tmp_path, label_map, ptbxl_database=self.csv(tmp_path, patient_id=["x", "y", "z"]))
        (tmp_path / "other.csv").write_text("a,b\n1,2\n")
        with pytest.raises(CatalogError, match="is no ptbxl_database"):
            read_physionet2021(tmp_path, label_map, ptbxl_database=tmp_path / "other.csv")
        with pytest.raises(CatalogError, match="no file"):
            read_physionet2021(tmp_path, label_map, ptbxl_database=tmp_path / "nowhere.csv")


def test_patients_are_known_where_each_recording_is_of_another_person(tmp_path, label_map):
    names = ["A0001", "Q0001", "I0001", "S0001", "HR00001", "E00001", "JS00001", "JS10647"]
    for number, name in enumerate(names):
        write(tmp_path, name, seed=number, Dx="426783006")
    table = read_physionet2021(tmp_path, label_map).table.set_index("constituent")
    assert set(table.index[table["patient_known"]]) == {"chapman_shaoxing", "ningbo"}
    assert len(table) == 8


class TestHeaderCache:
    def test_only_new_and_changed_headers_are_read_again(self, tmp_path, label_map, caplog):
        caplog.set_level("INFO")
        root, cache = tmp_path / "data", tmp_path / "cache" / "headers.parquet"
        for number in range(5):
            write(root, f"A000{number}", seed=number, Dx="426783006")
        first = read_physionet2021(root, label_map, header_cache=cache)
        assert "5 header(s) read, 0 unchanged" in caplog.text
        again = read_physionet2021(root, label_map, header_cache=cache)
        assert "0 header(s) read, 5 unchanged" in caplog.text
        pd.testing.assert_frame_equal(again.table, first.table)

        write(root, "A0001", seed=1, Dx="164889003,59118001")
        write(root, "A0009", seed=9, Dx="426783006")
        (root / "A0002.mat").unlink()
        with (root / "A0003.mat").open("r+b") as stream:
            stream.truncate(100)
        changed = read_physionet2021(root, label_map, header_cache=cache)
        assert "4 header(s) read, 2 unchanged" in caplog.text
        pd.testing.assert_frame_equal(changed.table, read_physionet2021(root, label_map).table)
        assert changed.skipped["reason"].tolist() == ["signal file is missing", "signal file is truncated"]

    def test_labels_follow_a_changed_label_map(self, tmp_path, label_map, trusting):
        root, cache = tmp_path / "data", tmp_path / "headers.parquet"
        write(root, "JS20000", Dx="164890007")
        assert read_physionet2021(root, label_map, header_cache=cache).table["AFLT"].tolist() == ["unknown"]
        assert read_physionet2021(root, trusting, header_cache=cache).table["AFLT"].tolist() == ["present"]

    def test_a_spoilt_cache_is_made_anew(self, tmp_path, label_map, caplog):
        root, cache = tmp_path / "data", tmp_path / "headers.parquet"
        write(root, "A0001", Dx="426783006")
        cache.write_bytes(b"PAR1 but not quite")
        assert len(read_physionet2021(root, label_map, header_cache=cache)) == 1
        assert "made anew" in caplog.text
        caplog.clear()
        assert len(read_physionet2021(root, label_map, header_cache=cache)) == 1
        assert "made anew" not in caplog.text
        assert os.listdir(tmp_path).count("headers.parquet") == 1  # noqa: PTH208


def test_a_missing_root_is_an_error(tmp_path, label_map):
    with pytest.raises(FolderNotFoundError, match=r"nowhere.*data\.physionet2021\.root"):
        read_physionet2021(tmp_path / "nowhere", label_map)


def test_an_empty_root_gives_an_empty_catalog(tmp_path, label_map):
    assert len(read_physionet2021(tmp_path, label_map)) == 0


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("426783006,164889003", {"NORM": UNKNOWN, "AFIB": PRESENT}),
        ("426783006,426177001", {"NORM": UNKNOWN}),
        ("426783006,427393009", {"NORM": PRESENT}),  # sinus arrhythmia
        ("426783006,270492004,59118001", {"NORM": PRESENT, "1dAVb": PRESENT, "RBBB": PRESENT}),
        ("698247007", {"AFIB": UNKNOWN, "AFLT": UNKNOWN, "RBBB": ABSENT}),
        ("426761007", {"AFIB": UNKNOWN, "AFLT": UNKNOWN}),
        ("698247007,164889003", {"AFIB": PRESENT, "AFLT": UNKNOWN}),
        ("82226007", {"RBBB": UNKNOWN, "LBBB": UNKNOWN, "AFIB": ABSENT}),
        ("270492004,27885002", {"1dAVb": UNKNOWN}),
        ("270492004,164889003", {"1dAVb": UNKNOWN, "AFIB": PRESENT}),
    ],
)
def test_contradictions_and_wider_statements(label_map, line, expected):
    states, evidence, _ = read_diagnoses(line, label_map)
    assert {code: states[code] for code in expected} == expected
    contradicted = DiagnosisReader(label_map).read(line).contradicted
    assert all(states[code] == UNKNOWN and f"{code}?" in evidence for code in contradicted)
