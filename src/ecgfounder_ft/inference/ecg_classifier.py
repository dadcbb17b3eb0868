"""A finished model in Python: loaded by name, asked about files and arrays.

>>> from ecgfounder_ft import ECGClassifier
>>> classifier = ECGClassifier.from_pretrained("my-group/ecg-six-conditions")  # doctest: +SKIP
>>> classifier.predict("recordings/00001.hea").probabilities["AFIB"]  # doctest: +SKIP
0.93
"""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ecgfounder_ft.console import displayable
from ecgfounder_ft.ecg.description import SignalDescription
from ecgfounder_ft.ecg.formats import find_recordings
from ecgfounder_ft.ecg.leads import lead_of_label
from ecgfounder_ft.ecg.recording import Recording, UnreadableRecordingError
from ecgfounder_ft.ecg.units import millivolts_per
from ecgfounder_ft.inference import NO_MEDICAL_DEVICE
from ecgfounder_ft.inference.inputs import PredictionError, Reading
from ecgfounder_ft.inference.loading import load_predictor
from ecgfounder_ft.inference.predict import Prediction, predict
from ecgfounder_ft.inference.predictor import Predictor
from ecgfounder_ft.model.record import ModelRecord

Recordings: TypeAlias = "str | Path | ArrayLike | Sequence[str | Path | ArrayLike]"
"""A file, a folder, an array (leads, samples), a list of any of these, or an array (recordings, leads, samples)."""


@dataclass(frozen=True, repr=False)
class Result:
    """What a model says of one recording, or of one window of it. Research only: no medical device."""

    name: str
    """Path of the file, or ``array 0``, ``array 1`` ... in the order in which arrays were given."""
    probabilities: dict[str, float]
    """Condition to calibrated probability; empty where the recording was skipped."""
    uncalibrated: dict[str, float]
    """Condition to probability as the network gives it."""
    decisions: dict[str, bool]
    """Condition to whether its probability reaches the threshold; in a single-label task, whether it is the highest."""
    quality: tuple[str, ...]
    """What is wrong with the signal, in the phrases of :mod:`ecgfounder_ft.ecg.quality`."""
    repairs: tuple[str, ...]
    """What was mended or computed on the way."""
    windows: int
    """Number of windows that the answer rests on; 0 without an answer."""
    start: float | None
    """Seconds from the recording's start to the window's; None where windows were combined."""
    reader: str
    """The format that a file was read as."""
    seconds: float | None
    """Length of the recording."""
    sampling_rate: float | None
    """Hz, as stored."""
    skipped: str
    """Why there is no answer; empty where there is one."""
    detail: str
    """What was found, and what was expected."""
    notice: str = NO_MEDICAL_DEVICE

    def to_dict(self) -> dict[str, Any]:
        """The columns of a predictions table to their values, so that a list of these makes a frame."""
        numbers = {
            f"{column}_{code}": value
            for column, found in (
                ("uncalibrated", self.uncalibrated),
                ("probability", self.probabilities),
                ("decision", self.decisions),
            )
            for code, value in found.items()
        }
        return {
            "path": self.name,
            "reader": self.reader,
            "skipped": self.skipped,
            "detail": self.detail,
            "quality": "; ".join(self.quality),
            "repairs": "; ".join(self.repairs),
            "seconds": self.seconds,
            "sampling_rate": self.sampling_rate,
            "windows": self.windows,
            "window_start": self.start,
            **numbers,
            "use": self.notice,
        }

    def __repr__(self) -> str:
        if self.skipped:
            return f"Result({displayable(self.name)}: skipped: {self.skipped})"
        answers = [
            f"{code} {value:.2f}{' yes' if self.decisions[code] else ''}" for code, value in self.probabilities.items()
        ]
        flags = f"; quality: {', '.join(self.quality)}" if self.quality else ""
        return f"Result({displayable(self.name)}: {', '.join(answers)}{flags}; {self.notice})"


