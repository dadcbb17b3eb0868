"""The Lightning side of the data: the loaders of a split, and what the loss needs to know of the training side."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytorch_lightning as pl
from numpy.typing import NDArray

from ecgfounder_ft.data.batches import BatchLoader, BatchOrder, RecordingBatches, batch_loader
from ecgfounder_ft.data.splits import EXCLUDED, SIDES, TEST, TRAIN, VALIDATION
from ecgfounder_ft.data.store.frozen_output_views import StoredViews
from ecgfounder_ft.data.store.frozen_outputs import StoredActivations
from ecgfounder_ft.data.store.signal_store import StoredSignals
from ecgfounder_ft.labels import PRESENT
from ecgfounder_ft.task import Task

IMBALANCE = ("none", "balanced_sampler", "pos_weight")


class ECGDataModule(pl.LightningDataModule):
    """Loaders of train, validation and test.

    Only the training side is ever rebalanced; validation and test keep the prevalence of the data. Recordings that the
    task cannot use are left out on every side.

    Args:
        stored: the preprocessed signals, or stored outputs of frozen parts that are read in their place.
        split: side of each stored recording, (recordings,).
        targets: int8 (recordings, conditions): 1 present, 0 absent, -1 unknown.
        codes: the conditions, for messages.
        task: what the model is asked.
        training_views: read in place of ``stored`` in training, one view per epoch.
        batch_size: recordings per batch and device.
        imbalance: ``none``; ``balanced_sampler``: every condition is drawn equally often (see
            :func:`balanced_weights`); ``pos_weight``: the loss weighs conditions, as the task says.
        seed: of the order of the training batches.
        workers: processes that read, see :func:`~ecgfounder_ft.data.batches.batch_loader`.

    Raises:
        ValueError: if the arguments contradict each other, or the training side is empty.
    """

    def __init__(
        self,
        stored: StoredSignals | StoredActivations,
        split: pd.Series | Sequence[str],
        targets: NDArray[np.int8],
        codes: Sequence[str],
        task: Task,
        *,
        training_views: StoredViews | None = None,
        batch_size: int = 32,
        imbalance: str = "none",
        seed: int = 0,
        workers: int = 0,
    ) -> None:
        super().__init__()
        sides = np.asarray(split, dtype=object)
        if imbalance not in IMBALANCE:
            raise ValueError(f"data.imbalance is {imbalance!r}, expected one of: {', '.join(IMBALANCE)}")
        if targets.shape != (len(stored), len(codes)) or len(sides) != len(stored):
            raise ValueError(
                f"{len(stored)} stored recordings, {len(sides)} sides, targets {targets.shape}; "
                f"expected ({len(stored)}, {len(codes)})"
            )
        self.stored = stored
        self.training_views = training_views
        self.targets = np.ascontiguousarray(targets, dtype=np.int8)
        self.codes = tuple(codes)
        self.task = task
        self.batch_size = batch_size
        self.imbalance = imbalance
        self.seed = seed
        self.workers = workers
        usable = (sides != EXCLUDED) & task.usable(self.targets)
        self.positions: dict[str, NDArray[np.int64]] = {
            side: np.flatnonzero(usable & (sides == side)) for side in SIDES
        }
        """Positions of the recordings of each side in the store, those that the task uses."""
        self.unusable: dict[str, int] = {side: int((sides == side).sum()) - len(self.positions[side]) for side in SIDES}
        """Recordings of each side that the task leaves out."""
        if not len(self.positions[TRAIN]):
            raise ValueError(
                f"no recording to train on: {int((sides == TRAIN).sum())} on the train side, "
                f"{self.unusable[TRAIN]} of them of no use: {task.unusable}"
            )

    def train_dataloader(self) -> BatchLoader:
        """Shuffled by the seed and the epoch, or drawn with balance."""
        positions = self.positions[TRAIN]
        weights = balanced_weights(self.targets[positions]) if self.imbalance == "balanced_sampler" else None
        return self._loader(positions, shuffle=True, weights=weights, views=self.training_views)

    def val_dataloader(self) -> BatchLoader:
        """Rows in the order of the store."""
        return self.loader(VALIDATION)

    def test_dataloader(self) -> BatchLoader:
        """Rows in the order of the store."""
        return self.loader(TEST)

    def loader(self, side: str) -> BatchLoader:
        """The recordings of a side in the order of the store, each once, whatever the imbalance setting."""
        return self._loader(self.positions[side])

    def _loader(
        self,
        positions: NDArray[np.int64],
        shuffle: bool = False,
        weights: NDArray[np.float64] | None = None,
        views: StoredViews | None = None,
    ) -> BatchLoader:
        order = BatchOrder(
            positions,
            self.batch_size,
            shuffle=shuffle,
            weights=weights,
            seed=self.seed,
            views=len(views.views) if views else 1,
            stride=len(self.stored),
            processes=self.trainer.world_size if self.trainer else 1,
            process=self.trainer.global_rank if self.trainer else 0,
        )
        return batch_loader(RecordingBatches(views or self.stored, self.targets), order, self.workers)


def balanced_weights(targets: NDArray[np.int8]) -> NDArray[np.float64]:
    """Probabilities with which to draw recordings so that each condition is drawn equally often, (recordings,).

    As if a condition were drawn first, all with the same probability and 'none of them' as one more, and then one of
    its recordings; a recording with several conditions can be drawn through each of them. In a multi-label task,
    conditions that come along with others are therefore still met more often than that.

    Args:
        targets: int8 (recordings, conditions).
    """
    present = targets == PRESENT
    groups = np.column_stack([present, ~present.any(axis=1)])
    counts = groups.sum(axis=0)
    shares = np.divide(1.0, counts, out=np.zeros(len(counts)), where=counts > 0)
    return groups @ shares
