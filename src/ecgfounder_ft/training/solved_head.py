"""The last layer of a network, solved on embeddings: scikit-learn's logistic regression, L2 chosen over patients."""

import logging
import time
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold

from ecgfounder_ft.evaluation.probabilities import log_losses
from ecgfounder_ft.labels import PRESENT, UNKNOWN
from ecgfounder_ft.task import Task

log = logging.getLogger(__name__)

_STEPS = 1_000
"""Steps of the optimizer, at most."""
_LEAST = 10.0
"""Least inverse strength of the penalty on the slopes of a start, so that they recalibrate it whatever the penalty on
what departs from it."""
_RARE = 1e-6
"""Probability of a condition that no training recording shows, and distance that one which all show keeps from 1."""


@dataclass(frozen=True)
class Head:
    """A linear layer."""

    weight: NDArray[np.float64]
    """(k, width)."""
    bias: NDArray[np.float64]
    """(k,)."""

    def logits(self, embeddings: NDArray[np.floating]) -> NDArray[np.float64]:
        """Embeddings (n, width) to logits (n, k)."""
        return np.asarray(embeddings @ self.weight.T + self.bias, dtype=np.float64)


@dataclass(frozen=True)
class Solution:
    """A solved last layer, and how its penalty was chosen; the content of ``solved_head.json``."""

    strength: float
    """Chosen inverse strength of the L2 penalty."""
    towards: str
    """``zero`` or ``start``."""
    tried: list[dict[str, float]]
    """``strength`` and ``log_loss`` over left-out patients, of each that was tried; empty where one alone was given or
    there were too few patients to leave some out."""
    folds: int
    """Folds of the cross-validation."""
    fitted_on: int
    """Training recordings."""
    seconds: float
    """Seconds that it took, embeddings not counted."""

    def to_dict(self) -> dict[str, Any]:
        """Plain containers."""
        return asdict(self)

    def __str__(self) -> str:
        if not self.tried:
            return f"Last layer solved in {self.seconds:.1f} s with C={self.strength:g}, without a choice"
        shown = ", ".join(f"{row['strength']:g}: {row['log_loss']:.4f}" for row in self.tried)
        edge = self.strength in (self.tried[0]["strength"], self.tried[-1]["strength"])
        wider = "; the best is the first or last of finetune.strengths, so a wider range may be better" if edge else ""
        return (
            f"Last layer solved in {self.seconds:.1f} s with C={self.strength:g}, chosen by the log loss over left-out "
            f"patients ({shown}){wider}"
        )


