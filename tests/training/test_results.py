"""What a finished run leaves in its folder."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.metrics import f1_score, roc_auc_score

from ecgfounder_ft.evaluation.calibration import Calibration
from ecgfounder_ft.evaluation.run_evaluation import evaluate_predictions
from ecgfounder_ft.inference.ecg_classifier import ECGClassifier
from ecgfounder_ft.inference.finished_model import DeviceError, FinishedModel, load_model
from ecgfounder_ft.inference.inputs import Reading
from ecgfounder_ft.inference.predict import predict
from ecgfounder_ft.labels import LabelMap
from ecgfounder_ft.model.bfloat16 import has_bfloat16
from ecgfounder_ft.model.checkpoints import load_weights
from ecgfounder_ft.model.ecgfounder.net1d import Net1D
from ecgfounder_ft.model.record import RECORD_KEY, ModelRecord
from ecgfounder_ft.report.words import baseline_verdict
from ecgfounder_ft.runs.folder import RunFolder
from ecgfounder_ft.runs.report import settings_of
from ecgfounder_ft.training.results import print_summary

FILES = (
    "config.yaml",
    "plan.json",
    "status.json",
    "splits.csv",
    "leakage.csv",
    "skipped.csv",
    "metrics.json",
    "predictions.csv",
    "start_predictions.csv",
    "calibration.json",
    "report.html",
    "classification_report.json",
    "training_history.csv",
    "training_history.png",
    "confusion_matrix.png",
    "per_condition.png",
    "roc_curves.png",
    "model.pth",
    "checkpoints/best.ckpt",
    "checkpoints/last.ckpt",
)

needs_bfloat16 = pytest.mark.skipif(
    not has_bfloat16("cpu"),
    reason="no bfloat16 instructions, which are never emulated",
)


def test_every_promised_file_is_there(finished_run: Path) -> None:
    assert [name for name in FILES if not (finished_run / name).stat().st_size] == []
    assert list((finished_run / "tensorboard").glob("events.out.tfevents*"))
    assert json.loads((finished_run / "status.json").read_text())["state"] == "finished"


def test_metrics_are_those_of_the_predictions(finished_run: Path, label_map: LabelMap) -> None:
    metrics = json.loads((finished_run / "metrics.json").read_text())["test"]
    table = pd.read_csv(finished_run / "predictions.csv").query("split == 'test'")
    labels = table[[f"label_{code}" for code in label_map.codes]].to_numpy()
    chances = table[[f"probability_{code}" for code in label_map.codes]].to_numpy()
    np.testing.assert_allclose(chances.sum(axis=1), 1, atol=1e-4)
    chances = Calibration.from_dict(json.loads((finished_run / "calibration.json").read_text())).apply(chances)
    for column, code in enumerate(label_map.codes):
        found = metrics["conditions"][code]["metrics"]
        assert found["auroc"]["value"] == pytest.approx(roc_auc_score(labels[:, column], chances[:, column]), abs=1e-9)
    expected = f1_score(labels.argmax(1), chances.argmax(1), average="macro", labels=range(6), zero_division=0)
    values = [metrics["conditions"][code]["metrics"]["f1"]["value"] or 0 for code in label_map.codes]
    assert np.mean(values) == pytest.approx(expected)


def test_class_order_is_that_of_the_label_map_not_the_alphabet(finished_run: Path, label_map: LabelMap) -> None:
    columns = pd.read_csv(finished_run / "predictions.csv", nrows=1).columns
    written = [name.removeprefix("probability_") for name in columns if name.startswith("probability_")]
    assert written == list(label_map.codes) != sorted(label_map.codes)
    checkpoint = torch.load(finished_run / "checkpoints" / "best.ckpt", weights_only=True)
    assert ModelRecord.from_dict(checkpoint[RECORD_KEY]).label_map.codes == label_map.codes


def test_splits_hold_every_recording_once_and_no_patient_twice(finished_run: Path) -> None:
    table = pd.read_csv(finished_run / "splits.csv")
    assert table["recording"].is_unique
    assert (table.groupby("patient")["split"].nunique() == 1).all()
    leakage = pd.read_csv(finished_run / "leakage.csv", index_col=0)
    assert (leakage[["patients_on_two_sides", "signals_on_two_sides"]] == 0).all(axis=None)
    predicted = pd.read_csv(finished_run / "predictions.csv")
    assert set(predicted["recording"]) == set(table.query("split in ['validation', 'test']")["recording"])


def test_production_weights_are_a_checkpoint_of_the_published_form(finished_run: Path) -> None:
    content = torch.load(finished_run / "model.pth", weights_only=True)
    record = ModelRecord.from_dict(content[RECORD_KEY])
    net = record.build_network()
    assert isinstance(net, Net1D)
    load_weights(net, finished_run / "model.pth", [[row] for row in range(6)])
    assert torch.equal(net.dense.weight, content["state_dict"]["dense.weight"])


def test_prediction_from_the_folder_gives_the_runs_own_probabilities(
    finished_run: Path, simulated_folders: tuple[Path, Path], label_map: LabelMap
) -> None:
    table = pd.read_csv(finished_run / "predictions.csv").query("dataset == 'physionet2021'").head(5)
    paths = {path.stem: path for path in simulated_folders[1].rglob("*.hea")}
    model = load_model(finished_run)
    model.record.calibration = None
    results = ECGClassifier(model).predict([paths[name.split("/")[1]] for name in table["recording"]])
    assert isinstance(results, list)
    found = [list(one.probabilities.values()) for one in results]
    np.testing.assert_allclose(found, table[[f"probability_{code}" for code in label_map.codes]], atol=2e-5)
    assert [sum(one.decisions.values()) for one in results] == [1] * len(table)


def predicted(model: FinishedModel, paths: list[Path], workers: int = 0) -> pd.DataFrame:
    """The probabilities, a column per recording; NaN where one was skipped."""
    answers = predict(model, paths, Reading(model.record.preprocessing), batch_size=2, workers=workers)
    blank = np.full(len(model.record.label_map), np.nan)
    return pd.DataFrame(
        {str(one.input.path): blank if one.probabilities is None else one.probabilities for (one,) in answers}
    )


@needs_bfloat16
def test_prediction_by_other_processes_and_in_bfloat16(
    finished_run: Path, simulated_folders: tuple[Path, Path], tmp_path: Path
) -> None:
    (tmp_path / "absent.hea").write_text("absent 12 500 5000\n")
    paths = [*sorted(simulated_folders[1].rglob("*.hea"))[:5], tmp_path / "absent.hea"]
    plain = predicted(load_model(finished_run), paths)
    assert plain.columns[np.isnan(plain).any()].tolist() == [str(tmp_path / "absent.hea")]
    pd.testing.assert_frame_equal(predicted(load_model(finished_run), paths, workers=1), plain)
    lower = predicted(load_model(finished_run, bf16=True), paths)
    assert 0 < np.nanmax(np.abs(lower - plain)) < 0.05


def test_a_device_that_is_not_there_is_refused(finished_run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert load_model(finished_run, "auto").device.type == "cpu"
    with pytest.raises(DeviceError, match="no CUDA device"):
        load_model(finished_run, "cuda")
    with pytest.raises(DeviceError, match="'gpu', expected cpu, cuda or auto"):
        load_model(finished_run, "gpu")


@pytest.mark.gpu
def test_prediction_on_a_gpu(finished_run: Path, simulated_folders: tuple[Path, Path]) -> None:
    paths = sorted(simulated_folders[1].rglob("*.hea"))[:5]
    plain = predicted(load_model(finished_run), paths)
    on_gpu = predicted(load_model(finished_run, "cuda"), paths, workers=2)
    np.testing.assert_allclose(on_gpu, plain, atol=1e-3)


def test_the_untrained_start_stands_beside_the_result(finished_run: Path) -> None:
    start = json.loads((finished_run / "metrics.json").read_text())["start"]
    for side in ("validation", "test"):
        assert 0 <= start[side][f"{side}/macro_auroc"] <= 1
        assert start[side][f"{side}/loss"] > 0


def test_the_last_lines_say_what_training_changed_and_what_to_type_next(
    finished_run: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    run = RunFolder(finished_run)
    predictions = run.predictions()
    evaluated = evaluate_predictions(predictions, settings_of(run), baselines=run.baselines(predictions.codes))
    typed = {"read other recordings": "ecgfounder-ft predict 'a [run]' FOLDER"}
    print_summary(evaluated, "report: here", typed, random_head=False)
    said = capsys.readouterr().out
    start, end = evaluated.baselines["untrained start"].macro["auroc"], evaluated.evaluation.macro["auroc"]
    macro = next(line.split() for line in said.splitlines() if line.split()[:1] == ["macro"])
    assert (macro[2], macro[4]) == (f"{end.value:.3f}", f"{start.value:.3f}")
    assert f"against its untrained start, {baseline_verdict(evaluated.differences['untrained start'])}" in said
    assert said.endswith("read other recordings: ecgfounder-ft predict 'a [run]' FOLDER\n")
    print_summary(evaluated, "report: here", typed, random_head=True)
    said = capsys.readouterr().out
    macro = next(line.split() for line in said.splitlines() if line.split()[:1] == ["macro"])
    assert macro[2] == f"{end.value:.3f}"
    assert macro[4] == f"{evaluated.evaluation.macro['auprc'].value:.3f}", "no start beside it"
    assert "against its untrained start" not in said
    assert "its last layer started from random weights, so its start is no measure" in said


def test_history_has_one_row_per_epoch_with_both_sides(finished_run: Path) -> None:
    history = pd.read_csv(finished_run / "training_history.csv")
    assert list(history["epoch"]) == [0]
    for name in ("train/loss", "train/accuracy", "validation/loss", "validation/macro_f1", "learning_rate"):
        assert history[name].notna().all(), name


def test_tensorboard_shows_what_it_promises(finished_run: Path, label_map: LabelMap) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(finished_run / "tensorboard"), size_guidance={"tensors": 0})
    events.Reload()
    tags = events.Tags()
    scalars = set(tags["scalars"])
    for name in ("loss/train", "loss/validation", "metrics/accuracy/validation", "metrics/macro_f1/validation"):
        assert name in scalars
    assert {f"metrics_by_condition/auroc/{code}" for code in label_map.codes} <= scalars
    assert "optimizer/learning_rate/head" in scalars
    assert "results/test/macro_auroc" in scalars
    assert any("confusion_matrix" in name for name in tags["images"])
    assert len(events.Scalars("loss/validation")) == 1  # the pass over the chosen model is no point of the curve
