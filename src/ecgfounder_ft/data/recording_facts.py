"""What a catalog needs to know of recordings: which there are in a folder, and what each says of itself.

WFDB headers are short, and a file may remember them, so that a catalog is built again from those alone that are new or
changed. Recordings of other formats are read in full.
"""

import hashlib
import logging
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from ecgfounder_ft.ecg.description import NOTHING_STATED, SignalDescription
from ecgfounder_ft.ecg.formats import csv, may_be_recording, read_recording, walk_files, wfdb
from ecgfounder_ft.ecg.formats.wfdb import DEFAULT_RATE, count_samples, read_header, signal_file
from ecgfounder_ft.ecg.recording import UnreadableRecordingError
from ecgfounder_ft.files import make_shared_folder, whole_file

logger = logging.getLogger(__name__)

_THREADS = 8
"""Threads that read headers; network drives need several."""
_BLOCK_BYTES = 1 << 20
_CACHE_VERSION = b"3"
"""Raised whenever the meaning of a field of :class:`RecordingFacts` changes, or which headers can be used."""
_SIGNAL_SUFFIXES = (".dat", ".mat")
_OTHER_FORMAT = "this source reads WFDB (.hea); list such files in a table, data=table"
_SEXES = {"female": "female", "f": "female", "male": "male", "m": "male"}
_AGE_OVER_89 = 300
"""PTB-XL's spelling of an age over 89 years, which it withholds (Wagner et al. 2020, Sci Data 7:154)."""


@dataclass(frozen=True)
class RecordingFacts:
    """What one recording says of itself."""

    path: str
    name: str
    """Record name, the file name without its suffix."""
    sampling_rate: float
    """Hz."""
    samples: int
    """Per lead."""
    age: float
    """Years, NaN where unknown; 90 for an age that is only known to be over 89."""
    sex: str
    """``female``, ``male`` or empty."""
    subject: str = ""
    """Patient id as headers of MIMIC-IV-ECG give it, or empty."""
    diagnoses: str = ""
    """The ``Dx`` line of a header, or empty."""
    signature: str = ""
    """Size and time of change of a header and of the signal files beside it; empty for a recording that has others."""


@dataclass(frozen=True)
class FactsReading:
    """What came of reading a list of recordings."""

    facts: list[RecordingFacts]
    """Facts in the order of the list."""
    errors: list[UnreadableRecordingError]
    """One for each recording that could not be used."""
    read: int
    """Number of recordings that had to be read; the others were remembered, and have not changed since."""


def facts_of(
    paths: Sequence[Path], cache: Path | None = None, stated: SignalDescription = NOTHING_STATED
) -> FactsReading:
    """Read what recordings say of themselves, each as :func:`read_facts` does.

    Args:
        paths: the files by which the recordings are known.
        cache: a Parquet file that remembers what earlier headers said; written anew where anything changed.
            One that cannot be read is replaced, with a warning.
        stated: rate, unit and leads for files that do not say them.
    """
    known = {} if cache is None else _load_cache(cache)

    def read(path: Path) -> tuple[RecordingFacts | UnreadableRecordingError, bool]:
        remembered = known.get(str(path))
        if remembered is not None and remembered.signature == _signature(path):
            return remembered, False
        try:
            return read_facts(path, stated), True
        except UnreadableRecordingError as error:
            return error, True
        except OSError as error:
            return UnreadableRecordingError("file cannot be read", str(error), path), True

    with ThreadPoolExecutor(_THREADS) as threads:
        results = list(threads.map(read, paths))
    facts = [result for result, _ in results if isinstance(result, RecordingFacts)]
    errors = [result for result, _ in results if isinstance(result, UnreadableRecordingError)]
    n_read = sum(fresh for _, fresh in results)
    if cache is not None:
        logger.info("%s: %d header(s) read, %d unchanged", cache, n_read, len(paths) - n_read)
        if n_read > len(errors) or len(facts) != len(known):
            _save_cache(facts, cache)
    if errors:
        reasons = Counter(error.reason for error in errors)
        logger.warning("%d recording(s) skipped: %s", len(errors), dict(reasons.most_common()))
    return FactsReading(facts, errors, n_read)


def read_facts(path: Path, stated: SignalDescription = NOTHING_STATED) -> RecordingFacts:
    """Read what a recording says of itself; for WFDB in its header, with a look for its signal files.

    Raises:
        UnreadableRecordingError: if the recording cannot be read, has no samples, or a signal file is missing, cut
            short or a git-lfs pointer.
    """
    if path.suffix.casefold() not in wfdb.SUFFIXES:
        recording = read_recording(path, stated=stated)
        said, name = recording.metadata, recording.name
        rate, samples = recording.sampling_rate, recording.signal.shape[1]
        return RecordingFacts(
            str(path), name, rate, samples, parse_age(said.get("age", "")), parse_sex(said.get("sex", ""))
        )
    header = read_header(path)
    said = header.metadata
    beside = {f"{path.stem}{suffix}" for suffix in _SIGNAL_SUFFIXES}.issuperset(spec.file for spec in header.signals)
    return RecordingFacts(
        path=str(path),
        name=header.name,
        sampling_rate=(header.sampling_rate or DEFAULT_RATE) * header.signals[0].samples_per_frame,
        samples=count_samples(header) * header.signals[0].samples_per_frame,
        age=parse_age(said.get("age", "")),
        sex=parse_sex(said.get("sex", "")),
        subject=said.get("<subject_id>", ""),
        diagnoses=said.get("dx", ""),
        signature=_signature(path) if beside else "",
    )


