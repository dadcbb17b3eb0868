"""A file of predictions that is written as they come, and goes on after a kill.

While it is written, ``<output>.partial/`` stands beside it::

    settings.json         the model and the options of the command
    rows.csv              a line for each row that is answered
    embeddings.float32    likewise, where embeddings were asked for

The same command goes on after the last recording that was answered in full. When all are, the rows become the output,
CSV or Parquet by its suffix, in one step, and the folder is removed. Rows never pass through memory as a whole.
"""

import csv
import importlib.util
import io
import json
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any, Self

import numpy as np

from ecgfounder_ft.console import displayable
from ecgfounder_ft.errors import how_to_install
from ecgfounder_ft.files import HeldError, cell_of, file_lock, text_of, whole_file, write_json
from ecgfounder_ft.inference import NO_MEDICAL_DEVICE
from ecgfounder_ft.inference.inputs import PredictionError
from ecgfounder_ft.inference.predict import Prediction

CSV_SUFFIXES, PARQUET_SUFFIXES = (".csv",), (".parquet", ".pq")
PARTIAL_SUFFIX = ".partial"

_SETTINGS_FILE, _ROWS_FILE, _VECTORS_FILE = "settings.json", "rows.csv", "embeddings.float32"
_DECIMALS = 6
"""Decimals of a probability: two devices differ by more than the next digit."""
_BLOCK_BYTES = 1 << 20
"""Bytes read at a time when the rows become Parquet."""

Row = dict[str, str]


@dataclass
class Summary:
    """What became of the recordings, those of earlier starts of the same command included."""

    recordings: int = 0
    rows: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    """Reason to number."""
    resumed: int = 0
    """Recordings that an earlier start had answered."""

    @property
    def answered(self) -> int:
        """Recordings with an answer."""
        return self.recordings - self.skipped.total()


