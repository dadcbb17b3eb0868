"""Files that are not what their header says, and headers that nobody would write: refused with a reason, in no time."""

import os
import random
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import wfdb
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.io import savemat

from campaigns.fuzz_readers import campaign
from campaigns.recording_mutants import mutant, write_originals
from ecgfounder_ft.data.recording_facts import facts_of, find_headers
from ecgfounder_ft.ecg.formats import find_recordings, read_recording
from ecgfounder_ft.ecg.formats.wfdb import read_header, write_recording
from ecgfounder_ft.ecg.formats.wfdb.header import _signal_line
from ecgfounder_ft.ecg.recording import UnreadableRecordingError

LEADS = ("I", "II", "V1")
SIGNAL = np.random.default_rng(0).normal(scale=0.5, size=(3, 700)).round(3)
DIGITAL = np.round(SIGNAL * 1000).astype(np.int16)


def written(folder: Path, storage: str = "mat") -> Path:
    return write_recording(folder, "rec", SIGNAL, LEADS, 500, storage=storage)


def edit(header: Path, pattern: str, new: str) -> Path:
    text, count = re.subn(pattern, new, header.read_text())
    assert count
    header.write_text(text)
    return header


def refused(header: Path, reason: str) -> UnreadableRecordingError:
    with pytest.raises(UnreadableRecordingError, match=reason) as error:
        read_recording(header)
    assert error.value.reason == reason
    return error.value


# --- The .mat of a Challenge recording ------------------------------------------------------------------------------


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("kind", [np.int16, np.float64])
def test_mat_v5_is_read_as_what_it_holds(tmp_path: Path, compressed: bool, kind: type) -> None:
    header = written(tmp_path)
    savemat(tmp_path / "rec.mat", {"val": DIGITAL.astype(kind)}, do_compression=compressed)
    np.testing.assert_allclose(read_recording(header).signal, SIGNAL, atol=1e-9)
    assert [entry.samples for entry in facts_of([header]).facts] == [700]
    edit(header, "rec 3 500 700", "rec 3 500")
    assert read_recording(header).signal.shape == (3, 700)


@pytest.mark.parametrize(
    ("content", "reason", "words"),
    [
        (lambda file: savemat(file, {"val": SIGNAL}), "MAT file of another content", "millivolts already"),
        (lambda file: savemat(file, {"ecg": DIGITAL}), "MAT file of another content", r"found \['ecg'\]"),
        (lambda file: savemat(file, {"val": DIGITAL.T}), "MAT file of another shape", "700 x 3"),
        (lambda file: savemat(file, {"val": np.array(["x"])}), "MAT file of another shape", "expected leads x samples"),
        (
            lambda file: savemat(file, {"val": DIGITAL.astype(float)}, format="4"),
            "MAT file of another content",
            "double matrix",
        ),
        (lambda file: savemat(file, {"wal": DIGITAL}, format="4"), "MAT file of another content", "begins 'wal'"),
        (lambda file: savemat(file, {"val": DIGITAL[:2]}, format="4"), "MAT file of another shape", "2 x 700"),
        (lambda file: savemat(file, {"val": DIGITAL[:, :600]}, format="4"), "MAT file of another shape", "3 x 600"),
        (lambda file: file.write_bytes(b"<html>" * 30_000), "not a MAT v4 file", "HTML"),
        (lambda file: file.write_bytes(b"MATLAB 7.3 MAT-file" + bytes(9000)), "not a MAT v4 file", "v7.3"),
        (lambda file: file.write_bytes(DIGITAL.T.tobytes() + bytes(24)), "not a MAT v4 file", "begins"),
        (lambda file: file.write_bytes(file.read_bytes() + b"\0"), "MAT file of another size", "expected 4224"),
        (lambda file: file.write_bytes(b"short"), "signal file is truncated", "5 bytes"),
    ],
)
def test_another_file_in_its_place_is_refused_by_name(
    tmp_path: Path, content: Callable[[Path], object], reason: str, words: str
) -> None:
    header = written(tmp_path)
    content(tmp_path / "rec.mat")
    assert re.search(words, refused(header, reason).detail)


def test_a_compressed_mat_that_unpacks_to_far_more_than_its_shape_is_refused(tmp_path: Path) -> None:
    header = written(tmp_path)
    savemat(tmp_path / "rec.mat", {"other": np.zeros(5_000_000, np.int8), "val": DIGITAL}, do_compression=True)
    assert (tmp_path / "rec.mat").stat().st_size < 50_000
    refused(header, "MAT v5 file is damaged")


# --- Initial values and checksums -----------------------------------------------------------------------------------


