"""The recordings that a report shows: the most confident errors and the least certain ones, with attributions."""

import logging
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from ecgfounder_ft.console import progress_bar
from ecgfounder_ft.ecg.formats import read_recording
from ecgfounder_ft.ecg.paper import overlay_from_window
from ecgfounder_ft.ecg.recording import Recording, UnreadableRecordingError
from ecgfounder_ft.errors import how_to_install
from ecgfounder_ft.evaluation.recordings_to_inspect import Case, choose_cases
from ecgfounder_ft.evaluation.run_evaluation import RunEvaluation
from ecgfounder_ft.inference.finished_model import FinishedModel
from ecgfounder_ft.report.page import AttributionNote, CaseDrawing

log = logging.getLogger(__name__)

ATTRIBUTION_STEPS = 32


def draw_cases(
    run: RunEvaluation, model: FinishedModel, recordings: pd.DataFrame
) -> tuple[list[CaseDrawing], AttributionNote | None]:
    """Choose recordings to look at, read them, and shade what their decisions rest on, where the settings ask for it.

    Args:
        run: evaluated.
        model: the run's.
        recordings: one row per recording, with ``recording`` and ``path``.
    """
    if not run.settings.cases:
        return [], None
    paths = dict(zip(recordings["recording"], recordings["path"], strict=True))
    position = model.record.preprocessing.window.position
    drawings = [_drawing(case, run, paths, position) for case in choose_cases(run.data)]
    if run.settings.attribution is False:
        return drawings, None
    try:
        import captum.attr  # noqa: F401
    except ModuleNotFoundError:
        log.warning("No attributions in the report: captum is not installed (%s)", how_to_install("attribution"))
        return drawings, None
    drawable = [number for number, drawing in enumerate(drawings) if drawing.signal is not None]
    if not drawable:
        return drawings, None
    return _attributed(drawings, drawable, run, model)


def _attributed(
    drawings: list[CaseDrawing], drawable: Sequence[int], run: RunEvaluation, model: FinishedModel
) -> tuple[list[CaseDrawing], AttributionNote]:
    from ecgfounder_ft.report.attribution import integrated_gradients, randomisation_check

    preprocessing = model.record.preprocessing
    signals = [drawings[number].signal for number in drawable]
    inputs = torch.from_numpy(np.stack([preprocessing(signal).signal for signal in signals if signal]))
    outputs = [run.data.codes.index(drawings[number].case.code) for number in drawable]
    log.info(
        "Attributing %d decisions (integrated gradients, %d steps); evaluation.attribution=false leaves it out",
        len(outputs),
        ATTRIBUTION_STEPS,
    )
    weights_of = []
    with progress_bar(sys.stderr.isatty()) as bar:
        for number in bar.track(range(len(outputs)), description="Attributing"):
            one = slice(number, number + 1)
            found = integrated_gradients(model.net, inputs[one], outputs[one], steps=ATTRIBUTION_STEPS)
            weights_of.append(found.weights[0])
    few = slice(0, 4)  # enough to tell whether attributions depend on what was learned
    check = randomisation_check(model.net, inputs[few], outputs[few], steps=ATTRIBUTION_STEPS)
    for number, signal, weights in zip(drawable, signals, weights_of, strict=True):
        assert signal is not None
        overlay = overlay_from_window(
            signal,
            weights,
            tuple(preprocessing.leads),
            preprocessing.sampling_rate,
            position=preprocessing.window.position,
        )
        drawings[number] = replace(drawings[number], overlay=overlay)
    method = f"integrated gradients, {ATTRIBUTION_STEPS} steps, from a flat line"
    return drawings, AttributionNote(method, check.correlation, check.sane)


def _drawing(case: Case, run: RunEvaluation, paths: Mapping[str, str], position: str) -> CaseDrawing:
    row = run.rows.iloc[case.row]
    facts = {"source": str(row["dataset"])}
    for name in ("constituent", "age", "sex"):
        if name in row and pd.notna(row[name]) and row[name] != "":
            facts[name] = f"{row[name]:g}" if isinstance(row[name], float) else str(row[name])
    name = str(row["recording"])
    path = paths.get(name) or ""
    signal, missing = _read(path)
    return CaseDrawing(case, name, path, facts, signal, position=position, missing=missing)


def _read(path: str) -> tuple[Recording | None, str]:
    if not path:
        return None, "its file is not known"
    try:
        return read_recording(Path(path)), ""
    except UnreadableRecordingError as error:
        return None, f"it cannot be read any more: {error.reason}"
