"""``ecgfounder-ft embed``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from ecgfounder_ft.commands.options import Bf16, Trust, path_argument, path_option
from ecgfounder_ft.commands.predict import Backend, Model, Workers
from ecgfounder_ft.console import say
from ecgfounder_ft.errors import ExitCode, run_or_explain
from ecgfounder_ft.memory import keep_freed_memory


def embed(
    model: Model,
    recordings: Annotated[list[Path], path_argument("Recordings of any format, or folders of them.")],
    output: Annotated[
        Path, path_option("A .parquet table with a column of vectors, or a .npy file with a table beside it.")
    ] = Path("embeddings.parquet"),
    windows: Annotated[
        str,
        typer.Option(
            help="Of recordings longer than the model's input. one: the window that it was trained on; mean: over all "
            "consecutive windows; each: a row for each of them."
        ),
    ] = "one",
    crops: Annotated[
        int, typer.Option(min=1, help="Overlapping crops of each window that are averaged: as many passes.")
    ] = 1,
    sampling_rate: Annotated[float | None, typer.Option(help="Hz, of files that do not say it.")] = None,
    unit: Annotated[str | None, typer.Option(help="mV, uV, V or nV, of files that do not say it.")] = None,
    leads: Annotated[str | None, typer.Option(help="I,II,V1: of files that do not say them.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    backend: Backend = "auto",
    revision: Annotated[
        str | None, typer.Option(help="Branch, tag or commit of a repository on the Hub; default: main.")
    ] = None,
    lead: Annotated[
        str | None, typer.Option(help="Of a pretrained file that reads one lead: the lead, where it is not its own.")
    ] = None,
    bf16: Bf16 = False,
    batch_size: Annotated[int, typer.Option(min=1, help="Windows at a time.")] = 32,
    workers: Workers = None,
    restart: Annotated[
        bool, typer.Option("--restart", help="Begin anew, where the same command would go on after a kill.")
    ] = False,
    trust: Trust = None,
) -> None:
    """Write what the last layer of a model reads of each recording: numbers for models of your own.

    The same command goes on where it was killed. Exit code 1: no recording could be used; 2: it could not run.
    """

    def run() -> bool:
        from ecgfounder_ft.ecg.description import SignalDescription
        from ecgfounder_ft.files import require_place_for
        from ecgfounder_ft.inference.crops import AveragedCrops
        from ecgfounder_ft.inference.inputs import PredictionError, Reading
        from ecgfounder_ft.inference.loading import load_predictor
        from ecgfounder_ft.inference.predict_command import Wanted, predict_into_file
        from ecgfounder_ft.inference.predictions_file import PARQUET_SUFFIXES

        if windows not in ("one", "mean", "each"):
            raise PredictionError(f"--windows {windows}: expected one, mean or each; an embedding has no maximum")
        if output.suffix.casefold() not in (".npy", *PARQUET_SUFFIXES):
            raise PredictionError(f"{output}: the suffix is {output.suffix!r}, expected .parquet or .npy")
        in_table = output.suffix.casefold() != ".npy"
        table = output if in_table else output.with_suffix(".csv")
        require_place_for(output)
        keep_freed_memory()
        described = SignalDescription(sampling_rate, unit, None if leads is None else tuple(leads.split(",")))
        found = load_predictor(
            model, device=device, backend=backend, bf16=bf16, trusted=trust or (), revision=revision, lead=lead
        )
        asked = AveragedCrops(found, crops) if crops > 1 else found
        readers = workers if workers is not None else (os.cpu_count() or 1) if found.on_gpu else 0
        wanted = Wanted(table, None, output, batch_size, readers, restart, progress=True, answers=False)
        reading = Reading(found.record.preprocessing, described, windows)
        summary = predict_into_file(asked, recordings, reading, wanted)
        for reason, count in summary.skipped.most_common():
            say(f"skipped {count}: {reason}", err=True)
        again = f" ({summary.resumed} of them by an earlier start)" if summary.resumed else ""
        say(f"{summary.answered} of {summary.recordings} recordings embedded{again}, {summary.rows} rows in {output}")
        return bool(summary.answered)

    if not run_or_explain(run):
        raise typer.Exit(ExitCode.NO_RESULT)
