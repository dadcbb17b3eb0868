"""A model as it is passed on: a folder that is read without running code, and without torch.

The record of the model, the meaning of each output and a digest of every file stand in ``config.json``. Weights are in
``model.safetensors``. Any program that runs ONNX takes ``model.onnx``, which has network, softmax or sigmoid, and
calibration. The form of the published checkpoints is ``model.pth``. The model card is ``README.md``.

A digest tells a file that was damaged, edited or mixed up. It is no signature: whoever changes a file can change the
digest with it. Therefore nothing in the folder is run as code; a revision of the Hub pins all of it.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ecgfounder_ft.errors import ExplainedError
from ecgfounder_ft.files import without_nan
from ecgfounder_ft.inference import NO_MEDICAL_DEVICE
from ecgfounder_ft.inference.predictor import checked_record
from ecgfounder_ft.model.record import ModelRecord
from ecgfounder_ft.records import check_record
from ecgfounder_ft.untrusted.bounded import parse_json, read_bounded

CONFIG = "config.json"
SAFETENSORS = "model.safetensors"
ONNX = "model.onnx"
PTH = "model.pth"
README = "README.md"

FILES = (CONFIG, SAFETENSORS, ONNX, PTH, README)
"""Every file that is exported."""

EARLIER_FILES = ("preprocessing.onnx",)
"""Files that a folder of an earlier version may hold beside these; only their digests are used."""

FORMAT = "ecgfounder-ft/exported-model/1"

_MOST_CONFIG_BYTES = 16 * 1024**2


@dataclass
class _File:
    sha256: str
    bytes: int


class ExportedModelError(ExplainedError):
    """A folder that is no exported model, or one that was damaged or edited."""


@dataclass(frozen=True)
class ExportedModel:
    """The checked ``config.json`` of a folder."""

    folder: Path
    record: ModelRecord
    content: Mapping[str, Any]
    """All of ``config.json``."""

    @property
    def onnx(self) -> dict[str, Any]:
        """What ``config.json`` says of the ONNX files: file name to opset, inputs and outputs."""
        found: dict[str, Any] = self.content.get("onnx", {})
        return found

    def has(self, name: str) -> bool:
        """Whether the folder is said to hold a file, and it is there."""
        return name in self.content["files"] and (self.folder / name).is_file()

    def read(self, name: str) -> bytes:
        """The content of a file, of which the digest has been compared.

        Raises:
            ExportedModelError: if it is absent, no file, of another length, or its digest is not that of
                ``config.json``.
        """
        path = self.folder / name
        expected = self.content["files"].get(name)
        if expected is None:
            raise ExportedModelError(f"{self.folder / CONFIG}: names no {name}; export the model again")
        content = read_bounded(path, expected["bytes"], ExportedModelError)
        found = hashlib.sha256(content).hexdigest()
        if found != expected["sha256"]:
            raise ExportedModelError(
                f"{path}: {len(content):,} bytes with the sha256 {found}, but {CONFIG} has {expected['bytes']:,} with "
                f"{expected['sha256']}. The file was damaged or changed after the export, or is another model's: copy "
                "or download the whole folder again, or export again"
            )
        return content


def is_exported_model(folder: Path) -> bool:
    """Whether a folder is meant to be an exported model, by what its ``config.json`` says it is."""
    path = folder / CONFIG
    try:
        return b'"ecgfounder-ft/exported-model' in read_bounded(path, _MOST_CONFIG_BYTES, ExportedModelError)
    except ExportedModelError:
        return False


def read_exported_model(folder: Path) -> ExportedModel:
    """Read and check the ``config.json`` of an exported model; the other files are checked as they are read.

    Raises:
        ExportedModelError: if it is absent, no record of a model, edited, or of a newer version.
        NetworkError: if leads, samples, conditions or filters are implausible.
    """
    path = folder / CONFIG
    if not os.path.lexists(path):
        found = ", ".join(sorted(entry.name for entry in folder.iterdir())[:8]) if folder.is_dir() else "no such folder"
        raise ExportedModelError(f"{path}: no such file ({found}); expected the folder of an exported model")
    try:
        content = parse_json(read_bounded(path, _MOST_CONFIG_BYTES, ExportedModelError))
    except ValueError as error:
        raise ExportedModelError(f"{path}: no JSON ({error}); copy it again") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        stated = content.get("format") if isinstance(content, dict) else type(content).__name__
        raise ExportedModelError(
            f"{path}: format is {stated!r}, expected {FORMAT!r}. Is it the folder of another program's model, or of "
            "another version of this one?"
        )
    if content.get("sha256") != digest_of_config(content):
        raise ExportedModelError(
            f"{path}: was changed after the export: its content does not have the digest that stands in it. Labels, "
            "preprocessing and thresholds belong to the weights; export again with what you want to change"
        )
    try:
        record = checked_record(content["model"])
        outputs = [content["id2label"][str(number)] for number in range(len(record.label_map))]
        check_record(dict[str, _File], content["files"], "files")
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise ExportedModelError(f"{path}: no record of a model ({type(error).__name__}: {error})") from error
    if tuple(outputs) != record.label_map.codes:
        raise ExportedModelError(
            f"{path}: id2label has {', '.join(outputs)}, the label map {', '.join(record.label_map.codes)}: "
            "which output is which condition cannot be told"
        )
    record.refuse_implausible_shapes(str(path))
    strange = sorted(name for name in content["files"] if name not in FILES + EARLIER_FILES)
    if strange:
        raise ExportedModelError(f"{path}: names the file {strange[0]!r}, which is none of {', '.join(FILES)}")
    return ExportedModel(folder, record, content)


def config_of(
    record: ModelRecord, files: Mapping[str, bytes], onnx: Mapping[str, Any], versions: Mapping[str, str]
) -> dict[str, Any]:
    """The content of ``config.json``.

    Args:
        record: record of the model.
        files: name to content of every file beside it, without the model card.
        onnx: ONNX file to opset, inputs and outputs.
        versions: package name to version.
    """
    content: dict[str, Any] = without_nan(
        {
            "format": FORMAT,
            "notice": NO_MEDICAL_DEVICE,
            "id2label": dict(enumerate(record.label_map.codes)),
            "model": record.to_dict(),
            "onnx": dict(onnx),
            "versions": dict(versions),
            "files": {
                name: {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
                for name, content in files.items()
            },
        }
    )
    content = json.loads(json.dumps(content))  # as it is read back: lists in place of tuples
    return {**content, "sha256": digest_of_config(content)}


def digest_of_config(content: Mapping[str, Any]) -> str:
    """Digest of the content of ``config.json`` without ``sha256`` itself; spaces and order of keys do not count."""
    rest = {name: value for name, value in content.items() if name != "sha256"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True, ensure_ascii=False).encode()).hexdigest()
