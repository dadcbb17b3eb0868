"""Whom a hospital's electrocardiograph sees: a mixture of conditions and other findings to learn from.

Shares are chosen, not epidemiological: each of the six conditions is frequent enough to be learnt, each of the other
findings occurs with and without them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from ecgfounder_ft.ecg.simulator.physiology import (
    AXIS_FINDINGS,
    CONDUCTION_FINDINGS,
    WALL_FINDINGS,
    check_conditions,
)

RHYTHM_SHARES: dict[str, float] = {
    "normal rate": 0.36,
    "bradycardia": 0.09,
    "tachycardia": 0.08,
    "AFIB": 0.19,
    "AFLT": 0.15,
    "paced": 0.025,
    "vt": 0.02,
    "svt": 0.03,
    "junctional": 0.03,
    "second-degree block": 0.03,
}
CONDUCTION_SHARES: dict[str, float] = {
    "RBBB": 0.17,
    "LBBB": 0.14,
    "irbbb": 0.07,
    "ilbbb": 0.03,
    "ivcd": 0.06,
    "wpw": 0.02,
}
FIRST_DEGREE_SHARE = 0.34
"""Of sinus rhythms."""
UNREMARKABLE_SHARE = 0.25
"""Of sinus rhythms of normal rate: nothing else is found."""
FINDING_SHARES: dict[str, float] = {
    "PAC": 0.10,
    "PVC": 0.10,
    "sinus arrhythmia": 0.10,
    "short PR": 0.04,
    "atrial enlargement": 0.10,
    "low voltage": 0.07,
    "T change": 0.22,
    "ST change": 0.14,
    "long QT": 0.08,
}
SLOW_FLUTTER_SHARE = 0.25
AXIS_SHARE, WALL_SHARE = 0.14, 0.22


@dataclass(frozen=True)
class Shares:
    """How frequent everything is among the patients; each as the constant above that it is by default."""

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
    """Conditions and findings of one patient."""
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
    if rhythm in {"normal rate", "bradycardia", "tachycardia"} and rng.random() < shares.first_degree:
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


def is_normal(conditions: frozenset[str], findings: frozenset[str]) -> bool:
    """Nothing but a sinus rhythm of normal rate, or one that breathing moves."""
    return conditions == {"NORM"} and findings <= {"sinus arrhythmia"}


def is_sinus(conditions: frozenset[str], findings: frozenset[str]) -> bool:
    """The sinus node leads."""
    return not conditions & {"AFIB", "AFLT"} and not findings & {"junctional", "svt", "vt", "paced"}


def _normalised(shares: Mapping[str, float]) -> list[float]:
    total = sum(shares.values())
    return [share / total for share in shares.values()]


def _add_if_possible(name: str, conditions: set[str], findings: set[str]) -> None:
    target = findings if name in {*CONDUCTION_FINDINGS, *AXIS_FINDINGS, *WALL_FINDINGS, *FINDING_SHARES} else conditions
    target.add(name)
    try:
        check_conditions(conditions, findings)
    except ValueError:
        target.discard(name)
