"""Pretrained files as finished models: a full-size file of exactly the published form, through every way in."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import torch
from typer.testing import CliRunner

from ecgfounder_ft import ECGClassifier
from ecgfounder_ft.cli import app
from ecgfounder_ft.ecg.formats import read_recording
from ecgfounder_ft.inference.finished_model import FinishedModel, load_model
from ecgfounder_ft.inference.loading import load_predictor
from ecgfounder_ft.inference.predictions_file import PredictionsFile
from ecgfounder_ft.inference.predictor import ModelFileError
from ecgfounder_ft.model.ecgfounder.net1d import Net1D
from ecgfounder_ft.model.errors import NetworkError
from ecgfounder_ft.untrusted.errors import WeightsError

RUN = CliRunner()


def published(path: Path, leads: int, outputs: int = 150) -> Path:
    """A file of the published form: full-size, with batch-norm tensors, training state and a numpy scalar."""
    torch.manual_seed(leads)
    state = Net1D(leads, outputs).published_tensors()
    torch.save({"epoch": 3, "step": 9, "state_dict": state, "optimizer": {}, "val_auroc": np.float64(0.9)}, path)
    return path


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return published(tmp_path_factory.mktemp("published") / "12_lead_ECGFounder.pth", 12)


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("recordings")
    found = RUN.invoke(app, ["simulate", str(folder / "new"), "--recordings", "2"])
    assert found.exit_code == 0, found.output
    return folder / "new"


def ask(*arguments: str | Path) -> str:
    found = RUN.invoke(app, list(map(str, arguments)))
    assert found.exit_code == 0, found.output
    return found.output


def test_a_published_file_answers_with_its_150_statements(file: Path, recordings: Path, tmp_path: Path) -> None:
    classifier = ECGClassifier.from_pretrained(file)
    record = classifier.record
    assert len(record.label_map) == 150
    assert (record.thresholds, record.calibration, record.task.name) == (None, None, "multi_label")
    assert record.pretrained is not None
    assert record.pretrained["name"] == file.name
    path = sorted(recordings.rglob("*.hea"))[0]
    found = classifier.predict(path)
    bare = Net1D(12, 150)
    bare.load_state_dict(bare.own_tensors(torch.load(file, weights_only=False)["state_dict"]))
    signal = record.preprocessing(read_recording(path)).signal
    with torch.inference_mode():
        expected = bare.eval()(torch.from_numpy(signal[None])).sigmoid()[0].numpy()
    np.testing.assert_allclose([found.probabilities[code] for code in record.label_map.codes], expected, atol=1e-6)
    shown = ask("predict", file, path, "--output", tmp_path / "statements.csv", "--show", "1")
    assert "most probable" in shown
    table = pd.read_csv(tmp_path / "statements.csv")
    np.testing.assert_allclose(table["probability_ATRIAL FIBRILLATION"][0], expected[5], atol=2e-6)


def test_embeddings_are_what_the_last_layer_reads(file: Path, recordings: Path, tmp_path: Path) -> None:
    ask("embed", file, recordings, "--output", tmp_path / "e.parquet")
    ask("embed", file, recordings, "--output", tmp_path / "e.npy")
    table = pq.read_table(tmp_path / "e.parquet")
    vectors = np.array(table["embedding"].to_pylist(), np.float32)
    assert vectors.shape == (table.num_rows, 1024)
    np.testing.assert_array_equal(vectors, np.load(tmp_path / "e.npy"))
    names = pd.read_csv(tmp_path / "e.csv")
    assert list(names["path"]) == table["path"].to_pylist()
    assert not [name for name in table.column_names if name.startswith("probability")]
    classifier = ECGClassifier.from_pretrained(file)
    np.testing.assert_allclose(classifier.embed(names["path"][0]), vectors[0], atol=1e-5)


def test_crops_are_the_mean_over_shifted_recordings(file: Path, recordings: Path, tmp_path: Path) -> None:
    path = sorted(recordings.rglob("*.hea"))[0]
    ask("embed", file, path, "--output", tmp_path / "e.npy", "--crops", "3")
    model = load_predictor(file)
    assert isinstance(model, FinishedModel)
    model.net.average_over([-250, 0, 250])
    expected = ECGClassifier(model).embed(path)
    np.testing.assert_allclose(np.load(tmp_path / "e.npy")[0], expected, atol=1e-4)


def test_an_embedding_that_was_killed_goes_on(
    recordings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, add, done = tmp_path / "whole.parquet", PredictionsFile.add, []
    ask("embed", "demo_12_lead", recordings, "--output", whole)

    def killed(self: PredictionsFile, predictions: object) -> None:
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(predictions)
        add(self, predictions)  # type: ignore[arg-type]

    monkeypatch.setattr(PredictionsFile, "add", killed)
    arguments = ["embed", "demo_12_lead", str(recordings), "--output", str(tmp_path / "e.parquet")]
    assert RUN.invoke(app, arguments).exit_code != 0
    monkeypatch.setattr(PredictionsFile, "add", add)
    assert "1 of them by an earlier start" in ask(*arguments)
    assert pq.read_table(tmp_path / "e.parquet").equals(pq.read_table(whole))


@pytest.mark.parametrize(
    ("output", "message"), [("e.csv", "expected .parquet or .npy"), ("e.npy", "one, mean or each")]
)
def test_what_no_embedding_can_be_is_refused(output: str, message: str, recordings: Path, tmp_path: Path) -> None:
    more = ["--windows", "max"] if output == "e.npy" else []
    found = RUN.invoke(app, ["embed", "demo_12_lead", str(recordings), "--output", str(tmp_path / output), *more])
    assert found.exit_code == 2
    assert message in found.output


def test_one_lead_reads_lead_i_or_another_with_a_warning(
    recordings: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = published(tmp_path / "1_lead_ECGFounder.pth", 1)
    assert ECGClassifier.from_pretrained(path).record.preprocessing.leads == ["I"]
    assert not [entry for entry in caplog.records if "was trained on lead" in entry.getMessage()]
    assert ECGClassifier.from_pretrained(path, lead="V5").record.preprocessing.leads == ["V5"]
    assert "1_lead_ECGFounder was trained on lead I and reads lead V5 here" in caplog.text
    with pytest.raises(ModelFileError, match="reads I, II"):
        load_predictor("demo_12_lead", lead="V5")


def test_a_file_of_the_same_form_under_another_name_is_known_by_its_shapes(file: Path, tmp_path: Path) -> None:
    os.link(file, tmp_path / "downloaded.bin")
    assert len(load_model(tmp_path / "downloaded.bin").record.label_map) == 150


def test_other_files_are_refused_in_words(file: Path, tmp_path: Path) -> None:
    torch.save({"state_dict": torch.nn.Linear(3, 2).state_dict()}, tmp_path / "other.pth")
    with pytest.raises(ModelFileError, match=r"carries no record.*the form of no pretrained network"):
        load_predictor(tmp_path / "other.pth")
    (tmp_path / "12_lead_ECGFounder.pth").write_bytes(file.read_bytes()[:-1000])
    with pytest.raises(WeightsError, match=r"12_lead_ECGFounder\.pth"):
        load_predictor(tmp_path / "12_lead_ECGFounder.pth")
    (tmp_path / "six").mkdir()
    six = published(tmp_path / "six" / "12_lead_ECGFounder.pth", 12, outputs=6)
    with pytest.raises((WeightsError, NetworkError), match="has 6 outputs, but ECGFounder has 150 with names"):
        load_predictor(six)


def test_a_shipped_file_answers_the_conditions_that_it_was_trained_on(recordings: Path) -> None:
    classifier = ECGClassifier.from_pretrained("demo_12_lead")
    path = next(path for path in sorted(recordings.rglob("*.hea")) if "LBBB" in path.parent.name or "Left" in str(path))
    assert classifier.predict(path).probabilities["LBBB"] > 0.5


@pytest.mark.parametrize("shipped", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_it_is_exported_with_a_card_that_says_what_nobody_has_shown(
    shipped: bool, file: Path, recordings: Path, tmp_path: Path
) -> None:
    ask("export", "demo_12_lead" if shipped else file, "--to", tmp_path / "exported")
    card = (tmp_path / "exported" / "README.md").read_text()
    of_it = "simulated recordings only" if shipped else "Harvard-Emory"
    for sentence in ("Not calibrated", "No thresholds", of_it, "no\nmedical device", "164889003"):
        assert sentence in card
    path = sorted(recordings.rglob("*.hea"))[0]
    onnx, plain = (
        ECGClassifier.from_pretrained(tmp_path / "exported", backend=name) for name in ("onnxruntime", "torch")
    )
    one, other = (np.array(list(found.predict(path).probabilities.values())) for found in (onnx, plain))
    assert np.abs(one - other).max() < 1e-4
    np.testing.assert_allclose(onnx.embed(path), plain.embed(path), atol=1e-3)


def test_an_evaluation_needs_labelled_recordings() -> None:
    refused = RUN.invoke(app, ["evaluate", "demo_12_lead"])
    assert refused.exit_code == 2
    assert "name the recordings" in refused.output


@pytest.mark.slow
def test_it_is_evaluated_untrained_on_labelled_recordings(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    given = [
        f"data.root={tmp_path / 'hospital'}",
        "data.recordings_per_condition=12",
        f"data.store={tmp_path / 'store'}",
    ]
    more = ["evaluation.attribution=false", "logger=[]", "trainer.enable_progress_bar=false", "split.minimum=0"]
    command = [sys.executable, "-m", "ecgfounder_ft", "evaluate", "demo_12_lead", "data=simulated", *given, *more]
    done = subprocess.run(
        [*command, "--resamples", "50", "--output", str(folder)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["test"]["macro"]["auroc"]["value"] > 0.9
    assert (folder / "report.html").is_file()
