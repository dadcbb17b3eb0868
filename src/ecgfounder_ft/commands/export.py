"""``ecgfounder-ft export``."""

from pathlib import Path
from typing import Annotated

import typer

from ecgfounder_ft.commands.options import AcceptEdited, Trust, path_argument, path_option
from ecgfounder_ft.console import say
from ecgfounder_ft.errors import run_or_explain


def export(
    run_folder: Annotated[Path, path_argument("The folder of a finished run, or a pretrained file.", "RUN")],
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
        from ecgfounder_ft.inference.loading import pretrained_source
        from ecgfounder_ft.runs.export import export_pretrained, export_run
        from ecgfounder_ft.runs.folder import RunFolder

        if (pretrained := pretrained_source(run_folder)) is not None:
            exported = export_pretrained(pretrained, to, onnx=onnx, licence=licence)
        else:
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
