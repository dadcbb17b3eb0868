"""What is wrong with a recording as a signal, in fixed phrases that stand beside its result.

None of them keeps a recording from being used: whoever reads the result decides. The limits are wide, so that a flag
means a fault of the recording and no unusual heart. Five are no faults: they say that an answer depends more than
others on how the recording is stored (:data:`STORAGE_MATTERS`).
"""

import numpy as np
from numpy.typing import NDArray

from ecgfounder_ft.ecg.limb_leads import LIMB_LEADS_COMPUTED, LIMB_LEADS_OF_I_AND_II
from ecgfounder_ft.ecg.recording import Recording

DEAD_LEAD = "dead lead"
MISSING_SAMPLES = "missing samples"
SHORT = "short"
SHORT_WINDOW = "short window"
LOW_SAMPLING_RATE = "low sampling rate"
COARSE_RESOLUTION = "coarse resolution"
COMPUTED_LEADS = "computed leads"
CLIPPED = "clipped"
IMPLAUSIBLE_AMPLITUDE = "implausible amplitude"
EXCHANGED_LEADS = "aVL and aVF exchanged"

STORAGE_MATTERS = (SHORT, SHORT_WINDOW, LOW_SAMPLING_RATE, COARSE_RESOLUTION, COMPUTED_LEADS)
"""A probability can move by more than 0.01 when such a recording is stored otherwise: docs/prediction.md."""

STEADY_SECONDS = 10.0
"""s of the model's input, beneath which it does."""
STEADY_RATE = 400.0
"""Hz, beneath which it does: at 360 and 250 Hz in two recordings of 327 (docs/prediction.md)."""
ORDINARY_STEP = 5e-3
"""mV between neighbouring values as stored. Electrocardiographs store 1 to 5 µV (PTB-XL 1, GE's 4.88, MIMIC-IV-ECG 5);
coarser ones are rhythm monitors, or a signal that was rounded on its way. A flag on every ordinary recording says
nothing, so what 5 µV cost beside 1 µV stands in docs/prediction.md instead."""
SAME_VALUE = 1e-5
"""mV, up to which two samples have the same value: computing with steps leaves differences of 1e-7, and the finest
steps of ECG devices are some 3e-5."""

SHORTEST_CLIP = 0.02
"""s at one and the same extreme value: the top of an R wave is a few milliseconds wide."""
LEAST_CLIPPED = 0.1
"""s at such values in all, from which a lead counts as clipped."""
CLIPPED_FROM_MIDDLE = 0.25
"""Of the lead's range: how far off its median such a value is. A noiseless baseline is steady too, at the median."""
LONGEST_STEADY = 2.0
"""s at one extreme value that no heart and no baseline explains, wherever the median is."""
LARGEST_RANGE = 10.0
"""mV of a lead from top to bottom. QRS complexes of 5 mV exist; 10 mV are a wrong gain or unit, or no heart."""
LONGEST_SPIKE = 0.02
"""s at the top and at the bottom that do not count towards that: a pacemaker's pulse is no wrong gain."""
SMALLEST_RANGE = 0.05
"""mV between the extremes of every lead, beneath which it is no ECG of any heart: low voltage is 0.5 mV."""
AS_DEFINED = 0.3
"""Root mean square of what is left of aVL and aVF when those that follow from I and II are taken away, over that of aVL
and aVF: up to 0.04 in 330 real recordings, where rounding is all that is left, and 0.7 or more with names exchanged."""


