"""A finished model: network and record, with calibration and thresholds, used on preprocessed signals.

Evaluation, prediction, export and Python users all come here.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ecgfounder_ft.errors import ExplainedError
from ecgfounder_ft.evaluation.calibration import Calibration
from ecgfounder_ft.model.bfloat16 import require_bfloat16
from ecgfounder_ft.model.card import CARD_KEY, ModelCard
from ecgfounder_ft.model.checkpoint_file import first_line, read_checkpoint, write_checkpoint
from ecgfounder_ft.model.checkpoints import load_all, state_dict_in
from ecgfounder_ft.model.network import Network

WEIGHTS_FILE = "model.pth"
"""What is looked for where a folder is given: a run's, or an evaluation's."""


class ModelFileError(ExplainedError):
    """A model file that is absent or carries no record of what it is."""


class DeviceError(ExplainedError):
    """A device that is not there."""


@dataclass(frozen=True)
class FinishedModel:
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
        """Preprocessed signals (n, leads, samples) to probabilities (n, conditions) as the network gives them.

        NaN where the network overflows: infinity is no logit, though a probability of 1 could be made of it.
        """
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.bf16):
            logits = self.net(torch.from_numpy(signals).to(self.device)).float()
        logits = torch.where(logits.isfinite(), logits, torch.nan)
        return self.card.task.probabilities(logits).double().cpu().numpy()

    def probabilities(self, signals: NDArray[np.float32]) -> NDArray[np.float64]:
        """As :meth:`uncalibrated`, then calibrated as the card says."""
        raw = self.uncalibrated(signals)
        return raw if self.card.calibration is None else Calibration.from_dict(self.card.calibration).apply(raw)

    def decisions(self, probabilities: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Calibrated probabilities (n, conditions) to decisions (n, conditions), by the card's thresholds."""
        given = self.card.thresholds
        codes = self.card.label_map.codes
        thresholds = None if given is None else np.array([given[code] for code in codes])
        return self.card.task.decisions(probabilities, thresholds)


def load_model(path: Path, device: str = "cpu", bf16: bool = False, trusted: Collection[str] = ()) -> FinishedModel:
    """A model from a run's folder, its ``model.pth`` or a Lightning checkpoint of it. No code from the file is run.

    Args:
        path: of the folder or file.
        device: ``cpu``, ``cuda``, or ``auto``: CUDA where there is one.
        bf16: compute in bfloat16.
        trusted: dotted names of networks beside this package's own that the file may be of.

    Raises:
        ModelFileError: if there is no file, it lies outside the folder, or it carries no record.
        WeightsError: if it is damaged, was changed since it was written, or lacks weights.
        NetworkError: if the record asks for a network that cannot be, or for more than the file has weights of.
        UntrustedTargetError: if it is of a network that is neither ours nor trusted.
        DeviceError: if the device is unknown or absent.
        PrecisionError: if it has no instructions for bfloat16.
    """
    if device not in ("cpu", "cuda", "auto"):
        raise DeviceError(f"device is {device!r}, expected cpu, cuda or auto")
    if device == "cuda" and not torch.cuda.is_available():
        raise DeviceError("device is cuda, but torch finds no CUDA device here; use cpu or auto")
    chosen = "cuda" if device != "cpu" and torch.cuda.is_available() else "cpu"
    if bf16:
        require_bfloat16(chosen, "--bf16")
    file = path / WEIGHTS_FILE if path.is_dir() else path
    if path.is_dir() and not file.resolve().is_relative_to(path.resolve()):
        raise ModelFileError(f"{file}: leads out of the folder, to {file.resolve()}; name that file if you trust it")
    if not file.is_file():
        raise ModelFileError(f"{file}: no such file; expected a run's folder, its model.pth or a checkpoint of it")
    content = read_checkpoint(file)
    if CARD_KEY not in content:
        raise ModelFileError(
            f"{file}: carries no record of its label map and preprocessing; was it written by a training?"
        )
    card = _card_in(content[CARD_KEY], file)
    state = state_dict_in(content, file)
    net = card.build_network(trusted, where=str(file), most_parameters=file.stat().st_size)
    load_all(net, state, file)
    return FinishedModel(net.eval().to(chosen), card, bf16)


def save_model(model: FinishedModel, path: Path) -> None:
    """Write a model in the form of the published checkpoints, with its record and a digest of both.

    Raises:
        WriteError: if the disk is full, or the place cannot be written to; nothing is left of the file then.
    """
    state = {key: value.detach().cpu() for key, value in model.net.state_dict().items()}
    write_checkpoint({"state_dict": state, CARD_KEY: model.card.to_dict()}, path)


def _card_in(content: Any, file: Path) -> ModelCard:
    """The record in a file, whole and in itself consistent."""
    try:
        card = ModelCard.from_dict(content)
        codes = list(card.label_map.codes)
        if card.calibration is not None:
            calibrated = Calibration.from_dict(card.calibration)
            if calibrated.codes != codes or calibrated.task != card.task.name:
                raise ValueError(f"calibration is of the {calibrated.task} conditions {', '.join(calibrated.codes)}")
        if card.thresholds is not None and sorted(card.thresholds) != sorted(codes):
            raise ValueError(f"thresholds are of the conditions {', '.join(card.thresholds)}")
    except (ValueError, RecursionError) as error:
        raise ModelFileError(
            f"{file}: its record of label map and preprocessing is not one of this version ({first_line(error)}). "
            "Was it edited, or written by another version?"
        ) from error
    return card
