"""The benchmark of silent mistakes: each is the mistake that it says, every guard fires, and the command runs."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ecgfounder_ft.data.near_copies import correlation
from ecgfounder_ft.ecg.formats.wfdb import write_recording
from ecgfounder_ft.ecg.leads import STANDARD_LEADS
from ecgfounder_ft.ecg.preprocessing import Preprocessing
from ecgfounder_ft.ecg.recording import Recording
from ecgfounder_ft.ecg.simulator import simulate
from ecgfounder_ft.labels import ABSENT, PRESENT, UNKNOWN, LabelMap
from studies.mistakes import mistakes
from studies.mistakes.guards import GUARDS
from studies.mistakes.inputs import (
    INPUT_MISTAKES,
    printed_in_label_map_order,
    read_at,
    read_by_position,
    unknown_as_absent,
)
from studies.mistakes.splits import divide, simulate_hospital, visits_of
from studies.recordings_at_hand import PtbxlLabels, find_recordings
from tests.docs.documented import commands

RIGHT = Preprocessing()


@pytest.fixture(scope="module")
def recording() -> Recording:
    return simulate({"NORM"}, np.random.default_rng(0), disturbed=False).recording


def test_leads_by_position_exchange_avl_and_avf(recording: Recording) -> None:
    found = read_by_position(recording).signal
    avl, avf = STANDARD_LEADS.index("aVL"), STANDARD_LEADS.index("aVF")
    assert (found[avl] == recording.signal[avf]).all()
    assert (found[avf] == recording.signal[avl]).all()
    others = [row for row in range(12) if row not in (avl, avf)]
    assert (found[others] == recording.signal[others]).all()


@pytest.mark.parametrize(("rate", "seconds"), [(250.0, 5.0), (1000.0, 20.0)])
def test_a_wrong_rate_makes_another_duration(recording: Recording, rate: float, seconds: float) -> None:
    found = read_at(recording, rate)
    assert found.sampling_rate == recording.sampling_rate
    assert found.duration == seconds
    faster, slower = (found, recording) if rate < 500 else (recording, found)
    assert correlation(faster.signal, slower.signal[:, ::2], 25) > 0.99


def test_inputs_are_mistaken_as_they_say(recording: Recording) -> None:
    right = RIGHT(recording).signal
    found = {name: make(recording, RIGHT) for name, make in INPUT_MISTAKES.items()}
    assert all(signal.shape == right.shape for name, signal in found.items() if name != "2.5 s, raw")
    raw = recording.signal
    np.testing.assert_allclose(found["no filter"], (raw - raw.mean()) / raw.std(), atol=1e-3)
    np.testing.assert_allclose(found["2.5 s, raw"], raw[:, 1875:3125], atol=1e-6)
    by_lead = found["z-score of each lead"]
    np.testing.assert_allclose(by_lead.std(axis=1), 1, atol=1e-3)
    assert correlation(by_lead[:1], right[:1], 25) > 0.999
    assert set(np.unique(found["z-scores as int16"])) <= set(range(-30, 31))
    assert np.abs(found["z-scores as int16"] - right).max() < 1


def test_answers_and_labels_are_misread_as_they_say() -> None:
    codes = ("NORM", "AFIB", "1dAVb")
    answers = np.array([[0.1, 0.2, 0.3]])
    assert printed_in_label_map_order(answers, codes).tolist() == [[0.3, 0.2, 0.1]]
    states = np.array([[PRESENT, ABSENT, UNKNOWN]], dtype=np.int8)
    assert unknown_as_absent(states).tolist() == [[PRESENT, ABSENT, ABSENT]]


def test_the_simulated_hospital_is_divided_rightly_and_mistakenly(label_map: LabelMap) -> None:
    hospital = simulate_hospital(visits_of(14), label_map.codes, RIGHT, 0)
    sides = divide(hospital, 14)
    asked = np.concatenate([sides.test, sides.validation])
    patients = {name: set(hospital.patient[rows[rows < 40]]) for name, rows in sides.training.items()}
    assert len({len(rows) for rows in sides.training.values()}) == 1
    assert not patients["right"] & set(hospital.patient[asked])
    assert patients["split by recording"] >= set(hospital.patient[asked])
    assert not set(sides.training["split by recording"]) & set(asked)
    copies = sides.training["copies on two sides"]
    copies = copies[copies >= 40] - 40
    assert len(copies) == len(asked) / 4
    for copy in copies:
        original = hospital.inputs[hospital.copied[copy]]
        assert correlation(original, hospital.copies[copy], 25) > 0.97
        assert not np.array_equal(original, hospital.copies[copy])


@pytest.mark.parametrize("mistake", list(GUARDS))
def test_every_guard_fires(mistake: str) -> None:
    assert GUARDS[mistake].fire()


def test_the_commands_of_the_page_have_options_that_there_are() -> None:
    found = [command.words for command in commands() if command.words[1:3] == ["-m", "studies.mistakes.mistakes"]]
    assert len(found) == 2
    for words in found:
        options = mistakes.parser().parse_args(words[3:])
        assert options.architecture.is_file()


@pytest.fixture
def twelve(simulated_folders: tuple[Path, Path]) -> list[str]:
    """Options that name folders of recordings, six with AFIB and six with RBBB; no training, little drawn."""
    folders = [str(simulated_folders[1] / name) for name in ("Atrial Fibrillation", "Right bundle branch block")]
    return ["--recordings", *folders, "--resamples", "20", "--threads", "1"]


def test_every_mistake_at_hand_has_its_row_and_its_guard(
    twelve: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mistakes.main([*twelve, "--hospital", "0", "--picture", str(tmp_path / "costs.svg")])
    said = capsys.readouterr().out
    for mistake in (*INPUT_MISTAKES, "classes in alphabetical order", "unknown counted as absent"):
        assert said.count(f"| {mistake} |") == 2
    assert "thresholds chosen on test: not measured" in said  # three of each condition in a half
    assert "<svg" in (tmp_path / "costs.svg").read_text()


@pytest.mark.slow
def test_every_mistake_of_dividing_has_its_row_and_its_guard(
    twelve: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    mistakes.main([*twelve, "--hospital", "70", "--epochs", "2", "--seeds", "1", "--natural", "200"])
    said = capsys.readouterr().out
    for mistake in ("split by recording", "copies on two sides", "epoch chosen on test", "cap before the split"):
        assert said.count(f"| {mistake} |") == 2


def test_ptb_xl_s_own_files_get_the_challenge_s_labels(
    label_map: LabelMap, recording: Recording, tmp_path: Path
) -> None:
    own, challenge = tmp_path / "records500", tmp_path / "training" / "ptb-xl"
    for number in (1, 2, 3):
        scaled = recording.signal * number
        write_recording(own / "00000", f"{number:05d}_hr", scaled, STANDARD_LEADS, 500.0, storage="dat")
    for number, code in ((1, "AFIB"), (2, "RBBB")):
        dx = {"Dx": label_map.conditions[code].snomed[0]}
        write_recording(
            challenge / "g1", f"HR{number:05d}", recording.signal, STANDARD_LEADS, 500.0, storage="mat", comments=dx
        )
        (challenge / "g1" / f"HR{number:05d}.mat").unlink()  # the headers are all that is needed
    database = tmp_path / "ptbxl_database.csv"
    pd.DataFrame({"ecg_id": [1, 2], "patient_id": [77.0, 77.0]}).to_csv(database, index=False)
    found = find_recordings([own], label_map, PtbxlLabels.below(challenge, database))
    assert [Path(path).stem for path in found.table["path"]] == ["00001_hr", "00002_hr"]
    assert found.table["patient"].nunique() == 1
    codes = list(label_map.codes)
    assert found.states[:, [codes.index("AFIB"), codes.index("RBBB")]].tolist() == [[1, 0], [0, 1]]
    with pytest.raises(SystemExit, match="--headers"):
        find_recordings([own], label_map)
