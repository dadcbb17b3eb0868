"""Simulated 12-lead recordings: a moving dipole seen by twelve leads.

A patient is drawn first (``physiology.py``), then recorded (:func:`record`); :func:`simulate` does both. Ranges and
their sources are in ``ranges.py``, the waves' directions in ``dipole.py``, a hospital's patients in ``population.py``.
"""

from collections.abc import Collection
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
from ecgfounder_ft.ecg.simulator.lead_vectors import ELECTRODES_TO_LEADS, group_leads, misplaced, patient_leads
from ecgfounder_ft.ecg.simulator.noise import electrode_noise, through_device, with_dropouts
from ecgfounder_ft.ecg.simulator.physiology import (
    FINDINGS,
    SIMULATED_CONDITIONS,
    Physiology,
    check_conditions,
    sample_physiology,
)
from ecgfounder_ft.ecg.simulator.ranges import RANGES, Ranges
from ecgfounder_ft.ecg.simulator.sitting import Sitting
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
]

_SETTLING = 1.0
"""Seconds at the start that are thrown away, so that the device's filters have settled."""


@dataclass(frozen=True)
class Truth:
    """Known facts about a simulated recording."""

    conditions: tuple[str, ...]
    findings: tuple[str, ...]
    rhythm: str
    conduction: str
    heart_rate: float
    """Mean ventricular rate within the recording, 1/min."""
    pr_ms: float
    """PR interval, ms; NaN if no P wave is conducted."""
    qrs_ms: float
    beat_times: NDArray[np.float64]
    """(beats,) QRS onsets within the recording, s."""
    rr: NDArray[np.float64]
    """(beats - 1,) intervals between QRS onsets, s."""
    atrial_rate: float
    """Atrial rate, 1/min."""


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
    """Record a patient. Recording the same patient again gives another ten seconds of the same heart.

    Args:
        physiology: the patient's heart.
        rng: source of everything that changes from recording to recording.
        sampling_rate: Hz.
        duration: s.
        disturbed: add noise, a device's bandwidth and lead dropouts. Without them the recorder is perfect.
        ranges: limits that the quantities of this recording are drawn between.

    Returns:
        (12, samples) millivolts in the order of ``STANDARD_LEADS``, and all beats, also those outside the recording.
    """
    n = round(duration * sampling_rate)
    settling = round(_SETTLING * sampling_rate)
    time = (np.arange(n + settling) - settling) / sampling_rate
    anatomy = np.random.default_rng(physiology.anatomy)
    sitting = Sitting(time, sampling_rate, anatomy, rng, ranges)
    beats = _beats(physiology, rng, duration, ranges)
    atria = atrial_dipole(physiology, beats, sitting)
    activation, recovery = ventricular_dipoles(physiology, beats, sitting)
    eight = patient_leads(anatomy, ranges)
    leads = np.concatenate([group_leads(eight, anatomy, ranges) for _ in range(3)], axis=1)
    # einsum and not a matrix product: a BLAS thread pool costs more than it brings on matrices this small
    dipoles = np.concatenate([atria, activation, recovery], axis=1).T
    signal = np.einsum("ld,dt->lt", leads, np.ascontiguousarray(dipoles))
    if disturbed:
        signal += np.einsum("le,et->lt", ELECTRODES_TO_LEADS, electrode_noise(sitting))
    signal = misplaced(signal, rng, physiology.findings)
    if disturbed:
        signal = with_dropouts(through_device(signal, sitting), rng)
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
    """Simulate a recording of a patient with exactly these conditions and findings.

    Args:
        conditions: codes of ``SIMULATED_CONDITIONS``, for example ``{"NORM"}`` or ``{"AFIB", "RBBB"}``.
        rng: source of randomness; the same state gives the same recording.
        findings: further abnormalities, names of ``FINDINGS``.
        sampling_rate: Hz.
        duration: s.
        disturbed: add noise, a device's bandwidth and lead dropouts. Without them the recorder is perfect.
        ranges: limits that patient, electrodes and device are drawn between.
        name: name of the record.

    Raises:
        ValueError: if a condition or finding is unknown, or two cannot occur together.
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
