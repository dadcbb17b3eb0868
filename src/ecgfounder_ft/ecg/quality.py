"""Quality flags: fixed phrases about faults of a signal, which stand beside its result.

Flags are judged on the samples that enter the network. They keep no recording from being used: the reader of the result
decides. The limits are wide, so that a flag means a fault of the recording and not an unusual heart; how often each of
them is raised on real recordings stands in docs/prediction.md. Five flags are not faults: they say that an answer
depends more than others on how the recording is stored (:data:`STORAGE_MATTERS`).
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ecgfounder_ft.ecg.description import LEAD_OFF
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
FLAT_STRETCH = "flat stretch"
UNEQUAL_SCALE = "limb leads of unequal scale"
ARM_ELECTRODES = "arm electrodes exchanged"
SPIKE = "spike"


def misfit(lead: str) -> str:
    """Return the flag of a limb lead that does not follow from I and II.

    >>> misfit("aVL")
    'aVL does not fit I and II'
    """
    return f"{lead} does not fit I and II"


STORAGE_MATTERS = (SHORT, SHORT_WINDOW, LOW_SAMPLING_RATE, COARSE_RESOLUTION, COMPUTED_LEADS)
"""A probability can move by more than 0.01 when such a recording is stored otherwise: docs/prediction.md."""

STEADY_SECONDS = 10.0
"""Length of the model's input in s. Below it, answers depend more on how a recording is stored."""
STEADY_RATE = 400.0
"""Sampling rate in Hz. Below it, answers depend more on storage: at 360 and 250 Hz in 2 of 327 recordings."""
ORDINARY_STEP = 5e-3
"""mV between neighbouring values as stored. Electrocardiographs store 1 to 5 µV (PTB-XL 1, GE's 4.88, MIMIC-IV-ECG 5);
coarser ones are rhythm monitors, or a signal that was rounded later. A flag on every ordinary recording says
nothing, so what 5 µV cost beside 1 µV stands in docs/prediction.md instead."""
SAME_VALUE = 1e-5
"""mV, up to which two samples have the same value: computing with steps leaves differences of 1e-7, and the finest
steps of ECG devices are some 3e-5."""

SHORTEST_CLIP = 0.02
"""s at one and the same extreme value: the top of an R wave is a few milliseconds wide."""
LEAST_CLIPPED = 0.1
"""s at such values in all, from which a lead counts as clipped."""
CLIPPED_FROM_MIDDLE = 0.25
"""Share of the lead's range by which such a value lies off its median. A noiseless baseline is steady too, at the
median."""
LONGEST_STEADY = 2.0
"""s at one extreme value that no heart and no baseline explains, wherever the median is."""
LARGEST_RANGE = 10.0
"""mV of a lead from top to bottom. QRS complexes of 5 mV exist; 10 mV are a wrong gain or unit, or no heart."""
LONGEST_SPIKE = 0.02
"""s at the top and at the bottom that do not count towards that: a pacemaker's pulse is no wrong gain."""
SMALLEST_RANGE = 0.05
"""mV between the extremes of every lead, below which it is no ECG: low voltage is 0.5 mV."""
LARGEST_MISFIT = 0.1
"""Largest residual of a limb lead that fits; at most 0.064 in 431 real recordings. It is the root mean square of the
lead minus what I and II make of it, over that of the lead, or over a quarter of that of all limb leads if this is
more. What rounding makes of it does not count."""
ROUNDING_MARGIN = 2.0
"""Times the root mean square that rounding leaves of sums of leads, if it were even: the step over the root of 12."""
LEAST_FLAT_TOGETHER = 1.2
"""Seconds for which two leads or more keep their values at the same time. In 431 real recordings at most 0.94 s."""
SPIKE_SHARE, SPIKE_SAMPLES = 0.45, 0.002
"""Least share of the variance of one lead of the network's input that a spike holds, in this share of its samples. One
of 431 real recordings has more. One sample of 20 mV reaches it in 47% of recordings, of 50 mV in 90%, of 399 mV in
all."""
BEAT_BEFORE, BEAT_AFTER, QRS_HALF = 0.26, 0.45, 0.06
"""Seconds of a mean beat before and after its QRS, and half the width of the QRS."""


