"""From a recording as stored to the network's input. Every part of the package that needs this comes here.

The default settings are those with which ECGFounder was pretrained (Li et al. 2024, https://arxiv.org/abs/2410.04133,
and its published code): leads in standard order, missing samples to zero, 500 Hz, a 50 Hz notch, a 0.67-40 Hz
Butterworth band-pass, both run forward and backward, minus a 0.4 s running median, 10 s, z-score over all leads.
Its authors ask that this be followed strictly; a model fine-tuned on other settings must be used with those same
settings, which is why they travel inside every checkpoint.
"""

import functools
import math
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from ecgfounder_ft.ecg.added_ends import without_added_ends
from ecgfounder_ft.ecg.leads import lead_indices
from ecgfounder_ft.ecg.preprocessing_settings import PreprocessingSettings
from ecgfounder_ft.ecg.quality import input_flags, quality_flags
from ecgfounder_ft.ecg.recording import Recording, UnreadableRecordingError

ZSCORE_EPSILON = 1e-8
"""Added to the standard deviation, as in the pretraining code."""


@dataclass(frozen=True)
class PreprocessedRecording:
    """The network's input for one recording."""

    signal: NDArray[np.float32]
    """(leads, samples)."""
    repairs: tuple[str, ...]
    """Repairs made on the way, reading included, each a fixed phrase to count by."""
    flags: tuple[str, ...] = ()
    """Quality flags of the samples that the signal was made from (:mod:`ecgfounder_ft.ecg.quality`)."""
    start: float = 0.0
    """Seconds from the start of the recording to that of the window."""


class Preprocessing(PreprocessingSettings):
    """The steps, with their settings."""

    @classmethod
    def of(cls, settings: PreprocessingSettings) -> "Preprocessing":
        """Return the steps for given settings."""
        return cls(**vars(settings))

    def __call__(self, recording: Recording) -> PreprocessedRecording:
        """The network's input for a recording.

        Raises:
            UnreadableRecordingError: if a lead is missing, sampling rate or amplitude are beyond what is plausible, the
                recording is too short or too long, or nothing in it moves.
        """
        try:
            rows = lead_indices(recording.leads, self.leads)
        except KeyError as error:
            raise UnreadableRecordingError("leads are missing", error.args[0], recording.path) from error
        self.require_plausible_rate(recording)
        chosen = recording.signal if rows == list(range(len(recording.leads))) else recording.signal[rows]
        recording, offset = without_added_ends(replace(recording, leads=tuple(self.leads), signal=chosen))
        self._require_plausible_time(recording)
        repairs = list(recording.repairs)
        rate, length = recording.sampling_rate, recording.signal.shape[1]
        first, last = self._span(recording)
        begin, end = self._reach(first, last, recording)
        signal = recording.signal[:, begin:end].astype(np.float64)
        present = np.isfinite(signal)
        in_window = slice(first - begin, last - begin)
        if self._dead_leads(signal[:, in_window], present[:, in_window], recording).any():
            repairs.append("dead lead")
        flags = quality_flags(replace(recording, signal=signal[:, in_window]), self.window.seconds)
        if not present.all():
            signal = _fill_missing(np.where(present, signal, np.nan), self.missing)
        ratio = _ratio(rate, self.sampling_rate)
        if rate != self.sampling_rate:
            signal = resample(signal, rate, self.sampling_rate)
            repairs.append("resampled")
        signal = self._filter(signal)
        surplus = math.ceil(length * ratio) - self.samples
        if surplus:
            repairs.append("cropped" if surplus > 0 else "padded with zeros")
        signal = self._take_window(signal, surplus, int(begin * ratio))
        flags += input_flags(signal, self.leads, self.sampling_rate)
        if self.scale == "zscore":
            signal = (signal - signal.mean()) / (signal.std() + ZSCORE_EPSILON)
        start = round(offset + first / rate, 3)
        return PreprocessedRecording(signal.astype(np.float32), tuple(repairs), flags, start)

    def require_plausible_rate(self, recording: Recording) -> None:
        """Refuse a rate that no ECG has.

        Raises:
            UnreadableRecordingError: if it is beyond ``plausible.sampling_rate``.
        """
        rates = self.plausible.sampling_rate
        if not rates.lowest <= recording.sampling_rate <= rates.highest:
            raise UnreadableRecordingError(
                "implausible sampling rate",
                f"{recording.sampling_rate:g} Hz, expected {rates.lowest:g} to {rates.highest:g} Hz "
                "(preprocessing.plausible.sampling_rate)",
                recording.path,
            )

    def _span(self, recording: Recording) -> tuple[int, int]:
        """First sample of the window as stored, and the one behind its last."""
        length = recording.signal.shape[1]
        size = min(round(self.window.seconds * recording.sampling_rate), length)
        first = (length - size) // 2 if self.window.position == "centre" else 0
        return first, first + size

    def _reach(self, first: int, last: int, recording: Recording) -> tuple[int, int]:
        """First sample that the filters need for a window, and the one behind the last.

        What lies further away changes the window by less than rounding does, 2e-5 of its standard deviation. So a
        recording of an hour takes no more time and memory than one of a minute.

        Args:
            first: sample of the window.
            last: the one behind the window.
            recording: as stored.
        """
        seconds = 0.0 if self.notch is None else 9 * self.notch.quality / self.notch.frequency
        seconds += 0.0 if self.band_pass is None else 12 / self.band_pass.low
        seconds += 0.0 if self.baseline_median is None else self.baseline_median.seconds
        around = math.ceil((seconds + 1.0) * recording.sampling_rate)
        unit = _ratio(
            recording.sampling_rate, self.sampling_rate
        ).denominator  # so that resampling meets the same times
        return max(0, first - around) // unit * unit, last + around

    def _require_plausible_time(self, recording: Recording) -> None:
        if recording.duration < self.window.min_seconds:
            raise UnreadableRecordingError(
                "too short",
                f"{recording.duration:.2f} s, expected {self.window.min_seconds} s",
                recording.path,
            )
        if recording.duration > self.window.max_seconds:
            raise UnreadableRecordingError(
                "too long",
                f"{recording.duration:.0f} s, expected {self.window.max_seconds:g} s at most; cut it into parts "
                "(preprocessing.window.max_seconds)",
                recording.path,
            )

    def _dead_leads(
        self, signal: NDArray[np.float64], present: NDArray[np.bool_], recording: Recording
    ) -> NDArray[np.bool_]:
        """Which leads (leads,) do not move by the least plausible amplitude.

        Raises:
            UnreadableRecordingError: if none does, or a sample is beyond the largest.
        """
        limits = self.plausible.amplitude
        complete = bool(present.all())
        lowest = (signal if complete else np.where(present, signal, np.inf)).min(axis=1)
        highest = (signal if complete else np.where(present, signal, -np.inf)).max(axis=1)
        known = present.any(axis=1)
        reach = np.where(known, np.maximum(np.abs(lowest), np.abs(highest)), 0.0)
        if reach.max() > limits.highest:
            lead = int(reach.argmax())
            raise UnreadableRecordingError(
                "implausible amplitude",
                f"lead {self.leads[lead]} reaches {reach[lead]:.4g} mV, expected {limits.highest:g} mV at most; gain "
                "or unit in its header are wrong (preprocessing.plausible.amplitude)",
                recording.path,
            )
        span = np.where(known, highest, 0.0) - np.where(known, lowest, 0.0)
        if not (span > 0).any():
            raise UnreadableRecordingError("flat recording", "no lead changes its value", recording.path)
        if span.max() < limits.lowest:
            raise UnreadableRecordingError(
                "implausible amplitude",
                f"the lead that moves most does so by {span.max():.4g} mV, expected {limits.lowest:g} mV or more; gain "
                "or unit in its header are wrong (preprocessing.plausible.amplitude)",
                recording.path,
            )
        return span < limits.lowest

    def _filter(self, signal: NDArray[np.float64]) -> NDArray[np.float64]:
        from scipy.signal import filtfilt

        if self.notch is not None:
            b, a = _notch_filter(self.notch.frequency, self.notch.quality, self.sampling_rate)
            signal = filtfilt(b, a, signal, axis=-1)
        if self.band_pass is not None:
            band = (self.band_pass.low, self.band_pass.high)
            b, a = _band_pass_filter(self.band_pass.order, band, self.sampling_rate)
            signal = filtfilt(b, a, signal, axis=-1)
        if self.baseline_median is not None:
            signal = signal - running_median(signal, self.baseline_median.seconds * self.sampling_rate)
        return signal

    def _take_window(self, signal: NDArray[np.float64], surplus: int, begin: int) -> NDArray[np.float64]:
        """Cut or pad to the length of the input.

        Args:
            signal: (leads, samples), a part of the recording.
            surplus: samples of the whole recording above those of the input; negative where it is too short.
            begin: sample of the recording at which ``signal`` begins.
        """
        before = abs(surplus) // 2 if self.window.position == "centre" else 0
        if surplus >= 0:
            return signal[:, before - begin : before - begin + self.samples]
        return np.pad(signal, ((0, 0), (before, -surplus - before)))