@pytest.mark.parametrize("storage", ["dat", "mat"])
def test_samples_that_changed_are_refused(tmp_path: Path, storage: str) -> None:
    header = written(tmp_path, storage)
    file = tmp_path / f"rec.{storage}"
    content = bytearray(file.read_bytes())
    content[500] ^= 4
    file.write_bytes(content)
    assert "checksum" in refused(header, "samples are not those of the header").detail


def test_samples_of_another_recording_are_refused(tmp_path: Path) -> None:
    header = written(tmp_path, "dat")
    other = write_recording(tmp_path / "other", "rec", SIGNAL[:, ::-1], LEADS, 500, storage="dat")
    other.with_suffix(".dat").replace(tmp_path / "rec.dat")  # the same sum
    assert "initial value" in refused(header, "samples are not those of the header").detail


def test_checksums_go_round_at_16_bits_and_zeros_in_every_lead_were_not_computed(tmp_path: Path) -> None:
    header = written(tmp_path, "dat")
    first = read_header(header).signals[0].checksum
    assert first is not None
    edit(header, rf" {first} 0 I\n", f" {first % 65536 + 65536} 0 I\n")
    np.testing.assert_allclose(read_recording(header).signal, SIGNAL, atol=1e-9)
    edit(header, r"16 0 -?\d+ -?\d+ 0", "16 0 0 0 0")
    np.testing.assert_allclose(read_recording(header).signal, SIGNAL, atol=1e-9)


def test_forms_that_wfdb_reads_are_checked_too(tmp_path: Path) -> None:
    header = next(h for h in write_originals(tmp_path, np.random.default_rng(0)) if h.stem == "form212")
    assert np.isfinite(read_recording(header).signal).all()
    file = header.with_suffix(".dat")
    content = bytearray(file.read_bytes())
    content[0] ^= 16
    file.write_bytes(content)
    refused(header, "samples are not those of the header")


def test_real_recordings_are_what_their_headers_say(shared: Path) -> None:
    refusals = {}
    for header in sorted((shared / "ecg").rglob("*.hea")):
        try:
            read_recording(header)
        except UnreadableRecordingError as error:
            refusals[header.name] = error.reason
    assert set(refusals.values()) <= {"signal file is missing", "git-lfs pointer instead of a file"}


# --- Headers --------------------------------------------------------------------------------------------------------


def test_headers_of_2024_without_initial_value_and_checksum_are_read_as_wfdb_does(tmp_path: Path) -> None:
    header = edit(written(tmp_path, "dat"), r"16 0 -?\d+ -?\d+ 0 (\w+)", r"16 0    \1")
    found, theirs = read_recording(header), wfdb.rdrecord(str(header.with_suffix("")))
    assert list(found.leads) == theirs.sig_name == list(LEADS)
    np.testing.assert_allclose(found.signal, theirs.p_signal.T, atol=1e-9)
    assert read_header(header).signals[0].checksum is None


@pytest.mark.parametrize(
    ("pattern", "new", "reason"),
    [
        ("^rec 3", "rec " + "9" * 5000, "not a WFDB header"),
        ("500 700", "500 " + "9" * 5000, "not a WFDB header"),
        ("500 700", "1e999 700", "not a WFDB header"),
        ("^rec 3", "rec/" + "9" * 3900 + " 3", "multi-segment recording"),
        ("^rec 3", "rec " + "9" * 3900, "not a WFDB header"),
        ("^rec 3 500 700", "rec 0 500 700", "no signals"),
        ("^rec 3 500 700", "rec 3 500 0", "no samples"),
        ("16x1", "16x0", "not a WFDB header"),
        ("16x1", "16x" + "9" * 5000, "not a WFDB header"),
        ("16x1", "16x" + "9" * 50, "signal file outside the folder"),
        (r"1000\.0", "1e999", "not a WFDB header"),
        (r"1000\.0", "1e-310", "implausible gain"),
        (r"\(0\)", "(" + "9" * 5000 + ")", "not a WFDB header"),
        (r"rec\.mat", "n" * 300 + ".dat", "signal file is missing"),
        (r"rec\.mat", "rec.mat\0", "not a WFDB header"),
        ("^rec 3", "\0" * 100, "not a WFDB header"),
        ("^rec 3", "rec " + "1 " * 8000, "not a WFDB header"),
        ("^rec 3", "rec " + "a " * 1900, "not a WFDB header"),
        ("^rec 3", "rec " + "1" * 16_000 + " ", "not a WFDB header"),
        (r"rec\.mat", "rec.mat " + "a 16 " * 700, "not a WFDB header"),
    ],
)
def test_a_header_that_nobody_would_write_is_refused(tmp_path: Path, pattern: str, new: str, reason: str) -> None:
    refused(edit(written(tmp_path), pattern, new), reason)


