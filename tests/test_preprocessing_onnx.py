"""The script that writes the preprocessing as ONNX gives what scipy gives."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ecgfounder_ft.ecg.preprocessing import Preprocessing
from ecgfounder_ft.ecg.preprocessing_settings import BandPass, BaselineMedian, Notch, Window
from ecgfounder_ft.ecg.recording import Recording
from ecgfounder_ft.inference.exported_model import read_exported_model
from ecgfounder_ft.inference.onnx_model import session_of
from scripts.preprocessing_onnx import InexactPreprocessingError, OnnxPreprocessing, main, preprocessing_as_onnx


def recording(preprocessing: Preprocessing, drift: float = 0.02) -> Recording:
    """A drifting baseline with missing samples, and a lead that does not move."""
    generator = np.random.default_rng(0)
    shape = (len(preprocessing.leads), preprocessing.samples)
    signal = np.cumsum(generator.normal(scale=drift, size=shape), axis=1) + generator.normal(scale=0.2, size=shape)
    signal[0, 50:60] = np.nan
    signal[1] = 0.3
    return Recording("drift", tuple(preprocessing.leads), signal.astype(np.float32), preprocessing.sampling_rate)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"window": Window(seconds=10.0)},
        {"notch": None, "scale": None},
        {"band_pass": None, "notch": Notch(60.0, 10.0)},
        {"baseline_median": None, "band_pass": BandPass(0.05, 100.0, 3)},
        {"baseline_median": BaselineMedian(0.2), "sampling_rate": 250.0, "leads": ["II", "V1"]},
    ],
    ids=["as pretrained", "10 s", "millivolts", "no band-pass", "no median", "250 Hz"],
)
def test_preprocessing_is_that_of_scipy(changes: dict[str, Any]) -> None:
    preprocessing = Preprocessing(**{"window": Window(seconds=3.0), "leads": ["I", "II", "V1"], **changes})
    given = recording(preprocessing)
    with torch.no_grad():
        found = OnnxPreprocessing(preprocessing)(torch.from_numpy(given.signal)[None])[0].numpy()
    np.testing.assert_allclose(found, preprocessing(given).signal, atol=1e-4)


def test_a_large_drift_costs_no_digits(exported_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The filters' own coefficients, instead of sections of second order, are off by more than the signal."""
    preprocessing = read_exported_model(exported_run).record.preprocessing
    given = recording(preprocessing, drift=0.5)
    monkeypatch.setattr("sys.argv", ["preprocessing_onnx.py", str(exported_run), str(tmp_path / "preprocessing.onnx")])
    main()
    content = (tmp_path / "preprocessing.onnx").read_bytes()
    assert b"site-packages" not in content
    session = session_of(content, "preprocessing.onnx")
    found = session.run(None, {"millivolts": given.signal[None]})[0][0]
    np.testing.assert_allclose(found, preprocessing(given).signal, atol=1e-4)


def test_what_has_no_exact_form_gets_no_file() -> None:
    with pytest.raises(InexactPreprocessingError, match="'interpolate'"):
        preprocessing_as_onnx(Preprocessing(missing="interpolate"))
    with pytest.raises(InexactPreprocessingError, match="too few"):
        preprocessing_as_onnx(
            Preprocessing(window=Window(seconds=1.0), sampling_rate=90.0, notch=None, band_pass=BandPass(1.0, 40.0, 20))
        )
