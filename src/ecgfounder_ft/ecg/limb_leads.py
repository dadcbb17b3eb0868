"""Limb leads that a file leaves out because they follow from two others."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ecgfounder_ft.ecg.leads import canonical_lead

LIMB_LEADS_COMPUTED = "limb leads computed from I and II"
"""Repair of a recording that stores I and II but not all of the other limb leads that were asked for."""

LIMB_LEADS_OF_I_AND_II: dict[str, tuple[float, float]] = {
    "III": (-1.0, 1.0),
    "aVR": (-0.5, -0.5),
    "aVL": (1.0, -0.5),
    "aVF": (-0.5, 1.0),
}
"""Weights of I and II in the other limb leads. This is how those are defined (Einthoven's law and Goldberger's leads):
three electrodes on the limbs measure two voltages, and the six limb leads are six views of them."""


def with_limb_leads(
    available: Sequence[str], signal: NDArray[np.floating], wanted: Sequence[str]
) -> tuple[tuple[str, ...], NDArray[np.floating]]:
    """Append those of the wanted limb leads that are absent, computed from I and II where both are there.

    Args:
        available: lead names in the order of the rows.
        signal: (leads, samples) at one instant each; a sample that is missing in I or II is missing in them too.
        wanted: leads that shall be there. A chest lead follows from no other and stays absent.

    Returns:
        Names and signal, those that were given where nothing could be computed.
    """
    names = [canonical_lead(name) for name in available]
    lacking = [lead for lead in map(canonical_lead, wanted) if lead not in names and lead in LIMB_LEADS_OF_I_AND_II]
    if not lacking or "I" not in names or "II" not in names:
        return tuple(available), signal
    first, second = signal[names.index("I")], signal[names.index("II")]
    weights = [LIMB_LEADS_OF_I_AND_II[lead] for lead in lacking]
    return (*available, *lacking), np.vstack([signal, *(a * first + b * second for a, b in weights)])