def quality_flags(recording: Recording, window_seconds: float) -> tuple[str, ...]:
    """Judge the samples of a recording that enter the network.

    Args:
        recording: the leads that are used, in millivolts, cut to the window that the network reads.
        window_seconds: length of the model's input; a recording that does not fill it is short.
    """
    signal, rate = recording.signal, recording.sampling_rate
    missing = ~np.isfinite(signal)
    complete = not missing.any()
    lowest = (signal if complete else np.where(missing, np.inf, signal)).min(axis=1)
    highest = (signal if complete else np.where(missing, -np.inf, signal)).max(axis=1)
    dead = ~(highest > lowest)
    alive = signal if not dead.any() else signal[~dead]
    ends = np.stack([lowest, highest], axis=1)[~dead]
    reach = ends[:, 1] - ends[:, 0]
    changes = np.abs(np.diff(alive, axis=1))
    flags = {
        DEAD_LEAD: bool(dead.any()),
        MISSING_SAMPLES: not complete,
        SHORT: recording.duration < window_seconds - 0.5 / rate,
        SHORT_WINDOW: window_seconds < STEADY_SECONDS,
        LOW_SAMPLING_RATE: rate < STEADY_RATE,
        COARSE_RESOLUTION: _is_coarse(alive, changes),
        COMPUTED_LEADS: LIMB_LEADS_COMPUTED in recording.repairs,
        CLIPPED: any(_is_clipped(lead, of_lead, rate) for lead, of_lead in zip(alive, ends, strict=True)),
        IMPLAUSIBLE_AMPLITUDE: len(alive) > 0
        and (bool(reach.max() < SMALLEST_RANGE) or _largest_range(alive[reach > LARGEST_RANGE], rate) > LARGEST_RANGE),
        LEAD_OFF: LEAD_OFF in recording.repairs,
        FLAT_STRETCH: _is_flat_for_long(changes, rate),
    }
    return (*(phrase for phrase, holds in flags.items() if holds), *_limb_lead_flags(recording, dead, complete))


def input_flags(signal: NDArray[np.floating], leads: Sequence[str], rate: float) -> tuple[str, ...]:
    """Judge the filtered signal that the network reads.

    Args:
        signal: (leads, samples), filtered, in any unit.
        leads: names of the rows.
        rate: sampling rate, Hz.
    """
    flags = {SPIKE: _has_spike(signal), ARM_ELECTRODES: _are_arms_exchanged(signal, leads, rate)}
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


def _is_coarse(signal: NDArray[np.floating], changes: NDArray[np.floating]) -> bool:
    """Tell whether neighbouring values lie further apart than electrocardiographs store them."""
    # Neighbours in time are two values too, and few recordings need those of all samples to be sorted
    fine = ((changes > SAME_VALUE) & (changes <= ORDINARY_STEP + SAME_VALUE)).any(axis=1)
    if 2 * int(fine.sum()) > len(signal):
        return False
    return smallest_step(signal) > ORDINARY_STEP + SAME_VALUE


def _is_flat_for_long(changes: NDArray[np.floating], rate: float) -> bool:
    """Tell whether one lead, or several at once, keep their values for longer than hearts and rounding explain."""
    same = changes == 0
    steady = np.add.reduce(same.view(np.uint8), axis=0, dtype=np.uint8) > 1
    return _holds_for(steady[None], LEAST_FLAT_TOGETHER * rate) or _holds_for(same, LONGEST_STEADY * rate)


