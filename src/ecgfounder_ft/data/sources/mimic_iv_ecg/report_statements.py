"""What the machine statements of an ECG report say of each condition.

A report is a list of lines ("Sinus rhythm with borderline 1st degree A-V block"). Each distinct line is read once, by
the patterns of the label map; a report's states follow from the lines that it holds, by arithmetic on their
numbers.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import regex  # Python's own has no limit of time, and a label map may be a stranger's
from numpy.typing import NDArray

from ecgfounder_ft.errors import ExplainedError
from ecgfounder_ft.labels import ABSENT, PRESENT, UNKNOWN, LabelMap

SILENT, UNCERTAIN, DEFINITE = 0, 1, 2
"""What a line says of a condition: nothing (or that it is not there), that it may be there, that it is there."""

_NOTHING_MATCHES = r"(?!)"
_SEARCH_SECONDS = 2.0
"""s of processor time for all patterns of a list on one line; the shipped ones take some microseconds."""
_SHOWN = 160
"""Characters of a pattern or a line in an error."""


class PatternError(ExplainedError):
    """Patterns of a label map that cannot be searched in the lines of a report."""


@dataclass(frozen=True)
class LineReadings:
    """What each of a list of lines says."""

    strength: NDArray[np.int8]
    """(lines, conditions): silent, uncertain or definite."""
    open_alone: NDArray[np.bool_]
    """(lines, conditions): the line leaves the condition open if no other stands beside it."""
    unusable: NDArray[np.bool_]
    """(lines,): the line makes the whole report unusable."""
    requirements: NDArray[np.bool_]
    """(lines, requirements): the line meets the requirement of a condition; see :attr:`required_by`."""
    required_by: tuple[int, ...]
    """Position of the condition that each requirement belongs to."""


def normalise(line: str) -> str:
    """A report line without what carts differ in: case, runs of spaces, dashes, stars and dots around it.

    >>> normalise(" - NORMAL  ECG - "), normalise("Sinus rhythm.")
    ('normal ecg', 'sinus rhythm')
    """
    return " ".join(line.split()).strip("-*. ").lower()


def read_lines(lines: Sequence[str], label_map: LabelMap) -> LineReadings:
    """Read report lines, each by itself.

    Args:
        lines: as :func:`normalise` gives them.
        label_map: the conditions with their patterns, in order.

    Raises:
        PatternError: if a pattern takes too long on a line, as nested repetitions can (``(a|a)*$``), or the patterns of
            a list are no regular expression together.
    """
    unusable = _any_of(label_map.report.unusable)
    conditions = [condition.statements for condition in label_map.conditions.values()]
    strength = np.zeros((len(lines), len(conditions)), dtype=np.int8)
    open_alone = np.zeros(strength.shape, dtype=np.bool_)
    required_by = tuple(index for index, each in enumerate(conditions) for _ in each.required)
    requirements = np.zeros((len(lines), len(required_by)), dtype=bool)
    column = 0
    for index, statements in enumerate(conditions):
        excluded, uncertain = _any_of(statements.excluded), _any_of(statements.uncertain)
        alone = _any_of(statements.uncertain_alone)
        stated = _Term(statements.present, label_map)
        required = [_Term([pattern], label_map) for pattern in statements.required]
        for row, line in enumerate(lines):
            open_alone[row, index] = _found(alone, line)
            if _found(excluded, line):
                continue
            if _found(uncertain, line):
                strength[row, index] = UNCERTAIN
                continue
            strength[row, index] = stated.strength(line)
            for offset, term in enumerate(required):
                requirements[row, column + offset] = term.strength(line) == DEFINITE
        column += len(required)
    return LineReadings(
        strength=strength,
        open_alone=open_alone,
        unusable=np.array([_found(unusable, line) for line in lines], dtype=bool),
        requirements=requirements,
        required_by=required_by,
    )


class _Term:
    """A set of patterns with the hedges and negations around it."""

    def __init__(self, patterns: Sequence[str], label_map: LabelMap) -> None:
        term = "(?:" + "|".join(f"(?:{pattern})" for pattern in patterns) + ")" if patterns else _NOTHING_MATCHES
        self._stated = _any_of([term])
        self._denied = _any_of([pattern.replace("TERM", term) for pattern in label_map.report.negations])
        self._hedged = _any_of([pattern.replace("TERM", term) for pattern in label_map.report.hedges])

    def strength(self, line: str) -> int:
        if not _found(self._stated, line) or _found(self._denied, line):
            return SILENT
        return UNCERTAIN if _found(self._hedged, line) else DEFINITE


def _any_of(patterns: Sequence[str]) -> regex.Pattern[str]:
    """One pattern for a list of them, in the syntax of Python's ``re`` (version 0 of ``regex``)."""
    whole = "|".join(f"(?:{pattern})" for pattern in patterns) if patterns else _NOTHING_MATCHES
    try:
        return regex.compile(whole, regex.VERSION0)
    except regex.error as error:  # each is a regular expression by itself, or there would be no label map
        raise PatternError(
            f"the label map's patterns {_shortened(whole)} cannot be searched together: {error}"
        ) from error


