"""Errors of files that anybody may have written; imported without torch."""

from ecgfounder_ft.errors import ExplainedError


class WeightsError(ExplainedError):
    """A weights file that is absent, damaged, unsafe or made for another network."""
