"""Recordings on ECG paper with what the model says of them."""

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ecgfounder_ft.console import displayable
from ecgfounder_ft.ecg.description import SignalDescription
from ecgfounder_ft.ecg.formats import read_recording
from ecgfounder_ft.ecg.paper import draw_recording
from ecgfounder_ft.ecg.recording import UnreadableRecordingError
from ecgfounder_ft.files import whole_file
from ecgfounder_ft.inference import NO_MEDICAL_DEVICE
from ecgfounder_ft.inference.predict import Prediction

_DPI = 150
_LINE_CHARACTERS = 125
"""Characters of a line that fit above the traces."""
_CONDITIONS_IN_ORDER = 8
"""Conditions that have room. Of more, those that are decided for stand first, then the most probable."""

log = logging.getLogger(__name__)


def write_page(
    folder: Path,
    number: int,
    predictions: Sequence[Prediction],
    codes: Sequence[str],
    stated: SignalDescription,
    position: str,
) -> Path | None:
    """Draw one recording with its answer, or with the reason why it has none.

    The number begins the file's name, since names alone repeat between folders. Of several windows, the highest
    probability of each condition is shown. The position of the model's window is ``centre`` or ``start``.

    Returns:
        The picture; None where the recording cannot be read, or drawn, which the log tells.

    Raises:
        OSError: if the picture cannot be written.
    """
    found = predictions[0].input
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"{number:07d}-{found.path.stem}.png"
    try:
        recording = read_recording(found.path, stated=stated)
        parts = (displayable(found.path.name), recording.format, "; ".join(found.flags), NO_MEDICAL_DEVICE)
        name = "   ·   ".join(part for part in parts if part)
        title = f"{_shortened(name)}\n{_shortened(displayable(_answer(predictions, codes)))}"
        figure = draw_recording(recording, title=title, position=position)
        with whole_file(target) as unfinished:
            figure.savefig(unfinished, dpi=_DPI, format="png")
    except UnreadableRecordingError:
        return None
    except OSError:
        raise
    except Exception:  # as in reading: one recording of a million shall not end the others
        log.exception("%s cannot be drawn", found.path)
        return None
    return target


def _answer(predictions: Sequence[Prediction], codes: Sequence[str]) -> str:
    probabilities = [one.probabilities for one in predictions if one.probabilities is not None]
    decisions = [one.decisions for one in predictions if one.decisions is not None]
    if not probabilities:
        return f"no answer: {predictions[0].input.reason}: {predictions[0].input.detail}"
    highest, chosen = np.max(probabilities, axis=0), np.any(decisions, axis=0)
    order = range(len(codes)) if len(codes) <= _CONDITIONS_IN_ORDER else np.lexsort((-highest, ~chosen))
    parts = [f"{codes[place]} {highest[place]:.2f}{' yes' if chosen[place] else ''}" for place in order]
    windows = sum(one.windows for one in predictions)
    note = f"   ({windows} windows{', highest of each' if len(predictions) > 1 else ''})" if windows > 1 else ""
    return "   ".join(parts) + note


def _shortened(line: str) -> str:
    return line if len(line) <= _LINE_CHARACTERS else line[: _LINE_CHARACTERS - 1] + "…"
