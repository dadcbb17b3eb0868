"""Write the preprocessing of an exported model as ONNX: millivolts of its length, rate and leads to its input.

    python scripts/preprocessing_onnx.py model/ preprocessing.onnx

For programs that run ``model.onnx`` without this package. A recursive filter has no operator in ONNX but a slow loop.
Over a known number of samples it is a linear map: the signal is cut into blocks, and the output of each follows from
its samples by the impulse response and from the filter's state after the block before. All of it is in float64, as in
scipy, and what is written has been compared with what the package computes.

Left to the caller: picking leads by name, other sampling rates, recordings that are longer or shorter than the window
(the package filters a whole recording before it cuts the window), and refusing a recording that is flat. Settings that
interpolate missing samples have no exact form in ONNX, and no file is written.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.signal import butter, iirnotch, sosfilt_zi
from torch import Tensor, nn

from ecgfounder_ft.ecg.preprocessing import ZSCORE_EPSILON, Preprocessing
from ecgfounder_ft.ecg.recording import Recording
from ecgfounder_ft.errors import ExplainedError, run_or_explain
from ecgfounder_ft.inference import NO_MEDICAL_DEVICE
from ecgfounder_ft.inference.exported_model import read_exported_model
from ecgfounder_ft.inference.onnx_export import as_onnx
from ecgfounder_ft.inference.onnx_model import SIGNALS, session_of

MILLIVOLTS = "millivolts"
"""Name of the input."""

TOLERANCE = 1e-4
"""Largest difference of a preprocessed sample from the package's that is let pass."""

_BLOCK = 64
"""Samples. The square of this and that of blocks x filter order are about the same, and their sum least."""


class InexactPreprocessingError(ExplainedError):
    """Settings of which the steps have no exact form in ONNX."""


