"""A network as ONNX, through ``torch.export``: the logits, the calibrated probabilities, and what the last layer reads.

ONNX's older exporter in torch, which traces, cannot follow Net1D's grouped convolutions of unknown batch size; the one
through ``torch.export`` can. The calibration is a part of the file, in float64 as in Python, so that a program that
knows nothing of this package gets the probabilities that this package would give. Decisions are not: thresholds stand
in ``config.json`` and in the file's metadata.
"""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from ecgfounder_ft.evaluation.calibration import Calibration
from ecgfounder_ft.evaluation.probabilities import EPSILON
from ecgfounder_ft.inference import NO_MEDICAL_DEVICE
from ecgfounder_ft.inference.finished_model import FinishedModel
from ecgfounder_ft.inference.onnx_model import EMBEDDING, LOGITS, PROBABILITIES, SIGNALS
from ecgfounder_ft.model.network import NetworkError
from ecgfounder_ft.model.record import ModelRecord

if TYPE_CHECKING:
    from collections.abc import Iterator

OPSET = 20
"""Version of the operators that the files use; ONNX Runtime has them since 1.17."""

RECORDINGS = "recordings"
"""Name of the one dimension that is free."""

LARGEST_BYTES = 1_900_000_000
"""A protocol buffer holds 2 GB."""


class OnnxNetwork(nn.Module):
    """What ``model.onnx`` computes.

    Args:
        model: whose network and calibration it has.
    """

    def __init__(self, model: FinishedModel) -> None:
        super().__init__()
        self.net = model.net
        self.task = model.record.task
        given = model.record.calibration
        self.calibration = None if given is None else Calibration.from_dict(given)

    def forward(self, signals: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Preprocessed signals (n, leads, samples) to logits, calibrated probabilities, what the last layer reads."""
        *_, head = self.net.parts().values()
        embedding = self.net.features(signals)
        logits = head(embedding)
        probabilities = self._calibrated(self.task.probabilities(logits.double())).float()
        numbers = torch.isfinite(logits)
        if self.task.exclusive:
            numbers = numbers.all(dim=1, keepdim=True)
        return logits, torch.where(numbers, probabilities, torch.nan), embedding

    def _calibrated(self, probabilities: Tensor) -> Tensor:
        """Calibrate as :meth:`Calibration.apply` does in numpy."""
        found = self.calibration
        if found is None or found.method == "none":
            return probabilities
        clipped = probabilities.clamp(EPSILON, 1 - EPSILON)
        if found.method == "temperature":
            assert found.temperature is not None
            if self.task.exclusive:
                return (probabilities.clamp(min=EPSILON).log() / found.temperature).softmax(dim=1)
            return ((clipped.log() - (1 - clipped).log()) / found.temperature).sigmoid()
        slopes = torch.tensor(found.slopes, dtype=torch.float64)
        intercepts = torch.tensor(found.intercepts, dtype=torch.float64)
        calibrated = ((clipped.log() - (1 - clipped).log()) * slopes + intercepts).sigmoid()
        return calibrated / calibrated.sum(dim=1, keepdim=True) if self.task.exclusive else calibrated


def network_as_onnx(model: FinishedModel) -> bytes:
    """The content of ``model.onnx``.

    Args:
        model: with its network on the processor, in evaluation mode.

    Raises:
        NetworkError: if the network cannot be exported, or is too large for one file.
    """
    record = model.record
    size = sum(value.numel() * value.element_size() for value in model.net.state_dict().values())
    if size > LARGEST_BYTES:
        raise NetworkError(f"the network has {size / 1e9:.1f} GB of weights; one ONNX file holds {LARGEST_BYTES / 1e9}")
    example = torch.zeros(2, len(record.preprocessing.leads), record.preprocessing.samples)
    names = [LOGITS, PROBABILITIES, EMBEDDING]
    return as_onnx(OnnxNetwork(model).eval(), SIGNALS, example, names, _metadata(record))


def as_onnx(
    module: nn.Module, name: str, example: Tensor, outputs: Sequence[str], metadata: Mapping[str, str]
) -> bytes:
    """A module of one input, whose first dimension is free, as the content of an ONNX file.

    Args:
        module: in evaluation mode.
        name: of the input.
        example: an input of two recordings.
        outputs: their names.
        metadata: what shall stand in the file beside the graph.

    Raises:
        NetworkError: if ``torch.export`` or the translation refuses it; the message has the reason.
    """
    try:
        with _quiet():
            program = torch.onnx.export(
                module,
                (example,),
                dynamo=True,
                dynamic_shapes=({0: torch.export.Dim(RECORDINGS)},),
                input_names=[name],
                output_names=list(outputs),
                opset_version=OPSET,
                external_data=False,
                verbose=False,
            )
    except ModuleNotFoundError:
        raise
    except Exception as error:  # the exporter raises whatever it meets
        reason = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
        raise NetworkError(f"the network has no ONNX form: {reason}. Export without it: --no-onnx") from error
    assert program is not None
    graph = program.model
    _forget_origins(graph)
    graph.metadata_props.update(metadata)
    graph.producer_name = "ecgfounder-ft"
    import onnx_ir

    content: bytes = onnx_ir.to_proto(graph).SerializeToString(deterministic=True)
    return content


def _forget_origins(graph: Any) -> None:
    """Take out what the exporter notes of every node: the source files and folders of whoever exported."""
    graph.metadata_props.clear()
    graph.doc_string = None
    for one in (graph.graph, *graph.functions.values()):
        one.metadata_props.clear()
        one.doc_string = None
        values = [*one.inputs, *one.outputs]
        for node in one.all_nodes():
            node.metadata_props.clear()
            node.doc_string = None
            values += node.outputs
        values += getattr(one, "initializers", {}).values()
        for value in values:
            value.metadata_props.clear()
            value.doc_string = None


def _metadata(record: ModelRecord) -> dict[str, str]:
    preprocessing = record.preprocessing
    return {
        "notice": NO_MEDICAL_DEVICE,
        "conditions": json.dumps(list(record.label_map.codes)),
        "task": record.task.name,
        "leads": json.dumps(list(preprocessing.leads)),
        "preprocessing": json.dumps(preprocessing.to_dict()),
        "thresholds": json.dumps(record.thresholds),
    }


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the exporter's remarks on packages that are not needed here."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "torch.export", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
