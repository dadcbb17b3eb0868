"""Simulated 12-lead recordings of the six conditions: a moving dipole seen by twelve leads.

A patient is drawn first (:func:`sample_physiology`), then recorded (:func:`record`); :func:`simulate` does both. The
ranges and their sources are in ``ranges.py``, the waves' directions in ``dipole.py``.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ecgfounder_ft.ecg.leads import STANDARD_LEADS
from ecgfounder_ft.ecg.recording import Recording
from ecgfounder_ft.ecg.simulator.dipole import P_WAVE, QRS, ST_SHARE, T_VECTOR, Waves, add_waves, repolarisation
from ecgfounder_ft.ecg.simulator.leads import ELECTRODES_TO_LEADS, patient_leads, rotation
from ecgfounder_ft.ecg.simulator.noise import electrode_noise, through_device
from ecgfounder_ft.ecg.simulator.ranges import RANGES
from ecgfounder_ft.ecg.simulator.rhythm import (
    Beats,
    fibrillation_beats,
    fibrillation_waves,
    flutter_beats,
    flutter_waves,
    sinus_beats,
)

SIMULATED_CONDITIONS: tuple[str, ...] = ("NORM", "AFIB", "AFLT", "1dAVb", "RBBB", "LBBB")
"""Condition codes that the simulator knows."""

_EXCLUSIVE = ({"NORM", "1dAVb"}, {"AFIB"}, {"AFLT"}), ({"RBBB"}, {"LBBB"})
"""Alternatives: conditions of two members of one row cannot stand together."""

_FLUTTER_RATIOS: tuple[tuple[int, ...], ...] = ((2,), (3,), (4,), (2, 4), (2, 3, 4), (3, 4))
_SETTLING = 1.0  # seconds recorded and thrown away, so that the device's filters have settled


@dataclass(frozen=True)
class Physiology:
    """One patient's heart on one day. Times in seconds, rates per minute, voltages in millivolts."""

    rhythm: str
    """``sinus``, ``fibrillation`` or ``flutter``."""
    conduction: str
    """``normal``, ``rbbb`` or ``lbbb``."""
    rate: float
    """Mean ventricular rate; in flutter it follows from the atrial rate and the conduction ratios."""
    pr: float
    """PR interval, NaN without P waves."""
    qrs: float
    """QRS duration."""
    qtc: float
    """QT at a rate of 60 (Fridericia)."""
    atrial_rate: float
    """Flutter or f-waves a minute; the rate in sinus rhythm."""
    flutter_ratios: tuple[int, ...]
    """Flutter waves a beat, those that occur."""
    atrial_size: float
    """Of P waves against the template; of f-waves and flutter waves in mV."""
    p_duration: float
    qrs_size: float
    t_size: float
    st_share: float
    """ST level as a share of the T wave."""
    frontal: float
    """Rotation of the heart in the frontal plane, degrees."""
    horizontal: float
    sagittal: float
    t_rotation: float
    """Further rotation of the T wave in the frontal and horizontal planes, degrees."""
    anatomy: int
    """Seed of what makes this patient's waves and electrodes differ from another's with the same numbers."""


@dataclass(frozen=True)
class Truth:
    """What a simulated recording is known to show."""

    conditions: tuple[str, ...]
    rhythm: str
    conduction: str
    heart_rate: float
    """Mean ventricular rate within the recording, 1/min."""
    pr_ms: float
    """NaN without P waves."""
    qrs_ms: float
    beat_times: NDArray[np.float64]
    """(beats,) QRS onsets within the recording, s."""
    rr: NDArray[np.float64]
    """(beats - 1,) s."""
    atrial_rate: float
    """1/min."""


@dataclass(frozen=True)
class Simulated:
    """A recording and the truth about it."""

    recording: Recording
    truth: Truth
    physiology: Physiology


def check_conditions(conditions: Collection[str]) -> frozenset[str]:
    """The conditions as a set.

    Raises:
        ValueError: if one is unknown to the simulator, or two cannot occur in one heart.
    """
    wanted = frozenset(conditions)
    unknown = sorted(wanted - set(SIMULATED_CONDITIONS))
    if unknown:
        raise ValueError(f"cannot simulate {', '.join(unknown)}; known are {', '.join(SIMULATED_CONDITIONS)}")
    for alternatives in _EXCLUSIVE:
        met = [sorted(wanted & group) for group in alternatives if wanted & group]
        if len(met) > 1:
            raise ValueError(f"{met[0][0]} and {met[1][0]} cannot occur together")
    return wanted


