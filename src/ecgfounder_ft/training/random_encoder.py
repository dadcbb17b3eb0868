"""A baseline that neither pretraining nor training has touched: a linear probe on a randomly initialised encoder.

A network of the run's architecture gets random weights and never trains. What it puts out before its head is computed
once for every recording, and a logistic regression reads the conditions from it. Random features hold much of what an
ECG has to tell (Rahimi and Recht, NIPS 2007, for random features at large), so a pretrained model that does not do
better has shown nothing of its pretraining.
"""

import hashlib
import logging
import time
import warnings
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from ecgfounder_ft.data.gather_and_split import PreparedData
from ecgfounder_ft.data.splits import TEST, TRAIN, VALIDATION
from ecgfounder_ft.evaluation.predictions import predictions_table
from ecgfounder_ft.evaluation.probabilities import log_losses
from ecgfounder_ft.labels import PRESENT, UNKNOWN
from ecgfounder_ft.model.network import Network
from ecgfounder_ft.model.record import ModelRecord
from ecgfounder_ft.targets import targets_in
from ecgfounder_ft.task import Task
from ecgfounder_ft.training.embeddings import embeddings_of

log = logging.getLogger(__name__)

STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
"""Inverse strengths of the L2 penalty (scikit-learn's ``C``) that validation chooses from, features standardised."""

MOST_RECORDINGS = 20_000
"""Training recordings that the regression is fitted on at most, so that it stays cheap: twenty times as many as the
published network has features."""

_STEPS = 200
"""Of the optimizer at most. A fit with hardly any penalty need not converge, and is then one that stopped early."""

_EPSILON = 1e-6
"""Probabilities are kept this far from 0 and 1, so that their logarithms are finite."""


@dataclass(frozen=True)
class ProbeRecord:
    """How the baseline came about, as in ``random_encoder.json``."""

    seed: int
    """Of the network's weights and of the draw of training recordings; follows from the run's."""
    features: int
    """Width of what the regression reads."""
    strength: float
    """Chosen of :data:`STRENGTHS` by the log loss on validation."""
    fitted_on: int
    """Training recordings that the regression was fitted on."""
    of: int
    """Training recordings that there are."""
    seconds: float
    """That it took, features included."""

    def to_dict(self) -> dict[str, Any]:
        """Plain containers."""
        return asdict(self)


@dataclass(frozen=True)
class RandomEncoderProbe:
    """The baseline's predictions, and how they came about."""

    predictions: pd.DataFrame
    """Predictions table of validation and test, with the rows of the trained model's."""
    record: ProbeRecord


def probe_random_encoder(
    record: ModelRecord, data: PreparedData, *, batch_size: int, device: torch.device
) -> RandomEncoderProbe | None:
    """Fit a linear probe on a random network of a model's architecture.

    Nothing is drawn from torch's global random state that is not put back.

    Args:
        record: of the trained model; its architecture, task and seed are used.
        data: of the run.
        batch_size: recordings at once.
        device: that computes the features, in float32.

    Returns:
        None, with a line in the log, where the network has no features that a regression could read.
    """
    begun = time.monotonic()
    seed = seed_of_encoder(record.seed)
    usable = record.task.usable(data.targets)
    sides = data.table["split"].to_numpy()
    rows = {side: np.flatnonzero(usable & (sides == side)) for side in (TRAIN, VALIDATION, TEST)}
    net = random_network(record, seed)
    try:
        features = embeddings_of(net, data, batch_size, device)
    except NotImplementedError as error:
        log.info("No random encoder beside the model: the network's features cannot be had (%s)", error)
        return None
    finally:
        net.to("cpu")
    if features.ndim != 2 or not np.isfinite(features).all():
        log.info(
            "No random encoder beside the model: with random weights the network gives no finite features of one row "
            "per recording (shape %s)",
            features.shape,
        )
        return None
    fitted = rows[TRAIN]
    if len(fitted) > MOST_RECORDINGS:
        fitted = np.sort(np.random.default_rng(seed).choice(fitted, MOST_RECORDINGS, replace=False))
    states = record.task.states(data.targets)
    wanted = np.concatenate([rows[VALIDATION], rows[TEST]])
    asked = standardised(features[wanted], by=features[fitted])
    strength, probabilities = fit_probe(
        standardised(features[fitted], by=features[fitted]),
        states[fitted],
        asked,
        states[rows[VALIDATION]],
        record.task,
    )
    made = ProbeRecord(
        seed, features.shape[1], strength, len(fitted), len(rows[TRAIN]), round(time.monotonic() - begun, 1)
    )
    codes = record.label_map.codes
    return RandomEncoderProbe(
        predictions_table(data.table.iloc[wanted], data.targets[wanted], probabilities, codes), made
    )