# Designing a filter takes a thirtieth of the time of a whole recording, so it is done once for each setting.


@functools.cache
def _notch_filter(frequency: float, quality: float, rate: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    from scipy.signal import iirnotch

    return iirnotch(frequency, quality, fs=rate)


@functools.cache
def _band_pass_filter(
    order: int, band: tuple[float, float], rate: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    from scipy.signal import butter

    return butter(order, band, btype="bandpass", fs=rate)


def _fill_missing(signal: NDArray[np.float64], how: str) -> NDArray[np.float64]:
    if how == "zero":
        return np.nan_to_num(signal, nan=0.0)
    positions = np.arange(signal.shape[1])
    filled = signal.copy()
    for lead in filled:
        known = ~np.isnan(lead)
        lead[~known] = np.interp(positions[~known], positions[known], lead[known]) if known.any() else 0.0
    return filled


def resample(signal: NDArray[np.float64], rate: float, target: float) -> NDArray[np.float64]:
    """Resample along the last axis by a polyphase filter, without shifting the start.

    Args:
        signal: (leads, samples).
        rate: Hz, of the input.
        target: Hz, of the output.
    """
    from scipy.signal import resample_poly

    ratio = _ratio(rate, target)
    return resample_poly(signal, ratio.numerator, ratio.denominator, axis=-1, padtype="line")


@functools.cache
def _ratio(rate: float, target: float) -> Fraction:
    # Rates such as 257 Hz are exact; one such as 360.0001 is met to better than a sample in a million.
    return Fraction(target / rate).limit_denominator(2000)


def running_median(signal: NDArray[np.float64], length: float) -> NDArray[np.float64]:
    """Median over a centred window along the last axis, as if zeros stood beyond both ends.

    Args:
        signal: (leads, samples).
        length: window in samples; an even or fractional one is rounded up to the next odd number.
    """
    from scipy.ndimage import median_filter

    size = 2 * math.floor(length / 2) + 1
    # All leads in one row with half a window of zeros between them: scipy's one-dimensional path, several times faster
    # than a (1, size) footprint, in one call.
    row = np.pad(signal, ((0, 0), (0, size // 2)))
    return median_filter(row.ravel(), size=size, mode="constant", cval=0.0).reshape(row.shape)[:, : signal.shape[1]]
