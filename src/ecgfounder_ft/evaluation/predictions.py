"""A run's predictions as a table, and as arrays.

The table has one row per recording: ``recording``, ``dataset``, ``constituent``, ``patient``, ``split``, ``age``,
``sex``, then ``label_<code>`` (1, 0, empty for unknown) and ``probability_<code>`` for each condition in output order,
the probabilities as the network gives them, uncalibrated. A column ``repairs``, phrases parted by semicolons, may be
missing.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ecgfounder_ft.evaluation.calibration import Calibration
from ecgfounder_ft.evaluation.thresholds import Thresholds
from ecgfounder_ft.labels import UNKNOWN
from ecgfounder_ft.task import Task


@dataclass(frozen=True)
class Predictions:
    """A run's predictions as arrays, and what was stored with them."""

    name: str
    """Of the run, as printed."""
    table: pd.DataFrame
    """The predictions table."""
    codes: tuple[str, ...]
    task: Task
    stored_calibration: Calibration | None = None
    stored_thresholds: Thresholds | None = None

    def rows(self, side: str) -> pd.DataFrame:
        """The rows of a side of the split."""
        return self.table[self.table["split"] == side]

    def targets(self, rows: pd.DataFrame) -> NDArray[np.int8]:
        """(n, k) 1, 0 or -1."""
        return rows[[f"label_{code}" for code in self.codes]].fillna(UNKNOWN).to_numpy(dtype=np.int8)

    def probabilities(self, rows: pd.DataFrame) -> NDArray[np.float64]:
        """(n, k) as the network gives them, NaN where there is none."""
        return rows[[f"probability_{code}" for code in self.codes]].to_numpy(dtype=np.float64)


def predictions_table(
    recordings: pd.DataFrame, targets: NDArray[np.int8], probabilities: NDArray[np.floating], codes: Sequence[str]
) -> pd.DataFrame:
    """A predictions table.

    Args:
        recordings: one row per recording with the columns before the labels, and ``repairs`` where known.
        targets: (n, k) 1, 0 or -1.
        probabilities: (n, k) as the network gives them.
        codes: (k,) condition codes in output order.
    """
    wanted = ["recording", "dataset", "constituent", "patient", "split", "age", "sex", "repairs"]
    frame = recordings[[name for name in wanted if name in recordings]].reset_index(drop=True)
    for column, code in enumerate(codes):
        labels = pd.Series(targets[:, column], dtype="Int8")
        frame[f"label_{code}"] = labels.mask(labels == UNKNOWN)
    for column, code in enumerate(codes):
        frame[f"probability_{code}"] = probabilities[:, column].astype(np.float64)
    return frame