def seed_of_encoder(seed: int) -> int:
    """The random encoder's own seed, which follows from the run's but is not it: the run's head starts from that."""
    return int.from_bytes(hashlib.blake2b(f"random encoder {seed}".encode(), digest_size=4).digest(), "big")


def random_network(record: ModelRecord, seed: int) -> Network:
    """A network of a model's architecture with the random weights of a seed, on the CPU, in evaluation mode.

    Torch's global random state is afterwards as it was.
    """
    trusted = {target for _, target in targets_in(record.architecture)}  # the model itself has been built of these
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # not torch.manual_seed, which would seed every GPU as well
        return record.build_network(trusted, "model.architecture").eval()


def fit_probe(
    features: NDArray[np.floating],
    states: NDArray[np.int8],
    asked: NDArray[np.floating],
    validation: NDArray[np.int8],
    task: Task,
) -> tuple[float, NDArray[np.float64]]:
    """Logistic regressions of each strength, and the predictions of the one that validation likes best.

    Args:
        features: (n, width), of training.
        states: (n, k) 1, 0 or -1, as the task reads them.
        asked: (m, width), of validation and after it of the rest.
        validation: (v, k) states of the first v of ``asked``; v may be 0, and the middle strength is then taken.
        task: softmax over the conditions, or a regression for each, fitted on the recordings with a known label.

    Returns:
        The strength, and probabilities (m, k).
    """
    found = {strength: _predict(features, states, asked, task, strength) for strength in STRENGTHS}
    losses = {strength: log_loss(validation, found[strength][: len(validation)], task) for strength in STRENGTHS}
    best = min(losses, key=lambda strength: losses[strength])
    if np.isnan(losses[best]):
        best = STRENGTHS[len(STRENGTHS) // 2]
    return best, found[best]


def log_loss(states: NDArray[np.int8], probabilities: NDArray[np.floating], task: Task) -> float:
    """Mean negative logarithm of the probabilities (n, k) of what is known of (n, k) states; NaN where nothing is."""
    losses = log_losses(states, probabilities, task)
    losses = losses[~np.isnan(losses)]
    return float(losses.mean()) if losses.size else float("nan")


def standardised(features: NDArray[np.floating], by: NDArray[np.floating]) -> NDArray[np.float32]:
    """Features (n, width) with the mean and standard deviation of others; constant ones become 0."""
    deviation = by.std(axis=0, dtype=np.float64)
    scale = np.divide(1.0, deviation, out=np.zeros_like(deviation), where=deviation > 1e-12)
    return np.asarray((features - by.mean(axis=0, dtype=np.float64)) * scale, dtype=np.float32)


def _predict(
    features: NDArray[np.floating],
    states: NDArray[np.int8],
    asked: NDArray[np.floating],
    task: Task,
    strength: float,
) -> NDArray[np.float64]:
    k = states.shape[1]
    found = np.zeros((len(asked), k))
    if task.exclusive:
        found[:] = _EPSILON  # of a condition without a training recording
        classes, columns = _regression(features, states.argmax(axis=1), asked, strength)
        found[:, classes] = columns
        found = np.clip(found, _EPSILON, None)
        return np.asarray(found / found.sum(axis=1, keepdims=True))
    for column in range(k):
        known = states[:, column] != UNKNOWN
        if not known.any():
            found[:, column] = 0.5
            continue
        present = (states[known, column] == PRESENT).astype(np.int64)
        classes, columns = _regression(features[known], present, asked, strength)
        if PRESENT in classes:
            found[:, column] = columns[:, classes.tolist().index(PRESENT)]
    return np.clip(found, _EPSILON, 1 - _EPSILON)


def _regression(
    features: NDArray[np.floating], labels: NDArray[np.integer], asked: NDArray[np.floating], strength: float
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The classes that occur, and probabilities (m, classes) of them."""
    classes = np.unique(labels).astype(np.int64)
    if len(classes) == 1:
        return classes, np.ones((len(asked), 1))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model = LogisticRegression(C=strength, max_iter=_STEPS).fit(features, labels)
    return classes, np.asarray(model.predict_proba(asked), dtype=np.float64)
