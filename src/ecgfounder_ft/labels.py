"""The label map: which conditions there are, in which order, and how each data source names them.

It is written once, in ``configs/labels/*.yaml``, and everything that speaks of a condition (catalogs,
targets, the network's last layer, metrics, reports, exported models) reads it from here. Nothing else in the
package knows how many conditions there are, or their order.
"""

import re
import unicodedata
from dataclasses import asdict, dataclass, field
from typing import Any

PRESENT, ABSENT, UNKNOWN = 1, 0, -1
"""Numeric states of a condition in a recording; unknown ones are left out of loss and evaluation."""

STATE_NAMES: dict[int, str] = {PRESENT: "present", ABSENT: "absent", UNKNOWN: "unknown"}
"""How catalogs spell the states."""


COMBINATIONS: dict[str, int] = {"mean": 0, "any": 1, "all": -1}
"""Rule for the task rows of a condition to the multiple of log k that is added to the mean of k logits.

``mean``: the rows are other words for one thing. ``any``: alternatives that exclude each other; their probabilities add
up, and log-sum-exp is mean + log k where the logits agree. ``all``: each is necessary, the mirror image of ``any``.
"""


def folder_key(name: str) -> str:
    """A folder's name for comparison: without its case, and with spaces for underscores and hyphens.

    >>> folder_key("1st-Degree_AV block")
    '1st degree av block'
    """
    return re.sub(r"[\s_-]+", " ", unicodedata.normalize("NFC", name)).strip().casefold()


@dataclass
class Statements:
    """How a condition reads in the machine statements of an ECG report (MIMIC-IV-ECG).

    Every pattern is a regular expression that is searched in one normalised report line (lower case, single
    spaces, no final dot). The lists are tried in this order and the first match decides what the line says.
    A report states the condition if one of its lines does, and leaves it open if one of them leaves it open.
    """

    excluded: list[str] = field(default_factory=list)
    """The line speaks of something else that contains the term (incomplete block, ventricular flutter)."""
    uncertain: list[str] = field(default_factory=list)
    """The line leaves the condition open (borderline PR)."""
    uncertain_alone: list[str] = field(default_factory=list)
    """The line leaves the condition open if it is the only one of the report."""
    present: list[str] = field(default_factory=list)
    """The line states the condition, unless it is hedged or negated."""
    required: list[str] = field(default_factory=list)
    """Patterns that must each be met by a definite line of the report, or the condition is absent."""
    only_without_others: bool = False
    """Absent where another condition of the map is present, and unknown where one is uncertain."""


@dataclass
class ReportLanguage:
    """What holds for every condition in the machine statements of an ECG report.

    In ``hedges`` and ``negations`` the word ``TERM`` stands for any of a condition's ``present`` patterns.
    """

    hedges: list[str] = field(default_factory=list)
    """The line leaves the condition open (possible TERM)."""
    negations: list[str] = field(default_factory=list)
    """The line denies the condition (no TERM)."""
    unusable: list[str] = field(default_factory=list)
    """A report with such a line says nothing of any condition (a paced rhythm, leads reversed)."""


