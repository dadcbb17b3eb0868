"""Several trainings on the same recordings: what is chance of training, and what is chance of the patients.

Two things would be different another time: the patients tested, and the seeds of the trainings. Configurations are
compared in pairs, over the same patients and the same seeds, so that what they share does not blur their difference.
:mod:`~ecgfounder_ft.evaluation.seeds_and_patients` says how both make one interval. With fewer than
:data:`~ecgfounder_ft.evaluation.seeds_and_patients.FEWEST_SEEDS` seeds the chance of training is not known: intervals
are of the patients alone, and no configuration is told from another.
"""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from ecgfounder_ft.evaluation.bootstrap import MIN_PATIENTS, bootstrap_metrics, interval, patients_behind
from ecgfounder_ft.evaluation.comparison import NotComparableError
from ecgfounder_ft.evaluation.evaluate import evaluate_input
from ecgfounder_ft.evaluation.inputs import EvaluationInput
from ecgfounder_ft.evaluation.intervals import mean_spread
from ecgfounder_ft.evaluation.metrics import METRICS, Estimate, count_patients
from ecgfounder_ft.evaluation.seeds_and_patients import FEWEST_SEEDS, Uncertainty, mean_over_seeds

MACRO = "macro"
"""Stands in the place of a condition's code for the mean over the conditions."""

LEVEL = 0.95


@dataclass(frozen=True)
class Trainings:
    """Trainings of one configuration that differ in their seeds, tested on the same recordings."""

    name: str
    """Of the configuration, as printed."""
    seeds: tuple[int, ...]
    columns: tuple[str, ...]
    """Condition codes, then :data:`MACRO`."""
    values: NDArray[np.float64]
    """(seeds, columns) of one metric, NaN where it does not exist."""
    drawn: NDArray[np.float64]
    """(seeds, resamples, columns) in each resample of the patients, which is the same for all trainings."""
    patients: int
    rarer: tuple[int, ...]
    """Of each condition, patients that its metric rests on: with or without it, whichever are fewer, where it needs
    both."""
    stretch: float = 1.0
    """How many times the variance between patients counts: over 1 where trainings share what others are tested on."""

    def places(self, column: str) -> list[int]:
        """Columns that a column is the mean of: its own, or those of all conditions that have the metric."""
        if column != MACRO:
            return [self.columns.index(column)]
        return [place for place in range(len(self.rarer)) if not np.isnan(self.values[:, place]).any()]

    @property
    def too_few(self) -> str:
        """Why there can be no interval, empty where there can."""
        return f"no interval: {count_patients(self.patients)}" if self.patients < MIN_PATIENTS else ""

    def of_seeds(self, seeds: Sequence[int]) -> "Trainings":
        """Those with some of the seeds."""
        rows = [self.seeds.index(seed) for seed in seeds]
        return replace(self, seeds=tuple(seeds), values=self.values[rows], drawn=self.drawn[rows])


@dataclass(frozen=True)
class Spread:
    """A metric over the trainings of a configuration."""

    name: str
    seeds: int
    lowest: float | None
    highest: float | None
    deviation: float | None
    """Standard deviation between seeds; None with a single seed."""
    over_patients: Estimate
    """The mean, with the interval that other patients would give, the seeds as they are."""
    over_both: Estimate
    """The mean, with the interval that other patients and other seeds would give; with too few seeds that of the
    patients."""


@dataclass(frozen=True)
class Difference:
    """One configuration minus another."""

    first: str
    second: str
    seeds: int
    """That both have."""
    estimate: Estimate
    """Mean of the second minus mean of the first; with too few seeds the interval is of the patients alone."""
    p_value: float | None
    """Two-sided; None with too few seeds."""
    corrected: float | None = None
    """The p-value corrected for the number of comparisons (Holm)."""

    def is_told(self, level: float = LEVEL) -> bool:
        """Whether the corrected p-value tells the two apart."""
        return self.corrected is not None and self.corrected < 1 - level


@dataclass(frozen=True)
class Rank:
    """Where a configuration stands among the others, 1 for the best."""

    name: str
    mean: float
    low: float
    high: float