class PredictionsFile:
    """A table of predictions in the making; use it as a context.

    Args:
        output: the table, ``.csv`` or ``.parquet``.
        codes: the model's conditions.
        settings: what the predictions depend on, in plain containers.
        embeddings: a ``.npy`` file for them, (rows of the table, width); or the table itself, if it is Parquet, which
            then has a column ``embedding`` of lists.
        width: numbers of an embedding.
        restart: throw away what an earlier start left.

    Raises:
        PredictionError: if a suffix is unknown, or an earlier start of another command left its part.
    """

    def __init__(
        self,
        output: Path,
        codes: Sequence[str],
        settings: dict[str, Any],
        *,
        embeddings: Path | None = None,
        width: int = 0,
        restart: bool = False,
    ) -> None:
        _require_names(output, embeddings)
        self.output = output
        self.embeddings = embeddings
        self.width = width
        self.columns = _columns(codes)
        self.summary = Summary()
        self.partial = output.with_name(output.name + PARTIAL_SUFFIX)
        self._settings = json.loads(json.dumps({**settings, "embeddings": None if embeddings is None else width}))
        self._rows_file = self.partial / _ROWS_FILE
        self._vectors_file = self.partial / _VECTORS_FILE
        self._held = ExitStack()
        with writing_to(self.partial), ExitStack() as held:
            for file in (output, embeddings):
                if file is not None:
                    file.parent.mkdir(parents=True, exist_ok=True)
            try:
                # beside the folder, which is removed at the end while others may wait for the lock
                held.enter_context(file_lock(output.with_name(f".{output.name}.lock"), wait=0, remove=True))
            except HeldError as error:
                raise PredictionError(f"{self.partial}: another process is writing these predictions") from error
            self.partial.mkdir(exist_ok=True)
            self._begin(restart)
            self._held = held.pop_all()

    def _begin(self, restart: bool) -> None:
        """Note the settings, or refuse to go on from other ones."""
        file = self.partial / _SETTINGS_FILE
        if restart:
            for name in (_SETTINGS_FILE, _ROWS_FILE, _VECTORS_FILE):
                (self.partial / name).unlink(missing_ok=True)
        if not file.is_file():
            write_json(file, self._settings)
            return
        try:
            left = dict(json.loads(file.read_text(encoding="utf-8")))
        except (ValueError, TypeError):
            left = {}
        other = [key for key in {*left, *self._settings} if left.get(key) != self._settings.get(key)]
        if other:
            raise PredictionError(
                f"{self.partial} was left by a prediction with another {' and '.join(sorted(other))}; "
                "give --restart to throw it away, or another --output"
            )

    @property
    def own_files(self) -> tuple[Path, ...]:
        """Files that are written, and may lie in a folder of recordings."""
        others = () if self.embeddings is None else (self.embeddings,)
        return (self.output, self._rows_file, self._vectors_file, *others)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for stream in (getattr(self, "_rows", None), getattr(self, "_vectors", None)):
            if stream is not None:
                with suppress(OSError):  # of a full disk, which was told; what is kept was flushed before
                    stream.close()
        self._held.close()

    def remaining(self, paths: Iterable[Path]) -> Iterator[Path]:
        """Yield the paths that no earlier start has answered; each is then to be added, in this order.

        Raises:
            PredictionError: if an earlier start answered other recordings than these, in this order.
        """
        distinct = (path for path, _ in groupby(paths))
        self.summary.resumed = self._cut_to_whole_recordings()
        with self._rows_file.open(encoding="utf-8", newline="") as stream:
            for cell, rows in groupby(csv.DictReader(stream), key=lambda row: row["path"]):
                found = next(distinct, None)
                if found is None or displayable(str(found)) != text_of(cell):
                    raise PredictionError(
                        f"{self.partial} has an answer for {text_of(cell)} where {found or 'no recording'} comes now: "
                        "the recordings have changed; give --restart to begin anew"
                    )
                self._count(list(rows))
        self._rows = self._rows_file.open("a", encoding="utf-8", newline="")
        self._writer = csv.DictWriter(self._rows, list(self.columns))
        if self.embeddings is not None:
            self._vectors = self._vectors_file.open("ab")
        yield from distinct

    def add(self, predictions: Sequence[Prediction]) -> None:
        """Append one recording's rows. Nothing is kept in memory; a kill loses at most the last recording."""
        rows = [_row(one, list(self.columns)) for one in predictions]
        with writing_to(self.partial):
            if self.embeddings is not None:
                blank = np.full(self.width, np.nan, np.float32)
                for one in predictions:
                    self._vectors.write((blank if one.embedding is None else one.embedding).astype("<f4").tobytes())
                self._vectors.flush()
            self._writer.writerows(rows)
            self._rows.flush()
        self._count(rows)

    def finish(self) -> Summary:
        """Make the rows the output, whole or not at all, and remove the partial folder."""
        self._rows.close()
        with writing_to(self.output):
            if self.embeddings is not None:
                self._vectors.close()
            if self.embeddings not in (None, self.output):
                self._finish_embeddings(self.embeddings)
            if self.output.suffix.casefold() in PARQUET_SUFFIXES:
                with whole_file(self.output) as unfinished:
                    self._write_parquet(unfinished)
            else:
                self._rows_file.replace(self.output)
        shutil.rmtree(self.partial, ignore_errors=True)
        return self.summary

    def _count(self, rows: Sequence[Row]) -> None:
        self.summary.recordings += 1
        self.summary.rows += len(rows)
        if rows[0]["skipped"]:
            self.summary.skipped[rows[0]["skipped"]] += 1

    def _cut_to_whole_recordings(self) -> int:
        """Cut off what a kill may have left of the last recording; return how many recordings stay."""
        head = _line(self.columns)
        with self._rows_file.open("ab+") as stream, self._vectors_file.open("ab") as vectors:
            most = vectors.tell() // (4 * self.width) if self.embeddings is not None else None
            stream.seek(0)
            if stream.readline() != head:
                stream.truncate(0)
                vectors.truncate(0)
                stream.write(head)
                return 0
            end = whole = len(head)
            rows = kept = recordings = 0
            last = None
            for line in stream:
                path = _path_of(line)
                if path is None or rows == most:
                    break
                if path != last:  # the recording before this one is complete
                    recordings += last is not None
                    whole, kept, last = end, rows, path
                end, rows = end + len(line), rows + 1
            stream.truncate(whole)
            vectors.truncate(4 * self.width * kept)
        return recordings

    def _read_vectors(self) -> np.memmap:
        return np.memmap(self._vectors_file, "<f4", "r", shape=(self.summary.rows, self.width))

    def _finish_embeddings(self, target: Path) -> None:
        vectors = self._read_vectors()
        with whole_file(target) as unfinished, unfinished.open("wb") as stream:
            np.save(stream, vectors)
        described = {"rows_of": self.output.name, "model": self._settings.get("model"), "use": NO_MEDICAL_DEVICE}
        write_json(target.with_name(target.name + ".json"), described)

    def _write_parquet(self, target: Path) -> None:
        import pyarrow as pa
        import pyarrow.csv as pa_csv
        import pyarrow.parquet as pq

        schema = pa.schema([(name, pa.type_for_alias(kind)) for name, kind in self.columns.items()])
        inside = self.embeddings == self.output
        vectors, at = (self._read_vectors() if inside else None), 0
        written = schema.append(pa.field("embedding", pa.list_(pa.float32(), self.width))) if inside else schema
        with (
            pa_csv.open_csv(
                self._rows_file,
                read_options=pa_csv.ReadOptions(block_size=_BLOCK_BYTES),
                convert_options=pa_csv.ConvertOptions(column_types=schema, strings_can_be_null=False),
            ) as reader,
            pq.ParquetWriter(target, written, compression="zstd") as writer,
        ):
            for batch in reader:
                for place, name in enumerate(batch.schema.names):
                    if name in ("path", "detail"):  # a cell of CSV may begin with an apostrophe
                        plain = [text_of(cell) for cell in batch.column(name).to_pylist()]
                        batch = batch.set_column(place, name, pa.array(plain, pa.string()))
                if vectors is not None:
                    numbers = pa.array(vectors[at : at + len(batch)].ravel(), pa.float32())
                    batch = batch.append_column("embedding", pa.FixedSizeListArray.from_arrays(numbers, self.width))
                    at += len(batch)
                writer.write_batch(batch)