@dataclass
class Condition:
    """One condition and its names in every source."""

    name: str = ""
    """The field's term for it, as printed in reports."""
    folders: list[str] = field(default_factory=list)
    """Folder names that users give it, in any dataset; compared by :func:`folder_key`."""
    snomed: list[str] = field(default_factory=list)
    """SNOMED CT codes that state it (PhysioNet/CinC 2021), equivalent ones together."""
    implied_by: list[str] = field(default_factory=list)
    """SNOMED CT codes of other statements that are read as it all the same: a narrower finding (paroxysmal
    fibrillation), or one that every source is to be read alike in. Unlike ``snomed`` they are no names of the
    condition, so nothing is ever written under them."""
    uncertain: list[str] = field(default_factory=list)
    """SNOMED CT codes that leave it open (a bundle branch block of an unstated side): it is unknown, unless another
    code of the same recording states it. One code may leave several conditions open."""
    words: list[str] = field(default_factory=list)
    """Word labels that state it (the unofficial phase of CinC 2020), compared exactly."""
    unstated_in: list[str] = field(default_factory=list)
    """Constituents of PhysioNet/CinC 2021 that do not write it beside another diagnosis. Where they do not state it, it
    is unknown there, and absent only beside an entry of ``excluded_by``."""
    excluded_by: list[str] = field(default_factory=list)
    """SNOMED CT codes and words of what cannot be at the same time (another rhythm), for ``unstated_in``."""
    contradicted_by: list[str] = field(default_factory=list)
    """SNOMED CT codes and words beside which it cannot be. Where one stands beside it, it is unknown, and counted."""
    scp: dict[str, float] = field(default_factory=dict)
    """SCP-ECG statements that state it (PTB-XL), each with the least likelihood in percent that counts as stated.
    PTB-XL writes 0 where no likelihood was given, so that 0 counts a statement wherever it stands."""
    scp_uncertain: list[str] = field(default_factory=list)
    """SCP-ECG statements that leave it open, as ``uncertain`` does for codes."""
    scp_contradicted_by: list[str] = field(default_factory=list)
    """SCP-ECG statements beside which it cannot be, as ``contradicted_by`` has codes."""
    tasks: list[int] = field(default_factory=list)
    """0-based rows of the published 150-task layer that stand for it."""
    combine: str = "mean"
    """How several rows make one logit, of :data:`COMBINATIONS`."""
    statements: Statements = field(default_factory=Statements)


