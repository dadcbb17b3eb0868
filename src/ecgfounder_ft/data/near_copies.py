"""Recordings that are the same signal in another form, and what their labels are then worth.

Datasets took recordings from one another, and changed them on the way: resampled (PTB-XL has each one at 100 and at
500 Hz), in other units, upside down, rounded to other steps, or cut by a few samples; one lead may be dead or inverted.
A hash of the signal misses all of these. So each recording gets a *fingerprint* when it is stored: numbers for how much
the signal changes at each time, and for how its leads change together, which the above alters little. All pairs of
fingerprints are compared. Those that are alike are compared once more, signal by signal, and count as copies where
these correlate. ``benchmarks/near_copies.py``
measures what is found, and how often different recordings are taken for copies.

Not found: a copy that lags by more than 30 ms (of 40 ms most are found, of 50 ms hardly any), a part of a longer
recording, and copies with leads exchanged.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from ecgfounder_ft.labels import ABSENT, PRESENT, UNKNOWN

if TYPE_CHECKING:
    import pandas as pd

BINS = 128
"""Numbers of a fingerprint that tell when the signal changes; those behind them tell how the leads change together."""
BIN_SECONDS = 0.08
"""Apart in time: the fingerprint is of the middle 10.24 s of a recording, as long as most are."""
ALIKE_IN_TIME = 0.85
"""Cosine of the first part of two fingerprints from which on, and"""
ALIKE_IN_LEADS = 0.92
"""cosine of their second part, without the lead in which they differ most, from which on the signals are compared."""
SAME = 0.97
"""Median over the leads of the absolute correlation of two preprocessed signals from which on they are copies."""
LARGEST_SHIFT = 0.05
"""Seconds by which one of two copies may lag behind the other: 25 samples at 500 Hz, 5 at 100 Hz."""

_STEPS_PER_BIN = 4
_SMOOTHING_SECONDS = 0.06
_COSINES = 100_000_000  # computed at once: 0.4 GB


class ReadableSignals(Protocol):
    """What :func:`find_copies` reads signals from, such as a signal store."""

    def read(self, indices: Sequence[int]) -> NDArray[np.float32]:
        """Signals (len(indices), leads, samples)."""


@dataclass(frozen=True)
class Copies:
    """What was found to be the same signal, and what was done to find it."""

    pairs: NDArray[np.int64]
    """(pairs, 2): positions of two recordings each, the smaller first."""
    compared: int
    """Pairs of fingerprints that were compared."""
    alike: int
    """Pairs of those whose signals were compared."""


def fingerprint(signal: NDArray[np.floating], sampling_rate: float) -> NDArray[np.float16]:
    """When a signal changes how much, and how its leads change together.

    The signal is averaged over steps of 20 ms around its middle, whatever its rate, and the changes from step to step
    are taken. First part: the root of their sum of squares over the leads, smoothed (Gaussian, 60 ms) so that a lag of
    some milliseconds matters little, every 80 ms. Second part: the sum over time of the products of each two leads'
    changes.

    Args:
        signal: (leads, samples) in any unit; NaN counts as 0.
        sampling_rate: Hz.

    Returns:
        (128 + leads * (leads + 1) / 2,): the first part of mean 0 and length 1, the second of length 1; zeros for a
        signal that does not change.
    """
    values = np.nan_to_num(np.asarray(signal, dtype=np.float64))
    samples = values.shape[1]
    step = BIN_SECONDS / _STEPS_PER_BIN
    edges = samples / (2 * sampling_rate) + step * (np.arange(BINS * _STEPS_PER_BIN + 2) - BINS * _STEPS_PER_BIN / 2)
    # Sample i stands for the time from i - 1/2 to i + 1/2: rates whose first samples coincide then agree in time.
    position = edges * sampling_rate + 0.5
    sums = np.concatenate([np.zeros((len(values), 1)), np.cumsum(values, axis=1)], axis=1)
    whole = np.clip(position.astype(np.int64), 0, samples - 1)
    part = np.clip(position, 0, samples) - whole
    means = np.diff(sums[:, whole] + part * values[:, whole], axis=1) / (step * sampling_rate)
    changes = np.diff(means, axis=1)
    inside = (position >= 0) & (position <= samples)
    changes[:, ~(inside[:-2] & inside[2:])] = 0
    reach = np.arange(-3 * _STEPS_PER_BIN, 3 * _STEPS_PER_BIN + 1) * step / _SMOOTHING_SECONDS
    activity = np.convolve(np.sqrt(np.square(changes).sum(axis=0)), np.exp(-(reach**2) / 2), mode="same")
    in_time = activity[::_STEPS_PER_BIN] - activity[::_STEPS_PER_BIN].mean()
    in_leads = (changes @ changes.T)[np.triu_indices(len(values))]
    least = 1e-6 * float(np.abs(values).max(initial=0.0))
    if np.linalg.norm(in_time) <= least:
        return np.zeros(len(in_time) + len(in_leads), dtype=np.float16)
    return np.concatenate([in_time / np.linalg.norm(in_time), in_leads / np.linalg.norm(in_leads)]).astype(np.float16)


def find_copies(
    fingerprints: NDArray[np.floating], signals: ReadableSignals, sampling_rate: float, already: NDArray[np.integer]
) -> Copies:
    """The pairs of recordings that are the same signal in another form.

    Args:
        fingerprints: (recordings, numbers) as of :func:`fingerprint`.
        signals: the preprocessed recordings, in the same order.
        sampling_rate: of these, in Hz.
        already: (recordings,): those with the same number are known to be the same signal, and are not compared.
    """
    alike = _alike(np.asarray(fingerprints, dtype=np.float32))
    alike = alike[already[alike[:, 0]] != already[alike[:, 1]]]
    shift = max(1, round(LARGEST_SHIFT * sampling_rate))
    same = np.zeros(len(alike), dtype=np.bool_)
    for number, pair in enumerate(alike.tolist()):
        first, second = signals.read(pair)
        same[number] = correlation(first, second, shift) >= SAME
    n = len(fingerprints)
    return Copies(alike[same], n * (n - 1) // 2, len(alike))


def _alike(fingerprints: NDArray[np.float32]) -> NDArray[np.int64]:
    """Pairs (pairs, 2) of fingerprints (n, numbers) that are alike in both their parts."""
    in_time, products = fingerprints[:, :BINS], np.abs(fingerprints[:, BINS:])
    without = _without_each_lead(products.shape[1])
    found = [np.empty((0, 2), dtype=np.int64)]
    block = max(1, _COSINES // max(len(fingerprints), 1))
    for start in range(0, len(fingerprints), block):
        first, second = np.nonzero(in_time[start : start + block] @ in_time[start:].T >= ALIKE_IN_TIME)
        later = second > first
        first, second = first[later] + start, second[later] + start
        one, other = products[first], products[second]
        sizes = np.sqrt((one**2 @ without) * (other**2 @ without))
        cosines = np.divide((one * other) @ without, sizes, out=np.zeros_like(sizes), where=sizes > 0)
        alike = cosines.max(axis=1, initial=0) >= ALIKE_IN_LEADS
        found.append(np.column_stack([first[alike], second[alike]]))
    return np.concatenate(found)


def _without_each_lead(numbers: int) -> NDArray[np.float32]:
    """Tell which products of two leads remain without each one of them, (products, leads); all of them for one lead."""
    leads = (math.isqrt(8 * numbers + 1) - 1) // 2
    rows, columns = np.triu_indices(leads)
    lead = np.arange(leads)
    without = (rows[:, None] != lead) & (columns[:, None] != lead)
    return (without if leads > 1 else np.ones_like(without)).astype(np.float32)


def correlation(first: NDArray[np.floating], second: NDArray[np.floating], shift: int) -> float:
    """The largest absolute correlation of the inner 80% of a signal with another one, the median over their leads, at
    any lag up to ``shift`` samples.

    Leads that are flat in both do not count; one that is flat in one of them has 0. The median leaves out a lead that
    is dead, and the absolute value tells inverted copies. The ends are left out, since filters and a shift of the
    window make copies differ most there.

    Args:
        first: (leads, samples).
        second: as ``first``.
        shift: at most a third of the samples.
    """
    from scipy.fft import irfft, next_fast_len, rfft

    one, other = (signal - signal.mean(axis=1, keepdims=True, dtype=np.float64) for signal in (first, second))
    samples = one.shape[1]
    margin = max(samples // 10, shift)
    one = one[:, margin : samples - margin]
    length = next_fast_len(samples, real=True)  # long enough for the lags that are looked at
    products = irfft(np.conj(rfft(one, length)) * rfft(other, length), length)
    energy = np.pad(np.cumsum(np.square(other), axis=1), ((0, 0), (1, 0)))
    starts = np.arange(margin - shift, margin + shift + 1)
    own, others = np.square(one).sum(axis=1, keepdims=True), energy[:, starts + one.shape[1]] - energy[:, starts]
    sizes = np.sqrt(np.maximum(own * others, 0))
    each = np.divide(np.abs(products[:, starts]), sizes, out=np.zeros(sizes.shape), where=sizes > 0)
    counted = (own[:, 0] > 0) | (energy[:, -1] > 0)
    return float(np.median(each[counted], axis=0).max()) if counted.any() else 0.0


def groups_of(*keys: NDArray[np.integer], pairs: NDArray[np.integer] | None = None) -> NDArray[np.int64]:
    """Numbers (recordings,) that are the same for recordings that are linked, directly or through others.

    Args:
        keys: (recordings,) each, from 0; the same number in one of them links two recordings.
        pairs: (pairs, 2) of positions that are linked as well.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    n = size = len(keys[0])
    starts = [] if pairs is None else [pairs[:, 0]]
    ends = [] if pairs is None else [pairs[:, 1]]
    for key in keys:
        starts.append(np.arange(n))
        ends.append(size + key)
        size += int(key.max(initial=-1)) + 1
    edges = np.concatenate(starts), np.concatenate(ends)
    graph = coo_array((np.ones(len(edges[0]), dtype=np.int8), edges), shape=(size, size))
    return np.unique(connected_components(graph, directed=False)[1][:n], return_inverse=True)[1]


