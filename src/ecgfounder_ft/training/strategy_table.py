"""What trains now, what later, and at which learning rate, as a table."""

from rich.table import Table

from ecgfounder_ft.console import plain_console
from ecgfounder_ft.finetune.strategy import Strategy
from ecgfounder_ft.model.network import Network


def strategy_rows(net: Network, strategy: Strategy, epochs: int, learning_rate: float) -> list[tuple[str, ...]]:
    """One row per part of the network: part, parameters, trained at the start, trained later, and the learning rates.

    ``trained later`` names the first epoch (counted from 0) in which more of the part trains; the learning rates are
    those of the first epoch in which it trains and, where it differs, of the last.
    """
    parts = net.parts()
    schedule = [strategy.multipliers(list(parts), epoch) for epoch in range(max(epochs, 1))]
    rows: list[tuple[str, ...]] = []
    *_, head = parts
    for name, part in parts.items():
        own = [(key, parameter.numel()) for key, parameter in part.named_parameters()]
        trainable = sum(count for key, count in own if strategy.trains(key, name == head))
        begins = next((epoch for epoch, multipliers in enumerate(schedule) if multipliers[name] > 0), None)
        now = trainable if begins == 0 else 0
        later = f"{trainable:,} from epoch {begins}" if begins else ""
        multipliers = [] if begins is None else [schedule[begins][name], schedule[-1][name]]
        shown = (
            " then ".join(dict.fromkeys(f"{multiplier * learning_rate:.2g}" for multiplier in multipliers)) or "frozen"
        )
        rows.append((name, f"{sum(count for _, count in own):,}", f"{now:,}", later, shown))
    return rows


def print_strategy(net: Network, strategy: Strategy, epochs: int, learning_rate: float) -> None:
    """The rows of :func:`strategy_rows` on the terminal."""
    table = Table(title=f"What trains: {type(strategy).__name__}", title_justify="left")
    for name in ("part", "parameters", "trained now", "later", "learning rate"):
        table.add_column(name, justify="left" if name in ("part", "later") else "right")
    for row in strategy_rows(net, strategy, epochs, learning_rate):
        table.add_row(*row)
    plain_console().print(table)
