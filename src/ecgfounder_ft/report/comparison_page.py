"""The page that sets runs side by side."""

from ecgfounder_ft.evaluation.run_comparison import RunComparison
from ecgfounder_ft.report import plots
from ecgfounder_ft.report.figures import data_uri
from ecgfounder_ft.report.page import COMPARISON_METRICS, TABLE_CONDITIONS
from ecgfounder_ft.report.templating import METRIC_NAMES, render
from ecgfounder_ft.report.words import DASH, format_difference, format_value, rare_conditions, with_interval


def comparison_lines(comparison: RunComparison) -> list[str]:
    """Say in a line for each run what the page says of the metric that is compared."""
    name = comparison.sorted_by
    lines = [f"Macro {METRIC_NAMES[name]}, best first by validation; nothing is ranked by test."]
    for run in comparison.names:
        evaluated, pair = comparison.runs[run], comparison.differences.get(run)
        validation = DASH if evaluated.validation is None else format_value(evaluated.validation.macro[name])
        test = evaluated.evaluation.macro[name]
        line = f"{run}: validation {validation}, {evaluated.side} {with_interval(format_value(test), test)}"
        if pair is None:
            lines.append(f"{line}; the others are compared with it")
        else:
            lines.append(f"{line}; difference {with_interval(format_difference(pair.macro[name]), pair.macro[name])}")
    return lines


def render_comparison(comparison: RunComparison, *, title: str, created: str) -> str:
    """Fill the page of a comparison.

    Args:
        comparison: of runs on the same recordings.
        title: of the page.
        created: date and time, as printed.
    """
    reference = comparison.runs[comparison.reference].evaluation
    return render(
        "comparison.html.j2",
        comparison=comparison,
        title=title,
        created=created,
        picture=data_uri(plots.differences_figure(comparison.differences, comparison.sorted_by)),
        macro_metrics=tuple(dict.fromkeys((comparison.sorted_by, *COMPARISON_METRICS))),
        table_conditions=TABLE_CONDITIONS,
        warning=rare_conditions(reference),
    )
