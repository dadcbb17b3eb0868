import gzip
import shutil

import numpy as np
import pandas as pd
import pytest

from ecgfounder_ft.data.catalog import CatalogError, FolderNotFoundError, catalog_columns, targets
from ecgfounder_ft.data.sources.mimic_iv_ecg.tables import read_mimic_iv_ecg
from ecgfounder_ft.labels import PRESENT, UNKNOWN

MEASUREMENTS = ["bandwidth", "filtering", "rr_interval", "p_onset", "p_end", "qrs_onset", "qrs_end", "t_end"]


def path_of(subject, study):
    return f"files/p{str(subject)[:4]}/p{subject}/s{study}/{study}"


def write(root, studies, *, waveforms=True, record_changes=None, extra_records=(), extra_reports=()):
    """A dataset of studies: study id to (subject id, report lines)."""
    root.mkdir(parents=True, exist_ok=True)
    records, reports = [], []
    for study, (subject, lines) in studies.items():
        record = {
            "subject_id": subject,
            "study_id": study,
            "file_name": study,
            "ecg_time": "2180-07-23 08:44:00",
            "path": path_of(subject, study),
        }
        records.append(record | (record_changes or {}).get(study, {}))
        report = {"subject_id": subject, "study_id": study, "cart_id": 1, "ecg_time": "2180-07-23 08:44:00"}
        report |= {f"report_{i}": line for i, line in enumerate([*lines, *[""] * (18 - len(lines))])}
        reports.append(report | dict.fromkeys(MEASUREMENTS, 29999))
        if waveforms:
            folder = root / path_of(subject, study)
            folder.parent.mkdir(parents=True, exist_ok=True)
            folder.with_suffix(".hea").touch()
            folder.with_suffix(".dat").touch()
    pd.DataFrame([*records, *extra_records]).to_csv(root / "record_list.csv", index=False)
    pd.DataFrame([*reports, *extra_reports]).to_csv(root / "machine_measurements.csv", index=False)
    return root


STUDIES = {
    40000001: (10000032, ["Sinus rhythm", "", "Right bundle branch block"]),
    40000002: (10000032, ["Possible atrial fibrillation"]),
    40000003: (10000117, ["Ventricular pacing"]),
    40000004: (10000118, []),
}


def row(catalog, study):
    return catalog.table.set_index("recording").loc[f"mimic_iv_ecg/{study}"]


def test_the_real_tables(shared, label_map):
    root = shared / "ecg" / "mimic-iv-ecg-metadata"
    catalog = read_mimic_iv_ecg(root, label_map)
    assert len(catalog) == 1
    (only,) = catalog.table.to_dict("records")
    assert only["recording"] == "mimic_iv_ecg/40689238"
    assert only["patient"] == "mimic_iv_ecg/10000032"
    assert only["path"] == str(root / "files/p1000/p10000032/s40689238/40689238.hea")
    assert (only["NORM"], only["AFIB"], only["evidence"]) == ("present", "absent", "NORM: Sinus rhythm")
    assert "no waveforms" in catalog.notes[0]


def test_real_headers_agree_with_the_constants_of_the_dataset(shared, label_map, tmp_path):
    from ecgfounder_ft.ecg.formats.wfdb import read_header

    root = shared / "ecg" / "mimic-iv-ecg-metadata"
    table = read_mimic_iv_ecg(root, label_map).table
    header = read_header(root / "40689238.hea")
    assert (table["sampling_rate"][0], table["samples"][0]) == (header.sampling_rate, header.samples)
    assert table["patient"][0] == f"mimic_iv_ecg/{header.metadata['<subject_id>']}"


