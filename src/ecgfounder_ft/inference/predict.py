"""Predictions of a finished model on recordings as stored, through the preprocessing that it was trained with."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ecgfounder_ft.ecg.recording import Recording
from ecgfounder_ft.inference.inputs import Input, Reading, prepare_all
from ecgfounder_ft.inference.predictor import Predictor

NO_NUMBER = "the model gives no number"
"""Why a recording is skipped whose probabilities are not finite."""


@dataclass(frozen=True)
class Prediction:
    """What a model says of one recording, or of one window of it."""

    input: Input
    """Without its signals."""
    start: float | None = None
    """Seconds from the recording's start to the window's; None where windows were combined, or without an answer."""
    windows: int = 0
    """How many the answer rests on; 0 where there is no answer."""
    uncalibrated: NDArray[np.float64] | None = None
    """(conditions,) probabilities as the network gives them."""
    probabilities: NDArray[np.float64] | None = None
    """(conditions,) calibrated, or the same where the model has no calibration."""
    decisions: NDArray[np.bool_] | None = None
    """(conditions,)."""
    embedding: NDArray[np.float32] | None = None
    """(width,) what the network's last layer reads, the mean over combined windows; None unless asked for."""


def predict(
    model: Predictor,
    recordings: Iterable[Path | Recording],
    reading: Reading,
    batch_size: int = 32,
    workers: int = 0,
    embeddings: bool = False,
) -> Iterator[list[Prediction]]:
    """Predict recordings, one list for each of them, in their order; memory does not grow with their number.

    A list has one prediction, or one for each window where ``reading.windows`` is ``each``.

    Args:
        model: a loaded one.
        recordings: or their paths.
        reading: how they are read and cut.
        batch_size: windows at a time.
        workers: processes that read ahead of the network.
        embeddings: give them, too.
    """
    waiting: list[Input] = []
    windows = 0
    for found in prepare_all(recordings, reading, workers):
        waiting.append(found)
        windows += len(found.signals)
        if windows >= batch_size or len(waiting) >= 4 * batch_size:  # a stretch of skipped ones is told as well
            yield from _answers(model, waiting, reading.windows, batch_size, embeddings)
            waiting, windows = [], 0
    yield from _answers(model, waiting, reading.windows, batch_size, embeddings)


def _answers(
    model: Predictor, inputs: Sequence[Input], rule: str, batch_size: int, embeddings: bool
) -> Iterator[list[Prediction]]:
    usable = [found.signals for found in inputs if len(found.signals)]
    if usable:
        signals = np.concatenate(usable)
        parts = [signals[start : start + batch_size] for start in range(0, len(signals), batch_size)]
        outputs = [model.outputs(part) for part in parts]
        raw = np.concatenate([output.uncalibrated for output in outputs])
        calibrated = model.calibrated(raw)
        vectors = np.concatenate([output.embedding for output in outputs]) if embeddings else None
    at = 0
    for found in inputs:
        place = slice(at, at + len(found.signals))
        at = place.stop
        if not len(found.signals):
            yield [Prediction(found)]
            continue
        yield _of_recording(
            model, found, rule, raw[place], calibrated[place], None if vectors is None else vectors[place]
        )


def _of_recording(
    model: Predictor,
    found: Input,
    rule: str,
    raw: NDArray[np.float64],
    calibrated: NDArray[np.float64],
    vectors: NDArray[np.float32] | None,
) -> list[Prediction]:
    """The windows of one recording, combined by the rule."""
    starts: Sequence[float | None] = found.starts
    windows = 1
    if rule in ("mean", "max"):
        combine = np.mean if rule == "mean" else np.max
        windows = len(raw)
        raw, calibrated = combine(raw, axis=0)[None], combine(calibrated, axis=0)[None]
        vectors = None if vectors is None else vectors.mean(axis=0)[None]
        starts = [found.starts[0] if windows == 1 else None]
    decisions = model.decisions(calibrated)
    light = replace(found, signals=found.signals[:0])
    embeddings: Sequence[NDArray[np.float32] | None] = [None] * len(raw) if vectors is None else list(vectors)
    return [
        Prediction(light, start, windows, *answer)
        if np.isfinite(answer[1]).all()
        else Prediction(_without_number(light, model.record.label_map.codes, answer[1]), start)
        for start, *answer in zip(starts, raw, calibrated, decisions, embeddings, strict=True)
    ]


def _without_number(found: Input, codes: Sequence[str], values: NDArray[np.float64]) -> Input:
    """A recording for which the network overflows: what is no number decides nothing."""
    odd = [code for code, value in zip(codes, values, strict=True) if not np.isfinite(value)]
    return replace(found, reason=NO_NUMBER, detail=f"for {', '.join(odd[:8])}")
