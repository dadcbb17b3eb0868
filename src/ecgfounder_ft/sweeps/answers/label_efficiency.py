"""What labels are worth: the metric over the number of training recordings, and the curve read backwards."""

import itertools
import math
from collections.abc import Sequence

from ecgfounder_ft.evaluation.label_efficiency import LearningCurve, Worth, curve_of, worth_of
from ecgfounder_ft.evaluation.metrics import METRICS
from ecgfounder_ft.evaluation.seeds_and_patients import FEWEST_SEEDS
from ecgfounder_ft.report.sweep_plots import label_efficiency_figure
from ecgfounder_ft.report.sweep_section import Section, SectionPicture, SectionTable
from ecgfounder_ft.report.words import format_interval, format_value
from ecgfounder_ft.sweeps.answers.trainings import Draws, draws_of, evaluated, interval_words, trainings_of
from ecgfounder_ft.sweeps.folder import SweepFolder
from ecgfounder_ft.sweeps.trial_results import TrialResult, by_configuration

FEW = 4
"""Configurations up to which each is compared with each."""


def sections(folder: SweepFolder, trials: Sequence[TrialResult], metric: str, resamples: int | None) -> list[Section]:
    """The curves with their bands, and how many times the labels one configuration is worth.

    Args:
        folder: of the sweep.
        trials: finished ones of the design.
        metric: of :data:`~ecgfounder_ft.evaluation.metrics.METRICS`.
        resamples: of the patients; None: as the trials were evaluated.
    """
    draws = draws_of(trials, metric, resamples)
    curves = curves_of(trials, draws)
    text = [
        "Smaller training sides are parts of the larger ones, the same for every configuration and seed; validation "
        f"and test recordings are the same for all. {interval_words(trials)}",
    ]
    table = SectionTable(
        f"{draws.label} of the test recordings by training recordings",
        ["configuration", "training recordings", "seeds", draws.label, "95% interval", "between seeds"],
        [
            [
                curve.name,
                f"{size:,}",
                str(point.seeds),
                format_value(point.over_both),
                format_interval(point.over_both) or "–",
                "–" if point.deviation is None else f"{point.deviation:.3f}",
            ]
            for curve in curves
            for size, point in zip(curve.sizes, curve.points, strict=True)
        ],
    )
    tables, said = [table], []
    pairs = pairs_of(curves)
    for better, other in pairs:
        worths = worth_of(better, other)
        if worths:
            said.append(sentence(better, other, worths))
            tables.append(worth_table(better, other, worths))
    if said:
        said.append(
            "Between two sizes a curve is taken as straight over the logarithm of their number, which it is not: where "
            "sizes are a factor of three apart, 5 times as many reads 5.3 or 5.4. The interval does not hold this."
        )
    elif pairs:
        said.append(
            f"How many labels a configuration is worth is not said: that takes {FEWEST_SEEDS} seeds at every size, and "
            "test recordings of enough patients for an interval."
        )
    bands = [curve.name for curve in curves if any(point.over_both.low is not None for point in curve.points)]
    picture = SectionPicture(
        label_efficiency_figure(curves),
        f"{draws.label} over training recordings; the numbers stand in the table.",
        "Bands are 95% intervals." if bands else "No bands: too few patients or resamples for an interval.",
    )
    return [Section("label_efficiency", "Label efficiency", [*text, *said], tables, [picture])]


def curves_of(trials: Sequence[TrialResult], draws: Draws) -> list[LearningCurve]:
    """The curve of each configuration, over the sizes at which all of its trainings of that size have ended."""
    groups: dict[str, dict[int, dict[int, TrialResult]]] = {}
    for name, group in by_configuration(trials).items():
        for one in group:
            groups.setdefault(name, {}).setdefault(training_recordings(one), {})[int(str(one.at("seed")))] = one
    inputs = {
        (name, size): {seed: evaluated(one).data for seed, one in seeds.items()}
        for name, sizes in groups.items()
        for size, seeds in sizes.items()
    }
    trainings = trainings_of({f"{name}, {size} recordings": found for (name, size), found in inputs.items()}, draws)
    by_size = dict(zip(inputs, trainings, strict=True))
    return [
        curve_of(name, draws.metric, {size: by_size[name, size] for size in sizes}, seed=draws.seed)
        for name, sizes in groups.items()
    ]


def training_recordings(result: TrialResult) -> int:
    """Recordings that a trial was trained on: whole patients, so a few fewer than were asked for."""
    return int((result.run.read_splits()["split"] == "train").sum())


def pairs_of(curves: Sequence[LearningCurve]) -> list[tuple[LearningCurve, LearningCurve]]:
    """The better curve of each two that share sizes, by its mean over these; better first.

    Of more than :data:`FEW` curves only the best against each other.
    """
    if len(curves) < 2:
        return []
    lower_is_better = METRICS[curves[0].metric].lower_is_better
    shared = [size for size in curves[0].sizes if all(size in curve.sizes for curve in curves)]
    if len(shared) < 2:
        return []

    def badness(curve: LearningCurve) -> float:
        mean = sum(curve.means[curve.sizes.index(size)] for size in shared) / len(shared)
        return float(mean if lower_is_better else -mean)

    ordered = sorted(curves, key=badness)
    pairs = list(itertools.combinations(ordered, 2))
    return pairs if len(curves) <= FEW else [pair for pair in pairs if pair[0] is ordered[0]]


def sentence(better: LearningCurve, other: LearningCurve, worths: Sequence[Worth]) -> str:
    """What people quote, with its interval, for the smallest size at which a factor was measured or bounded below."""
    measured = [worth for worth in worths if 0 < worth.factor < math.inf]
    bounded = [worth for worth in worths if worth.factor == math.inf and worth.is_told]
    worth = (measured or bounded or worths)[0]
    given = f"(95% interval {_interval(worth)})"
    if not worth.is_told:
        return (
            f"At {worth.size:,} recordings {better.name} and {other.name} are not told apart: the second may need as "
            f"few labels as the first {given}."
        )
    if worth.factor == math.inf:
        return (
            f"With {worth.size:,} recordings {better.name} is better than {other.name} with {max(other.sizes):,}, "
            f"{worth.largest:.1f} times as many {given}."
        )
    return (
        f"With {worth.size:,} recordings {better.name} is as good as {other.name} with about {worth.factor:.1f} times "
        f"as many {given}."
    )


def worth_table(better: LearningCurve, other: LearningCurve, worths: Sequence[Worth]) -> SectionTable:
    """The factor at every size."""
    return SectionTable(
        f"How many times the labels {other.name} needs to be as good as {better.name}",
        [f"recordings of {better.name}", "times as many", "95% interval"],
        [
            [
                f"{worth.size:,}",
                _times(worth, worth.factor),
                _interval(worth),
            ]
            for worth in worths
        ],
    )


def _interval(worth: Worth) -> str:
    low, high = _times(worth, worth.low), _times(worth, worth.high)
    return low if low == high else f"{low} to {high}"


def _times(worth: Worth, factor: float) -> str:
    if math.isnan(factor):
        return "–"
    if factor == math.inf:
        return f"more than {worth.largest:.1f}"
    return "fewer than were tried" if factor == 0 else f"{factor:.1f}"
