"""Signals in memory that are read as those of a signal store are."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray


class FakeStore:
    """What is used of a signal store by what trains on it or computes from it.

    Args:
        signals: float32 (recordings, leads, samples).
        folder: where outputs for them are stored, by what stores any.
        rows: of each recording in a shard; they tell which signal it is.
    """

    def __init__(self, signals: NDArray[np.float32], folder: Path = Path(), rows: Sequence[int] | None = None) -> None:
        self.signals = signals
        self.folder = folder
        self.rows = pd.DataFrame({"shard": "shard-a.npy", "row": range(len(signals)) if rows is None else rows})
        self.shape = signals.shape[1:]

    def __len__(self) -> int:
        return len(self.signals)

    def read(
        self, indices: Sequence[int] | NDArray[np.integer], out: NDArray[np.float32] | None = None
    ) -> NDArray[np.float32]:
        return np.take(self.signals, np.asarray(indices, dtype=np.int64), axis=0, out=out)


def ten_signals(folder: Path, rows: Sequence[int] = range(10)) -> FakeStore:
    """Some or all of the same ten recordings, of 3 leads and 20 samples."""
    signals = np.random.default_rng(0).normal(size=(10, 3, 20)).astype(np.float32)
    return FakeStore(signals[list(rows)], folder, rows)


def mean_over_time(signal: torch.Tensor) -> torch.Tensor:
    return signal.mean(dim=2)
