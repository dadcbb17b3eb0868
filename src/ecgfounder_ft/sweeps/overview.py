"""What all sweeps show, whatever their design: trials over their parameters and over epochs."""

from collections.abc import Mapping

from ecgfounder_ft.report.sweep_plots import (
    importances_figure,
    learning_curves_figure,
    parallel_coordinates_figure,
    parameters_figure,
)
from ecgfounder_ft.report.sweep_section import Section, SectionPicture
from ecgfounder_ft.sweeps.results import SweepResults, TrialResult, Winner

_LOSS = "validation/loss"


def sections(results: SweepResults, winner: Winner | None, importances: Mapping[str, float]) -> list[Section]:
    """Parameters and learning curves; nothing of a sweep in which no trial came to a metric.

    Args:
        results: of the sweep.
        winner: by validation.
        importances: of a search, parameter to its share of the metric's variation; empty where there are none.
    """
    told = [one for one in results.trials if one.value is not None]
    found = []
    if results.parameters and len(told) > 1:
        found.append(_parameters(results, told, winner, importances))
    curves = [
        picture for metric in dict.fromkeys((results.metric, _LOSS)) for picture in _curves(results, metric, winner)
    ]
    if curves:
        found.append(Section("learning_curves", "Learning curves", pictures=curves))
    return found


def _parameters(
    results: SweepResults, told: list[TrialResult], winner: Winner | None, importances: Mapping[str, float]
) -> Section:
    parameters = {key: [one.parameters.get(key, "") for one in told] for key in results.parameters}
    values = [float(one.value or 0.0) for one in told]
    best = 0 if winner is None else told.index(winner.trials[0])
    pictures = [
        SectionPicture(
            parallel_coordinates_figure(
                parameters, values, results.metric, best, lower_is_better=results.mode == "min"
            ),
            "Each trial as a line across its parameters to its metric; the numbers stand in the table of trials.",
            f"Each line is a trial, the thick one the winner's by {results.metric}.",
        ),
        SectionPicture(
            parameters_figure(parameters, values, results.metric),
            f"{results.metric} of each trial over each parameter; the numbers stand in the table of trials.",
            f"{results.metric} of each trial over each parameter; bars are means.",
        ),
    ]
    text = []
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


def _curves(results: SweepResults, metric: str, winner: Winner | None) -> list[SectionPicture]:
    """The curves of a metric over epochs; none where no trial has it."""
    best = winner.trials[0].trial.name if winner is not None else None
    curves: dict[str, list[tuple[int, float]]] = {}
    label = None
    for one in results.trials:
        points = [
            (int(row["epoch"]), float(row[metric]))
            for row in one.run.read_history()
            if row.get(metric) is not None and row[metric] == row[metric]
        ]
        if points:
            name = f"{one.trial.name}: {one.label}"
            curves[name] = points
            label = name if one.trial.name == best else label
    if not curves:
        return []
    figure = learning_curves_figure(curves, metric, label)
    return [SectionPicture(figure, f"{metric} of every trial over its epochs.", f"{metric} of every trial")]
