"""A hospital's patients: a mixture of conditions and other findings to learn from.

Shares are chosen, not epidemiological: each of the six conditions is frequent enough to be learnt, and each other
finding occurs with and without them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from ecgfounder_ft.ecg.simulator.physiology import (
    AXIS_FINDINGS,
    FINDINGS,
    WALL_FINDINGS,
    check_conditions,
)

RHYTHM_SHARES: dict[str, float] = {
    "normal rate": 0.36,
    "bradycardia": 0.08,
    "tachycardia": 0.08,
    "AFIB": 0.18,
    "AFLT": 0.14,
    "paced": 0.02,
    "atrial pacing": 0.005,
    "dual-chamber pacing": 0.01,
    "vt": 0.015,
    "svt": 0.025,
    "junctional": 0.02,
    "ectopic atrial": 0.02,
    "wandering": 0.015,
    "multifocal atrial tachycardia": 0.015,
    "second-degree block": 0.015,
    "Mobitz II block": 0.007,
    "two-to-one block": 0.008,
    "third-degree block": 0.015,
}
CONDUCTION_SHARES: dict[str, float] = {
    "RBBB": 0.16,
    "LBBB": 0.12,
    "irbbb": 0.07,
    "ilbbb": 0.03,
    "ivcd": 0.06,
    "wpw": 0.02,
}
FIRST_DEGREE_SHARE = 0.32
"""Share with first-degree block among sinus and other atrial rhythms."""
UNREMARKABLE_SHARE = 0.25
"""Share without any other finding among sinus rhythms of normal rate."""
FINDING_SHARES: dict[str, float] = {
    "PAC": 0.11,
    "PVC": 0.11,
    "sinus arrhythmia": 0.10,
    "short PR": 0.04,
    "atrial enlargement": 0.10,
    "low voltage": 0.07,
    "T change": 0.22,
    "ST change": 0.05,
    "ST depression": 0.07,
    "ST elevation": 0.04,
    "acute infarct": 0.03,
    "long QT": 0.08,
    "limb electrodes reversed": 0.015,
    "chest electrodes swapped": 0.015,
}
SLOW_FLUTTER_SHARE = 0.25
FIBRILLATION_WITH_BLOCK_SHARE = 0.03
AXIS_SHARE, WALL_SHARE = 0.14, 0.22


@dataclass(frozen=True)
class Shares:
    """Frequencies of everything among the patients; the defaults are the constants above."""

    rhythm: Mapping[str, float] = field(default_factory=lambda: RHYTHM_SHARES)
    conduction: Mapping[str, float] = field(default_factory=lambda: CONDUCTION_SHARES)
    finding: Mapping[str, float] = field(default_factory=lambda: FINDING_SHARES)
    first_degree: float = FIRST_DEGREE_SHARE
    unremarkable: float = UNREMARKABLE_SHARE
    slow_flutter: float = SLOW_FLUTTER_SHARE
    axis: float = AXIS_SHARE
    wall: float = WALL_SHARE


SHARES = Shares()


def draw_case(rng: np.random.Generator, shares: Shares = SHARES) -> tuple[frozenset[str], frozenset[str]]:
    """Draw the conditions and findings of one patient."""
    rhythm = str(rng.choice(list(shares.rhythm), p=_normalised(shares.rhythm)))
    conditions: set[str] = set()
    findings: set[str] = set()
    if rhythm in {"AFIB", "AFLT"}:
        conditions.add(rhythm)
    elif rhythm == "normal rate":
        conditions.add("NORM")
    else:
        findings.add(rhythm)
    if rhythm == "normal rate" and rng.random() < shares.unremarkable:
        return frozenset(conditions), frozenset()
    if rhythm == "AFLT" and rng.random() < shares.slow_flutter:
        findings.add("slow flutter")
    if rhythm == "paced" and rng.random() < 0.4:
        conditions.add("AFIB")
    if rhythm == "AFIB" and rng.random() < FIBRILLATION_WITH_BLOCK_SHARE:
        findings.add("third-degree block")
    if is_atrial(rhythm) and rng.random() < shares.first_degree:
        conditions.add("1dAVb")
    chosen = rng.random()
    for name, share in shares.conduction.items():
        chosen -= share
        if chosen < 0:
            _add_if_possible(name, conditions, findings)
            break
    for share, names in ((shares.axis, AXIS_FINDINGS), (shares.wall, WALL_FINDINGS)):
        if rng.random() < share:
            _add_if_possible(str(rng.choice(names)), conditions, findings)
    for name, share in shares.finding.items():
        if rng.random() < share:
            _add_if_possible(name, conditions, findings)
    return frozenset(conditions), frozenset(findings)


def is_atrial(rhythm: str) -> bool:
    """Tell whether one P wave stands before each QRS complex, so that the PR interval can be long."""
    return rhythm in {"normal rate", "bradycardia", "tachycardia", "ectopic atrial", "atrial pacing"}


def _normalised(shares: Mapping[str, float]) -> list[float]:
    total = sum(shares.values())
    return [share / total for share in shares.values()]


def _add_if_possible(name: str, conditions: set[str], findings: set[str]) -> None:
    target = findings if name in FINDINGS else conditions
    target.add(name)
    try:
        check_conditions(conditions, findings)
    except ValueError:
        target.discard(name)
