"""Reading WFDB as users have it: real recordings against the wfdb package, and every kind of damage."""

from pathlib import Path

import numpy as np
import pytest
import wfdb

from ecgfounder_ft.ecg.formats.wfdb import read_header, read_recording, write_recording
from ecgfounder_ft.ecg.leads import STANDARD_LEADS
from ecgfounder_ft.ecg.recording import UnreadableRecordingError

SIGNAL = np.random.default_rng(0).normal(scale=0.5, size=(12, 700)).round(3)


def written(folder: Path, name: str = "rec", storage: str = "mat", **options: object) -> Path:
    return write_recording(folder, name, SIGNAL, STANDARD_LEADS, 500, storage=storage, **options)  # type: ignore[arg-type]


def edit(header: Path, old: str, new: str) -> Path:
    text = header.read_text()
    assert old in text
    header.write_text(text.replace(old, new))
    return header


def test_agrees_with_wfdb_on_every_real_recording(shared: Path) -> None:
    compared = 0
    for header in sorted((shared / "ecg").rglob("*.hea")):
        try:
            ours = read_recording(header)
            theirs = wfdb.rdrecord(str(header.with_suffix("")))
        except (UnreadableRecordingError, wfdb.io.header.HeaderSyntaxError):
            continue
        np.testing.assert_allclose(ours.signal, theirs.p_signal.T, atol=1e-5, rtol=1e-6, err_msg=str(header))
        assert ours.sampling_rate == theirs.fs
        assert [lead.lower() for lead in ours.leads] == [lead.lower() for lead in theirs.sig_name]
        compared += 1
    assert compared > 250


def test_mends_the_headers_that_wfdb_refuses(shared: Path) -> None:
    header = shared / "ecg" / "physionet2021" / "georgia" / "E00271.hea"
    found = read_recording(header)
    assert found.repairs[0] == "record line names the file extension"
    assert found.signal.shape[0] == 12


@pytest.mark.parametrize("storage", ["dat", "mat"])
def test_what_is_written_is_read_again_by_us_and_by_wfdb(tmp_path: Path, storage: str) -> None:
    header = written(tmp_path, storage=storage, comments={"Age": "74", "<subject_id>": "10000032"})
    found = read_recording(header)
    np.testing.assert_allclose(found.signal, SIGNAL, atol=1e-6)
    np.testing.assert_allclose(wfdb.rdrecord(str(header.with_suffix(""))).p_signal.T, SIGNAL, atol=1e-6)
    assert found.leads == STANDARD_LEADS
    assert found.metadata == {"age": "74", "<subject_id>": "10000032"}
    assert found.repairs == ()


def test_mat_files_are_read_by_scipy(tmp_path: Path) -> None:
    from scipy.io import loadmat

    written(tmp_path)
    np.testing.assert_allclose(loadmat(tmp_path / "rec.mat")["val"] / 1000, SIGNAL, atol=1e-6)


def test_some_leads_can_be_read_alone(tmp_path: Path) -> None:
    found = read_recording(written(tmp_path), leads=("V6", "avl"))
    np.testing.assert_allclose(found.signal, SIGNAL[[11, 4]], atol=1e-6)
    with pytest.raises(UnreadableRecordingError, match="leads are missing: no V7"):
        read_recording(tmp_path / "rec.hea", leads=("V7",))


def test_missing_samples_are_nan(tmp_path: Path) -> None:
    signal = SIGNAL.copy()
    signal[2, 5:9] = np.nan
    header = write_recording(tmp_path, "rec", signal, STANDARD_LEADS, 500, storage="dat", gain=200)
    found = read_recording(header)
    assert np.isnan(found.signal[2, 5:9]).all()
    assert np.isnan(found.signal).sum() == 4
    assert "missing samples" in found.repairs


@pytest.mark.parametrize(
    ("unit", "factor", "repair"), [("mv", 1, "spelt"), ("uV", 1e-3, "converted"), ("V", 1e3, "converted")]
)
def test_units_become_millivolts(tmp_path: Path, unit: str, factor: float, repair: str) -> None:
    found = read_recording(edit(written(tmp_path), "/mV", f"/{unit}"))
    np.testing.assert_allclose(found.signal, SIGNAL * factor, rtol=1e-5, atol=1e-6)
    assert any(repair in entry for entry in found.repairs)


