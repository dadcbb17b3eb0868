"""Predictions on arrays and files by a model that was made here, without a run."""

import os
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from ecgfounder_ft.ecg.formats import find_recordings
from ecgfounder_ft.inference.ecg_classifier import ECGClassifier, Result
from ecgfounder_ft.inference.finished_model import FinishedModel, ModelFileError, load_model, save_model
from ecgfounder_ft.labels import LabelMap
from ecgfounder_ft.task import MULTI_LABEL
from tests.small_training import small_classifier


@pytest.fixture
def model(label_map: LabelMap) -> FinishedModel:
    classifier = small_classifier(label_map)
    classifier.record.task = MULTI_LABEL
    classifier.record.thresholds = {code: 0.2 + 0.1 * place for place, code in enumerate(label_map.codes)}
    slopes = [2.0] * len(label_map)
    calibration = {"method": "platt", "task": "multi_label", "codes": list(label_map.codes), "slopes": slopes}
    classifier.record.calibration = {**calibration, "intercepts": [0.5] * len(label_map)}
    return FinishedModel(classifier.net.eval(), classifier.record)


def predicted(model: FinishedModel, paths: list[Path], batch_size: int = 32) -> list[Result]:
    results = ECGClassifier(model).predict(paths, batch_size=batch_size)
    assert isinstance(results, list)
    return results


def test_arrays_are_calibrated_and_decided_by_the_record(model: FinishedModel) -> None:
    signals = np.random.default_rng(0).normal(size=(5, 12, 64)).astype(np.float32)
    with torch.inference_mode():
        raw = model.net(torch.from_numpy(signals)).sigmoid().double().numpy()
    np.testing.assert_allclose(model.uncalibrated(signals), raw)
    odds = np.log(raw / (1 - raw))
    calibrated = 1 / (1 + np.exp(-(2 * odds + 0.5)))
    np.testing.assert_allclose(model.probabilities(signals), calibrated, rtol=1e-6)
    decided = model.decisions(model.probabilities(signals))
    assert decided.tolist() == (calibrated >= 0.2 + 0.1 * np.arange(6)).tolist()


def test_files_are_answered_or_listed_and_the_batch_makes_no_difference(
    model: FinishedModel, simulated_folders: tuple[Path, Path], tmp_path: Path
) -> None:
    paths = list(find_recordings(simulated_folders[0]))[:5]
    for name, text in (("a.hea", "a 12 500 5000\n"), ("b.xyz", "")):
        (tmp_path / name).write_text(text)
    given = [tmp_path / "a.hea", *paths, tmp_path / "b.xyz"]
    results, thresholds = predicted(model, given, batch_size=3), model.record.thresholds or {}
    assert [one.name for one in results] == [str(path) for path in given]
    assert [number for number, one in enumerate(results) if one.skipped] == [0, 6]
    for one, alone in zip(results, predicted(model, given, batch_size=1), strict=True):
        assert one.probabilities == pytest.approx(alone.probabilities, abs=1e-6)
        assert one.decisions == {code: value >= thresholds[code] for code, value in one.probabilities.items()}


def test_names_and_files_of_every_kind_are_listed_and_end_nothing(
    model: FinishedModel, simulated_folders: tuple[Path, Path], tmp_path: Path
) -> None:
    good = next(find_recordings(simulated_folders[0]))
    odd = Path(os.fsdecode(bytes(tmp_path) + b"/caf\xe9.hea"))
    odd.write_bytes(good.read_bytes())
    os.mkfifo(tmp_path / "pipe.hea")
    slow = tmp_path / "slow.hea"
    shutil.copy(good, slow)
    shutil.copy(good.with_suffix(".dat"), slow.with_suffix(".dat"))
    slow.write_text(re.sub(r"(?m)^(\S+ 12) [\d.]+ ", r"\1 0.5 ", slow.read_text(), count=1))
    results = predicted(model, [odd, good, tmp_path / "pipe.hea", slow])
    skipped = ["name is not UTF-8", "", "header cannot be read", "implausible sampling rate"]
    assert [one.skipped for one in results] == skipped


@pytest.mark.parametrize("value", [3e38, float("inf")])
def test_what_is_no_number_decides_nothing(
    model: FinishedModel, simulated_folders: tuple[Path, Path], value: float
) -> None:
    paths = list(find_recordings(simulated_folders[0]))[:2]
    with torch.no_grad():
        model.net.state_dict()["dense.bias"][2] = value
        model.net.state_dict()["dense.weight"][2] = value
    results = predicted(model, paths)
    assert [(one.skipped, one.detail) for one in results] == [("the model gives no number", "for AFLT")] * 2
    assert not any(one.probabilities or one.decisions for one in results)


def test_a_saved_model_answers_the_same(model: FinishedModel, tmp_path: Path) -> None:
    save_model(model, tmp_path / "model.pth")
    again = load_model(tmp_path)
    signals = np.random.default_rng(0).normal(size=(2, 12, 64)).astype(np.float32)
    np.testing.assert_array_equal(again.probabilities(signals), model.probabilities(signals))
    assert again.record == model.record
    assert [path.name for path in tmp_path.iterdir()] == ["model.pth"]


def test_a_file_without_a_record_is_refused(tmp_path: Path) -> None:
    torch.save({"state_dict": {}}, tmp_path / "model.pth")
    with pytest.raises(ModelFileError, match="carries no record"):
        load_model(tmp_path)
    with pytest.raises(ModelFileError, match="no such file"):
        load_model(tmp_path / "other.pth")