def name_groups(groups: NDArray[np.integer], signal_hash: pd.Series) -> pd.Series:
    """A name per recording that is the same for all of one signal: the first of their hashes in order."""
    return signal_hash.groupby(groups).transform("min")


def labels_of_copies(
    states: NDArray[np.int8], groups: NDArray[np.integer]
) -> tuple[NDArray[np.int8], NDArray[np.bool_], NDArray[np.bool_]]:
    """What copies of one signal say together.

    What one of them states holds for those that state nothing; where two contradict, the condition is unknown in all.

    Args:
        states: (recordings, conditions) of present, absent, unknown.
        groups: (recordings,) as of :func:`groups_of`.

    Returns:
        The states; where a copy's statement filled an unknown one in; and where a contradiction made it unknown. All
        (recordings, conditions).
    """
    n_groups = int(groups.max(initial=-1)) + 1
    said = {}
    for state in (PRESENT, ABSENT):
        said[state] = np.zeros((n_groups, states.shape[1]), dtype=bool)
        np.logical_or.at(said[state], groups, states == state)
    present, absent = said[PRESENT][groups], said[ABSENT][groups]
    contradicted = present & absent
    together = np.select([contradicted, present, absent], [UNKNOWN, PRESENT, ABSENT], UNKNOWN).astype(np.int8)
    return together, (states == UNKNOWN) & (together != UNKNOWN), contradicted
