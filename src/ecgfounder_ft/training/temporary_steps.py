"""Training steps that leave no trace, for what is found out before training begins."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from ecgfounder_ft.finetune.strategy import Strategy, freeze
from ecgfounder_ft.training.classifier import Classifier


@contextmanager
def trial(classifier: Classifier, strategy: Strategy, epoch: int, device: torch.device) -> Iterator[dict[str, float]]:
    """Inside, the classifier is on ``device`` and frozen as in an epoch; afterwards it is on the CPU as it was before.

    So are torch's random numbers, from which dropout draws.

    Args:
        classifier: with its training plan.
        strategy: what trains.
        epoch: whose rates hold.
        device: on which to train.

    Yields:
        The multiple of the learning rate of each part.
    """
    plan = classifier.training_plan
    assert plan is not None
    before = {name: tensor.detach().clone() for name, tensor in classifier.state_dict().items()}
    classifier.to(device)
    parts = classifier.net.parts()
    rates = strategy.rates(list(parts), epoch)
    freeze(parts, rates, strategy)
    try:
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            yield rates
    finally:
        classifier.net.zero_grad(set_to_none=True)
        classifier.net.requires_grad_(True)
        classifier.to("cpu")
        classifier.load_state_dict(before)
