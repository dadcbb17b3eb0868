"""Net benefit of acting on a model's probabilities, over the threshold probabilities from which somebody would act.

With TP and FP the recordings at or above a threshold probability t that have and lack the condition, of n recordings,

    net benefit = TP / n - FP / n x t / (1 - t)

(Vickers and Elkin, Med Decis Making 2006;26:565). The odds of t are what a false alarm costs, counted in hits. All
values here are divided by the prevalence. A model without an error then has 1, treating nobody 0, and treating all has
1 - (1 - prevalence) / prevalence x t / (1 - t).

The formula is one line of arithmetic, and the package dcurves has no bootstrap over patients, so none is used.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from ecgfounder_ft.evaluation.bootstrap import MIN_PATIENTS, resample_counts
from ecgfounder_ft.evaluation.inputs import EvaluationInput
from ecgfounder_ft.evaluation.intervals import expanded_tail
from ecgfounder_ft.evaluation.metrics import NO_NEGATIVES, NO_POSITIVES, NO_RECORDINGS, count_patients
from ecgfounder_ft.labels import PRESENT

POINTS = 50
"""Threshold probabilities of a curve, evenly spaced."""

_CHUNK_ELEMENTS = 4_000_000
"""Counts of patients held at a time (patients x resamples), 32 MB."""


@dataclass(frozen=True)
class NetBenefit:
    """Standardised net benefit of a condition at each threshold probability; lists of one length."""

    thresholds: list[float]
    """Threshold probabilities, rising."""
    prevalence: float | None
    """Share of the recordings with a known label that have the condition; None without such a recording."""
    calibrated: list[float]
    """Net benefit of acting on calibrated probabilities; empty where the condition is never or always present."""
    uncalibrated: list[float]
    """Net benefit of acting on the network's own probabilities."""
    treat_all: list[float]
    """Net benefit of acting on every recording; acting on none has 0."""
    low: list[float]
    """Lower ends of the 95% band of ``calibrated`` over resamples of patients; empty where there is none."""
    high: list[float]
    """Upper ends."""
    gain: list[float]
    """``calibrated`` minus the better of treating all and treating none."""
    gain_low: list[float]
    """Lower ends of the 95% band of ``gain``, from the same resamples."""
    reason: str = ""
    """Why there is no curve or no band."""

    def to_dict(self) -> dict[str, Any]:
        """Plain containers, as in ``metrics.json``."""
        return asdict(self)

    @property
    def useful(self) -> list[tuple[float, float]]:
        """First and last threshold probability of each stretch over which the band of ``gain`` lies above 0."""
        above = np.array(self.gain_low) > 0
        edges = np.flatnonzero(np.diff(np.concatenate([[False], above, [False]])))
        return [
            (self.thresholds[start], self.thresholds[end - 1])
            for start, end in zip(edges[::2], edges[1::2], strict=True)
        ]


