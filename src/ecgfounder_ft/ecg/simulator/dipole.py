"""The heart's dipole during a beat: Gaussians in time, each with a direction in space.

The form is that of Sameni et al., Multichannel ECG and noise modeling, EURASIP J Adv Signal Process 2007:43407, who
extended McSharry's Gaussian waves (IEEE TBME 2003;50:289) to three dimensions. The directions follow the order in
which the ventricles are activated (Durrer et al., Circulation 1970;41:899). Those of the bundle branch blocks give the
leads V1, I and V6 that the AHA/ACCF/HRS recommendations describe (Circulation 2009;119:e235).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Waves:
    """Gaussians that together make a deflection."""

    center: NDArray
    """(n,) s; in the templates below, a fraction of the deflection's duration."""
    width: NDArray
    """(n,) standard deviation, in the unit of ``center``."""
    vector: NDArray
    """(n, 3) millivolts at the peak, in Frank's axes (left, feet, back)."""

    @classmethod
    def of(cls, *rows: tuple[float, float, float, float, float]) -> "Waves":
        """Make waves from rows of center, width, x, y, z."""
        table = np.array(rows, dtype=np.float64)
        return cls(table[:, 0], table[:, 1], table[:, 2:])

    def varied(self, rng: np.random.Generator, timing: float, size: float, direction: float) -> "Waves":
        """Draw another patient's version; the arguments are relative spreads."""
        n = len(self.center)
        largest = np.linalg.norm(self.vector, axis=1).max()
        scale = np.exp(rng.normal(0, size, (n, 1)))
        return Waves(
            self.center + rng.normal(0, timing, n) * self.width,
            self.width * np.exp(rng.normal(0, timing / 3, n)),
            self.vector * scale + rng.normal(0, direction * largest, (n, 3)),
        )

    def rotated(self, matrix: NDArray) -> "Waves":
        """Turn the waves in space by a (3, 3) matrix."""
        return Waves(self.center, self.width, self.vector @ matrix.T)

    def scaled(self, *, time: float = 1.0, size: float = 1.0) -> "Waves":
        """Stretch the waves in time and in amplitude."""
        return Waves(self.center * time, self.width * time, self.vector * size)


P_WAVE = Waves.of(
    (0.34, 0.16, 0.072, 0.060, -0.066),  # right atrium: to the feet and front
    (0.66, 0.16, 0.096, 0.042, 0.034),  # left atrium: to the left and back
)
"""Centers and widths as fractions of the P duration."""

QRS: dict[str, Waves] = {
    "normal": Waves.of(
        (0.20, 0.085, -0.13, 0.04, -0.26),  # septum, from left to right and forwards
        (0.42, 0.100, 0.62, 0.42, -0.08),  # apex and anterior wall
        (0.53, 0.095, 0.72, 0.60, 0.38),  # free wall of the left ventricle
        (0.74, 0.100, 0.10, -0.08, 0.68),  # base
    ),
    "rbbb": Waves.of(
        (0.13, 0.055, -0.13, 0.04, -0.24),
        (0.28, 0.065, 0.62, 0.40, -0.05),
        (0.36, 0.070, 0.60, 0.50, 0.50),
        (0.66, 0.100, -0.48, -0.02, -0.62),  # the right ventricle alone, late and slow: to the right and front
        (0.83, 0.080, -0.28, 0.04, -0.26),
    ),
    "irbbb": Waves.of(
        (0.17, 0.075, -0.13, 0.04, -0.25),
        (0.36, 0.085, 0.62, 0.42, -0.06),
        (0.47, 0.090, 0.72, 0.60, 0.58),
        (0.82, 0.085, -0.22, -0.03, -0.24),
    ),
    "lbbb": Waves.of(
        (0.12, 0.050, 0.22, 0.10, -0.06),  # septum from right to left: no q in I and V6
        (0.32, 0.100, 0.88, 0.36, 0.72),
        (0.60, 0.125, 0.84, 0.14, 0.92),  # the left free wall last: the second hump of the notched R
        (0.83, 0.080, 0.28, -0.08, 0.34),
    ),
    "ilbbb": Waves.of(
        (0.16, 0.070, 0.12, 0.08, -0.12),
        (0.42, 0.105, 0.78, 0.42, 0.40),
        (0.60, 0.105, 0.66, 0.36, 0.72),
        (0.82, 0.085, 0.08, -0.06, 0.32),
    ),
    "ivcd": Waves.of(
        (0.16, 0.075, -0.10, 0.06, -0.22),
        (0.36, 0.090, 0.60, 0.40, 0.06),
        (0.52, 0.105, 0.66, 0.48, 0.56),
        (0.70, 0.095, 0.18, 0.10, 0.42),
        (0.84, 0.080, -0.08, -0.08, 0.22),
    ),
    "wpw": Waves.of(
        (0.24, 0.110, 0.26, 0.10, -0.06),  # the delta wave in place of the septum
        (0.54, 0.085, 0.66, 0.44, 0.05),
        (0.63, 0.085, 0.70, 0.56, 0.55),
        (0.82, 0.080, -0.10, -0.08, 0.34),
    ),
    "paced": Waves.of(
        (0.20, 0.085, 0.34, 0.10, 0.20),  # from the right ventricular apex; slow from the start
        (0.42, 0.120, 0.74, 0.28, 0.66),
        (0.64, 0.110, 0.62, 0.10, 0.72),
        (0.83, 0.080, 0.22, -0.04, 0.28),
    ),
}
"""Conduction pattern to the ventricles' activation; centers and widths as fractions of the QRS duration."""

