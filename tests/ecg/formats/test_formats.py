"""The suffix of a file tells its format, and a further format is one more module."""

import sys
from pathlib import Path

import numpy as np
import pytest

from ecgfounder_ft.ecg import formats
from ecgfounder_ft.ecg.formats import other_files, read_recording, recordings_in, wfdb
from ecgfounder_ft.ecg.formats.wfdb import write_recording
from ecgfounder_ft.ecg.leads import STANDARD_LEADS
from ecgfounder_ft.ecg.recording import UnreadableRecordingError

PLAIN = '''
"""One lead as a text file of millivolts at 100 Hz."""
import numpy as np
from ecgfounder_ft.ecg.recording import Recording

SUFFIXES = (".txt", ".ecg")

def read_recording(path, leads=None):
    return Recording(path.stem, ("I",), np.loadtxt(path, ndmin=2), 100.0, path=path)

def other_files(path):
    return (f"{path.stem}.note",)
'''


@pytest.fixture
def second_format(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A module in a folder of its own that the package is extended by."""
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "plain.py").write_text(PLAIN)
    monkeypatch.setattr(formats, "__path__", [*formats.__path__, str(tmp_path / "more")])
    formats.formats.cache_clear()
    yield
    formats.formats.cache_clear()
    sys.modules.pop("ecgfounder_ft.ecg.formats.plain", None)


def write(folder: Path, name: str) -> Path:
    signal = np.random.default_rng(0).normal(size=(12, 100)).astype(np.float32)
    return write_recording(folder, name, signal, STANDARD_LEADS, 500, storage="dat")


def test_a_header_is_read_as_wfdb(tmp_path: Path) -> None:
    header = write(tmp_path, "r")
    found, expected = read_recording(header, ["II", "V1"]), wfdb.read_recording(header, ["II", "V1"])
    assert found.leads == ("II", "V1")
    np.testing.assert_array_equal(found.signal, expected.signal)
    upper = header.rename(tmp_path / "r.HEA")
    np.testing.assert_array_equal(read_recording(upper, ["II", "V1"]).signal, expected.signal)


@pytest.mark.parametrize("name", ["r.dat", "r.edf", "r"])
def test_an_unknown_suffix_is_unreadable_and_names_those_that_are_known(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("anything")
    for read in (read_recording, other_files):
        with pytest.raises(
            UnreadableRecordingError, match=r"unknown recording format.*expected one of: \.hea"
        ) as error:
            read(tmp_path / name)
        assert error.value.path == str(tmp_path / name)


def test_a_recording_consists_of_the_files_that_its_header_names(tmp_path: Path) -> None:
    header = write(tmp_path, "r")
    assert other_files(header) == ("r.dat",)
    renamed = header.rename(tmp_path / "s.hea")
    assert other_files(renamed) == ("r.dat",)
    (tmp_path / "r.dat").rename(tmp_path / "s.dat")
    assert other_files(renamed) == ("s.dat",)  # as it is read: under the header's own name
    (tmp_path / "s.dat").unlink()
    assert other_files(renamed) == ("r.dat",)  # absent: what should be there
    with pytest.raises(UnreadableRecordingError, match="header cannot be read"):
        other_files(tmp_path / "none.hea")


def test_recordings_in_a_folder_are_listed_by_path(tmp_path: Path) -> None:
    expected = [write(tmp_path / "a" / "deeper", "2"), write(tmp_path / "a", "3"), write(tmp_path / "b", "1")]
    (tmp_path / "b" / ".hidden.hea").write_text("left by a tool")
    (tmp_path / "b" / "folder.hea").mkdir()
    (tmp_path / "notes.txt").write_text("nothing")
    assert recordings_in(tmp_path) == sorted(expected)


def test_a_second_format_is_one_module(tmp_path: Path, second_format: None) -> None:
    header = write(tmp_path / "data", "r")
    text = tmp_path / "data" / "plain.txt"
    text.write_text("0.1 0.2 0.3")
    assert recordings_in(tmp_path / "data") == [text, header]
    assert read_recording(text).signal.tolist() == [[0.1, 0.2, 0.3]]
    assert other_files(text) == ("plain.note",)
    assert read_recording(header).leads == STANDARD_LEADS
    with pytest.raises(UnreadableRecordingError, match=r"expected one of: \.hea, \.txt, \.ecg"):
        read_recording(tmp_path / "r.edf")


def test_two_formats_of_one_suffix_are_refused(tmp_path: Path, second_format: None) -> None:
    (tmp_path / "more" / "plain.py").write_text(PLAIN.replace(".txt", ".hea"))
    with pytest.raises(TypeError, match=r"two recording formats claim the suffix \.hea"):
        formats.formats()