@dataclass(frozen=True)
class _Sums:
    """Recordings of one condition by patient, as sums from which every threshold's counts follow."""

    by_patient: csr_array
    """(2 (thresholds + 1), patients): recordings without, then with, the condition, by how many of the thresholds their
    probability reaches."""
    odds: NDArray[np.float64]
    """(thresholds,) t / (1 - t)."""

    def counts(self, drawn: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """False and true positives without a threshold, then at each one; (thresholds + 1, resamples) each.

        Args:
            drawn: (patients, resamples) how often each patient counts.
        """
        reached = self.by_patient @ drawn
        half = len(self.odds) + 1
        without, with_it = (np.cumsum(part[::-1], axis=0)[::-1] for part in (reached[:half], reached[half:]))
        return without, with_it

    def benefit(self, drawn: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Net benefit of the model and of treating all; (thresholds, resamples) each, NaN without a positive."""
        without, with_it = self.counts(drawn)
        positives = np.where(with_it[0] > 0, with_it[0], np.nan)
        odds = self.odds[:, None]
        return (with_it[1:] - odds * without[1:]) / positives, 1 - odds * without[0] / positives


def net_benefit(
    data: EvaluationInput,
    uncalibrated: NDArray[np.floating],
    limits: Sequence[float],
    *,
    resamples: int,
    seed: int,
    level: float = 0.95,
) -> dict[str, NetBenefit]:
    """Find the net benefit of each condition over a range of threshold probabilities.

    A band needs :data:`~ecgfounder_ft.evaluation.bootstrap.MIN_PATIENTS` patients with and without the condition. Its
    ends are percentiles of the resamples, expanded for few patients, at each threshold by itself.

    Args:
        data: the evaluated recordings with calibrated probabilities.
        uncalibrated: (n, k) the network's own probabilities of them, NaN where there is none.
        limits: lowest and highest threshold probability, over 0 and under 1.
        resamples: of the patients; 0: no bands.
        seed: of the resamples.
        level: of confidence.

    Returns:
        Condition code to its curve.
    """
    thresholds = np.linspace(limits[0], limits[1], POINTS)
    patients = int(data.groups.max()) + 1 if len(data.groups) else 0
    curves: dict[str, NetBenefit] = {}
    banded: dict[str, tuple[_Sums, int]] = {}
    for column, code in enumerate(data.codes):
        known = data.known[:, column]
        present, groups = data.targets[known, column] == PRESENT, data.groups[known]
        if present.all() or not present.any():
            reason = NO_RECORDINGS if not len(present) else NO_POSITIVES if not present.any() else NO_NEGATIVES
            prevalence = float(present.mean()) if len(present) else None
            curves[code] = NetBenefit(thresholds.tolist(), prevalence, [], [], [], [], [], [], [], reason)
            continue
        sums, before = (
            _sums(given[known, column], present, groups, thresholds, patients)
            for given in (data.probabilities, uncalibrated)
        )
        rarer = min(len(np.unique(groups[present])), len(np.unique(groups[~present])))
        few = rarer < MIN_PATIENTS
        if resamples and not few:
            banded[code] = sums, rarer
        reason = f"no band: {count_patients(rarer)} of the rarer kind" if few else ""
        curves[code] = _curve(thresholds, float(present.mean()), sums, before, reason)
    return curves | _with_bands(curves, banded, patients, resamples, seed, level)


def _curve(
    thresholds: NDArray[np.float64], prevalence: float, calibrated: _Sums, uncalibrated: _Sums, reason: str
) -> NetBenefit:
    """A curve without its band."""
    every = np.ones((calibrated.by_patient.shape[1], 1))
    benefit, treat_all = (values[:, 0] for values in calibrated.benefit(every))
    return NetBenefit(
        thresholds=thresholds.tolist(),
        prevalence=prevalence,
        calibrated=benefit.tolist(),
        uncalibrated=uncalibrated.benefit(every)[0][:, 0].tolist(),
        treat_all=treat_all.tolist(),
        low=[],
        high=[],
        gain=(benefit - np.maximum(treat_all, 0)).tolist(),
        gain_low=[],
        reason=reason,
    )


def _with_bands(
    curves: dict[str, NetBenefit],
    banded: dict[str, tuple[_Sums, int]],
    patients: int,
    resamples: int,
    seed: int,
    level: float,
) -> dict[str, NetBenefit]:
    """The curves of some conditions with their bands, from the same resamples of the patients."""
    drawn: dict[str, list[tuple[NDArray[np.float64], NDArray[np.float64]]]] = {code: [] for code in banded}
    if banded:
        chunk = max(1, _CHUNK_ELEMENTS // patients)
        for counts in resample_counts(patients, resamples, np.random.default_rng(seed), chunk):
            for code, (sums, _) in banded.items():
                benefit, treat_all = sums.benefit(counts)
                drawn[code].append((benefit, benefit - np.maximum(treat_all, 0)))
    found = {}
    for code, (_, rarer) in banded.items():
        tail = 100 * expanded_tail(rarer, level)
        benefit, gain = (np.concatenate(parts, axis=1) for parts in zip(*drawn[code], strict=True))
        low, high = np.nanpercentile(benefit, (tail, 100 - tail), axis=1)
        gain_low = np.nanpercentile(gain, tail, axis=1)
        content = {"low": low.tolist(), "high": high.tolist(), "gain_low": gain_low.tolist()}
        found[code] = NetBenefit(**(curves[code].to_dict() | content))
    return found


def _sums(
    probabilities: NDArray[np.floating],
    present: NDArray[np.bool_],
    groups: NDArray[np.integer],
    thresholds: NDArray[np.float64],
    patients: int,
) -> _Sums:
    """Sort the recordings of a condition by patient and by the thresholds that they reach; (n,) each."""
    reached = np.searchsorted(thresholds, probabilities, side="right") + (len(thresholds) + 1) * present
    shape = (2 * (len(thresholds) + 1), patients)
    return _Sums(csr_array((np.ones(len(reached)), (reached, groups)), shape=shape), thresholds / (1 - thresholds))
