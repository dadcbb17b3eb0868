"""How large a recording may be, in any format: files of strangers must not fill the memory."""

from pathlib import Path

from ecgfounder_ft.ecg.recording import UnreadableRecordingError

MOST_SAMPLES = 100_000_000
"""Samples in all leads of a recording together: a day of two leads at 500 Hz, 0.8 GB of millivolts in memory."""
MOST_BYTES = 4 * MOST_SAMPLES
"""Bytes of a file; the widest format of WFDB takes four bytes a sample."""


def require_modest_length(samples: int, path: Path) -> None:
    """Refuse a recording that fills the memory.

    Args:
        samples: in all leads together.
        path: for messages.

    Raises:
        UnreadableRecordingError: if they are more than :data:`MOST_SAMPLES`.
    """
    if samples > MOST_SAMPLES:
        raise UnreadableRecordingError(
            "too long", f"{samples:,} samples in all leads, expected {MOST_SAMPLES:,} at most; cut it into parts", path
        )
