"""Records of plain containers, as files hold them, held against the dataclass whose fields they state.

A dataclass takes whatever it is given. What comes from a file is checked here first, value by value, so that a text
where a number belongs is told by its place in the record and not by the line of code that trips over it.
"""

import math
import types
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from typing import Any, Union, get_args, get_origin, get_type_hints

MOST_LEVELS = 64
"""Depth of containers in each other; records of this package have up to eight."""


def require_bounded(content: Any, *, values: int, characters: int) -> None:
    """Refuse containers that are small in a file and endless to walk through, for they hold each other many times.

    Args:
        content: nested containers.
        values: at most, containers included, counted as often as one meets them.
        characters: at most, of all texts together.

    Raises:
        ValueError: that says what there is too much of.
    """
    stack: list[tuple[Any, int]] = [(content, 0)]
    met = length = 0
    while stack:
        value, level = stack.pop()
        met += 1
        length += len(value) if isinstance(value, str | bytes) else 0
        if met > values or length > characters or level > MOST_LEVELS:
            raise ValueError(
                f"it holds more than {values:,} values, {characters:,} characters or {MOST_LEVELS} containers in each "
                "other"
            )
        if isinstance(value, int) and not -(2**64) < value < 2**64:
            raise ValueError(f"it holds an integer of {value.bit_length():,} bits, expected 64 at most")
        if isinstance(value, Mapping):
            stack.extend((entry, level + 1) for entry in (*value.keys(), *value.values()))
        elif isinstance(value, Sequence | set) and not isinstance(value, str | bytes):
            stack.extend((entry, level + 1) for entry in value)


def check_record(kind: Any, content: Any, place: str = "") -> None:
    """Refuse a record that is not of the form of a dataclass, or of another type.

    Floating-point numbers must be finite, since a record has None where there is no number.

    Args:
        kind: a dataclass, ``dict[str, ...]``, ``list[...]``, a plain type, a union of these, or Any.
        content: plain containers.
        place: dotted, of the content in a larger record, for messages.

    Raises:
        ValueError: that names the place, the value that was found and the one that was expected.
    """
    if kind is Any:
        return
    origin = get_origin(kind)
    if origin in (Union, types.UnionType):
        _check_union(get_args(kind), content, place)
    elif is_dataclass(kind) or origin is dict:
        if not isinstance(content, Mapping) or not all(isinstance(key, str) for key in content):
            raise ValueError(_odd(place, content, "names and values"))
        if origin is dict:
            for key, value in content.items():
                check_record(get_args(kind)[1], value, _join(place, key))
        else:
            _check_fields(kind, content, place)
    elif origin is list:
        if not isinstance(content, list | tuple):
            raise ValueError(_odd(place, content, "a list"))
        for number, value in enumerate(content):
            check_record(get_args(kind)[0], value, f"{place}[{number}]")
    elif kind in (int, float):
        _check_number(kind, content, place)
    elif not isinstance(content, kind):
        raise ValueError(_odd(place, content, kind.__name__))


def _check_fields(kind: Any, content: Mapping[str, Any], place: str) -> None:
    known = {field.name: field for field in fields(kind) if field.init}
    unknown = [_join(place, name)[:100] for name in content if name not in known]
    if unknown:
        raise ValueError(f"{', '.join(unknown[:4])}: not known; {place or 'the record'} has {', '.join(known)}")
    lacking = [
        _join(place, name)
        for name, field in known.items()
        if name not in content and field.default is MISSING and field.default_factory is MISSING
    ]
    if lacking:
        raise ValueError(f"{', '.join(lacking)}: missing")
    hints = get_type_hints(kind)
    for name, value in content.items():
        check_record(hints[name], value, _join(place, name))


def _check_number(kind: type, content: Any, place: str) -> None:
    allowed = int if kind is int else int | float
    if isinstance(content, bool) or not isinstance(content, allowed):
        raise ValueError(_odd(place, content, "a whole number" if kind is int else "a number"))
    if isinstance(content, float) and not math.isfinite(content):
        raise ValueError(_odd(place, content, "a finite number"))
    if abs(content) >= 2**64 and isinstance(content, int):
        raise ValueError(f"{place or 'the record'} is an integer of {content.bit_length():,} bits, expected 64 at most")


def _check_union(kinds: tuple[Any, ...], content: Any, place: str) -> None:
    if content is None and types.NoneType in kinds:
        return
    found: list[ValueError] = []
    for kind in kinds:
        if kind is not types.NoneType:
            try:
                return check_record(kind, content, place)
            except ValueError as error:
                found.append(error)
    raise found[0]


def _odd(place: str, content: Any, expected: str) -> str:
    shown = f"{content!r:.60}" if isinstance(content, str | int | float | bool | None) else type(content).__name__
    return f"{place or 'the record'} is {shown}, expected {expected}"


def _join(place: str, name: str) -> str:
    return f"{place}.{name}" if place else name
