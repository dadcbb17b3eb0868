"""Batches from the signal store: in which order, and from where to go on after an interruption."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset, DistributedSampler

from ecgfounder_ft.data.store.frozen_output_views import StoredViews
from ecgfounder_ft.data.store.frozen_outputs import StoredActivations
from ecgfounder_ft.data.store.signal_store import StoredSignals
from ecgfounder_ft.errors import worker_deaths_explained
from ecgfounder_ft.interruption import children_left_alone, heed_parent

Batch = dict[str, torch.Tensor]


class RecordingBatches(Dataset[Batch]):
    """Whole batches by the positions of their recordings: one read per recording, and no collation.

    A batch holds ``signal`` float32 (N, leads, samples), ``target`` int8 (N, conditions) with 1 present, 0 absent and
    -1 unknown, and ``index`` int64 (N,), the positions themselves. On a machine with CUDA the signals are read straight
    into page-locked memory, from which they are copied to the device while it computes.

    Args:
        stored: the signals, or what is read like them in their place; where it holds several views of each recording,
            all of the first view, then all of the second and so on.
        targets: int8 (recordings, conditions).
    """

    def __init__(self, stored: StoredSignals | StoredActivations | StoredViews, targets: NDArray[np.int8]) -> None:
        self.stored = stored
        self.targets = targets

    def __len__(self) -> int:
        return len(self.stored)

    def __getitem__(self, positions: Sequence[int] | NDArray[np.integer]) -> Batch:
        place = np.asarray(positions, dtype=np.int64)
        index = place % len(self.targets)
        in_worker = torch.utils.data.get_worker_info() is not None
        signal = torch.empty((len(index), *self.stored.shape), pin_memory=torch.cuda.is_available() and not in_worker)
        self.stored.read(place, out=signal.numpy())
        target = torch.from_numpy(self.targets[index])
        return {"signal": signal, "target": target, "index": torch.from_numpy(index)}


class BatchOrder(DistributedSampler[NDArray[np.int64]]):
    """The batches of an epoch, each an array of positions; what an epoch holds follows from the seed and its number.

    It is a DistributedSampler so that Lightning leaves it in place and tells it the epoch: each process of a
    distributed run takes its own part of every batch. Where the last batch has fewer recordings than there are
    processes, some are repeated, so that no process waits for another.

    Args:
        positions: int64 (recordings,), which recordings there are.
        batch_size: recordings per batch and process.
        shuffle: draw a new order in each epoch; otherwise the order given.
        weights: (recordings,), draw as many as there are with replacement, with these probabilities up to a factor.
        seed: of the orders.
        views: versions of each recording that the epochs take in turn.
        stride: from a recording's position in one view to that in the next.
        processes: of the distributed run.
        process: this one's number.
    """

    def __init__(
        self,
        positions: NDArray[np.int64],
        batch_size: int,
        *,
        shuffle: bool = False,
        weights: NDArray[np.float64] | None = None,
        seed: int = 0,
        views: int = 1,
        stride: int = 0,
        processes: int = 1,
        process: int = 0,
    ) -> None:
        if batch_size < 1:
            raise ValueError(f"batch_size is {batch_size}, expected 1 or more")
        super().__init__(range(len(positions)), processes, process, shuffle, seed)  # type: ignore[arg-type]
        self.positions = positions
        self.batch_size = batch_size
        self.weights = weights
        self.views = views
        self.stride = stride
        self.start = 0
        """Batches of the current epoch that were given before an interruption."""

    def __len__(self) -> int:
        return -(-len(self.positions) // (self.batch_size * self.num_replicas))

    def order(self) -> NDArray[np.int64]:
        """Positions of this epoch over all processes, in turn."""
        count = len(self.positions)
        generator = np.random.default_rng((self.seed, self.epoch))
        if self.weights is not None:
            probabilities = self.weights / self.weights.sum()
            return self.positions[generator.choice(count, size=count, p=probabilities)]
        return self.positions[generator.permutation(count)] if self.shuffle else self.positions

    def __iter__(self) -> Iterator[NDArray[np.int64]]:
        order = self.order() + self.epoch % self.views * self.stride
        start, self.start = self.start, 0
        size = self.batch_size * self.num_replicas
        for number in range(start, len(self)):
            batch = order[number * size : (number + 1) * size]
            if len(batch) < self.num_replicas:
                batch = np.resize(batch, self.num_replicas)
            yield np.array_split(batch, self.num_replicas)[self.rank]

    def set_epoch(self, epoch: int) -> None:
        """Number of the epoch that is iterated next; a new one begins at its first batch."""
        if epoch != self.epoch:
            self.start = 0
        super().set_epoch(epoch)


class BatchLoader(DataLoader[Batch]):
    """A loader that goes on in the middle of an epoch, as Lightning's checkpoints ask for (``state_dict``).

    Without worker processes a thread reads the next batch while the model works on this one. Build it by
    :func:`batch_loader`.
    """

    given = 0
    """Batches of the current epoch that were handed out."""

    @property
    def _order(self) -> BatchOrder:
        if not isinstance(self.sampler, BatchOrder):
            raise TypeError(f"the sampler is a {type(self.sampler).__name__}; build the loader by batch_loader()")
        return self.sampler

    def __iter__(self) -> Any:
        self.given = self._order.start
        with children_left_alone() if self.num_workers else nullcontext():
            batches = super().__iter__() if self.num_workers else self._read_ahead()
        with worker_deaths_explained():
            for batch in batches:
                self.given += 1
                yield batch

    def _read_ahead(self) -> Iterator[Batch]:
        with ThreadPoolExecutor(1) as reader:
            ahead = None
            for positions in self.sampler:
                following = reader.submit(self.dataset.__getitem__, positions)
                if ahead is not None:
                    yield ahead.result()
                ahead = following
            if ahead is not None:
                yield ahead.result()

    def state_dict(self) -> dict[str, int]:
        """Where the epoch stands."""
        return {"epoch": self._order.epoch, "given": self.given, "batches": len(self)}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Go on where the epoch stood.

        Raises:
            ValueError: if it stood in the middle of an epoch of another number of batches.
        """
        in_the_middle = 0 < state["given"] < state["batches"]
        if in_the_middle and state["batches"] != len(self):
            raise ValueError(
                f"the checkpoint stands after batch {state['given']} of {state['batches']}, but an epoch now has "
                f"{len(self)} batches: resume with the same recordings, batch size and number of devices, "
                "or from a checkpoint made at the end of an epoch"
            )
        self._order.set_epoch(state["epoch"])
        self._order.start = self.given = state["given"] if in_the_middle else 0


def batch_loader(batches: RecordingBatches, order: BatchOrder, workers: int = 0) -> BatchLoader:
    """A loader of whole batches.

    Args:
        batches: gives the batches.
        order: says which.
        workers: processes that read. A batch of 32 is read in about a millisecond, a hundredth of a training step on
            a processor and less than one on a GPU, and the thread of :class:`BatchLoader` hides even that, while
            worker processes take cores from the model and copy each batch once more. So none is the rule; they help
            only where the store lies on slow remote storage.
    """
    return BatchLoader(
        batches,
        sampler=order,
        batch_size=None,
        num_workers=workers,
        persistent_workers=workers > 0,
        pin_memory=workers > 0 and torch.cuda.is_available(),
        multiprocessing_context="spawn" if workers else None,
        worker_init_fn=heed_parent,
    )
