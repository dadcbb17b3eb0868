"""What is used of a signal store by what computes on stored signals: 10 recordings of 3 leads and 20 samples."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch


class TenSignals:
    """Some or all of the ten, in memory."""

    def __init__(self, folder: Path, rows: Sequence[int] = range(10)) -> None:
        self.folder = folder
        self.rows = pd.DataFrame({"shard": "shard-a.npy", "row": rows})
        self.array = np.random.default_rng(0).normal(size=(10, 3, 20)).astype(np.float32)[list(rows)]

    def __len__(self) -> int:
        return len(self.array)

    def read(self, indices: np.ndarray) -> np.ndarray:
        return self.array[np.asarray(indices)]


def mean_over_time(signal: torch.Tensor) -> torch.Tensor:
    return signal.mean(dim=2)
