"""What a catalog reads from WFDB headers: which there are, and what each says.

Headers are read by threads, for the sake of network drives, and remembered in a file if one is named, so that
a catalog is built again from those alone that are new or changed.
"""

import hashlib
import logging
import math
import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from ecgfounder_ft.ecg.formats.wfdb import DEFAULT_RATE, count_samples, read_header, signal_file
from ecgfounder_ft.ecg.recording import UnreadableRecordingError
from ecgfounder_ft.files import whole_file

logger = logging.getLogger(__name__)

_THREADS = 8
_BLOCK_BYTES = 1 << 20
_CACHE_VERSION = b"2"
"""Raised whenever the meaning of a field of :class:`HeaderFacts` changes, or which headers can be used."""

_SEXES = {"female": "female", "f": "female", "male": "male", "m": "male"}
_AGE_OVER_89 = 300
"""PTB-XL's spelling of an age over 89 years, which it withholds (Wagner et al. 2020, Sci Data 7:154)."""


@dataclass(frozen=True)
class HeaderFacts:
    """What one header says of its recording."""

    path: str
    name: str
    """Record name, the header's file name without ``.hea``."""
    sampling_rate: float
    """Hz."""
    samples: int
    """Per lead."""
    age: float
    """Years, NaN where unknown; 90 for an age that is only known to be over 89."""
    sex: str
    """``female``, ``male`` or empty."""
    subject: str
    """Patient id as MIMIC-IV-ECG gives it, or empty."""
    diagnoses: str
    """The ``Dx`` line, or empty."""
    fingerprint: str
    """Size and time of change of the header and the signal files beside it, empty where they are others."""


@dataclass(frozen=True)
class HeaderReading:
    """What came of reading a list of headers."""

    facts: list[HeaderFacts]
    """In the order of the list."""
    errors: list[UnreadableRecordingError]
    """One for each header that could not be used."""
    read: int
    """How many had to be read; the others were remembered, and have not changed since."""


def read_headers(paths: Sequence[Path], cache: Path | None = None) -> HeaderReading:
    """Read headers as :func:`read_facts` does.

    Args:
        paths: headers.
        cache: a Parquet file that remembers what earlier headers said; written anew where anything changed.
            One that cannot be read is replaced, with a warning.
    """
    known = {} if cache is None else _load_cache(cache)

    def read(path: Path) -> tuple[HeaderFacts | UnreadableRecordingError, bool]:
        remembered = known.get(str(path))
        if remembered is not None and remembered.fingerprint == _fingerprint(path):
            return remembered, False
        try:
            return read_facts(path), True
        except UnreadableRecordingError as error:
            return error, True
        except OSError as error:
            return UnreadableRecordingError("file cannot be read", str(error), path), True

    with ThreadPoolExecutor(_THREADS) as threads:
        results = list(threads.map(read, paths))
    facts = [result for result, _ in results if isinstance(result, HeaderFacts)]
    errors = [result for result, _ in results if isinstance(result, UnreadableRecordingError)]
    n_read = sum(fresh for _, fresh in results)
    if cache is not None:
        logger.info("%s: %d header(s) read, %d unchanged", cache, n_read, len(paths) - n_read)
        if n_read > len(errors) or len(facts) != len(known):
            _save_cache(facts, cache)
    if errors:
        reasons = Counter(error.reason for error in errors)
        logger.warning("%d recording(s) skipped: %s", len(errors), dict(reasons.most_common()))
    return HeaderReading(facts, errors, n_read)


def _fingerprint(header: Path) -> str:
    parts = []
    for suffix in (".hea", ".dat", ".mat"):
        try:
            status = header.with_suffix(suffix).stat()
        except OSError:
            continue
        parts.append(f"{suffix}:{status.st_size}:{status.st_mtime_ns}")
    return " ".join(parts)


