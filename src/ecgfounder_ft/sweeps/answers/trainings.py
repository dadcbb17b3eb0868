"""Finished trials as trainings that can be compared: the same test recordings in the same order, one entry per seed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from ecgfounder_ft.evaluation.inputs import EvaluationInput
from ecgfounder_ft.evaluation.metrics import METRICS
from ecgfounder_ft.evaluation.run_evaluation import RunEvaluation, evaluate_predictions
from ecgfounder_ft.evaluation.seeds_and_patients import FEWEST_SEEDS
from ecgfounder_ft.evaluation.several_trainings import (
    Difference,
    Spread,
    Trainings,
    all_differences,
    draw_trainings,
    not_told_apart,
    ranks_of,
    require_same_recordings,
    spread_of,
)
from ecgfounder_ft.report.sweep_plots import ranks_figure, spreads_figure
from ecgfounder_ft.report.sweep_section import SectionPicture, SectionTable
from ecgfounder_ft.report.words import format_difference, format_interval, format_p_value, format_value, sentence
from ecgfounder_ft.sweeps.trial_results import TrialResult, settings_of

FEWEST_FOR_RANKS = 5
"""Configurations from which a picture of ranks says more than a table of pairs."""
MOST_PAIRS = 45
"""Pairs of configurations, those of ten, beyond which none is compared: the correction would leave nothing."""


@dataclass(frozen=True)
class Draws:
    """How a comparison draws patients and seeds, and which metric it is of."""

    metric: str
    resamples: int
    seed: int

    @property
    def label(self) -> str:
        """Of the metric, as printed."""
        return f"macro {METRICS[self.metric].label}"


def draws_of(trials: Sequence[TrialResult], metric: str, resamples: int | None) -> Draws:
    """As the first trial was evaluated, where nothing else is asked for."""
    own = settings_of(trials[0].run)
    return Draws(metric, own.resamples if resamples is None else resamples, own.seed)


def evaluated(result: TrialResult) -> RunEvaluation:
    """A finished trial's test recordings by their names, calibrated and decided as they were; without intervals."""
    predictions = result.run.predictions()
    ordered = predictions.table.sort_values("recording", kind="stable").reset_index(drop=True)
    settings = replace(settings_of(result.run), by=[], resamples=0)
    return evaluate_predictions(replace(predictions, name=result.label, table=ordered), settings)


def trainings_of(groups: Mapping[str, Mapping[int, EvaluationInput]], draws: Draws) -> list[Trainings]:
    """The trainings of each configuration.

    Args:
        groups: configuration to seed to the evaluated recordings.
        draws: of patients and seeds.

    Raises:
        NotComparableError: if they were not tested on the same recordings.
    """
    first_name, first = next((name, data) for name, inputs in groups.items() for data in inputs.values())
    for name, inputs in groups.items():
        require_same_recordings(first_name, first, name, next(iter(inputs.values())))
    return [
        draw_trainings(name, inputs, draws.metric, resamples=draws.resamples, seed=draws.seed)
        for name, inputs in groups.items()
    ]


# ----------------------------------------------------------------------------------------- in words and pictures


def interval_words(trials: Sequence[TrialResult]) -> str:
    """Say of what the intervals over trials are, by the seeds that the configuration with the fewest has."""
    seeds: dict[str, set[object]] = {}
    for one in trials:
        place = {axis: value for axis, value in one.trial.place.items() if axis != "seed"}
        seeds.setdefault(f"{one.configuration} {place}", set()).add(one.at("seed"))
    fewest = min(map(len, seeds.values()))
    if fewest >= FEWEST_SEEDS:
        return "Intervals (95%) are of patients and seeds."
    return f"Intervals (95%) are of the patients alone: {too_few_seeds(fewest)}."


def too_few_seeds(seeds: int) -> str:
    """Say what so few seeds leave open, as a sentence without its full stop."""
    shows = "one seed shows" if seeds == 1 else f"{seeds} seeds show"
    return (
        f"{shows} next to nothing of the chance of training, and no configuration is told from another; that takes "
        f"{FEWEST_SEEDS} seeds or more, 5 are better"
    )


