"""A finished model: network and record, with calibration and thresholds, used on preprocessed signals.

Evaluation, prediction, export and Python users all come here.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from ecgfounder_ft.errors import first_line
from ecgfounder_ft.inference.exported_model import CONFIG, SAFETENSORS, ExportedModel, ExportedModelError
from ecgfounder_ft.inference.predictor import DeviceError, ModelFileError, Outputs, Predictor, checked_record
from ecgfounder_ft.model.bfloat16 import require_bfloat16
from ecgfounder_ft.model.checkpoints import load_all, state_dict_in
from ecgfounder_ft.model.network import Network
from ecgfounder_ft.model.record import RECORD_KEY, ModelRecord
from ecgfounder_ft.untrusted.weights import read_checkpoint, write_checkpoint

WEIGHTS_FILE = "model.pth"
"""What is looked for where a folder is given: a run's, or an evaluation's."""


@dataclass(frozen=True)
class FinishedModel(Predictor):
    """A network with the record of its input and output."""

    net: Network
    record: ModelRecord
    bf16: bool = False
    """Compute in bfloat16: faster where the device has it, and exact to two or three digits of a logit."""
    backend = "torch"

    @property
    def device(self) -> torch.device:
        """The device that the network is on."""
        return next(self.net.parameters()).device

    @property
    def on_gpu(self) -> bool:  # type: ignore[override]
        """Whether the network is on a GPU."""
        return self.device.type == "cuda"

    @property
    def digest(self) -> str:  # type: ignore[override]
        """Digest of the weights and the record."""
        digest = hashlib.sha256(json.dumps(self.record.to_dict(), sort_keys=True, default=str).encode())
        for name, value in sorted(self.net.state_dict().items()):
            digest.update(name.encode())
            digest.update(np.ascontiguousarray(value.detach().cpu().float().numpy()).data)
        return digest.hexdigest()

    @torch.inference_mode()
    def outputs(self, signals: NDArray[np.float32]) -> Outputs:
        """Preprocessed signals (n, leads, samples) to what the network gives.

        NaN where the network overflows: infinity is no logit, though a probability of 1 could be made of it.
        """
        *_, head = self.net.parts().values()
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.bf16):
            features = self.net.features(torch.from_numpy(signals).to(self.device))
            logits = head(features).float()
        logits = torch.where(logits.isfinite(), logits, torch.nan)
        uncalibrated = self.record.task.probabilities(logits).double().cpu().numpy()
        return Outputs(uncalibrated, features.float().cpu().numpy())


def load_model(path: Path, device: str = "cpu", bf16: bool = False, trusted: Collection[str] = ()) -> FinishedModel:
    """Load a model from a run's folder, its ``model.pth`` or a Lightning checkpoint. No code from the file is run.

    Args:
        path: of the folder or file.
        device: ``cpu``, ``cuda``, or ``auto``, which is CUDA where there is one.
        bf16: compute in bfloat16.
        trusted: dotted names of networks beside this package's own.

    Raises:
        ModelFileError: if there is no file, it lies outside the folder, or it carries no record and is no pretrained
            file either.
        WeightsError: if it is damaged, was changed since it was written, or lacks weights.
        NetworkError: if the record asks for a network that cannot be, or for more than the file has weights of.
        UntrustedTargetError: if it is of a network that is neither ours nor trusted.
        DeviceError: if the device is unknown or absent.
        PrecisionError: if it has no instructions for bfloat16.
    """
    place = place_for(device, bf16)
    file = path / WEIGHTS_FILE if path.is_dir() else path
    if path.is_dir() and not file.resolve().is_relative_to(path.resolve()):
        raise ModelFileError(f"{file}: leads out of the folder, to {file.resolve()}; name that file if you trust it")
    if not file.is_file():
        raise ModelFileError(f"{file}: no such file; expected a run's folder, its model.pth or a checkpoint of it")
    content = read_checkpoint(file)
    if RECORD_KEY not in content:
        from ecgfounder_ft.inference.published import load_pretrained

        net, record = load_pretrained(file)
        return FinishedModel(net.to(place), record, bf16)
    try:
        record = checked_record(content[RECORD_KEY])
    except (ValueError, RecursionError) as error:
        raise ModelFileError(
            f"{file}: its record of label map and preprocessing is not one of this version ({first_line(error)}). "
            "Was it edited, or written by another version?"
        ) from error
    state = state_dict_in(content, file)
    net = record.build_network(trusted, where=str(file), most_parameters=file.stat().st_size)
    load_all(net, state, file)
    return FinishedModel(net.eval().to(place), record, bf16)


def load_safetensors(
    exported: ExportedModel, device: str = "cpu", bf16: bool = False, trusted: Collection[str] = ()
) -> FinishedModel:
    """Load an exported model in PyTorch, from its ``model.safetensors``; the arguments are those of :func:`load_model`.

    Raises:
        ExportedModelError: if the file is damaged.
        WeightsError: if it is not of the network that ``config.json`` describes, or a weight is not finite.
        UntrustedTargetError: if that is a network which is neither ours nor trusted.
        DeviceError: if the device is unknown or absent.
        PrecisionError: if it has no instructions for bfloat16.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load

    place = place_for(device, bf16)
    file = exported.folder / SAFETENSORS
    content = exported.read(SAFETENSORS)
    net = exported.record.build_network(trusted, where=str(exported.folder / CONFIG), most_parameters=len(content))
    try:
        state = load(content)
    except SafetensorError as error:
        raise ExportedModelError(f"{file}: damaged, or no safetensors ({first_line(error)})") from error
    load_all(net, state, file)
    return FinishedModel(net.eval().to(place), exported.record, bf16)


def place_for(device: str, bf16: bool) -> str:
    """Return the device, ``cpu`` or ``cuda``, that a choice of the user's means.

    Raises:
        DeviceError: if the device is unknown or absent.
        PrecisionError: if it has no instructions for bfloat16.
    """
    if device not in ("cpu", "cuda", "auto"):
        raise DeviceError(f"device is {device!r}, expected cpu, cuda or auto")
    if device == "cuda" and not torch.cuda.is_available():
        raise DeviceError("device is cuda, but torch finds no CUDA device here; use cpu or auto")
    place = "cuda" if device != "cpu" and torch.cuda.is_available() else "cpu"
    if bf16:
        require_bfloat16(place, "--bf16")
    return place


def save_model(model: FinishedModel, path: Path) -> None:
    """Write a model in the form of the published checkpoints, with its record and a digest of both.

    Raises:
        WriteError: if the disk is full, or the place cannot be written to; nothing is left of the file then.
    """
    state = {key: value.detach().cpu() for key, value in model.net.state_dict().items()}
    write_checkpoint({"state_dict": state, RECORD_KEY: model.record.to_dict()}, path)
