"""Checkpoint files of ``torch.save``: written with a digest, and read as files that anybody may have made.

A file's claims are held against its true size before anything is built, and nothing in it is run. Damage is refused:

* Every record of the archive has a CRC-32, which is compared (``torch.load`` itself does not).
* A file of :func:`write_checkpoint` ends, as the archive's comment, in a SHA-256 of every byte before it.
* Such a file also says inside that it ends so. A file that lost its end is refused.
"""

import hashlib
import logging
import pickletools
import re
import struct
import zipfile
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from torch import Tensor

from ecgfounder_ft.errors import first_line
from ecgfounder_ft.files import whole_file
from ecgfounder_ft.records import require_bounded
from ecgfounder_ft.untrusted.errors import WeightsError

log = logging.getLogger(__name__)

MOST_BYTES = 2**34
"""Size of a file, 16 GiB: the largest network of a record, in float32, with an optimizer's two moments."""
MOST_RECORDS = 100_000
"""Number of tensors in a file; the published one has about 300."""
MOST_STRUCTURE = 2**24
"""Bytes of everything in a file but its tensors, 16 MiB; a published one with its optimizer has 130 KB."""
MOST_VALUES = 1_000_000
"""Numbers, texts, tensors and containers beside the tensors' content; a published one has some thousand."""

SEALED_KEY = "sealed"
"""Says inside a file that it ends in its digest."""
_SEAL = b"ecgfounder_ft sha256 "
_SEAL_BYTES = len(_SEAL) + 64
_END_OF_ARCHIVE, _END_BYTES = b"PK\x05\x06", 22

_GLOBALS = re.compile(
    r"collections OrderedDict|torch\._utils (_rebuild_tensor(_v2)?|_rebuild_parameter)|"
    r"torch (\w+Storage|Size|device|b?float\d+|u?int\d+|bool|complex\d+)|torch\.storage UntypedStorage|"
    r"(__builtin__|builtins) set|_codecs encode|"
    r"numpy dtype|numpy\.dtypes \w+DType|numpy\.(_core|core)\.multiarray scalar"
)
"""What a file may name: tensors, their types, and single numbers of numpy. None of it takes more than it is given."""
_LEGACY_PICKLES = 5
"""Pickles in a file of torch before 1.6, which is no archive: magic number, version, system, content, keys."""


def write_checkpoint(content: Mapping[str, Any], path: Path) -> None:
    """Write plain containers and tensors with a digest of it all; the file appears whole or not at all.

    Raises:
        WriteError: if the disk is full, or the place cannot be written to.
    """
    with whole_file(path) as unfinished:
        with unfinished.open("wb") as stream:
            try:
                torch.save({**content, SEALED_KEY: True}, stream)
            except RuntimeError as error:  # of its writer, which hides why it could not write
                raise error.__context__ if isinstance(error.__context__, OSError) else error from None
        with unfinished.open("r+b") as stream:
            stream.seek(-_END_BYTES, 2)
            end = stream.read()
            assert end.startswith(_END_OF_ARCHIVE)
            assert end.endswith(b"\0\0"), "torch.save left a comment, or another end"
            stream.seek(-2, 2)
            stream.write(struct.pack("<H", _SEAL_BYTES))  # the comment's length
            stream.seek(0)
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
            stream.seek(0, 2)
            stream.write(_SEAL + digest.encode())


LIGHTNING_SUFFIX = ".ckpt"
"""Suffix of Lightning's checkpoints, which every epoch of a training writes anew and never seals."""


def read_checkpoint(path: Path) -> dict[str, Any]:
    """What stands in a file of ``torch.save``. No code from it is run.

    Tensors are mapped, not read: they take no memory of their own until they are used.

    Raises:
        WeightsError: if it is no file, is damaged, was changed since it was written, would run code, or claims more
            than it has.
    """
    if not path.is_file():
        raise WeightsError(f"{path}: no such file, or no file at all")
    try:
        size = path.stat().st_size
        if size > MOST_BYTES:
            raise WeightsError(f"{path}: {size:,} bytes, expected {MOST_BYTES:,} at most")
        with path.open("rb") as stream:
            archived = stream.read(4) == b"PK\x03\x04"
            stream.seek(0)
            sealed = _check_archive(stream, size, path) if archived else _check_legacy(stream, path)
        with _numpy_scalars_allowed():
            content = torch.load(path, map_location="cpu", weights_only=True, mmap=archived or None)
    except WeightsError:
        raise
    except Exception as error:  # zipfile, pickletools and torch raise errors of a dozen kinds at a damaged file
        raise WeightsError(f"{path}: truncated, damaged, or no checkpoint ({first_line(error)})") from error
    if not isinstance(content, Mapping) or not all(isinstance(key, str) for key in content):
        raise WeightsError(f"{path}: holds a {type(content).__name__}; expected a dictionary with 'state_dict'")
    try:
        require_bounded(content, values=MOST_VALUES, characters=MOST_STRUCTURE)
    except ValueError as error:
        raise WeightsError(f"{path}: no checkpoint: {error}") from error
    if not sealed and content.get(SEALED_KEY):
        raise WeightsError(
            f"{path}: was changed after it was written: the digest at its end is gone. Restore it; or, if you changed "
            f"it on purpose, save it without the key '{SEALED_KEY}'"
        )
    if not sealed and archived and path.suffix != LIGHTNING_SUFFIX:
        log.info(
            "%s carries no digest, as files of others and of older versions: only its checksums were compared", path
        )
    return {str(key): value for key, value in content.items() if key != SEALED_KEY}