def read_rows(predictions: Path) -> Iterator[Row]:
    """Read the rows of a finished table, one after the other, as texts."""
    if predictions.suffix.casefold() in PARQUET_SUFFIXES:
        import pyarrow.parquet as pq

        for batch in pq.ParquetFile(predictions).iter_batches(batch_size=64):
            for row in batch.to_pylist():
                yield {name: "" if value is None else str(value) for name, value in row.items()}
        return
    with predictions.open(encoding="utf-8", newline="") as stream:
        for row in csv.DictReader(stream):
            yield {name: text_of(cell) for name, cell in row.items()}


@contextmanager
def writing_to(path: Path) -> Iterator[None]:
    """Tell in words of a disk that is full or refuses."""
    try:
        yield
    except OSError as error:
        raise PredictionError(
            f"{error.filename or path} cannot be written: {error.strerror or error}; once that is mended, the same "
            "command goes on where it was"
        ) from error


def _require_names(output: Path, embeddings: Path | None) -> None:
    if output.suffix.casefold() not in CSV_SUFFIXES + PARQUET_SUFFIXES:
        raise PredictionError(f"{output}: the suffix is {output.suffix!r}, expected .csv or .parquet")
    if output.suffix.casefold() in PARQUET_SUFFIXES and importlib.util.find_spec("pyarrow") is None:
        raise PredictionError(f"{output}: Parquet needs pyarrow: {how_to_install('parquet')}; or name a .csv")
    if embeddings not in (None, output) and embeddings.suffix.casefold() != ".npy":
        raise PredictionError(f"{embeddings}: the suffix is {embeddings.suffix!r}, expected .npy")
    for file in (output, embeddings):
        if file is not None and file.is_dir():
            raise PredictionError(f"{file} is a folder, expected the name of a file")


def _columns(codes: Sequence[str]) -> dict[str, str]:
    """Columns of the table, with their types in Parquet; docs/prediction.md says what they mean."""
    return {
        **dict.fromkeys(("path", "reader", "skipped", "detail", "quality", "repairs"), "string"),
        "seconds": "float64",
        "sampling_rate": "float64",
        "windows": "int64",
        "window_start": "float64",
        **{f"uncalibrated_{code}": "float64" for code in codes},
        **{f"probability_{code}": "float64" for code in codes},
        **{f"decision_{code}": "int8" for code in codes},
        "use": "string",
    }


def _row(one: Prediction, names: Sequence[str]) -> Row:
    found = one.input
    values: list[Any] = [
        displayable(str(found.path)),
        found.reader,
        found.reason,
        displayable(" ".join(found.detail.split())),
        "; ".join(found.flags),
        "; ".join(found.repairs),
        "" if found.seconds is None else f"{found.seconds:.3f}",
        "" if found.sampling_rate is None else f"{found.sampling_rate:g}",
        one.windows,
        "" if one.start is None else f"{one.start:g}",
    ]
    n_conditions = (len(names) - len(values) - 1) // 3
    for numbers in (one.uncalibrated, one.probabilities) if n_conditions else ():
        values += [""] * n_conditions if numbers is None else [f"{value:.{_DECIMALS}f}" for value in numbers]
    if n_conditions:
        values += [""] * n_conditions if one.decisions is None else [int(choice) for choice in one.decisions]
    return dict(zip(names, [cell_of(str(value)) for value in (*values, NO_MEDICAL_DEVICE)], strict=True))


def _line(cells: Iterable[str]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(cells)
    return text.getvalue().encode("utf-8")


def _path_of(line: bytes) -> str | None:
    """The first field of a line; None where the line was not written whole. No row has a line break."""
    if not line.endswith(b"\n"):
        return None
    try:
        return next(csv.reader([line.decode("utf-8")]))[0]
    except (UnicodeDecodeError, csv.Error, StopIteration, IndexError):
        return None
