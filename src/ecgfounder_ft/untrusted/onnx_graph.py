"""What an ONNX file may hold, looked at before ONNX Runtime sees it: one graph of tensors, all of it in the file.

The format is a protocol buffer, of which only the fields below are read; the numbers are those of ``onnx.proto``. The
``onnx`` package, which would read it too, is not installed where models are only used.
"""

from collections.abc import Iterator

import numpy as np

MOST_NODES = 100_000
"""Operations of a graph; that of the published network has some hundreds."""
CONTROL_FLOW = {"If", "Loop", "Scan", "SequenceMap"}
ELEMENTS = {1: "<f4", 6: "<i4", 7: "<i8", 9: "?", 10: "<f2", 11: "<f8"}
"""Element type of a tensor to the type of its numbers: float, int32, int64, bool, float16, double."""

_VARINT, _EIGHT, _BYTES, _FOUR = 0, 1, 2, 5
_GRAPH, _TRAINING, _FUNCTIONS = 7, 20, 25
_NODE, _INITIALIZER, _SPARSE = 1, 5, 15
_OPERATION, _ATTRIBUTE, _DOMAIN = 4, 5, 7
_TENSOR, _SUBGRAPH, _TENSORS, _SUBGRAPHS = 5, 6, 10, 11
_DIMS, _TYPE, _RAW, _EXTERNAL, _LOCATION, _TENSOR_NAME = 1, 2, 9, 13, 14, 8


def require_plain_graph(content: bytes) -> None:
    """Refuse what is no single graph of tensors.

    Raises:
        ValueError: if it is damaged, refers to data outside of the file, holds control flow, operations of other
            makers or other element types, or has weights that are not finite.
    """
    nodes = 0
    for field, value in _fields(memoryview(content)):
        if field in (_TRAINING, _FUNCTIONS):
            raise ValueError("it holds functions or a training of its own, expected one graph")
        if field != _GRAPH:
            continue
        for part, inner in _fields(_bytes(value)):
            if part == _SPARSE:
                raise ValueError("it holds sparse tensors")
            if part == _INITIALIZER:
                _require_plain_tensor(_bytes(inner))
            if part == _NODE:
                nodes += 1
                if nodes > MOST_NODES:
                    raise ValueError(f"it holds more than {MOST_NODES:,} operations")
                _require_plain_node(_bytes(inner))


def _require_plain_node(node: memoryview) -> None:
    fields = list(_fields(node))
    texts = {field: bytes(_bytes(value)).decode("utf-8", "replace") for field, value in fields if field in (4, 7)}
    operation = texts.get(_OPERATION, "")
    if texts.get(_DOMAIN, "") not in ("", "ai.onnx"):
        raise ValueError(f"it holds the operation {operation!r} of {texts[_DOMAIN]!r}, expected ONNX's own")
    if operation in CONTROL_FLOW:
        raise ValueError(f"it holds control flow ({operation})")
    for field, attribute in fields:
        if field == _ATTRIBUTE:
            for kind, value in _fields(_bytes(attribute)):
                if kind in (_SUBGRAPH, _SUBGRAPHS):
                    raise ValueError(f"it holds control flow (a graph within {operation!r})")
                if kind in (_TENSOR, _TENSORS):
                    _require_plain_tensor(_bytes(value))


def _require_plain_tensor(tensor: memoryview) -> None:
    dims: list[int] = []
    kind, raw, name = 0, None, ""
    for field, value in _fields(tensor):
        if field == _DIMS:
            dims += _numbers(value)
        elif field == _TYPE and isinstance(value, int):
            kind = value
        elif field == _RAW:
            raw = _bytes(value)
        elif field == _TENSOR_NAME:
            name = bytes(_bytes(value)).decode("utf-8", "replace")[:100]
        elif field == _EXTERNAL or (field == _LOCATION and value != 0):
            raise ValueError("it refers to data in another file")
    if kind not in ELEMENTS:
        raise ValueError(f"{name or 'a tensor'} has elements of the type {kind}, expected one of {list(ELEMENTS)}")
    numbers = np.prod([float(size) for size in dims])
    if not 0 <= numbers <= len(tensor) * 8:
        raise ValueError(f"{name or 'a tensor'} claims {numbers:,.0f} numbers, more than it has bytes")
    if raw is not None:
        found = np.dtype(ELEMENTS[kind])
        if numbers * found.itemsize != len(raw):
            raise ValueError(f"{name or 'a tensor'} claims {numbers:,.0f} numbers and has {len(raw):,} bytes")
        # a single number may be the NaN or the infinity that a formula compares with
        if found.kind == "f" and numbers > 1 and not np.isfinite(np.frombuffer(raw, found)).all():
            raise ValueError(f"NaN or infinity in {name or 'a tensor'}")


def _fields(message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Yield the fields of a message: number, and an integer or the bytes."""
    at, end = 0, len(message)
    while at < end:
        key, at = _varint(message, at)
        kind = key & 7
        if kind == _VARINT:
            value, at = _varint(message, at)
            yield key >> 3, value
            continue
        if kind == _BYTES:
            size, at = _varint(message, at)
        elif kind in (_EIGHT, _FOUR):
            size = 8 if kind == _EIGHT else 4
        else:
            raise ValueError("it is damaged, or no ONNX file")
        if at + size > end:
            raise ValueError("it is truncated or damaged")
        yield key >> 3, message[at : at + size]
        at += size


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(message):
            break
        byte = message[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
    raise ValueError("it is truncated or damaged")


def _bytes(value: int | memoryview) -> memoryview:
    if isinstance(value, int):
        raise ValueError("it is damaged, or no ONNX file")
    return value


def _numbers(value: int | memoryview) -> list[int]:
    """Integers, of which several may be packed into one field."""
    if isinstance(value, int):
        return [value]
    found, at = [], 0
    while at < len(value):
        number, at = _varint(value, at)
        found.append(number)
    return found
