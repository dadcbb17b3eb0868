"""Cross-validation of a linear classifier: what the interval of all folds as one holds."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import expit, log_softmax, logit, softmax
from scipy.stats import rankdata, t

from ecgfounder_ft.evaluation.evaluate import evaluate_input
from ecgfounder_ft.evaluation.inputs import prepare
from ecgfounder_ft.task import SINGLE_LABEL

PREVALENCES = (0.4, 0.2, 0.14, 0.12, 0.08, 0.06)
FEATURES = 30
DISTANCE = 1.8
"""Of a condition's centre from the middle of all."""
SHRINKAGE = 0.5
"""Of the covariance of the features towards the identity."""
NOISE = 0.25
"""Of the weights, as a share of their deviation, where training has chance."""
OTHERS = 1_500
"""Other recordings that tell how good the folds' models are."""
RESAMPLES = 200
LEVEL = 0.95
CODES = tuple("ABCDEF")


def factors(folds: int) -> dict[str, float]:
    """Candidate to the factor on the variance of the patients."""
    return {
        "patients": 1.0,
        "x sqrt(K/(K-1))": folds / (folds - 1),
        "x sqrt(1.5+1/(K-1))": 1.5 + 1 / (folds - 1),
        "x sqrt(1+K/(K-1))": 1 + folds / (folds - 1),
    }


@dataclass(frozen=True)
class Setting:
    """Studies of one kind."""

    recordings: int
    folds: int
    noisy: bool

    def study(self, generator: np.random.Generator, centres: NDArray[np.float64]) -> "Study":
        """Simulate a study and cross-validate in it."""
        counts = np.round(np.array(PREVALENCES) * self.recordings).astype(int)
        labels = np.repeat(np.arange(len(PREVALENCES)), counts)
        features = centres[labels] + generator.normal(size=(len(labels), FEATURES))
        others = generator.choice(len(PREVALENCES), OTHERS, p=PREVALENCES)
        other_features = centres[others] + generator.normal(size=(OTHERS, FEATURES))
        fold = np.empty(len(labels), dtype=int)
        for condition in range(len(PREVALENCES)):
            rows = np.flatnonzero(labels == condition)
            fold[rows] = (generator.permutation(len(rows)) + generator.integers(self.folds)) % self.folds
        probabilities = np.empty((len(labels), len(PREVALENCES)))
        own, elsewhere = [], []
        for number in range(self.folds):
            tested, rest = np.flatnonzero(fold == number), np.flatnonzero(fold != number)
            model = self._fit(features[rest], labels[rest], generator)
            probabilities[tested] = model(features[tested])
            own.append(aurocs(labels[tested], probabilities[tested]))
            elsewhere.append(aurocs(others, model(other_features)))
        data = prepare(
            np.eye(len(PREVALENCES), dtype=np.int8)[labels],
            probabilities,
            np.arange(len(labels)),
            CODES,
            task=SINGLE_LABEL,
        )
        pooled = evaluate_input(data, resamples=RESAMPLES, seed=int(generator.integers(2**31))).macro["auroc"]
        assert pooled.value is not None
        assert pooled.low is not None
        assert pooled.high is not None
        return Study(pooled.value, (pooled.low, pooled.high), np.array(own), float(np.mean(elsewhere)))

    def _fit(self, features: NDArray[np.float64], labels: NDArray[np.int64], generator: np.random.Generator):  # type: ignore[no-untyped-def]
        """Linear discriminant analysis; its temperature by every fifth recording, which it is not trained on."""
        order = generator.permutation(len(labels))
        held, used = order[::5], np.delete(order, np.s_[::5])
        x, y = features[used], labels[used]
        there = np.unique(y)
        means = np.zeros((len(PREVALENCES), FEATURES))
        means[there] = [x[y == one].mean(axis=0) for one in there]
        centred = x - means[y]
        covariance = (1 - SHRINKAGE) * centred.T @ centred / len(x) + SHRINKAGE * np.eye(FEATURES)
        weights = np.linalg.solve(covariance, means.T)
        if self.noisy:
            weights = weights + NOISE * weights.std() * generator.normal(size=weights.shape)
        share = (np.bincount(y, minlength=len(PREVALENCES)) + 0.5) / (len(y) + 0.5 * len(PREVALENCES))
        offset = np.log(share) - 0.5 * np.einsum("kf,fk->k", means, weights)
        odds = features[held] @ weights + offset

        def loss(log_temperature: float) -> float:
            told = log_softmax(odds / np.exp(log_temperature), axis=1)
            return -float(told[np.arange(len(held)), labels[held]].mean())

        temperature = float(np.exp(minimize_scalar(loss, bounds=(-3, 3), method="bounded").x))
        return lambda given: softmax((given @ weights + offset) / temperature, axis=1)


