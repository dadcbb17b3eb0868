"""Errors of this package that are raised without torch."""

from ecgfounder_ft.errors import ExplainedError


class NetworkError(ExplainedError):
    """A network that cannot be built, or does not give one logit for each condition."""
