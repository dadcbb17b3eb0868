"""How far an answer moves when a recording is stored otherwise.

    python -m benchmarks.storage FOLDER                     # of recordings, twelve leads at 500 Hz or more
    python -m benchmarks.storage FOLDER --model outputs/... # by a model of your own; by default the demo's, zero-shot

    python -m benchmarks.storage FOLDER --altered           # what is lost or exchanged, and whether a flag tells it

Each recording is stored again in other ways, and both are predicted. The table has the largest difference of a
probability in the median recording and in the worst, and how many recordings of how many have one above 0.01; then the
same for the first five seconds of each. Of a row that rounds, recordings are left out that are stored as coarsely
already. With ``--altered`` it counts how many decisions an alteration changes, and how many of these recordings have no
flag that they do not have unaltered.
"""

import argparse
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks import machine
from benchmarks.predict import make_model
from ecgfounder_ft.ecg.formats import find_recordings, read_recording
from ecgfounder_ft.ecg.formats.wfdb import write_recording
from ecgfounder_ft.ecg.leads import STANDARD_LEADS
from ecgfounder_ft.ecg.preprocessing import resample
from ecgfounder_ft.ecg.quality import SAME_VALUE, smallest_step
from ecgfounder_ft.ecg.recording import Recording, UnreadableRecordingError
from ecgfounder_ft.inference.finished_model import FinishedModel, load_model
from ecgfounder_ft.inference.inputs import Reading, prepare

RATES = (100, 200, 250, 360, 400, 1000)
INDEPENDENT = [STANDARD_LEADS.index(lead) for lead in ("I", "II", "V1", "V2", "V3", "V4", "V5", "V6")]
FINE = 1000
"""Digital units per mV."""
STEPS = (1.5, 2.5, 5, 10)
"""µV, to which the samples are rounded."""


def recordings(folder: Path, seconds: float) -> Iterator[Recording]:
    """The first seconds of each whole one, at 500 Hz."""
    for path in find_recordings(folder):
        try:
            found = read_recording(path, STANDARD_LEADS)
        except UnreadableRecordingError:
            continue
        samples = round(seconds * 500)
        if found.sampling_rate == 500 and found.signal.shape[1] >= samples:
            signal = found.signal[:, :samples]
            if np.isfinite(signal).all() and np.ptp(signal, axis=1).max() > 0:
                yield replace(found, signal=signal)


def stored(signal: NDArray[np.floating], folder: Path) -> dict[str, Path]:
    """The same recording in several ways, the one to compare with first."""

    def write(name: str, rows: list[int], rate: float, gain: float = FINE, storage: str = "dat") -> Path:
        leads = [STANDARD_LEADS[row] for row in rows]
        content = signal[rows] if rate == 500 else resample(signal[rows], 500, rate)
        return write_recording(folder, name, content, leads, rate, storage=storage, gain=gain)

    whole = list(range(12))
    coarser = [step for step in STEPS if step / 1000 > smallest_step(signal) + SAME_VALUE]
    np.savez(folder / "volts.npz", signal=signal / 1000, sampling_rate=500, unit="V", leads=STANDARD_LEADS)
    return {
        "as it is": write("whole", whole, 500),
        "leads in reverse order": write("reverse", whole[::-1], 500),
        "an archive of NumPy, in volts": folder / "volts.npz",
        "gain 2000/mV, in a .mat file": write("fine", whole, 500, 2 * FINE, "mat"),
        **{f"rounded to {step} µV": write(f"step{10 * step:.0f}", whole, 500, 1000 / step) for step in coarser},
        "eight leads, the others computed": write("eight", INDEPENDENT, 500),
        **{f"{rate} Hz": write(f"rate{rate}", whole, rate) for rate in RATES},
    }


