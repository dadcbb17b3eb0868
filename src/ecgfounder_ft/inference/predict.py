"""Predictions of a finished model on recordings as stored, through the preprocessing that it was trained with."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from rich.progress import track
from torch.utils.data import DataLoader, Dataset

from ecgfounder_ft.ecg.formats import read_recording
from ecgfounder_ft.ecg.preprocessing import Preprocessing
from ecgfounder_ft.ecg.recording import UnreadableRecordingError
from ecgfounder_ft.errors import worker_deaths_explained
from ecgfounder_ft.inference.finished_model import FinishedModel
from ecgfounder_ft.interruption import children_left_alone, heed_parent


class _Inputs(Dataset["NDArray[np.float32] | tuple[str, str]"]):
    """Recordings read and preprocessed one by one; of one that cannot be used, reason and detail."""

    def __init__(self, paths: Sequence[Path], preprocessing: Preprocessing) -> None:
        self.paths = paths
        self.preprocessing = preprocessing

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, row: int) -> NDArray[np.float32] | tuple[str, str]:
        try:
            return self.preprocessing(read_recording(self.paths[row], leads=self.preprocessing.leads)).signal
        except UnreadableRecordingError as error:
            return error.reason, error.detail


@worker_deaths_explained()
def predict_files(
    model: FinishedModel, paths: Sequence[Path], batch_size: int = 32, workers: int = 0, progress: bool = False
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Predict recordings.

    Args:
        model: from :func:`~ecgfounder_ft.inference.finished_model.load_model`.
        paths: of recordings, of any format that is read (``ecg/formats``).
        batch_size: recordings at a time.
        workers: processes that read and preprocess ahead of the network; 0: this one does it in between.
        progress: show a progress bar.

    Returns:
        One row per recording: ``path``, ``probability_<code>`` and ``decision_<code>`` (the most probable condition in
        a single-label task, else by the card's thresholds, 0.5 where it has none); and the recordings that could not
        be used: path, reason, detail.

    Raises:
        WorkerDiedError: if a process that reads was killed.
    """
    codes = model.card.label_map.codes
    rows, skipped = [], []
    batches = DataLoader(
        _Inputs(paths, model.card.preprocessing),
        batch_size=batch_size,
        num_workers=workers,
        collate_fn=list,
        multiprocessing_context="spawn" if workers else None,
        worker_init_fn=heed_parent,
    )
    with children_left_alone():
        reading = iter(batches)
    for number, batch in enumerate(track(reading, "Predicting", total=len(batches), disable=not progress)):
        signals, read = [], []
        for path, found in zip(paths[number * batch_size :], batch, strict=False):
            if isinstance(found, tuple):
                skipped.append({"path": str(path), "reason": found[0], "detail": found[1]})
            else:
                signals.append(found)
                read.append(path)
        if not signals:
            continue
        probabilities = model.probabilities(np.stack(signals))
        decisions = model.decisions(probabilities)
        for path, found, decided in zip(read, probabilities, decisions, strict=True):
            row: dict[str, object] = {"path": str(path)}
            row |= {f"probability_{code}": float(value) for code, value in zip(codes, found, strict=True)}
            row |= {f"decision_{code}": int(choice) for code, choice in zip(codes, decided, strict=True)}
            rows.append(row)
    return pd.DataFrame(rows), pd.DataFrame(skipped, columns=["path", "reason", "detail"])
