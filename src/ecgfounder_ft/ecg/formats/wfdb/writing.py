"""Writing recordings as the datasets store them."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ecgfounder_ft.ecg.formats.wfdb.mat import HEADER_BYTES, write_v4_header
from ecgfounder_ft.ecg.formats.wfdb.signals import MISSING_SAMPLE


def write_recording(
    folder: Path,
    name: str,
    signal: NDArray[np.floating],
    leads: Sequence[str],
    sampling_rate: float,
    *,
    storage: str,
    gain: float = 1000.0,
    comments: Mapping[str, str] | None = None,
) -> Path:
    """Write a recording as one of the two datasets stores it.

    Args:
        folder: created if absent.
        name: record name; the files are ``<name>.hea`` and ``<name>.dat`` or ``<name>.mat``.
        signal: (leads, samples), millivolts; NaN is written as a missing sample.
        leads: lead names in the order of the rows.
        sampling_rate: Hz.
        storage: ``dat`` (MIMIC-IV-ECG) or ``mat`` (PhysioNet/CinC 2021).
        gain: digital units per millivolt.
        comments: header fields in order, written ``# name: value``.

    Returns:
        The header's path.
    """
    if storage not in {"dat", "mat"}:
        raise ValueError(f"storage '{storage}': expected 'dat' or 'mat'")
    folder.mkdir(parents=True, exist_ok=True)
    scaled = np.round(np.nan_to_num(signal, nan=0.0) * gain)
    digital = np.clip(scaled, -32767, 32767).astype("<i2")
    digital[np.isnan(signal)] = MISSING_SAMPLE
    n_leads, n_samples = digital.shape
    file = folder / f"{name}.{storage}"
    with file.open("wb") as stream:
        if storage == "mat":
            write_v4_header(stream, n_leads, n_samples)
        stream.write(np.ascontiguousarray(digital.T).tobytes())
    form = "16" if storage == "dat" else f"16x1+{HEADER_BYTES}"
    lines = [f"{name} {n_leads} {sampling_rate:g} {n_samples}"]
    for row, lead in enumerate(leads):
        checksum = int(digital[row].astype(np.int64).sum()) & 0xFFFF
        checksum -= 0x10000 if checksum >= 0x8000 else 0
        initial = digital[row, 0] if n_samples else 0
        lines.append(f"{file.name} {form} {gain:.1f}(0)/mV 16 0 {initial} {checksum} 0 {lead}")
    lines += [f"# {field}: {value}" for field, value in (comments or {}).items()]
    header = folder / f"{name}.hea"
    header.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return header
