"""Recordings on ECG paper with what the model says of them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ecgfounder_ft.ecg.description import SignalDescription
from ecgfounder_ft.ecg.formats import read_recording
from ecgfounder_ft.ecg.paper import draw_recording
from ecgfounder_ft.ecg.recording import UnreadableRecordingError
from ecgfounder_ft.files import whole_file
from ecgfounder_ft.inference.notice import NO_MEDICAL_DEVICE
from ecgfounder_ft.inference.predict import Prediction

_DPI = 150
_LINE_CHARACTERS = 125
"""That fit above the traces."""


def write_page(
    folder: Path,
    number: int,
    predictions: Sequence[Prediction],
    codes: Sequence[str],
    stated: SignalDescription,
    position: str,
) -> Path | None:
    """Draw one recording with its answer, or with the reason why it has none.

    Args:
        folder: made if absent.
        number: of the recording, which begins the file's name: names alone repeat between folders.
        predictions: of the recording; of several windows, the highest probability of each condition is shown.
        codes: the model's conditions.
        stated: rate, unit and leads for files that do not say them.
        position: of the model's window, ``centre`` or ``start``.

    Returns:
        The picture; None where the recording cannot be read.
    """
    found = predictions[0].input
    try:
        recording = read_recording(found.path, stated=stated)
    except UnreadableRecordingError:
        return None
    parts = (found.path.name, recording.format, "; ".join(found.flags), NO_MEDICAL_DEVICE)
    name = "   ·   ".join(part for part in parts if part)
    title = f"{_shortened(name)}\n{_shortened(_answer(predictions, codes))}"
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"{number:07d}-{found.path.stem}.png"
    with whole_file(target) as unfinished:
        figure = draw_recording(recording, title=title, position=position)
        figure.savefig(unfinished, dpi=_DPI, format="png")
    return target


def _answer(predictions: Sequence[Prediction], codes: Sequence[str]) -> str:
    probabilities = [one.probabilities for one in predictions if one.probabilities is not None]
    decisions = [one.decisions for one in predictions if one.decisions is not None]
    if not probabilities:
        return f"no answer: {predictions[0].input.reason}: {predictions[0].input.detail}"
    parts = [
        f"{code} {value:.2f}{' yes' if choice else ''}"
        for code, value, choice in zip(codes, np.max(probabilities, axis=0), np.any(decisions, axis=0), strict=True)
    ]
    windows = sum(one.windows for one in predictions)
    note = f"   ({windows} windows{', highest of each' if len(predictions) > 1 else ''})" if windows > 1 else ""
    return "   ".join(parts) + note


def _shortened(line: str) -> str:
    return line if len(line) <= _LINE_CHARACTERS else line[: _LINE_CHARACTERS - 1] + "…"
