"""Recordings that are the same signal in another form, and what their labels are then worth.

Datasets took recordings from one another, and changed them on the way: resampled (PTB-XL has each one at 100 and at
500 Hz), in other units, rounded to other steps, turned upside down, or cut by a few samples. A hash of the signal
misses all of these. So each recording gets a *fingerprint* when it is stored: numbers that say when the signal changes
how much, and how its leads change together, which none of the above alters by much. All pairs of fingerprints are
compared. Those that are alike are compared once more, signal by signal, and count as copies where most leads correlate.
``benchmarks/near_copies.py`` measures what is found, and how often different recordings are taken for copies.

Not found: a part cut from a longer recording by more than :data:`LARGEST_SHIFT`, and most copies with leads exchanged.
"""

from __future__ import annotations

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
"""Least cosine of the first parts of two fingerprints whose signals are compared."""
ALIKE_IN_LEADS = 0.92
"""Least cosine of the second parts of two fingerprints whose signals are compared."""
SAME = 0.97
"""Least correlation, regardless of its sign, of the median lead of two preprocessed signals that are copies."""
LARGEST_SHIFT = 0.05
"""Seconds of lag up to which signals are compared; the fingerprints of copies are less alike from 40 ms on."""

_STEPS_PER_BIN = 4
_SMOOTHING_SECONDS = 0.08
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
    are taken. First part: the root of their sum of squares over the leads, smoothed (Gaussian, 80 ms) so that a lag of
    some milliseconds matters little, every 80 ms. Second part: the sum over time of the products of each two leads'
    changes, without its sign, which an inverted lead changes.

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
    in_leads = np.abs(changes @ changes.T)[np.triu_indices(len(values))]
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
    """Pairs (pairs, 2) of fingerprints (n, numbers) that are alike in both their parts.

    A lead that is flat in one of two recordings does not count in the second part.
    """
    in_time, in_leads = fingerprints[:, :BINS], fingerprints[:, BINS:]
    found = [np.empty((0, 2), dtype=np.int64)]
    block = max(1, _COSINES // max(len(fingerprints), 1))
    for start in range(0, len(fingerprints), block):
        first, second = np.nonzero(in_time[start : start + block] @ in_time[start:].T >= ALIKE_IN_TIME)
        later = second > first
        first, second = first[later] + start, second[later] + start
        alike = _cosine_where_both(in_leads[first], in_leads[second]) >= ALIKE_IN_LEADS
        found.append(np.column_stack([first[alike], second[alike]]))
    return np.concatenate(found)


def _cosine_where_both(first: NDArray[np.float32], second: NDArray[np.float32]) -> NDArray[np.float32]:
    """Cosine of each two rows (n, numbers), over the numbers that are zero in neither; 0 where there are none."""
    first, second = first * (second != 0), second * (first != 0)
    sizes = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
    products = np.einsum("ij,ij->i", first, second)
    return np.divide(products, sizes, out=np.zeros_like(products), where=sizes > 0)


def correlation(first: NDArray[np.floating], second: NDArray[np.floating], shift: int) -> float:
    """Correlation of the median lead of two signals, without its sign, at the best lag up to ``shift`` samples.

    The median over the leads, because one of two copies may have a lead that is dead or inverted. The inner 80 % of the
    first signal is compared: filters and a shift of the window make copies differ most at their ends. A flat lead
    correlates with nothing.

    Args:
        first: (leads, samples).
        second: as ``first``.
        shift: at most a third of the samples.
    """
    from scipy.fft import irfft, next_fast_len, rfft

    samples = first.shape[1]
    margin = max(samples // 10, shift)
    one = first[:, margin : samples - margin].astype(np.float64)
    one -= one.mean(axis=1, keepdims=True)
    other = second - second.mean(axis=1, keepdims=True, dtype=np.float64)
    length = next_fast_len(2 * samples, real=True)
    starts = np.arange(margin - shift, margin + shift + 1)
    products = irfft(np.conj(rfft(one, length)) * rfft(other, length), length)[:, starts]
    ends = starts + one.shape[1]
    sums, squares = (np.pad(np.cumsum(other**power, axis=1), ((0, 0), (1, 0))) for power in (1, 2))
    within = squares[:, ends] - squares[:, starts] - (sums[:, ends] - sums[:, starts]) ** 2 / one.shape[1]
    sizes = np.sqrt(np.maximum(np.square(one).sum(axis=1, keepdims=True) * within, 0))
    least = 1e-9 * max(float(np.square(one).sum()), float(np.square(other).sum()))
    by_lead = np.divide(np.abs(products), sizes, out=np.zeros_like(products), where=sizes > least)
    return float(np.median(by_lead, axis=0).max())


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
