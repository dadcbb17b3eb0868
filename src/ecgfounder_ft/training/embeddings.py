"""Embeddings: what the last layer of a network reads of each recording, computed once and kept beside the store."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ecgfounder_ft.data.gather_and_split import PreparedData
from ecgfounder_ft.data.store.frozen_outputs import store_activations
from ecgfounder_ft.model.network import Network
from ecgfounder_ft.training.inputs import digest_of


def embeddings_of(net: Network, data: PreparedData, batch_size: int, device: torch.device) -> NDArray[np.float32]:
    """Return the embedding of each recording of a run, (recordings, width).

    Args:
        net: in evaluation mode; it stays on the device.
        data: of the run.
        batch_size: recordings at once.
        device: that computes, in float32.

    Raises:
        NotImplementedError: if the network's features cannot be had.
    """
    *body, _ = net.parts().values()
    what = f"features of {digest_of(body)}"
    what += f" over shifts of {list(net.shifts)} samples" if net.shifts != (0,) else ""
    moved = net.to(device)

    def run(signal: Tensor) -> Tensor:
        with torch.inference_mode():
            return moved.features(signal.to(device)).float().cpu()

    signals = data.signals
    stored = store_activations(signals, run, what, batch_size)
    if stored is not None:
        return stored.read(np.arange(len(stored)))
    begins = range(0, len(signals), batch_size)
    batches = [np.arange(begin, min(begin + batch_size, len(signals))) for begin in begins]
    return np.concatenate([run(torch.from_numpy(signals.read(batch))).numpy() for batch in batches])
