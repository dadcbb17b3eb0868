"""Times at which the ventricles and the atria are activated."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ecgfounder_ft.ecg.simulator.ranges import Ranges


@dataclass(frozen=True)
class Beats:
    """Activations in time order, seconds; some may lie before 0 or after the end of the recording."""

    qrs: NDArray[np.float64]
    """(beats,) QRS onsets."""
    p: NDArray[np.float64]
    """(beats,) onset of each beat's P wave; NaN without one."""
    kind: NDArray[np.str_]
    """(beats,) ``conducted``, ``atrial`` (premature, by an ectopic P wave), ``ventricular`` or ``dropped``. A dropped
    beat has a P wave without a QRS; ``qrs`` is when it would have come."""

    @property
    def rr(self) -> NDArray[np.float64]:
        """(beats,) seconds since the last beat with a QRS; the first has the second's value."""
        last = np.maximum.accumulate(np.where(self.kind != "dropped", self.qrs, -np.inf))
        intervals = self.qrs[1:] - last[:-1]
        intervals = np.where(np.isfinite(intervals), intervals, np.diff(self.qrs))
        return np.concatenate([intervals[:1], intervals])


LEAD_IN = 2.0
"""Seconds of rhythm before the recording starts."""


def _conducted(qrs: NDArray, duration: float, p: NDArray | None = None) -> Beats:
    keep = qrs < duration + 1.0
    p = np.full(len(qrs), np.nan) if p is None else p
    return Beats(qrs[keep], p[keep], np.full(int(keep.sum()), "conducted", dtype="<U11"))


def regular_beats(rng: np.random.Generator, duration: float, rate: float, *, p_from_qrs: float = np.nan) -> Beats:
    """Draw a regular rhythm without sinus P waves: junctional, re-entrant or paced.

    Args:
        rng: source of randomness.
        duration: s.
        rate: 1/min.
        p_from_qrs: onset of a retrograde P wave relative to the QRS onset, s; NaN if it cannot be seen.
    """
    rr = 60.0 / rate * (1 + rng.normal(0, 0.004, int((duration + LEAD_IN + 2.0) * rate / 60) + 3))
    qrs = np.cumsum(rr) - LEAD_IN - rng.uniform(0, 60.0 / rate)
    return _conducted(qrs, duration, qrs + p_from_qrs)


def sinus_beats(
    rng: np.random.Generator, duration: float, rate: float, pr: float, ranges: Ranges, *, arrhythmia: bool = False
) -> Beats:
    """Draw a sinus rhythm whose rate follows breathing and the 0.1 Hz waves of blood pressure (McSharry 2003).

    Args:
        rng: source of randomness.
        duration: s.
        rate: mean rate, 1/min.
        pr: PR interval, s.
        ranges: limits that the modulation is drawn between.
        arrhythmia: the rate follows breathing strongly.
    """
    modulation = "respiratory RR modulation" + (", sinus arrhythmia" if arrhythmia else "")
    mean = 60.0 / rate
    time = np.arange(int((duration + LEAD_IN + 2.0) / mean * 1.3) + 3) * mean
    rr = np.full(len(time), mean)
    for frequency, depth in (
        (ranges["respiratory rate"].draw(rng), ranges[modulation].draw(rng)),
        (0.1, ranges["0.1 Hz RR modulation"].draw(rng)),
    ):
        rr *= 1 + depth * np.sin(2 * np.pi * (frequency * time + rng.uniform()))
    rr *= 1 + rng.normal(0, ranges["RR jitter"].draw(rng), len(rr))
    qrs = np.cumsum(rr) - LEAD_IN - rng.uniform(0, mean)
    return _conducted(qrs, duration, qrs - pr)


