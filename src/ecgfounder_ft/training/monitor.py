"""The validation metrics that training can go by, and which way each is better. Imports no torch."""

from ecgfounder_ft.errors import ExplainedError

VALIDATION_METRICS: dict[str, str] = {"loss": "min", "accuracy": "max", "macro_f1": "max", "macro_auroc": "max"}
"""Name, logged as ``validation/<name>``, to ``min`` where lower is better and ``max`` where higher is. Beside them each
condition has its ``validation/auroc/<code>``."""


class MonitorError(ExplainedError):
    """A metric that is not logged, or that is followed the wrong way round."""


def direction_of(metric: str) -> str:
    """``min`` or ``max``: which way a logged validation metric is better.

    Raises:
        MonitorError: if there is no such metric.
    """
    side, _, name = metric.partition("/")
    if side == "validation" and name in VALIDATION_METRICS:
        return VALIDATION_METRICS[name]
    if side == "validation" and name.startswith("auroc/"):
        return "max"
    names = ", ".join(f"validation/{known}" for known in VALIDATION_METRICS)
    raise MonitorError(f"'{metric}' is no validation metric; expected {names} or validation/auroc/<condition>")


def require_direction(name: str, mode: str) -> None:
    """Refuse a monitored metric whose direction is stated the wrong way round.

    Raises:
        MonitorError: that says what to set.
    """
    wanted = direction_of(name)
    if mode != wanted:
        better = "lower" if wanted == "min" else "higher"
        raise MonitorError(f"monitor.mode is {mode!r}, but of {name} the {better} is better: set monitor.mode={wanted}")
