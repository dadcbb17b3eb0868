"""The same metrics for parts of the test set: sources, sexes, ages, co-occurring conditions, signal quality."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ecgfounder_ft.evaluation.bootstrap import DEFAULT_RESAMPLES, MIN_PATIENTS, too_few_patients
from ecgfounder_ft.evaluation.evaluate import Evaluation, evaluate_input
from ecgfounder_ft.evaluation.inputs import EvaluationInput
from ecgfounder_ft.evaluation.metrics import Estimate, count_patients
from ecgfounder_ft.labels import PRESENT

NOT_STATED = "not stated"

AGE_BANDS: tuple[tuple[float, float, str], ...] = (
    (0, 18, "under 18"),
    (18, 40, "18 to 39"),
    (40, 60, "40 to 59"),
    (60, 80, "60 to 79"),
    (80, np.inf, "80 and over"),
)
"""From (years), to before (years), name."""


@dataclass(frozen=True)
class Subgroup:
    """Some of the recordings."""

    attribute: str
    """What they have in common: ``source``, ``sex``, ..."""
    value: str
    rows: NDArray[np.bool_]
    """(n,) mask of all recordings given."""


@dataclass(frozen=True)
class SubgroupEvaluation:
    """Metrics of a subgroup."""

    attribute: str
    value: str
    n: int
    patients: int
    evaluation: Evaluation | None
    """None where the group is too small."""
    reason: str = ""

    def metric(self, code: str, name: str) -> Estimate:
        """A condition's metric, None with the reason where the group cannot tell."""
        if self.evaluation is None:
            return Estimate(None, reason=self.reason)
        condition = self.evaluation.conditions[code]
        if condition.metrics[name].value is None:
            return condition.metrics[name]
        too_few = too_few_patients(name, condition)
        return Estimate(None, reason=too_few.replace("no interval", "too few")) if too_few else condition.metrics[name]

    def to_dict(self) -> dict[str, Any]:
        """Plain containers."""
        content = asdict(self)
        content["evaluation"] = None if self.evaluation is None else self.evaluation.to_dict()
        return content

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> "SubgroupEvaluation":
        """Inverse of :meth:`to_dict`.

        Raises:
            ValueError: if the content is of another schema.
        """
        evaluation = content["evaluation"]
        return cls(**{**content, "evaluation": None if evaluation is None else Evaluation.from_dict(evaluation)})


@dataclass(frozen=True)
class Multiplicity:
    """How many intervals of subgroups were looked at, and how many of them do not hold the whole set's value."""

    metric: str
    comparisons: int
    """Subgroups times conditions whose metric has an interval."""
    outside: int
    """Intervals that do not hold the value of the whole set."""
    expected: float
    """As many would not, by chance, if no subgroup differed and groups were drawn apart from the whole set. They are
    part of it, so that rather fewer are expected."""


def multiplicity(subgroups: Sequence["SubgroupEvaluation"], whole: Evaluation, metric: str) -> Multiplicity:
    """Count the intervals of a metric over subgroups and conditions, and those without the whole set's value."""
    comparisons = outside = 0
    for group in subgroups:
        for code, condition in whole.conditions.items():
            value, estimate = condition.metrics[metric].value, group.metric(code, metric)
            if value is None or estimate.low is None or estimate.high is None:
                continue
            comparisons += 1
            outside += not estimate.low <= value <= estimate.high
    return Multiplicity(metric, comparisons, outside, (1 - whole.level) * comparisons)


def by_value(attribute: str, values: ArrayLike) -> list[Subgroup]:
    """A subgroup for each value, in alphabetical order; empty and missing values are ``not stated``, last."""
    texts = np.array([NOT_STATED if _missing(value) else str(value) for value in np.asarray(values, dtype=object)])
    names = sorted(set(texts.tolist()) - {NOT_STATED}) + ([NOT_STATED] if NOT_STATED in texts else [])
    return [Subgroup(attribute, name, texts == name) for name in names]


def by_age(ages: ArrayLike) -> list[Subgroup]:
    """A subgroup for each of :data:`AGE_BANDS` that holds recordings; years, NaN is ``not stated``."""
    years = np.asarray(ages, dtype=np.float64)
    groups = [Subgroup("age", name, (years >= low) & (years < high)) for low, high, name in AGE_BANDS]
    unknown = Subgroup("age", NOT_STATED, ~np.isfinite(years) | (years < 0))
    return [group for group in (*groups, unknown) if group.rows.any()]


def by_condition(targets: NDArray[np.integer], codes: Sequence[str]) -> list[Subgroup]:
    """A subgroup for the recordings that have each condition, to see the others beside it; they may overlap.

    None for a condition that stands alone wherever it is, as each does where recordings have one label: nothing can be
    told apart within it.
    """
    present = np.asarray(targets) == PRESENT
    beside = present.sum(axis=1) > 1
    return [
        Subgroup("co-occurring condition", code, present[:, column])
        for column, code in enumerate(codes)
        if (present[:, column] & beside).any()
    ]


def by_flag(flags: Mapping[str, ArrayLike]) -> list[Subgroup]:
    """A subgroup for the recordings that carry each signal quality flag, and one for those that carry none."""
    masks = {name: np.asarray(mask, dtype=bool) for name, mask in flags.items()}
    groups = [Subgroup("signal", name, mask) for name, mask in masks.items() if mask.any()]
    if groups:
        groups.append(Subgroup("signal", "no flag", ~np.any(list(masks.values()), axis=0)))
    return [group for group in groups if group.rows.any()]


def evaluate_subgroups(
    data: EvaluationInput,
    subgroups: Sequence[Subgroup],
    *,
    resamples: int = DEFAULT_RESAMPLES,
    seed: int = 0,
    level: float = 0.95,
) -> list[SubgroupEvaluation]:
    """Evaluate each subgroup on its own.

    Args:
        data: of the whole set.
        subgroups: with masks over the recordings that the whole set was prepared from.
        resamples: of the patients of each group.
        seed: of the resamples.
        level: of confidence.

    Returns:
        One result per subgroup; without an evaluation, and with the reason, where it has fewer than
        :data:`~ecgfounder_ft.evaluation.bootstrap.MIN_PATIENTS` patients.
    """
    results = []
    for group in subgroups:
        part = data.select(group.rows[data.kept])
        n, patients = len(part.targets), part.patients
        if patients < MIN_PATIENTS:
            reason = f"too few: {count_patients(patients)}"
            results.append(SubgroupEvaluation(group.attribute, group.value, n, patients, None, reason))
            continue
        evaluation = evaluate_input(part, resamples=resamples, seed=seed, level=level)
        results.append(SubgroupEvaluation(group.attribute, group.value, n, patients, evaluation))
    return results


def _missing(value: Any) -> bool:
    return value is None or value == "" or (isinstance(value, float) and np.isnan(value))