def spreads_table(spreads: Sequence[Spread], draws: Draws) -> SectionTable:
    """One row per configuration: what is chance of training beside what is chance of the patients."""
    columns = ["configuration", "seeds", draws.label, "between seeds", "patients", "both"]
    rows = [
        [
            spread.name,
            str(spread.seeds),
            format_value(spread.over_both),
            "–"
            if spread.deviation is None
            else f"{spread.deviation:.3f} ({spread.lowest:.3f} to {spread.highest:.3f})",
            format_interval(spread.over_patients) or "–",
            format_interval(spread.over_both) or "–" if spread.seeds >= FEWEST_SEEDS else "–",
        ]
        for spread in spreads
    ]
    return SectionTable(
        "Mean over seeds, standard deviation between seeds (lowest to highest), and 95% intervals: of the patients, "
        "and of both",
        columns,
        rows,
    )


def differences_table(differences: Sequence[Difference], draws: Draws) -> SectionTable:
    """One row per pair of configurations."""
    rows = [
        [
            f"{one.second} minus {one.first}",
            str(one.seeds),
            format_difference(one.estimate),
            format_interval(one.estimate) or "–",
            format_p_value(one.p_value),
            format_p_value(one.corrected),
        ]
        for one in differences
    ]
    return SectionTable(
        f"Differences of {draws.label}, in pairs over the same patients and seeds",
        ["configurations", "seeds", "difference", "95% interval", "p", "p, corrected"],
        rows,
    )


@dataclass(frozen=True)
class Compared:
    """Trainings side by side, as a section shows them."""

    trainings: Sequence[Trainings]
    tables: Sequence[SectionTable]
    pictures: Sequence[SectionPicture]
    text: Sequence[str]


def compare_trainings(trainings: Sequence[Trainings], draws: Draws) -> Compared:
    """What is chance of training, and which configurations are told apart."""
    spreads = [spread_of(one) for one in trainings]
    text, tables, pictures = [], [spreads_table(spreads, draws)], []
    pictures.append(
        SectionPicture(
            spreads_figure(spreads, [one.values[:, -1].tolist() for one in trainings], draws.label),
            f"{draws.label} of each configuration with its intervals; the numbers stand in the table.",
            "Dots: seeds. Mark: their mean. Thick: interval of the patients; thin: of patients and seeds.",
        )
    )
    pairs = len(trainings) * (len(trainings) - 1) // 2
    fewest = min(len(one.seeds) for one in trainings)
    if not draws.resamples:
        text.append("No intervals and no comparisons, since evaluation.resamples is 0.")
    elif fewest < FEWEST_SEEDS:
        text.append(f"{sentence(too_few_seeds(fewest))}.")
    elif pairs > MOST_PAIRS:
        text.append(f"{pairs} pairs of configurations: too many to be compared, and none is.")
    elif pairs:
        differences = all_differences(trainings)
        tables.append(differences_table(differences, draws))
        text.append(
            f"{pairs} comparison{'s' if pairs > 1 else ''}; the corrected p holds for all of them together (Holm). "
            f"{_told(differences)}"
        )
        if len(trainings) >= FEWEST_FOR_RANKS:
            ranks = ranks_of(trainings, draws.metric, seed=draws.seed)
            groups = not_told_apart(ranks, differences)
            pictures.append(
                SectionPicture(
                    ranks_figure(ranks, groups),
                    "Mean rank of each configuration with its interval.",
                    "Mean ranks over draws of patients and seeds; black bars join what is not told apart.",
                )
            )
    return Compared(trainings, tables, pictures, text)


def _told(differences: Sequence[Difference]) -> str:
    told = [one for one in differences if one.is_told()]
    if not told:
        return (
            "No two are told apart at 5%, which does not make them equal: with few seeds and patients only a large "
            "difference shows."
        )
    pairs = "; ".join(f"{one.second} and {one.first}" for one in told)
    return f"Told apart at 5%: {pairs}."
