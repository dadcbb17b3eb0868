"""How the files of a run folder are read, which may be anybody's: none outside the folder, none larger than any run's,
and every value held against what belongs there."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import yaml

from ecgfounder_ft.errors import ExplainedError, first_line
from ecgfounder_ft.files import text_of
from ecgfounder_ft.records import check_record, require_bounded
from ecgfounder_ft.untrusted.bounded import MOST_VALUES, parse_json, read_bounded

if TYPE_CHECKING:  # a resume is refused, and a sweep summed up, without pandas
    import pandas as pd

Record = TypeVar("Record")

MOST_TABLE_BYTES = 2**30
"""Size of a table, 1 GiB: all of MIMIC-IV-ECG's 800,000 recordings take a third of it."""
MOST_RECORD_BYTES = 2**24
"""Size of a JSON file, 16 MiB; a large run's have some hundred kilobytes."""
MOST_YAML_BYTES = 2**20
"""Size of a configuration, 1 MiB: seventy times that of a run of six conditions, and parsed in seconds."""
MOST_HEADER_BYTES = 2**20
"""Size of a table's first line, which names its columns."""

_PREDICTION_COLUMNS = ("recording", "dataset", "patient", "split")
_PREDICTION_TEXTS = (*_PREDICTION_COLUMNS, "constituent", "sex", "repairs")
_SPLIT_COLUMNS = (*_PREDICTION_COLUMNS, "path", "signal_hash")
_SPLIT_TEXTS = (*_SPLIT_COLUMNS, "constituent", "exclusion", "sex", "repairs")


class RunFolderError(ExplainedError):
    """A run folder that lacks something or contradicts itself; the message says how to mend it."""


@dataclass
class _LeftOutByCap:
    side: str
    source: str
    cap: str
    recordings: int
    conditions: dict[str, int]


DATA_COUNTS = {
    "left out": dict[str, int],
    "left out labels": dict[str, dict[str, int]],
    "left out by a cap": list[_LeftOutByCap],
    "repairs": dict[str, int],
    "notes": list[str],
}
"""Entries of ``data.json`` that are used; more may stand there."""
PLAN = {"found": dict[str, Any]}
"""Entries of ``plan.json`` that a report uses; more may stand there."""
START = {"validation": dict[str, float | None], "test": dict[str, float | None]}
RANDOM_ENCODER = {"fitted_on": int, "of": int, "seed": int, "features": int, "strength": float}
WISE_FT = {"chosen": float | None}


def is_there(folder: Path, file: Path, most: int) -> bool:
    """Whether a folder has a file of its own, of plausible size.

    Raises:
        RunFolderError: if it leads out of the folder, is no file, or is larger than ``most`` bytes.
    """
    if not os.path.lexists(file):
        return False
    real = Path(os.path.realpath(file))  # of links that lead in a circle Path.resolve makes an error
    if not real.is_relative_to(os.path.realpath(folder)):
        raise RunFolderError(f"{file} leads out of the folder, to {real}: copy that file here if you trust it")
    if not file.is_file():
        raise RunFolderError(f"{file} is no file: restore it")
    if file.stat().st_size > most:
        raise RunFolderError(f"{file} has {file.stat().st_size:,} bytes, expected {most:,} at most: restore it")
    return True


def read_yaml(folder: Path, file: Path) -> dict[str, Any]:
    """The keys of a YAML file.

    Raises:
        RunFolderError: if it is absent or cannot be read.
    """
    if not is_there(folder, file, MOST_YAML_BYTES):
        raise RunFolderError(f"no {file.name} in {folder}: is it a run folder of this project?")
    try:
        content = yaml.safe_load(read_bounded(file, MOST_YAML_BYTES, RunFolderError).decode("utf-8"))
        require_bounded(content, values=MOST_VALUES, characters=16 * MOST_YAML_BYTES)
    except Exception as error:  # yaml raises a dozen kinds of errors at other texts
        raise RunFolderError(f"{file} cannot be read as YAML ({first_line(error)}): was it edited?") from error
    if not isinstance(content, dict) or not all(isinstance(key, str) for key in content):
        raise RunFolderError(f"{file} holds a {type(content).__name__}, expected the keys of a configuration")
    return cast(dict[str, Any], content)


def read_json(
    folder: Path, file: Path, build: Callable[[dict[str, Any]], Record], kinds: Mapping[str, Any] | None = None
) -> Record | None:
    """The record in a JSON file, None where there is no such file.

    Args:
        folder: that the file must lie in.
        file: the file.
        build: makes the record.
        kinds: name to type of entries that may be there.

    Raises:
        RunFolderError: if it cannot be read, or an entry is not what belongs there.
    """
    if not is_there(folder, file, MOST_RECORD_BYTES):
        return None
    try:
        content = parse_json(read_bounded(file, MOST_RECORD_BYTES, RunFolderError))
        check_record(dict[str, Any], content)
        for name, kind in (kinds or {}).items():
            if name in content:
                check_record(kind, content[name], name)
        return build(content)
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise RunFolderError(f"{file} cannot be read ({first_line(error)}): restore it, or delete it") from error


