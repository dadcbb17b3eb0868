"""What batches read: recordings, or the outputs of frozen parts for them, computed once."""

import hashlib
import logging
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from ecgfounder_ft.data.augmentation import Augmentation
from ecgfounder_ft.data.gather_and_split import PreparedData
from ecgfounder_ft.data.splits import TRAIN
from ecgfounder_ft.data.store.frozen_output_views import StoredViews, store_views
from ecgfounder_ft.data.store.frozen_outputs import store_activations
from ecgfounder_ft.finetune.strategy import Strategy
from ecgfounder_ft.model.network import Network

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Inputs:
    """What batches read, and where in the network they enter."""

    stored: Any
    """Signals, or stored outputs read as signals are."""
    entry: str
    """The part that batches enter at."""
    frozen: tuple[str, ...] = ()
    """The leading parts that never train."""
    training_views: StoredViews | None = None
    """Read in place of ``stored`` in training, one view per epoch."""
    augment: Augmentation | None = None
    """Changes training batches; None: they stay as they are."""


def choose_inputs(
    net: Network,
    strategy: Strategy,
    data: PreparedData,
    augmentation: Augmentation | None,
    *,
    epochs: int,
    batch_size: int,
    device: torch.device,
    precision: torch.dtype | None,
    progress: bool,
) -> Inputs:
    """Compute the output of the parts that never train once, and let batches enter behind them.

    Where signals change from epoch to epoch, that is done for as many versions of them as ``augment.stored_views``
    says, and by default not at all; nor for the first part alone, whose output is larger than its input; nor where
    batches cannot enter between the network's parts.

    Args:
        net: with its start, on the CPU, where it stays.
        strategy: says which parts never train.
        data: of the run.
        augmentation: of training batches, or None.
        epochs: of the training; with none, nothing is worth storing.
        batch_size: recordings at once.
        device: that computes.
        precision: the lower precision of mixed-precision training, in which the outputs are computed; None: float32.
        progress: show a progress bar.
    """
    parts = list(net.parts())
    frozen = tuple(strategy.frozen_prefix(parts, epochs))
    plain = Inputs(data.signals, parts[0], frozen, augment=augmentation)
    views = augmentation.stored_views if augmentation is not None else 0
    wanted = strategy.store_activations == "auto" and epochs > 0
    if wanted and frozen and not net.can_enter_between_parts:
        log.info(
            "Parts up to %s never train, but run in every epoch: batches cannot enter this network behind them, so no "
            "output is stored",
            frozen[-1],
        )
        return plain
    if not wanted or len(frozen) < 2:
        if views:
            log.info("augment.stored_views: no output of frozen parts is stored, signals change anew in every epoch")
        return plain
    if augmentation is not None and not views:
        log.info("Augmentation changes the signals: parts up to %s never train, but run in every epoch", frozen[-1])
        return plain
    if net.shifts != (0,):  # averaged outside of training alone, so that a stored output would be another one there
        log.info("model.shifts averages outside of training: parts up to %s run in every epoch", frozen[-1])
        return plain
    moved = net.to(device).eval()

    def run(signal: torch.Tensor) -> torch.Tensor:
        with torch.inference_mode(), torch.autocast(device.type, dtype=precision, enabled=precision is not None):
            return moved.run_until(frozen[-1], signal.to(device)).float().cpu()

    what = f"{frozen[-1]} of {digest_of(net.parts()[part] for part in frozen)}"
    what += f" in {precision}" if precision else ""
    stored = store_activations(data.signals, run, what, batch_size, progress)
    changed = None
    if stored is not None and augmentation is not None:
        training = np.flatnonzero((data.table["split"] == TRAIN).to_numpy())
        changed = store_views(data.signals, training, augmentation, run, what, batch_size, progress)
    net.to("cpu").train()
    if stored is None or (augmentation is not None and changed is None):
        return plain
    entry = parts[len(frozen)]
    log.info("Parts up to %s never train: batches enter at %s, from stored outputs", frozen[-1], entry)
    if changed is not None:
        log.info("Epochs take %d stored views of each training recording in turn", len(changed.views))
    return Inputs(stored, entry, frozen, training_views=changed)  # the views have the augmentation in them


def digest_of(parts: Iterable[nn.Module]) -> str:
    """Digest of the parameters and buffers (running means of batch norm) of some parts, by their values."""
    digest = hashlib.sha256()
    for part in parts:
        for name, tensor in [*part.named_parameters(), *part.named_buffers()]:
            digest.update(f"{name} {tuple(tensor.shape)} ".encode())
            digest.update(tensor.detach().cpu().contiguous().numpy().data)
    return digest.hexdigest()
