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
from ecgfounder_ft.ecg.simulator.atria import atrial_dipole
from ecgfounder_ft.ecg.simulator.beats import (
    Beats,
    fibrillation_beats,
    flutter_beats,
    regular_beats,
    sinus_beats,
    with_ectopics,
    with_escape_rhythm,
    with_every_nth_dropped,
    with_wenckebach,
)
from ecgfounder_ft.ecg.simulator.leads import ELECTRODES_TO_LEADS, group_leads, misplaced, patient_leads
from ecgfounder_ft.ecg.simulator.noise import electrode_noise, through_device, with_dropouts
from ecgfounder_ft.ecg.simulator.physiology import (
    FINDINGS,
    SIMULATED_CONDITIONS,
    Physiology,
    check_conditions,
    sample_physiology,
)
from ecgfounder_ft.ecg.simulator.ranges import RANGES, Ranges
from ecgfounder_ft.ecg.simulator.ventricles import ventricular_dipoles

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
    """NaN without P waves that are conducted."""
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
    if physiology.rhythm == "fibrillation" and physiology.conduction != "paced":
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
    elif physiology.rhythm in {"paced", "fibrillation"} or physiology.atria_paced:
        beats = regular_beats(rng, duration, rate, p_from_qrs=-physiology.pr)
    else:
        arrhythmia = "sinus arrhythmia" in findings or physiology.rhythm == "wandering"
        beats = sinus_beats(rng, duration, rate, physiology.pr, ranges, arrhythmia=arrhythmia)
    if "second-degree block" in findings:
        beats = with_wenckebach(rng, beats, physiology.pr)
    elif "Mobitz II block" in findings:
        beats = with_every_nth_dropped(rng, beats, int(rng.integers(3, 6)))
    elif "two-to-one block" in findings:
        beats = with_every_nth_dropped(rng, beats, 2)
    elif "third-degree block" in findings:
        ventricular = physiology.escape == "ventricular"
        escape_rate = ranges[f"{physiology.escape} escape rate"].draw(rng)
        beats = with_escape_rhythm(rng, beats, duration, escape_rate, ventricular=ventricular)
    for name, kind in (("PAC", "atrial"), ("PVC", "ventricular")):
        if name in findings:
            share, every = ranges["ectopic share"].draw(rng), int(rng.choice([0, 0, 0, 0, 2, 3]))
            couplets = float(rng.choice([0.0, 0.0, 0.4]))
            beats = with_ectopics(rng, beats, share, kind, ranges, every=every, couplets=couplets)
    return beats


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
    atria = atrial_dipole(physiology, beats, anatomy, rng, time, sampling_rate, ranges)
    activation, recovery = ventricular_dipoles(physiology, beats, anatomy, rng, time, sampling_rate, ranges)
    eight = patient_leads(anatomy, ranges)
    leads = np.concatenate([group_leads(eight, anatomy, ranges) for _ in range(3)], axis=1)
    # einsum and not a matrix product: a BLAS thread pool costs more than it brings on matrices this small
    dipoles = np.concatenate([atria, activation, recovery], axis=1).T
    signal = np.einsum("ld,dt->lt", leads, np.ascontiguousarray(dipoles))
    if disturbed:
        signal += np.einsum("le,et->lt", ELECTRODES_TO_LEADS, electrode_noise(rng, time, sampling_rate, ranges))
    signal = misplaced(signal, rng, physiology.findings)
    if disturbed:
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
