"""Files that were once answered wrongly, beside what is right: they stand for kinds, in every reader."""

from pathlib import Path

import numpy as np
import pytest

from ecgfounder_ft.data.recording_facts import find_headers
from ecgfounder_ft.ecg import quality
from ecgfounder_ft.ecg.added_ends import PADDING_CUT_OFF
from ecgfounder_ft.ecg.description import LEAD_OFF, NAMES_AS_STATED, RATE_ASSUMED, SignalDescription
from ecgfounder_ft.ecg.formats import find_recordings, read_recording
from ecgfounder_ft.ecg.leads import STANDARD_LEADS
from ecgfounder_ft.ecg.preprocessing import Preprocessing
from ecgfounder_ft.inference.inputs import Input, Reading, prepare


def of(shared: Path, number: str, part: str = "", leads: tuple[str, ...] = STANDARD_LEADS) -> Input:
    (folder,) = (shared / "faults").glob(f"{number}-*")
    (path,) = [path for path in find_recordings(folder) if part in str(path)]
    stated = SignalDescription(leads=None if leads == STANDARD_LEADS else leads)
    return prepare(path, Reading(Preprocessing(leads=list(leads)), stated))


@pytest.mark.parametrize(
    ("number", "part", "reason"),
    [
        ("02", "", "flat recording"),
        ("05", "range-0-0", "no calibration"),
        ("20", "", "a lead stands there twice"),
    ],
)
def test_it_is_refused_with_the_true_reason(shared: Path, number: str, part: str, reason: str) -> None:
    assert of(shared, number, part).reason == reason


@pytest.mark.parametrize(
    ("number", "part", "phrase"),
    [
        ("03", "page-order", quality.misfit("aVL")),
        ("03", "sssd", quality.misfit("III")),
        ("06", "", quality.SHORT),
        ("06", "", PADDING_CUT_OFF),
        ("08", "", RATE_ASSUMED),
        ("17", "41b", "other waveforms of the file left out"),
        ("19", "", LEAD_OFF),
    ],
)
def test_it_is_told(shared: Path, number: str, part: str, phrase: str) -> None:
    found = of(shared, number, part)
    assert len(found.signals) == 1
    assert phrase in (*found.flags, *found.repairs)


def test_every_way_of_storing_it_is_the_same_recording(shared: Path) -> None:
    whole = of(shared, "11").signals
    for number, part in (
        *(("05", "comma"), ("09", ""), ("10", "24b"), ("16", "31b"), ("16", "33"), ("16", "34b")),
        *(("17", "41b"), ("17", "42"), ("18", "60f"), ("18", "61"), ("21", "")),
    ):
        found = of(shared, number, part)
        assert (found.reason, found.sampling_rate, found.seconds) == ("", 500, 10), (number, part)
        assert np.corrcoef(found.signals.ravel(), whole.ravel())[0, 1] > 0.99, (number, part)


@pytest.mark.parametrize("part", ["cinc2017", "one-ECG"])
def test_a_name_that_is_no_lead_leaves_the_word_to_the_user(shared: Path, part: str) -> None:
    found = of(shared, "10", part, ("I",))
    assert NAMES_AS_STATED in found.repairs
    assert len(found.signals) == 1


def test_upper_case_headers_are_recordings_too(shared: Path) -> None:
    (folder,) = (shared / "faults").glob("12-*")
    assert [path.name for path in find_headers(folder)[0]] == ["E00001.hea", "E00002.HEA"]


def test_a_file_that_its_library_reads_for_ever_is_skipped(shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ecgfounder_ft.ecg.formats_apart.MOST_SECONDS", 2.0)
    assert of(shared, "24").reason == "reading took too long"
    assert of(shared, "18", "61").reason == "", "the next file is read by another process"


def test_a_signal_in_another_file_is_refused(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["signal"] = np.random.default_rng(0).normal(size=(12, 5000))
    layout = h5py.VirtualLayout((12, 5000), dtype="f8")
    layout[:] = h5py.VirtualSource(str(tmp_path / "other.h5"), "signal", shape=(12, 5000))
    with h5py.File(tmp_path / "virtual.h5", "w") as file:
        file.create_virtual_dataset("signal", layout)
    with h5py.File(tmp_path / "link.h5", "w") as file:
        file["signal"] = h5py.ExternalLink(str(tmp_path / "other.h5"), "signal")
    for name in ("virtual.h5", "link.h5"):
        with pytest.raises(Exception, match="signal lies in another file"):
            read_recording(tmp_path / name)
