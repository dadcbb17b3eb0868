"""``ecgfounder-ft download``."""

from pathlib import Path
from typing import Annotated

import typer

from ecgfounder_ft.commands.options import path_option
from ecgfounder_ft.console import say
from ecgfounder_ft.errors import run_or_explain


def download(
    model: Annotated[
        str, typer.Argument(help="12_lead_ECGFounder or 1_lead_ECGFounder; 12lead or 1lead in short.")
    ] = "12lead",
    folder: Annotated[Path, path_option("Where the file goes.")] = Path("checkpoint"),
) -> None:
    """Download a published ECGFounder checkpoint and check it."""

    def run() -> None:
        from ecgfounder_ft.model.pretrained import find_weights, published_names
        from ecgfounder_ft.untrusted.errors import WeightsError

        name = {"12lead": "12_lead_ECGFounder", "1lead": "1_lead_ECGFounder"}.get(model, model)
        if name not in published_names():
            raise WeightsError(f"model '{model}': expected one of {', '.join(published_names())}")
        folder.mkdir(parents=True, exist_ok=True)
        say(f"{find_weights(name, folder)} is in place")

    run_or_explain(run)
