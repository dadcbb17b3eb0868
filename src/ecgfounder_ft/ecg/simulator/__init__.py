"""Simulated 12-lead recordings: a moving dipole seen by twelve leads.

A patient is drawn first (``physiology.py``), then recorded (:func:`record`); :func:`simulate` does both. The ranges and
their sources are in ``ranges.py``, the waves' directions in ``dipole.py``, whom a hospital sees in ``population.py``.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ecgfounder_ft.ecg.leads import STANDARD_LEADS
from ecgfounder_ft.ecg.recording import Recording
from ecgfounder_ft.ecg.simulator.dipole import (
    LOST_VECTOR,
    P_WAVE,
    QRS,
    T_VECTOR,
    Waves,
    add_waves,
    joined,
    repolarisation,
)
from ecgfounder_ft.ecg.simulator.leads import ELECTRODES_TO_LEADS, group_leads, patient_leads, rotation
from ecgfounder_ft.ecg.simulator.noise import electrode_noise, through_device, with_dropouts
from ecgfounder_ft.ecg.simulator.physiology import (
    FINDINGS,
    SIMULATED_CONDITIONS,
    Physiology,
    check_conditions,
    sample_physiology,
)
from ecgfounder_ft.ecg.simulator.ranges import RANGES, Ranges
from ecgfounder_ft.ecg.simulator.rhythm import (
    Beats,
    fibrillation_beats,
    fibrillation_waves,
    flutter_beats,
    flutter_waves,
    regular_beats,
    sinus_beats,
    with_dropped_beats,
    with_ectopics,
)

__all__ = [
    "FINDINGS",
    "SIMULATED_CONDITIONS",
    "Physiology",
    "Simulated",
    "Truth",
    "check_conditions",
    "record",
    "sample_physiology",
    "simulate",
    "simulate_batch",
]

_SETTLING = 1.0  # seconds recorded and thrown away, so that the device's filters have settled


@dataclass(frozen=True)
class Truth:
    """What a simulated recording is known to show."""

    conditions: tuple[str, ...]
    findings: tuple[str, ...]
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


def _beats(physiology: Physiology, rng: np.random.Generator, duration: float, ranges: Ranges) -> Beats:
    findings, rate = physiology.findings, physiology.rate
    if physiology.conduction == "paced":
        beats = regular_beats(rng, duration, rate)
    elif physiology.rhythm == "fibrillation":
        beats = fibrillation_beats(rng, duration, rate, ranges)
    elif physiology.rhythm == "flutter":
        delay = ranges["flutter to QRS"].draw(rng)
        beats = flutter_beats(rng, duration, 60 / physiology.atrial_rate, delay, physiology.flutter_ratios)
    elif physiology.rhythm == "vt":
        beats = regular_beats(rng, duration, rate)
        beats.kind[:] = "ventricular"
    elif physiology.rhythm in {"junctional", "svt"}:
        retrograde = rng.choice([np.nan, rng.uniform(-0.11, -0.08), rng.uniform(0.07, 0.16)])
        beats = regular_beats(rng, duration, rate, p_from_qrs=float(retrograde))
    else:
        arrhythmia = "sinus arrhythmia" in findings
        beats = sinus_beats(rng, duration, rate, physiology.pr, ranges, arrhythmia=arrhythmia)
        if "second-degree block" in findings:
            beats = with_dropped_beats(rng, beats, physiology.pr)
    for name, kind in (("PAC", "atrial"), ("PVC", "ventricular")):
        if name in findings:
            share, every = ranges["ectopic share"].draw(rng), int(rng.choice([0, 0, 0, 0, 2, 3]))
            beats = with_ectopics(rng, beats, share, kind, ranges, every=every)
    return beats


def _atrial_dipole(
    physiology: Physiology,
    beats: Beats,
    anatomy: np.random.Generator,
    rng: np.random.Generator,
    time: NDArray,
    sampling_rate: float,
    ranges: Ranges,
) -> NDArray[np.float32]:
    if physiology.rhythm == "fibrillation":
        waves = fibrillation_waves(rng, time, physiology.atrial_rate / 60, physiology.atrial_size)
        return waves.astype(np.float32)
    if physiology.rhythm == "flutter":
        circuit = str(anatomy.choice(["typical", "reverse", "atypical"], p=[0.6, 0.15, 0.25]))
        waves = flutter_waves(anatomy, time, 60 / physiology.atrial_rate, physiology.atrial_size, circuit)
        return waves.astype(np.float32)
    dipole = np.zeros((len(time), 3), dtype=np.float32)
    wave = P_WAVE.varied(anatomy, timing=0.2, size=0.2, direction=0.12)
    wave = wave.scaled(time=physiology.p_duration, size=physiology.atrial_size)
    turn = rotation(ranges["P rotation"].draw(anatomy), ranges["P rotation"].draw(anatomy), 0)
    if physiology.rhythm in {"junctional", "svt"}:
        turn = rotation(180, 0, 0) @ turn  # from the AV node upwards
    ectopic = wave.rotated(rotation(*anatomy.uniform(-120, 120, 3)))
    seen = np.isfinite(beats.p)
    early = (beats.kind == "atrial") | (beats.kind == "dropped") & ("PAC" in physiology.findings)
    for which, template in ((seen & ~early, wave.rotated(turn)), (seen & early, ectopic)):
        onsets = beats.p[which] - time[0]
        add_waves(dipole, onsets, template, sampling_rate, size=rng.normal(1, 0.06, len(onsets)))
    return dipole


def _activation(physiology: Physiology, anatomy: np.random.Generator, turn: NDArray, ranges: Ranges) -> Waves:
    """The patient's QRS."""
    template = QRS[physiology.conduction].varied(anatomy, timing=0.3, size=0.22, direction=0.05).rotated(turn)
    late = {"rbbb": 2, "irbbb": 1}.get(physiology.conduction, 0)
    if late:
        # the right ventricle's own part: of very different size, and hardly moved by the left ventricle's axis
        own = QRS[physiology.conduction].vector[-late:] * ranges["late right vector"].draw(anatomy)
        own = own * np.exp(anatomy.normal(0, 0.2, (late, 1))) + anatomy.normal(0, 0.08, (late, 3))
        spared = rotation(0.25 * physiology.frontal, 0.5 * physiology.horizontal, physiology.sagittal)
        template.vector[-late:] = own @ spared.T
    for name, direction in LOST_VECTOR.items():
        if f"{name} infarct" in physiology.findings:
            depth = ranges["infarct Q"].draw(anatomy)
            x, y, z = turn @ (depth * np.array(direction))
            scar = Waves.of((anatomy.uniform(0.22, 0.36), anatomy.uniform(0.08, 0.12), x, y, z))
            template = joined(template, scar)
    if "rvh" in physiology.findings:
        x, y, z = anatomy.uniform(0.5, 1.1) * np.array([-0.7, 0.15, -0.75])
        template = joined(template, Waves.of((anatomy.uniform(0.5, 0.7), 0.11, x, y, z)))
    notches = ranges["notches"].draw(anatomy) * np.linalg.norm(template.vector, axis=1).max()
    count = int(anatomy.integers(0, 4))
    if count:
        table = [
            (
                anatomy.uniform(0.15, 0.9),
                anatomy.uniform(0.02, 0.05) * min(1.0, 0.1 / physiology.qrs) + 0.01,
                *anatomy.normal(0, notches, 3),
            )
            for _ in range(count)
        ]
        template = joined(template, Waves.of(*table))
    return template.scaled(time=physiology.qrs, size=physiology.qrs_size)


