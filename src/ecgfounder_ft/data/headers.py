"""What a catalog reads from WFDB headers: which there are, and what each says."""

import hashlib
import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ecgfounder_ft.ecg.recording import UnreadableRecordingError
from ecgfounder_ft.ecg.wfdb_files import Header, read_header, signal_file

_GIT_LFS = b"version https://git-lfs"
_SEXES = {"female": "female", "f": "female", "male": "male", "m": "male"}
_AGE_OVER_89 = 300
"""PTB-XL's spelling of an age over 89 years, which it withholds (Wagner et al. 2020, Sci Data 7:154)."""


@dataclass(frozen=True)
class HeaderFacts:
    """What one header says of its recording."""

    path: Path
    name: str
    """Record name, the header's file name without ``.hea``."""
    sampling_rate: float
    """Hz."""
    samples: int
    """A lead."""
    age: float
    """Years, NaN where unknown; 90 for an age that is only known to be over 89."""
    sex: str
    """``female``, ``male`` or empty."""
    subject: str
    """Patient id as MIMIC-IV-ECG gives it, or empty."""
    diagnoses: str
    """The ``Dx`` line, or empty."""


def find_headers(root: Path) -> Iterator[Path]:
    """Every ``.hea`` below a folder, in sorted order; links to folders are followed, but never in a circle.

    Raises:
        OSError: if a folder cannot be listed.
    """
    yield from _walk(root, (os.path.realpath(root),))


def _walk(folder: Path, above: tuple[str, ...]) -> Iterator[Path]:
    with os.scandir(folder) as listing:
        entries = sorted(listing, key=lambda entry: entry.name)
    for entry in entries:
        if entry.name.endswith(".hea") and not entry.name.startswith(".") and not entry.is_dir():
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
    return HeaderFacts(
        path=path,
        name=header.name,
        sampling_rate=header.sampling_rate,
        samples=_count_samples(header),
        age=parse_age(metadata.get("age", "")),
        sex=parse_sex(metadata.get("sex", "")),
        subject=metadata.get("<subject_id>", ""),
        diagnoses=metadata.get("dx", ""),
    )


def _count_samples(header: Header) -> int:
    """Samples a lead, as the header says and the size of its signal files allows."""
    samples = header.samples
    if not header.signals:
        raise UnreadableRecordingError("no signals", "the header describes 0 leads", header.path)
    for name in dict.fromkeys(spec.file for spec in header.signals):
        path = signal_file(header, name)
        specs = [spec for spec in header.signals if spec.file == name]
        if {spec.format for spec in specs} != {"16"}:
            continue  # only format 16 has a size that follows from the number of samples
        available = path.stat().st_size - specs[0].byte_offset
        frame = 2 * sum(spec.samples_per_frame for spec in specs)
        samples = max(available, 0) // frame if samples is None else samples
        if available < samples * frame:
            with path.open("rb") as stream:
                if stream.read(len(_GIT_LFS)) == _GIT_LFS:
                    raise UnreadableRecordingError(
                        "git-lfs pointer instead of a file", "fetch the contents with 'git lfs pull'", path
                    )
            raise UnreadableRecordingError(
                "signal file is truncated",
                f"{max(available, 0)} bytes of samples, expected {samples * frame}",
                path,
            )
    if not samples:
        raise UnreadableRecordingError("no samples", "the recording has length 0 or does not say", header.path)
    return samples


def signal_digest(path: Path) -> str:
    """SHA-256 over the signal files of a recording, in the header's order."""
    header = read_header(path)
    digest = hashlib.sha256()
    for name in dict.fromkeys(spec.file for spec in header.signals):
        digest.update(signal_file(header, name).read_bytes())
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
