"""An exported model on ONNX Runtime: the same answers without torch."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ecgfounder_ft.errors import first_line
from ecgfounder_ft.inference.exported_model import ONNX, ExportedModel, ExportedModelError
from ecgfounder_ft.inference.predictor import Outputs, Predictor
from ecgfounder_ft.untrusted.onnx_graph import require_plain_graph

if TYPE_CHECKING:
    import onnxruntime

SIGNALS, LOGITS, PROBABILITIES, EMBEDDING = "signals", "logits", "probabilities", "embedding"
"""Names of the input and of the outputs of ``model.onnx``."""


class OnnxModel(Predictor):
    """``model.onnx`` of an exported model, on the processor.

    ONNX Runtime's builds for GPUs are another package, and torch is there for them.

    Args:
        exported: the folder.
        session: of its ``model.onnx``.
    """

    backend = "onnxruntime"

    def __init__(self, exported: ExportedModel, session: onnxruntime.InferenceSession) -> None:
        self.record = exported.record
        self.session = session
        self.where = str(exported.folder / ONNX)
        self.digest = str(exported.content["sha256"])  # of config.json, which holds those of all other files

    def outputs(self, signals: NDArray[np.float32]) -> Outputs:
        """Preprocessed signals (n, leads, samples) to what the network gives, NaN where it overflows.

        Raises:
            ExportedModelError: if ONNX Runtime fails, or answers with another number of rows or columns.
        """
        try:
            logits, embedding = self.session.run([LOGITS, EMBEDDING], {SIGNALS: np.ascontiguousarray(signals)})
        except Exception as error:  # ONNX Runtime raises classes of its own, which derive from Exception alone
            raise ExportedModelError(f"{self.where}: ONNX Runtime cannot compute it ({first_line(error)})") from error
        shapes = [np.shape(found) for found in (logits, embedding)]
        expected = (len(signals), len(self.record.label_map))
        if shapes[0] != expected or len(shapes[1]) != 2 or shapes[1][0] != len(signals):
            raise ExportedModelError(
                f"{self.where}: for {len(signals)} recordings it gave {LOGITS} of the shape {shapes[0]} and "
                f"{EMBEDDING} of {shapes[1]}, expected {expected} and ({len(signals)}, width): it is not the model of "
                "its config.json"
            )
        logits = np.where(np.isfinite(logits), logits, np.nan)
        return Outputs(self.record.task.probabilities_of_array(logits), embedding)


def load_onnx_model(exported: ExportedModel, threads: int | None = None) -> OnnxModel:
    """Load ``model.onnx`` of an exported model, once its digest has been compared.

    Args:
        exported: the folder.
        threads: that compute; None: ``OMP_NUM_THREADS`` where that is set, else as many as this process may use cores.

    Raises:
        ExportedModelError: if the file is damaged, or is not what ``config.json`` describes.
    """
    record, where = exported.record, str(exported.folder / ONNX)
    session = session_of(exported.read(ONNX), where, threads)
    shapes: dict[str, tuple[int, ...]] = {SIGNALS: (len(record.preprocessing.leads), record.preprocessing.samples)}
    shapes |= {name: (len(record.label_map),) for name in (LOGITS, PROBABILITIES)}
    found = {entry.name: entry for entry in (*session.get_inputs(), *session.get_outputs())}
    for name, expected in shapes.items():
        shape = tuple(found[name].shape[1:]) if name in found else None
        if shape != expected:
            raise ExportedModelError(
                f"{where}: {name} has the shape {shape} a recording, expected {expected} by config.json: the two files "
                "are not of one model; export again"
            )
    if EMBEDDING not in found:
        raise ExportedModelError(f"{where}: has no output {EMBEDDING}; export again")
    for name in (SIGNALS, LOGITS, PROBABILITIES, EMBEDDING):
        if found[name].type != "tensor(float)":
            raise ExportedModelError(f"{where}: {name} is a {found[name].type}, expected a tensor(float); export again")
    if len(session.get_inputs()) > 1:
        raise ExportedModelError(f"{where}: asks for more than {SIGNALS}; export again")
    return OnnxModel(exported, session)


def session_of(content: bytes, where: str, threads: int | None = None) -> Any:
    """A session of ONNX Runtime on the processor.

    Args:
        content: of an ONNX file.
        where: its path, for messages.
        threads: as for :func:`load_onnx_model`.

    Raises:
        ExportedModelError: if it is no plain graph of tensors, or ONNX Runtime refuses it.
    """
    import onnxruntime

    try:
        require_plain_graph(content)
    except ValueError as error:
        raise ExportedModelError(f"{where}: refused: {error}; export the model again") from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or _threads()
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime raises classes of its own, which derive from Exception alone
        raise ExportedModelError(
            f"{where}: ONNX Runtime {onnxruntime.__version__} refuses it ({first_line(error)})"
        ) from error


def _threads() -> int:
    stated = os.environ.get("OMP_NUM_THREADS", "")
    if stated.isdecimal() and int(stated):
        return int(stated)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
