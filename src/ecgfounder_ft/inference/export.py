"""A finished model written as an exported one: safetensors, ONNX, config.json and the weights as they were published.

What was written is compared with PyTorch before it is kept.
"""

from __future__ import annotations

import logging
import shutil
import tempfile
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.torch import save

from ecgfounder_ft import __version__
from ecgfounder_ft.files import UNFINISHED_SUFFIX, write_json, write_text
from ecgfounder_ft.inference.exported_model import (
    CONFIG,
    ONNX,
    PTH,
    README,
    SAFETENSORS,
    ExportedModel,
    ExportedModelError,
    config_of,
    read_exported_model,
)
from ecgfounder_ft.inference.finished_model import FinishedModel
from ecgfounder_ft.inference.onnx_model import EMBEDDING, LOGITS, PROBABILITIES, SIGNALS, session_of
from ecgfounder_ft.model.record import RECORD_KEY
from ecgfounder_ft.untrusted.weights import write_checkpoint

TOLERANCE = 1e-4
"""Largest difference in a probability that is let pass."""

log = logging.getLogger(__name__)

_PACKAGES = ("torch", "safetensors", "onnx", "onnxscript", "onnxruntime", "numpy", "scipy")


@dataclass(frozen=True)
class ExportedFiles:
    """The content of an exported model, before it is written."""

    config: Mapping[str, Any]
    """Content of ``config.json``."""
    contents: Mapping[str, bytes]
    """Name to content of the other files, without the model record."""


def exported_files(model: FinishedModel, *, onnx: bool = True) -> ExportedFiles:
    """The files of an exported model.

    Args:
        model: with its network on the processor.
        onnx: also as ONNX.

    Raises:
        NetworkError: if the network has no ONNX form.
        ExportedModelError: if ONNX Runtime answers otherwise than PyTorch.
    """
    state = {name: value.detach().cpu().contiguous().clone() for name, value in model.net.state_dict().items()}
    contents = {SAFETENSORS: save(state, metadata={"format": "pt"}), PTH: _as_published(model)}
    described: dict[str, Any] = {}
    if onnx:
        from ecgfounder_ft.inference.onnx_export import OPSET, network_as_onnx

        log.info("Translating the network to ONNX: some tens of seconds, which --no-onnx leaves out")
        contents[ONNX] = network_as_onnx(model)
        log.info("Comparing ONNX Runtime with PyTorch")
        _compare_network(model, contents[ONNX])
        outputs = [LOGITS, PROBABILITIES, EMBEDDING]
        described[ONNX] = {"opset": OPSET, "inputs": [SIGNALS], "outputs": outputs}
    return ExportedFiles(config_of(model.record, contents, described, _versions()), contents)


def refuse_used(folder: Path) -> None:
    """Refuse a folder that holds something, before anything is computed.

    Raises:
        ExportedModelError: if the folder is there and not empty.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ExportedModelError(f"{folder} is there already: choose another folder, or remove it first")


def write_exported_model(files: ExportedFiles, readme: str, folder: Path) -> ExportedModel:
    """Write an exported model; the folder appears whole or not at all.

    Raises:
        ExportedModelError: if the folder is there and not empty.
    """
    refuse_used(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    unfinished = folder.with_name(f".{folder.name}.{uuid.uuid4().hex[:12]}{UNFINISHED_SUFFIX}")
    unfinished.mkdir()
    try:
        for name, content in files.contents.items():
            (unfinished / name).write_bytes(content)
        write_text(unfinished / README, readme)
        write_json(unfinished / CONFIG, files.config)
        if folder.exists():
            folder.rmdir()
        unfinished.rename(folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return read_exported_model(folder)


def _as_published(model: FinishedModel) -> bytes:
    """A file in the form of the network's published checkpoints: a pickled dictionary with ``state_dict``."""
    state = {name: value.detach().cpu() for name, value in model.net.published_tensors().items()}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / PTH
        write_checkpoint({"state_dict": state, RECORD_KEY: model.record.to_dict()}, path)
        return path.read_bytes()


def _compare_network(model: FinishedModel, content: bytes) -> None:
    """Refuse an ONNX file that does not answer as PyTorch does, in batches of one and of three."""
    preprocessing = model.record.preprocessing
    shape = (3, len(preprocessing.leads), preprocessing.samples)
    signals = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    signals[2] = 0
    session = session_of(content, ONNX)
    for batch in (signals, signals[:1]):
        found = session.run([PROBABILITIES], {SIGNALS: batch})[0]
        difference = float(np.abs(found - model.probabilities(batch)).max())
        if not difference <= TOLERANCE:
            raise ExportedModelError(
                f"{ONNX} was not written: in ONNX Runtime a probability differs by {difference:.2g} from that of "
                f"PyTorch, expected {TOLERANCE:g} at most. Export with --no-onnx, and please report the network"
            )


def _versions() -> dict[str, str]:
    found = {"ecgfounder-ft": __version__}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
