"""Any number of recordings into a file: what ``ecgfounder-ft predict`` does."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from ecgfounder_ft.ecg.formats import find_recordings
from ecgfounder_ft.inference.inputs import PredictionError, Reading
from ecgfounder_ft.inference.predict import predict
from ecgfounder_ft.inference.predictions_file import PredictionsFile, Summary
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


def predict_into_file(model: Predictor, given: Iterable[Path], reading: Reading, wanted: Wanted) -> Summary:
    """Predict recordings and write the answers as they come. After a kill, the same call goes on where it was.

    Args:
        model: finished.
        given: recordings, or folders of them.
        reading: how they are read and cut.
        wanted: what is written.

    Raises:
        PredictionError: if the files cannot be what was asked for, or another command left its part there.
    """
    given = list(given)
    write_page = None if wanted.pages is None else _page_writer()
    card = model.card
    codes = card.label_map.codes
    settings = {
        "model": model.digest,
        "windows": reading.windows,
        "stated": reading.stated.to_dict(),
        "pages": None if wanted.pages is None else str(wanted.pages.absolute()),
    }
    width = 0 if wanted.embeddings is None else _width(model)
    with PredictionsFile(
        wanted.output, codes, settings, embeddings=wanted.embeddings, width=width, restart=wanted.restart
    ) as file:
        total = sum(1 for _ in _recordings(given)) if wanted.progress else None
        with _bar(wanted.progress) as bar:
            task = bar.add_task("Predicting", total=total)
            remaining = file.remaining(_recordings(given))
            answers = predict(
                model, remaining, reading, wanted.batch_size, wanted.workers, embeddings=wanted.embeddings is not None
            )
            for predictions in answers:
                if wanted.pages is not None and write_page is not None:
                    number = file.summary.recordings
                    position = card.preprocessing.window.position
                    write_page(wanted.pages, number, predictions, codes, reading.stated, position)
                file.add(predictions)
                bar.update(task, completed=file.summary.recordings)
        return file.finish()


def _page_writer() -> Callable[..., Path | None]:
    """What draws a page; importing it imports matplotlib."""
    try:
        from ecgfounder_ft.inference.pages import write_page
    except ModuleNotFoundError as error:
        raise PredictionError(
            f"pages need {error.name}: pip install 'ecgfounder-ft[plots]', or leave out --plots"
        ) from error
    return write_page


def _recordings(given: Iterable[Path]) -> Iterator[Path]:
    for path in given:
        if path.is_dir():
            yield from find_recordings(path)
        else:
            yield path


def _bar(shown: bool) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("remaining"),
        TimeRemainingColumn(),
        disable=not shown,
    )


def _width(model: Predictor) -> int:
    """Numbers that the last layer reads."""
    preprocessing = model.card.preprocessing
    silence = np.zeros((1, len(preprocessing.leads), preprocessing.samples), np.float32)
    return int(model.outputs(silence).embedding.shape[1])
