"""``ecgfounder-ft simulate``."""

import re
import shlex
from pathlib import Path
from typing import Annotated

import typer

from ecgfounder_ft.commands.options import Labels, path_argument
from ecgfounder_ft.console import say
from ecgfounder_ft.designs.design import quoted
from ecgfounder_ft.errors import ExplainedError, run_or_explain


def _as_pasted(key: str, path: str) -> str:
    """An override with a path, as shell and Hydra both read it."""
    if re.fullmatch(r"[\w./ -]+", path):
        return f'{key}="{path}"'
    return shlex.quote(f"{key}={quoted(path)}")


def simulate(
    folder: Annotated[Path, path_argument("The folders of the two datasets are made in it.")],
    recordings: Annotated[int, typer.Option(min=2, help="Recordings per condition, in both datasets together.")] = 100,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same files.")] = 0,
    labels: Labels = "six_conditions",
    hospital: Annotated[
        str, typer.Option(help="textbook, shifted or everyday: whom and with what it records.")
    ] = "textbook",
    wrong_labels: Annotated[
        float, typer.Option(min=0, max=1, help="Share of recordings with another condition stated.")
    ] = 0.0,
) -> None:
    """Write simulated recordings in the folder layout of both datasets."""

    def run() -> None:
        from ecgfounder_ft.config.compose import load_label_map
        from ecgfounder_ft.data.sources.simulated import write_selected_folders
        from ecgfounder_ft.ecg.simulator.hospital import hospital_named

        try:
            hospital_named(hospital)
        except ValueError as error:
            raise ExplainedError(str(error)) from error
        mimic, physionet = write_selected_folders(
            folder, load_label_map(labels), recordings, seed, hospital, wrong_labels
        )
        places = {"data.mimic_path": mimic, "data.physionet_path": physionet}
        say(" ".join(["ecgfounder-ft train", *(_as_pasted(key, str(path)) for key, path in places.items())]))

    run_or_explain(run)
