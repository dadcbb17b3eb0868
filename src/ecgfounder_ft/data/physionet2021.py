"""The PhysioNet/Computing in Cardiology Challenge 2021 (https://physionet.org/content/challenge-2021/1.0.3/)."""

import re

_CONSTITUENT_OF_PREFIX = {
    "A": "cpsc_2018",
    "Q": "cpsc_2018_extra",
    "I": "st_petersburg_incart",
    "S": "ptb",
    "HR": "ptb-xl",
    "E": "georgia",
}
_RECORD_NAME = re.compile(r"(?P<prefix>A|Q|I|S|HR|E|JS)(?P<number>\d+)")
_LAST_CHAPMAN = 10646
"""Chapman-Shaoxing and Ningbo share the prefix JS; Ningbo's numbers go on from here."""


def constituent_of(record_name: str) -> str:
    """The collection that a record name of the Challenge belongs to, empty where it is none of theirs.

    >>> constituent_of("HR00001"), constituent_of("JS10646"), constituent_of("JS10647"), constituent_of("x")
    ('ptb-xl', 'chapman_shaoxing', 'ningbo', '')
    """
    match = _RECORD_NAME.fullmatch(record_name)
    if match is None:
        return ""
    if match["prefix"] == "JS":
        return "chapman_shaoxing" if int(match["number"]) <= _LAST_CHAPMAN else "ningbo"
    return _CONSTITUENT_OF_PREFIX[match["prefix"]]
