"""The suffix of a file tells its format, and a further format is one more module."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from ecgfounder_ft.ecg import formats
from ecgfounder_ft.ecg.description import DescriptionError, SignalDescription
from ecgfounder_ft.ecg.formats import find_recordings, other_files, read_recording, wfdb
from ecgfounder_ft.ecg.formats.wfdb import write_recording
from ecgfounder_ft.ecg.leads import STANDARD_LEADS
from ecgfounder_ft.ecg.limb_leads import LIMB_LEADS_COMPUTED
from ecgfounder_ft.ecg.recording import UnreadableRecordingError

PLAIN = '''
"""One lead as a text file of millivolts at 100 Hz."""
import numpy as np
from ecgfounder_ft.ecg.recording import Recording

SUFFIXES = (".txt", ".trace")

def read_recording(path, leads=None, stated=None):
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


@pytest.mark.parametrize("name", ["r.dat", "r.xyz", "r"])
def test_an_unknown_suffix_is_unreadable_and_names_those_that_are_known(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("anything")
    for read in (read_recording, other_files):
        with pytest.raises(
            UnreadableRecordingError, match=r"unknown recording format.*expected one of: .*\.hea"
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
    assert list(find_recordings(tmp_path)) == sorted(expected)


def test_links_to_folders_are_followed_but_not_in_a_circle(tmp_path: Path) -> None:
    header = write(tmp_path / "elsewhere", "1")
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "linked").symlink_to(header.parent)
    (tmp_path / "a" / "b" / "back").symlink_to(tmp_path / "a")
    (header.parent / "round").symlink_to(tmp_path / "a" / "b")
    assert list(find_recordings(tmp_path / "a")) == [tmp_path / "a" / "linked" / "1.hea"]


def test_a_folder_that_cannot_be_listed_is_told(tmp_path: Path) -> None:
    with pytest.raises(UnreadableRecordingError, match="folder cannot be listed"):
        list(find_recordings(tmp_path / "none"))


def test_a_second_format_is_one_module(tmp_path: Path, second_format: None) -> None:
    header = write(tmp_path / "data", "r")
    text = tmp_path / "data" / "plain.txt"
    text.write_text("0.1 0.2 0.3")
    assert list(find_recordings(tmp_path / "data")) == [text, header]
    assert read_recording(text).signal.tolist() == [[0.1, 0.2, 0.3]]
    assert other_files(text) == ("plain.note",)
    assert read_recording(header).leads == STANDARD_LEADS
    with pytest.raises(UnreadableRecordingError, match=r"expected one of: .*\.hea, \.txt, \.trace"):
        read_recording(tmp_path / "r.xyz")


def test_two_formats_of_one_suffix_are_refused(tmp_path: Path, second_format: None) -> None:
    (tmp_path / "more" / "plain.py").write_text(PLAIN.replace(".txt", ".hea"))
    with pytest.raises(TypeError, match=r"two recording formats claim the suffix \.hea"):
        formats.formats()


def array(folder: Path, name: str = "a", **said: object) -> tuple[Path, np.ndarray]:
    """An array of twelve leads at 400 Hz in microvolts, with a sidecar that says what is given."""
    signal = np.random.default_rng(0).normal(scale=500, size=(12, 800))
    folder.mkdir(exist_ok=True)
    np.save(folder / f"{name}.npy", signal)
    if said:
        (folder / f"{name}.json").write_text(json.dumps(said))
    return folder / f"{name}.npy", signal / 1000


SAID = {"sampling_rate": 400, "unit": "uV", "leads": list(STANDARD_LEADS)}


@pytest.mark.parametrize(
    ("without", "reason"), [("sampling_rate", "no sampling rate"), ("unit", "no unit"), ("leads", "no lead names")]
)
def test_what_a_file_does_not_say_is_refused_unless_somebody_states_it(
    tmp_path: Path, without: str, reason: str
) -> None:
    path, signal = array(tmp_path, **{key: value for key, value in SAID.items() if key != without})
    with pytest.raises(UnreadableRecordingError, match=f"{reason}.*a.json") as error:
        read_recording(path)
    assert error.value.reason == reason
    found = read_recording(path, stated=SignalDescription.from_dict({without: SAID[without]}))
    np.testing.assert_allclose(found.signal, signal)
    assert (found.leads, found.sampling_rate, found.format) == (STANDARD_LEADS, 400, "npy")


def test_what_a_file_or_its_sidecar_says_counts_before_what_the_user_states(tmp_path: Path) -> None:
    path, signal = array(tmp_path, **SAID)
    header = write(tmp_path, "w")
    stated = SignalDescription(250, "V", ("x",))
    assert read_recording(path, stated=stated).sampling_rate == 400
    np.testing.assert_allclose(read_recording(path, stated=stated).signal, signal)
    assert read_recording(header, stated=stated).sampling_rate == 500
    assert read_recording(header, stated=stated).format == "wfdb"


@pytest.mark.parametrize(
    "content",
    ["[1]", "{", '{"sampling_rate": "fast"}', '{"unit": "furlong"}', '{"unit": 3}', "[" * 9999],
)
def test_a_sidecar_that_cannot_be_used_is_named(tmp_path: Path, content: str) -> None:
    path, _ = array(tmp_path)
    (tmp_path / "a.json").write_text(content)
    with pytest.raises(UnreadableRecordingError, match="sidecar cannot be used") as error:
        read_recording(path, stated=SignalDescription.from_dict(SAID))
    assert error.value.path == str(tmp_path / "a.json")


@pytest.mark.parametrize(
    "said", [{"sampling_rate": 0.0}, {"sampling_rate": float("nan")}, {"unit": "mmHg"}, {"leads": ("I", "i")}]
)
def test_an_impossible_statement_is_refused(said: dict) -> None:
    with pytest.raises(DescriptionError):
        SignalDescription(**said)


def test_a_mixed_folder_is_listed_without_sidecars(tmp_path: Path) -> None:
    path, _ = array(tmp_path, **SAID)
    header = write(tmp_path, "w")
    (tmp_path / "phone.json").write_text('{"recordedAt": "2020-01-01"}')
    (tmp_path / "settings.json").write_text("{}")
    assert list(find_recordings(tmp_path)) == [path, tmp_path / "phone.json", header]
    assert other_files(path) == ("a.json",)


def test_limb_leads_follow_from_two_of_them_and_chest_leads_from_none(tmp_path: Path) -> None:
    voltages = np.random.default_rng(0).normal(size=(3, 1000))  # of the left arm, the right arm and the left foot
    left, right, foot = voltages - voltages.mean(axis=0)
    limb = {"I": left - right, "II": foot - right, "III": foot - left}
    limb |= {"aVR": 1.5 * right, "aVL": 1.5 * left, "aVF": 1.5 * foot}  # against the mean of the two others
    header = write_recording(
        tmp_path, "r", np.stack([limb["II"], limb["I"], limb["III"]]), ["II", "I", "III"], 500, storage="dat"
    )
    found = read_recording(header, ["I", "aVR", "aVL", "aVF", "III"])
    for lead, row in zip(found.leads, found.signal, strict=True):
        np.testing.assert_allclose(row, limb[lead], atol=2e-3)
    assert LIMB_LEADS_COMPUTED in found.repairs
    assert LIMB_LEADS_COMPUTED not in read_recording(header, ["III", "I"]).repairs
    with pytest.raises(UnreadableRecordingError, match="leads are missing: no lead V1 among"):
        read_recording(header, ["aVR", "V1"])