T_VECTOR: dict[str, tuple[float, float, float]] = {
    "normal": (0.29, 0.15, -0.16),
    "rbbb": (0.30, 0.20, 0.14),  # away from the late right ventricle: inverted in V1 and V2
    "irbbb": (0.28, 0.21, -0.04),
    "lbbb": (-0.38, -0.06, -0.40),  # opposite to the QRS: inverted in I and V6
    "ilbbb": (0.06, 0.08, -0.26),
    "ivcd": (0.14, 0.12, -0.20),
    "wpw": (0.02, 0.08, -0.20),
    "paced": (-0.28, -0.10, -0.34),
}
"""Conduction pattern to the T wave's peak vector, millivolts; secondary changes for the blocks (AHA-IV)."""

ST_SHARE: dict[str, float] = {"rbbb": 0.05, "lbbb": 0.30, "ilbbb": 0.1, "ivcd": 0.1, "wpw": 0.15, "paced": 0.30}
"""ST level of the conduction pattern itself, as a share of the T vector; 0 for the others."""

LOST_VECTOR: dict[str, tuple[float, float, float]] = {
    "inferior": (0.0, -1.0, 0.0),
    "anterior": (-0.15, 0.0, 0.9),
    "lateral": (-0.9, 0.1, 0.2),
}
"""Direction of the dipole early in the QRS once a wall is scar: away from that wall."""

ST_VECTOR: dict[str, tuple[float, float, float]] = {
    "ST depression": (-0.60, -0.55, 0.45),  # from the apex to the cavity: towards aVR, away from V4-V6 and II
    "ST elevation": (0.60, 0.55, -0.45),  # the whole outside of the heart: early repolarisation, pericarditis
    "anterior": (0.25, 0.0, -1.0),
    "inferior": (-0.25, 1.0, 0.1),
    "lateral": (0.9, -0.25, 0.2),
}
"""Direction of the ST segment: of widespread changes, and of an acute infarct towards its wall (UDMI 2018)."""


def joined(first: Waves, second: Waves) -> Waves:
    """Join the Gaussians of two deflections."""
    return Waves(
        np.concatenate([first.center, second.center]),
        np.concatenate([first.width, second.width]),
        np.concatenate([first.vector, second.vector]),
    )


def repolarisation(
    t_vector: NDArray, st_vector: NDArray, u_share: float, j_point: float, t_end: float, skew: float = 1.4
) -> Waves:
    """Make ST segment, an asymmetric T wave and a U wave; centers in seconds from the QRS onset.

    Args:
        t_vector: (3,) mV at the T peak.
        st_vector: (3,) mV in the middle of the ST segment.
        u_share: size of the U wave relative to the T wave.
        j_point: end of the QRS, s.
        t_end: end of the T wave, s.
        skew: distance of the T wave's two Gaussians in standard deviations; 0 is a symmetric wave.
    """
    sigma = 0.105 * t_end
    peak = t_end - 2.0 * sigma
    st_center = (j_point + peak) / 2
    return Waves(
        np.array([peak, peak - skew * sigma, st_center, t_end + 0.09]),
        np.array([sigma, 1.5 * sigma, max((peak - j_point) / 3.0, 0.02), 0.035]),
        np.stack([0.80 * t_vector, 0.32 * t_vector, st_vector, u_share * t_vector]),
    )


def add_waves(
    dipole: NDArray[np.float32],
    onsets: NDArray,
    waves: Waves,
    sampling_rate: float,
    *,
    size: NDArray | None = None,
    stretch: NDArray | None = None,
) -> None:
    """Add a deflection to the dipole at each onset, in place.

    Gaussians are evaluated within four standard deviations of their centers.

    Args:
        dipole: (samples, 3), millivolts.
        onsets: (beats,) s.
        waves: centers and widths in seconds from the onset.
        sampling_rate: Hz.
        size: (beats,) amplitude of each beat; None: 1.
        stretch: (beats,) factor on centers and widths of each beat; None: 1.
    """
    beats = len(onsets)
    if beats == 0:
        return
    size = np.ones(beats) if size is None else size
    stretch = np.ones(beats) if stretch is None else stretch
    longest = float(stretch.max())
    low = min(0.0, float((waves.center - 4 * waves.width).min()) * longest)
    high = float((waves.center + 4 * waves.width).max()) * longest
    first = np.floor((onsets + low) * sampling_rate).astype(int)
    length = int(np.ceil((high - low) * sampling_rate)) + 1
    time = (first[:, None] + np.arange(length)) / sampling_rate - onsets[:, None]
    time = (time / stretch[:, None]).astype(np.float32)
    z = (time[:, :, None] - waves.center.astype(np.float32)) / waves.width.astype(np.float32)
    values = np.exp(-0.5 * z * z) @ waves.vector.astype(np.float32)
    values *= size.astype(np.float32)[:, None, None]
    n = len(dipole)
    for start, beat in zip(first, values, strict=True):
        begin, end = max(start, 0), min(start + length, n)
        if begin < end:
            dipole[begin:end] += beat[begin - start : end - start]