def _recovery(physiology: Physiology, anatomy: np.random.Generator, turn: NDArray, ranges: Ranges) -> Waves:
    """The patient's ST segment, T and U wave at a rate of 60."""
    t_turn = rotation(physiology.t_rotation, physiology.t_rotation, 0) @ turn
    t_vector = t_turn @ (physiology.t_size * np.array(T_VECTOR[physiology.conduction]))
    if physiology.conduction in {"lbbb", "rbbb", "paced", "ivcd"}:
        t_vector = t_vector * physiology.qrs_size  # secondary changes grow with the QRS
    for name, direction in LOST_VECTOR.items():
        if f"{name} infarct" in physiology.findings:
            t_vector = t_vector + anatomy.uniform(-0.1, 0.5) * np.array(direction)
    st_vector = physiology.st_share * t_vector
    if "ST change" in physiology.findings:
        towards = anatomy.normal(0, 1, 3)
        st_vector = st_vector + ranges["ST deviation"].draw(anatomy) * towards / np.linalg.norm(towards)
    u_share = ranges["U amplitude"].draw(anatomy)
    skew = anatomy.uniform(0.6, 2.0)
    return repolarisation(t_vector, st_vector, u_share, physiology.qrs, physiology.qtc, skew)


def _ectopic_beat(physiology: Physiology, anatomy: np.random.Generator, ranges: Ranges) -> tuple[Waves, Waves]:
    """A ventricular ectopic's wide QRS from anywhere, and a T wave against it."""
    template = QRS[str(anatomy.choice(["lbbb", "rbbb", "paced", "ivcd"]))]
    turn = rotation(anatomy.uniform(-150, 120), anatomy.uniform(-60, 60), anatomy.uniform(-40, 40))
    duration = ranges["QRS, ventricular"].draw(anatomy)
    size = physiology.qrs_size * anatomy.uniform(0.9, 1.7)
    qrs = template.varied(anatomy, timing=0.3, size=0.25, direction=0.1).scaled(time=duration, size=size).rotated(turn)
    net = (qrs.vector * (qrs.width / duration)[:, None]).sum(axis=0)
    t_vector = -net * anatomy.uniform(0.9, 1.8)
    return qrs, repolarisation(t_vector, 0.25 * t_vector, 0.0, duration, physiology.qtc + 0.03)


