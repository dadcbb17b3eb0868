"""PTB-XL as downloaded: its tables, statements and levels, and what is wrong with copies of them."""

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from ecgfounder_ft.config.compose import compose_settings, load_label_map
from ecgfounder_ft.data.catalog import Catalog, CatalogError
from ecgfounder_ft.data.sources.merged import Merged
from ecgfounder_ft.data.sources.physionet2021 import DiagnosisReader, Physionet2021Folder
from ecgfounder_ft.data.sources.ptbxl import PtbxlFolder
from ecgfounder_ft.data.sources.ptbxl.database import read_ptbxl
from ecgfounder_ft.data.sources.ptbxl.statements import StatementReader, parse_statements
from ecgfounder_ft.ecg.formats.wfdb import read_header
from ecgfounder_ft.labels import ABSENT, PRESENT, UNKNOWN, Condition, LabelMap
from tests.scripts import script

REPOSITORY = Path(__file__).parents[3]
STATEMENTS = {"NORM": "normal ECG", "SR": "sinus rhythm", "AFIB": "atrial fibrillation", "PACE": "pacemaker"}
OUTPUTS = {"all": 71, "diagnostic": 44, "subdiagnostic": 23, "superdiagnostic": 5, "form": 19, "rhythm": 12}


def row(number: int, codes: str = "{'NORM': 100.0, 'SR': 0.0}", **changes: Any) -> dict[str, Any]:
    name = f"00000/{number:05d}"
    values = {"ecg_id": number, "patient_id": f"{number}.0", "age": "56.0", "sex": 1, "site": "2.0", "scp_codes": codes}
    files = {"filename_lr": f"records100/{name}_lr", "filename_hr": f"records500/{name}_hr"}
    return values | {"static_noise": "", "strat_fold": 3} | files | changes


