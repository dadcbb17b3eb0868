"""Recordings per second that the simulator makes, in as many processes as there are cores.

python -m benchmarks.simulator
"""

import argparse
import multiprocessing
import os
import time
from concurrent.futures import ProcessPoolExecutor

import numpy as np

from benchmarks import machine
from ecgfounder_ft.ecg.leads import STANDARD_LEADS
from ecgfounder_ft.ecg.preprocessing import Preprocessing
from ecgfounder_ft.ecg.recording import Recording
from ecgfounder_ft.ecg.simulator import record, sample_physiology
from ecgfounder_ft.ecg.simulator.population import draw_case

WARM_UP = 20


def simulate(seed: int, n: int) -> tuple[float, float]:
    """Seconds for n recordings of a hospital population, and for their preprocessing."""
    rng = np.random.default_rng(seed)
    preprocessing = Preprocessing()
    simulating = filtering = 0.0
    for number in range(WARM_UP + n):
        begun = time.perf_counter()
        conditions, findings = draw_case(rng)
        signal, _ = record(sample_physiology(conditions, rng, findings), rng, duration=10.0)
        between = time.perf_counter()
        preprocessing(Recording("simulated", STANDARD_LEADS, signal, 500.0))
        if number >= WARM_UP:
            simulating += between - begun
            filtering += time.perf_counter() - between
    return simulating, filtering


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recordings", type=int, default=500, help="a process")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args()
    with ProcessPoolExecutor(options.processes, mp_context=multiprocessing.get_context("spawn")) as pool:
        found = list(pool.map(simulate, range(options.processes), [options.recordings] * options.processes))
    print(machine.describe())
    n = options.recordings
    print(f"{sum(n / seconds for seconds, _ in found):.0f} recordings/s in {options.processes} processes")
    for name, column in (("simulating", 0), ("preprocessing", 1)):
        print(f"{name}: {np.mean([seconds[column] for seconds in found]) / n * 1e3:.1f} ms per recording and process")


if __name__ == "__main__":
    main()
