"""What the search for near copies finds, what it takes for one by mistake, and how long it takes.

python -m benchmarks.near_copies --recordings FOLDER --simulated 2000 --growth 90000

An alteration counts as found in a recording where the search tells the pair of both; at least 95% of the recordings are
wanted for inverted signals, and for one lead that is dead or inverted. No pair of different recordings may be taken for
copies. A lag is stated in the documentation up to the largest at which 95% are found.

Three tables: altered copies that are found; pairs of different recordings that are taken for copies (of simulated
recordings every such pair is a false alarm, of real ones each is printed to be looked at); and the time that comparing
the fingerprints of a whole dataset takes.
"""

import argparse
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.signal import resample_poly

from benchmarks import machine
from ecgfounder_ft.data.near_copies import BINS, find_copies, fingerprint
from ecgfounder_ft.data.store.shard import signal_hash
from ecgfounder_ft.ecg.formats import find_recordings, read_recording
from ecgfounder_ft.ecg.leads import STANDARD_LEADS
from ecgfounder_ft.ecg.preprocessing import Preprocessing
from ecgfounder_ft.ecg.recording import Recording, UnreadableRecordingError
from ecgfounder_ft.ecg.simulator import record, sample_physiology
from ecgfounder_ft.ecg.simulator.population import draw_case

ALTERED = 400
"""Recordings that are altered, at most."""


class Signals:
    """Preprocessed signals, read as from a store; each is made when it is read.

    Args:
        recordings: number to recording.
        preprocessing: of each.
    """

    def __init__(self, recordings: Callable[[int], Recording], preprocessing: Preprocessing) -> None:
        self.recordings = recordings
        self.preprocessing = preprocessing

    def read(self, indices: Sequence[int]) -> NDArray[np.float32]:
        """Some of them, (len(indices), leads, samples)."""
        return np.stack([self.preprocessing(self.recordings(index)).signal for index in indices])


def altered(recording: Recording) -> Iterator[tuple[str, Recording]]:
    """Name of an alteration, and the recording so altered."""
    signal = np.nan_to_num(recording.signal)
    rate = recording.sampling_rate
    at_100 = resample_poly(signal, 100, round(rate), axis=1)
    for name, changed, new_rate in (
        ("100 Hz", at_100, 100.0),
        ("every fifth sample", signal[:, ::5], rate / 5),
        ("257 Hz", resample_poly(signal, 257, round(rate), axis=1), 257.0),
        ("1000 Hz", resample_poly(signal, 1000, round(rate), axis=1), 1000.0),
        ("times 4.88", signal * 4.88, rate),
        ("rounded to 5 µV", np.rint(signal * 200) / 200, rate),
        ("rounded to 20 µV", np.rint(signal * 50) / 50, rate),
        ("without its first 10 samples", signal[:, 10:], rate),
        ("without its last 10 samples", signal[:, :-10], rate),
        ("without its first 20 samples", signal[:, 20:], rate),
        ("100 Hz, rounded to 10 µV, times 3, without 2 samples", np.rint(at_100 * 100)[:, 2:] / 100 * 3, 100.0),
    ):
        yield name, replace(recording, signal=changed.astype(np.float32), sampling_rate=new_rate)
    yield "inverted", replace(recording, signal=-signal)
    for lead in ("I", "V1", "V3", "V6"):
        for name, factor in (("dead", 0), ("inverted", -1)):
            changed = signal.copy()
            changed[recording.leads.index(lead)] *= factor
            yield f"lead {lead} {name}", replace(recording, signal=changed)
    for lag in (0.01, 0.02, 0.03, 0.04, 0.05):  # of the same length, so that all of it is lag
        late = np.pad(signal, ((0, 0), (round(lag * rate), 0)), mode="edge")[:, : signal.shape[1]]
        yield f"{round(lag * 1000)} ms late", replace(recording, signal=late)


def real(folder: Path, preprocessing: Preprocessing) -> list[Recording]:
    """The recordings in a folder that can be read and are of 8 s or more."""
    found = []
    for path in find_recordings(folder):
        try:
            recording = read_recording(Path(path), leads=preprocessing.leads)
            preprocessing(recording)
        except UnreadableRecordingError:
            continue
        if recording.duration >= 8:
            found.append(recording)
    return found


