"""SCP-ECG statements of PTB-XL, with their likelihoods, as states of conditions."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass

from ecgfounder_ft.labels import ABSENT, PRESENT, UNKNOWN, LabelMap

_MOST_CHARACTERS = 10_000
"""Longest cell that is read; the longest of a thousand real ones has 128."""
_QUOTES = str.maketrans({"“": "'", "”": "'", "‘": "'", "’": "'", "„": "'", "‚": "'", "´": "'", "`": "'"})
"""What word processors and spreadsheets make of straight quotes."""


def parse_statements(text: str) -> dict[str, float]:
    """Statement to likelihood in percent, of a cell of ``scp_codes``.

    The cell is a Python dictionary in a string. It is parsed as a literal and never evaluated. Quotes that a
    spreadsheet changed are read as straight ones.

    Raises:
        ValueError: if it is no dictionary of names and likelihoods from 0 to 100; the message says what was found.

    >>> parse_statements("{'NORM': 100.0, 'SR': 0.0}")
    {'NORM': 100.0, 'SR': 0.0}
    """
    if len(text) > _MOST_CHARACTERS:
        raise ValueError(f"{len(text):,} characters, expected {_MOST_CHARACTERS:,} at most")
    straight = text.strip().translate(_QUOTES)
    if straight[:1] == straight[-1:] == '"':
        straight = straight[1:-1]
    straight = straight.replace("''", "'").replace('""', '"')
    try:
        content = ast.literal_eval(straight)
    except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError) as error:
        raise ValueError(f"{text[:60]!r} is no dictionary of statements") from error
    if not isinstance(content, dict):
        raise ValueError(f"{text[:60]!r} is no dictionary of statements")
    for name, likelihood in content.items():
        number = isinstance(likelihood, int | float) and not isinstance(likelihood, bool)
        if not (isinstance(name, str) and name.strip() and number and 0 <= likelihood <= 100):
            raise ValueError(f"{name!r}: {likelihood!r} is no statement with a likelihood of 0 to 100")
    return {name.strip(): float(likelihood) for name, likelihood in content.items()}


@dataclass(frozen=True)
class StatedConditions:
    """What the statements of a recording say."""

    states: tuple[int, ...]
    """In the order of the label map."""
    evidence: str
    """The statements that made a condition present or, with a question mark, unknown, with their likelihoods."""
    unusable: bool = False
    """One of them leaves nothing known."""
    contradicted: tuple[str, ...] = ()
    """Conditions that are unknown because another statement contradicts them."""


class StatementReader:
    """Reads the statements of a recording by a label map.

    A condition is present if a statement states it with the least likelihood that the map asks for. It is unknown
    where a statement contradicts it, leaves it open, or states it with less likelihood, and where the map names no
    statement of it. Else it is absent, since PTB-XL lists every finding.
    """

    def __init__(self, label_map: LabelMap) -> None:
        self._label_map = label_map

    def read(self, statements: Mapping[str, float]) -> StatedConditions:
        """What the statements say, given with their likelihoods in percent."""
        if useless := [name for name in self._label_map.scp_unusable if name in statements]:
            unknown = (UNKNOWN,) * len(self._label_map)
            return StatedConditions(unknown, f"unusable: {', '.join(useless)}", unusable=True)
        states, said, contradicted = [], [], []
        for code, condition in self._label_map.conditions.items():
            stating = [name for name in condition.scp if name in statements]
            enough = [name for name in stating if statements[name] >= condition.scp[name]]
            against = [name for name in condition.scp_contradicted_by if name in statements]
            open_by = [name for name in condition.scp_uncertain if name in statements]
            found = ABSENT if condition.scp else UNKNOWN
            shown = enough or stating or open_by
            if enough and against:
                found, shown = UNKNOWN, [*enough, *against]
                contradicted.append(code)
            elif enough:
                found = PRESENT
            elif shown:
                found = UNKNOWN
            states.append(found)
            if shown:
                listed = ", ".join(f"{name} {statements[name]:g}" for name in shown)
                said.append(f"{code}{'' if found == PRESENT else '?'}: {listed}")
        return StatedConditions(tuple(states), "; ".join(said), contradicted=tuple(contradicted))
