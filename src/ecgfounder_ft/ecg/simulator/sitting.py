"""One sitting: a patient lies down, electrodes are attached, and a device records."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ecgfounder_ft.ecg.simulator.ranges import Ranges


@dataclass(frozen=True)
class Sitting:
    """When and with which random numbers a recording is made."""

    time: NDArray[np.float64]
    """(samples,) s; 0 is the start of what is kept."""
    sampling_rate: float
    """Hz."""
    anatomy: np.random.Generator
    """Random numbers that are the same in every recording of the patient."""
    rng: np.random.Generator
    """Random numbers of this recording."""
    ranges: Ranges
    """Limits that every quantity is drawn between."""

    def own(self, quantity: str) -> float:
        """Draw a quantity that stays the same from recording to recording of the patient."""
        return self.ranges[quantity].draw(self.anatomy)

    def of_today(self, quantity: str) -> float:
        """Draw a quantity that changes from recording to recording."""
        return self.ranges[quantity].draw(self.rng)
