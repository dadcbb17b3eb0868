"""``ecgfounder-ft export``."""

from pathlib import Path
from typing import Annotated

import typer

from ecgfounder_ft.commands.options import AcceptEdited, Run, Trust, path_option
from ecgfounder_ft.console import say
from ecgfounder_ft.errors import run_or_explain


def export(
    run_folder: Run,
    to: Annotated[Path, path_option("Folder of the exported model; absent or empty.")],
    onnx: Annotated[bool, typer.Option(help="Also as ONNX, which prediction without torch needs.")] = True,
    licence: Annotated[
        str | None,
        typer.Option(
            "--license",
            help="Of the model, by the Hub's identifier (cc-by-4.0, ...); default: mit where it started from the "
            "published weights, else none is stated.",
        ),
    ] = None,
    trust: Trust = None,
    accept_edited: AcceptEdited = False,
) -> None:
    """Write the model of a run as safetensors, ONNX and config.json, with a model card. No medical device."""

    def run() -> None:
        from ecgfounder_ft.inference import NO_MEDICAL_DEVICE
        from ecgfounder_ft.runs.export import export_run
        from ecgfounder_ft.runs.folder import RunFolder

        exported = export_run(
            RunFolder(run_folder),
            to,
            onnx=onnx,
            licence=licence,
            trusted=trust or (),
            accept_edited=accept_edited,
        )
        for name in sorted(path.name for path in exported.folder.iterdir()):
            say(f"{exported.folder / name}  {(exported.folder / name).stat().st_size:,} bytes")
        say(f"{NO_MEDICAL_DEVICE.capitalize()}.")

    run_or_explain(run)
