"""How recordings are divided, as settings. Apart from the rules that follow them, so that a configuration is checked
without importing pandas."""

from dataclasses import dataclass

TRAIN, VALIDATION, TEST, EXCLUDED = "train", "validation", "test", "excluded"
SIDES = (TRAIN, VALIDATION, TEST)
"""The sides that hold recordings; ``excluded`` ones are used for nothing."""

KINDS = ("random", "external", "leave_one_source_out", "kfold", "published")
ASSIGNMENTS = ("hash", "stratified")
RECORDINGS, ONE_SIDE = "recordings", "one_side"
UNKNOWN_PATIENTS = (RECORDINGS, ONE_SIDE)


@dataclass(kw_only=True)
class SplitSettings:
    """How recordings are divided. The values stand in ``configs/split/``; the class has none.

    Raises:
        ValueError: if a setting is impossible or contradicts the kind; the message names it.
    """

    kind: str
    """``random``; ``external`` (trained on some sources, tested on all others); ``leave_one_source_out`` (tested on
    one source); ``kfold`` (tested on one fold); ``published`` (PTB-XL's folds: 1-8, 9, 10)."""
    assignment: str
    """``stratified`` or ``hash``, see :mod:`ecgfounder_ft.data.splits`."""
    train: float
    """Share of the patients. Where the sources decide the test side, train and validation keep their proportion."""
    validation: float
    """Share of the patients."""
    test: float
    """Share of the patients."""
    train_sources: list[str]
    """``external``: datasets or constituents to train and validate on."""
    held_out: str | None
    """``leave_one_source_out``: the dataset or constituent to test on."""
    folds: int
    """``kfold``: number of folds."""
    fold: int
    """``kfold``: the fold to test on, from 0."""
    unknown_patients: str
    """``recordings``: where the patient is unknown, each recording counts as a patient of its own; ``one_side``: all
    recordings of a source (constituent, or dataset without any) in which a patient is unknown stay on one side."""
    whole_sides: list[str]
    """Sides of which ``data.max_evaluation_recordings`` leaves nothing out."""
    training_recordings: int | None
    """Recordings to train on at most, in whole patients; None: all. See :mod:`ecgfounder_ft.data.caps`."""
    seed: int
    """Seed of the division and of the choice of recordings; another seed gives another."""
    minimum: int
    """Recordings of each condition that a side needs; fewer stop the run."""

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"split.kind is {self.kind!r}, expected one of: {', '.join(KINDS)}")
        if self.assignment not in ASSIGNMENTS:
            raise ValueError(f"split.assignment is {self.assignment!r}, expected one of: {', '.join(ASSIGNMENTS)}")
        if self.unknown_patients not in UNKNOWN_PATIENTS:
            raise ValueError(
                f"split.unknown_patients is {self.unknown_patients!r}, expected one of: {', '.join(UNKNOWN_PATIENTS)}"
            )
        if strange := sorted(set(self.whole_sides) - {VALIDATION, TEST}):
            raise ValueError(
                f"split.whole_sides names {', '.join(map(repr, strange))}, expected some of: {VALIDATION}, {TEST}"
            )
        shares = (self.train, self.validation, self.test)
        if min(shares) < 0 or self.train <= 0 or abs(sum(shares) - 1) > 1e-6:
            raise ValueError(
                f"split.train, validation and test are {shares}, expected shares that add up to 1, train above 0"
            )
        if self.kind == "external" and not self.train_sources:
            raise ValueError("split.kind=external needs split.train_sources, e.g. [mimic_iv_ecg]")
        if self.kind == "leave_one_source_out" and not self.held_out:
            raise ValueError("split.kind=leave_one_source_out needs split.held_out, e.g. georgia")
        if self.kind == "kfold" and not (self.folds >= 2 and 0 <= self.fold < self.folds):
            raise ValueError(
                f"split.fold is {self.fold} of {self.folds} folds, expected 0 to {self.folds - 1} of at least 2"
            )
        if self.training_recordings is not None and self.training_recordings < 1:
            raise ValueError(f"split.training_recordings is {self.training_recordings}, expected 1 or more, or null")
        if self.minimum < 0:
            raise ValueError(f"split.minimum is {self.minimum}, expected 0 or more")

    @property
    def tested_elsewhere(self) -> bool:
        """The test side is of sources not trained on, which may lack a condition; reports say where one does."""
        return self.kind in ("external", "leave_one_source_out")

    @property
    def sides_that_need_all(self) -> tuple[str, ...]:
        """The sides that need :attr:`minimum` recordings of each condition."""
        return (TRAIN, VALIDATION) if self.tested_elsewhere else SIDES
