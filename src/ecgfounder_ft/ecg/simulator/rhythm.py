"""When the ventricles and the atria are activated."""

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
    """(beats,) onset of the P wave that belongs to each beat, NaN where there is none."""
    kind: NDArray[np.str_]
    """(beats,) ``conducted``, ``atrial`` (premature, by an ectopic P wave), ``ventricular`` or ``dropped`` (a P wave
    that no QRS follows)."""

    @property
    def rr(self) -> NDArray[np.float64]:
        """(beats,) seconds since the beat before; the first takes the second's value."""
        intervals = np.diff(self.qrs)
        return np.concatenate([intervals[:1], intervals])


LEAD_IN = 2.0
"""Seconds of rhythm before the recording starts, so that its first beats have a past."""


def _conducted(qrs: NDArray, duration: float, p: NDArray | None = None) -> Beats:
    keep = qrs < duration + 1.0
    p = np.full(len(qrs), np.nan) if p is None else p
    return Beats(qrs[keep], p[keep], np.full(int(keep.sum()), "conducted", dtype="<U11"))


def regular_beats(rng: np.random.Generator, duration: float, rate: float, *, p_from_qrs: float = np.nan) -> Beats:
    """A regular rhythm without sinus P waves: junctional, re-entrant or paced.

    Args:
        rng: source of randomness.
        duration: s.
        rate: 1/min.
        p_from_qrs: onset of a retrograde P wave from the QRS onset, s; NaN where it cannot be seen.
    """
    rr = 60.0 / rate * (1 + rng.normal(0, 0.004, int((duration + LEAD_IN + 2.0) * rate / 60) + 3))
    qrs = np.cumsum(rr) - LEAD_IN - rng.uniform(0, 60.0 / rate)
    return _conducted(qrs, duration, qrs + p_from_qrs)


def sinus_beats(
    rng: np.random.Generator, duration: float, rate: float, pr: float, ranges: Ranges, *, arrhythmia: bool = False
) -> Beats:
    """Sinus rhythm whose rate follows breathing and the 0.1 Hz waves of blood pressure (McSharry 2003).

    Args:
        rng: source of randomness.
        duration: s.
        rate: mean rate, 1/min.
        pr: PR interval, s.
        ranges: what the modulation is drawn from.
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
    blocked: float = 0.1,
) -> Beats:
    """Some beats come early: atrial ones after an ectopic P wave, ventricular ones without.

    After a ventricular beat the next one comes when it would have come (a full compensatory pause), after an atrial one
    the rhythm starts anew.

    Args:
        rng: source of randomness.
        beats: the rhythm to disturb.
        share: of beats that come early.
        kind: ``atrial`` or ``ventricular``.
        ranges: what the prematurity is drawn from.
        every: a fixed pattern: every second (bigeminy) or third beat; 0 for at random.
        blocked: share of atrial ones that no QRS follows.
    """
    qrs, p, kinds = beats.qrs.copy(), beats.p.copy(), beats.kind.copy()
    rr = beats.rr
    n = len(qrs)
    chosen = np.arange(n) % every == rng.integers(every) if every else rng.random(n) < share
    chosen[1:] &= ~chosen[:-1]  # no two in a row
    chosen[0] = False
    prematurity = ranges["PAC prematurity" if kind == "atrial" else "PVC prematurity"].draw(rng)
    shift = 0.0
    for index in range(n):
        qrs[index] += shift
        p[index] += shift
        if not chosen[index] or kinds[index] != "conducted":
            continue
        earlier = rr[index] * (1 - prematurity * rng.uniform(0.94, 1.06))
        earlier = min(earlier, max(rr[index] - 0.30, 0.0))
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


def with_dropped_beats(rng: np.random.Generator, beats: Beats, pr: float) -> Beats:
    """Second-degree AV block, Wenckebach's: PR grows over three to five beats, then a P wave is not conducted."""
    cycle = int(rng.integers(3, 6))
    position = (np.arange(len(beats.qrs)) + rng.integers(cycle)) % cycle
    growth = np.minimum(position, 3) * rng.uniform(0.02, 0.05)
    kinds = np.where(position == cycle - 1, "dropped", beats.kind)
    return Beats(beats.p + pr + growth, beats.p, kinds)