class Section(nn.Module):
    """A filter of second order along the last axis, as ``scipy.signal.sosfilt`` of one section, for one length.

    Args:
        coefficients: (6,), numerator and denominator, with 1 as the first of the denominator.
        samples: length of the signals.
    """

    within: Tensor
    into: Tensor
    out: Tensor
    states: Tensor
    start: Tensor

    def __init__(self, coefficients: NDArray[np.float64], samples: int) -> None:
        super().__init__()
        b, a = coefficients[:3], coefficients[3:]
        blocks = -(-samples // _BLOCK)
        # state' = step @ state + gain * x, output = state[0] + b[0] * x: the transposed direct form, as in scipy
        step = np.array([[-a[1], 1.0], [-a[2], 0.0]])
        gain = b[1:] - a[1:] * b[0]
        powers = [np.eye(2)]
        for _ in range(blocks * _BLOCK):
            powers.append(step @ powers[-1])
        across = powers[::_BLOCK]
        response = np.array([b[0], *(power[0] @ gain for power in powers[: _BLOCK - 1])])
        lag = np.subtract.outer(np.arange(_BLOCK), np.arange(_BLOCK))
        within = np.where(lag >= 0, response[np.maximum(lag, 0)], 0.0)
        into = np.stack([powers[_BLOCK - 1 - at] @ gain for at in range(_BLOCK)], axis=1)
        states = np.zeros((blocks, 2, blocks, 2))
        for block in range(blocks):
            for before in range(block):
                states[block, :, before] = across[block - 1 - before]
        self.samples, self.blocks = samples, blocks
        self.register_buffer("within", torch.from_numpy(within.T.copy()))
        self.register_buffer("into", torch.from_numpy(into.T.copy()))
        self.register_buffer("out", torch.from_numpy(np.stack([power[0] for power in powers[:_BLOCK]], axis=1)))
        self.register_buffer("states", torch.from_numpy(states.reshape(blocks * 2, -1).T.copy()))
        self.register_buffer("start", torch.from_numpy(np.concatenate(across[:blocks]).T.copy()))

    def forward(self, x: Tensor, state: Tensor) -> Tensor:
        """Signals (n, leads, samples) and start states (n, leads, 2) to filtered signals, all in float64."""
        n, leads = x.shape[0], x.shape[1]
        padded = nn.functional.pad(x, (0, self.blocks * _BLOCK - self.samples))
        cut = padded.reshape(n, leads, self.blocks, _BLOCK)
        fed = (cut @ self.into).reshape(n, leads, self.blocks * 2)
        states = (fed @ self.states + state @ self.start).reshape(n, leads, self.blocks, 2)
        return (cut @ self.within + states @ self.out).reshape(n, leads, -1)[:, :, : self.samples]


class ForwardBackwardFilter(nn.Module):
    """``scipy.signal.filtfilt`` along the last axis with its default ends, for one length.

    Args:
        sections: (n, 6), the filter as a cascade of second order: its own coefficients, of a band-pass that begins
            below a hertz, lose all their digits in the powers that a block needs.
        samples: length of the signals.
    """

    steady: Tensor
    before: Tensor
    behind: Tensor
    reverse: Tensor

    def __init__(self, sections: NDArray[np.float64], samples: int) -> None:
        super().__init__()
        margin = 3 * (2 * len(sections) + 1)
        if samples <= margin:
            raise InexactPreprocessingError(f"{samples} samples are too few for a filter of order {2 * len(sections)}")
        self.margin, self.samples = margin, samples
        self.sections = nn.ModuleList([Section(section, samples + 2 * margin) for section in sections])
        self.register_buffer("steady", torch.from_numpy(sosfilt_zi(sections)))
        self.register_buffer("before", torch.arange(margin, 0, -1))
        self.register_buffer("behind", torch.arange(samples - 2, samples - 2 - margin, -1))
        self.register_buffer("reverse", torch.arange(samples + 2 * margin - 1, -1, -1))

    def forward(self, x: Tensor) -> Tensor:
        """Signals (n, leads, samples) to filtered signals, in float64."""
        first, last = x[:, :, :1], x[:, :, -1:]
        x = torch.cat([2 * first - x[:, :, self.before], x, 2 * last - x[:, :, self.behind]], dim=2)
        for _ in range(2):
            begin = x[:, :, :1]
            for number, section in enumerate(self.sections):
                x = section(x, begin * self.steady[number])
            x = x[:, :, self.reverse]
        return x[:, :, self.margin : self.margin + self.samples]


class OnnxPreprocessing(nn.Module):
    """What ``preprocessing.onnx`` computes.

    Args:
        preprocessing: with its settings.

    Raises:
        InexactPreprocessingError: if a step has no exact form.
    """

    def __init__(self, preprocessing: Preprocessing) -> None:
        super().__init__()
        if preprocessing.missing != "zero":
            raise InexactPreprocessingError(f"missing samples are filled by '{preprocessing.missing}'")
        samples, rate = preprocessing.samples, preprocessing.sampling_rate
        filters = []
        if preprocessing.notch is not None:
            filters.append(
                np.concatenate(iirnotch(preprocessing.notch.frequency, preprocessing.notch.quality, rate))[None]
            )
        if preprocessing.band_pass is not None:
            band = (preprocessing.band_pass.low, preprocessing.band_pass.high)
            filters.append(butter(preprocessing.band_pass.order, band, btype="bandpass", fs=rate, output="sos"))
        self.filters = nn.ModuleList([ForwardBackwardFilter(sections, samples) for sections in filters])
        median = preprocessing.baseline_median
        self.half_window = None if median is None else int(median.seconds * rate / 2)
        self.zscore = preprocessing.scale == "zscore"

    def forward(self, millivolts: Tensor) -> Tensor:
        """Millivolts (n, leads, samples) to the network's input; missing samples may be NaN."""
        x = torch.where(torch.isfinite(millivolts), millivolts, 0.0).double()
        for each in self.filters:
            x = each(x)
        if self.half_window is not None:
            x = x - self._running_median(x, self.half_window)
        if self.zscore:
            mean = x.mean(dim=(1, 2), keepdim=True)
            spread = ((x - mean) ** 2).mean(dim=(1, 2), keepdim=True).sqrt()
            x = (x - mean) / (spread + ZSCORE_EPSILON)
        return x.float()

    def _running_median(self, x: Tensor, half: int) -> Tensor:
        """The middle one of each window, in float32, which picks a sample and computes nothing."""
        windows = nn.functional.pad(x.float(), (half, half)).unfold(2, 2 * half + 1, 1)
        return windows.topk(half + 1, dim=3, largest=False, sorted=True).values[..., half].double()


def preprocessing_as_onnx(preprocessing: Preprocessing) -> bytes:
    """The content of ``preprocessing.onnx``.

    Raises:
        InexactPreprocessingError: if a step has no exact form.
    """
    example = torch.zeros(2, len(preprocessing.leads), preprocessing.samples)
    metadata = {
        "notice": NO_MEDICAL_DEVICE,
        "leads": json.dumps(list(preprocessing.leads)),
        "sampling_rate": json.dumps(preprocessing.sampling_rate),
        "unit": "mV",
        "preprocessing": json.dumps(preprocessing.to_dict()),
    }
    return as_onnx(OnnxPreprocessing(preprocessing).eval(), MILLIVOLTS, example, [SIGNALS], metadata)


def require_same(preprocessing: Preprocessing, content: bytes) -> None:
    """Refuse a file that does not filter as scipy does: noise on a drifting baseline, with missing samples.

    Raises:
        InexactPreprocessingError: that says by how much it differs.
    """
    generator = np.random.default_rng(0)
    shape = (len(preprocessing.leads), preprocessing.samples)
    signal = np.cumsum(generator.normal(scale=0.02, size=shape), axis=1) + generator.normal(scale=0.2, size=shape)
    signal[0, 100:110] = np.nan
    signal = signal.astype(np.float32)
    recording = Recording("comparison", tuple(preprocessing.leads), signal, preprocessing.sampling_rate)
    found = session_of(content, "preprocessing.onnx").run([SIGNALS], {MILLIVOLTS: signal[None]})[0]
    difference = float(np.abs(found[0] - preprocessing(recording).signal).max())
    if not difference <= TOLERANCE:
        raise InexactPreprocessingError(
            f"in ONNX Runtime a sample differs by {difference:.2g}, expected {TOLERANCE:g} at most"
        )


def main() -> None:
    """Write the file that the arguments name."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="the folder of an exported model")
    parser.add_argument("output", type=Path, help="the ONNX file")
    options = parser.parse_args()

    def run() -> None:
        preprocessing = read_exported_model(options.model).record.preprocessing
        content = preprocessing_as_onnx(preprocessing)
        require_same(preprocessing, content)
        options.output.write_bytes(content)

    run_or_explain(run)


if __name__ == "__main__":
    main()
