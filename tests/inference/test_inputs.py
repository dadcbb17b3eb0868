"""Windows of long recordings, and recordings read ahead of the network."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ecgfounder_ft.ecg.formats.wfdb import write_recording
from ecgfounder_ft.ecg.leads import STANDARD_LEADS
from ecgfounder_ft.ecg.preprocessing import Preprocessing
from ecgfounder_ft.ecg.preprocessing_settings import Window
from ecgfounder_ft.ecg.recording import Recording
from ecgfounder_ft.inference import inputs
from ecgfounder_ft.inference.inputs import PredictionError, Reading, cut_windows, prepare, prepare_all

RATE = 200
SIGNAL = np.random.default_rng(0).normal(scale=0.3, size=(12, 10 * RATE))
PREPROCESSING = Preprocessing(sampling_rate=RATE, window=Window(seconds=4.0))


def long(folder: Path, signal: np.ndarray = SIGNAL) -> Path:
    return write_recording(folder, "long", signal, STANDARD_LEADS, RATE, storage="dat")


@pytest.mark.parametrize(
    ("seconds", "starts"), [(4.0, [0.0]), (8.0, [0.0, 4.0]), (10.0, [0.0, 4.0, 6.0]), (4.005, [0.0, 0.005])]
)
def test_windows_cover_the_whole_recording_and_the_last_ends_with_it(seconds: float, starts: list[float]) -> None:
    signal = np.arange(seconds * RATE)[None]
    found = list(cut_windows(Recording("r", ("I",), signal, RATE), 4.0))
    assert [start for start, _ in found] == starts
    for start, window in found:
        assert window.signal[0, 0] == round(start * RATE)
        assert window.signal.shape[1] == 4 * RATE
    assert found[-1][1].signal[0, -1] == signal[0, -1]


def test_one_window_is_that_of_training_and_the_others_are_recordings_of_their_own(tmp_path: Path) -> None:
    path = long(tmp_path)
    one = prepare(path, Reading(PREPROCESSING))
    assert one.starts == (3.0,)
    stored = SIGNAL.round(3)
    whole = PREPROCESSING(Recording("r", STANDARD_LEADS, stored, RATE)).signal
    np.testing.assert_allclose(one.signals[0], whole, atol=1e-5)
    all_of_them = prepare(path, Reading(PREPROCESSING, windows="each"))
    assert all_of_them.starts == (0.0, 4.0, 6.0)
    for start, signal in zip((0, 800, 1200), all_of_them.signals, strict=True):
        part = Recording("r", STANDARD_LEADS, stored[:, start : start + 800], RATE)
        np.testing.assert_allclose(signal, PREPROCESSING(part).signal, atol=1e-5)


def test_a_window_that_cannot_be_used_is_left_out_and_told(tmp_path: Path) -> None:
    signal = SIGNAL.copy()
    signal[:, 4 * RATE : 8 * RATE] = 0.0
    found = prepare(long(tmp_path, signal), Reading(PREPROCESSING, windows="mean"))
    assert found.starts == (0.0, 6.0)
    assert inputs.WINDOWS_LEFT_OUT in found.flags
    found = prepare(long(tmp_path, signal * 0), Reading(PREPROCESSING, windows="mean"))
    assert (found.reason, len(found.signals)) == ("flat recording", 0)


@pytest.mark.parametrize("windows", inputs.WINDOWS)
@pytest.mark.parametrize(
    ("scale", "rate", "reason"),
    [
        (1, 1e-9, "implausible sampling rate"),
        (1, 0.2, "implausible sampling rate"),
        (1, 2e5, "implausible sampling rate"),
        (1e6, RATE, "implausible amplitude"),
        (1e-6, RATE, "implausible amplitude"),
    ],
)
def test_what_no_ecg_can_be_is_skipped_in_any_format(
    tmp_path: Path, windows: str, scale: float, rate: float, reason: str
) -> None:
    np.savez(tmp_path / "r.npz", signal=SIGNAL * scale, sampling_rate=rate, unit="mV", leads=STANDARD_LEADS)
    found = prepare(tmp_path / "r.npz", Reading(PREPROCESSING, windows=windows))
    assert (found.reason, len(found.signals)) == (reason, 0)


def test_a_fault_of_the_program_does_not_end_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError("nobody foresaw it")

    path = long(tmp_path)
    monkeypatch.setattr(inputs, "read_recording", fail)
    found = prepare(path, Reading(PREPROCESSING))
    assert (found.reason, found.detail) == (inputs.UNEXPECTED, "ZeroDivisionError: nobody foresaw it")
    assert "Traceback" in caplog.text


def test_an_unknown_rule_is_refused() -> None:
    with pytest.raises(PredictionError, match="expected one of: one, mean, max, each"):
        Reading(PREPROCESSING, windows="median")


def test_paths_are_asked_for_as_they_are_needed_and_stay_in_order(tmp_path: Path) -> None:
    path = long(tmp_path)
    asked = 0

    def paths():
        nonlocal asked
        for number in range(1000):
            asked += 1
            yield path if number % 3 else tmp_path / f"{number}.hea"

    found = prepare_all(paths(), Reading(PREPROCESSING), workers=1)
    first = [next(found) for _ in range(4)]
    assert [one.reason != "" for one in first] == [True, False, False, True]
    assert asked < 100
    found.close()


def test_what_other_processes_import_is_light() -> None:
    code = "import sys, ecgfounder_ft.inference.inputs; print('torch' in sys.modules, 'pandas' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "False False"