def test_a_count_of_frames_per_sample_without_length_is_refused(tmp_path: Path) -> None:
    header = edit(edit(written(tmp_path, "dat"), "500 700", "500"), r"\.dat 16", ".dat 16x0")
    refused(header, "not a WFDB header")
    assert facts_of([header]).errors[0].reason == "not a WFDB header"


def test_a_name_of_300_letters_is_a_name(tmp_path: Path) -> None:
    header = edit(written(tmp_path), "V1\n", "V" * 300 + "\n")
    assert read_recording(header).leads[2] == "V" * 300


def test_more_than_memory_is_refused_before_it_is_reserved(tmp_path: Path) -> None:
    header = written(tmp_path, "dat")
    refused(edit(header, "500 700", "500 99999999999"), "too long")
    edit(header, "500 99999999999", "500")
    os.truncate(tmp_path / "rec.dat", 20 << 30)  # sparse
    refused(header, "signal file is too large")
    os.truncate(header, 20 << 30)
    refused(header, "header is too large")
    assert facts_of([header]).errors[0].reason == "header is too large"


def test_signal_files_of_different_length_are_refused(tmp_path: Path) -> None:
    header = next(h for h in write_originals(tmp_path, np.random.default_rng(0)) if h.stem == "two")
    edit(header, "500 600", "500")
    file = header.with_suffix(".xyz")
    file.write_bytes(file.read_bytes() + b"\0\0")
    refused(header, "signal files of different length")


def test_a_pipe_is_no_recording_and_nobody_waits_for_it(tmp_path: Path) -> None:
    header = written(tmp_path, "dat")
    os.mkfifo(tmp_path / "pipe.hea")
    (tmp_path / "rec.dat").unlink()
    os.mkfifo(tmp_path / "rec.dat")
    refused(header, "signal file is missing")
    refused(tmp_path / "pipe.hea", "header cannot be read")
    errors = facts_of(find_headers(tmp_path)[0]).errors
    assert [error.reason for error in errors] == ["header cannot be read", "signal file is missing"]
    assert list(find_recordings(tmp_path)) == [header]


@pytest.mark.parametrize("place", [b"caf\xe9", b"ordner\xff/rec"])
def test_a_name_that_is_not_utf_8_is_skipped_and_told_in_escapes(tmp_path: Path, place: bytes) -> None:
    header = Path(os.fsdecode(bytes(tmp_path) + b"/" + place + b".hea"))
    header.parent.mkdir(exist_ok=True)
    whole = written(tmp_path / "whole", "dat")
    header.write_bytes(whole.read_bytes())
    error = refused(header, "name is not UTF-8")
    error.path.encode()  # type: ignore[union-attr]
    assert "\\udc" in str(error)
    found = facts_of(find_headers(tmp_path)[0])
    assert [entry.name for entry in found.facts] == ["rec"]
    assert [error.reason for error in found.errors] == ["name is not UTF-8"]
    for path in find_recordings(tmp_path):
        if path != whole:
            refused(path, "name is not UTF-8")


# --- Campaigns ------------------------------------------------------------------------------------------------------


def test_a_short_campaign_finds_nothing(tmp_path: Path) -> None:
    tally = campaign(7, 100, tmp_path / "work", None, tmp_path / "kept")
    assert not tally.faults, sorted((tmp_path / "kept").iterdir())
    assert tally.outcomes.total() == 100
    assert len(tally.outcomes) > 5


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32))
def test_mutants_are_read_or_refused(tmp_path_factory: pytest.TempPathFactory, seed: int) -> None:
    folder = tmp_path_factory.getbasetemp() / "mutants"
    originals = sorted(folder.glob("originals/*.hea")) or write_originals(
        folder / "originals", np.random.default_rng(0)
    )
    made = mutant(originals, folder / "mutant", random.Random(seed))
    try:
        found = read_recording(made.header)
    except UnreadableRecordingError:
        return
    assert len(found.leads) == len(found.signal) > 0


@settings(max_examples=150, deadline=None)
@given(st.text(st.sampled_from(list("16 0.x:+-()/eImVab\t~\\é9")), max_size=60))
def test_any_line_is_a_signal_line_or_refused(line: str) -> None:
    try:
        spec = _signal_line(line.strip(), Path("x.hea"))
    except UnreadableRecordingError:
        return
    assert spec.samples_per_frame > 0
    assert np.isfinite([spec.gain, spec.baseline]).all()
