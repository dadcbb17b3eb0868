"""The twelve standard leads: names, order, and selection by name.

Datasets store leads in different orders (MIMIC-IV-ECG puts aVF before aVL) and spellings (``AVR``, ``avr``), so a
lead is only ever picked by name, never by position.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

STANDARD_LEADS: tuple[str, ...] = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")
"""The order in which ECGFounder's 12-lead model expects its input."""

LIMB_LEADS_OF_I_AND_II: dict[str, tuple[float, float]] = {
    "III": (-1.0, 1.0),
    "aVR": (-0.5, -0.5),
    "aVL": (1.0, -0.5),
    "aVF": (-0.5, 1.0),
}
"""Weights of I and II in the other limb leads. This is how those are defined (Einthoven's law and Goldberger's leads):
three electrodes on the limbs measure two voltages, and the six limb leads are six views of them."""

_PREFIXES = ("mdc_ecg_lead_", "ecg lead ", "ecg ", "ekg ", "lead ")
_CANONICAL = {lead.casefold(): lead for lead in STANDARD_LEADS}


def canonical_lead(name: str) -> str:
    """The standard spelling of a lead name, or the name unchanged where it is none of the twelve.

    >>> canonical_lead("AVR"), canonical_lead(" v1 "), canonical_lead("vx")
    ('aVR', 'V1', 'vx')
    """
    return _CANONICAL.get(name.strip().casefold(), name.strip())


def lead_of_label(label: str) -> str:
    """The lead that a channel's label means, without what devices put before its name.

    >>> lead_of_label("ECG aVr"), lead_of_label("MDC_ECG_LEAD_V1"), lead_of_label("Lead II"), lead_of_label("Resp")
    ('aVR', 'V1', 'II', 'Resp')
    """
    text = label.strip()
    for prefix in _PREFIXES:
        if text.casefold().startswith(prefix) and text[len(prefix) :].strip().casefold() in _CANONICAL:
            return canonical_lead(text[len(prefix) :])
    return canonical_lead(text)


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


def lead_indices(available: Sequence[str], wanted: Sequence[str]) -> list[int]:
    """Positions of the wanted leads among the available ones, matched by name without regard to case.

    Raises:
        KeyError: if a wanted lead is absent; the message names every missing lead and what is there.
    """
    positions: dict[str, int] = {}
    for index, name in enumerate(available):
        positions.setdefault(name.strip().casefold(), index)
    missing = [lead for lead in wanted if lead.casefold() not in positions]
    if missing:
        raise KeyError(f"no lead {', '.join(missing)} among {', '.join(available) or 'none'}")
    return [positions[lead.casefold()] for lead in wanted]
