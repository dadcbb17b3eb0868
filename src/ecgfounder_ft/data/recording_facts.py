"""What a catalog needs to know of recordings in any format.

WFDB headers are short and are read by :mod:`ecgfounder_ft.data.wfdb_headers`. Other formats have no such file beside
their numbers, so these are read in full.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ecgfounder_ft.data.wfdb_headers import HeaderFacts, HeaderReading, parse_age, parse_sex, read_headers
from ecgfounder_ft.ecg.description import SignalDescription
from ecgfounder_ft.ecg.formats import read_recording, wfdb
from ecgfounder_ft.ecg.recording import UnreadableRecordingError

_THREADS = 8
"""For the sake of network drives."""


def read_facts_of(paths: Sequence[Path], header_cache: Path | None, stated: SignalDescription) -> HeaderReading:
    """What recordings say of themselves, those of WFDB first.

    Args:
        paths: the files by which they are known.
        header_cache: as for :func:`~ecgfounder_ft.data.wfdb_headers.read_headers`.
        stated: rate, unit and leads for files that do not say them.
    """
    headers = [path for path in paths if path.suffix.casefold() in wfdb.SUFFIXES]
    others = [path for path in paths if path.suffix.casefold() not in wfdb.SUFFIXES]
    reading = read_headers(headers, header_cache)
    if not others:
        return reading

    def read(path: Path) -> HeaderFacts | UnreadableRecordingError:
        try:
            return _facts(path, stated)
        except UnreadableRecordingError as error:
            return error

    with ThreadPoolExecutor(_THREADS) as threads:
        found = list(threads.map(read, others))
    facts = [entry for entry in found if isinstance(entry, HeaderFacts)]
    errors = [entry for entry in found if isinstance(entry, UnreadableRecordingError)]
    return HeaderReading([*reading.facts, *facts], [*reading.errors, *errors], reading.read + len(others))


def _facts(path: Path, stated: SignalDescription) -> HeaderFacts:
    recording = read_recording(path, stated=stated)
    return HeaderFacts(
        path=str(path),
        name=recording.name,
        sampling_rate=recording.sampling_rate,
        samples=recording.signal.shape[1],
        age=parse_age(recording.metadata.get("age", "")),
        sex=parse_sex(recording.metadata.get("sex", "")),
        subject="",
        diagnoses="",
        fingerprint="",
    )
