"""How often conformal sets hold the truth, over simulated studies.

python -m benchmarks.conformal

Protocol: 200 studies in each row. The log-odds of patients without and with the condition are normal with a standard
deviation of 1, their means 1.5 apart. Clustered patients have one to five recordings, and half of the variance is the
patient's. A study has 200 validation patients without the condition beside those with it, and 1,000 other patients of
each kind. The sets that hold the truth are counted, with and without the condition. Wanted is a mean share within two
points of what is stated, in every row.
"""

import argparse
import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from benchmarks import machine
from ecgfounder_ft.evaluation.conformal import conformal_cuts

POSITIVES = (10, 12, 15, 18, 20, 30, 50, 100, 200)
RATES = (0.1, 0.2)
DISTANCE = 1.5
NEGATIVES, ELSEWHERE = 200, 1000


@dataclass(frozen=True)
class Row:
    """Means over the studies of one setting."""

    coverage_with: float
    """Share of the recordings with the condition whose set holds ``present``."""
    coverage_without: float
    undecided: float
    """Share of all recordings, as many with as without the condition."""


def simulate(*, positives: int, error_rate: float, clustered: bool, studies: int, seed: int) -> Row:
    """Simulate studies of one setting.

    Args:
        positives: validation patients with the condition.
        error_rate: stated.
        clustered: patients have several recordings.
        studies: how many.
        seed: of the studies.
    """
    generator = np.random.default_rng(seed)
    found = []
    for study in range(studies):
        targets, given, patients = _patients(positives, NEGATIVES, clustered, generator)
        cuts = conformal_cuts(targets, given, patients, ["A"], error_rate=error_rate, seed=study)
        targets, given, _ = _patients(ELSEWHERE, ELSEWHERE, False, generator)
        kept, present = cuts.kept(given[:, 0], "A"), targets[:, 0] == 1
        decided = cuts.decisions(given[:, 0], "A")
        found.append([kept[present, 1].mean(), kept[~present, 0].mean(), (decided == -1).mean()])
    return Row(*np.mean(found, axis=0).tolist())


def _patients(
    with_it: int, without: int, clustered: bool, generator: np.random.Generator
) -> tuple[NDArray[np.int8], NDArray[np.float64], NDArray[np.int64]]:
    """Labels (n, 1), probabilities (n, 1) and patients (n,) of recordings."""
    label = np.repeat(np.array([1, 0], dtype=np.int8), (with_it, without))
    times = generator.integers(1, 6, len(label)) if clustered else np.ones(len(label), dtype=np.int64)
    patients = np.repeat(np.arange(len(label)), times)
    own = np.sqrt(0.5) * generator.normal(size=len(label))[patients]
    odds = DISTANCE * (label[patients] - 0.5) + own + np.sqrt(0.5) * generator.normal(size=len(patients))
    return label[patients][:, None], expit(odds)[:, None], patients


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=200, help="of each row")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    start = time.perf_counter()
    print(machine.describe(), "\n")
    print("| stated | positives | recordings | holds, with | holds, without | undecided |")
    print("| --- | --- | --- | --- | --- | --- |")
    worst = 0.0
    for rate in RATES:
        for clustered in (False, True):
            for positives in POSITIVES:
                row = simulate(
                    positives=positives, error_rate=rate, clustered=clustered, studies=given.studies, seed=given.seed
                )
                worst = max(worst, *(abs(share - 1 + rate) for share in (row.coverage_with, row.coverage_without)))
                print(
                    f"| {1 - rate:.0%} | {positives} | {'1 to 5' if clustered else '1'} | {row.coverage_with:.1%} | "
                    f"{row.coverage_without:.1%} | {row.undecided:.1%} |"
                )
    print(f"\nfurthest from what is stated: {100 * worst:.1f} points; {time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()