def sample_physiology(conditions: Collection[str], rng: np.random.Generator) -> Physiology:
    """Draw a heart that has exactly these of the known conditions.

    Args:
        conditions: codes of ``SIMULATED_CONDITIONS``; ``NORM`` beside others means a normal sinus rate.
        rng: source of randomness.

    Raises:
        ValueError: as :func:`check_conditions`.
    """
    wanted = check_conditions(conditions)

    def draw(name: str) -> float:
        return RANGES[name].draw(rng)

    conduction = "rbbb" if "RBBB" in wanted else "lbbb" if "LBBB" in wanted else "normal"
    ratios: tuple[int, ...] = ()
    pr = float("nan")
    if "AFIB" in wanted:
        rhythm, rate = "fibrillation", draw("afib rate")
        atrial_rate, atrial_size = 60 * draw("f-wave frequency"), draw("f-wave amplitude")
    elif "AFLT" in wanted:
        rhythm, atrial_rate, atrial_size = "flutter", draw("flutter rate"), draw("flutter amplitude")
        ratios = _FLUTTER_RATIOS[rng.integers(len(_FLUTTER_RATIOS))]
        rate = atrial_rate / float(np.mean(ratios))
    else:
        rhythm = "sinus"
        rate = draw("sinus rate" if "NORM" in wanted else "sinus rate, other findings")
        atrial_rate, atrial_size = rate, draw("P amplitude")
        # a fast heart leaves no room for the longest PR
        pr = min(draw("PR, first-degree block" if "1dAVb" in wanted else "PR"), 0.5 * 60 / rate)
        if "1dAVb" in wanted:
            pr = max(pr, RANGES["PR, first-degree block"].low)
    return Physiology(
        rhythm=rhythm,
        conduction=conduction,
        rate=rate,
        pr=pr,
        qrs=draw(f"QRS, {conduction}"),
        qtc=draw("QTc") + (0.03 if conduction != "normal" else 0.0),
        atrial_rate=atrial_rate,
        flutter_ratios=ratios,
        atrial_size=atrial_size,
        p_duration=draw("P duration"),
        qrs_size=draw("QRS amplitude"),
        t_size=draw("T amplitude"),
        st_share=draw("ST level") + ST_SHARE[conduction],
        frontal=draw("frontal rotation, lbbb" if conduction == "lbbb" else "frontal rotation"),
        horizontal=draw("horizontal rotation"),
        sagittal=draw("sagittal rotation"),
        t_rotation=draw("T rotation"),
        anatomy=int(rng.integers(2**63)),
    )


def _beats(physiology: Physiology, rng: np.random.Generator, duration: float) -> Beats:
    if physiology.rhythm == "fibrillation":
        return fibrillation_beats(rng, duration, physiology.rate)
    if physiology.rhythm == "flutter":
        delay = RANGES["flutter to QRS"].draw(rng)
        return flutter_beats(rng, duration, 60 / physiology.atrial_rate, delay, physiology.flutter_ratios)
    return sinus_beats(rng, duration, physiology.rate, physiology.pr)


def _atrial_dipole(
    physiology: Physiology,
    beats: Beats,
    anatomy: np.random.Generator,
    rng: np.random.Generator,
    time: NDArray,
    sampling_rate: float,
) -> NDArray[np.float32]:
    if physiology.rhythm == "fibrillation":
        waves = fibrillation_waves(rng, time, physiology.atrial_rate / 60, physiology.atrial_size)
        return waves.astype(np.float32)
    if physiology.rhythm == "flutter":
        scale = physiology.atrial_size * anatomy.uniform(0.7, 1.3, 3)
        return flutter_waves(time, 60 / physiology.atrial_rate, scale).astype(np.float32)
    dipole = np.zeros((len(time), 3), dtype=np.float32)
    wave = P_WAVE.varied(anatomy, timing=0.15, size=0.15, direction=0.08)
    wave = wave.scaled(time=physiology.p_duration, size=physiology.atrial_size)
    onsets = beats.p[np.isfinite(beats.p)] - time[0]
    add_waves(dipole, onsets, wave, sampling_rate, size=rng.normal(1, 0.04, len(onsets)))
    return dipole


def _ventricular_waves(physiology: Physiology, anatomy: np.random.Generator) -> tuple[Waves, Waves]:
    """The patient's QRS, and ST-T at a rate of 60."""
    turn = rotation(physiology.frontal, physiology.horizontal, physiology.sagittal)
    qrs = QRS[physiology.conduction].varied(anatomy, timing=0.25, size=0.18, direction=0.04)
    qrs = qrs.scaled(time=physiology.qrs, size=physiology.qrs_size).rotated(turn)
    t_turn = rotation(physiology.t_rotation, physiology.t_rotation, 0) @ turn
    t_vector = t_turn @ (physiology.t_size * np.array(T_VECTOR[physiology.conduction]))
    return qrs, repolarisation(t_vector, physiology.st_share, physiology.qrs, physiology.qtc)


