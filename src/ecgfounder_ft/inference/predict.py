"""Predictions of a finished model on recordings as stored, through the preprocessing that it was trained with."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from rich.progress import track
from torch.utils.data import DataLoader, Dataset

from ecgfounder_ft.ecg.formats.wfdb import read_recording
from ecgfounder_ft.ecg.preprocessing import Preprocessing
from ecgfounder_ft.ecg.recording import UnreadableRecordingError
from ecgfounder_ft.errors import ExplainedError
from ecgfounder_ft.evaluation.calibration import Calibration
from ecgfounder_ft.model.card import CARD_KEY, ModelCard
from ecgfounder_ft.model.network import Network
from ecgfounder_ft.task import DEFAULT_THRESHOLD

WEIGHTS_FILE = "model.pth"
"""A run's best weights, in the form of the published checkpoints and without training state."""


class ModelFileError(ExplainedError):
    """A model file that is absent or carries no record of what it is."""


@dataclass(frozen=True)
class Model:
    """A network and the record of what goes in and what comes out."""

    net: Network
    card: ModelCard
    bf16: bool = False
    """Compute in bfloat16: faster where the device has it, and exact to two or three digits of a logit."""

    @property
    def device(self) -> torch.device:
        """Where the network is."""
        return next(self.net.parameters()).device

    @torch.inference_mode()
    def uncalibrated(self, signals: NDArray[np.float32]) -> NDArray[np.float64]:
        """Preprocessed signals (n, leads, samples) to probabilities (n, conditions) as the network gives them."""
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.bf16):
            logits = self.net(torch.from_numpy(signals).to(self.device)).float()
        return self.card.task.probabilities(logits).double().cpu().numpy()

    def probabilities(self, signals: NDArray[np.float32]) -> NDArray[np.float64]:
        """As :meth:`uncalibrated`, then calibrated as the card says."""
        raw = self.uncalibrated(signals)
        return raw if self.card.calibration is None else Calibration.from_dict(self.card.calibration).apply(raw)


class DeviceError(ExplainedError):
    """A device that is not there."""


def load_model(path: Path, device: str = "cpu", bf16: bool = False, trusted: Collection[str] = ()) -> Model:
    """A model from a run's folder, its ``model.pth`` or a Lightning checkpoint of it. No code from the file is run.

    Args:
        path: of the folder or file.
        device: ``cpu``, ``cuda``, or ``auto``: CUDA where there is one.
        bf16: compute in bfloat16.
        trusted: dotted names of classes that its network may be built of, beside this package's and torch's own.

    Raises:
        ModelFileError: if there is no file, or it carries no record.
        UntrustedTargetError: if its network is of a class that is not trusted.
        NetworkError: if its network cannot be built.
        DeviceError: if the device is unknown or absent.
    """
    if device not in ("cpu", "cuda", "auto"):
        raise DeviceError(f"device is {device!r}, expected cpu, cuda or auto")
    if device == "cuda" and not torch.cuda.is_available():
        raise DeviceError("device is cuda, but torch finds no CUDA device here; use cpu or auto")
    file = path / WEIGHTS_FILE if path.is_dir() else path
    if not file.is_file():
        raise ModelFileError(f"{file}: no such file; expected a run's folder, its model.pth or a checkpoint of it")
    content = torch.load(file, map_location="cpu", weights_only=True)
    if CARD_KEY not in content:
        raise ModelFileError(
            f"{file}: carries no record of its label map and preprocessing; was it written by train.py?"
        )
    card = ModelCard.from_dict(content[CARD_KEY])
    net = card.build_network(trusted, where=str(file))
    own = net.state_dict()
    net.load_state_dict({key: value for key, value in net.own_tensors(content["state_dict"]).items() if key in own})
    chosen = "cuda" if device != "cpu" and torch.cuda.is_available() else "cpu"
    return Model(net.eval().to(chosen), card, bf16)


def save_model(model: Model, path: Path) -> None:
    """Write a model in the form of the published checkpoints, with its record; the file appears whole or not at all."""
    state = {key: value.detach().cpu() for key, value in model.net.state_dict().items()}
    written = path.with_suffix(".writing")
    torch.save({"state_dict": state, CARD_KEY: model.card.to_dict()}, written)
    written.replace(path)


class _Inputs(Dataset["NDArray[np.float32] | tuple[str, str]"]):
    """Recordings read and preprocessed one by one; of one that cannot be used, reason and detail."""

    def __init__(self, paths: Sequence[Path], preprocessing: Preprocessing) -> None:
        self.paths = paths
        self.preprocessing = preprocessing

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, row: int) -> NDArray[np.float32] | tuple[str, str]:
        try:
            return self.preprocessing(read_recording(self.paths[row], leads=self.preprocessing.leads)).signal
        except UnreadableRecordingError as error:
            return error.reason, error.detail


def predict_files(
    model: Model, paths: Sequence[Path], batch_size: int = 32, workers: int = 0, progress: bool = False
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Predict recordings.

    Args:
        model: from :func:`load_model`.
        paths: headers (``.hea``).
        batch_size: recordings at a time.
        workers: processes that read and preprocess ahead of the network; 0: this one does it in between.
        progress: show a progress bar.

    Returns:
        A row a recording: ``path``, ``probability_<code>`` and ``decision_<code>`` (the most probable condition in a
        single-label task, else by the card's thresholds, 0.5 where it has none); and the recordings that could not be
        used: path, reason, detail.
    """
    codes = model.card.label_map.codes
    rows, skipped = [], []
    batches = DataLoader(
        _Inputs(paths, model.card.preprocessing),
        batch_size=batch_size,
        num_workers=workers,
        collate_fn=list,
        multiprocessing_context="spawn" if workers else None,
    )
    for number, batch in enumerate(track(batches, "Predicting", disable=not progress)):
        signals, read = [], []
        for path, found in zip(paths[number * batch_size :], batch, strict=False):
            if isinstance(found, tuple):
                skipped.append({"path": str(path), "reason": found[0], "detail": found[1]})
            else:
                signals.append(found)
                read.append(path)
        if not signals:
            continue
        probabilities = model.probabilities(np.stack(signals))
        decisions = decide(model.card, probabilities)
        for path, chances, decided in zip(read, probabilities, decisions, strict=True):
            row: dict[str, object] = {"path": str(path)}
            row |= {f"probability_{code}": float(chance) for code, chance in zip(codes, chances, strict=True)}
            row |= {f"decision_{code}": int(choice) for code, choice in zip(codes, decided, strict=True)}
            rows.append(row)
    return pd.DataFrame(rows), pd.DataFrame(skipped, columns=["path", "reason", "detail"])


def decide(card: ModelCard, probabilities: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Probabilities (n, conditions) to decisions (n, conditions)."""
    chosen = card.thresholds or {}
    thresholds = np.array([chosen.get(code, DEFAULT_THRESHOLD) for code in card.label_map.codes])
    return card.task.decisions(probabilities, thresholds)
