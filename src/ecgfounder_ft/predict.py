"""Predictions of a finished model on recordings as stored, through the preprocessing that it was trained with."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from ecgfounder_ft.ecg.recording import UnreadableRecordingError
from ecgfounder_ft.ecg.wfdb_files import read_recording
from ecgfounder_ft.errors import ExplainedError
from ecgfounder_ft.evaluation.calibration import Calibration
from ecgfounder_ft.model.card import CARD_KEY, ModelCard, probabilities_of
from ecgfounder_ft.model.net1d import Net1D

WEIGHTS_FILE = "model.pth"
"""A run's best weights, in the form of the published checkpoints and without training state."""


class ModelFileError(ExplainedError):
    """A model file that is absent or carries no record of what it is."""


@dataclass(frozen=True)
class Model:
    """A network and the record of what goes in and what comes out."""

    net: Net1D
    card: ModelCard

    @torch.inference_mode()
    def uncalibrated(self, signals: NDArray[np.float32]) -> NDArray[np.float64]:
        """Preprocessed signals (n, leads, samples) to probabilities (n, conditions) as the network gives them."""
        logits = self.net(torch.from_numpy(signals)).float()
        return probabilities_of(logits, self.card.task).double().numpy()

    def probabilities(self, signals: NDArray[np.float32]) -> NDArray[np.float64]:
        """As :meth:`uncalibrated`, then calibrated as the card says."""
        raw = self.uncalibrated(signals)
        return raw if self.card.calibration is None else Calibration.from_dict(self.card.calibration).apply(raw)


def load_model(path: Path) -> Model:
    """A model from a run's folder, its ``model.pth`` or a Lightning checkpoint of it. No code from the file is run.

    Raises:
        ModelFileError: if there is no file, or it carries no record.
    """
    file = path / WEIGHTS_FILE if path.is_dir() else path
    if not file.is_file():
        raise ModelFileError(f"{file}: no such file; expected a run's folder, its model.pth or a checkpoint of it")
    content = torch.load(file, map_location="cpu", weights_only=True)
    if CARD_KEY not in content:
        raise ModelFileError(
            f"{file}: carries no record of its label map and preprocessing; was it written by train.py?"
        )
    card = ModelCard.from_dict(content[CARD_KEY])
    net = card.build_net()
    state = {key.removeprefix("net."): value for key, value in content["state_dict"].items()}
    net.load_state_dict({key: value for key, value in state.items() if key in net.state_dict()})
    return Model(net.eval(), card)


def save_model(model: Model, path: Path) -> None:
    """Write a model in the form of the published checkpoints, with its record; the file appears whole or not at all."""
    state = {key: value.detach().cpu() for key, value in model.net.state_dict().items()}
    written = path.with_suffix(".writing")
    torch.save({"state_dict": state, CARD_KEY: model.card.to_dict()}, written)
    written.replace(path)


def predict_files(model: Model, paths: Sequence[Path], batch_size: int = 32) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Predict recordings.

    Args:
        model: from :func:`load_model`.
        paths: headers (``.hea``).
        batch_size: recordings at a time.

    Returns:
        A row a recording: ``path``, ``probability_<code>`` and ``decision_<code>`` (the most probable condition in a
        single-label task, else by the card's thresholds, 0.5 where it has none); and the recordings that could not be
        used: path, reason, detail.
    """
    codes = model.card.label_map.codes
    rows, skipped = [], []
    for first in range(0, len(paths), batch_size):
        signals, read = [], []
        for path in paths[first : first + batch_size]:
            try:
                recording = read_recording(path, leads=model.card.preprocessing.leads)
                signals.append(model.card.preprocessing(recording).signal)
                read.append(path)
            except UnreadableRecordingError as error:
                skipped.append({"path": str(path), "reason": error.reason, "detail": error.detail})
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
    if card.task == "single_label":
        return np.arange(len(card.label_map)) == probabilities.argmax(axis=1)[:, None]
    thresholds = card.thresholds or {}
    return probabilities >= np.array([thresholds.get(code, 0.5) for code in card.label_map.codes])