def choose_and_solve(
    embeddings: NDArray[np.floating],
    states: NDArray[np.int8],
    patients: NDArray[Any],
    training: NDArray[np.bool_],
    task: Task,
    *,
    strengths: Sequence[float],
    folds: int,
    start: Head | None,
) -> tuple[Head, Solution]:
    """Choose the strength of the penalty over patients, and solve the last layer on the training recordings.

    Args:
        embeddings: (n, width), of training and validation.
        states: (n, k) 1, 0 or -1, as the task reads them.
        patients: (n,) one label for each patient.
        training: (n,) which recordings the last layer is solved on; all choose the strength.
        task: softmax over the conditions, or a regression for each, on the recordings with a known label.
        strengths: inverse strengths of the penalty that are tried.
        folds: of the cross-validation; fewer where there are fewer patients.
        start: the layer that the penalty pulls to; None: to zero.
    """
    begun = time.monotonic()
    ordered = sorted(strengths)
    parts = min(folds, len(np.unique(patients)))
    tried: list[dict[str, float]] = []
    if len(ordered) > 1 and parts > 1:
        losses: list[list[NDArray[np.float64]]] = [[] for _ in ordered]
        for fitted, left_out in GroupKFold(parts).split(embeddings, groups=patients):
            for strength, found in zip(ordered, losses, strict=True):
                head = solve(embeddings[fitted], states[fitted], task, strength, start)
                probabilities = task.probabilities_of_array(head.logits(embeddings[left_out]))
                found.append(log_losses(states[left_out], probabilities, task).ravel())
        tried = [
            {"strength": strength, "log_loss": float(np.nanmean(np.concatenate(found)))}
            for strength, found in zip(ordered, losses, strict=True)
        ]
        chosen = min(tried, key=lambda row: row["log_loss"])["strength"]
    else:
        chosen = ordered[len(ordered) // 2]
    head = solve(embeddings[training], states[training], task, chosen, start)
    seconds = round(time.monotonic() - begun, 2)
    return head, Solution(
        chosen, "zero" if start is None else "start", tried, parts if tried else 0, int(training.sum()), seconds
    )


def solve(
    embeddings: NDArray[np.floating],
    states: NDArray[np.int8],
    task: Task,
    strength: float,
    start: Head | None = None,
) -> Head:
    """Solve a last layer: the minimum of the log loss with an L2 penalty on standardised embeddings.

    With a start, its logits stand beside the embeddings as columns that the penalty hardly weighs. Their coefficients
    recalibrate the start, and the penalty pulls all that departs from it to zero.

    Args:
        embeddings: (n, width).
        states: (n, k) 1, 0 or -1, as the task reads them.
        task: as for :func:`choose_and_solve`.
        strength: inverse strength of the penalty, scikit-learn's ``C``.
        start: the layer that the penalty pulls to; None: to zero.
    """
    k, width = states.shape[1], embeddings.shape[1]
    weight, bias = np.zeros((k, width)), np.full(k, np.log(_RARE))
    if task.exclusive:
        classes = states.argmax(axis=1)
        present = np.unique(classes)
        if len(present) > 1:
            weight[present], bias[present] = _regression(embeddings, classes, strength, start)
        else:
            bias[present] = 0.0
        return Head(weight, bias)
    for row in range(k):
        own = None if start is None else Head(start.weight[[row]], start.bias[[row]])
        known = states[:, row] != UNKNOWN
        labels = (states[known, row] == PRESENT).astype(np.int64)
        if len(np.unique(labels)) == 2:
            weight[[row]], bias[[row]] = (
                half[1:] * 2 for half in _regression(embeddings[known], labels, strength, own)
            )
        elif own is not None:  # nothing to tell apart: the start stays
            weight[row], bias[row] = own.weight[0], own.bias[0]
        else:
            share = np.clip(labels.mean() if len(labels) else 0.5, _RARE, 1 - _RARE)
            bias[row] = np.log(share / (1 - share))
    return Head(weight, bias)


def _regression(
    embeddings: NDArray[np.floating], classes: NDArray[np.integer], strength: float, start: Head | None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Solve a softmax over the classes that occur: weights (classes, width) and biases (classes,)."""
    width = embeddings.shape[1]
    mean, deviation = embeddings.mean(axis=0, dtype=np.float64), embeddings.std(axis=0, dtype=np.float64)
    scale = np.divide(1.0, deviation, out=np.zeros_like(deviation), where=deviation > 1e-12)
    columns = (embeddings - mean) * scale
    spread = np.ones(0)
    if start is not None:
        logits = start.logits(embeddings)
        spread = np.maximum(logits.std(axis=0), 1e-12) / np.sqrt(max(_LEAST / strength, 1.0))
        columns = np.hstack([columns, logits / spread])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        fit = LogisticRegression(C=strength, max_iter=_STEPS, tol=1e-6).fit(columns, classes)
    if fit.n_iter_.max() >= _STEPS:
        log.warning("With C=%g the last layer was not solved in %d steps; a smaller C is", strength, _STEPS)
    coefficients, intercepts = fit.coef_, fit.intercept_
    if len(coefficients) == 1:  # of two classes scikit-learn gives the logit of the second
        coefficients, intercepts = np.vstack([-coefficients, coefficients]) / 2, np.array([-0.5, 0.5]) * intercepts
    weight = coefficients[:, :width] * scale
    bias = intercepts - weight @ mean
    if start is not None:
        rest = coefficients[:, width:] / spread
        weight, bias = weight + rest @ start.weight, bias + rest @ start.bias
    return weight, bias


def head_of(net: torch.nn.Module) -> Head:
    """Read a linear last layer."""
    weight, bias = net.weight, net.bias
    assert isinstance(weight, torch.Tensor)
    assert isinstance(bias, torch.Tensor)
    return Head(weight.detach().cpu().double().numpy(), bias.detach().cpu().double().numpy())


def set_head(net: torch.nn.Module, head: Head) -> None:
    """Write a linear last layer."""
    with torch.no_grad():
        for name, value in (("weight", head.weight), ("bias", head.bias)):
            own = getattr(net, name)
            own.copy_(torch.from_numpy(value).to(own))