def test_labels_patients_and_paths(tmp_path, label_map):
    catalog = read_mimic_iv_ecg(write(tmp_path, STUDIES), label_map)
    assert list(catalog.table) == list(catalog_columns(label_map))
    assert len(catalog) == 4
    assert not len(catalog.skipped)
    first = row(catalog, 40000001)
    assert (first["NORM"], first["RBBB"], first["LBBB"]) == ("present", "present", "absent")
    assert first["evidence"] == "NORM: Sinus rhythm; RBBB: Right bundle branch block"
    assert first["patient"] == row(catalog, 40000002)["patient"] == "mimic_iv_ecg/10000032"
    assert (row(catalog, 40000002)["AFIB"], row(catalog, 40000002)["AFLT"]) == ("unknown", "absent")
    assert row(catalog, 40000003)["evidence"] == "unusable: Ventricular pacing"
    for study in (40000003, 40000004):
        assert set(row(catalog, study)[list(label_map.codes)]) == {"unknown"}
    assert (catalog.table["sampling_rate"] == 500).all()
    assert (catalog.table["samples"] == 5000).all()
    assert np.isnan(catalog.table["age"]).all()


def test_the_tables_may_be_gzipped_and_rows_in_any_order(tmp_path, label_map):
    plain = read_mimic_iv_ecg(write(tmp_path, STUDIES), label_map)
    file = tmp_path / "machine_measurements.csv"
    shuffled = pd.read_csv(file).sample(frac=1, random_state=1)
    with gzip.open(f"{file}.gz", "wt") as stream:
        shuffled.to_csv(stream, index=False)
    file.unlink()
    pd.testing.assert_frame_equal(read_mimic_iv_ecg(tmp_path, label_map).table, plain.table)


def test_a_recording_without_a_report_is_unknown_and_counted(tmp_path, label_map):
    extra = {"subject_id": 10000200, "study_id": 40000009, "path": path_of(10000200, 40000009)}
    root = write(tmp_path, STUDIES, extra_records=[extra])
    catalog = read_mimic_iv_ecg(root, label_map, check_files=False)
    assert set(row(catalog, 40000009)[list(label_map.codes)]) == {"unknown"}
    assert row(catalog, 40000009)["evidence"] == ""
    assert "1 recording(s) have no row in machine_measurements.csv" in catalog.notes[0]


def test_a_table_without_any_report_is_all_unknown(tmp_path, label_map):
    root = write(tmp_path, STUDIES)
    file = root / "machine_measurements.csv"
    file.write_text(file.read_text().splitlines()[0] + "\n")
    catalog = read_mimic_iv_ecg(root, label_map)
    assert (targets(catalog.table, label_map) == UNKNOWN).all()
    assert len(catalog) == 4


def test_partial_downloads_are_counted_not_fatal(tmp_path, label_map):
    root = write(tmp_path, STUDIES)
    (root / path_of(10000032, 40000001)).with_suffix(".hea").unlink()
    (root / path_of(10000117, 40000003)).with_suffix(".dat").unlink()
    catalog = read_mimic_iv_ecg(root, label_map)
    assert catalog.table["recording"].tolist() == ["mimic_iv_ecg/40000002", "mimic_iv_ecg/40000004"]
    assert catalog.skipped["reason"].tolist() == ["recording is not downloaded"] * 2
    assert len(read_mimic_iv_ecg(root, label_map, check_files=False)) == 4


