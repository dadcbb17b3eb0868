"""Simulated folders look like the users' folders to the reader."""

from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ecgfounder_ft.data.sources.simulated import MARKER, MIMIC_LEADS, TRUTH, write_selected_folders
from ecgfounder_ft.ecg.formats import find_recordings
from ecgfounder_ft.ecg.formats.wfdb import read_header, read_recording
from ecgfounder_ft.labels import Condition, LabelMap, folder_key

PER_CONDITION = 24


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory, label_map: LabelMap) -> tuple[Path, Path]:
    return write_selected_folders(tmp_path_factory.mktemp("root"), label_map, PER_CONDITION, seed=4)


def test_every_condition_has_its_folder_and_share(folders: tuple[Path, Path], label_map: LabelMap) -> None:
    for folder in folders:
        found = {path.name: len(list(path.glob("*.hea"))) for path in folder.iterdir()}
        assert set(found.values()) == {PER_CONDITION // 2}
        codes = [label_map.code_of_folder()[folder_key(name)] for name in found]
        assert sorted(codes) == sorted(label_map.codes)
    assert (folders[0] / "1st-degree AV block").is_dir()
    assert (folders[1] / "1st Degree AV Block").is_dir()


def test_mimic_recordings_are_stored_as_mimic_stores_them(folders: tuple[Path, Path]) -> None:
    header = read_header(next(folders[0].rglob("*.hea")))
    assert header.leads == MIMIC_LEADS
    assert all(spec.format == "16" and spec.gain == 200 and spec.file.endswith(".dat") for spec in header.signals)
    assert header.metadata["<subject_id>"].startswith("1")
    assert len(header.metadata["<subject_id>"]) == 8
    assert len(header.name) == 8
    signal = read_recording(header.path).signal.astype(float)
    one, three = signal[0], signal[2]
    avf, avl = signal[4], signal[5]  # told apart by Goldberger's identities, not by their names
    assert np.abs(avl - (one - three) / 2).max() < 0.02 < np.abs(avf - (one - three) / 2).max()


def test_physionet_recordings_state_their_conditions(folders: tuple[Path, Path], label_map: LabelMap) -> None:
    for path in folders[1].rglob("*.hea"):
        recording = read_recording(path)
        stated = {label_map.code_of_snomed()[code] for code in recording.metadata["dx"].split(",")}
        assert label_map.code_of_folder()[folder_key(path.parent.name)] in stated
        assert recording.signal.shape == (12, 5000)
        assert 18 <= float(recording.metadata["age"]) < 95
        assert recording.metadata["sex"] in {"Male", "Female"}


def test_some_recordings_lie_in_two_folders_and_some_patients_return(folders: tuple[Path, Path]) -> None:
    for folder in folders:
        copies = Counter(path.name for path in folder.rglob("*.hea"))
        assert max(copies.values()) == 2
    patients = Counter(read_header(path).metadata["<subject_id>"] for path in folders[0].rglob("*.hea"))
    assert max(patients.values()) >= 2


def _content(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*.*")) if path.is_file()}


def test_same_seed_same_bytes_and_reuse(tmp_path: Path, label_map: LabelMap) -> None:
    for name in ("one", "two"):
        write_selected_folders(tmp_path / name, label_map, 2, seed=1)
    assert _content(tmp_path / "one") == _content(tmp_path / "two")
    kept = next((tmp_path / "one").rglob("*.hea"))
    before = kept.stat().st_mtime_ns
    write_selected_folders(tmp_path / "one", label_map, 2, seed=1)
    assert kept.stat().st_mtime_ns == before
    write_selected_folders(tmp_path / "one", label_map, 2, seed=2)
    assert _content(tmp_path / "one") != _content(tmp_path / "two")


def test_a_killed_run_is_written_anew(tmp_path: Path, label_map: LabelMap, monkeypatch: pytest.MonkeyPatch) -> None:
    from ecgfounder_ft.ecg.formats import wfdb

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(wfdb, "write_recording", interrupted)
        with pytest.raises(KeyboardInterrupt):
            write_selected_folders(tmp_path, label_map, 2, seed=1)
    stray = tmp_path / "MIMIC IV Selected" / "NORMAL" / "stray.hea"
    stray.parent.mkdir(parents=True, exist_ok=True)
    stray.write_text("half")
    write_selected_folders(tmp_path, label_map, 2, seed=1)
    assert not stray.exists()
    assert '"complete": true' in (tmp_path / MARKER).read_text()


def test_a_users_own_folder_is_never_replaced(tmp_path: Path, label_map: LabelMap) -> None:
    mine = tmp_path / "MIMIC IV Selected" / "NORMAL" / "precious.hea"
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")
    with pytest.raises(FileExistsError, match="was not simulated"):
        write_selected_folders(tmp_path, label_map, 2)
    assert mine.read_text() == "mine"


def test_a_condition_that_cannot_be_simulated_is_named(tmp_path: Path) -> None:
    other = LabelMap("other", {"STEMI": Condition(name="infarction", folders=["Infarction"], snomed=["1"])})
    with pytest.raises(ValueError, match="STEMI"):
        write_selected_folders(tmp_path, other, 2)
    with pytest.raises(ValueError, match="at least 2"):
        write_selected_folders(tmp_path, LabelMap("one", {"NORM": Condition(name="n", folders=["N"])}), 1)


def test_a_shifted_hospital_states_some_labels_wrong_and_keeps_the_truth_aside(
    tmp_path: Path, label_map: LabelMap
) -> None:
    per_condition, wrong = 10, 0.3
    folders = write_selected_folders(tmp_path, label_map, per_condition, 3, "shifted", wrong)
    truth = pd.read_json(tmp_path / TRUTH, dtype={"name": str}).set_index("name")
    assert len(truth) == per_condition * len(label_map)
    assert truth["findings"].str.len().gt(0).mean() > 0.5
    assert 0.15 < truth["conditions"].ne(truth["stated"]).mean() < 0.45
    returning = truth[truth["dataset"] == "mimic"].groupby("patient")["conditions"].apply(list)
    assert returning.str.len().max() > 1
    same = [conditions == several[0] for several in returning for conditions in several]
    assert all(same)  # what is stated differs, the patient does not
    found: dict[str, set[str]] = {}
    for folder in folders:
        for path in folder.rglob("*.hea"):
            found.setdefault(path.stem, set()).add(label_map.code_of_folder()[folder_key(path.parent.name)])
    assert found == {name: set(stated) for name, stated in truth["stated"].items()}
    header = read_header(next(folders[1].rglob("*.hea")))
    assert {spec.gain for spec in header.signals} == {100.0}
    assert int(header.metadata["age"]) >= 65


def test_the_textbook_hospitals_labels_are_right(simulated_folders: tuple[Path, Path]) -> None:
    root = simulated_folders[0].parent
    truth = pd.read_json(root / TRUTH)
    assert (truth["conditions"] == truth["stated"]).all()
    assert not truth["findings"].str.len().any()
    assert {path.suffix for path in find_recordings(root)} == {".hea"}  # the truth is no recording


def test_a_hospital_or_a_share_that_cannot_be_is_refused(tmp_path: Path, label_map: LabelMap) -> None:
    with pytest.raises(ValueError, match="'general', expected one of: textbook, shifted, everyday"):
        write_selected_folders(tmp_path, label_map, 2, hospital="general")
    with pytest.raises(ValueError, match=r"wrong_labels is 1\.5"):
        write_selected_folders(tmp_path, label_map, 2, wrong_labels=1.5)
    only = LabelMap("one", {"NORM": Condition(name="n", folders=["N"])})
    with pytest.raises(ValueError, match="no other to state"):
        write_selected_folders(tmp_path, only, 2, wrong_labels=0.1)
    assert not list(tmp_path.iterdir())


def test_where_a_recording_shows_every_condition_no_other_is_stated(tmp_path: Path, label_map: LabelMap) -> None:
    both = LabelMap("both", {code: label_map.conditions[code] for code in ("AFIB", "RBBB")})
    write_selected_folders(tmp_path, both, 40, wrong_labels=1.0)
    truth = pd.read_json(tmp_path / TRUTH)
    shown = [
        (set(conditions), set(stated)) for conditions, stated in zip(truth["conditions"], truth["stated"], strict=True)
    ]
    assert ({"AFIB", "RBBB"}, {"AFIB", "RBBB"}) in shown
    assert ({"AFIB"}, {"RBBB"}) in shown