def _holds_for(holds: NDArray[np.bool_], samples: float) -> bool:
    """Tell whether something holds in a row for as many samples without a break.

    Args:
        holds: (rows, samples).
        samples: least length of a stretch.
    """
    part = max(1, int(samples) // 2)  # a stretch holds one whole such part of the row, at whatever sample it begins
    count = holds.shape[1] // part
    parts = holds[:, : count * part].reshape(len(holds), count, part).all(axis=2)
    return any(_runs(row).max(initial=0) >= samples for row in holds[np.flatnonzero(parts.sum(axis=1))])


def _runs(holds: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Lengths of the stretches in which something holds."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], holds, [False]]).astype(np.int8)))
    return edges[1::2] - edges[::2]


def _limb_lead_flags(recording: Recording, dead: NDArray[np.bool_], complete: bool) -> tuple[str, ...]:
    """Hold the limb leads against their definitions by I and II (Einthoven's law, Goldberger's leads).

    A lead fits if it can be made from I and II with weights of the signs that its definition has. III and aVF have the
    same signs, so where the other leads have one scale these two have to fit their very definitions.
    """
    there = [name for name, gone in zip(recording.leads, dead, strict=True) if not gone]
    names = [name for name in ("I", "II", *LIMB_LEADS_OF_I_AND_II) if name in there]
    if names[:2] != ["I", "II"]:
        return ()
    rows = recording.signal[[recording.leads.index(name) for name in names]]
    if not complete:
        rows = np.nan_to_num(rows)
    rows = rows - rows.mean(axis=1, keepdims=True)
    products = (rows @ rows.T).tolist()
    squares = [products[place][place] for place in range(len(names))]
    exact: dict[str, float] = {}
    by_sign: dict[str, float] = {}
    rounding: float | None = None
    for place, name in enumerate(names[2:], start=2):
        of_i, of_ii = LIMB_LEADS_OF_I_AND_II[name]
        least = max(squares[place], sum(squares) / len(squares) / 16)
        inner = (of_i**2 * squares[0], of_i * of_ii * products[0][1], of_ii**2 * squares[1])
        outer = (of_i * products[place][0], of_ii * products[place][1])
        for found, (x, y) in ((exact, (1.0, 1.0)), (by_sign, _scales(inner, outer))):
            squared = squares[place] - 2 * (x * outer[0] + y * outer[1])
            squared += x * x * inner[0] + 2 * x * y * inner[1] + y * y * inner[2]
            if squared > LARGEST_MISFIT**2 * least:
                if rounding is None:  # which needs all values sorted, and few recordings come to it
                    rounding = ROUNDING_MARGIN**2 * rows.shape[1] * smallest_step(rows) ** 2 / 12
                squared -= rounding * (1 + (x * of_i) ** 2 + (y * of_ii) ** 2)
            found[name] = math.sqrt(max(squared / least, 0.0))
    wrong = [name for name, residual in by_sign.items() if residual > LARGEST_MISFIT]
    unequal = [name for name, residual in exact.items() if residual > LARGEST_MISFIT and name not in wrong]
    if not wrong and unequal == ["III", "aVF"] and len(exact) == len(LIMB_LEADS_OF_I_AND_II):
        return tuple(map(misfit, unequal))
    return (*map(misfit, wrong), *([UNEQUAL_SCALE] if unequal and not wrong else []))


def _scales(inner: tuple[float, float, float], outer: tuple[float, float]) -> tuple[float, float]:
    """Scales from 0 of two parts whose sum comes nearest to a whole.

    Args:
        inner: products of the first part with itself, of both, and of the second with itself.
        outer: products of each part with the whole.
    """
    first, both, second = inner
    determinant = first * second - both * both
    if determinant > 1e-9 * first * second:
        x = (second * outer[0] - both * outer[1]) / determinant
        y = (first * outer[1] - both * outer[0]) / determinant
        if x >= 0 and y >= 0:
            return x, y
    x, y = max(outer[0], 0.0) / max(first, 1e-12), max(outer[1], 0.0) / max(second, 1e-12)
    return (x, 0.0) if x * outer[0] >= y * outer[1] else (0.0, y)


def _has_spike(signal: NDArray[np.floating]) -> bool:
    squares = np.square(signal)
    count = max(1, round(SPIKE_SAMPLES * signal.shape[1]))
    total = squares.sum(axis=1)
    counted = total > 0.05 * np.median(total)  # a lead in which nothing moves has no spike
    if not (count * squares.max(axis=1) > SPIKE_SHARE * total)[counted].any():  # as many as large as the largest
        return False
    largest = np.partition(squares, -count, axis=1)[:, -count:].sum(axis=1)
    return bool((largest[counted] > SPIKE_SHARE * total[counted]).any())


def _are_arms_exchanged(signal: NDArray[np.floating], leads: Sequence[str], rate: float) -> bool:
    """Tell whether P, QRS and T of lead I are upside down while the QRS of aVR is upright.

    Exchanged arm electrodes turn I round and exchange II with III and aVL with aVR, so all identities still hold.
    Flagged are 207 of 431 real recordings whose arms were exchanged by computation, and none as recorded.
    """
    if "I" not in leads or "aVR" not in leads:
        return False
    rows = signal[[leads.index("I"), leads.index("aVR")]]
    if rows[0].max() > -rows[0].min():  # its QRS is upright
        return False
    beat = _mean_beat(rows, rate)
    if beat is None:
        return False
    beat = beat - np.median(beat, axis=1, keepdims=True)
    qrs = round(BEAT_BEFORE * rate)
    half = round(QRS_HALF * rate)

    def up_and_down(row: int, first: int, last: int) -> tuple[float, float]:
        return float(beat[row, first:last].max()), float(-beat[row, first:last].min())

    qrs_up, qrs_down = up_and_down(0, qrs - half, qrs + half)
    t_up, t_down = up_and_down(0, qrs + half + round(0.04 * rate), qrs + round(0.44 * rate))
    p_up, p_down = up_and_down(0, qrs - round(0.24 * rate), qrs - round(0.07 * rate))
    avr_up, avr_down = up_and_down(1, qrs - half, qrs + half)
    return qrs_down > qrs_up and t_down > 1.5 * t_up and p_down > 0.8 * p_up and avr_up > avr_down


def _mean_beat(rows: NDArray[np.floating], rate: float) -> NDArray[np.floating] | None:
    """Median of the beats, (leads, samples); None for fewer than three beats."""
    from scipy.signal import find_peaks

    width = max(round(0.05 * rate), 1)
    slope = np.convolve(np.abs(np.diff(rows, axis=1)).sum(axis=0), np.ones(width) / width, mode="same")
    peaks, _ = find_peaks(slope, distance=max(round(0.3 * rate), 1), height=0.35 * np.quantile(slope, 0.995))
    before, after = round(BEAT_BEFORE * rate), round(BEAT_AFTER * rate)
    whole = [peak for peak in peaks if before < peak < rows.shape[1] - after]
    if len(whole) < 3:
        return None
    return np.asarray(np.median([rows[:, peak - before : peak + after] for peak in whole], axis=0))


def _largest_range(wide: NDArray[np.floating], rate: float) -> float:
    """mV of the leads that reach far, spikes aside; percentiles take long, so the others are left out."""
    if not len(wide):
        return 0.0
    spike = min(100 * LONGEST_SPIKE * rate / wide.shape[1], 50.0)
    low, high = np.nanpercentile(wide, [spike, 100 - spike], axis=1)
    return float((high - low).max())


def _is_clipped(lead: NDArray[np.floating], ends: NDArray[np.floating], rate: float) -> bool:
    shortest = max(3, round(SHORTEST_CLIP * rate))
    lowest, highest = ends.tolist()
    held = 0
    for extreme in (highest, lowest):
        at = lead == extreme
        if np.count_nonzero(at) < shortest:
            continue
        runs = _runs(at)
        if runs.max() >= LONGEST_STEADY * rate:
            return True
        if abs(extreme - np.nanmedian(lead)) >= CLIPPED_FROM_MIDDLE * (highest - lowest):
            held += int(runs[runs >= shortest].sum())
    return held >= LEAST_CLIPPED * rate