@dataclass(frozen=True)
class Study:
    """What cross-validation showed."""

    pooled: float
    interval: tuple[float, float]
    """Of the pooled macro AUROC, by the patients alone."""
    own: NDArray[np.float64]
    """(folds, conditions) AUROC of each fold, NaN where a condition is absent."""
    elsewhere: float
    """Mean macro AUROC of the folds' models on other recordings."""

    @property
    def mean_of_folds(self) -> float:
        """Mean over the conditions of their means over the folds that have them."""
        return float(np.nanmean(self.own, axis=0).mean())

    def intervals(self) -> dict[str, tuple[float, float]]:
        """Candidate to its interval: around the pooled AUROC, then around the mean of the folds."""
        centre, low, high = logit(np.clip([self.pooled, *self.interval], 1e-9, 1 - 1e-9))
        found = {}
        k = len(self.own)
        for kind, middle in (("pooled", self.pooled), ("folds", self.mean_of_folds)):
            for name, factor in factors(k).items():
                ends = logit(middle) + np.sqrt(factor) * (np.array([low, high]) - centre)
                found[f"{kind}, {name}"] = (float(expit(ends[0])), float(expit(ends[1])))
        of_folds = np.nanmean(self.own, axis=1)
        reach = float(t.ppf((1 + LEVEL) / 2, k - 1) * np.sqrt(of_folds.var(ddof=1) * (1 / k + 1 / (k - 1))))
        return found | {"folds, Nadeau and Bengio": (self.mean_of_folds - reach, self.mean_of_folds + reach)}


def aurocs(labels: NDArray[np.integer], probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    """(conditions,) each against the rest, NaN where there are none or no others."""
    found = np.full(len(PREVALENCES), np.nan)
    for place in range(len(PREVALENCES)):
        present = labels == place
        count = int(present.sum())
        if 0 < count < len(labels):
            ranks = rankdata(probabilities[:, place])
            found[place] = (ranks[present].sum() - count * (count + 1) / 2) / (count * (len(labels) - count))
    return found


@dataclass
class Result:
    """Of all studies of a setting."""

    held: dict[str, int] = field(default_factory=dict)
    """Candidate to how many intervals hold the mean of what they stand around."""
    held_elsewhere: dict[str, int] = field(default_factory=dict)
    """Candidate to how many hold the mean of what the folds' models do on other recordings."""
    width: dict[str, float] = field(default_factory=dict)
    means: dict[str, float] = field(default_factory=dict)
    """``pooled``, ``folds`` and ``elsewhere`` to their means over studies."""
    distances: dict[str, float] = field(default_factory=dict)
    """``pooled`` and ``folds`` to their mean square distance from what the same models do on other recordings."""


def result_of(setting: Setting, number: int, generator: np.random.Generator) -> Result:
    """Simulate studies of a setting."""
    centres = generator.normal(size=(len(PREVALENCES), FEATURES))
    centres *= DISTANCE / np.linalg.norm(centres, axis=1, keepdims=True)
    studies = [setting.study(generator, centres) for _ in range(number)]
    told = {
        "pooled": np.array([one.pooled for one in studies]),
        "folds": np.array([one.mean_of_folds for one in studies]),
    }
    elsewhere = np.array([one.elsewhere for one in studies])
    result = Result(
        means={name: float(found.mean()) for name, found in (*told.items(), ("elsewhere", elsewhere))},
        distances={name: float(((found - elsewhere) ** 2).mean()) for name, found in told.items()},
    )
    for one in studies:
        for name, (low, high) in one.intervals().items():
            truth = result.means[name.partition(",")[0]]
            result.held[name] = result.held.get(name, 0) + (low <= truth <= high)
            there = low <= result.means["elsewhere"] <= high
            result.held_elsewhere[name] = result.held_elsewhere.get(name, 0) + there
            result.width[name] = result.width.get(name, 0.0) + (high - low) / number
    return result
