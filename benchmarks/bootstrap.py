"""How long an evaluation with intervals takes: 10,000 recordings, six conditions, 1,000 resamples.

Run with ``python benchmarks/bootstrap.py``; options change the size.
"""

import argparse
import time

import numpy as np

from ecgfounder_ft.evaluation.evaluate import evaluate
from ecgfounder_ft.task import MULTI_LABEL


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--recordings", type=int, default=10_000)
    parser.add_argument("--patients", type=int, default=7_000)
    parser.add_argument("--conditions", type=int, default=6)
    parser.add_argument("--resamples", type=int, default=1_000)
    options = parser.parse_args()
    generator = np.random.default_rng(0)
    shape = (options.recordings, options.conditions)
    targets = (generator.random(shape) < 0.15).astype(np.int8)
    probabilities = 1 / (1 + np.exp(-(3 * targets - 2 + generator.normal(size=shape))))
    patients = generator.integers(0, options.patients, options.recordings)
    codes = [f"C{place}" for place in range(options.conditions)]
    seconds = []
    for resamples in (0, options.resamples):
        start = time.perf_counter()
        result = evaluate(targets, probabilities, patients, codes, task=MULTI_LABEL, resamples=resamples)
        seconds.append(time.perf_counter() - start)
    auroc = result.macro["auroc"]
    print(
        f"{options.recordings} recordings of {result.patients} patients, {options.conditions} conditions: "
        f"{seconds[0]:.2f} s without intervals, {seconds[1]:.2f} s with {options.resamples} resamples of all "
        f"{len(result.macro)} metrics; macro AUROC {auroc.value:.4f} ({auroc.low:.4f} to {auroc.high:.4f})"
    )


if __name__ == "__main__":
    main()
