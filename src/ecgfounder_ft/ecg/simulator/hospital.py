"""Simulated hospitals: their patients, electrode positions, devices and errors.

``textbook`` has patients with the conditions asked for and nothing else, within the ranges that the shipped models were
pretrained on. ``shifted`` is a hospital that the pretraining never saw. Its values are chosen, not measured at one
place; each of them occurs in patients:

- Old patients. PR and QRS are near the upper limits of normal, P waves small and long, the axis leftward, QRS low and T
  waves flat (Rijnbeek 2014, ages 70-90).
- Rhythms under treatment. Fibrillation has fine f-waves and a controlled rate; flutter is slowed by drugs or ablation
  (Saoudi 2001; ESC 2020).
- More infarcts, hypertrophy, ectopic beats and incomplete blocks beside everything.
- Blocks that just fulfil their definition: PR from 200 ms, QRS from 120 ms (AHA-III).
- Chest electrodes too far to the left, on stout chests (Schijvenaars 2008: about an interspace).
- Old devices: a monitor's bandwidth of 25 to 40 Hz (Kligfield 2007), 10 microvolts a step, worn electrodes, trembling.

``everyday`` lies between the two. Every limit that ``shifted`` changes lies six tenths of the way there, most patients
are labelled NORM, and each other condition is rare. A pretrained model is nearly right there.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from ecgfounder_ft.ecg.simulator.population import CONDUCTION_SHARES, RHYTHM_SHARES, SHARES, Shares
from ecgfounder_ft.ecg.simulator.ranges import RANGES, Ranges


@dataclass(frozen=True)
class Hospital:
    """A hospital: everything that is simulated beside the conditions that are asked for."""

    ranges: Ranges
    """Limits that patients, electrodes and devices are drawn between."""
    shares: Shares | None
    """Frequencies of conditions and findings; None: conditions as asked for, and no other finding."""
    repeats: float
    """Share of recordings after which the same patient is recorded again, if headers name patients."""
    largest_gain: float
    """Largest gain of stored recordings, units per mV; formats of lower gain keep theirs."""


def with_changes(ranges: Ranges, changes: Mapping[str, tuple[float, float]]) -> Ranges:
    """Give some ranges other limits, evenly spread between them; unit and source stay.

    Args:
        ranges: quantity to its range.
        changes: quantity to its new limits, in the range's unit.

    Raises:
        ValueError: if a quantity is not among the ranges, or limits stand in the wrong order.
    """
    unknown = sorted(set(changes) - set(ranges))
    if unknown:
        raise ValueError(f"no range named '{unknown[0]}' to change; there are: {', '.join(ranges)}")
    for name, (low, high) in changes.items():
        if low > high:
            raise ValueError(f"range '{name}' from {low} to {high}: the lower limit stands first")
    evenly = {
        name: replace(ranges[name], low=low, high=high, percentiles=None) for name, (low, high) in changes.items()
    }
    return {**ranges, **evenly}


def part_of_the_way(share: float, changes: Mapping[str, tuple[float, float]]) -> dict[str, tuple[float, float]]:
    """Place limits between those of the pretraining and others.

    Args:
        share: 0 for the pretraining's, 1 for the others.
        changes: quantity to its limits, in the range's unit.
    """
    return {
        name: ((1 - share) * RANGES[name].low + share * low, (1 - share) * RANGES[name].high + share * high)
        for name, (low, high) in changes.items()
    }


_SHIFTED: dict[str, tuple[float, float]] = {
    "age": (65, 98),
    # rhythm and atria
    "afib rate": (50, 115),
    "afib RR coefficient of variation": (0.06, 0.18),
    "P duration": (0.095, 0.135),
    "P amplitude": (0.18, 0.65),
    "P rotation": (-60, 20),
    "PR": (0.155, 0.199),
    "PR, first-degree block": (0.203, 0.280),
    "flutter rate": (225, 290),
    "flutter rate, slow": (170, 225),
    "flutter amplitude": (0.04, 0.14),
    "flutter amplitude, atypical": (0.03, 0.10),
    "f-wave frequency": (4.0, 6.5),
    "f-wave amplitude": (0.015, 0.08),
    # ventricles
    "QRS, normal": (0.086, 0.112),
    "QRS, rbbb": (0.120, 0.136),
    "QRS, lbbb": (0.120, 0.140),
    "QRS, irbbb": (0.100, 0.118),
    "QRS, ivcd": (0.112, 0.140),
    "QRS amplitude": (0.45, 1.05),
    "T amplitude": (0.10, 0.90),
    "late right vector": (0.22, 0.60),
    "notches": (0.06, 0.20),
    "frontal rotation": (-100, -5),
    "horizontal rotation": (15, 65),
    # electrodes and devices
    "chest gain": (0.5, 1.1),
    "electrode shift": (0.6, 1.5),
    "lead vector error": (0.08, 0.22),
    "baseline wander": (0.05, 0.30),
    "muscle noise": (0.020, 0.120),
    "motion noise": (0.018, 0.070),
    "mains noise": (0.0, 0.030),
    "low-pass": (25, 40),
    "high-pass": (0.3, 0.6),
}

HOSPITALS: dict[str, Hospital] = {
    "textbook": Hospital(RANGES, shares=None, repeats=0.15, largest_gain=1000.0),
    "shifted": Hospital(
        with_changes(RANGES, _SHIFTED),
        shares=replace(
            SHARES,
            rhythm={"normal rate": 0.45, "bradycardia": 0.08, "tachycardia": 0.04, "AFIB": 0.24, "AFLT": 0.14},
            conduction={"RBBB": 0.15, "LBBB": 0.12, "irbbb": 0.08, "ilbbb": 0.06, "ivcd": 0.10},
            finding={
                "PAC": 0.18,
                "PVC": 0.18,
                "sinus arrhythmia": 0.04,
                "atrial enlargement": 0.20,
                "low voltage": 0.12,
                "T change": 0.35,
                "ST change": 0.20,
                "long QT": 0.15,
            },
            unremarkable=0.05,
            slow_flutter=0.35,
            axis=0.20,
            wall=0.35,
        ),
        repeats=0.35,
        largest_gain=100.0,
    ),
    "everyday": Hospital(
        with_changes(RANGES, part_of_the_way(0.6, _SHIFTED)),
        shares=replace(
            SHARES,
            rhythm={
                **RHYTHM_SHARES,
                "normal rate": 0.50,
                "bradycardia": 0.10,
                "tachycardia": 0.10,
                "AFIB": 0.08,
                "AFLT": 0.025,
            },
            conduction={**CONDUCTION_SHARES, "RBBB": 0.055, "LBBB": 0.03},
            first_degree=0.08,
        ),
        repeats=0.15,
        largest_gain=1000.0,
    ),
}
"""Hospitals by the name that ``data.hospital`` takes."""


def hospital_named(name: str) -> Hospital:
    """Look up a hospital by its name.

    Raises:
        ValueError: if no hospital has that name; the message lists all of them.
    """
    if name not in HOSPITALS:
        raise ValueError(f"data.hospital is '{name}', expected one of: {', '.join(HOSPITALS)}")
    return HOSPITALS[name]
