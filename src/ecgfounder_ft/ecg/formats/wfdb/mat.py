"""The ``.mat`` files beside the headers of PhysioNet/CinC Challenge recordings.

They are MAT v4: 20 bytes (type, rows, columns, whether there is an imaginary part, length of the name), the name
``val``, then int16 samples column by column, one column per moment. That is also WFDB format 16 behind 24 bytes, as the
headers say, and nothing but these 24 bytes tells such a file from any other that is large enough. MATLAB's v5, which
``scipy.io.savemat`` writes, holds the same matrix in another layout, perhaps compressed.

Both are described in https://www.mathworks.com/help/pdf_doc/matlab/matfile_format.pdf
"""

import os
import struct
import zlib
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from ecgfounder_ft.ecg.recording import UnreadableRecordingError

HEADER_BYTES = 24
"""Bytes of the header of MAT v4 with a name of three letters."""

_NAME = "val"
_INT16 = 30
"""Type of a little-endian int16 matrix in MAT v4."""
_COMPRESSED = 15
"""Type of a compressed element in MAT v5."""
_MOST_OTHER_BYTES = 1 << 16
"""Bytes of a MAT v5 element beside its matrix: its name, flags and shape."""
_V4_TYPES = {0: "double", 10: "single", 20: "int32", 30: "int16", 40: "uint16", 50: "uint8"}
_OTHER_FILES = {
    b"MATLAB 7.3 MAT-file": "MAT v7.3 (HDF5)",
    b"\x89HDF": "HDF5",
    b"<": "HTML or XML",
    b"PK": "a ZIP archive",
    b"\x1f\x8b": "gzip",
    b"\x93NUMPY": "an array of numpy",
}
_READABLE = f"expected MAT v4 or v5 with an int16 matrix {_NAME!r}"


def write_v4_header(stream: BinaryIO, rows: int, columns: int) -> None:
    """The 24 bytes ahead of the samples."""
    stream.write(struct.pack("<5i", _INT16, rows, columns, 0, len(_NAME) + 1) + _NAME.encode() + b"\0")


def is_v5(stream: BinaryIO) -> bool:
    """Whether a file is MATLAB's v5, little-endian as all are today; the stream then stands at its beginning."""
    stream.seek(0)
    start = stream.read(128)
    stream.seek(0)
    return start.startswith(b"MATLAB 5.0 MAT-file") and start[124:128] == b"\x00\x01IM"


def require_v4(stream: BinaryIO, size: int, rows: int, columns: int | None, path: Path) -> int:
    """Check the 24 bytes of a MAT v4 file; the stream then stands at its first sample.

    Args:
        stream: the file, open.
        size: of the file in bytes.
        rows: signals that the WFDB header describes in this file.
        columns: samples per signal by the WFDB header, None where it does not say.
        path: for messages.

    Returns:
        Samples per signal.

    Raises:
        UnreadableRecordingError: that says what differs.
    """
    stream.seek(0)
    start = stream.read(HEADER_BYTES)
    if len(start) < HEADER_BYTES:
        raise UnreadableRecordingError("signal file is truncated", f"{len(start)} bytes, {_READABLE}", path)
    kind, found_rows, found_columns, imaginary, length = struct.unpack("<5i", start[:20])
    if kind not in _V4_TYPES or imaginary not in (0, 1):
        raise UnreadableRecordingError("not a MAT v4 file", f"found {_described(start)}, {_READABLE}", path)
    if kind != _INT16 or imaginary or length != len(_NAME) + 1 or start[20:] != _NAME.encode() + b"\0":
        name = start[20 : 20 + max(min(length - 1, 4), 0)].decode("latin-1")
        what = f"a {'complex ' if imaginary else ''}{_V4_TYPES[kind]} matrix whose name begins {name!r}"
        raise UnreadableRecordingError("MAT file of another content", f"found {what}, {_READABLE}", path)
    if found_rows != rows or (columns is not None and found_columns != columns) or found_columns < 0:
        raise _other_shape((found_rows, found_columns), rows, columns, path)
    expected = HEADER_BYTES + 2 * found_rows * found_columns
    if size < expected:
        raise UnreadableRecordingError("signal file is truncated", f"{size} bytes, expected {expected}", path)
    if size > expected:
        raise UnreadableRecordingError("MAT file of another size", f"{size} bytes, expected {expected}", path)
    return int(found_columns)


