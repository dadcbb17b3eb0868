"""Any number of recordings into a file: what ``ecgfounder-ft predict`` and ``ecgfounder-ft embed`` do."""

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ecgfounder_ft import __version__
from ecgfounder_ft.console import progress_bar
from ecgfounder_ft.ecg.formats import find_recordings, formats
from ecgfounder_ft.inference.inputs import PredictionError, Reading
from ecgfounder_ft.inference.predict import predict
from ecgfounder_ft.inference.predictions_file import PredictionsFile, Summary, writing_to
from ecgfounder_ft.inference.predictor import Predictor


@dataclass(frozen=True)
class Wanted:
    """What shall be written, and how."""

    output: Path
    """The table, ``.csv`` or ``.parquet``."""
    pages: Path | None
    """A folder for each recording on ECG paper."""
    embeddings: Path | None
    """A ``.npy`` file for what the last layer reads, one row for each of the table."""
    batch_size: int
    """Windows at a time."""
    workers: int
    """Processes that read ahead of the network; 0: none."""
    restart: bool
    """Throw away what an earlier start of the command left."""
    progress: bool
    """Show a progress bar."""
    answers: bool = True
    """Write the model's answers; without them the table says which recording each embedding is of."""


def predict_into_file(model: Predictor, given: Iterable[Path], reading: Reading, wanted: Wanted) -> Summary:
    """Predict recordings and write the answers as they come. After a kill, the same call goes on where it was.

    Args:
        model: finished.
        given: recordings, or folders of them.
        reading: how they are read and cut.
        wanted: what is written.

    Raises:
        PredictionError: if what is given is not there or holds no recording, if the files cannot be what was asked
            for, or another command left its part there.
    """
    given = list(given)
    _refuse_nothing(given)
    if wanted.pages is not None:
        from ecgfounder_ft.inference.pages import write_page  # it imports matplotlib
    record = model.record
    codes = record.label_map.codes if wanted.answers else ()
    settings = {
        "version": __version__,
        "model": model.digest,
        "backend": model.backend,
        "bf16": model.bf16,
        "windows": reading.windows,
        "stated": reading.stated.to_dict(),
        "pages": None if wanted.pages is None else str(wanted.pages.absolute()),
    }
    width = 0 if wanted.embeddings is None else _width(model)
    with PredictionsFile(
        wanted.output, codes, settings, embeddings=wanted.embeddings, width=width, restart=wanted.restart
    ) as file:
        total = sum(1 for _ in _recordings(given, file.own_files)) if wanted.progress else None
        with progress_bar(wanted.progress) as bar:
            task = bar.add_task("Predicting" if wanted.answers else "Embedding", total=total)
            remaining = file.remaining(_recordings(given, file.own_files))
            answers = predict(
                model, remaining, reading, wanted.batch_size, wanted.workers, embeddings=wanted.embeddings is not None
            )
            for predictions in answers:
                if wanted.pages is not None:
                    number = file.summary.recordings
                    position = record.preprocessing.window.position
                    with writing_to(wanted.pages):
                        write_page(wanted.pages, number, predictions, codes, reading.stated, position)
                file.add(predictions)
                bar.update(task, completed=file.summary.recordings)
        return file.finish()


def _refuse_nothing(given: Sequence[Path]) -> None:
    """A slip in a path shall not look like a recording that cannot be read."""
    for path in given:
        if not path.exists():
            raise PredictionError(f"{path}: no such file or folder; expected recordings, or folders of them")
        if path.is_dir() and next(find_recordings(path), None) is None:
            raise PredictionError(f"{path}: no recording in it; expected files ending in {', '.join(formats())}")
    if not given:
        raise PredictionError("no recordings are given")


def _recordings(given: Iterable[Path], own: Sequence[Path]) -> Iterator[Path]:
    """Yield the recordings that are given, and those in folders without the files that this command writes."""
    names, files = {file.name for file in own}, {os.path.realpath(file) for file in own}
    for path in given:
        if path.is_dir():
            for found in find_recordings(path):
                if found.name not in names or os.path.realpath(found) not in files:
                    yield found
        else:
            yield path


def _width(model: Predictor) -> int:
    """Numbers that the last layer reads."""
    preprocessing = model.record.preprocessing
    silence = np.zeros((1, len(preprocessing.leads), preprocessing.samples), np.float32)
    return int(model.outputs(silence).embedding.shape[1])
