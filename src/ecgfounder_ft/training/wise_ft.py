"""WiSE-FT: weights between the start and the end of fine-tuning (Wortsman et al. 2022, https://arxiv.org/abs/2109.01903).

Fine-tuned weights are best on data like those of training, and often worse than the start on others; somewhere on the
straight line between the two, a network is often as good on the former and better on the latter.

A floor makes it a rule that falls back: where no weights but the start's are as good as the start in a second metric,
the start is what is taken.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.table import Table
from torch import Tensor, nn

from ecgfounder_ft.console import plain_console
from ecgfounder_ft.training.monitor import direction_of

State = dict[str, Tensor]


def copy_of_state(net: nn.Module) -> State:
    """The network's tensors, which later training leaves alone."""
    return {name: tensor.detach().clone() for name, tensor in net.state_dict().items()}


def interpolate(start: Mapping[str, Tensor], end: Mapping[str, Tensor], coefficient: float) -> State:
    """(1 - ``coefficient``) of ``start`` and ``coefficient`` of ``end``; 0 and 1 are the two of them, bit for bit."""
    if coefficient in (0.0, 1.0):
        return dict(end if coefficient else start)
    return {  # counts, such as that of batch norm's batches, have nothing in between
        name: start[name].to(value.device).lerp(value, coefficient) if value.is_floating_point() else value
        for name, value in end.items()
    }


def best_row(
    rows: Sequence[Mapping[str, float]], monitor: str, mode: str, floor: str | None = None
) -> Mapping[str, float]:
    """The row with the best monitored metric; of equals the one nearest to the start, an undefined metric is worst.

    Args:
        rows: ``coefficient`` and validation metrics; one of them of the start, 0, where there is a floor.
        monitor: the metric.
        mode: ``min`` or ``max``.
        floor: a metric in which a row has to be as good as the start, unless it is undefined for the start; None: none.
    """
    sign = 1.0 if mode == "min" else -1.0
    if floor is not None:
        start = next(row[floor] for row in rows if row["coefficient"] == 0)
        upwards = 1.0 if direction_of(floor) == "max" else -1.0
        rows = [row for row in rows if math.isnan(start) or upwards * (row[floor] - start) >= 0]

    def cost(row: Mapping[str, float]) -> tuple[float, float]:
        value = sign * row[monitor]
        return (math.inf if math.isnan(value) else value), row["coefficient"]

    return min(rows, key=cost)


@dataclass(frozen=True)
class Interpolation:
    """What was chosen between start and end, and by what."""

    monitor: str
    floor: str | None
    """The metric in which what was chosen is as good as the start."""
    coefficient: float
    """Share of the end."""
    rows: list[dict[str, float]]
    """``coefficient`` and validation metrics, one row per coefficient."""

    def to_dict(self) -> dict[str, Any]:
        """The content of ``wise_ft.json``."""
        return {"monitor": self.monitor, "floor": self.floor, "chosen": self.coefficient, "rows": self.rows}

    def __str__(self) -> str:
        """What was taken, and what it is worth on validation beside the two ends, in one line."""
        names = dict.fromkeys(name for name in (self.monitor, self.floor) if name is not None)
        by_share = {row["coefficient"]: row for row in self.rows}
        ends = {"start": by_share.get(0.0), "best epoch": by_share.get(1.0)}
        worth = []
        for name in names:
            beside = ", ".join(f"{end} {row[name]:.4f}" for end, row in ends.items() if row is not None)
            worth.append(f"{name} {by_share[self.coefficient][name]:.4f}" + (f" ({beside})" if beside else ""))
        taken = {0.0: "the start", 1.0: "the best epoch"}.get(
            self.coefficient, f"{self.coefficient:g} of the way from the start to the best epoch"
        )
        return f"WiSE-FT takes {taken}: {'; '.join(worth)}"


def choose_interpolation(
    start: State,
    net: nn.Module,
    coefficients: Sequence[float],
    monitor: str,
    mode: str,
    floor: str | None,
    validate: Callable[[], Mapping[str, float]],
) -> Interpolation:
    """Validate weights between start and end, and leave the best by the monitored metric in the network.

    Args:
        start: weights before training.
        net: with the weights after it.
        coefficients: shares of the end.
        monitor: the metric.
        mode: ``min`` or ``max``.
        floor: as for :func:`best_row`; the start is then tried, whether it is among the coefficients or not.
        validate: validation metrics of the network as it is, by their logged names.
    """
    end = copy_of_state(net)
    rows = []
    for coefficient in coefficients if floor is None else sorted({0.0, *coefficients}):
        net.load_state_dict(interpolate(start, end, coefficient))
        rows.append({"coefficient": float(coefficient), **validate()})
    best = best_row(rows, monitor, mode, floor)
    net.load_state_dict(interpolate(start, end, best["coefficient"]))
    return Interpolation(monitor, floor, best["coefficient"], rows)


def print_wise_ft(rows: Sequence[Mapping[str, float]], chosen: float) -> None:
    """Validation metrics over the coefficient."""
    names = [f"validation/{name}" for name in ("loss", "accuracy", "macro_f1", "macro_auroc")]
    table = Table(title="WiSE-FT: validation between start (0) and end (1)", title_justify="left")
    for name in ("coefficient", *(name.removeprefix("validation/") for name in names)):
        table.add_column(name, justify="right")
    for row in rows:
        mark = "*" if row["coefficient"] == chosen else ""
        table.add_row(f"{mark}{row['coefficient']:g}", *(f"{row[name]:.4f}" for name in names))
    plain_console().print(table)
