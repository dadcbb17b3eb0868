"""What all sweeps show, whatever their design: trials over their parameters and over epochs."""

from collections.abc import Collection, Mapping, Sequence

from ecgfounder_ft.report.sweep_plots import (
    importances_figure,
    learning_curves_figure,
    parallel_coordinates_figure,
    parameters_figure,
)
from ecgfounder_ft.report.sweep_section import Section, SectionPicture
from ecgfounder_ft.sweeps.trial_results import SweepResults, TrialResult, Winner, without_mixed

_LOSS = "validation/loss"
_CHANCE = {"fold": "split.fold", "seed": "seed"}
"""Axes of designs along which trials repeat each other, to the parameter that they set; these get no pictures."""


def sections(
    results: SweepResults, winner: Winner | None, importances: Mapping[str, float], no_importances: str = ""
) -> list[Section]:
    """Parameters and learning curves; nothing of a sweep in which no trial came to a metric.

    Args:
        results: of the sweep.
        winner: by validation.
        importances: of a search, parameter to its share of the metric's variation; empty where there are none.
        no_importances: why a search has none, as a sentence.
    """
    told = without_mixed([one for one in results.trials if one.value is not None])
    # where all trials are of the winner, none stands out
    won = [] if winner is None or len(winner.trials) == len(told) else [one.trial.name for one in winner.trials]
    found = []
    keys = [
        key
        for key in results.parameters
        if not any(key == _CHANCE.get(axis) for one in told for axis in one.trial.place)
        and len({one.parameters.get(key) for one in told}) > 1
    ]
    if keys and len(told) > 1:
        found.append(_parameters(results, keys, told, won, importances, no_importances))
    curves = [picture for metric in dict.fromkeys((results.metric, _LOSS)) for picture in _curves(results, metric, won)]
    if curves:
        found.append(Section("learning_curves", "Learning curves", pictures=curves))
    return found


def _parameters(
    results: SweepResults,
    keys: Sequence[str],
    told: Sequence[TrialResult],
    won: Collection[str],
    importances: Mapping[str, float],
    no_importances: str,
) -> Section:
    parameters = {key: [one.parameters.get(key, "") for one in told] for key in keys}
    values = [float(one.value or 0.0) for one in told]
    best = [place for place, one in enumerate(told) if one.trial.name in won]
    lines = "Each line is a trial" + ("" if not best else ", a thick one the winner's by " + results.metric)
    pictures = [
        SectionPicture(
            parallel_coordinates_figure(
                parameters, values, results.metric, best, lower_is_better=results.mode == "min"
            ),
            "Each trial as a line across its parameters to its metric; the numbers stand in the table of trials.",
            f"{lines}.",
        ),
        SectionPicture(
            parameters_figure(parameters, values, results.metric),
            f"{results.metric} of each trial over each parameter; the numbers stand in the table of trials.",
            f"{results.metric} of each trial over each parameter; a bar is the mean of trials with the same value.",
        ),
    ]
    text = []
    if len(told) < sum(one.value is not None for one in results.trials):
        text.append("Trials whose split mixes all sources are left out: nothing here averages them with the others.")
    if no_importances:
        text.append(no_importances)
    if importances:
        text.append(
            "Importances are Optuna's (fANOVA): the share of the metric's variation that each parameter explains."
        )
        pictures.append(
            SectionPicture(
                importances_figure(importances),
                ", ".join(f"{key} {value:.2f}" for key, value in importances.items()),
                "Importance of each parameter in the search.",
            )
        )
    return Section("parameters", "Parameters", text, pictures=pictures)


def _curves(results: SweepResults, metric: str, won: Collection[str]) -> list[SectionPicture]:
    """The curves of a metric over epochs; none where no trial has it."""
    curves: dict[str, list[tuple[int, float]]] = {}
    best = []
    for one in results.trials:
        points = [
            (int(row["epoch"]), float(row[metric]))
            for row in one.run.read_history()
            if row.get(metric) is not None and row[metric] == row[metric]
        ]
        if points:
            name = f"{one.trial.name}: {one.label}" if one.parameters else one.label
            curves[name] = points
            if one.trial.name in won:
                best.append(name)
    if not curves:
        return []
    figure = learning_curves_figure(curves, metric, best)
    return [SectionPicture(figure, f"{metric} of every trial over its epochs.", f"{metric} of every trial")]
