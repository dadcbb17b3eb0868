"""What the field's benchmarks report: macro AUROC and Fmax, with intervals over patients.

Fmax is the sample-centric one of the PTB-XL benchmark (Strodthoff et al. 2020, https://doi.org/10.1109/jbhi.2020.3022989;
Radivojac et al., Nat Methods 2013;10:221). At a threshold, precision is the mean over the recordings with at least one
decision, recall the mean over all recordings, and F is 2 P R / (P + R). Fmax is the largest F of all thresholds.
Conditions without a recording in the set are left out of both.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ecgfounder_ft.evaluation.bootstrap import MIN_PATIENTS, resample_counts
from ecgfounder_ft.evaluation.evaluate import evaluate_input
from ecgfounder_ft.evaluation.inputs import EvaluationInput
from ecgfounder_ft.evaluation.metrics import Estimate
from ecgfounder_ft.labels import PRESENT

NO_FMAX = "no recording with every label known and a condition present"


@dataclass(frozen=True)
class BenchmarkScores:
    """What one model reaches on one set."""

    n: int
    """Recordings."""
    patients: int
    macro_auroc: Estimate
    fmax: Estimate
    auroc: dict[str, Estimate]
    """AUROC of each condition."""
    positives: dict[str, int]
    """Recordings with each condition."""
    left_out: tuple[str, ...]
    """Conditions that no recording of the set has."""
    without_fmax: int
    """Recordings that Fmax leaves out: a label is unknown, a probability absent, or no condition is present."""


class _Fmax:
    """F at every threshold, for any weights of the recordings.

    Going from the highest probability down, each one changes the precision and the recall of a single recording. Sums
    of these changes over all recordings are then cumulative sums along one order, which is sorted once.

    Args:
        present: bool (n, k), at least one in each row.
        probabilities: (n, k).
    """

    def __init__(self, present: NDArray[np.bool_], probabilities: NDArray[np.float64]) -> None:
        n, k = present.shape
        order = np.argsort(-probabilities, axis=1, kind="stable")
        hits = np.take_along_axis(present, order, axis=1)
        precision = np.cumsum(hits, axis=1) / np.arange(1, k + 1)
        flat = np.argsort(-np.take_along_axis(probabilities, order, axis=1).ravel(), kind="stable")
        scores = np.take_along_axis(probabilities, order, axis=1).ravel()[flat]
        self.recording = np.repeat(np.arange(n), k)[flat]
        self.precision = np.diff(precision, axis=1, prepend=0.0).ravel()[flat]
        self.recall = (hits / present.sum(axis=1, keepdims=True)).ravel()[flat]
        self.first = np.tile(np.arange(k) == 0, n)[flat].astype(np.float64)
        self.ends = np.flatnonzero(np.append(scores[1:] != scores[:-1], True))

    def __call__(self, weights: NDArray[np.float64]) -> float:
        """Fmax where each recording counts as often as ``weights`` (n,) says; NaN where none counts."""
        total = weights.sum()
        if not total:
            return float("nan")
        weight = weights[self.recording]
        covered = np.cumsum(self.first * weight)[self.ends]
        some = covered > 0
        precision = np.cumsum(self.precision * weight)[self.ends][some] / covered[some]
        recall = np.cumsum(self.recall * weight)[self.ends][some] / total
        both = precision + recall
        f = np.divide(2 * precision * recall, both, out=np.zeros_like(both), where=both > 0)
        return float(f.max())


def fmax(present: NDArray[np.bool_], probabilities: NDArray[np.float64]) -> float:
    """The largest sample-centric F of all thresholds.

    Args:
        present: bool (n, k); each recording has at least one condition.
        probabilities: (n, k).

    Raises:
        ValueError: if there is no recording, or one without any condition.
    """
    if not len(present) or not present.any(axis=1).all():
        raise ValueError("Fmax takes one recording or more, each with at least one condition")
    return _Fmax(present, probabilities)(np.ones(len(present)))


def benchmark_scores(data: EvaluationInput, *, resamples: int, seed: int = 0, level: float = 0.95) -> BenchmarkScores:
    """Score a set.

    Args:
        data: with the probabilities as the network gives them.
        resamples: of patients; 0: no intervals.
        seed: of the resamples.
        level: of confidence.
    """
    counts = (data.targets == PRESENT).sum(axis=0)
    positives = {code: int(count) for code, count in zip(data.codes, counts, strict=True)}
    evaluated = evaluate_input(data, resamples=resamples, seed=seed, level=level)
    kept = data.known[:, counts > 0].all(axis=1) & (data.targets == PRESENT).any(axis=1)
    return BenchmarkScores(
        n=len(data.targets),
        patients=data.patients,
        macro_auroc=evaluated.macro["auroc"],
        fmax=_fmax_estimate(data.select(kept), counts > 0, resamples, seed, level),
        auroc={code: evaluated.conditions[code].metrics["auroc"] for code in data.codes},
        positives=positives,
        left_out=tuple(code for code, count in positives.items() if not count),
        without_fmax=int((~kept).sum()),
    )


def _fmax_estimate(
    data: EvaluationInput, columns: NDArray[np.bool_], resamples: int, seed: int, level: float
) -> Estimate:
    if not len(data.targets):
        return Estimate(None, reason=NO_FMAX)
    score = _Fmax(data.targets[:, columns] == PRESENT, data.probabilities[:, columns])
    found = Estimate(score(np.ones(len(data.targets))))
    patients = data.patients
    if not resamples:
        return found
    if patients < MIN_PATIENTS:
        return replace(found, reason=f"no interval: {patients} patients")
    if found.value == 1:
        return replace(found, reason="no interval: every resample of a perfect value is perfect")
    draws = resample_counts(patients, resamples, np.random.default_rng(seed), chunk=100)
    values = [score(drawn[data.groups]) for chunk in draws for drawn in chunk.T]
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return replace(found, low=float(low), high=float(high), undefined_resamples=0, method="percentile")
