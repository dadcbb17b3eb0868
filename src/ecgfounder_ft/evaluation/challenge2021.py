"""Files from which the official scorer of PhysioNet/CinC Challenge 2021 gives the same metrics per condition.

The scorer (https://github.com/physionetchallenges/evaluation-2021) reads a folder of headers, of which only the line
``#Dx: <codes>`` counts, and a folder with a ``<record>.csv`` for each: ``#<record>``, the codes, the decisions and the
probabilities. It takes every code that a header lacks as absent, so only recordings whose labels are all known can be
written. Its macro metrics are over its 26 classes and mean nothing for fewer; its metrics per class do.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ecgfounder_ft.evaluation.inputs import EvaluationInput
from ecgfounder_ft.labels import PRESENT


@dataclass(frozen=True)
class ChallengeFiles:
    """What was written."""

    labels: Path
    """Folder of headers."""
    outputs: Path
    """Folder of CSV files."""
    data: EvaluationInput
    """The recordings written; our metrics of these are those of the scorer."""
    left_out: int
    """Recordings with an unknown label or a missing probability."""


def write_challenge_files(
    folder: Path,
    data: EvaluationInput,
    recordings: Sequence[str],
    snomed: Mapping[str, Sequence[str]],
    *,
    ages: Sequence[float] | None = None,
    sexes: Sequence[str] | None = None,
) -> ChallengeFiles:
    """Write ``labels/<record>.hea`` and ``outputs/<record>.csv`` for each recording whose labels are all known.

    Args:
        folder: created; it must not hold the two folders yet.
        data: prepared from the recordings.
        recordings: (n,) names of the recordings that the data was prepared from, ``<dataset>/<record>``; the files are
            named by the record, and by both where two records share a name.
        snomed: condition code to SNOMED CT codes, of which the first is written.
        ages: (n,) years, NaN where unknown.
        sexes: (n,) ``female``, ``male`` or "".

    Raises:
        FileExistsError: if the folder holds such files already, which the scorer would score too.
        KeyError: if a condition has no SNOMED CT code.
    """
    missing = [code for code in data.codes if not snomed.get(code)]
    if missing:
        raise KeyError(f"no SNOMED CT code for {', '.join(missing)}: the Challenge's scorer knows no other names")
    names = _file_names(recordings)
    codes = [str(snomed[code][0]) for code in data.codes]
    labels, outputs = folder / "labels", folder / "outputs"
    for part in (labels, outputs):
        if part.is_dir() and any(part.iterdir()):
            raise FileExistsError(f"{part} is not empty: the scorer would score its files too; name another folder")
        part.mkdir(parents=True, exist_ok=True)
    complete = np.asarray(data.known.all(axis=1))
    written = data.select(complete)
    for row, place in enumerate(written.kept):
        name = names[place]
        present = [code for column, code in enumerate(codes) if written.targets[row, column] == PRESENT]
        header = [
            f"{name} 0",
            f"#Age: {_text(ages, place)}",
            f"#Sex: {_text(sexes, place)}",
            f"#Dx: {','.join(present)}",
        ]
        (labels / f"{name}.hea").write_text("\n".join(header) + "\n", encoding="utf-8")
        output = [
            f"#{name}",
            ",".join(codes),
            ",".join(str(int(decided)) for decided in written.decisions[row]),
            ",".join(repr(float(value)) for value in written.probabilities[row]),
        ]
        (outputs / f"{name}.csv").write_text("\n".join(output) + "\n", encoding="utf-8")
    return ChallengeFiles(labels, outputs, written, int((~complete).sum()))


def _file_names(recordings: Sequence[str]) -> list[str]:
    """Record names, with the dataset's before it where two datasets have the same."""
    short = [recording.rsplit("/", 1)[-1] for recording in recordings]
    _, position, count = np.unique(short, return_inverse=True, return_counts=True)
    twice: NDArray[np.bool_] = count[position.reshape(-1)] > 1
    return [
        recording.replace("/", "_") if shared else name
        for recording, name, shared in zip(recordings, short, twice, strict=True)
    ]


def _text(values: Sequence[float] | Sequence[str] | None, place: int) -> str:
    if values is None:
        return "Unknown"
    value = values[place]
    if isinstance(value, str):
        return value.capitalize() or "Unknown"
    return "NaN" if np.isnan(value) else f"{value:g}"
