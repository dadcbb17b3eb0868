"""The mistakes of ``studies.mistakes.mistakes`` in what a network is given, and in how answers and labels are read."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ecgfounder_ft.data.sources.simulated import MIMIC_LEADS
from ecgfounder_ft.ecg.leads import STANDARD_LEADS, lead_indices
from ecgfounder_ft.ecg.preprocessing import ZSCORE_EPSILON, Preprocessing, resample
from ecgfounder_ft.ecg.recording import Recording
from ecgfounder_ft.labels import ABSENT, UNKNOWN

RATE = 500.0
"""Hz, that a careless script takes every recording to have."""
UNFILTERED: Mapping[str, Any] = {"notch": None, "band_pass": None, "baseline_median": None}
SHORT_SECONDS = 2.5


def with_settings(preprocessing: Preprocessing, **changes: Any) -> Preprocessing:
    """Preprocessing with some of its settings changed; those of ``window`` by themselves."""
    content = preprocessing.to_dict()
    window = content["window"] | changes.pop("window", {})
    return Preprocessing.from_dict(content | {"window": window} | changes)


def read_by_position(recording: Recording) -> Recording:
    """A recording that MIMIC-IV-ECG stores, aVF before aVL, whose leads are taken to be in the standard order."""
    stored = recording.signal[lead_indices(recording.leads, MIMIC_LEADS)]
    return replace(recording, leads=STANDARD_LEADS, signal=stored)


def read_at(recording: Recording, rate: float) -> Recording:
    """A recording of ``rate`` Hz that is taken to be one of 500 Hz."""
    signal = np.nan_to_num(recording.signal.astype(np.float64))
    if recording.sampling_rate != rate:
        signal = resample(signal, recording.sampling_rate, rate)
    return replace(recording, signal=signal, sampling_rate=RATE)


def scaled_by_lead(recording: Recording, preprocessing: Preprocessing) -> NDArray[np.float32]:
    """The network's input with a z-score of each lead, in place of one over all leads."""
    signal = with_settings(preprocessing, scale=None)(recording).signal
    centred = signal - signal.mean(axis=1, keepdims=True)
    return np.asarray(centred / (signal.std(axis=1, keepdims=True) + ZSCORE_EPSILON), dtype=np.float32)


def written_as_int16(inputs: NDArray[np.float32]) -> NDArray[np.float32]:
    """What is left of z-scores that were written into an array of int16."""
    return inputs.astype(np.int16).astype(np.float32)


INPUT_MISTAKES: dict[str, Callable[[Recording, Preprocessing], NDArray[np.float32]]] = {
    "aVF and aVL swapped": lambda recording, right: right(read_by_position(recording)).signal,
    "250 Hz read as 500 Hz": lambda recording, right: right(read_at(recording, 250.0)).signal,
    "1000 Hz read as 500 Hz": lambda recording, right: right(read_at(recording, 1000.0)).signal,
    "no filter": lambda recording, right: with_settings(right, **UNFILTERED)(recording).signal,
    "2.5 s, raw": lambda recording, right: (
        with_settings(right, **UNFILTERED, window={"seconds": SHORT_SECONDS}, scale=None)(recording).signal
    ),
    "z-score of each lead": scaled_by_lead,
    "z-scores as int16": lambda recording, right: written_as_int16(right(recording).signal),
}
"""Mistake to the network's input (leads, samples) of a recording with it."""


def printed_in_label_map_order(probabilities: NDArray[np.floating], codes: Sequence[str]) -> NDArray[np.floating]:
    """Probabilities (n, k) whose columns stand in the alphabetical order of the codes, under the label map's names."""
    return probabilities[:, [codes.index(code) for code in sorted(codes)]]


def unknown_as_absent(states: NDArray[np.int8]) -> NDArray[np.int8]:
    """States (n, k) without any that is unknown."""
    return np.where(states == UNKNOWN, ABSENT, states).astype(np.int8)
