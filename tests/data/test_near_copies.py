"""Which recordings are the same signal in another form, and what their labels say together."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from scipy.signal import resample_poly

from ecgfounder_ft.data.near_copies import (
    BINS,
    correlation,
    find_copies,
    fingerprint,
    groups_of,
    labels_of_copies,
    name_groups,
)
from ecgfounder_ft.data.store.shard import signal_hash
from ecgfounder_ft.ecg.formats import read_recording
from ecgfounder_ft.ecg.leads import STANDARD_LEADS
from ecgfounder_ft.ecg.preprocessing import Preprocessing
from ecgfounder_ft.ecg.recording import Recording
from ecgfounder_ft.ecg.simulator import record, sample_physiology

Change = Callable[[NDArray[np.floating]], tuple[NDArray[np.floating], float]]
ALTERED: dict[str, Change] = {
    "100 Hz": lambda signal: (resample_poly(signal, 1, 5, axis=1), 100.0),
    "1000 Hz": lambda signal: (resample_poly(signal, 2, 1, axis=1), 1000.0),
    "257 Hz": lambda signal: (resample_poly(signal, 257, 500, axis=1), 257.0),
    "with a gain five times too small": lambda signal: (signal * 5, 500.0),
    "rounded to 5 uV": lambda signal: (np.rint(signal * 200) / 200, 500.0),
    "without its first 10 samples": lambda signal: (signal[:, 10:], 500.0),
    "without its last 10 samples": lambda signal: (signal[:, :-10], 500.0),
    "upside down": lambda signal: (-signal, 500.0),
    "30 ms later": lambda signal: (np.pad(signal[:, 15:], ((0, 0), (0, 15)), mode="edge"), 500.0),
    "with II dead": lambda signal: (signal * (np.arange(12) != 1)[:, None], 500.0),
    "with V2 upside down": lambda signal: (signal * np.where(np.arange(12) == 7, -1, 1)[:, None], 500.0),
    "all at once": lambda signal: (np.rint(resample_poly(signal, 1, 5, axis=1)[:, 2:] * 100) / 30, 100.0),
}
CODES = ("NORM", "AFIB", "AFLT", "1dAVb", "RBBB", "LBBB")


class Signals:
    """Preprocessed signals that count how often they are read."""

    def __init__(self, recordings: Sequence[Recording]) -> None:
        preprocessing = Preprocessing()
        self.signals = np.stack([preprocessing(recording).signal for recording in recordings])
        self.reads = 0

    def read(self, indices: Sequence[int]) -> NDArray[np.float32]:
        self.reads += 1
        return self.signals[indices]


def simulated(number: int) -> Recording:
    rng = np.random.default_rng([5, number])
    signal, _ = record(sample_physiology((CODES[number % 6],), rng), rng, duration=10.0)
    return Recording(f"simulated {number}", STANDARD_LEADS, signal, 500.0)


def altered(recording: Recording, change: Change) -> Recording:
    signal, rate = change(np.nan_to_num(recording.signal))
    return replace(recording, signal=signal.astype(np.float32), sampling_rate=rate)


def pairs_among(recordings: Sequence[Recording]) -> list[list[int]]:
    prints = np.stack([fingerprint(recording.signal, recording.sampling_rate) for recording in recordings])
    return find_copies(prints, Signals(recordings), 500.0, np.arange(len(recordings))).pairs.tolist()


@pytest.fixture(scope="module")
def people() -> list[Recording]:
    return [simulated(number) for number in range(60)]


@pytest.mark.parametrize("name", ALTERED)
def test_an_altered_copy_is_found_among_others(people: list[Recording], name: str) -> None:
    some = people[:12]
    copies = [altered(recording, ALTERED[name]) for recording in some]
    assert all(signal_hash(one) != signal_hash(other) for one, other in zip(some, copies, strict=True))
    assert pairs_among([*some, *copies]) == [[number, number + 12] for number in range(12)]


@pytest.mark.parametrize("lead", [0, 7, 10])
@pytest.mark.parametrize("factor", [0, -1])
def test_a_copy_with_one_lead_dead_or_inverted_is_found(people: list[Recording], lead: int, factor: int) -> None:
    some = people[:8]
    factors = np.where(np.arange(12) == lead, factor, 1)[:, None]
    copies = [replace(one, signal=(one.signal * factors).astype(np.float32)) for one in some]
    assert pairs_among([*some, *copies]) == [[number, number + 8] for number in range(8)]


def test_different_recordings_are_no_copies(people: list[Recording]) -> None:
    assert pairs_among(people) == []


def test_real_recordings_of_different_people_are_no_copies_and_altered_ones_are(shared) -> None:
    """Georgia's E07509 and E07510 are known to be the same."""
    georgia = shared / "ecg" / "physionet2021" / "georgia"
    paths = [path for path in sorted(georgia.glob("*.hea")) if path.with_suffix(".mat").exists()]
    recordings = [read_recording(path, leads=STANDARD_LEADS) for path in paths]
    long = [recording for recording in recordings if recording.duration >= 10]
    names = [recording.name for recording in long]
    assert len(long) > 15
    assert pairs_among(long) == [[names.index("E07509"), names.index("E07510")]]
    for change in ALTERED.values():
        for recording in long[:8]:
            assert pairs_among([recording, altered(recording, change)]) == [[0, 1]], recording.name


