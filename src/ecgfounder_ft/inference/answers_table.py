"""The first answers of a file of predictions, as a table for the terminal."""

import csv
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

from rich import box
from rich.table import Table

from ecgfounder_ft.inference.predictions_file import PARQUET_SUFFIXES, Row


def answers_table(predictions: Path, codes: Sequence[str], n: int) -> Table:
    """Recording, probability of each condition and what is decided, of the first rows.

    Args:
        predictions: finished, ``.csv`` or ``.parquet``.
        codes: the model's conditions.
        n: rows.
    """
    table = Table(box=box.SIMPLE_HEAD, collapse_padding=True)
    table.add_column("recording", overflow="fold")
    for code in codes:
        table.add_column(code, justify="right", no_wrap=True)
    table.add_column("decided")
    for row in islice(_rows(predictions), n):
        name = "/".join(Path(row["path"]).parts[-2:])  # the folder often says what was stated
        if row["skipped"]:
            table.add_row(name, *["-"] * len(codes), f"skipped: {row['skipped']}")
            continue
        decided = [code for code in codes if row[f"decision_{code}"] == "1"]
        chances = [f"{float(row[f'probability_{code}']):.2f}" for code in codes]
        table.add_row(name, *chances, ", ".join(decided) or "none")
    return table


def _rows(predictions: Path) -> Iterator[Row]:
    if predictions.suffix.casefold() in PARQUET_SUFFIXES:
        import pyarrow.parquet as pq

        for batch in pq.ParquetFile(predictions).iter_batches(batch_size=64):
            for row in batch.to_pylist():
                yield {name: "" if value is None else str(value) for name, value in row.items()}
        return
    with predictions.open(encoding="utf-8", newline="") as stream:
        yield from csv.DictReader(stream)
