"""Which parts of a recording speak for a condition: integrated gradients, and whether they mean anything.

Integrated gradients (Sundararajan et al., ICML 2017, through captum) share out the difference between the network's
output for a recording and for a flat line over the samples. An attribution is worth showing only if it depends on what
the network has learned; the randomisation check of Adebayo et al. (NeurIPS 2018) compares it with that of a network of
the same build with random weights. The weights are the recording times the gradient averaged along the way, and the
recording alone makes any two attributions alike, so the gradients are compared instead.
"""

import copy
from dataclasses import dataclass

import numpy as np
import torch
from captum.attr import IntegratedGradients
from numpy.typing import NDArray
from scipy.stats import spearmanr
from torch import nn

DEFAULT_STEPS = 32
"""Points of the Gauss-Legendre integral from the flat line to the recording."""

_BATCH = 32
"""Inputs in the network at a time."""

SANE_BELOW = 0.5
"""Largest rank correlation with a random network at which attributions are taken to show what was learned."""


@dataclass(frozen=True)
class Attribution:
    """Weights for (positive) or against (negative) one output for each input."""

    weights: NDArray[np.float32]
    """(n, leads, samples), in units of the network's output."""
    gap: NDArray[np.float32]
    """(n,): what the weights of a recording add up to, minus the difference of outputs; 0 for an exact integral."""


@dataclass(frozen=True)
class RandomisationCheck:
    """How alike attributions of the trained and of a random network are."""

    correlation: float | None
    """Mean Spearman correlation of absolute averaged gradients over recordings; None where it does not exist."""
    drawn_correlation: float | None
    """The same of the absolute weights as drawn, which the recording's own size raises."""
    recordings: int
    seed: int

    @property
    def sane(self) -> bool | None:
        """Whether attributions depend on what was learned; None where it could not be told."""
        return None if self.correlation is None else abs(self.correlation) < SANE_BELOW


def integrated_gradients(
    net: nn.Module, inputs: torch.Tensor, outputs: list[int], *, steps: int = DEFAULT_STEPS
) -> Attribution:
    """Attribute one output of a network for each input.

    Args:
        net: from (n, leads, samples) to logits (n, k). It is used in evaluation mode and left as it was.
        inputs: (n, leads, samples), preprocessed; on the network's device.
        outputs: (n,) which output to attribute for each input.
        steps: of the integral.
    """
    was_training = net.training
    net.eval()
    try:
        weights, gap = IntegratedGradients(net).attribute(
            inputs,
            baselines=torch.zeros_like(inputs[:1]),
            target=torch.as_tensor(outputs, device=inputs.device),
            n_steps=steps,
            internal_batch_size=max(_BATCH, len(inputs)),
            return_convergence_delta=True,
        )
    finally:
        net.train(was_training)
    return Attribution(weights.detach().cpu().numpy().astype(np.float32), gap.detach().cpu().numpy().astype(np.float32))


def randomisation_check(
    net: nn.Module,
    inputs: torch.Tensor,
    outputs: list[int],
    *,
    seed: int = 0,
    steps: int = DEFAULT_STEPS,
    trained: Attribution | None = None,
) -> RandomisationCheck:
    """Compare attributions with those of a copy of the network whose parameters are all drawn anew.

    Every parameter tensor is replaced by normal numbers of its own mean and spread, so that the random network's
    activations stay in range.

    Args:
        net: as for :func:`integrated_gradients`; it is not changed.
        inputs: (n, leads, samples).
        outputs: (n,).
        seed: of the random network.
        steps: of the integrals.
        trained: the attribution of the network itself, where it is at hand.
    """
    random_net = copy.deepcopy(net)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in random_net.parameters():
            spread = parameter.std(correction=0).item() if parameter.numel() > 1 else 0.0
            drawn = torch.randn(parameter.shape, generator=generator) * spread + parameter.mean().item()
            parameter.copy_(drawn.to(parameter))
    ours = trained or integrated_gradients(net, inputs, outputs, steps=steps)
    theirs = integrated_gradients(random_net, inputs, outputs, steps=steps)
    signals = inputs.detach().cpu().numpy()
    shadings: list[float] = []
    gradients: list[float] = []
    for one, other, signal in zip(ours.weights, theirs.weights, signals, strict=True):
        away = signal != 0  # elsewhere the recording is the flat line and the weights are 0 whatever the gradient
        if np.ptp(one) > 0 and np.ptp(other) > 0:
            shadings.append(_rank_correlation(one[away], other[away]))
            gradients.append(_rank_correlation(one[away] / signal[away], other[away] / signal[away]))
    if not shadings:
        return RandomisationCheck(None, None, 0, seed)
    return RandomisationCheck(float(np.mean(gradients)), float(np.mean(shadings)), len(shadings), seed)


def _rank_correlation(one: NDArray[np.floating], other: NDArray[np.floating]) -> float:
    return float(spearmanr(np.abs(one), np.abs(other)).statistic)
