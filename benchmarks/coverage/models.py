"""Two models that are equally good: how often the difference of their macro AUROC has an interval beside 0."""

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm, t

from ecgfounder_ft.evaluation.auroc_variance import auroc_influences
from ecgfounder_ft.evaluation.bootstrap import resample_counts
from ecgfounder_ft.evaluation.intervals import expanded_tail, mean_spread

CONDITIONS = 6
PREVALENCE = 0.05
POSITIVES = (6, 30)
AUROCS = (0.75, 0.85, 0.95)
CORRELATION = 0.5
RESAMPLES = 400
LEVEL = 0.95


def told(positives: int, auroc: float, studies: int, generator: np.random.Generator) -> dict[str, tuple[int, float]]:
    """Candidate to how many studies tell the models apart, and the mean width of its intervals."""
    count: dict[str, int] = {}
    width: dict[str, float] = {}
    for _ in range(studies):
        whole, drawn = _study(positives, auroc, generator)
        for name, (low, high) in intervals(whole.mean(), drawn, positives).items():
            count[name] = count.get(name, 0) + (low > 0 or high < 0)
            width[name] = width.get(name, 0.0) + (high - low) / studies
    return {name: (count[name], width[name]) for name in count}


def intervals(difference: float, drawn: NDArray[np.float64], positives: int) -> dict[str, tuple[float, float]]:
    """Candidate to its interval of a mean over conditions.

    Args:
        difference: of the means.
        drawn: (resamples, conditions) differences.
        positives: patients with each condition.
    """
    known = drawn.mean(axis=1)
    known = known[~np.isnan(known)]
    variance, freedom = mean_spread(drawn, np.full(drawn.shape[1], positives))
    reach = float(t.ppf((1 + LEVEL) / 2, freedom) * np.sqrt(variance))
    tails = {"percentile": (1 - LEVEL) / 2, "expanded": expanded_tail(freedom + 1, LEVEL)}  # type: ignore[arg-type]
    found = {name: np.percentile(known, (100 * tail, 100 - 100 * tail)) for name, tail in tails.items()}
    return {name: (float(low), float(high)) for name, (low, high) in found.items()} | {
        "t": (difference - reach, difference + reach)
    }


def _study(
    positives: int, auroc: float, generator: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(conditions,) differences and (resamples, conditions) those of resamples of patients."""
    patients = round(positives / PREVALENCE)
    distance = np.sqrt(2) * norm.ppf(auroc)
    (counts,) = resample_counts(patients, RESAMPLES, generator, RESAMPLES)
    whole, drawn = np.empty(CONDITIONS), np.empty((RESAMPLES, CONDITIONS))
    for place in range(CONDITIONS):
        labels = np.roll(np.arange(patients) < positives, place * positives)
        common = generator.normal(size=patients)
        own = generator.normal(size=(2, patients))
        scores = np.sqrt(CORRELATION) * common + np.sqrt(1 - CORRELATION) * own + labels * distance
        found, _ = auroc_influences(labels, scores, np.arange(patients))
        whole[place] = found[1] - found[0]
        first, second = (_weighted(labels, one, counts) for one in scores)
        drawn[:, place] = second - first
    return whole, drawn


def _weighted(
    labels: NDArray[np.bool_], scores: NDArray[np.float64], counts: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(resamples,) AUROC with patients counted as often as they are drawn: no two scores are alike here."""
    above = (scores[labels][:, None] > scores[~labels]).astype(np.float64)
    with_it, without = counts[labels], counts[~labels]
    pairs = with_it.sum(axis=0) * without.sum(axis=0)
    won = np.einsum("ir,ir->r", with_it, above @ without)
    return np.asarray(np.divide(won, pairs, out=np.full(len(pairs), np.nan), where=pairs > 0))