def test_a_fingerprint_does_not_depend_on_unit_or_rate_and_flat_signals_have_none(people: list[Recording]) -> None:
    signal = people[0].signal
    found = fingerprint(signal, 500.0)
    assert found.shape == (BINS + 78,)
    assert np.isclose(np.linalg.norm(found[:BINS].astype(float)), 1, atol=1e-3)
    np.testing.assert_allclose(fingerprint(signal * -3.7, 500.0), found, atol=2e-3)
    np.testing.assert_allclose(fingerprint(resample_poly(signal, 1, 5, axis=1), 100.0), found, atol=0.03)
    assert not fingerprint(np.full((12, 5000), 0.3), 500.0).any()
    assert not fingerprint(np.full((12, 5000), np.nan), 500.0).any()


def test_flat_signals_are_no_copies_of_each_other() -> None:
    flat = [Recording(str(level), STANDARD_LEADS, np.full((12, 5000), float(level)), 500.0) for level in range(3)]
    prints = np.stack([fingerprint(recording.signal, 500.0) for recording in flat])
    assert len(find_copies(prints, Signals([simulated(0)] * 3), 500.0, np.arange(3)).pairs) == 0


def test_every_pair_is_compared_whatever_the_block(people: list[Recording], monkeypatch: pytest.MonkeyPatch) -> None:
    from ecgfounder_ft.data import near_copies

    copies = [*people[:10], *(altered(recording, ALTERED["100 Hz"]) for recording in people[:10])]
    whole = pairs_among(copies)
    monkeypatch.setattr(near_copies, "_COSINES", 3 * len(copies))
    assert sorted(pairs_among(copies)) == sorted(whole)
    prints = np.stack([fingerprint(one.signal, one.sampling_rate) for one in copies])
    assert find_copies(prints, Signals(copies), 500.0, np.arange(20)).compared == 190


def test_what_is_identical_is_not_compared_again(people: list[Recording]) -> None:
    twice = [people[0], people[0], people[1]]
    prints = np.stack([fingerprint(one.signal, 500.0) for one in twice])
    signals = Signals(twice)
    assert len(find_copies(prints, signals, 500.0, np.array([0, 0, 1])).pairs) == 0
    assert signals.reads == 0


def test_correlation_follows_a_lag_up_to_the_largest(people: list[Recording]) -> None:
    signal = Preprocessing()(people[1]).signal
    shifted = np.roll(signal, 20, axis=1)
    assert correlation(signal, shifted, 25) > 0.999
    assert correlation(shifted, signal, 25) > 0.999
    assert correlation(signal, shifted, 10) < 0.9
    assert correlation(signal, -signal, 25) > 0.999
    assert correlation(signal, np.zeros_like(signal), 25) == 0


def test_groups_join_identical_and_near_copies() -> None:
    already = np.array([0, 1, 1, 2, 3])
    groups = groups_of(already, pairs=np.array([[0, 1], [2, 4]]))
    assert groups.tolist() == [0, 0, 0, 1, 0]
    hashes = pd.Series(["c", "b", "b", "d", "a"])
    assert name_groups(groups, hashes).tolist() == ["a", "a", "a", "d", "a"]
    assert groups_of(already, pairs=np.empty((0, 2), dtype=np.int64)).tolist() == [0, 1, 1, 2, 3]


def test_what_one_copy_states_holds_for_one_that_states_nothing_and_contradictions_are_unknown() -> None:
    states = np.array([[1, -1, 1, -1], [-1, 0, 0, -1], [-1, -1, -1, -1]], dtype=np.int8)
    together, filled, contradicted = labels_of_copies(states, np.array([0, 0, 1]))
    assert together.tolist() == [[1, 0, -1, -1], [1, 0, -1, -1], [-1, -1, -1, -1]]
    assert filled.tolist() == [[False, True, False, False], [True, False, False, False], [False] * 4]
    assert contradicted.tolist() == [[False, False, True, False]] * 2 + [[False] * 4]
