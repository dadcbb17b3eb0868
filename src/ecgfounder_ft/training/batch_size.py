"""``data.batch_size=auto``: the batch size at which this device trains at full speed."""

import time
from dataclasses import dataclass

import torch

from ecgfounder_ft.finetune.strategy import Strategy
from ecgfounder_ft.training.classifier import Classifier
from ecgfounder_ft.training.temporary_steps import temporary_steps

SMALLEST, LARGEST = 8, 1024
_TIMED_STEPS = 3
_STEPS_PER_EPOCH = 8
_WORTH_DOUBLING = 1.05
_MEMORY_SHARE = 0.9
"""Of the GPU's memory; the rest is left to fragments and to other programs."""


@dataclass
class BatchSizeSearch:
    """What was tried, and what is taken."""

    chosen: int
    speed: dict[int, float]
    """Recordings per second in training, by batch size."""
    too_large: int | None = None
    """The first size that the GPU's memory did not hold."""


def find_batch_size(
    classifier: Classifier,
    strategy: Strategy,
    shape: tuple[int, ...],
    recordings: int,
    epochs: int,
    device: torch.device,
    autocast: torch.dtype | None = None,
) -> BatchSizeSearch:
    """Train a few steps with 8, 16, 32, ... recordings of noise; the network stays as it was.

    Taken is the size from which doubling gains less than 5%, since a larger batch then only means fewer optimizer
    steps. The search ends where the memory of the GPU does, or at an eighth of the training recordings, so that an
    epoch has at least eight steps.

    Args:
        classifier: to be trained.
        strategy: whose most expensive epoch is taken.
        shape: of a recording as batches hold it.
        recordings: on the training side.
        epochs: of the training.
        device: on which to train.
        autocast: the lower precision of mixed-precision training; None: float32.

    Raises:
        torch.OutOfMemoryError: if not even the smallest batch fits.
    """
    names = list(classifier.net.parts())
    training = [
        sum(multiplier > 0 for multiplier in strategy.multipliers(names, epoch).values())
        for epoch in range(max(epochs, 1))
    ]
    found = BatchSizeSearch(SMALLEST, {})
    with temporary_steps(classifier, strategy, training.index(max(training)), device):
        optimizer = classifier.training_settings.optimizer(classifier.parameter_groups())
        size = SMALLEST
        while size <= min(LARGEST, max(recordings // _STEPS_PER_EPOCH, SMALLEST)):
            try:
                found.speed[size] = _speed(classifier, optimizer, size, shape, device, autocast)
            except torch.OutOfMemoryError:
                if size == SMALLEST:
                    raise
                found.too_large = size
                break
            if found.speed[size] > _WORTH_DOUBLING * found.speed[found.chosen]:
                found.chosen = size
            elif size > 2 * found.chosen:  # twice without gain: not chance
                break
            size *= 2
    return found


def _speed(
    classifier: Classifier,
    optimizer: torch.optim.Optimizer,
    size: int,
    shape: tuple[int, ...],
    device: torch.device,
    autocast: torch.dtype | None,
) -> float:
    """Recordings per second, with the median of the timed steps.

    Raises:
        torch.OutOfMemoryError: if the step needs more than its share of the GPU's memory.
    """
    on_gpu = device.type == "cuda"
    signal = torch.randn(size, *shape, device=device)
    target = torch.zeros(size, len(classifier.record.label_map), dtype=torch.int8, device=device)
    target[:, 0] = 1
    if on_gpu:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
    seconds = []
    for _ in range(1 + _TIMED_STEPS):
        begun = time.perf_counter()
        optimizer.zero_grad()
        with torch.autocast(device.type, dtype=autocast, enabled=autocast is not None):
            loss = classifier.losses(classifier.net.run_from(classifier.entry, signal), target).mean()
        loss.backward()
        optimizer.step()
        if on_gpu:
            torch.cuda.synchronize(device)
        seconds.append(time.perf_counter() - begun)
    if on_gpu:
        needed, there = torch.cuda.max_memory_allocated(device), torch.cuda.mem_get_info(device)[1]
        if needed > _MEMORY_SHARE * there:
            raise torch.OutOfMemoryError(f"{needed / 2**30:.1f} GiB of {there / 2**30:.1f} GiB")
    return size / sorted(seconds[1:])[_TIMED_STEPS // 2]
