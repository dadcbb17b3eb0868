"""``ecgfounder-ft predict``."""

from __future__ import annotations

import os
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ecgfounder_ft.commands.options import AcceptEdited, Bf16, Trust, path_argument, path_option, stated
from ecgfounder_ft.console import plain_console, say
from ecgfounder_ft.errors import ExitCode, run_or_explain
from ecgfounder_ft.memory import keep_freed_memory

if TYPE_CHECKING:
    from rich.table import Table

    from ecgfounder_ft.inference.inputs import Reading
    from ecgfounder_ft.inference.predict_command import Wanted
    from ecgfounder_ft.inference.predictor import Predictor

Model = Annotated[
    str,
    typer.Argument(
        parser=stated,
        metavar="model",
        help="An exported model, a repository of one on the Hub (group/name), a run's folder, its model.pth or "
        "a checkpoint of it, or a pretrained file: 12_lead_ECGFounder, 1_lead_ECGFounder, or its path.",
    ),
]
Windows = Annotated[
    str,
    typer.Option(
        help="Of recordings longer than the model's input. one: the window it was trained on; else all consecutive "
        "windows, each with a row of its own (each), or their mean or max for each condition."
    ),
]
Backend = Annotated[
    str, typer.Option(help="auto, onnxruntime (processor; exported models) or torch; the answers are the same.")
]
Workers = Annotated[
    int | None,
    typer.Option(min=0, help="Processes that read and filter; default: one per core beside a GPU, else 0."),
]


MOST_COLUMNS = 12
"""Conditions of a model up to which each gets a column in the terminal."""
MOST_SHOWN = 5
"""Most probable conditions that are shown of a model with more."""


def predict(
    model: Model,
    recordings: Annotated[list[Path], path_argument("Recordings of any format, or folders of them.")],
    output: Annotated[Path, path_option("The table of predictions, .csv or .parquet.")] = Path("predictions.csv"),
    plots: Annotated[Path | None, path_option("Folder for each recording on ECG paper with its result.")] = None,
    embeddings: Annotated[
        Path | None, path_option("A .npy file for what the last layer reads, one row per row of the table.")
    ] = None,
    windows: Windows = "one",
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
    show: Annotated[int, typer.Option(min=0, help="Rows of the table to show in the terminal when all are there.")] = 0,
    restart: Annotated[
        bool, typer.Option("--restart", help="Begin anew, where the same command would go on after a kill.")
    ] = False,
    trust: Trust = None,
    accept_edited: AcceptEdited = False,
) -> None:
    """Predict recordings as they are stored; leads, sampling rate and filters follow from the model.

    Answers are written as they come. The same command goes on where it was killed. Exit code 1: no recording has an
    answer; 2: it could not run. Research only: this is no medical device.
    """

    def run() -> bool:
        from ecgfounder_ft.ecg.description import SignalDescription
        from ecgfounder_ft.files import require_place_for
        from ecgfounder_ft.inference.inputs import Reading
        from ecgfounder_ft.inference.loading import load_predictor
        from ecgfounder_ft.inference.predict_command import Wanted

        for file in (output, embeddings):
            if file is not None:
                require_place_for(file)
        keep_freed_memory()
        _require_unedited(model, accept_edited)
        described = SignalDescription(sampling_rate, unit, None if leads is None else tuple(leads.split(",")))
        found = load_predictor(
            model, device=device, backend=backend, bf16=bf16, trusted=trust or (), revision=revision, lead=lead
        )
        readers = workers if workers is not None else (os.cpu_count() or 1) if found.on_gpu else 0
        wanted = Wanted(output, plots, embeddings, batch_size, readers, restart, progress=True)
        return _predict(found, recordings, Reading(found.record.preprocessing, described, windows), wanted, show)

    if not run_or_explain(run):
        raise typer.Exit(ExitCode.NO_RESULT)


def _require_unedited(model: str, accept: bool) -> None:
    """Refuse a run whose files were edited; a file of it, or an exported model, has digests of its own."""
    from ecgfounder_ft.inference.exported_model import is_exported_model

    if not Path(model).is_dir() or is_exported_model(Path(model)):
        return  # what follows imports packages of training
    from ecgfounder_ft.runs.digests import require_unedited
    from ecgfounder_ft.runs.folder import RunFolder

    folder = RunFolder(Path(model))
    if (folder.path / folder.CONFIGURATION).is_file():
        require_unedited(folder, accept=accept)


def _predict(model: Predictor, recordings: Sequence[Path], reading: Reading, wanted: Wanted, show: int) -> bool:
    """Predict, say what came of it, and return whether any recording has an answer."""
    from ecgfounder_ft.inference import NO_MEDICAL_DEVICE
    from ecgfounder_ft.inference.predict_command import predict_into_file

    found = predict_into_file(model, recordings, reading, wanted)
    for reason, count in found.skipped.most_common():
        say(f"skipped {count}: {reason}", err=True)
    again = f" ({found.resumed} of them by an earlier start)" if found.resumed else ""
    if show:
        plain_console().print(answers_table(wanted.output, model.record.label_map.codes, show))
    done = f"{found.answered} of {found.recordings} recordings answered{again}"
    say(f"{done}, {found.rows} rows in {wanted.output}")
    say(f"{NO_MEDICAL_DEVICE.capitalize()}.")
    return bool(found.answered)


def answers_table(predictions: Path, codes: Sequence[str], n: int) -> Table:
    """The first answers of a file of predictions: probabilities, what is decided, and what is wrong with the signal.

    Args:
        predictions: finished, ``.csv`` or ``.parquet``.
        codes: the model's conditions.
        n: rows.
    """
    from rich import box
    from rich.table import Table

    from ecgfounder_ft.inference.predictions_file import read_rows

    few = len(codes) <= MOST_COLUMNS
    table = Table(box=box.SIMPLE_HEAD, collapse_padding=True)
    table.add_column("recording", overflow="fold")
    for code in codes if few else ("most probable",):
        table.add_column(code, justify="right" if few else "left", no_wrap=few)
    if few:
        table.add_column("decided")
    table.add_column("quality", overflow="fold")
    for row in islice(read_rows(predictions), n):
        name = "/".join(Path(row["path"]).parts[-2:])  # the folder often says what was stated
        if row["skipped"]:
            table.add_row(name, *(["-"] * len(codes) if few else []), f"skipped: {row['skipped']}", row["quality"])
            continue
        decided = [code for code in codes if row[f"decision_{code}"] == "1"]
        chances = {code: float(row[f"probability_{code}"]) for code in codes}
        if few:
            shown = [*(f"{chance:.2f}" for chance in chances.values()), ", ".join(decided) or "none"]
        else:
            first = sorted(chances, key=lambda code: -chances[code])[:MOST_SHOWN]
            shown = [", ".join(f"{code} {chances[code]:.2f}" for code in first)]
        table.add_row(name, *shown, row["quality"])
    return table
