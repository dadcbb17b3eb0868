"""Sweeps over seeds, of strategies that are equally good: how often any two are told apart."""

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm, t

from ecgfounder_ft.evaluation.auroc_variance import auroc_influences

PREVALENCES = (0.3, 0.06)
MIDDLE = 0.88
"""AUROC of a training, on average."""
SHARED, OF_STRATEGY, OWN = 0.5, 0.3, 0.2
"""Variance of a score that all trainings share, that those of one strategy share, and of one training."""
RESAMPLES = 400
LEVEL = 0.95


@dataclass(frozen=True)
class Setting:
    """Sweeps of one kind."""

    strategies: int
    seeds: int
    patients: int
    deviation: float
    """Of AUROC between seeds."""
    first_fixed: bool = False
    """Whether the seeds of the first strategy do not vary."""
    better: float = 0.0
    """How much the last strategy's AUROC is above the others'."""

    def sweeps(self, number: int, generator: np.random.Generator) -> "Sweeps":
        """Simulate sweeps."""
        pairs = list(itertools.combinations(range(self.strategies), 2))
        values = np.empty((number, len(pairs), self.seeds))
        variances, freedoms = np.empty((2, number, len(pairs)))
        for place in range(number):
            auroc, influences, rarer = self._trained(generator)
            for column, (first, second) in enumerate(pairs):
                values[place, column] = (auroc[:, second] - auroc[:, first]).mean(axis=0)
                between = (influences[:, second] - influences[:, first]).mean(axis=1) / len(PREVALENCES)
                variances[place, column] = (between.sum(axis=0) ** 2).sum()
                own = (between**2).sum(axis=1)
                freedoms[place, column] = own.sum() ** 2 / max(1e-300, (own**2 / (rarer - 1)).sum())
        return Sweeps(values, variances, freedoms)

    def _trained(
        self, generator: np.random.Generator
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
        """AUROC (conditions, strategies, seeds), influences (..., patients), rarer patients (conditions,)."""
        trainings = (self.strategies, self.seeds)
        deviations = np.full((self.strategies, 1), self.deviation)
        if self.first_fixed:
            deviations[0] = 0.0
        centre = MIDDLE + self.better * (np.arange(self.strategies)[:, None] == self.strategies - 1)
        truth = np.clip(centre + deviations * generator.normal(size=trainings), 0.5, 0.999)
        found, rarer = [], []
        for prevalence in PREVALENCES:
            labels = np.arange(self.patients) < round(prevalence * self.patients)
            noise = (
                np.sqrt(SHARED) * generator.normal(size=self.patients)
                + np.sqrt(OF_STRATEGY) * generator.normal(size=(self.strategies, 1, self.patients))
                + np.sqrt(OWN) * generator.normal(size=(*trainings, self.patients))
            )
            scores = noise + labels * (np.sqrt(2) * norm.ppf(truth))[..., None]
            auroc, influences = auroc_influences(labels, scores, np.arange(self.patients))
            found.append((auroc, influences[..., generator.permutation(self.patients)]))
            rarer.append(labels.sum())
        return np.array([one[0] for one in found]), np.array([one[1] for one in found]), np.array(rarer)


@dataclass(frozen=True)
class Sweeps:
    """Differences of pairs of strategies."""

    values: NDArray[np.float64]
    """(sweeps, pairs, seeds)"""
    variances: NDArray[np.float64]
    """(sweeps, pairs) of the mean over seeds, between patients."""
    freedoms: NDArray[np.float64]
    """(sweeps, pairs) of these variances."""

    def told(self, generator: np.random.Generator) -> dict[str, float]:
        """Candidate to the share of sweeps in which it tells any pair apart, by the first step of Holm's method."""
        seeds = self.values.shape[2]
        mean, of_seeds = self.values.mean(axis=2), self.values.var(axis=2, ddof=1) / seeds
        total = np.maximum(of_seeds + self.variances, 1e-300)
        ratio = np.abs(mean) / np.sqrt(total)
        tail = 1 - (1 - LEVEL) / 2 / mean.shape[1]
        freedom = total**2 / (of_seeds**2 / (seeds - 1) + self.variances**2 / self.freedoms)
        few, many = t.ppf(tail, seeds - 1), t.ppf(tail, self.freedoms)
        reached = {
            "percentile": self._percentile(generator) < 1 - LEVEL,
            "satterthwaite": ratio > t.ppf(tail, freedom),
            "cochran": ratio > (of_seeds * few + self.variances * many) / total,
            "seeds alone": ratio > few,
        }
        return {name: float(found.any(axis=1).mean()) for name, found in reached.items()}

    def _percentile(self, generator: np.random.Generator) -> NDArray[np.float64]:
        """(sweeps, pairs) p-values times the number of pairs."""
        sweeps, pairs, seeds = self.values.shape
        found = np.empty((sweeps, pairs))
        stretched = np.sqrt(seeds / (seeds - 1))
        for place in range(sweeps):
            weights = generator.multinomial(seeds, np.full(seeds, 1 / seeds), RESAMPLES) / seeds
            mean = self.values[place].mean(axis=1)
            drawn = mean + stretched * (weights @ self.values[place].T - mean)
            drawn += np.sqrt(self.variances[place]) * generator.normal(size=(RESAMPLES, pairs))
            beyond = np.minimum((drawn <= 0).sum(axis=0), (drawn >= 0).sum(axis=0))
            found[place] = pairs * 2 * (beyond + 1) / (RESAMPLES + 1)
        return found
