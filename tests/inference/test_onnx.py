"""ONNX gives what PyTorch gives."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from ecgfounder_ft.ecg.preprocessing import Preprocessing
from ecgfounder_ft.ecg.preprocessing_settings import Window
from ecgfounder_ft.evaluation.calibration import Calibration
from ecgfounder_ft.inference.export import exported_files
from ecgfounder_ft.inference.exported_model import ExportedModelError
from ecgfounder_ft.inference.finished_model import FinishedModel
from ecgfounder_ft.inference.onnx_export import OPSET, OnnxNetwork, network_as_onnx
from ecgfounder_ft.inference.onnx_model import session_of
from ecgfounder_ft.labels import LabelMap
from ecgfounder_ft.model.errors import NetworkError
from ecgfounder_ft.model.plain import PlainNetwork
from ecgfounder_ft.model.record import ModelRecord
from ecgfounder_ft.task import MULTI_LABEL, SINGLE_LABEL, Task
from tests.small_training import small_classifier

PLATT = {"slopes": [0.5, 1.0, 1.5, 2.0, 3.0, 0.1], "intercepts": [0.0, 0.5, -0.5, 1.0, -3.0, 2.0]}


@pytest.mark.parametrize("task", [SINGLE_LABEL, MULTI_LABEL], ids=lambda task: task.name)
@pytest.mark.parametrize(
    ("method", "values"),
    [("none", {}), ("temperature", {"temperature": 2.5}), ("platt", PLATT)],
    ids=["none", "temperature", "platt"],
)
def test_the_calibration_in_the_file_is_that_of_python(
    label_map: LabelMap, task: Task, method: str, values: dict[str, Any]
) -> None:
    """Where a network is certain, too: log-odds of 0 and 1 are kept finite alike."""
    classifier = small_classifier(label_map)
    calibration = Calibration(method, task.name, list(label_map.codes), **values)
    classifier.record.task, classifier.record.calibration = task, calibration.to_dict()
    module = OnnxNetwork(FinishedModel(classifier.net.eval(), classifier.record))
    logits = torch.tensor(np.random.default_rng(0).normal(scale=12, size=(40, len(label_map))))
    raw = task.probabilities(logits)
    found = module._calibrated(raw).numpy()
    np.testing.assert_allclose(found, calibration.apply(raw.numpy()), atol=1e-12)


def test_the_file_holds_opset_names_and_no_trace_of_who_wrote_it(exported_run: Path) -> None:
    content = (exported_run / "model.onnx").read_bytes()
    model = onnx.load_from_string(content)
    onnx.checker.check_model(model)
    assert [(entry.domain, entry.version) for entry in model.opset_import if not entry.domain] == [("", OPSET)]
    assert model.graph.input[0].type.tensor_type.shape.dim[0].dim_param == "recordings"
    assert "no medical device" in {entry.key: entry.value for entry in model.metadata_props}["notice"]
    for trace in (b"site-packages", b".py", str(exported_run.parent).encode()):
        assert trace not in content


def test_it_runs_in_onnxruntime_without_this_package(exported_run: Path, tmp_path: Path) -> None:
    program = """
import sys
import numpy as np, onnxruntime
network = onnxruntime.InferenceSession(sys.argv[1] + "/model.onnx")
for n in (1, 2):
    signals = np.random.default_rng(n).normal(size=(n, 12, 2000)).astype(np.float32)
    probabilities, = network.run(["probabilities"], {"signals": signals})
    assert probabilities.shape == (n, 6) and abs(probabilities.sum(axis=1) - 1).max() < 1e-5
assert not [name for name in sys.modules if name.startswith(("ecgfounder_ft", "torch"))]
"""
    subprocess.run([sys.executable, "-c", program, str(exported_run)], cwd=tmp_path, check=True)


class Other(nn.Module):
    """A network of somebody's own, whose parts are known to its forward alone."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Conv1d(2, 4, 5, stride=5)
        self.head = nn.Linear(4, 6)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, 2, samples) to (N, 6)."""
        logits: torch.Tensor = self.head(self.body(x).relu().amax(dim=2))
        return logits


class Untraceable(Other):
    """Whose way depends on the values that come in."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, 2, samples) to (N, 6)."""
        return super().forward(x if float(x.sum()) > 0 else -x)


def finished(module: nn.Module, label_map: LabelMap) -> FinishedModel:
    preprocessing = Preprocessing(leads=["I", "II"], window=Window(seconds=1.0), missing="interpolate")
    record = ModelRecord(label_map, MULTI_LABEL, preprocessing, {"_target_": "mine.Other"})
    return FinishedModel(PlainNetwork(module).eval(), record)


def test_any_network_is_exported_and_one_that_cannot_be_is_told(
    label_map: LabelMap, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = finished(Other(), label_map)
    files = exported_files(model)
    assert set(files.contents) == {"model.safetensors", "model.pth", "model.onnx"}
    signals = np.random.default_rng(1).normal(size=(4, 2, 500)).astype(np.float32)
    logits, probabilities, embedding = session_of(files.contents["model.onnx"], "").run(None, {"signals": signals})
    np.testing.assert_allclose(probabilities, model.probabilities(signals), atol=1e-5)
    np.testing.assert_allclose(embedding, model.outputs(signals).embedding, atol=1e-5)
    assert logits.shape == (4, 6)
    # what overflows is no number, in either
    signals[1] = np.inf
    _, probabilities, _ = session_of(files.contents["model.onnx"], "").run(None, {"signals": signals})
    assert np.isnan(probabilities).all(axis=1).tolist() == [False, True, False, False]
    np.testing.assert_array_equal(np.isnan(model.uncalibrated(signals)), np.isnan(probabilities))

    # what ONNX Runtime computes otherwise is not written
    other = finished(Other(), label_map)
    monkeypatch.setattr("ecgfounder_ft.inference.onnx_export.network_as_onnx", lambda _: files.contents["model.onnx"])
    with pytest.raises(ExportedModelError, match="a probability differs by"):
        exported_files(other)


def test_a_network_without_an_onnx_form_is_told(label_map: LabelMap) -> None:
    model = finished(Untraceable(), label_map)
    with pytest.raises(NetworkError, match=r"no ONNX form: .*Export without it: --no-onnx"):
        exported_files(model)
    assert set(exported_files(model, onnx=False).contents) == {"model.safetensors", "model.pth"}


def test_averaged_shifts_are_in_the_file(label_map: LabelMap) -> None:
    classifier = small_classifier(label_map)
    classifier.record.shifts = [-0.02, 0.0, 0.01]
    model = FinishedModel(classifier.record.build_network().eval(), classifier.record)
    session = session_of(network_as_onnx(model), "model.onnx")
    signals = np.random.default_rng(0).normal(size=(3, 12, 5000)).astype(np.float32)
    for batch in (signals, signals[:1]):
        found = session.run(["probabilities"], {"signals": batch})[0]
        np.testing.assert_allclose(found, model.probabilities(batch), atol=1e-5)
