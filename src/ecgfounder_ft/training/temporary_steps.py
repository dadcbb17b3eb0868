"""Training steps that leave no trace, for what is found out before training begins."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from ecgfounder_ft.finetune.strategy import Strategy
from ecgfounder_ft.training.callbacks import freeze
from ecgfounder_ft.training.classifier import Classifier


@contextmanager
def temporary_steps(
    classifier: Classifier, strategy: Strategy, epoch: int, device: torch.device
) -> Iterator[dict[str, float]]:
    """Inside, the classifier is on ``device`` and frozen as in an epoch; afterwards it is on the CPU as it was before.

    So are torch's random numbers, from which dropout draws.

    Args:
        classifier: to be trained.
        strategy: what trains.
        epoch: whose multipliers hold.
        device: on which to train.

    Yields:
        The multiplier of each part.
    """
    before = {name: tensor.detach().clone() for name, tensor in classifier.state_dict().items()}
    classifier.to(device)
    parts = classifier.net.parts()
    multipliers = strategy.multipliers(list(parts), epoch)
    freeze(parts, multipliers, strategy)
    try:
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            yield multipliers
    finally:
        classifier.net.zero_grad(set_to_none=True)
        classifier.net.requires_grad_(True)
        classifier.to("cpu")
        classifier.load_state_dict(before)
