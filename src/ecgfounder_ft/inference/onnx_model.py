"""An exported model on ONNX Runtime: the same answers without torch."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ecgfounder_ft.inference.exported_model import ONNX, ExportedModel, ExportedModelError
from ecgfounder_ft.inference.predictor import Outputs, Predictor
from ecgfounder_ft.model.card import ModelCard

if TYPE_CHECKING:
    import onnxruntime

SIGNALS, LOGITS, PROBABILITIES, EMBEDDING = "signals", "logits", "probabilities", "embedding"
"""Names of the input and of the outputs of ``model.onnx``."""


class OnnxModel(Predictor):
    """``model.onnx`` of an exported model, on the processor.

    Args:
        card: record of the model.
        session: of ``model.onnx``.
        digest: of the exported model.
    """

    def __init__(self, card: ModelCard, session: onnxruntime.InferenceSession, digest: str) -> None:
        self.card = card
        self.session = session
        self._digest = digest

    @property
    def digest(self) -> str:
        """That of ``config.json``, which has the digests of all other files in it."""
        return self._digest

    @property
    def on_gpu(self) -> bool:
        """Never: ONNX Runtime's own builds for GPUs are another package, and torch is there for them."""
        return False

    @property
    def backend(self) -> str:
        """ONNX Runtime."""
        return "onnxruntime"

    def outputs(self, signals: NDArray[np.float32]) -> Outputs:
        """Preprocessed signals (n, leads, samples) to what the network gives, NaN where it overflows."""
        logits, embedding = self.session.run([LOGITS, EMBEDDING], {SIGNALS: np.ascontiguousarray(signals)})
        logits = np.where(np.isfinite(logits), logits, np.nan)
        return Outputs(self.card.task.probabilities_of_array(logits), embedding)


def load_onnx_model(exported: ExportedModel, threads: int | None = None) -> OnnxModel:
    """Load ``model.onnx`` of an exported model, once its digest has been compared.

    Args:
        exported: the folder.
        threads: that compute; None: ``OMP_NUM_THREADS`` where that is set, else as many as this process may use cores.

    Raises:
        ExportedModelError: if the file is damaged, or is not what ``config.json`` describes.
    """
    card = exported.card
    session = session_of(exported.read(ONNX), str(exported.folder / ONNX), threads)
    shapes: dict[str, tuple[int, ...]] = {SIGNALS: (len(card.preprocessing.leads), card.preprocessing.samples)}
    shapes |= {name: (len(card.label_map),) for name in (LOGITS, PROBABILITIES)}
    found = {entry.name: tuple(entry.shape[1:]) for entry in (*session.get_inputs(), *session.get_outputs())}
    for name, expected in shapes.items():
        if found.get(name) != expected:
            raise ExportedModelError(
                f"{exported.folder / ONNX}: {name} has the shape {found.get(name)} a recording, expected {expected} by "
                "config.json: the two files are not of one model; export again"
            )
    if EMBEDDING not in found:
        raise ExportedModelError(f"{exported.folder / ONNX}: has no output {EMBEDDING}; export again")
    return OnnxModel(card, session, str(exported.content["sha256"]))


def session_of(content: bytes, where: str, threads: int | None = None) -> Any:
    """A session of ONNX Runtime on the processor.

    Args:
        content: of an ONNX file.
        where: its path, for messages.
        threads: as for :func:`load_onnx_model`.

    Raises:
        ExportedModelError: if ONNX Runtime refuses the file.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or _threads()
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime raises classes of its own, which derive from Exception alone
        raise ExportedModelError(f"{where}: ONNX Runtime {onnxruntime.__version__} refuses it ({error})") from error


def _threads() -> int:
    stated = os.environ.get("OMP_NUM_THREADS", "")
    if stated.isdecimal() and int(stated):
        return int(stated)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
