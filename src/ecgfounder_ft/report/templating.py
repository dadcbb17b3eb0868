"""The templates of pages and cards, with the filters that print metrics."""

from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from ecgfounder_ft.evaluation.metrics import METRICS, count_patients, count_recordings
from ecgfounder_ft.report import words

METRIC_NAMES = {name: metric.label for name, metric in METRICS.items()}
"""Metric to its name as printed."""


def environment(autoescape: bool = True) -> Environment:
    """Load the templates.

    Args:
        autoescape: whether what is filled in is escaped for HTML.
    """
    templates = Environment(
        loader=PackageLoader("ecgfounder_ft.report"),
        autoescape=autoescape,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters.update(
        value=words.format_value,
        interval=words.format_interval,
        count=words.format_count,
        difference=words.format_difference,
        ordinal=words.ordinal,
        sentence=words.sentence,
        p_value=words.format_p_value,
        patients=count_patients,
        recordings=count_recordings,
    )
    templates.globals.update(Footnotes=words.Footnotes, metric_names=METRIC_NAMES)
    return templates


def render(template: str, **content: Any) -> str:
    """Fill a template of HTML."""
    return environment().get_template(template).render(**content)
