"""WiSE-FT: weights between the start and the end of fine-tuning (Wortsman et al. 2022, https://arxiv.org/abs/2109.01903).

Fine-tuned weights are best on data like those of training, and often worse than the start on others; somewhere on the
straight line between the two, a network is often as good on the former and better on the latter.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

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


def best_row(rows: Sequence[Mapping[str, float]], monitor: str, mode: str) -> Mapping[str, float]:
    """The row with the best monitored metric; of equals the one nearest to the start, an undefined metric is worst."""
    sign = 1.0 if mode == "min" else -1.0

    def cost(row: Mapping[str, float]) -> tuple[float, float]:
        value = sign * row[monitor]
        return (math.inf if math.isnan(value) else value), row["coefficient"]

    return min(rows, key=cost)


@dataclass(frozen=True)
class Interpolation:
    """What was chosen between start and end, and by what."""

    monitor: str
    coefficient: float
    """Share of the end."""
    rows: list[dict[str, float]]
    """``coefficient`` and validation metrics, one row per coefficient."""

    def to_dict(self) -> dict[str, Any]:
        """The content of ``wise_ft.json``."""
        return {"monitor": self.monitor, "chosen": self.coefficient, "rows": self.rows}


def choose_interpolation(
    start: State,
    net: nn.Module,
    coefficients: Sequence[float],
    monitor: str,
    mode: str,
    validate: Callable[[], Mapping[str, float]],
) -> Interpolation:
    """Validate weights between start and end, and leave the best by the monitored metric in the network.

    Args:
        start: weights before training.
        net: with the weights after it.
        coefficients: shares of the end.
        monitor: the metric.
        mode: ``min`` or ``max``.
        validate: validation metrics of the network as it is, by their logged names.
    """
    end = copy_of_state(net)
    rows = []
    for coefficient in coefficients:
        net.load_state_dict(interpolate(start, end, coefficient))
        rows.append({"coefficient": float(coefficient), **validate()})
    best = best_row(rows, monitor, mode)
    net.load_state_dict(interpolate(start, end, best["coefficient"]))
    return Interpolation(monitor, best["coefficient"], rows)


def print_wise_ft(rows: Sequence[Mapping[str, float]], chosen: float) -> None:
    """Validation metrics over the coefficient."""
    names = [f"validation/{name}" for name in ("loss", "accuracy", "macro_f1", "macro_auroc")]
    table = Table(title="WiSE-FT: validation between start (0) and end (1)", title_justify="left")
    for name in ("coefficient", *(name.removeprefix("validation/") for name in names)):
        table.add_column(name, justify="right")
    for row in rows:
        mark = "*" if row["coefficient"] == chosen else ""
        table.add_row(f"{mark}{row['coefficient']:g}", *(f"{row[name]:.4f}" for name in names))
    Console().print(table)