def _load_cache(file: Path) -> dict[str, HeaderFacts]:
    if not file.exists():
        return {}
    try:
        table = pq.read_table(file)
        if (table.schema.metadata or {}).get(b"version") != _CACHE_VERSION:
            return {}
        columns = [table[field.name].to_pylist() for field in fields(HeaderFacts)]
        return {row[0]: HeaderFacts(*row) for row in zip(*columns, strict=True)}
    except (OSError, KeyError, pa.ArrowException) as error:
        logger.warning("%s cannot be used and is made anew: %s", file, error)
        return {}


def _save_cache(facts: Iterable[HeaderFacts], file: Path) -> None:
    rows = [entry for entry in facts if entry.fingerprint]
    columns = {field.name: [getattr(entry, field.name) for entry in rows] for field in fields(HeaderFacts)}
    table = pa.table(columns).replace_schema_metadata({b"version": _CACHE_VERSION})
    file.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(file) as unfinished:
        pq.write_table(table, unfinished)


def copies_by_name(facts: Iterable[HeaderFacts]) -> dict[str, list[list[HeaderFacts]]]:
    """Recordings by record name: for each name, the recordings of that name, each a list of its copies.

    Files of one name are copies if their signal files hold the same bytes; in the order in which they came.
    """
    by_name: dict[str, list[HeaderFacts]] = defaultdict(list)
    for entry in facts:
        by_name[entry.name].append(entry)
    return {name: _by_signal(copies) for name, copies in sorted(by_name.items())}


def _by_signal(copies: list[HeaderFacts]) -> list[list[HeaderFacts]]:
    if len(copies) == 1:
        return [copies]
    groups: dict[str, list[HeaderFacts]] = defaultdict(list)
    for copy in copies:
        groups[signal_digest(Path(copy.path))].append(copy)
    return list(groups.values())


def unique_name(name: str, number: int, first: HeaderFacts) -> str:
    """Name of the ``number``-th recording (0-based) of one record name: it is the name alone for the first.

    Later ones bear a part of the SHA-256 of their signal, so that their names do not depend on their order.
    """
    return name if number == 0 else f"{name}~{signal_digest(Path(first.path))[:8]}"


def find_headers(root: Path) -> Iterator[Path]:
    """Yield every header (``.hea`` in any case) below a folder, in sorted order.

    Links to folders are followed, but never in a circle.

    Raises:
        OSError: if a folder cannot be listed.
    """
    yield from _walk(root, (os.path.realpath(root),))


def _walk(folder: Path, above: tuple[str, ...]) -> Iterator[Path]:
    with os.scandir(folder) as listing:
        entries = sorted(listing, key=lambda entry: entry.name)
    for entry in entries:
        if entry.name.casefold().endswith(".hea") and not entry.name.startswith(".") and not entry.is_dir():
            yield Path(entry.path)
        elif entry.is_dir():
            real = os.path.realpath(entry.path) if entry.is_symlink() else f"{above[-1]}/{entry.name}"
            if real not in above:
                yield from _walk(Path(entry.path), (*above, real))


def read_facts(path: Path) -> HeaderFacts:
    """Read a header and check that its signals are there in full, without reading them.

    Raises:
        UnreadableRecordingError: if the header cannot be read, or a signal file is missing, cut short or a
            git-lfs pointer, or the recording has no samples.
    """
    header = read_header(path)
    metadata = header.metadata
    beside = {f"{path.stem}.dat", f"{path.stem}.mat"}.issuperset(spec.file for spec in header.signals)
    return HeaderFacts(
        path=str(path),
        name=header.name,
        sampling_rate=(header.sampling_rate or DEFAULT_RATE) * header.signals[0].samples_per_frame,
        samples=count_samples(header) * header.signals[0].samples_per_frame,
        age=parse_age(metadata.get("age", "")),
        sex=parse_sex(metadata.get("sex", "")),
        subject=metadata.get("<subject_id>", ""),
        diagnoses=metadata.get("dx", ""),
        fingerprint=_fingerprint(path) if beside else "",
    )


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
