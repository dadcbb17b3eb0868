"""``ecgfounder-ft download``."""

from pathlib import Path
from typing import Annotated

import typer

from ecgfounder_ft.commands.options import path_option
from ecgfounder_ft.console import say
from ecgfounder_ft.errors import run_or_explain


def download(
    model: Annotated[str, typer.Argument(help="12lead or 1lead.")] = "12lead",
    folder: Annotated[Path, path_option("Where the file goes.")] = Path("checkpoint"),
) -> None:
    """Download a published ECGFounder checkpoint and check it."""

    def run() -> None:
        from ecgfounder_ft.model.ecgfounder.published import PUBLISHED, find_weights
        from ecgfounder_ft.untrusted.weights import WeightsError

        names = {f"{checkpoint.leads}lead": name for name, checkpoint in PUBLISHED.items()}
        if model not in names:
            raise WeightsError(f"model '{model}': expected one of {', '.join(names)}")
        folder.mkdir(parents=True, exist_ok=True)
        say(f"{find_weights(names[model], folder)} is in place")

    run_or_explain(run)