def read_v5(stream: BinaryIO, rows: int, columns: int | None, most_values: int, path: Path) -> NDArray[np.int16]:
    """The matrix of a MAT v5 file, (rows, columns).

    Its shape is read, and compared with the WFDB header, before the matrix itself, which a compressed file could
    claim to be of any size.

    Args:
        stream: the file, open.
        rows: signals that the WFDB header describes in this file.
        columns: samples per signal by the WFDB header, None where it does not say.
        most_values: a larger matrix is refused.
        path: for messages.

    Raises:
        UnreadableRecordingError: if there is no matrix ``val`` of that shape, or it does not hold int16 numbers.
    """
    from scipy.io import loadmat, whosmat

    try:
        shapes = {name: shape for name, shape, _ in whosmat(stream)}
        shape = shapes.get(_NAME)
        if shape is None:
            raise UnreadableRecordingError("MAT file of another content", f"found {[*shapes][:5]}, {_READABLE}", path)
        if len(shape) != 2 or shape[0] != rows or (columns is not None and shape[1] != columns):
            raise _other_shape(shape, rows, columns, path)
        if shape[0] * shape[1] > most_values:
            raise UnreadableRecordingError(
                "too long", f"{shape[0] * shape[1]:,} samples in all leads, expected {most_values:,} at most", path
            )
        _require_modest_size(stream, 8 * shape[0] * shape[1] + _MOST_OTHER_BYTES)
        stream.seek(0)
        matrix = np.asarray(loadmat(stream, variable_names=[_NAME])[_NAME])
    except UnreadableRecordingError:
        raise
    except Exception as error:  # scipy raises whatever its parsing meets; each of them means the same here
        raise UnreadableRecordingError("MAT v5 file is damaged", f"{type(error).__name__}: {error}", path) from error
    if matrix.shape != shape or matrix.dtype.kind not in "iuf":
        raise UnreadableRecordingError(
            "MAT file of another content", f"found {matrix.dtype} {matrix.shape}, {_READABLE}", path
        )
    with np.errstate(invalid="ignore"):
        digital = matrix.astype(np.int16)
    if not np.array_equal(digital, matrix):
        raise UnreadableRecordingError(
            "MAT file of another content",
            "its numbers are no int16 numbers, as an analogue-digital converter gives; perhaps they were scaled to "
            "millivolts already, which the header's gain would do once more",
            path,
        )
    return digital


def _require_modest_size(stream: BinaryIO, most_bytes: int) -> None:
    """Refuse compressed elements that are larger than the matrix, before scipy unpacks them whole.

    Raises:
        ValueError: if there is such an element, or the elements are not whole.
    """
    stream.seek(128)
    while tag := stream.read(8):
        kind, size = struct.unpack("<II", tag)
        if kind != _COMPRESSED:
            stream.seek(size, os.SEEK_CUR)
            continue
        unpacking = zlib.decompressobj()
        if len(unpacking.decompress(stream.read(size), most_bytes)) >= most_bytes:
            raise ValueError(f"an element unpacks to more than {most_bytes:,} bytes")


def _other_shape(shape: tuple[int, ...], rows: int, columns: int | None, path: Path) -> UnreadableRecordingError:
    found = " x ".join(map(str, shape))
    expected = f"{rows} x {'any' if columns is None else columns}"
    return UnreadableRecordingError(
        "MAT file of another shape", f"{found}, expected leads x samples, by the header {expected}", path
    )


def _described(start: bytes) -> str:
    for beginning, what in _OTHER_FILES.items():
        if start.lstrip().startswith(beginning):
            return what
    return f"a file that begins {start[:8]!r}"