def write(root: Path, rows: list[dict[str, Any]], records: str = "records500", separator: str = ",") -> Path:
    """A PTB-XL of these rows; files of each are there where the row's name stays below the folder."""
    (root / records / "00000").mkdir(parents=True)
    with (root / "scp_statements.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([("", "description"), *STATEMENTS.items()])
    with (root / "ptbxl_database.csv").open("w", newline="") as stream:
        writer = csv.DictWriter(stream, rows[0].keys(), delimiter=separator)
        writer.writeheader()
        writer.writerows(rows)
    for one in rows:
        for suffix in (".hea", ".dat"):
            (root / records / f"00000/{one['ecg_id']:05d}_{'hr' if records == 'records500' else 'lr'}{suffix}").touch()
    return root


def folder(root: Path | str | None, **changes: Any) -> PtbxlFolder:
    return PtbxlFolder(**({"root": root and str(root), "records": "auto", "group_by": None, "leave_out": []} | changes))


def test_a_row_becomes_a_recording_with_its_evidence(tmp_path: Path, label_map: LabelMap) -> None:
    root = write(tmp_path, [row(1), row(2, "{'AFIB': 0.0}", sex=0, age="300.0"), row(3, "{'PACE': 100.0}", age="")])
    found = read_ptbxl(folder(root, group_by="site"), label_map)
    table = found.table
    assert table["recording"].tolist() == ["ptbxl/00001", "ptbxl/00002", "ptbxl/00003"]
    assert table["patient"].tolist() == ["ptbxl/patient-1", "ptbxl/patient-2", "ptbxl/patient-3"]
    assert table["evidence"].tolist() == ["NORM: SR 0, NORM 100", "AFIB: AFIB 0", "unusable: PACE"]
    assert table["NORM"].tolist() == ["present", "absent", "unknown"]
    assert table["AFIB"].tolist() == ["absent", "present", "unknown"]
    np.testing.assert_array_equal(table["age"], [56, 90, np.nan])
    assert table["sex"].tolist() == ["female", "male", "female"]
    assert set(table["constituent"]) == {"site 2"}
    assert (table["fold"] == 3).all()
    assert (table["sampling_rate"] == 500).all()
    assert any("age of 300" in note and "1 recording" in note for note in found.notes)


def test_what_cannot_be_used_is_listed_with_its_reason(tmp_path: Path, label_map: LabelMap) -> None:
    rows = [
        row(1),
        row(2, filename_hr="../../etc/passwd"),
        row(3, filename_hr=""),
        row(4, "__import__('os').system('x')"),
        row(5, "{'NORM': 'much'}"),
        row(6, "{'XYZ': 100.0, 'SR': 0.0}"),
        row(7, patient_id="", age="nan"),
        row(8, static_noise="alles"),
        row(9),
    ]
    root = write(tmp_path, rows)
    (root / "records500/00000/00009_hr.dat").unlink()
    found = read_ptbxl(folder(root, leave_out=["static_noise"]), label_map)
    assert found.table["recording"].tolist() == ["ptbxl/00001", "ptbxl/00006", "ptbxl/00007"]
    assert found.skipped["reason"].value_counts().to_dict() == {
        "path outside the dataset": 1,
        "no file name": 1,
        "statements cannot be read": 2,
        "left out for static_noise": 1,
        "recording is not downloaded": 1,
    }
    notes = "\n".join(found.notes)
    assert (
        "1 recording(s) have statements that scp_statements.csv does not know, which say nothing here: XYZ (1)" in notes
    )
    assert "1 recording(s) have no patient_id" in notes
    assert "1 recording(s) have no usable age" in notes
    assert found.table["patient_known"].tolist() == [True, True, False]


def test_a_table_saved_by_a_spreadsheet_is_read_and_said(tmp_path: Path, label_map: LabelMap) -> None:
    rows = [row(1, '{"NORM": 100.0, "SR": 0.0}', age="56,0", patient_id="7,0"), row(2, "{‘AFIB’: 0.0}")]
    found = read_ptbxl(folder(write(tmp_path, rows, separator=";")), label_map)
    assert found.table["age"].tolist() == [56, 56]
    assert found.table["patient"].tolist() == ["ptbxl/patient-7", "ptbxl/patient-2"]
    assert found.table["AFIB"].tolist() == ["absent", "present"]
    assert "saved by a spreadsheet" in found.notes[0]


def test_recordings_of_100_hz_alone_are_taken_and_said(tmp_path: Path, label_map: LabelMap) -> None:
    root = write(tmp_path, [row(1)], records="records100")
    found = read_ptbxl(folder(root), label_map)
    assert found.table[["sampling_rate", "samples"]].to_numpy().tolist() == [[100, 1000]]
    assert "nothing above 50 Hz" in found.notes[0]
    with pytest.raises(CatalogError, match=r"no folder records500 in .*, which holds records100"):
        read_ptbxl(folder(root, records="records500"), label_map)


@pytest.mark.parametrize("name", ["ptbxl_database.csv", "scp_statements.csv"])
def test_a_missing_table_is_named(tmp_path: Path, label_map: LabelMap, name: str) -> None:
    root = write(tmp_path, [row(1)])
    (root / name).unlink()
    with pytest.raises(CatalogError, match=f"no {name} in .*physionet.org"):
        read_ptbxl(folder(root), label_map)


@pytest.mark.parametrize(
    "text", ["", "[1]", "{'NORM': -1}", "{'NORM': True}", "{1: 100.0}", "{'NORM': 1e999}", "{" * 9000, "x" * 20_000]
)
def test_statements_are_parsed_as_a_literal_or_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"no dictionary|no statement|characters"):
        parse_statements(text)


def test_the_least_likelihood_decides() -> None:
    found = LabelMap("strict", {"MI": Condition(name="infarction", scp={"IMI": 50})})
    states = [StatementReader(found).read(said).states[0] for said in ({"IMI": 80.0}, {"IMI": 35.0}, {"SR": 0.0})]
    assert states == [PRESENT, UNKNOWN, ABSENT]


@pytest.mark.parametrize(("level", "count"), OUTPUTS.items())
def test_the_levels_are_those_of_the_table_of_statements(shared: Path, level: str, count: int) -> None:
    made = script(REPOSITORY / "scripts" / "make_ptbxl_label_maps.py")
    with (shared / "ecg/ptbxl/scp_statements.csv").open(encoding="utf-8", newline="") as stream:
        text = made.label_map_text(level, list(csv.DictReader(stream)))
    file = REPOSITORY / "configs" / "labels" / f"ptbxl_{level}.yaml"
    assert file.read_text(encoding="utf-8") == text, "run scripts/make_ptbxl_label_maps.py"
    assert len(yaml.safe_load(text)["conditions"]) == count


@pytest.mark.parametrize(("level", "count"), OUTPUTS.items())
def test_the_levels_have_their_outputs_in_order(level: str, count: int) -> None:
    codes = load_label_map(f"ptbxl_{level}").codes
    assert len(codes) == count
    assert list(codes) == sorted(codes)


def real_rows(shared: Path) -> list[dict[str, str]]:
    with (shared / "ecg/ptbxl/ptbxl_database.csv").open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