def with_ectopics(
    rng: np.random.Generator,
    beats: Beats,
    share: float,
    kind: str,
    ranges: Ranges,
    *,
    every: int = 0,
    couplets: float = 0.0,
    blocked: float = 0.1,
) -> Beats:
    """Let some beats come early: atrial ones after an ectopic P wave, ventricular ones without.

    A ventricular beat does not shift later beats (full compensatory pause). After an atrial one the rhythm restarts.

    Args:
        rng: source of randomness.
        beats: the rhythm to disturb.
        share: share of beats that come early.
        kind: ``atrial`` or ``ventricular``.
        ranges: limits that the prematurity is drawn between.
        every: fixed pattern, every second (bigeminy) or third beat; 0: at random.
        couplets: share of early beats that are followed by another one.
        blocked: share of atrial early beats without a QRS.
    """
    qrs, p, kinds = beats.qrs.copy(), beats.p.copy(), beats.kind.copy()
    rr = beats.rr
    n = len(qrs)
    chosen = np.arange(n) % every == rng.integers(every) if every else rng.random(n) < share
    chosen[1:] &= ~chosen[:-1]
    chosen[0] = False
    prematurity = ranges["PAC prematurity" if kind == "atrial" else "PVC prematurity"].draw(rng)
    shift = 0.0
    second = False
    for index in range(n):
        qrs[index] += shift
        p[index] += shift
        if not (chosen[index] or second) or kinds[index] != "conducted":
            second = False
            continue
        if second:  # as early after the first early beat as that one was
            earlier = qrs[index] - qrs[index - 1] - rr[index] * prematurity * rng.uniform(0.94, 1.06)
            earlier = max(min(earlier, qrs[index] - qrs[index - 1] - 0.30), 0.0)
        else:
            earlier = rr[index] * (1 - prematurity * rng.uniform(0.94, 1.06))
            earlier = min(earlier, max(rr[index] - 0.30, 0.0))
        second = not second and rng.random() < couplets
        qrs[index] -= earlier
        kinds[index] = kind
        if kind == "ventricular":
            p[index] = np.nan
            continue
        p[index] -= earlier
        shift -= earlier * rng.uniform(0.6, 1.0)
        if rng.random() < blocked:
            kinds[index] = "dropped"
    order = np.argsort(qrs, kind="stable")
    return Beats(qrs[order], p[order], kinds[order])


def with_wenckebach(rng: np.random.Generator, beats: Beats, pr: float) -> Beats:
    """Make a second-degree AV block, Mobitz I: PR grows over three to five beats, then a P wave is not conducted."""
    cycle = int(rng.integers(3, 6))
    position = (np.arange(len(beats.qrs)) + rng.integers(cycle)) % cycle
    growth = np.minimum(position, 3) * rng.uniform(0.02, 0.05)
    kinds = np.where(position == cycle - 1, "dropped", beats.kind)
    return Beats(beats.p + pr + growth, beats.p, kinds)


def with_every_nth_dropped(rng: np.random.Generator, beats: Beats, cycle: int) -> Beats:
    """Make a second-degree AV block with an even PR interval: Mobitz II, or two to one if ``cycle`` is 2."""
    position = (np.arange(len(beats.qrs)) + rng.integers(cycle)) % cycle
    return Beats(beats.qrs, beats.p, np.where(position == cycle - 1, "dropped", beats.kind))


def with_escape_rhythm(
    rng: np.random.Generator, beats: Beats, duration: float, rate: float, *, ventricular: bool
) -> Beats:
    """Make a third-degree AV block: no P wave is conducted, and a slow, regular pacemaker leads the ventricles.

    Args:
        rng: source of randomness.
        beats: rhythm of the atria; without P waves (fibrillation) only the escape rhythm is left.
        duration: s.
        rate: rate of the escape rhythm, 1/min.
        ventricular: whether it comes from the ventricles (wide) or from the junction.
    """
    escape = regular_beats(rng, duration, rate)
    if ventricular:
        escape.kind[:] = "ventricular"
    seen = np.isfinite(beats.p)
    qrs = np.concatenate([escape.qrs, beats.qrs[seen]])
    p = np.concatenate([escape.p, beats.p[seen]])
    kind = np.concatenate([escape.kind, np.full(int(seen.sum()), "dropped", dtype="<U11")])
    order = np.argsort(qrs, kind="stable")
    return Beats(qrs[order], p[order], kind[order])


def fibrillation_beats(rng: np.random.Generator, duration: float, rate: float, ranges: Ranges) -> Beats:
    """Draw the ventricular response to fibrillation: independent, skewed intervals above the refractory period."""
    mean = 60.0 / rate
    refractory = min(0.28, 0.6 * mean)
    spread = ranges["afib RR coefficient of variation"].draw(rng) * mean
    shape = ((mean - refractory) / spread) ** 2
    n = int((duration + LEAD_IN + 2.0) / mean * 1.6) + 8
    rr = refractory + rng.gamma(shape, (mean - refractory) / shape, n)
    qrs = np.cumsum(rr) - LEAD_IN - rng.uniform(0, mean)
    return _conducted(qrs, duration)


def flutter_beats(
    rng: np.random.Generator, duration: float, atrial_period: float, delay: float, ratios: tuple[int, ...]
) -> Beats:
    """Draw the ventricular response to flutter: every second to fourth flutter wave is conducted.

    Args:
        rng: source of randomness.
        duration: s.
        atrial_period: s; flutter waves start at its multiples.
        delay: time from a flutter wave to its QRS, s.
        ratios: conduction ratios that occur; one: fixed conduction, several: variable conduction.
    """
    n = int((duration + LEAD_IN + 2.0) / (min(ratios) * atrial_period)) + 4
    skipped = rng.choice(ratios, n)
    first = -int(LEAD_IN / atrial_period) - int(rng.integers(0, 4))
    qrs = (first + np.cumsum(skipped)) * atrial_period + delay + rng.normal(0, 0.004, n)
    return _conducted(qrs, duration)
