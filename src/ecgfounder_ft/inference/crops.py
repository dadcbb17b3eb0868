"""A model that reads each recording several times, shifted in time, and answers with the mean."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ecgfounder_ft.inference.predictor import Outputs, Predictor

SPAN_SECONDS = 0.5
"""The farthest shift to either side, as in the comparison of ``model.shifts`` in docs/recipe.md."""


@dataclass(frozen=True)
class AveragedCrops(Predictor):
    """A model whose outputs are the mean over overlapping crops of the preprocessed recording.

    The crops are as long as the model's input and lie evenly from half a second before to half a second after it; zeros
    stand where a crop reaches beyond the recording. It takes as many passes as there are crops.
    """

    model: Predictor
    crops: int
    """Crops of each recording, 1 or more."""

    @property
    def record(self):  # type: ignore[no-untyped-def, override]
        """The model's record."""
        return self.model.record

    @property
    def backend(self) -> str:  # type: ignore[override]
        """The model's library."""
        return self.model.backend

    @property
    def bf16(self) -> bool:  # type: ignore[override]
        """Whether the model computes in bfloat16."""
        return self.model.bf16

    @property
    def on_gpu(self) -> bool:  # type: ignore[override]
        """Whether a GPU computes."""
        return self.model.on_gpu

    @property
    def digest(self) -> str:  # type: ignore[override]
        """Digest of the model and of how it is asked."""
        return f"{self.model.digest}, {self.crops} crops"

    def outputs(self, signals: NDArray[np.float32]) -> Outputs:
        """Preprocessed signals (n, leads, samples) to the mean of what the model gives for the crops."""
        span = round(SPAN_SECONDS * self.record.preprocessing.sampling_rate)
        shifts = np.linspace(-span, span, self.crops).round().astype(int) if self.crops > 1 else [0]
        found = [self.model.outputs(shifted(signals, int(shift))) for shift in shifts]
        return Outputs(
            np.mean([one.uncalibrated for one in found], axis=0),
            np.mean([one.embedding for one in found], axis=0, dtype=np.float32),
        )


def shifted(signals: NDArray[np.float32], samples: int) -> NDArray[np.float32]:
    """Move signals (n, leads, samples) to a later time, or to an earlier one below 0; zeros move in."""
    moved = np.zeros_like(signals)
    if samples >= 0:
        moved[..., samples:] = signals[..., : signals.shape[-1] - samples]
    else:
        moved[..., :samples] = signals[..., -samples:]
    return moved