def quality_flags(recording: Recording, window_seconds: float) -> tuple[str, ...]:
    """Phrases for what is wrong with the leads of a recording.

    Args:
        recording: the leads that are used, in millivolts.
        window_seconds: length of the model's input; a recording that does not fill it is short. Shorter windows and
            lower rates than the ones above are told, since the answer then moves more with how a recording is stored.
    """
    signal, rate = recording.signal, recording.sampling_rate
    missing = ~np.isfinite(signal)
    complete = not missing.any()
    lowest = (signal if complete else np.where(missing, np.inf, signal)).min(axis=1)
    highest = (signal if complete else np.where(missing, -np.inf, signal)).max(axis=1)
    dead = ~(highest > lowest)
    alive = signal[~dead]
    flags = {
        DEAD_LEAD: bool(dead.any()),
        MISSING_SAMPLES: not complete,
        SHORT: recording.duration < window_seconds - 0.5 / rate,
        SHORT_WINDOW: window_seconds < STEADY_SECONDS,
        LOW_SAMPLING_RATE: rate < STEADY_RATE,
        COARSE_RESOLUTION: smallest_step(alive) > ORDINARY_STEP + SAME_VALUE,
        COMPUTED_LEADS: LIMB_LEADS_COMPUTED in recording.repairs,
        CLIPPED: any(_is_clipped(lead, rate) for lead in alive),
        IMPLAUSIBLE_AMPLITUDE: len(alive) > 0
        and (bool((highest - lowest)[~dead].max() < SMALLEST_RANGE) or _largest_range(alive, rate) > LARGEST_RANGE),
        EXCHANGED_LEADS: _are_exchanged(recording),
    }
    return tuple(phrase for phrase, holds in flags.items() if holds)


def smallest_step(signal: NDArray[np.floating]) -> float:
    """mV between the two closest values of a lead, in the median lead; 0 where no lead has two values.

    The median, since a lead that is computed from others has half their step, and one that hardly changes has too few
    values to tell.

    Args:
        signal: (leads, samples), millivolts.
    """
    steps = np.diff(np.sort(signal, axis=1), axis=1)
    steps[~(steps > SAME_VALUE)] = np.inf  # missing ones too
    smallest = steps.min(axis=1, initial=np.inf)
    smallest = smallest[np.isfinite(smallest)]
    return float(np.quantile(smallest, 0.5, method="lower")) if len(smallest) else 0.0


def _are_exchanged(recording: Recording) -> bool:
    """Whether what is named aVL is the aVF that follows from I and II, and the other way round."""
    names = ("I", "II", "aVL", "aVF")
    if not set(names) <= set(recording.leads):
        return False
    signal = np.nan_to_num(recording.signal[[recording.leads.index(name) for name in names]])
    signal = signal - signal.mean(axis=1, keepdims=True)
    named = signal[2:]
    computed = np.array([LIMB_LEADS_OF_I_AND_II[name] for name in names[2:]]) @ signal[:2]
    size = float(np.square(named).sum())
    as_named, exchanged = (float(np.square(named - one).sum()) for one in (computed, computed[::-1]))
    limit = AS_DEFINED**2 * size
    return exchanged < limit < as_named


def _largest_range(signal: NDArray[np.floating], rate: float) -> float:
    """mV of the leads, spikes aside."""
    reach = np.nanmax(signal, axis=1) - np.nanmin(signal, axis=1)
    wide = signal[reach > LARGEST_RANGE]  # percentiles take long, and are within the extremes
    if not len(wide):
        return 0.0
    spike = min(100 * LONGEST_SPIKE * rate / signal.shape[1], 50.0)
    low, high = np.nanpercentile(wide, [spike, 100 - spike], axis=1)
    return float((high - low).max())


def _is_clipped(lead: NDArray[np.floating], rate: float) -> bool:
    shortest = max(3, round(SHORTEST_CLIP * rate))
    highest, lowest = np.nanmax(lead), np.nanmin(lead)
    held = 0
    for extreme in (highest, lowest):
        at = lead == extreme
        if np.count_nonzero(at) < shortest:
            continue
        edges = np.flatnonzero(np.diff(np.concatenate([[False], at, [False]]).astype(np.int8)))
        runs = edges[1::2] - edges[::2]
        if runs.max() >= LONGEST_STEADY * rate:
            return True
        if abs(extreme - np.nanmedian(lead)) >= CLIPPED_FROM_MIDDLE * (highest - lowest):
            held += int(runs[runs >= shortest].sum())
    return held >= LEAST_CLIPPED * rate