def draw_trainings(
    name: str, inputs: Mapping[int, EvaluationInput], metric: str, *, resamples: int, seed: int
) -> Trainings:
    """One metric of each training, in the whole set and in each resample of its patients.

    Args:
        name: of the configuration.
        inputs: seed to the evaluated recordings, in the same order for all trainings that are to be compared.
        metric: one of :data:`~ecgfounder_ft.evaluation.metrics.METRICS`.
        resamples: of the patients.
        seed: of the resamples; the same for all trainings that are to be compared.

    Raises:
        NotComparableError: if the trainings were tested on different recordings.
    """
    first, *_ = inputs.values()
    for number, data in inputs.items():
        require_same_recordings(name, first, f"{name} with seed {number}", data)
    place = list(METRICS).index(metric)
    values, drawn = [], []
    for data in inputs.values():
        found = evaluate_input(data, resamples=0)
        whole = [found.conditions[code].metrics[metric].value for code in data.codes] + [found.macro[metric].value]
        values.append([math.nan if value is None else value for value in whole])
        resampled = bootstrap_metrics(data, resamples=resamples, seed=seed)
        defined = np.array([[one.value is not None for one in c.metrics.values()] for c in found.conditions.values()])
        macro = resampled.macro(defined)[:, place]
        drawn.append(np.column_stack([resampled.conditions[:, :, place], macro]))
    rarer = tuple(patients_behind(metric, found.conditions[code]) for code in first.codes)
    return Trainings(
        name, tuple(inputs), (*first.codes, MACRO), np.array(values), np.array(drawn), first.patients, rarer
    )


def require_same_recordings(name: str, first: EvaluationInput, other_name: str, other: EvaluationInput) -> None:
    """Refuse to set trainings side by side that were not tested on the same recordings.

    Raises:
        NotComparableError: that says what differs.
    """
    what = ""
    if first.codes != other.codes:
        what = "the conditions"
    elif first.targets.shape != other.targets.shape or not np.array_equal(first.kept, other.kept):
        what = "the recordings"
    elif not np.array_equal(first.targets, other.targets):
        what = "the labels"
    elif not np.array_equal(first.groups, other.groups):
        what = "the patients"
    if what:
        raise NotComparableError(f"{name} and {other_name} were tested on different sets: {what} differ")


def spread_of(trainings: Trainings, column: str = MACRO) -> Spread:
    """A metric over seeds and patients.

    Args:
        trainings: of a configuration.
        column: a condition's code, or the mean over conditions.
    """
    values = trainings.values[:, trainings.columns.index(column)]
    known = values[~np.isnan(values)]
    mean = _estimate(values.mean())
    places = trainings.places(column)
    found, uncertainty = _uncertain(mean, trainings, values, trainings.drawn[:, :, places], places)
    over_patients = over_both = found
    if uncertainty is not None and found.value is not None:
        if uncertainty.of_patients > 0:
            low, high = uncertainty.around(found.value, LEVEL, seeds=False)
            over_patients = over_both = replace(found, low=low, high=high, method="t")
        if len(values) >= FEWEST_SEEDS:
            low, high = uncertainty.around(found.value, LEVEL, seeds=True)
            over_both = replace(found, low=low, high=high, method="t")
    return Spread(
        name=trainings.name,
        seeds=len(values),
        lowest=float(known.min()) if len(known) else None,
        highest=float(known.max()) if len(known) else None,
        deviation=None if len(values) == 1 or np.isnan(values).any() else float(values.std(ddof=1)),
        over_patients=over_patients,
        over_both=over_both,
    )


def _uncertain(
    mean: Estimate,
    trainings: Trainings,
    values: NDArray[np.float64],
    drawn: NDArray[np.float64],
    places: Sequence[int],
) -> tuple[Estimate, Uncertainty | None]:
    """The estimate, and how uncertain it is; without that, and with the reason, where there can be no interval.

    Args:
        mean: over the seeds.
        trainings: for their patients.
        values: (seeds,) of each training, or differences.
        drawn: (seeds, resamples, k) of the conditions that it is the mean of.
        places: (k,) of these conditions.
    """
    if mean.value is None:
        return mean, None
    over_seeds = drawn.mean(axis=0)
    found = interval(mean, over_seeds.mean(axis=1), level=LEVEL, too_few=trainings.too_few)
    between = 0.0 if len(values) < FEWEST_SEEDS else float(values.var(ddof=1)) / len(values)
    if found.low is None and (between < 1e-24 or "alike" not in found.reason):
        return found, None
    variance, freedom = mean_spread(over_seeds, np.array([trainings.rarer[place] for place in places]))
    return replace(mean, undefined_resamples=found.undefined_resamples), Uncertainty(
        variance * trainings.stretch, freedom, between, len(values)
    )