def differences(model: FinishedModel, folder: Path, seconds: float) -> dict[str, list[float]]:
    """Way to the largest difference of a probability of each recording."""
    reading = Reading(model.record.preprocessing)
    found: dict[str, list[float]] = {}
    for recording in recordings(folder, seconds):
        with tempfile.TemporaryDirectory() as name:
            inputs = {way: prepare(path, reading) for way, path in stored(recording.signal, Path(name)).items()}
        answers = model.probabilities(np.concatenate([one.signals for one in inputs.values()]))
        for way, answer in zip(inputs, answers, strict=True):
            found.setdefault(way, []).append(float(np.abs(answer - answers[0]).max()))
    return found


def altered(signal: NDArray[np.floating]) -> dict[str, NDArray[np.floating]]:
    """What is done to a recording of 10 s at 500 Hz, in words, to what is left of it."""

    def order(*rows: int, signs: tuple[int, ...] = (1,) * 6) -> NDArray[np.floating]:
        limbs = signal[list(rows)] * np.array(signs)[:, None]
        return np.vstack([limbs, signal[6:]])

    def zeros(rows: slice, first: int, last: int) -> NDArray[np.floating]:
        changed = signal.copy()
        changed[rows, first:last] = 0.0
        return changed

    def spike(millivolts: float) -> NDArray[np.floating]:
        changed = signal.copy()
        changed[7, 2500] = millivolts
        return changed

    return {
        "zeros in the middle 4 s": zeros(slice(None), 1500, 3500),
        "zeros before the heart begins, 3 s": zeros(slice(None), 0, 1500),
        "chest leads zero in the middle 4 s": zeros(slice(6, 12), 1500, 3500),
        "page order: aVL before aVR": order(0, 1, 2, 4, 3, 5),
        "I and II exchanged": order(1, 0, 2, 3, 4, 5),
        "III and aVF exchanged": order(0, 1, 5, 3, 4, 2),
        "arm electrodes exchanged": order(0, 2, 1, 4, 3, 5, signs=(-1, 1, 1, 1, 1, 1)),
        "one sample of 399 mV": spike(399.0),
        "one sample of 20 mV": spike(20.0),
    }


def changed_decisions(model: FinishedModel, folder: Path) -> dict[str, list[int]]:
    """Alteration to the number of recordings, of changed decisions, and of those of them without a flag of its own."""
    reading = Reading(model.record.preprocessing)
    found: dict[str, list[int]] = {}
    for recording in recordings(folder, 10):
        whole = prepare(replace(recording, path=None), reading)
        decided = model.probabilities(whole.signals).argmax(axis=1)
        for what, signal in altered(recording.signal).items():
            other = prepare(replace(recording, path=None, signal=signal), reading)
            counts = found.setdefault(what, [0, 0, 0])
            counts[0] += 1
            if other.reason:
                continue  # refused, which is told
            changed = bool((model.probabilities(other.signals).argmax(axis=1) != decided).any())
            counts[1] += changed
            counts[2] += changed and set(other.flags) <= set(whole.flags)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--altered", action="store_true", help="count decisions that alterations change")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        model = load_model(options.model or make_model("demo", Path(name)))
    if options.altered:
        print(f"{machine.describe()}\n\n| altered | recordings | decisions changed | of these without a flag |")
        print("| --- | --- | --- | --- |")
        for what, counts in changed_decisions(model, options.folder).items():
            print(f"| {what} | {' | '.join(map(str, counts))} |")
        return
    tables = [differences(model, options.folder, seconds) for seconds in (10, 5)]
    print(f"{machine.describe()}\n{' and '.join(str(len(table['as it is'])) for table in tables)} recordings\n")
    print("| stored as | 10 s: median | worst | above 0.01 | 5 s: median | worst | above 0.01 |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for way in list(tables[0])[1:]:
        cells = []
        for table in tables:
            values = np.array(table[way])
            cells += [f"{np.median(values):.1e}", f"{values.max():.1e}", f"{(values > 0.01).sum()} of {len(values)}"]
        print(f"| {way} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
