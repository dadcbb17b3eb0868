"""What devices and archives add to the ends of a recording: padding, and the pulse that shows how large 1 mV is."""

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ecgfounder_ft.ecg.recording import Recording

LEAST_PADDING = 0.3
"""Seconds at an end without a change in any lead that count as padding."""
PADDING_CUT_OFF = "padding cut off"
"""Repair of a recording that was padded with identical samples."""

CALIBRATION_CUT_OFF = "calibration pulse cut off"
"""Repair of a recording at an end of which all leads hold the same rectangular pulse of 1 mV."""
PULSE_MILLIVOLTS, PULSE_TOLERANCE = 1.0, 0.1
"""Height of the pulse, and how far its top and the level beside it may be from that, mV."""
PULSE_SECONDS = (0.08, 0.6)
"""Least and most seconds at the top; devices write 0.2."""
_LEVEL_SECONDS, _EDGE_SECONDS, _REACH_SECONDS = 0.03, 0.02, 2.0
"""Least seconds at the level beside the pulse, most between level and top, and how far from the end it lies."""
_STEADY_MILLIVOLTS = 0.005
"""Between samples of the level before the pulse, by which it is told from the heart's baseline."""


def without_added_ends(recording: Recording) -> tuple[Recording, float]:
    """Cut off what is no signal of a heart: a calibration pulse, and stretches at the ends at which no lead changes.

    In 431 real recordings all leads keep their values for 0.14 s at most.

    Returns:
        The recording, and the seconds that were cut off at its start. A recording without any change stays as it is.
    """
    recording, first = _cut(recording, *_without_pulse(recording), CALIBRATION_CUT_OFF)
    recording, offset = _cut(recording, *_without_padding(recording), PADDING_CUT_OFF)
    return recording, (first + offset) / recording.sampling_rate


def _cut(recording: Recording, first: int, last: int, repair: str) -> tuple[Recording, int]:
    if first == 0 and last == recording.signal.shape[1]:
        return recording, 0
    repairs = (*recording.repairs, repair)
    return replace(recording, signal=recording.signal[:, first:last], repairs=repairs), first


def _without_padding(recording: Recording) -> tuple[int, int]:
    """First sample that is no padding, and the one behind the last."""
    signal = recording.signal
    length = signal.shape[1]
    least = math.ceil(LEAST_PADDING * recording.sampling_rate)
    if _changes(signal[:, :least]).any() and _changes(signal[:, -least:]).any():
        return 0, length
    changes = np.flatnonzero(_changes(signal))
    if not len(changes):
        return 0, length
    first = int(changes[0]) + 1 if changes[0] + 1 >= least else 0
    last = int(changes[-1]) + 1 if length - changes[-1] - 1 >= least else length
    return first, last


def _changes(signal: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Tell for each sample but the first whether any lead has another value than before; NaN equals NaN."""
    before, after = signal[:, :-1], signal[:, 1:]
    return ((before != after) & ~(np.isnan(before) & np.isnan(after))).any(axis=0)


def _without_pulse(recording: Recording) -> tuple[int, int]:
    """First sample that does not belong to a calibration pulse, and the one behind the last."""
    signal, rate = recording.signal, recording.sampling_rate
    length = signal.shape[1]
    reach = min(round(_REACH_SECONDS * rate), length // 2)
    at_start = _pulse_samples(signal[:, :reach][:, ::-1], rate)
    at_end = _pulse_samples(signal[:, length - reach :], rate)
    return at_start, length - at_end


def _pulse_samples(signal: NDArray[np.floating], rate: float) -> int:
    """Count the samples of a pulse at the end of a signal, with the level before and behind it.

    Args:
        signal: (leads, samples), millivolts.
        rate: Hz.

    Returns:
        0 where the signal does not end with such a pulse in every lead.
    """
    level_samples = max(2, round(_LEVEL_SECONDS * rate))
    least, most = (round(seconds * rate) for seconds in PULSE_SECONDS)
    if signal.shape[1] < level_samples + least:
        return 0
    range_of_lead = signal.max(axis=1) - signal.min(axis=1)
    moving = signal[range_of_lead > PULSE_MILLIVOLTS - PULSE_TOLERANCE]  # a dead lead has no pulse
    if len(moving) < np.count_nonzero(range_of_lead > 0) or not len(moving):
        return 0
    height = moving - moving[:, -level_samples:].mean(axis=1, keepdims=True)
    at_top = np.abs(height - PULSE_MILLIVOLTS).max(axis=0) <= PULSE_TOLERANCE
    if np.count_nonzero(at_top) < least:
        return 0
    at_level = np.abs(height).max(axis=0) <= PULSE_TOLERANCE
    edge = max(1, math.ceil(_EDGE_SECONDS * rate))
    end = signal.shape[1]
    fall = _stretch_before(at_level, end)
    if end - fall < level_samples:
        return 0
    top_end = _last_within(at_top, fall, edge)
    top = _stretch_before(at_top, top_end)
    if not least <= top_end - top <= most:
        return 0
    rise = _last_within(at_level, top, edge)
    if rise == 0:
        return end
    as_before = np.abs(height[:, :rise] - height[:, rise - 1 : rise]).max(axis=0) <= _STEADY_MILLIVOLTS
    start = _stretch_before(as_before, rise)
    return end - start if rise - start >= level_samples or len(moving) > 1 else 0


def _stretch_before(holds: NDArray[np.bool_], end: int) -> int:
    """First sample of the stretch before ``end`` in which something holds."""
    broken = np.flatnonzero(~holds[:end])
    return int(broken[-1]) + 1 if len(broken) else 0


def _last_within(holds: NDArray[np.bool_], end: int, samples: int) -> int:
    """Behind the last sample before ``end`` at which something holds; ``end`` where it does not within ``samples``."""
    found = np.flatnonzero(holds[max(0, end - samples) : end])
    return max(0, end - samples) + int(found[-1]) + 1 if len(found) else end