def simulated(number: int) -> Recording:
    """One recording of one person of a hospital's population."""
    rng = np.random.default_rng([0, number])
    conditions, findings = draw_case(rng)
    signal, _ = record(sample_physiology(conditions, rng, findings), rng, duration=10.0)
    return Recording(f"simulated {number}", STANDARD_LEADS, signal, 500.0)


def find_altered(recordings: list[Recording], preprocessing: Preprocessing) -> None:
    """Print the share of altered copies that are found."""
    counts: dict[str, list[bool]] = {}
    for recording in recordings:
        for name, copy in altered(recording):
            both = recording, copy
            vectors = np.stack([fingerprint(one.signal, one.sampling_rate) for one in both])
            signals = Signals(both.__getitem__, preprocessing)
            found = find_copies(vectors, signals, preprocessing.sampling_rate, np.arange(2))
            counts.setdefault(name, []).append(len(found.pairs) == 1)
    for name, found in counts.items():
        print(f"  {name}: {sum(found)} of {len(found)} found")


def false_alarms(recordings: Callable[[int], Recording], n: int, preprocessing: Preprocessing) -> NDArray[np.float16]:
    """Print which pairs of n recordings, none identical to another, are taken for copies; returns the fingerprints."""
    vectors, hashes = [], []
    spent = 0.0
    for number in range(n):
        recording = recordings(number)
        hashes.append(signal_hash(recording))
        begun = time.perf_counter()
        vectors.append(fingerprint(recording.signal, recording.sampling_rate))
        spent += time.perf_counter() - begun
    prints = np.stack(vectors)
    identical = np.unique(hashes, return_inverse=True)[1]
    signals = Signals(recordings, preprocessing)
    found = find_copies(prints, signals, preprocessing.sampling_rate, identical)
    print(
        f"  {n} recordings, {found.compared:,} pairs compared, signals of {found.alike} compared, "
        f"{len(found.pairs)} taken for copies; {spent / n * 1e3:.1f} ms per fingerprint"
    )
    for one, other in found.pairs:
        print(f"    {recordings(one).path or one} = {recordings(other).path or other}")
    return prints


def growth(n: int, base: NDArray[np.float16]) -> None:
    """Print the time that comparing n fingerprints takes. They are real ones with a random part, so that no two are
    alike: what is compared again signal by signal is measured by :func:`false_alarms`."""
    rng = np.random.default_rng(0)
    vectors = base[rng.integers(len(base), size=n)].astype(np.float32)
    vectors[:, :BINS] += rng.normal(scale=0.2, size=(n, BINS))
    vectors[:, :BINS] /= np.linalg.norm(vectors[:, :BINS], axis=1, keepdims=True)
    begun = time.perf_counter()
    found = find_copies(vectors.astype(np.float16), Signals(simulated, Preprocessing()), 500.0, np.arange(n))
    print(f"  {n:,} fingerprints, {found.compared:,} pairs: {time.perf_counter() - begun:.0f} s")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recordings", type=Path, help="a folder of real recordings")
    parser.add_argument("--simulated", type=int, default=500)
    parser.add_argument("--growth", type=int, default=20_000)
    options = parser.parse_args()
    print(machine.describe())
    preprocessing = Preprocessing()
    print("simulated: altered copies")
    find_altered([simulated(number) for number in range(min(ALTERED, options.simulated))], preprocessing)
    print("simulated: different recordings")
    prints = false_alarms(simulated, options.simulated, preprocessing)
    if options.recordings is not None:
        recordings = real(options.recordings, preprocessing)
        print("real: altered copies")
        find_altered([one for one in recordings if one.sampling_rate == 500][:ALTERED], preprocessing)
        print("real: different recordings")
        false_alarms(recordings.__getitem__, len(recordings), preprocessing)
    print("a whole dataset")
    growth(options.growth, prints)


if __name__ == "__main__":
    main()
