"""Draw simulated and real recordings the same way, four to a page, to look at beside each other.

    python scripts/draw_recordings.py simulated DIR                    # a page of each condition and of each finding
    python scripts/draw_recordings.py simulated DIR --only AFLT paced --seed 3
    python scripts/draw_recordings.py real DIR RECORDING.hea [RECORDING.hea ...]

Four columns of 2.5 s over strips of II and V1; a square is 0.2 s and 0.5 mV. Millivolts as recorded, about each lead's
median.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ecgfounder_ft.ecg.formats import read_recording
from ecgfounder_ft.ecg.leads import STANDARD_LEADS, lead_indices
from ecgfounder_ft.ecg.preprocessing import resample
from ecgfounder_ft.ecg.simulator import FINDINGS, SIMULATED_CONDITIONS, simulate

SAMPLING_RATE = 500
COLUMNS = (("I", "II", "III"), ("aVR", "aVL", "aVF"), ("V1", "V2", "V3"), ("V4", "V5", "V6"))
STRIPS = ("II", "V1")
ROW = 2.0
"""mV between two baselines."""


def draw(axes: Axes, title: str, signal: NDArray) -> None:
    """One recording, (12, samples) mV at 500 Hz, its first ten seconds."""
    quarter = 5 * SAMPLING_RATE // 2
    places = [
        (lead, column * quarter, (column + 1) * quarter, row)
        for column, leads in enumerate(COLUMNS)
        for row, lead in enumerate(leads)
    ]
    places += [(lead, 0, 4 * quarter, 3 + row) for row, lead in enumerate(STRIPS)]
    for lead, first, last, row in places:
        trace = signal[STANDARD_LEADS.index(lead), first:last]
        if len(trace):
            seconds = (first + np.arange(len(trace))) / SAMPLING_RATE
            axes.plot(seconds, np.clip(trace - np.nanmedian(trace), -1.8, 1.8) - ROW * row, "k", linewidth=0.7)
            axes.text(first / SAMPLING_RATE, 0.7 - ROW * row, lead, fontsize=9)
    axes.set_title(title, fontsize=10)
    axes.set_xlim(0, 10)
    axes.set_ylim(-4.6 * ROW, 1.8)
    axes.set_xticks(np.arange(0, 10.1, 0.2), labels=[])
    axes.set_yticks(np.arange(-4.5 * ROW, 2, 0.5), labels=[])
    axes.grid(color="#f3c0bb", linewidth=0.5)


def save_page(drawn: Sequence[tuple[str, NDArray]], path: Path) -> None:
    """Up to four recordings."""
    figure = Figure(figsize=(24, 15), layout="constrained")
    for axes, (title, signal) in zip(figure.subplots(2, 2).ravel(), drawn, strict=False):
        draw(axes, title, signal)
    figure.savefig(path, dpi=65)
    print(path)


def real(path: Path) -> tuple[str, NDArray]:
    """A recording's title and signal at 500 Hz, leads in standard order."""
    recording = read_recording(path)
    signal = recording.signal[lead_indices(recording.leads, STANDARD_LEADS)].astype(np.float64)
    if recording.sampling_rate != SAMPLING_RATE:
        signal = resample(np.nan_to_num(signal), recording.sampling_rate, SAMPLING_RATE)
    return recording.name, signal


def main() -> None:
    """Read the command line and draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["simulated", "real"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("recordings", type=Path, nargs="*")
    parser.add_argument("--only", nargs="+", choices=[*SIMULATED_CONDITIONS, *FINDINGS], metavar="CONDITION_OR_FINDING")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    if options.what == "real":
        for page, first in enumerate(range(0, len(options.recordings), 4)):
            four = [real(path) for path in options.recordings[first : first + 4]]
            save_page(four, options.folder / f"real_{page}.png")
        return
    for name in options.only or [*SIMULATED_CONDITIONS, *FINDINGS]:
        conditions, findings = ([name], []) if name in SIMULATED_CONDITIONS else ([], [name])
        drawn = []
        for number in range(4):
            rng = np.random.default_rng([options.seed, number])
            drawn.append((f"{name} {number}", simulate(conditions, rng, findings=findings).recording.signal))
        save_page(drawn, options.folder / f"{name.replace(' ', '_')}.png")


if __name__ == "__main__":
    main()
