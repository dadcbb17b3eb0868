"""Lead vectors: the heart's dipole as seen by the twelve leads.

The lead vectors are Dower's (Dower, Machado & Osborne, Clin Cardiol 1980;3:87), in Frank's axes: x to the patient's
left, y to the feet, z to the back.
"""

from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray

from ecgfounder_ft.ecg.leads import STANDARD_LEADS
from ecgfounder_ft.ecg.simulator.ranges import Ranges

DOWER_LEADS: tuple[str, ...] = ("I", "II", "V1", "V2", "V3", "V4", "V5", "V6")
"""The eight independent leads; the other four follow from I and II."""

DOWER: NDArray[np.float64] = np.array(
    [
        [0.632, -0.235, 0.059],
        [0.235, 1.066, -0.132],
        [-0.515, 0.157, -0.917],
        [0.044, 0.164, -1.387],
        [0.882, 0.098, -1.277],
        [1.213, 0.127, -0.601],
        [1.125, 0.127, -0.086],
        [0.831, 0.076, 0.230],
    ]
)
"""(8 leads, xyz): millivolts in a lead per millivolt of each Frank lead."""

ELECTRODES: tuple[str, ...] = ("RA", "LA", "LL", "V1", "V2", "V3", "V4", "V5", "V6")


def _electrodes_to_leads() -> NDArray[np.float32]:
    """Return (12, 9): leads as differences of electrode potentials (Wilson's central terminal for the chest leads)."""
    ra, la, ll = np.eye(9)[:3]
    terminal = (ra + la + ll) / 3
    rows = [la - ra, ll - ra, ll - la, ra - (la + ll) / 2, la - (ra + ll) / 2, ll - (ra + la) / 2]
    rows += [np.eye(9)[index] - terminal for index in range(3, 9)]
    return np.stack(rows).astype(np.float32)


ELECTRODES_TO_LEADS = _electrodes_to_leads()
"""(12 leads, 9 electrodes), in the orders of ``STANDARD_LEADS`` and ``ELECTRODES``."""


def twelve_from_eight(eight: NDArray) -> NDArray:
    """Extend rows I, II, V1-V6 to the twelve standard leads by Einthoven's and Goldberger's identities."""
    one, two = eight[0], eight[1]
    rows = [one, two, two - one, -(one + two) / 2, one - two / 2, two - one / 2, *eight[2:]]
    assert len(rows) == len(STANDARD_LEADS)
    return np.stack(rows)


def patient_leads(rng: np.random.Generator, ranges: Ranges) -> NDArray[np.float64]:
    """Draw a patient's lead vectors, (8, 3): Dower's, with chest electrodes nearer, farther and shifted sideways."""
    shift = ranges["electrode shift"].draw(rng) + rng.normal(0, 0.1, 6)
    position = np.clip(np.arange(6) + shift, -0.5, 5.5)
    below = np.clip(np.floor(position).astype(int), 0, 4)
    weight = (position - below)[:, None]
    chest = DOWER[2:]
    chest = (1 - weight) * chest[below] + weight * chest[below + 1]
    gain = ranges["precordial gain"]
    chest = chest * (ranges["chest gain"].draw(rng) * rng.uniform(gain.low, gain.high, (6, 1)))
    return np.concatenate([DOWER[:2], chest])


def group_leads(eight: NDArray, rng: np.random.Generator, ranges: Ranges) -> NDArray[np.float32]:
    """Draw the lead vectors of one group of waves, (12, 3), from a patient's (8, 3).

    Atria, ventricular activation and repolarisation lie in different places of the chest. One dipole cannot express
    that, so each group has lead vectors that differ a little.
    """
    error = ranges["lead vector error"].draw(rng)
    lengths = np.linalg.norm(eight, axis=1, keepdims=True)
    return twelve_from_eight(eight + error * lengths * rng.normal(0, 1, eight.shape)).astype(np.float32)


_SWAPPED_LIMBS: dict[str, tuple[tuple[str, int], ...]] = {
    "arms": (("I", -1), ("III", 1), ("II", 1), ("aVL", 1), ("aVR", 1), ("aVF", 1)),
    "left arm and leg": (("II", 1), ("I", 1), ("III", -1), ("aVR", 1), ("aVF", 1), ("aVL", 1)),
    "right arm and leg": (("III", -1), ("II", -1), ("I", -1), ("aVF", 1), ("aVL", 1), ("aVR", 1)),
}
"""Exchanged electrodes to the lead and sign recorded as I, II, III, aVR, aVL and aVF (Kligfield 2007)."""


def misplaced(signal: NDArray, rng: np.random.Generator, findings: Collection[str]) -> NDArray:
    """Exchange electrodes if the findings say so, (12, samples).

    Args:
        signal: (12, samples), correctly recorded leads.
        rng: source of randomness.
        findings: those handled here are ``limb electrodes reversed`` and ``chest electrodes swapped``.
    """
    if "limb electrodes reversed" in findings:
        table = _SWAPPED_LIMBS[str(rng.choice(list(_SWAPPED_LIMBS), p=[0.7, 0.15, 0.15]))]
        rows = [sign * signal[STANDARD_LEADS.index(name)] for name, sign in table]
        signal = np.concatenate([np.stack(rows), signal[6:]])
    if "chest electrodes swapped" in findings:
        first = 6 + int(rng.integers(0, 5))
        order = list(range(len(signal)))
        order[first], order[first + 1] = order[first + 1], order[first]
        signal = signal[order]
    return signal


def rotation(frontal: float, horizontal: float, sagittal: float) -> NDArray[np.float64]:
    """Return the (3, 3) rotation by three angles in degrees.

    Args:
        frontal: turns the axis clockwise as seen from the front, which makes the QRS axis larger.
        horizontal: turns a leftward vector to the back.
        sagittal: turns a downward vector to the back.
    """
    f, h, s = np.deg2rad([frontal, horizontal, sagittal])
    about_z = np.array([[np.cos(f), -np.sin(f), 0], [np.sin(f), np.cos(f), 0], [0, 0, 1]])
    about_y = np.array([[np.cos(h), 0, -np.sin(h)], [0, 1, 0], [np.sin(h), 0, np.cos(h)]])
    about_x = np.array([[1, 0, 0], [0, np.cos(s), -np.sin(s)], [0, np.sin(s), np.cos(s)]])
    return about_x @ about_y @ about_z
