"""Augmentation together with stored activations: outputs of a few changed versions of each recording, taken in turn.

A view is one changed version of every training recording. Its activations are computed once, like those of unchanged
recordings; epoch e trains on view e modulo their number.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from ecgfounder_ft.data.augmentation import Augmentation
from ecgfounder_ft.data.store.frozen_outputs import StoredActivations, store_activations
from ecgfounder_ft.data.store.signal_store import StoredSignals


class ChangedSignals:
    """The recordings at some positions of a signal store as one view has them; read as :class:`StoredSignals` are.

    What a recording becomes follows from the augmentation's seed, the view and the recording's position alone, not
    from the batch that it is read in.

    Args:
        stored: the unchanged signals.
        positions: int64 (recordings,), in ``stored``.
        augmentation: without mixup, which needs a batch.
        view: number of the view.
    """

    def __init__(
        self, stored: StoredSignals, positions: NDArray[np.int64], augmentation: Augmentation, view: int
    ) -> None:
        if augmentation.mixup:
            raise ValueError(f"mixup is {augmentation.mixup}, expected 0: it mixes batches, a view holds recordings")
        self.stored = stored
        self.positions = positions
        self.augmentation = augmentation
        self.view = view
        self.folder = stored.folder
        self.rows: pd.DataFrame = stored.rows.iloc[positions]

    def __len__(self) -> int:
        return len(self.positions)

    def read(self, indices: Sequence[int] | NDArray[np.integer]) -> NDArray[np.float32]:
        """Changed signals of some of the recordings, float32 (len(indices), leads, samples)."""
        positions = self.positions[np.asarray(indices, dtype=np.int64)]
        signals = torch.from_numpy(self.stored.read(positions))
        for row, position in enumerate(positions.tolist()):
            signals[row : row + 1] = self.augmentation(signals[row : row + 1], (self.view, position))[0]
        return signals.numpy()


class StoredViews:
    """Stored activations of all views, read as :class:`StoredSignals` are.

    Reading goes by the positions of the unchanged store, those of each further view behind those of the one before:
    position p in view v is ``v * recordings + p``.

    Args:
        views: the activations of each view, one row per recording at ``positions``.
        positions: int64, of the views' recordings in the unchanged store.
        recordings: of the unchanged store.
    """

    def __init__(self, views: Sequence[StoredActivations], positions: NDArray[np.int64], recordings: int) -> None:
        self.views = views
        self.recordings = recordings
        self._row_of = np.full(recordings, -1, dtype=np.int64)
        self._row_of[positions] = np.arange(len(positions))

    def __len__(self) -> int:
        return len(self.views) * self.recordings

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of each recording's array."""
        return self.views[0].shape

    def read(
        self, indices: Sequence[int] | NDArray[np.integer], out: NDArray[np.float32] | None = None
    ) -> NDArray[np.float32]:
        """Activations of recordings of one view, (len(indices), ...), in ``out`` where given.

        Raises:
            IndexError: if the recordings are of several views, or one of them is in none.
        """
        views, positions = np.divmod(np.asarray(indices, dtype=np.int64), self.recordings)
        rows = self._row_of[positions]
        if len(rows) and (views.min() != views.max() or views.max() >= len(self.views) or rows.min() < 0):
            raise IndexError(f"expected recordings of one of {len(self.views)} views, found views {np.unique(views)}")
        return self.views[views[0] if len(views) else 0].read(rows, out=out)


def store_views(
    signals: StoredSignals,
    positions: NDArray[np.int64],
    augmentation: Augmentation,
    run: Callable[[torch.Tensor], torch.Tensor],
    what: str,
    batch_size: int,
    progress: bool = False,
) -> StoredViews | None:
    """The outputs for ``augmentation.stored_views`` views, computed now or found on disk; None without room for them.

    Args:
        signals: the unchanged recordings.
        positions: int64, of the recordings to train on.
        augmentation: changes them.
        run: as for :func:`~ecgfounder_ft.data.store.frozen_outputs.store_activations`, and so are the rest.
        what: names the outputs for unchanged recordings.
        batch_size: recordings computed at once.
        progress: show one progress bar per view.
    """
    each = replace(augmentation, stored_views=0)  # so that a run that wants more of them finds these
    views = []
    for view in range(augmentation.stored_views):
        changed = ChangedSignals(signals, positions, each, view)
        stored = store_activations(changed, run, f"{what}, view {view} of {each}", batch_size, progress)
        if stored is None:
            return None
        views.append(stored)
    return StoredViews(views, positions, len(signals))
