"""Each guard against a mistake of ``studies.mistakes.mistakes``, made to fire: what this program says to it."""

import contextlib
import json
import logging
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from ecgfounder_ft.config.compose import compose_settings, load_label_map
from ecgfounder_ft.data.catalog import build_table
from ecgfounder_ft.data.gather_and_split import gather_recordings
from ecgfounder_ft.data.leakage import LeakageError, leakage_report
from ecgfounder_ft.data.near_copies import find_copies, fingerprint, groups_of, name_groups
from ecgfounder_ft.ecg.formats import read_recording
from ecgfounder_ft.ecg.formats.wfdb import write_recording
from ecgfounder_ft.ecg.formats.wfdb.mat import HEADER_BYTES
from ecgfounder_ft.ecg.leads import STANDARD_LEADS
from ecgfounder_ft.ecg.preprocessing import Preprocessing
from ecgfounder_ft.ecg.quality import quality_flags
from ecgfounder_ft.ecg.recording import Recording, UnreadableRecordingError
from ecgfounder_ft.ecg.simulator import simulate
from ecgfounder_ft.evaluation.comparison import NotComparableError, compare
from ecgfounder_ft.evaluation.inputs import prepare
from ecgfounder_ft.evaluation.predictions import Predictions, predictions_table
from ecgfounder_ft.evaluation.run_evaluation import fitted
from ecgfounder_ft.task import MULTI_LABEL
from ecgfounder_ft.training.build import warn_of_other_preprocessing
from ecgfounder_ft.training.monitor import MonitorError, direction_of
from studies.mistakes.inputs import (
    SHORT_SECONDS,
    UNFILTERED,
    printed_in_label_map_order,
    read_at,
    read_by_position,
    unknown_as_absent,
    with_settings,
)
from studies.mistakes.splits import copy_of

PREPROCESSING = Preprocessing()
CODES = load_label_map("six_conditions").codes


@dataclass(frozen=True)
class Guard:
    """What keeps a mistake from being silent."""

    name: str
    """What it does, in a few words."""
    fire: Callable[[], str]
    """Makes the mistake, and returns what the program says to it."""


def _recording(number: int = 0) -> Recording:
    return simulate({"NORM"}, np.random.default_rng([5, number]), disturbed=False).recording


@contextlib.contextmanager
def _logged(name: str) -> Iterator[list[str]]:
    """What a logger says meanwhile."""
    said: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: said.append(record.getMessage())  # type: ignore[method-assign]
    logger = logging.getLogger(name)
    propagates, logger.propagate = logger.propagate, False
    logger.addHandler(handler)
    try:
        yield said
    finally:
        logger.removeHandler(handler)
        logger.propagate = propagates


def _refused(kind: type[Exception], attempt: Callable[[], object]) -> str:
    """The message of an error that has to come.

    Raises:
        AssertionError: if it does not.
    """
    try:
        attempt()
    except kind as error:
        return str(error)
    raise AssertionError(f"no {kind.__name__}: the guard is silent")


def _flag(recording: Recording, seconds: float = 10.0) -> str:
    flags = quality_flags(recording, seconds)
    assert flags, "the guard is silent"
    return "; ".join(flags)


def _warned(preprocessing: Preprocessing) -> str:
    with _logged("ecgfounder_ft.training.build") as said:
        warn_of_other_preprocessing(preprocessing, "12_lead_ECGFounder")
    assert said, "the guard is silent"
    return "; ".join(said)


def _rate_unsaid() -> str:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "0001.npy"
        np.save(file, _recording().signal)
        said = _refused(UnreadableRecordingError, lambda: read_recording(file, STANDARD_LEADS))
        return said.replace(f"{folder}/", "")


