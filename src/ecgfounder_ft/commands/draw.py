"""``ecgfounder-ft draw``."""

from pathlib import Path
from typing import Annotated

from ecgfounder_ft.commands.options import path_argument, path_option
from ecgfounder_ft.console import say
from ecgfounder_ft.errors import run_or_explain


def draw(
    recording: Annotated[Path, path_argument("Of any format that says its rate, unit and leads.")],
    output: Annotated[Path | None, path_option("The picture; in the current folder by default.")] = None,
) -> None:
    """Draw a recording on ECG paper, 25 mm/s and 10 mm/mV."""

    def run() -> None:
        from ecgfounder_ft.ecg.formats import read_recording
        from ecgfounder_ft.ecg.paper import draw_recording
        from ecgfounder_ft.inference import NO_MEDICAL_DEVICE

        found = read_recording(recording)
        target = output or Path(f"{found.name}.png")
        draw_recording(found, title=f"{found.name}   ·   {NO_MEDICAL_DEVICE}").savefig(target, dpi=150)
        say(str(target))

    run_or_explain(run)