def _found(pattern: regex.Pattern[str], line: str) -> bool:
    try:
        return pattern.search(line, timeout=_SEARCH_SECONDS) is not None
    except TimeoutError as error:
        raise PatternError(
            f"the label map's patterns {_shortened(pattern.pattern)} were searched for more than {_SEARCH_SECONDS:g} s "
            f"in the one report line {_shortened(line)}. Repetitions inside of repetitions do that: write the pattern "
            "without them"
        ) from error


def _shortened(text: str) -> str:
    return repr(text if len(text) <= _SHOWN else text[:_SHOWN] + "...")


def states_of_reports(lines: NDArray[np.integer], readings: LineReadings, label_map: LabelMap) -> NDArray[np.int8]:
    """States of reports from the lines that they hold.

    A condition is present if a line states it, else unknown if a line leaves it open, else absent. It is
    absent too where one of its requirements is not met. Reports that hold no line, or an unusable one, say
    nothing, and none says anything of a condition that has no pattern.

    Args:
        lines: (reports, lines of a report), positions in the list that was read, negative where there is
        none.
        readings: what that list says.
        label_map: the one it was read by.

    Returns:
        (reports, conditions), present, absent or unknown.
    """
    n_reports, width = lines.shape
    # one more line at the end, silent, stands for "none": position -1 finds it
    strength = np.vstack([readings.strength, np.zeros((1, readings.strength.shape[1]), dtype=np.int8)])
    unusable = np.append(readings.unusable, False)
    requirements = np.vstack([readings.requirements, np.zeros((1, readings.requirements.shape[1]), dtype=bool)])
    strongest = np.zeros((n_reports, strength.shape[1]), dtype=np.int8)
    met = np.zeros((n_reports, requirements.shape[1]), dtype=bool)
    blank = np.ones(n_reports, dtype=bool)
    useless = np.zeros(n_reports, dtype=bool)
    for column in range(width):
        line = np.maximum(lines[:, column], -1)
        np.maximum(strongest, strength[line], out=strongest)
        met |= requirements[line]
        blank &= line < 0
        useless |= unusable[line]
    for requirement, index in enumerate(readings.required_by):
        strongest[~met[:, requirement], index] = SILENT
    states = np.array([ABSENT, UNKNOWN, PRESENT], dtype=np.int8)[strongest]
    alone = states.copy()
    for index, condition in enumerate(label_map.conditions.values()):
        if condition.statements.only_without_others:
            others = np.delete(alone, index, axis=1)
            stated = alone[:, index] != ABSENT
            states[stated & (others == UNKNOWN).any(1), index] = UNKNOWN
            states[stated & (others == PRESENT).any(1), index] = ABSENT
        if not condition.statements.present:
            states[:, index] = UNKNOWN
    (single,) = np.nonzero((lines >= 0).sum(axis=1) == 1)
    states[single] = np.where(readings.open_alone[lines[single].max(axis=1)], UNKNOWN, states[single])
    for index, against in enumerate(_contradictions(label_map)):
        states[(alone[:, index] == PRESENT) & (alone[:, against] == PRESENT).any(1), index] = UNKNOWN
    states[blank | useless] = UNKNOWN
    return states


def _contradictions(label_map: LabelMap) -> list[list[int]]:
    """For each condition, the positions of others that it cannot be with."""
    stated_by = label_map.code_of_snomed() | label_map.code_of_word()
    return [
        sorted({label_map.codes.index(stated_by[str(one)]) for one in each.contradicted_by if str(one) in stated_by})
        for each in label_map.conditions.values()
    ]


def evidence_of_reports(
    lines: NDArray[np.integer],
    texts: Sequence[str],
    readings: LineReadings,
    states: NDArray[np.int8],
    label_map: LabelMap,
) -> NDArray[np.object_]:
    """The first line of each report that made each condition present or unknown, as text.

    ``AFIB: Atrial fibrillation; RBBB?: Possible right bundle branch block``; the question mark says that the
    line left the condition open. Of an unusable report it is that line: ``unusable: Ventricular pacing``.

    Args:
        lines: as in :func:`states_of_reports`.
        texts: the list that was read, as it is to be shown.
        readings: what that list says.
        states: (reports, conditions), as :func:`states_of_reports` gave them.
        label_map: the one it was read by.
    """
    evidence = np.full(len(lines), "", dtype=object)
    shown = np.array([*texts, ""], dtype=object)

    def add(rows: NDArray[np.bool_], speaking: NDArray[np.bool_], prefix: str) -> None:
        """To these reports add their first line among those that speak."""
        chosen = np.flatnonzero(rows)
        of_interest = np.append(speaking, False)[np.maximum(lines[chosen], -1)]
        chosen, of_interest = chosen[of_interest.any(1)], of_interest[of_interest.any(1)]
        line = lines[chosen, of_interest.argmax(1)]
        before = np.where(evidence[chosen] == "", "", evidence[chosen] + "; ")
        evidence[chosen] = before + prefix + shown[line]

    useless = np.append(readings.unusable, False)[np.maximum(lines, -1)].any(1)
    add(useless, readings.unusable, "unusable: ")
    for index, code in enumerate(label_map.codes):
        present = (states[:, index] == PRESENT) & ~useless
        unknown = (states[:, index] == UNKNOWN) & ~useless
        add(present, readings.strength[:, index] == DEFINITE, f"{code}: ")
        add(unknown, readings.strength[:, index] != SILENT, f"{code}?: ")
    return evidence
