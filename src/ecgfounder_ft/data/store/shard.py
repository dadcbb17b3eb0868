"""One shard of a signal store: recordings read, told apart by their content, preprocessed and written."""

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Container, Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ecgfounder_ft.data.near_copies import fingerprint
from ecgfounder_ft.data.store.index import (
    SETTINGS_FILE,
    Entry,
    checksum_of,
    flush,
    hash_of,
    signature,
    temporary_file,
    write_shard_header,
)
from ecgfounder_ft.ecg.description import NOTHING_STATED, SignalDescription
from ecgfounder_ft.ecg.formats import other_files, read_recording
from ecgfounder_ft.ecg.leads import STANDARD_LEADS
from ecgfounder_ft.ecg.preprocessing import Preprocessing
from ecgfounder_ft.ecg.quality import STORAGE_MATTERS
from ecgfounder_ft.ecg.recording import MissingReaderError, Recording, UnreadableRecordingError
from ecgfounder_ft.ecg.regular_file import is_regular
from ecgfounder_ft.errors import ExplainedError

ADVICE = "make room, choose another folder for the store, or fewer recordings (max_samples)"
"""What to do where the disk is full."""
_BLOCK_BYTES = 1 << 20
_MISSING_MICROVOLTS = np.float32(-(2**31))  # the smallest int32
_LARGEST_MICROVOLTS = np.float32(2**31 - 128)  # the largest float32 that an int32 holds


class StoreFullError(ExplainedError, RuntimeError):
    """The disk has no room for the store; says how much is needed and how much is free."""


def shape_of(preprocessing: Preprocessing) -> tuple[int, int]:
    """(leads, samples) of what a preprocessing gives."""
    return len(preprocessing.leads), preprocessing.samples


def row_bytes(preprocessing: Preprocessing) -> int:
    """Bytes of a recording in a shard."""
    leads, samples = shape_of(preprocessing)
    return 4 * leads * samples


def signal_hash(recording: Recording) -> str:
    """A hash of the signal itself, the same under any name and in any storage form.

    Taken of the millivolts rounded to 1 µV, standard leads in standard order before any others.
    """
    position = {lead: number for number, lead in enumerate(STANDARD_LEADS)}
    order = sorted(range(len(recording.leads)), key=lambda row: position.get(recording.leads[row], len(position)))
    microvolts = recording.signal[order] * np.float32(1000)
    np.rint(microvolts, out=microvolts)
    np.clip(microvolts, -_LARGEST_MICROVOLTS, _LARGEST_MICROVOLTS, out=microvolts)
    missing = np.isnan(microvolts)
    if missing.any():
        microvolts[missing] = _MISSING_MICROVOLTS
    return hash_of(repr(microvolts.shape).encode(), microvolts.astype("<i4"))


def build_shard(store: Path, paths: Sequence[str], known: frozenset[str], preprocessing: Preprocessing) -> list[Entry]:
    """Preprocess some recordings into one shard.

    Returns:
        One entry per path: with a row, with a reason, with neither where the content lies elsewhere, and without
        content where the files cannot be read at all.
    """
    entries: list[Entry] = []
    rows: set[str] = set()
    stated = _stated_in(store)
    try:
        with temporary_file(store) as (stream, temporary):
            write_shard_header(stream, (0, *shape_of(preprocessing)))
            for path in paths:
                entry, signal = _preprocess(path, (known, rows), preprocessing, stated)
                if signal is not None:
                    block = np.ascontiguousarray(signal, dtype="<f4").data
                    entry = entry._replace(row=len(rows), checksum=checksum_of(block))
                    rows.add(entry.content)
                    stream.write(block)
                entries.append(entry)
            if not rows:
                return entries
            stream.seek(0)
            write_shard_header(stream, (len(rows), *shape_of(preprocessing)))
            flush(stream)
            shard = f"shard-{hash_of(*(entry.content.encode() for entry in entries if entry.row >= 0))}.npy"
            temporary.replace(store / shard)
    except OSError as error:
        raise disk_error(error, store, len(paths), preprocessing) from error
    return [entry._replace(shard=shard) if entry.row >= 0 else entry for entry in entries]


def _stated_in(store: Path) -> SignalDescription:
    """What the user states of files that do not say it, as the store's settings have it."""
    settings = json.loads((store / SETTINGS_FILE).read_text(encoding="utf-8"))
    return SignalDescription.from_dict(settings["stated"]) if "stated" in settings else NOTHING_STATED


def _preprocess(
    path: str, known: Iterable[Container[str]], preprocessing: Preprocessing, stated: SignalDescription
) -> tuple[Entry, NDArray[np.float32] | None]:
    """Read and preprocess one recording, unless its content is known."""
    entry = Entry(path)
    try:
        entry = _identify(path)
        if any(entry.content in contents for contents in known):
            return entry, None
        recording = read_recording(Path(path), leads=preprocessing.leads, stated=stated)
        prepared = preprocessing(recording)
    except MissingReaderError as error:  # nothing is wrong with the file: the next build tries again
        return Entry(path, reason=error.reason, detail=error.detail), None
    except UnreadableRecordingError as error:
        return entry._replace(reason=error.reason, detail=error.detail), None
    except OSError as error:  # a disk or network that fails: not remembered, so that the next build tries again
        return Entry(path, reason="file cannot be read", detail=str(error)), None
    except Exception as error:
        error.add_note(f"while preprocessing {path}")
        raise
    if prepared.signal.shape != shape_of(preprocessing):
        raise ValueError(
            f"{path}: preprocessing gave {prepared.signal.shape}, expected (leads, samples) {shape_of(preprocessing)}"
        )
    faults = [flag for flag in prepared.flags if flag not in STORAGE_MATTERS]
    entry = entry._replace(
        signal_hash=signal_hash(recording),
        repairs="; ".join(dict.fromkeys([*prepared.repairs, *faults])),
        fingerprint=fingerprint(recording.signal, recording.sampling_rate).astype("<f2").tobytes(),
    )
    return entry, prepared.signal


def _identify(path: str) -> Entry:
    """An entry with the state and the content of a recording's files.

    Raises:
        UnreadableRecordingError: if the file by which it is known cannot be read.
        OSError: if a file is there but cannot be read.
    """
    main = Path(path)
    files = other_files(main)  # absent ones too: when such a file comes, the signature changes
    joined = "/".join(files)
    state = signature(path, joined)  # before the content: a change in between is noticed by the next build
    digest = hashlib.blake2b(digest_size=16)
    for file in (main, *(main.parent / name for name in files)):
        if not is_regular(file):
            digest.update((0).to_bytes(8, "little"))
            continue
        with file.open("rb") as stream:
            digest.update(os.fstat(stream.fileno()).st_size.to_bytes(8, "little"))
            while block := stream.read(_BLOCK_BYTES):
                digest.update(block)
    return Entry(path, joined, state, digest.hexdigest())


def disk_error(error: OSError, store: Path, recordings: int, preprocessing: Preprocessing) -> Exception:
    """The error to raise in place of one that the disk gave: in words where it is full, or the same."""
    if error.errno not in (errno.ENOSPC, errno.EDQUOT):
        return error
    return StoreFullError(
        f"the disk ran full while the signal store was built: the next {recordings:,} recordings take "
        f"{in_words(recordings * row_bytes(preprocessing))}, {in_words(shutil.disk_usage(store).free)} are free in "
        f"{store}; {ADVICE}. What was built is kept"
    )


def in_words(size: int) -> str:
    """Bytes in a unit that reads well.

    >>> in_words(240_000), in_words(12_000_000_000)
    ('0.2 MB', '12.0 GB')
    """
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"