@dataclass
class LabelMap:
    """An ordered set of conditions. The order of ``conditions`` is the order of the network's outputs.

    Raises:
        ValueError: if there is no condition, a name is missing, a rule for task rows is unknown, an alias, code or
            word names two conditions, a code contradicts itself (it states a condition and makes a recording unusable,
            leaves open or excludes it), a pattern is no regular expression, or a condition that is not in the map is
            called unreliable.
    """

    name: str
    conditions: dict[str, Condition]
    """Condition code (as printed in reports and used in column names) to its definition."""
    unreliable: dict[str, list[str]] = field(default_factory=dict)
    """Constituent of PhysioNet/CinC 2021 to the conditions whose labels there are taken as unknown."""
    report: ReportLanguage = field(default_factory=ReportLanguage)
    """What holds for every condition in machine report lines."""
    unusable: list[str] = field(default_factory=list)
    """SNOMED CT codes beside which nothing is known of any condition, stated or not (a paced rhythm, leads reversed);
    ``report.unusable`` has the lines that say so."""
    scp_unusable: list[str] = field(default_factory=list)
    """SCP-ECG statements beside which nothing is known of any condition."""
    scp_stated_only: bool = False
    """Whether recordings of PTB-XL that state no condition of the map are left out, and counted, as the benchmark of
    Strodthoff et al. (2020) does at each of its levels."""

    def __post_init__(self) -> None:
        if not self.conditions:
            raise ValueError(f"label map '{self.name}' has no conditions")
        for code, condition in self.conditions.items():
            if not code or not code.isprintable() or code != code.strip():
                raise ValueError(f"label map '{self.name}': the code {code!r} is empty or cannot be printed")
            if not condition.name:
                raise ValueError(f"label map '{self.name}': condition {code} has no name")
            if condition.combine not in COMBINATIONS:
                raise ValueError(
                    f"label map '{self.name}': 'combine' of {code} is '{condition.combine}', expected one of "
                    f"{', '.join(COMBINATIONS)}"
                )
        self.code_of_folder()
        self.code_of_snomed()
        self.code_of_word()
        self._check_contradictions()
        self._check_scp()
        for source, codes in self.unreliable.items():
            for code in codes:
                if code not in self.conditions:
                    raise ValueError(
                        f"label map '{self.name}': {code}, unreliable in {source}, is none of "
                        f"{', '.join(self.conditions)}"
                    )
        self._check_patterns()

    def _check_contradictions(self) -> None:
        stated = self.code_of_snomed() | self.code_of_word()
        for entry in map(str, self.unusable):
            if entry in stated:
                raise ValueError(
                    f"label map '{self.name}': {entry} states {stated[entry]} and makes a recording unusable; "
                    "it cannot do both"
                )
        for code, condition in self.conditions.items():
            for attribute, does in (
                ("uncertain", "leaves it open"),
                ("excluded_by", "excludes it"),
                ("contradicted_by", "contradicts it"),
            ):
                for entry in map(str, getattr(condition, attribute)):
                    if stated.get(entry) == code:
                        raise ValueError(
                            f"label map '{self.name}': {entry} states {code} and {does} ('{attribute}'); "
                            "it cannot do both"
                        )
            for entry in map(str, condition.uncertain):
                if entry in map(str, self.unusable):
                    raise ValueError(
                        f"label map '{self.name}': {entry} leaves {code} open and makes a recording unusable; "
                        "it cannot do both"
                    )

    def _check_scp(self) -> None:
        for code, condition in self.conditions.items():
            for statement, least in condition.scp.items():
                if not 0 <= least <= 100:
                    raise ValueError(
                        f"label map '{self.name}': 'scp' of {code} asks for {statement} at {least} %, expected 0 to 100"
                    )
                for listed in (condition.scp_uncertain, condition.scp_contradicted_by, self.scp_unusable):
                    if statement in listed:
                        raise ValueError(
                            f"label map '{self.name}': {statement} states {code}, and leaves it open, contradicts "
                            "it or makes a recording unusable; it cannot do both"
                        )

    def _check_patterns(self) -> None:
        groups = [condition.statements for condition in self.conditions.values()] + [self.report]
        for group in groups:
            for patterns in asdict(group).values():
                for pattern in patterns if isinstance(patterns, list) else []:
                    try:
                        re.compile(pattern)
                    except (re.error, OverflowError, RecursionError) as error:  # a{9999999999}, ((((...
                        raise ValueError(f"label map '{self.name}': pattern {pattern!r}: {error}") from error

    @property
    def codes(self) -> tuple[str, ...]:
        """Condition codes in output order."""
        return tuple(self.conditions)

    def __len__(self) -> int:
        return len(self.conditions)

    @property
    def task_rows(self) -> tuple[list[list[int]], list[str]]:
        """Return each output's rows of the published 150-task layer, and how these make one (:data:`COMBINATIONS`)."""
        return [one.tasks for one in self.conditions.values()], [one.combine for one in self.conditions.values()]

    def _lookup(self, *attributes: str) -> dict[str, str]:
        found: dict[str, str] = {}
        for code, condition in self.conditions.items():
            for attribute in attributes:
                for alias in getattr(condition, attribute):
                    key = folder_key(str(alias)) if attribute == "folders" else str(alias)
                    if found.setdefault(key, code) != code:
                        raise ValueError(
                            f"label map '{self.name}': '{alias}' in '{attribute}' names both {found[key]} and {code}"
                        )
        return found

    def code_of_folder(self) -> dict[str, str]:
        """Folder name, as :func:`folder_key` gives it, to condition code."""
        return self._lookup("folders")

    def code_of_snomed(self) -> dict[str, str]:
        """SNOMED CT code to the condition that it states, whether it is a name of it or implies it."""
        return self._lookup("snomed", "implied_by")

    def codes_left_open_by(self) -> dict[str, list[str]]:
        """SNOMED CT code to the conditions that it leaves open, in order."""
        found: dict[str, list[str]] = {}
        for code, condition in self.conditions.items():
            for entry in map(str, condition.uncertain):
                found.setdefault(entry, []).append(code)
        return found

    def code_of_word(self) -> dict[str, str]:
        """Word label to condition code."""
        return self._lookup("words")

    def to_dict(self) -> dict[str, Any]:
        """Plain containers only, as stored in checkpoints and reports."""
        return asdict(self)

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> "LabelMap":
        """Inverse of :meth:`to_dict`; what a record of an older version lacks is empty."""
        conditions = {
            code: Condition(**{**entry, "statements": Statements(**entry.get("statements", {}))})
            for code, entry in content["conditions"].items()
        }
        return cls(
            name=content["name"],
            conditions=conditions,
            unreliable=content.get("unreliable", {}),
            report=ReportLanguage(**content.get("report", {})),
            unusable=content.get("unusable", []),
            scp_unusable=content.get("scp_unusable", []),
            scp_stated_only=content.get("scp_stated_only", False),
        )