def _rate_contradicted() -> str:
    """An array of 1000 Hz with a sidecar: the rate is read, and the recording resampled."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "0001.npy"
        recording = simulate({"NORM"}, np.random.default_rng(5), sampling_rate=1000.0, disturbed=False).recording
        np.save(file, recording.signal)
        said = {"sampling_rate": 1000.0, "unit": "mV", "leads": list(STANDARD_LEADS)}
        file.with_suffix(".json").write_text(json.dumps(said), encoding="utf-8")
        repairs = PREPROCESSING(read_recording(file, STANDARD_LEADS)).repairs
        assert "resampled" in repairs, "the guard is silent"
        return f"repairs: {'; '.join(repairs)}"


def _zscores_in_a_mat_file() -> str:
    with tempfile.TemporaryDirectory() as folder:
        recording = _recording()
        header = write_recording(Path(folder), "JS1", recording.signal, STANDARD_LEADS, 500.0, storage="mat")
        file = header.with_suffix(".mat")
        written = PREPROCESSING(recording).signal.astype("<i2")
        file.write_bytes(file.read_bytes()[:HEADER_BYTES] + np.ascontiguousarray(written.T).tobytes())
        return _refused(UnreadableRecordingError, lambda: read_recording(header)).replace(f"{folder}/", "")


def _compared(mistake: str) -> str:
    """``compare`` of the right way with another order of classes, or with labels that were filled in."""
    rng = np.random.default_rng(0)
    states = rng.integers(-1, 2, (40, len(CODES))).astype(np.int8)
    answers, patients = rng.random(states.shape), np.arange(len(states))
    right = prepare(states, answers, patients, CODES, task=MULTI_LABEL)
    if mistake == "order":
        alphabetical = printed_in_label_map_order(answers, CODES)
        wrong = prepare(
            printed_in_label_map_order(states, CODES), alphabetical, patients, sorted(CODES), task=MULTI_LABEL
        )
    else:
        wrong = prepare(unknown_as_absent(states), answers, patients, CODES, task=MULTI_LABEL)
    return _refused(NotComparableError, lambda: compare(right, wrong, resamples=10))


def _catalog(patients: list[str]) -> pd.DataFrame:
    known = {"dataset": "hospital", "sampling_rate": 500.0, "samples": 5000}
    rows = [
        {"recording": f"hospital/{row}", "path": f"{row}.hea", "patient": patient, **known}
        for row, patient in enumerate(patients)
    ]
    return build_table(rows, load_label_map("six_conditions"))


def _patients_on_two_sides() -> str:
    table = _catalog(["hospital/A", "hospital/A", "hospital/B"])
    report = leakage_report(table, pd.Series(["train", "test", "train"]), table["recording"])
    return _refused(LeakageError, report.require_none)


class _InMemory(list[np.ndarray]):
    def read(self, indices: list[int]) -> np.ndarray:
        return np.stack([self[index] for index in indices])


def _copies_on_two_sides() -> str:
    recordings = [_recording(0), copy_of(_recording(0)), _recording(1)]
    prints = np.stack([fingerprint(one.signal, one.sampling_rate) for one in recordings])
    signals = _InMemory([PREPROCESSING(one).signal for one in recordings])
    alone = np.arange(len(recordings))
    found = find_copies(prints, signals, PREPROCESSING.sampling_rate, alone)
    table = _catalog([f"hospital/{name}" for name in "ABC"])
    signal = name_groups(groups_of(alone, pairs=found.pairs), table["recording"])
    return _refused(LeakageError, leakage_report(table, pd.Series(["train", "test", "train"]), signal).require_none)


def _thresholds_without_validation() -> str:
    """Predictions of test alone: no threshold comes from them."""
    rng = np.random.default_rng(0)
    states = rng.integers(0, 2, (40, len(CODES))).astype(np.int8)
    rows = _catalog([f"hospital/{row}" for row in range(len(states))]).assign(split="test")
    predictions = Predictions(
        "run", predictions_table(rows, states, rng.random(states.shape), CODES), CODES, MULTI_LABEL
    )
    settings = compose_settings(["task=multi_label"]).evaluation
    _, thresholds = fitted(predictions, settings, refit=True)
    assert thresholds is not None
    code = CODES[0]
    assert thresholds.values[code] == 0.5, "the guard is silent"
    return f"{code} {thresholds.values[code]}: {thresholds.notes[code]}"


def _cap_of_training_alone() -> str:
    """A hospital of 12 recordings with a cap of one: what it leaves out, by side."""
    label_map = load_label_map("six_conditions")
    with tempfile.TemporaryDirectory() as name, _logged("ecgfounder_ft"):
        folder = Path(name)
        comments = {"Dx": label_map.conditions["AFIB"].snomed[0]}
        signal = _recording().signal
        for number in range(12):
            write_recording(
                folder,
                f"E{number:05d}",
                signal * (1 + number / 12),
                STANDARD_LEADS,
                500.0,
                storage="mat",
                comments=comments,
            )
        changes = ["data=physionet2021", f"data.root={folder}", f"data.store={folder / 'store'}", "data.workers=1"]
        told = compose_settings([*changes, "data.max_samples=1", "task=multi_label"])
        counts = gather_recordings(told.source, label_map, MULTI_LABEL, PREPROCESSING, 0, split=told.split).counts
    assert counts["left out by a cap"], "the guard is silent"
    return "; ".join(
        f"{row['recordings']} {row['side']} recordings of {row['source']} left out by {row['cap']}"
        for row in counts["left out by a cap"]
    )


GUARDS: dict[str, Guard] = {
    "aVF and aVL swapped": Guard(
        "leads are picked by name; `predict` flags wrong names", lambda: _flag(read_by_position(_recording()))
    ),
    "250 Hz read as 500 Hz": Guard(
        "the file says its rate or is refused; `predict` flags a short one",
        lambda: f"{_rate_unsaid()}. And: {_flag(read_at(_recording(), 250.0))}",
    ),
    "1000 Hz read as 500 Hz": Guard(
        "the file says its rate and is resampled; a wrong header passes", _rate_contradicted
    ),
    "no filter": Guard(
        "settings travel with the model; others are warned of",
        lambda: _warned(with_settings(PREPROCESSING, **UNFILTERED)),
    ),
    "2.5 s, raw": Guard(
        "the same; `predict` flags the window",
        lambda: (
            _warned(with_settings(PREPROCESSING, window={"seconds": SHORT_SECONDS}, scale=None))
            + f". And: {_flag(_recording(), SHORT_SECONDS)}"
        ),
    ),
    "z-score of each lead": Guard(
        "no such setting",
        lambda: _refused(ValueError, lambda: with_settings(PREPROCESSING, scale="zscore_by_lead")),
    ),
    "z-scores as int16": Guard("samples are held against the header's checksums", _zscores_in_a_mat_file),
    "classes in alphabetical order": Guard(
        "the label map travels with the model; others are not compared", lambda: _compared("order")
    ),
    "unknown counted as absent": Guard(
        "unknown is a label of its own; `compare` refuses others", lambda: _compared("unknown")
    ),
    "thresholds chosen on test": Guard(
        "they come from validation rows, or stay at 0.5 with a note", _thresholds_without_validation
    ),
    "split by recording": Guard("a patient on two sides stops the run", _patients_on_two_sides),
    "copies on two sides": Guard("near copies are found, and stop the run on two sides", _copies_on_two_sides),
    "epoch chosen on test": Guard(
        "only validation metrics can be gone by",
        lambda: _refused(MonitorError, lambda: direction_of("test/macro_auroc")),
    ),
    "cap before the split": Guard("the split comes first, the cap holds for training alone", _cap_of_training_alone),
}
"""Mistake to its guard."""
