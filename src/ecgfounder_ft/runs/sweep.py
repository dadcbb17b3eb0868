"""The end of a multirun: one table of all trials, and a failure that cannot be overlooked."""

import csv
import math
import sys
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig
from rich.console import Console
from rich.table import Table

from ecgfounder_ft.runs.folder import RunFolder


class SweepSummary(Callback):
    """Writes ``sweep.csv`` into the sweep's folder and prints it, best trial first.

    The trials are read from their folders, so that it makes no difference where they ran. A basic multirun tells of a
    failed trial only by the traceback of the first, and Hydra's own exit status says nothing of the others: here any
    failed trial ends the sweep with status 1, after all of them have run.
    """

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Collect the trials of the sweep."""
        folder = Path(config.hydra.sweep.dir)
        trials = best_first([read_trial(RunFolder(path)) for path in sorted(folder.iterdir()) if _is_trial(path)])
        if not trials:
            return
        shown = [{name: value for name, value in trial.items() if name != "mode"} for trial in trials]
        with (folder / "sweep.csv").open("w", newline="", encoding="utf-8") as stream:
            writer = csv.DictWriter(stream, fieldnames=list(shown[0]))
            writer.writeheader()
            writer.writerows(shown)
        table = Table(title=f"Trials of {folder}", title_justify="left")
        for column in shown[0]:
            table.add_column(column)
        for trial in shown:
            table.add_row(*("-" if value is None else str(value) for value in trial.values()))
        Console().print(table)
        failed = [trial["trial"] for trial in trials if trial["state"] != "finished"]
        if failed:
            print(f"{len(failed)} of {len(trials)} trials did not finish: {', '.join(failed)}", file=sys.stderr)
            sys.exit(1)


def best_first(trials: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Trials by their metric, in the direction in which it is better; those without one last."""

    def key(trial: dict[str, Any]) -> tuple[bool, float]:
        value = trial["metric"]
        if value is None:
            return True, 0.0
        return False, value if trial["mode"] == "min" else -value

    return sorted(trials, key=key)


def read_trial(run: RunFolder) -> dict[str, Any]:
    """One trial's row: its overrides, state, metric, seconds, and the first line of what stopped it.

    ``mode`` is ``min`` or ``max``, the direction in which the metric is better.
    """
    status = run.read_status()
    metric = status.get("optimized_metric", {})
    value = metric.get("value")
    return {
        "trial": run.name,
        "overrides": " ".join(run.overrides()),
        "state": status["state"],
        "metric": None if value is None or math.isnan(value) else round(value, 4),
        "mode": metric.get("mode"),
        "seconds": status.get("seconds"),
        "error": status.get("error", "").split("\n")[0][:120],
    }


def _is_trial(path: Path) -> bool:
    return path.is_dir() and bool(RunFolder(path).read_status())