def difference_of(first: Trainings, second: Trainings, column: str = MACRO) -> Difference:
    """The second configuration minus the first, over the same patients and the seeds that both have.

    Raises:
        NotComparableError: if there is no such seed.
    """
    shared = [number for number in first.seeds if number in second.seeds]
    if not shared:
        raise NotComparableError(f"{first.name} and {second.name} have no seed in common")
    one, other = first.of_seeds(shared), second.of_seeds(shared)
    place = one.columns.index(column)
    values = other.values[:, place] - one.values[:, place]
    places = one.places(column)
    drawn = other.drawn[:, :, places] - one.drawn[:, :, places]
    found, uncertainty = _uncertain(_estimate(values.mean()), one, values, drawn, places)
    p_value = None
    if uncertainty is not None and found.value is not None:
        value, reach = found.value, uncertainty.quantile((1 - LEVEL) / 2) * uncertainty.deviation
        found = replace(found, low=max(-1.0, value - reach), high=min(1.0, value + reach), method="t")
        p_value = uncertainty.p_value(value) if len(shared) >= FEWEST_SEEDS else None
    return Difference(first.name, second.name, len(shared), found, p_value)


def all_differences(trainings: Sequence[Trainings], column: str = MACRO) -> list[Difference]:
    """Every pair of configurations, corrected for their number."""
    pairs = itertools.combinations(trainings, 2)
    found = [difference_of(first, second, column) for first, second in pairs]
    return corrected_by_holm(found)


def corrected_by_holm(differences: Sequence[Difference]) -> list[Difference]:
    """With p-values that hold for all of them together (Holm, Scand J Stat 1979;6:65)."""
    known = sorted((place for place, one in enumerate(differences) if one.p_value is not None),
                   key=lambda place: differences[place].p_value or 0.0)  # fmt: skip
    result = list(differences)
    largest = 0.0
    for rank, place in enumerate(known):
        largest = max(largest, min(1.0, (len(known) - rank) * (differences[place].p_value or 0.0)))
        result[place] = replace(differences[place], corrected=largest)
    return result


def ranks_of(trainings: Sequence[Trainings], metric: str, *, seed: int) -> list[Rank]:
    """Mean rank of each configuration by its macro metric over draws of patients and seeds; best first.

    Raises:
        NotComparableError: if the configurations have no seed in common.
    """
    shared = [number for number in trainings[0].seeds if all(number in one.seeds for one in trainings)]
    if not shared:
        raise NotComparableError("the configurations have no seed in common")
    drawn = np.array([mean_over_seeds(one.of_seeds(shared).drawn[:, :, -1], seed, LEVEL) for one in trainings])
    drawn = drawn[:, ~np.isnan(drawn).any(axis=0)]
    ranks = rankdata(drawn if METRICS[metric].lower_is_better else -drawn, axis=0)
    tail = 50 * (1 - LEVEL)
    found = [
        Rank(one.name, float(row.mean()), *(float(end) for end in np.percentile(row, (tail, 100 - tail))))
        for one, row in zip(trainings, ranks, strict=True)
    ]
    return sorted(found, key=lambda rank: rank.mean)


def not_told_apart(ranks: Sequence[Rank], differences: Sequence[Difference]) -> list[tuple[str, ...]]:
    """The longest runs of neighbouring ranks in which no two configurations are told apart."""
    told = {frozenset((one.first, one.second)) for one in differences if one.is_told()}
    names = [rank.name for rank in ranks]
    runs: list[tuple[int, int]] = []
    for start in range(len(names)):
        end = start + 1
        while end < len(names) and not any(frozenset((names[end], other)) in told for other in names[start:end]):
            end += 1
        if end - start > 1 and not any(end <= earlier for _, earlier in runs):
            runs.append((start, end))
    return [tuple(names[start:end]) for start, end in runs]


def _estimate(value: float) -> Estimate:
    return Estimate(None, reason="undefined in a training") if np.isnan(value) else Estimate(float(value))
