"""Reading and filtering as one would write it with wfdb and scipy, one lead and one recording at a time."""

from pathlib import Path

import numpy as np
import wfdb
from numpy.typing import NDArray
from scipy.signal import butter, filtfilt, iirnotch, medfilt

from ecgfounder_ft.ecg.leads import STANDARD_LEADS


def read_and_filter(header: Path) -> NDArray[np.float32]:
    """A recording of 500 Hz and 10 s as the published pretraining code prepares it, (12, 5000)."""
    record = wfdb.rdrecord(str(header.with_suffix("")))
    names = [name.casefold() for name in record.sig_name]
    signal = np.nan_to_num(record.p_signal.T[[names.index(lead.casefold()) for lead in STANDARD_LEADS]])
    filtered = np.empty_like(signal)
    for row, lead in enumerate(signal):
        lead = filtfilt(*iirnotch(50, 30, fs=500), lead)
        lead = filtfilt(*butter(4, [0.67, 40], btype="bandpass", fs=500), lead)
        filtered[row] = lead - medfilt(lead, 201)
    return ((filtered - filtered.mean()) / (filtered.std() + 1e-8)).astype(np.float32)
