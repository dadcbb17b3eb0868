"""When the ventricles and the atria are activated."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ecgfounder_ft.ecg.simulator.ranges import RANGES


@dataclass(frozen=True)
class Beats:
    """Activations in time order, seconds; some may lie before 0 or after the end of the recording."""

    qrs: NDArray[np.float64]
    """(beats,) QRS onsets."""
    p: NDArray[np.float64]
    """(beats,) onset of the P wave that each beat follows, NaN where there is none."""

    @property
    def rr(self) -> NDArray[np.float64]:
        """(beats,) seconds since the beat before; the first takes the second's value."""
        intervals = np.diff(self.qrs)
        return np.concatenate([intervals[:1], intervals])


LEAD_IN = 2.0
"""Seconds of rhythm before the recording starts, so that its first beats have a past."""


def sinus_beats(rng: np.random.Generator, duration: float, rate: float, pr: float) -> Beats:
    """Sinus rhythm whose rate follows breathing and the 0.1 Hz waves of blood pressure (McSharry 2003).

    Args:
        rng: source of randomness.
        duration: s.
        rate: mean rate, 1/min.
        pr: PR interval, s.
    """
    mean = 60.0 / rate
    time = np.arange(int((duration + LEAD_IN + 2.0) / mean * 1.3) + 3) * mean
    rr = np.full(len(time), mean)
    for frequency, depth in (
        (RANGES["respiratory rate"].draw(rng), RANGES["respiratory RR modulation"].draw(rng)),
        (0.1, RANGES["0.1 Hz RR modulation"].draw(rng)),
    ):
        rr *= 1 + depth * np.sin(2 * np.pi * (frequency * time + rng.uniform()))
    rr *= 1 + rng.normal(0, RANGES["RR jitter"].draw(rng), len(rr))
    qrs = np.cumsum(rr) - LEAD_IN - rng.uniform(0, mean)
    qrs = qrs[qrs < duration + 1.0]
    return Beats(qrs=qrs, p=qrs - pr)


def fibrillation_beats(rng: np.random.Generator, duration: float, rate: float) -> Beats:
    """Ventricular response to atrial fibrillation: independent intervals, skewed, above the refractory period."""
    mean = 60.0 / rate
    refractory = min(0.28, 0.6 * mean)
    spread = RANGES["afib RR coefficient of variation"].draw(rng) * mean
    shape = ((mean - refractory) / spread) ** 2
    n = int((duration + LEAD_IN + 2.0) / mean * 1.6) + 8
    rr = refractory + rng.gamma(shape, (mean - refractory) / shape, n)
    qrs = np.cumsum(rr) - LEAD_IN - rng.uniform(0, mean)
    qrs = qrs[qrs < duration + 1.0]
    return Beats(qrs=qrs, p=np.full(len(qrs), np.nan))


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
    qrs = qrs[qrs < duration + 1.0]
    return Beats(qrs=qrs, p=np.full(len(qrs), np.nan))


def fibrillation_waves(rng: np.random.Generator, time: NDArray, frequency: float, amplitude: float) -> NDArray:
    """The atria's dipole in fibrillation, (samples, 3): f-waves of wandering rate and size (Stridh 2001).

    Args:
        rng: source of randomness.
        time: (samples,) s.
        frequency: dominant frequency, Hz.
        amplitude: of the largest component, mV; most of it points to the front, so that V1 shows it best.
    """
    direction = np.array([0.35, 0.7, 1.0]) * rng.uniform(0.5, 1.2, 3)
    waves = np.zeros((len(time), 3))
    for share, detune in ((0.7, 1.0), (0.45, rng.uniform(0.75, 1.3))):
        for axis in range(3):
            wander = rng.uniform(0.2, 0.8) * np.sin(2 * np.pi * (rng.uniform(0.2, 1.0) * time + rng.uniform()))
            wander += 0.5 * np.sin(2 * np.pi * (rng.uniform(1.0, 2.2) * time + rng.uniform()))
            phase = 2 * np.pi * (frequency * detune * time + rng.uniform()) + wander
            swell = 1 + 0.5 * np.sin(2 * np.pi * (rng.uniform(0.1, 0.8) * time + rng.uniform()))
            saw = np.sin(phase) + 0.4 * np.sin(2 * phase + 0.6) + 0.15 * np.sin(3 * phase + 1.1)
            waves[:, axis] += share * direction[axis] * swell * saw
    return amplitude * waves


_PHASE = np.arange(257) / 256


def _bump(center: float, width: float) -> NDArray:
    distance = (_PHASE - center + 0.5) % 1.0 - 0.5
    return np.exp(-0.5 * (distance / width) ** 2)


_FLUTTER_CYCLE = np.stack(
    [
        0.15 * _bump(0.45, 0.15) - 0.1 * _bump(0.75, 0.1),
        # slow fall, steep rise and a small positive peak in the inferior leads
        -0.65 * _bump(0.30, 0.14) - 0.75 * _bump(0.46, 0.09) + 0.45 * _bump(0.64, 0.07),
        -0.65 * _bump(0.60, 0.11),  # a separate positive wave in V1
    ],
    axis=1,
)


def flutter_waves(time: NDArray, atrial_period: float, vector_scale: NDArray) -> NDArray:
    """The atria's dipole in typical (counter-clockwise) flutter, (samples, 3).

    Args:
        time: (samples,) s.
        atrial_period: s.
        vector_scale: (3,) mV along left, feet, back; negative feet is the reverse circuit.
    """
    cycle = _FLUTTER_CYCLE - _FLUTTER_CYCLE[:-1].mean(axis=0)
    phase = (time / atrial_period) % 1.0
    return np.stack([np.interp(phase, _PHASE, cycle[:, axis]) for axis in range(3)], axis=1) * vector_scale