def read_table(folder: Path, file: Path, columns: Sequence[str] = (), texts: Sequence[str] = ()) -> pd.DataFrame:
    """A CSV table.

    Args:
        folder: that the file must lie in.
        file: the file.
        columns: that it must have.
        texts: columns that stay as they stand: the patient 007 is not the patient 7.

    Raises:
        RunFolderError: if it is absent, cannot be read, or lacks a column.
    """
    import pandas as pd

    if not is_there(folder, file, MOST_TABLE_BYTES):
        raise RunFolderError(f"no {file.name} in {file.parent}: did training end? See its status.json and log")
    with file.open("rb") as stream:
        if len(stream.readline(MOST_HEADER_BYTES + 1)) > MOST_HEADER_BYTES:
            raise RunFolderError(f"{file}: its first line, which names the columns, has no end: restore it")
    try:
        table = pd.read_csv(file, dtype=dict.fromkeys(texts, str), low_memory=False)
    except (ValueError, OverflowError, MemoryError) as error:
        raise RunFolderError(f"{file} cannot be read as CSV ({first_line(error)}): restore it") from error
    if not isinstance(table.index, pd.RangeIndex):
        raise RunFolderError(f"{file} has more fields in its rows than names in its first line: restore it")
    table = table.rename(columns=text_of)
    for name, column in table.select_dtypes(exclude=["number", "bool"]).items():
        mapped = column.map(text_of)
        table[name] = mapped.astype(column.dtype)  # map makes numbers of a column without any text
    missing = [name for name in columns if name not in table.columns]
    if missing:
        raise RunFolderError(
            f"{file} has no column {', '.join(missing)}; it has {', '.join(map(str, table.columns[:12]))}"
        )
    return table


def read_predictions(folder: Path, file: Path, codes: Sequence[str]) -> pd.DataFrame:
    """A predictions table (see ``evaluation/predictions.py``), held against the conditions of its run.

    Raises:
        RunFolderError: if it is absent, another table, has other conditions or another order, or a label or a
            probability is out of range.
    """
    table = read_table(folder, file, _PREDICTION_COLUMNS, _PREDICTION_TEXTS)
    for prefix in ("label_", "probability_"):
        found = tuple(name.removeprefix(prefix) for name in table.columns if name.startswith(prefix))
        if found != tuple(codes):
            raise RunFolderError(
                f"{file} has {prefix}columns of {', '.join(found[:20]) or 'no condition'}; the run's label map has "
                f"{', '.join(codes[:20])}, in this order: predictions of another label map cannot be evaluated with it"
            )
    _require_names(table, file)
    for code in codes:
        _require_numbers(table, file, f"label_{code}", "1, 0 or nothing", lambda values: (values == 0) | (values == 1))
        _require_numbers(
            table, file, f"probability_{code}", "0 to 1 or nothing", lambda values: (values >= 0) & (values <= 1)
        )
    if "age" in table:
        _require_numbers(table, file, "age", "years or nothing", lambda values: (values >= 0) & (values < 1000))
    return table


def read_splits(folder: Path, file: Path) -> pd.DataFrame:
    """The table of every recording with its labels and side.

    Raises:
        RunFolderError: if it is missing or no such table.
    """
    table = read_table(folder, file, _SPLIT_COLUMNS, _SPLIT_TEXTS)
    _require_names(table, file)
    return table


def _require_names(table: pd.DataFrame, file: Path) -> None:
    names = table["recording"]
    if not names.map(lambda name: isinstance(name, str) and name.isprintable()).all():
        raise RunFolderError(f"{file} has a recording without a name, or with one that cannot be printed: restore it")
    repeated = names[names.duplicated()]
    if len(repeated):
        raise RunFolderError(f"{file} has {repeated.iloc[0]} twice; expected one row per recording")


def _require_numbers(
    table: pd.DataFrame, file: Path, column: str, expected: str, allowed: Callable[[Any], Any]
) -> None:
    import pandas as pd

    given = table[column]
    values = pd.to_numeric(given, errors="coerce").astype(float)
    odd = given[given.notna() & ~allowed(values)]
    if len(odd):
        raise RunFolderError(f"{file}: {column} holds {str(odd.iloc[0])[:40]!r}, expected {expected}: restore it")
    if not pd.api.types.is_numeric_dtype(given):
        table[column] = values  # numbers that stand beside nothing, as texts