def _check_archive(stream: BinaryIO, size: int, path: Path) -> bool:
    """Whether the archive carries its digest; damage and excess are refused before torch sees it."""
    with zipfile.ZipFile(stream) as archive:
        records = archive.infolist()
        sealed = archive.comment.startswith(_SEAL) and len(archive.comment) == _SEAL_BYTES
        if archive.comment and not sealed:
            raise WeightsError(f"{path}: damaged: something unknown stands at its end")
        if len(records) > MOST_RECORDS:
            raise WeightsError(f"{path}: {len(records):,} records, expected {MOST_RECORDS:,} at most")
        names = {record.filename.casefold() for record in records}
        root = records[0].filename.partition("/")[0] if records else ""
        structure = f"{root}/data.pkl"
        if len(names) < len(records) or any(not record.filename.startswith(f"{root}/") for record in records):
            raise WeightsError(f"{path}: damaged: expected records of different names in one folder")
        compressed = any(record.compress_type or record.compress_size != record.file_size for record in records)
        if compressed or sum(record.file_size for record in records) > size:
            raise WeightsError(f"{path}: its records claim more than it has: torch.save compresses nothing")
        if structure.casefold() not in names or archive.getinfo(structure).file_size > MOST_STRUCTURE:
            raise WeightsError(f"{path}: expected a record 'data.pkl' of {MOST_STRUCTURE:,} bytes at most")
        if sealed:
            _check_seal(stream, size, archive.comment, path)
        elif (damaged := archive.testzip()) is not None:
            raise WeightsError(f"{path}: damaged: {damaged} is not what its checksum says. Restore or download it anew")
        with archive.open(structure) as pickled:
            _check_pickle(pickled.read(), path)
    return sealed


def _check_seal(stream: BinaryIO, size: int, comment: bytes, path: Path) -> None:
    digest, left = hashlib.sha256(), size - _SEAL_BYTES
    stream.seek(0)
    while left and (block := stream.read(min(left, 2**20))):
        digest.update(block)
        left -= len(block)
    if _SEAL + digest.hexdigest().encode() != comment:
        raise WeightsError(
            f"{path}: damaged or changed after it was written: its content is not that of the digest at its end. "
            "Restore it from a copy, or write it anew"
        )


def _check_legacy(stream: BinaryIO, path: Path) -> bool:
    for _ in range(_LEGACY_PICKLES):
        _check_pickle(stream, path)
    return False


def _check_pickle(pickled: bytes | BinaryIO, path: Path) -> None:
    """Refuse what names anything but tensors and numbers; it is parsed, and nothing of it is built."""
    for operation, argument, _ in pickletools.genops(pickled):
        named = str(argument) if operation.name in ("GLOBAL", "INST") else ""
        if operation.name in ("STACK_GLOBAL", "INST", "EXT1", "EXT2", "EXT4") or (
            named and not _GLOBALS.fullmatch(named)
        ):
            raise WeightsError(
                f"{path}: refused, because loading it would run code or build objects other than tensors and numbers "
                f"({named[:200].replace(' ', '.') or operation.name})"
            )


def require_plain_tensors(state: Mapping[str, Any], path: Path) -> None:
    """Refuse tensors that are not simply numbers in memory, or that claim more numbers than they have.

    Raises:
        WeightsError: that names them.
    """
    for key, value in state.items():
        plain = type(value) in (Tensor, torch.nn.Parameter) and value.layout is torch.strided and value.is_cpu
        if not plain or value.is_quantized or value.is_complex():
            raise WeightsError(f"{path}: {key} is no plain tensor of numbers")
        if value.numel() * value.element_size() > value.untyped_storage().nbytes():
            raise WeightsError(
                f"{path}: {key} claims {value.numel():,} numbers, of which the file does not have as many"
            )


def _numpy_scalars_allowed() -> AbstractContextManager[None]:
    """Published files hold a numpy scalar (the validation AUROC); numbers of numpy run no code."""
    scalar = np._core.multiarray.scalar  # type: ignore[attr-defined]
    allowed: list[Callable | tuple[Callable, str]] = [
        scalar,
        (scalar, "numpy.core.multiarray.scalar"),  # where it stands in files written under numpy 1
        np.dtype,
        *(getattr(np.dtypes, f"{kind}DType") for kind in ("Float16", "Float32", "Float64", "Int32", "Int64", "Bool")),
    ]
    return torch.serialization.safe_globals(allowed)