def _signature(header: Path) -> str:
    parts = []
    for file in (header, *(header.with_suffix(suffix) for suffix in _SIGNAL_SUFFIXES)):
        try:
            status = file.stat()
        except OSError:
            continue
        parts.append(f"{file.suffix}:{status.st_size}:{status.st_mtime_ns}")
    return " ".join(parts)


def find_headers(root: Path) -> tuple[list[Path], list[UnreadableRecordingError]]:
    """List the WFDB headers (``.hea`` in any case) below a folder, by path, and what is left out beside them.

    Left out are signal files without a header, and recordings of other formats: the datasets consist of WFDB alone.

    Raises:
        UnreadableRecordingError: if a folder cannot be listed.
    """
    headers, signals, others = [], [], []
    for file in walk_files(root):
        suffix = file.suffix.casefold()
        if suffix in wfdb.SUFFIXES:
            headers.append(file)
        elif suffix in _SIGNAL_SUFFIXES:
            signals.append(file)
        elif suffix in csv.SUFFIXES:
            others += [file] if csv.looks_like_recording(file) else []
        elif may_be_recording(file):
            others.append(file)
    stems = {header.with_suffix("") for header in headers}
    alone = [file for file in signals if file.with_suffix("") not in stems]
    left_out = [
        UnreadableRecordingError("signal file without a header", f"no {file.stem}.hea beside it", file)
        for file in alone
    ]
    left_out += [UnreadableRecordingError("recording of another format", _OTHER_FORMAT, file) for file in others]
    for found, what in ((alone, "signal file(s) without a header"), (others, "recording(s) of other formats left out")):
        if found:
            logger.warning("%d %s, the first %s", len(found), what, found[0])
    return headers, left_out


def _load_cache(file: Path) -> dict[str, RecordingFacts]:
    if not file.exists():
        return {}
    try:
        table = pq.read_table(file)
        if (table.schema.metadata or {}).get(b"version") != _CACHE_VERSION:
            return {}
        columns = [table[field.name].to_pylist() for field in fields(RecordingFacts)]
        return {row[0]: RecordingFacts(*row) for row in zip(*columns, strict=True)}
    except (OSError, KeyError, pa.ArrowException) as error:
        logger.warning("%s cannot be used and is made anew: %s", file, error)
        return {}


def _save_cache(facts: Iterable[RecordingFacts], file: Path) -> None:
    rows = [entry for entry in facts if entry.signature]
    columns = {field.name: [getattr(entry, field.name) for entry in rows] for field in fields(RecordingFacts)}
    table = pa.table(columns).replace_schema_metadata({b"version": _CACHE_VERSION})
    make_shared_folder(file.parent)
    with whole_file(file) as unfinished:
        pq.write_table(table, unfinished)


def copies_by_name(facts: Iterable[RecordingFacts]) -> dict[str, list[list[RecordingFacts]]]:
    """Recordings by record name: for each name, the recordings of that name, each a list of its copies.

    Files of one name are copies if their signal files hold the same bytes; in the order in which they came.
    """
    by_name: dict[str, list[RecordingFacts]] = defaultdict(list)
    for entry in facts:
        by_name[entry.name].append(entry)
    return {name: _by_signal(copies) for name, copies in sorted(by_name.items())}


def _by_signal(copies: list[RecordingFacts]) -> list[list[RecordingFacts]]:
    if len(copies) == 1:
        return [copies]
    groups: dict[str, list[RecordingFacts]] = defaultdict(list)
    for copy in copies:
        groups[signal_digest(Path(copy.path))].append(copy)
    return list(groups.values())


def unique_name(name: str, number: int, first: RecordingFacts) -> str:
    """Name of the ``number``-th recording (0-based) of one record name: it is the name alone for the first.

    Later ones bear a part of the SHA-256 of their signal, so that their names do not depend on their order.
    """
    return name if number == 0 else f"{name}~{signal_digest(Path(first.path))[:8]}"


def signal_digest(path: Path) -> str:
    """SHA-256 over the signal files of a recording, in the header's order."""
    header = read_header(path)
    digest = hashlib.sha256()
    for name in dict.fromkeys(spec.file for spec in header.signals):
        with signal_file(header, name).open("rb") as stream:
            while block := stream.read(_BLOCK_BYTES):
                digest.update(block)
    return digest.hexdigest()


def parse_age(text: str) -> float:
    """Age in years from a header field; NaN where it names none.

    >>> parse_age("74"), parse_age("NaN"), parse_age("-1"), parse_age("300")
    (74.0, nan, nan, 90.0)
    """
    try:
        age = float(text)
    except ValueError:
        return math.nan
    if age == _AGE_OVER_89:
        return 90.0
    return age if 0 <= age <= 120 else math.nan


def parse_sex(text: str) -> str:
    """``female``, ``male``, or empty where a header field names neither.

    >>> parse_sex("Male"), parse_sex("F"), parse_sex("Unknown")
    ('male', 'female', '')
    """
    return _SEXES.get(text.strip().casefold(), "")
