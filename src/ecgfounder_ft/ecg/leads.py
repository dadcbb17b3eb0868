"""The twelve standard leads: names, order, and selection by name.

Datasets store leads in different orders (MIMIC-IV-ECG puts aVF before aVL) and spellings (``AVR``, ``avr``), so a
lead is only ever picked by name, never by position.
"""

import re
from collections.abc import Sequence

STANDARD_LEADS: tuple[str, ...] = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")
"""The order in which ECGFounder's 12-lead model expects its input."""

_PREFIX = re.compile(r"(?:(?:mdc|ecg|ekg|lead)[\s_:.-]*){1,3}", re.IGNORECASE)
"""Words that devices put before the name of a lead, with what may stand between them."""
_CANONICAL = {lead.casefold(): lead for lead in STANDARD_LEADS}


def canonical_lead(name: str) -> str:
    """Return the standard spelling of a lead name; a name that is not one of the twelve stays.

    >>> canonical_lead("AVR"), canonical_lead(" v1 "), canonical_lead("vx")
    ('aVR', 'V1', 'vx')
    """
    return _CANONICAL.get(name.strip().casefold(), name.strip())


def lead_of_label(label: str) -> str:
    """Return the lead that a channel's label means, without the words that devices put before its name.

    >>> lead_of_label("ECG aVr"), lead_of_label("MDC_ECG_LEAD_V1"), lead_of_label("ECGI"), lead_of_label("Lead: Resp")
    ('aVR', 'V1', 'I', 'Lead: Resp')
    """
    text = label.strip()
    name = text[found.end() :].strip() if (found := _PREFIX.match(text)) else text
    return canonical_lead(name if name.casefold() in _CANONICAL else text)


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