def test_names_with_spaces_and_beyond_ascii(tmp_path: Path) -> None:
    header = written(tmp_path / "Ordner mit Ä", name="Müller 心电图 01")
    found = read_recording(header)
    assert found.name == "Müller 心电图 01"
    np.testing.assert_allclose(found.signal, SIGNAL, atol=1e-6)


def test_a_renamed_recording_is_found_beside_its_header(tmp_path: Path) -> None:
    written(tmp_path)
    (tmp_path / "rec.hea").rename(tmp_path / "new name.hea")
    (tmp_path / "rec.mat").rename(tmp_path / "new name.mat")
    found = read_recording(tmp_path / "new name.hea")
    assert "signal file renamed" in found.repairs


def test_leads_are_spelt_as_usual(tmp_path: Path) -> None:
    header = edit(written(tmp_path), "aVR", "AVR")
    assert read_header(header).leads == STANDARD_LEADS


def test_a_lead_in_another_file_is_not_needed(tmp_path: Path) -> None:
    header = edit(written(tmp_path), "rec 12 500", "rec 13 500")
    text = header.read_text().rstrip("\n").split("\n")
    header.write_text("\n".join([*text, "rec.xyz 16 1000/mV 16 0 0 0 0 vx"]) + "\n")
    assert read_recording(header, leads=STANDARD_LEADS).signal.shape == (12, 700)
    with pytest.raises(UnreadableRecordingError, match="signal file is missing"):
        read_recording(header)


def _truncate(folder: Path) -> None:
    (folder / "rec.mat").write_bytes((folder / "rec.mat").read_bytes()[:-100])


def _pointer(folder: Path, suffix: str) -> None:
    (folder / f"rec.{suffix}").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 6\n")


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda folder: (folder / "rec.hea").unlink(), "header cannot be read"),
        (lambda folder: (folder / "rec.mat").unlink(), "signal file is missing"),
        (_truncate, "signal file is truncated"),
        (lambda folder: _pointer(folder, "hea"), "git-lfs pointer"),
        (lambda folder: _pointer(folder, "mat"), "git-lfs pointer"),
        (lambda folder: (folder / "rec.hea").write_text(""), "not a WFDB header"),
        (lambda folder: (folder / "rec.hea").write_bytes(bytes(range(256))), "not a WFDB header"),
        (lambda folder: edit(folder / "rec.hea", "rec 12 500 700", "rec 14 500 700"), "not a WFDB header"),
        (lambda folder: edit(folder / "rec.hea", "rec 12 500 700", "rec 12 500 0"), "no samples"),
        (lambda folder: edit(folder / "rec.hea", "rec 12 500 700", "rec 12 0 700"), "no sampling rate"),
        (lambda folder: edit(folder / "rec.hea", "rec 12 500 700", "rec/3 12 500 700"), "multi-segment"),
        (lambda folder: edit(folder / "rec.hea", "/mV", "/furlong"), "unknown unit"),
        (lambda folder: edit(folder / "rec.hea", "rec.mat", "../rec.mat"), "signal file outside the folder"),
        (lambda folder: edit(folder / "rec.hea", "rec.mat", "/etc/passwd"), "signal file outside the folder"),
        (lambda folder: edit(folder / "rec.hea", "16x1+24", "999"), "MAT file of another format"),
    ],
)
def test_damage_is_a_reason_to_skip_never_a_crash(tmp_path: Path, damage: object, reason: str) -> None:
    header = written(tmp_path)
    damage(tmp_path)  # type: ignore[operator]
    with pytest.raises(UnreadableRecordingError, match=reason) as error:
        read_recording(header)
    assert error.value.reason.startswith(reason)
    assert "rec" in str(error.value.path)


def test_an_unreadable_recording_crosses_process_borders() -> None:
    import pickle

    error = pickle.loads(pickle.dumps(UnreadableRecordingError("too short", "1 s", "a.hea")))
    assert (error.reason, error.detail, error.path) == ("too short", "1 s", "a.hea")


def test_storage_must_be_one_of_the_two_forms(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="expected 'dat' or 'mat'"):
        written(tmp_path, storage="edf")
