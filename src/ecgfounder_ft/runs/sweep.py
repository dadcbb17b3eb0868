"""The end of a multirun: one table of all trials, and a failure that cannot be overlooked."""

import csv
import json
import sys
from pathlib import Path
from typing import Any

import yaml
from hydra.experimental.callback import Callback
from omegaconf import DictConfig
from rich.console import Console
from rich.table import Table


class SweepSummary(Callback):
    """Writes ``sweep.csv`` into the sweep's folder and prints it, best trial first.

    The trials are read from their folders (``status.json``), so that it makes no difference where they ran. A basic
    multirun tells of a failed trial only by the traceback of the first, and Hydra's own exit status says nothing of
    the others: here any failed trial ends the sweep with status 1, after all of them have run.
    """

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Collect the trials of the sweep."""
        folder = Path(config.hydra.sweep.dir)
        trials = sorted(
            (read_trial(status.parent) for status in folder.glob("*/status.json")),
            key=lambda trial: (trial["metric"] is None, -(trial["metric"] or 0.0)),
        )
        if not trials:
            return
        with (folder / "sweep.csv").open("w", newline="", encoding="utf-8") as stream:
            writer = csv.DictWriter(stream, fieldnames=list(trials[0]))
            writer.writeheader()
            writer.writerows(trials)
        table = Table(title=f"Trials of {folder}", title_justify="left")
        for column in trials[0]:
            table.add_column(column)
        for trial in trials:
            table.add_row(*("-" if value is None else str(value) for value in trial.values()))
        Console().print(table)
        failed = [trial["trial"] for trial in trials if trial["state"] != "finished"]
        if failed:
            print(f"{len(failed)} of {len(trials)} trials did not finish: {', '.join(failed)}", file=sys.stderr)
            sys.exit(1)


def read_trial(folder: Path) -> dict[str, Any]:
    """One trial's row: its overrides, state, figure, seconds, and the first line of what stopped it."""
    status = json.loads((folder / "status.json").read_text(encoding="utf-8"))
    overrides = folder / ".hydra" / "overrides.yaml"
    chosen = yaml.safe_load(overrides.read_text(encoding="utf-8")) if overrides.is_file() else []
    metric = status.get("optimized_metric")
    return {
        "trial": folder.name,
        "overrides": " ".join(chosen or []),
        "state": status["state"],
        "metric": None if metric is None else round(metric, 4),
        "seconds": status.get("seconds"),
        "error": status.get("error", "").split("\n")[0][:120],
    }
