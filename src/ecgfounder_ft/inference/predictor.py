"""The protocol of a model that predicts: a network with the record of its input and output, whatever computes it.

Signals go in as the preprocessing of the record leaves them, so that every way of computing gives the same answer.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ecgfounder_ft.errors import ExplainedError
from ecgfounder_ft.evaluation.calibration import Calibration
from ecgfounder_ft.model.record import ModelRecord


class ModelFileError(ExplainedError):
    """A model file that is absent or carries no record of what it is."""


class DeviceError(ExplainedError):
    """A device, or a way of computing, that is not there."""


@dataclass(frozen=True)
class Outputs:
    """Results of a network for n recordings."""

    uncalibrated: NDArray[np.float64]
    """(n, conditions) probabilities, before calibration."""
    embedding: NDArray[np.float32]
    """(n, width), the input of the last layer."""


def checked_record(content: Any) -> ModelRecord:
    """The record in a file, whole and in itself consistent.

    Raises:
        ValueError: that says what is wrong with it.
    """
    record = ModelRecord.from_dict(content)
    codes = list(record.label_map.codes)
    if record.calibration is not None:
        found = Calibration.from_dict(record.calibration)
        if found.codes != codes or found.task != record.task.name:
            raise ValueError(f"calibration is of the {found.task} conditions {', '.join(found.codes)}")
        for values in (found.slopes, found.intercepts):
            if values is not None and len(values) != len(codes):
                raise ValueError(f"calibration has {len(values)} slopes or intercepts for {len(codes)} conditions")
    if record.thresholds is not None and sorted(record.thresholds) != sorted(codes):
        raise ValueError(f"thresholds are of the conditions {', '.join(record.thresholds)}")
    for code, value in (record.thresholds or {}).items():
        if not 0 < value <= 1:
            raise ValueError(f"the threshold of {code} is {value:g}, expected above 0 and up to 1")
    return record


class Predictor(ABC):
    """A model that can be asked."""

    record: ModelRecord
    """Record of the model's input and output."""
    bf16: bool = False
    """Whether it computes in bfloat16."""
    on_gpu: bool = False
    """Whether a GPU computes."""
    backend: str
    """Library that computes: ``torch`` or ``onnxruntime``."""

    digest: str
    """Digest of weights and record, by which an interrupted prediction knows its model again."""

    @abstractmethod
    def outputs(self, signals: NDArray[np.float32]) -> Outputs:
        """Preprocessed signals (n, leads, samples) to what the network gives."""

    def uncalibrated(self, signals: NDArray[np.float32]) -> NDArray[np.float64]:
        """Preprocessed signals (n, leads, samples) to probabilities (n, conditions) as the network gives them."""
        return self.outputs(signals).uncalibrated

    def calibrated(self, uncalibrated: NDArray[np.float64]) -> NDArray[np.float64]:
        """Probabilities (n, conditions) as the network gives them, calibrated as the record says."""
        if self.record.calibration is None:
            return uncalibrated
        return Calibration.from_dict(self.record.calibration).apply(uncalibrated)

    def probabilities(self, signals: NDArray[np.float32]) -> NDArray[np.float64]:
        """Preprocessed signals (n, leads, samples) to calibrated probabilities (n, conditions)."""
        return self.calibrated(self.uncalibrated(signals))

    def decisions(self, probabilities: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Calibrated probabilities (n, conditions) to decisions (n, conditions), by the record's thresholds."""
        given = self.record.thresholds
        codes = self.record.label_map.codes
        thresholds = None if given is None else np.array([given[code] for code in codes])
        return self.record.task.decisions(probabilities, thresholds)