def test_without_any_waveform_every_recording_is_listed(tmp_path, label_map):
    root = write(tmp_path, STUDIES)
    shutil.rmtree(root / "files")
    catalog = read_mimic_iv_ecg(root, label_map)
    assert len(catalog) == 4
    assert "no waveforms" in catalog.notes[0]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"subject_id": ""}, "subject_id is no number"),
        ({"subject_id": "p10000032"}, "subject_id is no number"),
        ({"subject_id": 10000999}, "subject_id differs between record_list.csv and machine_measurements.csv"),
        ({"study_id": "forty"}, "study_id is no number"),
        ({"study_id": 4.5}, "study_id is no number"),
        ({"study_id": 40000002}, "study is listed twice"),
        ({"path": ""}, "no path"),
        ({"path": "../../elsewhere/40000001"}, "path outside the dataset"),
        ({"path": "/etc/40000001"}, "path outside the dataset"),
        ({"path": "~/40000001"}, "path outside the dataset"),
        ({"path": "C:\\40000001"}, "path outside the dataset"),
        ({"path": "files/../../40000001"}, "path outside the dataset"),
        ({"path": path_of(10000032, 40000002)}, "study is listed twice"),
    ],
)
def test_rows_that_cannot_be_used_are_skipped_with_their_reason(tmp_path, label_map, changes, reason):
    """The bad row stands last, so that where two rows clash the good one is kept."""
    studies = {study: STUDIES[study] for study in (40000002, 40000003, 40000004, 40000001)}
    catalog = read_mimic_iv_ecg(
        write(tmp_path, studies, record_changes={40000001: changes}), label_map, check_files=False
    )
    assert catalog.skipped["reason"].tolist() == [reason]
    assert catalog.table["recording"].tolist() == [f"mimic_iv_ecg/{study}" for study in sorted(studies)[1:]]


def test_studies_with_two_reports(tmp_path, label_map):
    again = {"subject_id": 10000032, "study_id": 40000001, "report_0": "Sinus rhythm"}
    same = again | {"report_1": "", "report_2": "Right bundle branch block"}
    other = {"subject_id": 10000032, "study_id": 40000002, "report_0": "Sinus rhythm"}
    catalog = read_mimic_iv_ecg(write(tmp_path, STUDIES, extra_reports=[same, other]), label_map)
    assert row(catalog, 40000001)["RBBB"] == "present"
    assert set(row(catalog, 40000002)[list(label_map.codes)]) == {"unknown"}
    assert "2 studies have several rows in machine_measurements.csv, of which 1 disagree" in catalog.notes[0]


@pytest.mark.parametrize(("file", "column"), [("record_list.csv", "path"), ("machine_measurements.csv", "report_17")])
def test_a_missing_column_or_table_is_named(tmp_path, label_map, file, column):
    root = write(tmp_path, STUDIES)
    pd.read_csv(root / file).drop(columns=column).to_csv(root / file, index=False)
    with pytest.raises(CatalogError, match=rf"{file}: no column {column} among subject_id"):
        read_mimic_iv_ecg(root, label_map)
    (root / file).write_bytes(b"")
    with pytest.raises(CatalogError, match="no column"):
        read_mimic_iv_ecg(root, label_map)
    (root / file).unlink()
    with pytest.raises(CatalogError, match=rf"no {file} in {root}; download"):
        read_mimic_iv_ecg(root, label_map)


def test_ragged_rows_are_counted(tmp_path, label_map):
    root = write(tmp_path, STUDIES)
    with (root / "record_list.csv").open("a") as stream:
        stream.write("10000300,40000020,cut o\n")
    with (root / "machine_measurements.csv").open("a") as stream:
        stream.write("10000300,40000020,1\n")
    catalog = read_mimic_iv_ecg(root, label_map)
    assert len(catalog) == 4
    assert [note.split(" have ")[0] for note in catalog.notes] == [
        "mimic_iv_ecg: 1 row(s) of record_list.csv",
        "mimic_iv_ecg: 1 row(s) of machine_measurements.csv",
    ]


def test_measurement_columns_may_hold_anything(tmp_path, label_map):
    root = write(tmp_path, STUDIES)
    table = pd.read_csv(root / "machine_measurements.csv", dtype=str)
    table["rr_interval"] = "not a number"
    table["bandwidth"] = '0.005-150 Hz, "60 Hz" notch\u00e9'
    table.to_csv(root / "machine_measurements.csv", index=False)
    assert (targets(read_mimic_iv_ecg(root, label_map).table, label_map) == PRESENT).sum() == 2


def test_a_missing_root_is_an_error(tmp_path, label_map):
    with pytest.raises(FolderNotFoundError, match=r"data\.mimic_iv_ecg\.root"):
        read_mimic_iv_ecg(tmp_path / "nowhere", label_map)