def fibrillation_beats(rng: np.random.Generator, duration: float, rate: float, ranges: Ranges) -> Beats:
    """Ventricular response to atrial fibrillation: independent intervals, skewed, above the refractory period."""
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
    """Every second to fourth flutter wave is conducted.

    Args:
        rng: source of randomness.
        duration: s.
        atrial_period: s; flutter waves start at its multiples.
        delay: from a flutter wave to the QRS it causes, s.
        ratios: conduction ratios that occur; one is fixed conduction, several are variable conduction.
    """
    n = int((duration + LEAD_IN + 2.0) / (min(ratios) * atrial_period)) + 4
    skipped = rng.choice(ratios, n)
    first = -int(LEAD_IN / atrial_period) - int(rng.integers(0, 4))
    qrs = (first + np.cumsum(skipped)) * atrial_period + delay + rng.normal(0, 0.004, n)
    return _conducted(qrs, duration)


def fibrillation_waves(rng: np.random.Generator, time: NDArray, frequency: float, amplitude: float) -> NDArray:
    """The atria's dipole in fibrillation, (samples, 3): f-waves of wandering rate and size (Stridh 2001).

    Args:
        rng: source of randomness.
        time: (samples,) s.
        frequency: dominant frequency, Hz.
        amplitude: of the largest component, mV; most of it points to the front, so that V1 shows it best.
    """
    coarse = np.arange(time[0], time[-1] + 0.016, 0.008)  # the waves hold nothing above 30 Hz
    direction = np.array([0.35, 0.7, 1.0]) * rng.uniform(0.4, 1.3, 3)
    second, third = rng.uniform(0.0, 0.5), rng.uniform(0.0, 0.2)
    detunes = np.array([1.0, rng.uniform(0.75, 1.3)])[:, None, None]
    share = np.array([0.7, rng.uniform(0.2, 0.6)])[:, None, None]

    def slow(depth: float, low: float, high: float) -> NDArray:
        turns = rng.uniform(low, high, (2, 3, 1)) * coarse + rng.uniform(size=(2, 3, 1))
        return depth * np.sin(2 * np.pi * turns)

    wander = slow(rng.uniform(0.2, 1.2), 0.2, 1.0) + slow(0.6, 1.0, 2.2)
    phase = 2 * np.pi * (frequency * detunes * coarse + rng.uniform(size=(2, 3, 1))) + wander
    waves = np.sin(phase) + second * np.sin(2 * phase + 0.6) + third * np.sin(3 * phase + 1.1)
    total = (share * (1 + slow(0.5, 0.1, 0.8)) * waves).sum(axis=0)
    return np.stack([np.interp(time, coarse, row) for row in total], axis=1) * (amplitude * direction)


_PHASE = np.arange(257) / 256


def _bump(center: float, width: float) -> NDArray:
    distance = (_PHASE - center + 0.5) % 1.0 - 0.5
    return np.exp(-0.5 * (distance / width) ** 2)


_TYPICAL_CYCLE = np.stack(
    [
        0.15 * _bump(0.45, 0.15) - 0.1 * _bump(0.75, 0.1),
        # slow fall, steep rise and a small positive peak in the inferior leads
        -0.65 * _bump(0.30, 0.14) - 0.75 * _bump(0.46, 0.09) + 0.45 * _bump(0.64, 0.07),
        -0.65 * _bump(0.60, 0.11),  # a separate positive wave in V1
    ],
    axis=1,
)


def flutter_waves(
    rng: np.random.Generator, time: NDArray, atrial_period: float, amplitude: float, circuit: str
) -> NDArray:
    """The atria's dipole in flutter, (samples, 3).

    Args:
        rng: source of randomness (the patient's own).
        time: (samples,) s.
        atrial_period: s.
        amplitude: mV.
        circuit: ``typical`` (counter-clockwise: a negative sawtooth in the inferior leads), ``reverse``
            (positive there) or ``atypical`` (smooth waves of any direction; Saoudi 2001).
    """
    if circuit == "atypical":
        harmonic = 2 * np.pi * np.arange(1, 4)[:, None] * _PHASE
        size = rng.normal(0, 1, (3, 3, 1)) * np.array([1.0, 0.4, 0.15])[:, None]
        cycle = (size * np.sin(harmonic + rng.uniform(0, 2 * np.pi, (3, 3, 1)))).sum(axis=1).T
        cycle = cycle * np.array([0.5, 0.8, 0.8])
        cycle *= 0.5 / np.abs(cycle).max()
    else:
        turn = np.array([1.0, -1.0, -1.0]) if circuit == "reverse" else np.ones(3)
        cycle = _TYPICAL_CYCLE * turn * rng.uniform(0.5, 1.4, 3) + rng.normal(0, 0.1) * _TYPICAL_CYCLE[:, [1, 2, 0]]
    cycle = cycle - cycle[:-1].mean(axis=0)
    phase = (time / atrial_period) % 1.0
    return np.stack([np.interp(phase, _PHASE, cycle[:, axis]) for axis in range(3)], axis=1) * amplitude