def record(
    physiology: Physiology,
    rng: np.random.Generator,
    *,
    sampling_rate: float = 500.0,
    duration: float = 10.0,
    disturbed: bool = True,
) -> tuple[NDArray[np.float32], Beats]:
    """Record a patient.

    Args:
        physiology: the patient's heart; recording it again gives another ten seconds of the same patient.
        rng: source of randomness of what changes from recording to recording.
        sampling_rate: Hz.
        duration: s.
        disturbed: with noise and a device's bandwidth; a perfect recorder otherwise.

    Returns:
        (12, samples) millivolts in the order of ``STANDARD_LEADS``, and all beats, those outside the recording too.
    """
    n = round(duration * sampling_rate)
    settling = round(_SETTLING * sampling_rate)
    time = (np.arange(n + settling) - settling) / sampling_rate
    anatomy = np.random.default_rng(physiology.anatomy)
    beats = _beats(physiology, rng, duration)
    atria = _atrial_dipole(physiology, beats, anatomy, rng, time, sampling_rate)
    qrs, st_t = _ventricular_waves(physiology, anatomy)
    ventricles = np.zeros((len(time), 3), dtype=np.float32)
    onsets = beats.qrs - time[0]
    breathing = 1 + 0.05 * np.sin(2 * np.pi * 0.25 * beats.qrs + rng.uniform(0, 2 * np.pi))
    add_waves(ventricles, onsets, qrs, sampling_rate, size=breathing)
    # QT follows the interval before the beat, slowly: half the beat's own, half the mean (AHA-IV)
    rr = 0.5 * beats.rr + 0.5 * float(np.mean(beats.rr))
    add_waves(ventricles, onsets, st_t, sampling_rate, size=breathing, stretch=np.cbrt(rr))
    signal = patient_leads(anatomy) @ (atria + ventricles).T
    if disturbed:
        signal += ELECTRODES_TO_LEADS @ electrode_noise(rng, time, sampling_rate)
        signal = through_device(signal, rng, sampling_rate)
    return np.ascontiguousarray(signal[:, settling:], dtype=np.float32), beats


def simulate(
    conditions: Collection[str],
    rng: np.random.Generator,
    *,
    sampling_rate: float = 500.0,
    duration: float = 10.0,
    disturbed: bool = True,
    name: str = "simulated",
) -> Simulated:
    """Simulate a recording of a patient with exactly these of the known conditions.

    Args:
        conditions: codes of ``SIMULATED_CONDITIONS``, as ``{"NORM"}`` or ``{"AFIB", "RBBB"}``.
        rng: source of randomness; the same state gives the same recording.
        sampling_rate: Hz.
        duration: s.
        disturbed: with noise and a device's bandwidth; a perfect recorder otherwise.
        name: the record's name.

    Raises:
        ValueError: if a condition is unknown or two cannot occur together.
    """
    physiology = sample_physiology(conditions, rng)
    signal, beats = record(physiology, rng, sampling_rate=sampling_rate, duration=duration, disturbed=disturbed)
    within = beats.qrs[(beats.qrs >= 0) & (beats.qrs < duration)]
    rr = np.diff(within)
    truth = Truth(
        conditions=tuple(code for code in SIMULATED_CONDITIONS if code in set(conditions)),
        rhythm=physiology.rhythm,
        conduction=physiology.conduction,
        heart_rate=60 / float(np.mean(rr)) if len(rr) else float("nan"),
        pr_ms=1000 * physiology.pr,
        qrs_ms=1000 * physiology.qrs,
        beat_times=within,
        rr=rr,
        atrial_rate=physiology.atrial_rate,
    )
    recording = Recording(name=name, leads=STANDARD_LEADS, signal=signal, sampling_rate=sampling_rate)
    return Simulated(recording=recording, truth=truth, physiology=physiology)


def simulate_batch(
    conditions: Sequence[Collection[str]],
    rng: np.random.Generator,
    *,
    sampling_rate: float = 500.0,
    duration: float = 10.0,
) -> NDArray[np.float32]:
    """Signals only, (recordings, 12, samples) millivolts, one for each entry of ``conditions``."""
    signals = np.empty((len(conditions), 12, round(duration * sampling_rate)), dtype=np.float32)
    for row, wanted in zip(signals, conditions, strict=True):
        row[:] = record(sample_physiology(wanted, rng), rng, sampling_rate=sampling_rate, duration=duration)[0]
    return signals
