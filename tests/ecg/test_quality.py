"""Faults of a signal, each made by hand in a simulated heart's recording; and no fault in what is none."""

from dataclasses import replace

import numpy as np
import pytest

from ecgfounder_ft.data.sources.simulated import MIMIC_LEADS
from ecgfounder_ft.ecg import quality
from ecgfounder_ft.ecg.formats import read_recording, recordings_in
from ecgfounder_ft.ecg.leads import STANDARD_LEADS, lead_indices
from ecgfounder_ft.ecg.limb_leads import LIMB_LEADS_COMPUTED
from ecgfounder_ft.ecg.quality import quality_flags
from ecgfounder_ft.ecg.recording import Recording, UnreadableRecordingError
from ecgfounder_ft.ecg.simulator import record, sample_physiology

RATE = 500
TIME = np.arange(10 * RATE) / RATE
BEAT = 1.2 * np.exp(-0.5 * ((TIME % 0.8 - 0.4) / 0.01) ** 2) + 0.2 * np.exp(-0.5 * ((TIME % 0.8 - 0.65) / 0.04) ** 2)
WHOLE = Recording("r", STANDARD_LEADS, np.outer(np.linspace(0.3, 1, 12), BEAT).round(3), RATE)


def changed(lead: int, begin: float, end: float, value: float) -> Recording:
    signal = WHOLE.signal.copy()
    signal[lead, round(begin * RATE) : round(end * RATE)] = value
    return replace(WHOLE, signal=signal)


def stored_by(step: float, leads: int = 12) -> Recording:
    """The first leads rounded to steps (mV)."""
    signal = WHOLE.signal.copy()
    signal[:leads] = step * np.round(signal[:leads] / step)
    return replace(WHOLE, signal=signal)


@pytest.mark.parametrize(
    ("recording", "flags"),
    [
        (WHOLE, ()),
        (changed(2, 0, 10, 0.0), (quality.DEAD_LEAD,)),
        (changed(2, 0, 10, np.nan), (quality.DEAD_LEAD, quality.MISSING_SAMPLES)),
        (changed(2, 1, 1.002, np.nan), (quality.MISSING_SAMPLES,)),
        (replace(WHOLE, signal=WHOLE.signal[:, :2500]), (quality.SHORT,)),
        (replace(WHOLE, signal=WHOLE.signal[:, :4999]), (quality.SHORT,)),
        (replace(WHOLE, signal=np.minimum(WHOLE.signal, 0.15)), (quality.CLIPPED,)),
        (replace(WHOLE, signal=np.clip(WHOLE.signal - 0.5 * np.sin(TIME), -0.3, 0.3)), (quality.CLIPPED,)),
        (changed(2, 1, 9, 5.0), (quality.CLIPPED,)),  # off for most of the time
        (changed(2, 1, 2.5, -0.001), ()),  # a pause
        (replace(WHOLE, sampling_rate=399), (quality.LOW_SAMPLING_RATE,)),
        (replace(WHOLE, sampling_rate=400), ()),
        *((stored_by(step), ()) for step in (0.001, 0.00488, 0.005)),  # PTB-XL; GE's devices; MIMIC-IV-ECG
        (replace(WHOLE, signal=stored_by(0.005).signal.astype(np.float32)), ()),
        (replace(stored_by(0.005), signal=stored_by(0.005).signal + 1e-7 * np.sin(TIME)), ()),
        (stored_by(0.0051), (quality.COARSE_RESOLUTION,)),
        (stored_by(0.01), (quality.COARSE_RESOLUTION,)),
        (replace(WHOLE, signal=stored_by(0.01).signal.astype(np.float32)), (quality.COARSE_RESOLUTION,)),
        (stored_by(0.01, leads=6), ()),  # the others are finer
        (stored_by(0.01, leads=7), (quality.COARSE_RESOLUTION,)),
        (replace(stored_by(0.01), signal=stored_by(0.01).signal + 1e-7 * np.sin(TIME)), (quality.COARSE_RESOLUTION,)),
        (replace(WHOLE, repairs=(LIMB_LEADS_COMPUTED,)), (quality.COMPUTED_LEADS,)),
        (replace(WHOLE, signal=WHOLE.signal * 1000), (quality.COARSE_RESOLUTION, quality.IMPLAUSIBLE_AMPLITUDE)),
        (replace(WHOLE, signal=WHOLE.signal / 1000), (quality.IMPLAUSIBLE_AMPLITUDE,)),
        (changed(2, 1, 1.01, 40.0), ()),  # a single spike
        (replace(WHOLE, signal=WHOLE.signal * 0), (quality.DEAD_LEAD,)),
    ],
)
def test_a_fault_is_named(recording: Recording, flags: tuple[str, ...]) -> None:
    assert quality_flags(recording, 10.0) == flags


def test_a_model_of_short_windows_is_told_of_everything_it_reads() -> None:
    assert quality_flags(WHOLE, 5.0) == (quality.SHORT_WINDOW,)


def test_avl_and_avf_under_each_other_s_name_are_found() -> None:
    heart = sample_physiology({"NORM"}, np.random.default_rng(0))
    signal, _ = record(heart, np.random.default_rng(1), disturbed=False)
    by_name = Recording("r", STANDARD_LEADS, signal, RATE)
    by_position = replace(by_name, signal=signal[lead_indices(STANDARD_LEADS, MIMIC_LEADS)])
    assert quality_flags(by_name, 10.0) == ()
    assert quality_flags(by_position, 10.0) == (quality.EXCHANGED_LEADS,)
    assert quality_flags(replace(by_position, leads=MIMIC_LEADS), 10.0) == ()
    without = [row for row, lead in enumerate(STANDARD_LEADS) if lead != "II"]
    fewer = replace(
        by_position, leads=tuple(STANDARD_LEADS[row] for row in without), signal=by_position.signal[without]
    )
    assert quality_flags(fewer, 10.0) == ()


def test_few_real_recordings_have_one(shared) -> None:
    found = {}
    for path in recordings_in(shared / "ecg" / "physionet2021"):
        try:
            found[path.stem] = quality_flags(read_recording(path, STANDARD_LEADS), 10.0)
        except UnreadableRecordingError:
            continue
    dead = {name for name, flags in found.items() if quality.DEAD_LEAD in flags}
    assert dead == {"JS11438", "JS20004", "JS45542", "JS45551"}
    assert sum(bool(set(flags).difference(quality.STORAGE_MATTERS)) for flags in found.values()) < 0.1 * len(found)
    assert not any(quality.COARSE_RESOLUTION in flags for flags in found.values())  # 1 to 5 µV
    assert not any(quality.EXCHANGED_LEADS in flags for flags in found.values())
    assert quality.IMPLAUSIBLE_AMPLITUDE in found["HR00599"]  # five times too large, by the gain in its header
