"""The atria's part of the dipole: P waves, f-waves and flutter waves."""

import numpy as np
from numpy.typing import NDArray

from ecgfounder_ft.ecg.simulator.beats import Beats
from ecgfounder_ft.ecg.simulator.dipole import P_WAVE, Waves, add_waves
from ecgfounder_ft.ecg.simulator.lead_vectors import DOWER, DOWER_LEADS, rotation
from ecgfounder_ft.ecg.simulator.physiology import Physiology
from ecgfounder_ft.ecg.simulator.sitting import Sitting

_II, _V1 = (DOWER[DOWER_LEADS.index(name)] for name in ("II", "V1"))


def atrial_dipole(physiology: Physiology, beats: Beats, sitting: Sitting) -> NDArray[np.float32]:
    """Compute the atria's dipole, (samples, 3) mV in Frank's axes."""
    time, rng = sitting.time, sitting.rng
    if physiology.rhythm == "fibrillation":
        return fibrillation_waves(rng, time, physiology.atrial_rate / 60, physiology.atrial_size).astype(np.float32)
    if physiology.rhythm == "flutter":
        circuit = physiology.circuit
        waves = flutter_waves(sitting.anatomy, time, 60 / physiology.atrial_rate, physiology.atrial_size, circuit)
        return waves.astype(np.float32)
    dipole = np.zeros((len(time), 3), dtype=np.float32)
    seen = np.isfinite(beats.p)
    early = (beats.kind == "atrial") | (beats.kind == "dropped") & ("PAC" in physiology.findings)
    for which, wave in _p_waves(physiology, seen, early, sitting):
        onsets = beats.p[which] - time[0]
        add_waves(dipole, onsets, wave, sitting.sampling_rate, size=rng.normal(1, 0.06, len(onsets)))
        if physiology.atria_paced:
            add_waves(dipole, onsets, pacing_spike(sitting.anatomy), sitting.sampling_rate)
    return dipole


def _p_waves(
    physiology: Physiology, seen: NDArray[np.bool_], early: NDArray[np.bool_], sitting: Sitting
) -> list[tuple[NDArray[np.bool_], Waves]]:
    """Pair each shape of the patient's P waves with a mask of the beats that have it."""
    anatomy = sitting.anatomy
    wave = P_WAVE.varied(anatomy, timing=0.2, size=0.2, direction=0.08)
    wave = wave.scaled(time=physiology.p_duration, size=physiology.atrial_size)
    turn = rotation(sitting.own("P rotation"), sitting.own("P rotation, horizontal"), 0)
    if physiology.rhythm in {"junctional", "svt"}:
        turn = rotation(180, 0, 0) @ turn  # from the AV node upwards
    if physiology.rhythm == "ectopic atrial":
        turn = rotation(sitting.own("P rotation, ectopic"), anatomy.uniform(-40, 40), 0)
    elsewhere = [wave.rotated(rotation(*anatomy.uniform(-120, 120, 3))) for _ in range(3)]
    if physiology.rhythm == "wandering":
        from_where = sitting.rng.integers(0, 4, len(seen))
        from_where[~seen] = -1
        return [(from_where == number, one) for number, one in enumerate([wave.rotated(turn), *elsewhere])]
    return [(seen & ~early, wave.rotated(turn)), (seen & early, elsewhere[0])]


def pacing_spike(anatomy: np.random.Generator) -> Waves:
    """Draw a pacemaker's stimulus: often too small to be seen (bipolar leads), sometimes larger than the QRS."""
    return Waves.of((-0.004, 0.0012, *(anatomy.normal(0, 1, 3) * anatomy.choice([0.0, 0.3, 1.2]))))


def fibrillation_waves(rng: np.random.Generator, time: NDArray, frequency: float, amplitude: float) -> NDArray:
    """Compute the atria's dipole in fibrillation, (samples, 3): f-waves of wandering rate and size (Stridh 2001).

    Most of the dipole points to the front, so V1 shows it best.

    Args:
        rng: source of randomness.
        time: (samples,) s.
        frequency: dominant frequency, Hz.
        amplitude: peak to trough in V1, mV.
    """
    coarse = np.arange(time[0], time[-1] + 0.016, 0.008)  # the waves hold nothing above 30 Hz
    direction = np.array([0.3, 0.65, 1.0]) * rng.uniform(0.7, 1.3, 3)  # aVF about three quarters of V1 (Cheng 2013)
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
    dipole = np.stack([np.interp(time, coarse, row) for row in total], axis=1) * direction
    low, high = np.percentile(dipole @ _V1, [5, 95])
    return dipole * (amplitude / (high - low))


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
    """Compute the atria's dipole in flutter, (samples, 3).

    A ``typical`` circuit runs counter-clockwise and gives a negative sawtooth in the inferior leads. ``reverse`` gives
    a positive one, ``atypical`` smooth waves of any direction (Saoudi 2001).

    Args:
        rng: source of the patient's own randomness.
        time: (samples,) s.
        atrial_period: s.
        amplitude: peak to trough in lead II, mV. For an atypical circuit: in II or V1, whichever shows more.
        circuit: ``typical``, ``reverse`` or ``atypical``.
    """
    if circuit == "atypical":
        harmonic = 2 * np.pi * np.arange(1, 4)[:, None] * _PHASE
        size = rng.normal(0, 1, (3, 3, 1)) * np.array([1.0, 0.4, 0.15])[:, None]
        cycle = (size * np.sin(harmonic + rng.uniform(0, 2 * np.pi, (3, 3, 1)))).sum(axis=1).T
        cycle = cycle * np.array([0.5, 0.8, 0.8])
    else:
        turn = np.array([1.0, -1.0, -1.0]) if circuit == "reverse" else np.ones(3)
        cycle = _TYPICAL_CYCLE * turn * rng.uniform(0.5, 1.4, 3) + rng.normal(0, 0.1) * _TYPICAL_CYCLE[:, [1, 2, 0]]
    in_two, in_v1 = np.ptp(cycle @ _II), np.ptp(cycle @ _V1)
    cycle = cycle / (max(in_two, in_v1) if circuit == "atypical" else in_two)
    cycle = cycle - cycle[:-1].mean(axis=0)
    phase = (time / atrial_period) % 1.0
    return np.stack([np.interp(phase, _PHASE, cycle[:, axis]) for axis in range(3)], axis=1) * amplitude
