"""Disturbances of a recording (breathing, muscles, motion, mains) and the device's bandwidth.

Disturbances arise at the electrodes, so Einthoven's law holds for them as it does in a real recording.
"""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.signal import butter, lfilter, sosfilt

from ecgfounder_ft.ecg.simulator.lead_vectors import ELECTRODES
from ecgfounder_ft.ecg.simulator.sitting import Sitting


def electrode_noise(sitting: Sitting) -> NDArray[np.float32]:
    """Draw baseline wander, muscle, motion and mains noise, (9 electrodes, samples), millivolts."""
    rng, time, sampling_rate = sitting.rng, sitting.time, sitting.sampling_rate
    n_electrodes, n = len(ELECTRODES), len(time)
    breathing = sitting.of_today("respiratory rate")
    wander = sitting.of_today("baseline wander")
    noise = np.zeros((n_electrodes, n), dtype=np.float32)
    for frequency, share in ((breathing, 0.6), (rng.uniform(0.03, 0.12), 0.8), (rng.uniform(0.4, 0.7), 0.15)):
        size = (wander * share * rng.normal(0, 1, (n_electrodes, 1))).astype(np.float32)
        wave = np.sin(2 * np.pi * (frequency * time + rng.uniform())).astype(np.float32)
        noise += size * wave
    # arms and legs tremble each on their own, the chest less
    muscle = sitting.of_today("muscle noise") * np.exp(rng.normal(0, 0.5, (n_electrodes, 1)))
    muscle[ELECTRODES.index("V1") :] *= 0.7
    white = rng.standard_normal((n_electrodes, n), dtype=np.float32)
    white[:, 1:] -= 0.6 * white[:, :-1]  # more at high frequencies, as surface EMG has
    if rng.random() < 0.15:  # a muscle is tense for a while
        start = rng.uniform(0, time[-1])
        tense = np.exp(-0.5 * ((time - start) / rng.uniform(0.3, 1.5)) ** 2).astype(np.float32)
        white *= 1 + rng.uniform(2, 6) * tense
    noise += muscle.astype(np.float32) * white
    motion = sitting.of_today("motion noise") * rng.uniform(0.3, 1.5, (n_electrodes, 1))
    decay = np.float32(np.exp(-2 * np.pi * rng.uniform(1, 8) / sampling_rate))
    drive = rng.standard_normal((n_electrodes, n), dtype=np.float32) * np.sqrt(1 - decay**2)
    noise += motion.astype(np.float32) * lfilter(np.ones(1, np.float32), np.array([1, -decay], np.float32), drive)
    if rng.random() < 0.10:  # an electrode is touched: a step that fades
        at, which = rng.uniform(0, time[-1]), rng.integers(n_electrodes)
        fade = np.where(time >= at, np.exp(-(time - at).clip(0) / rng.uniform(0.1, 2.0)), 0)
        noise[which] += (rng.normal(0, 0.8) * fade).astype(np.float32)
    if rng.random() < 0.03:  # a contact breaks for some milliseconds
        at, which = int(rng.integers(n)), rng.integers(n_electrodes)
        noise[which, at : at + int(rng.integers(1, 6))] += np.float32(rng.normal(0, 2.0))
    mains = sitting.of_today("mains noise")
    frequency = rng.choice([50.0, 60.0])
    if frequency < sampling_rate / 2:
        hum = np.sin(2 * np.pi * (frequency * time + rng.uniform())).astype(np.float32)
        noise += (mains * rng.normal(0, 1, (n_electrodes, 1))).astype(np.float32) * hum
    return noise


@lru_cache(maxsize=256)
def _device_filter(low_pass: int, high_pass: float, sampling_rate: float) -> NDArray:
    sections = butter(1, high_pass, "highpass", fs=sampling_rate, output="sos")
    if low_pass < sampling_rate / 2:
        sections = np.concatenate([sections, butter(2, low_pass, fs=sampling_rate, output="sos")])
    return sections.astype(np.float32)


def through_device(signal: NDArray, sitting: Sitting) -> NDArray:
    """Filter (leads, samples) as a recorder with one of the common bandwidths does."""
    low_pass = int(round(sitting.of_today("low-pass"), -1))
    high_pass = round(20 * sitting.of_today("high-pass")) / 20
    return sosfilt(_device_filter(low_pass, high_pass, sitting.sampling_rate), signal, axis=-1)


def with_dropouts(signal: NDArray, rng: np.random.Generator) -> NDArray:
    """Rarely, set one lead to zero, throughout or from some moment on. Changes the signal in place and returns it."""
    if rng.random() < 0.03:
        lead = rng.integers(len(signal))
        start = 0 if rng.random() < 0.6 else int(rng.integers(signal.shape[1]))
        signal[lead, start:] = 0.0
    return signal