@pytest.mark.parametrize("level", OUTPUTS)
def test_the_levels_of_real_rows(shared: Path, level: str) -> None:
    """Held against the definition of the benchmark: every statement counts, and its group by the table."""
    label_map = load_label_map(f"ptbxl_{level}")
    column = {"subdiagnostic": "diagnostic_subclass", "superdiagnostic": "diagnostic_class"}.get(level)
    with (shared / "ecg/ptbxl/scp_statements.csv").open(encoding="utf-8", newline="") as stream:
        flag = "diagnostic" if column else level
        belongs = {one[""]: one[column or ""] for one in csv.DictReader(stream) if level == "all" or one[flag] == "1.0"}
    reader = StatementReader(label_map)
    counts = 0
    for one in real_rows(shared):
        said = parse_statements(one["scp_codes"])
        expected = {belongs[name] for name in said if name in belongs}
        states = reader.read(said).states
        assert {code for code, state in zip(label_map.codes, states, strict=True) if state == PRESENT} == expected
        counts += len(expected)
    assert counts > 100


def test_snomed_and_scp_say_the_same_of_recordings_in_both(shared: Path, label_map: LabelMap) -> None:
    """Statements that one version has and the other lacks are a difference of the data: sinus arrhythmia of 00010."""
    codes = {int(one["ecg_id"]): one["scp_codes"] for one in real_rows(shared)}
    by_snomed, by_scp = DiagnosisReader(label_map), StatementReader(label_map)
    compared = 0
    for file in sorted((shared / "ecg/physionet2021").rglob("HR*.hea")):
        number = int(file.stem[2:])
        if number in codes:
            states = by_snomed.read(read_header(file).metadata["dx"], "ptb-xl").states
            assert by_scp.read(parse_statements(codes[number])).states == tuple(states.values()), file
            compared += 1
    assert compared >= 5


# SCP statement to the SNOMED CT code that the Challenge's headers of PTB-XL have for it
TRANSLATED = {
    "SR": "426783006",
    "NORM": "426783006",
    "AFIB": "164889003",
    "AFLT": "164890007",
    "1AVB": "270492004",
    "LPR": "164947007",
    "CRBBB": "713427006",
    "IRBBB": "713426002",
    "CLBBB": "164909002",
    "ILBBB": "251120003",
    "PACE": "10370003",
    "SBRAD": "426177001",
    "STACH": "427084000",
    "SARRH": "427393009",
    "SVTAC": "426761007",
    "PSVT": "67198005",
    "3AVB": "27885002",
}


def test_translated_statements_have_the_states_of_their_codes(shared: Path, label_map: LabelMap) -> None:
    by_snomed, by_scp = DiagnosisReader(label_map), StatementReader(label_map)
    compared = 0
    for one in real_rows(shared):
        said = {name: value for name, value in parse_statements(one["scp_codes"]).items() if name in TRANSLATED}
        if not said:
            continue
        line = ",".join(TRANSLATED[name] for name in said)
        assert by_scp.read(said).states == tuple(by_snomed.read(line, "ptb-xl").states.values()), one["ecg_id"]
        compared += 1
    assert compared > 900


def test_recordings_without_a_statement_of_the_level_leave_it(tmp_path: Path) -> None:
    root = write(tmp_path, [row(1), row(2, "{'SR': 0.0}"), row(3, "{'AFIB': 0.0, 'NORM': 80.0}")])
    found: Catalog = read_ptbxl(folder(root), load_label_map("ptbxl_superdiagnostic"))
    assert found.table["recording"].tolist() == ["ptbxl/00001", "ptbxl/00003"]
    assert found.skipped["reason"].tolist() == ["no statement of the label map"]
    assert "1 recording(s) state nothing of label map 'ptbxl_superdiagnostic'" in "\n".join(found.notes)


def test_the_merged_source_takes_ptbxl_from_itself(tmp_path: Path, shared: Path, label_map: LabelMap) -> None:
    root = write(tmp_path / "ptbxl", [row(1), row(2)])
    challenge = tmp_path / "challenge"
    challenge.mkdir()
    for file in (shared / "ecg/physionet2021").rglob("HR00001.*"):
        (challenge / file.name).write_bytes(file.read_bytes())
    settings = compose_settings(["data=merged", f"data.catalogs={tmp_path / 'catalogs'}"]).source
    assert isinstance(settings, Merged)
    settings.ptbxl.root = str(root)
    settings.physionet2021 = Physionet2021Folder(root=str(challenge), ptbxl_database=None)
    found = settings.read(label_map)
    assert found.table["recording"].tolist() == ["ptbxl/00001", "ptbxl/00002"]
    assert "1 recording(s) stand in ptbxl too" in "\n".join(found.notes)