class ECGClassifier:
    """A model that can be asked about recordings.

    Args:
        predictor: a loaded model; :meth:`from_pretrained` loads one.
    """

    def __init__(self, predictor: Predictor) -> None:
        self.predictor = predictor

    @classmethod
    def from_pretrained(
        cls,
        source: str | Path,
        *,
        revision: str | None = None,
        device: str = "auto",
        backend: str = "auto",
        trusted: Collection[str] = (),
        lead: str | None = None,
    ) -> ECGClassifier:
        """Load a model. No code from its files is run.

        The arguments are those of :func:`~ecgfounder_ft.inference.loading.load_predictor`.

        Raises:
            ExplainedError: if it cannot be loaded.
        """
        return cls(
            load_predictor(source, device=device, backend=backend, trusted=trusted, revision=revision, lead=lead)
        )

    @property
    def record(self) -> ModelRecord:
        """The record of the model: label map, preprocessing, thresholds, calibration, versions."""
        return self.predictor.record

    @property
    def conditions(self) -> dict[str, str]:
        """Condition code to name, in the order of the network's outputs."""
        return {code: condition.name for code, condition in self.record.label_map.conditions.items()}

    def predict(
        self,
        recordings: Recordings,
        *,
        sampling_rate: float | None = None,
        leads: Sequence[str] | None = None,
        unit: str | None = None,
        windows: str = "one",
        batch_size: int = 32,
    ) -> Result | list[Result]:
        """Answers for recordings of any format, or for arrays.

        Args:
            recordings: a file, a folder, an array (leads, samples) with NaN where a sample is missing, a list of
                these, or an array (recordings, leads, samples).
            sampling_rate: Hz of arrays, and of files that do not say it.

            leads: names of an array's rows, in any order.
            unit: mV, uV, V or nV; an array without one is in millivolts.
            windows: a rule of :class:`~ecgfounder_ft.inference.inputs.Reading`.
            batch_size: windows at a time.

        Returns:
            For one file or one (leads, samples) array its result, or with ``windows="each"`` a list. Otherwise one
            result for each recording, in order; those that were skipped say why. ``pandas.DataFrame([one.to_dict()
            for one in results])`` makes them a table.

        Raises:
            UnreadableRecordingError: if the one recording that was given cannot be used.
            PredictionError: if an array comes without its rate or leads, or holds no recordings.
        """
        stated = _stated(sampling_rate, leads, unit)
        answers, alone = self._answers(recordings, stated, windows, batch_size, embeddings=False)
        results = [_result(one, self.record.label_map.codes) for answer in answers for one in answer]
        return results[0] if alone and windows != "each" else results

    def embed(
        self,
        recordings: Recordings,
        *,
        sampling_rate: float | None = None,
        leads: Sequence[str] | None = None,
        unit: str | None = None,
        windows: str = "one",
        batch_size: int = 32,
    ) -> NDArray[np.float32]:
        """What the network's last layer reads: numbers that describe a recording, for models of your own.

        Args:
            recordings: as for :meth:`predict`, and so are the others.
            sampling_rate: Hz.
            leads: names.
            unit: of the samples.
            windows: ``one``, or ``mean`` over all windows.
            batch_size: windows at a time.

        Returns:
            (width,) for one file or one (leads, samples) array, else (recordings, width), NaN where one was skipped.

        Raises:
            UnreadableRecordingError: if the one recording that was given cannot be used.
            PredictionError: as :meth:`predict`, and if ``windows`` is another word.
        """
        if windows not in ("one", "mean"):
            raise PredictionError(f"windows is {windows!r}, expected one or mean: an embedding has no maximum")
        stated = _stated(sampling_rate, leads, unit)
        answers, alone = self._answers(recordings, stated, windows, batch_size, embeddings=True)
        vectors = [answer[0].embedding for answer in answers]
        width = next((len(vector) for vector in vectors if vector is not None), 0)
        blank = np.full(width, np.nan, np.float32)
        rows = [blank if vector is None else vector for vector in vectors]
        return rows[0] if alone else np.array(rows, np.float32).reshape(len(rows), width)

    def _answers(
        self, recordings: Any, stated: SignalDescription, windows: str, batch_size: int, *, embeddings: bool
    ) -> tuple[list[list[Prediction]], bool]:
        """The answers for each recording, and whether a single one was given."""
        given, alone = _given(recordings, stated)
        reading = Reading(self.record.preprocessing, stated, windows)
        answers = list(predict(self.predictor, given, reading, batch_size, embeddings=embeddings))
        if alone and (found := answers[0][0].input).reason:
            raise UnreadableRecordingError(found.reason, found.detail, found.path)
        return answers, alone


def _stated(sampling_rate: float | None, leads: Sequence[str] | None, unit: str | None) -> SignalDescription:
    return SignalDescription(sampling_rate, unit, None if leads is None else tuple(leads))


def _given(recordings: Any, stated: SignalDescription) -> tuple[list[Path | Recording], bool]:
    """The recordings one by one, and whether a single one was meant."""
    alone = isinstance(recordings, str | os.PathLike) or (hasattr(recordings, "shape") and recordings.ndim == 2)
    found: list[Path | Recording] = []
    for number, entry in enumerate([recordings] if alone else recordings):
        if not isinstance(entry, str | os.PathLike):
            found.append(_of_array(entry, number, stated))
        elif Path(entry).is_dir():
            found += find_recordings(Path(entry))
            alone = False
        else:
            found.append(Path(entry))
    return found, alone


def _of_array(array: Any, number: int, stated: SignalDescription) -> Recording:
    """An array (leads, samples) as a recording in millivolts."""
    name = f"array {number}"
    rate, leads = stated.sampling_rate, stated.leads
    if rate is None or leads is None:
        missing = "sampling_rate" if rate is None else "leads"
        raise PredictionError(
            f"{name}: {missing} is not stated, and an array does not say it: predict(array, sampling_rate=500, "
            'leads=["I", "II", ...])'
        )
    signal = np.asarray(array)
    if signal.dtype.kind not in "fiu" or signal.ndim != 2 or len(signal) != len(leads):
        turned = (
            " Is it the other way round? Give array.T" if signal.ndim == 2 and signal.shape[1] == len(leads) else ""
        )
        raise PredictionError(
            f"{name}: numbers of the type {signal.dtype} and the shape {signal.shape}, expected (leads, samples) with "
            f"{len(leads)} leads.{turned}"
        )
    factor = millivolts_per(stated.unit or "mV")
    assert factor is not None
    values = signal.astype(np.float64) * factor
    values[np.isinf(values)] = np.nan
    return Recording(name, tuple(map(lead_of_label, leads)), values, float(rate))


def _result(one: Prediction, codes: Sequence[str]) -> Result:
    def by_code(values: NDArray[Any] | None, kind: type) -> dict[str, Any]:
        return {} if values is None else {code: kind(value) for code, value in zip(codes, values, strict=True)}

    found = one.input
    return Result(
        name=str(found.path),
        probabilities=by_code(one.probabilities, float),
        uncalibrated=by_code(one.uncalibrated, float),
        decisions=by_code(one.decisions, bool),
        quality=found.flags,
        repairs=found.repairs,
        windows=one.windows,
        start=one.start,
        reader=found.reader,
        seconds=found.seconds,
        sampling_rate=found.sampling_rate,
        skipped=found.reason,
        detail=found.detail,
    )
