"""One column of a table that lists the labels of each recording, as condition columns."""

import re
from collections import Counter
from pathlib import Path

import pandas as pd

from ecgfounder_ft.data.catalog import CatalogError
from ecgfounder_ft.labels import ABSENT, PRESENT, STATE_NAMES, UNKNOWN, LabelMap, folder_key

_QUOTED = re.compile(r"""'([^']*)'|"([^"]*)\"""")
_SEPARATOR = re.compile(r"[|;,]")


def labels_in(cell: str) -> list[str]:
    """List the labels of one cell, separated by ``|``, ``;`` or ``,``, or written as a list or dictionary.

    >>> labels_in("AF|PVC"), labels_in('["AFIB"]'), labels_in("['AF' 'PVC']"), labels_in("[]")
    (['AF', 'PVC'], ['AFIB'], ['AF', 'PVC'], [])
    """
    text = cell.strip()
    if text[:1] in ("[", "(", "{") and (quoted := _QUOTED.findall(text)):
        parts = [single or double for single, double in quoted]
    else:
        parts = _SEPARATOR.split(text.strip("[](){}"))
    return [part.strip() for part in parts if part.strip()]


def with_condition_columns(
    given: pd.DataFrame, column: str, label_map: LabelMap, file: Path
) -> tuple[pd.DataFrame, list[str]]:
    """Replace a column of labels by one column per condition.

    A condition is present where one of its names is listed: its code, name, folder names, words and SNOMED CT codes.
    Another condition of a cell that lists something is absent, or unknown where an entry leaves it open. Where the cell
    is empty, all are unknown.

    Returns:
        The table, and notes for its reader.

    Raises:
        CatalogError: if there is no such column, a condition has a column too, or no label is a condition.
    """
    if column not in given:
        raise CatalogError(f"{file}: no column '{column}' (data.labels_column) among {', '.join(given.columns)}")
    if both := [code for code in label_map.codes if code in given and code != column]:
        raise CatalogError(
            f"{file}: column '{column}' (data.labels_column) and columns of the conditions {', '.join(both)}; use one"
        )
    code_of, left_open = _names(label_map), label_map.codes_left_open_by()
    strange: Counter[str] = Counter()
    rows = []
    for cell in given[column]:
        listed = labels_in(cell)
        states = dict.fromkeys(label_map.codes, ABSENT if cell else UNKNOWN)
        for label in listed:
            states |= dict.fromkeys(left_open.get(label, ()), UNKNOWN)
        for label in listed:
            if code := code_of.get(folder_key(label)):
                states[code] = PRESENT
            elif label not in left_open:
                strange[label] += 1
        rows.append({code: STATE_NAMES[state] for code, state in states.items()})
    states_of = pd.DataFrame(rows, index=given.index, columns=list(label_map.codes))
    if not (states_of == STATE_NAMES[PRESENT]).to_numpy().any():
        raise CatalogError(
            f"{file}: column '{column}' (data.labels_column) names no condition of label map '{label_map.name}' "
            f"({', '.join(label_map.codes)}); it has {_most_common(strange) or 'no label at all'}"
        )
    notes = [f"labels of column {column} that are no condition: {_most_common(strange)}"] if strange else []
    return pd.concat([given.drop(columns=column), states_of], axis=1), notes


def column_of_labels(given: pd.DataFrame, label_map: LabelMap) -> str:
    """Return the column that most likely lists labels, or empty text."""
    names = _names(label_map)
    for column in given.columns:
        if any(folder_key(label) in names for cell in given[column].unique() for label in labels_in(cell)):
            return str(column)
    return ""


def _names(label_map: LabelMap) -> dict[str, str]:
    names: dict[str, str] = {}
    for code, condition in label_map.conditions.items():
        for name in (code, condition.name, *condition.folders, *condition.words):
            names.setdefault(folder_key(name), code)
    return names | label_map.code_of_snomed()


def _most_common(labels: Counter[str]) -> str:
    return ", ".join(f"{label!r} ({n})" for label, n in labels.most_common(5))