def _ventricular_dipoles(
    physiology: Physiology,
    beats: Beats,
    anatomy: np.random.Generator,
    rng: np.random.Generator,
    time: NDArray,
    sampling_rate: float,
    ranges: Ranges,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Dipoles of activation and of recovery, (samples, 3) each."""
    activation = np.zeros((len(time), 3), dtype=np.float32)
    recovery = np.zeros((len(time), 3), dtype=np.float32)
    turn = rotation(physiology.frontal, physiology.horizontal, physiology.sagittal)
    own = _activation(physiology, anatomy, turn, ranges), _recovery(physiology, anatomy, turn, ranges)
    onsets = beats.qrs - time[0]
    depth, frequency = ranges["breathing of the QRS"].draw(rng), ranges["respiratory rate"].draw(rng)
    size = 1 + depth * np.sin(2 * np.pi * (frequency * beats.qrs + rng.uniform()))
    size *= rng.normal(1, 0.015, len(size))
    # QT follows the interval before the beat, slowly: half the beat's own, half the mean (AHA-IV)
    rr = 0.5 * beats.rr.clip(0.25, 2.0) + 0.5 * float(np.mean(beats.rr))
    groups = [((beats.kind == "conducted") | (beats.kind == "atrial"), own)]
    if (beats.kind == "ventricular").any():
        groups.append((beats.kind == "ventricular", _ectopic_beat(physiology, anatomy, ranges)))
    for which, (qrs, st_t) in groups:
        add_waves(activation, onsets[which], qrs, sampling_rate, size=size[which])
        add_waves(recovery, onsets[which], st_t, sampling_rate, size=size[which], stretch=np.cbrt(rr[which]))
    if physiology.conduction == "paced":
        spike = Waves.of((-0.004, 0.0012, *(anatomy.normal(0, 1, 3) * anatomy.choice([0.0, 0.3, 1.2]))))
        add_waves(activation, onsets[groups[0][0]], spike, sampling_rate)
    return activation, recovery


def record(
    physiology: Physiology,
    rng: np.random.Generator,
    *,
    sampling_rate: float = 500.0,
    duration: float = 10.0,
    disturbed: bool = True,
    ranges: Ranges = RANGES,
) -> tuple[NDArray[np.float32], Beats]:
    """Record a patient.

    Args:
        physiology: the patient's heart; recording it again gives another ten seconds of the same patient.
        rng: source of randomness of what changes from recording to recording.
        sampling_rate: Hz.
        duration: s.
        disturbed: with noise, a device's bandwidth and lead dropouts; a perfect recorder otherwise.
        ranges: what is drawn from recording to recording, and the rest of the patient.

    Returns:
        (12, samples) millivolts in the order of ``STANDARD_LEADS``, and all beats, those outside the recording too.
    """
    n = round(duration * sampling_rate)
    settling = round(_SETTLING * sampling_rate)
    time = (np.arange(n + settling) - settling) / sampling_rate
    anatomy = np.random.default_rng(physiology.anatomy)
    beats = _beats(physiology, rng, duration, ranges)
    atria = _atrial_dipole(physiology, beats, anatomy, rng, time, sampling_rate, ranges)
    activation, recovery = _ventricular_dipoles(physiology, beats, anatomy, rng, time, sampling_rate, ranges)
    eight = patient_leads(anatomy, ranges)
    leads = np.concatenate([group_leads(eight, anatomy, ranges) for _ in range(3)], axis=1)
    # einsum and not a matrix product: a BLAS thread pool costs more than it brings on matrices this small
    dipoles = np.concatenate([atria, activation, recovery], axis=1).T
    signal = np.einsum("ld,dt->lt", leads, np.ascontiguousarray(dipoles))
    if disturbed:
        signal += np.einsum("le,et->lt", ELECTRODES_TO_LEADS, electrode_noise(rng, time, sampling_rate, ranges))
        signal = with_dropouts(through_device(signal, rng, sampling_rate, ranges), rng)
    return np.ascontiguousarray(signal[:, settling:], dtype=np.float32), beats


def simulate(
    conditions: Collection[str],
    rng: np.random.Generator,
    *,
    findings: Collection[str] = (),
    sampling_rate: float = 500.0,
    duration: float = 10.0,
    disturbed: bool = True,
    ranges: Ranges = RANGES,
    name: str = "simulated",
) -> Simulated:
    """Simulate a recording of a patient with exactly these of the known conditions and findings.

    Args:
        conditions: codes of ``SIMULATED_CONDITIONS``, as ``{"NORM"}`` or ``{"AFIB", "RBBB"}``.
        rng: source of randomness; the same state gives the same recording.
        findings: other abnormalities, of ``FINDINGS``.
        sampling_rate: Hz.
        duration: s.
        disturbed: with noise, a device's bandwidth and lead dropouts; a perfect recorder otherwise.
        ranges: what patient, electrodes and device are drawn from.
        name: the record's name.

    Raises:
        ValueError: if a condition or finding is unknown or two cannot occur together.
    """
    physiology = sample_physiology(conditions, rng, findings, ranges=ranges)
    signal, beats = record(
        physiology, rng, sampling_rate=sampling_rate, duration=duration, disturbed=disturbed, ranges=ranges
    )
    within = beats.qrs[(beats.qrs >= 0) & (beats.qrs < duration) & (beats.kind != "dropped")]
    rr = np.diff(within)
    truth = Truth(
        conditions=tuple(code for code in SIMULATED_CONDITIONS if code in set(conditions)),
        findings=tuple(finding for finding in FINDINGS if finding in set(findings)),
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
    cases: Sequence[tuple[Collection[str], Collection[str]]],
    rng: np.random.Generator,
    *,
    sampling_rate: float = 500.0,
    duration: float = 10.0,
) -> NDArray[np.float32]:
    """Signals only, (recordings, 12, samples) millivolts, one for each pair of conditions and findings."""
    signals = np.empty((len(cases), 12, round(duration * sampling_rate)), dtype=np.float32)
    for row, (conditions, findings) in zip(signals, cases, strict=True):
        physiology = sample_physiology(conditions, rng, findings)
        row[:] = record(physiology, rng, sampling_rate=sampling_rate, duration=duration)[0]
    return signals
