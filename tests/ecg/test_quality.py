"""Faults of a signal, each made by hand in a simulated heart's recording; and no fault in what is none."""

import itertools
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from ecgfounder_ft.data.sources.simulated import MIMIC_LEADS
from ecgfounder_ft.ecg import quality
from ecgfounder_ft.ecg.added_ends import CALIBRATION_CUT_OFF, PADDING_CUT_OFF
from ecgfounder_ft.ecg.formats import find_recordings, read_recording
from ecgfounder_ft.ecg.leads import STANDARD_LEADS, lead_indices
from ecgfounder_ft.ecg.limb_leads import LIMB_LEADS_COMPUTED, LIMB_LEADS_OF_I_AND_II
from ecgfounder_ft.ecg.preprocessing import Preprocessing
from ecgfounder_ft.ecg.quality import quality_flags
from ecgfounder_ft.ecg.recording import Recording, UnreadableRecordingError
from ecgfounder_ft.ecg.simulator import record, sample_physiology

RATE = 500
TIME = np.arange(10 * RATE) / RATE
BEAT = 1.2 * np.exp(-0.5 * ((TIME % 0.8 - 0.4) / 0.01) ** 2) + 0.2 * np.exp(-0.5 * ((TIME % 0.8 - 0.65) / 0.04) ** 2)
LIMBS = [0.6, 1.0, *(0.6 * a + b for a, b in LIMB_LEADS_OF_I_AND_II.values())]
WHOLE = Recording("r", STANDARD_LEADS, np.outer([*LIMBS, *np.linspace(0.5, 1, 6)], BEAT).round(3), RATE)


def changed(lead: int, begin: float, end: float, value: float) -> Recording:
    signal = WHOLE.signal.copy()
    signal[lead, round(begin * RATE) : round(end * RATE)] = value
    return replace(WHOLE, signal=signal)


def chest(change: Callable[[np.ndarray], np.ndarray]) -> Recording:
    """The recording with changed chest leads."""
    return replace(WHOLE, signal=np.vstack([WHOLE.signal[:6], change(WHOLE.signal[6:])]))


def stored_by(step: float, leads: int = 12) -> Recording:
    """The first leads rounded to steps (mV)."""
    signal = WHOLE.signal.copy()
    signal[:leads] = step * np.round(signal[:leads] / step)
    return replace(WHOLE, signal=signal)


@pytest.mark.parametrize(
    ("recording", "flags"),
    [
        (WHOLE, ()),
        (changed(8, 0, 10, 0.0), (quality.DEAD_LEAD,)),
        (changed(8, 0, 10, np.nan), (quality.DEAD_LEAD, quality.MISSING_SAMPLES)),
        (changed(8, 1, 1.002, np.nan), (quality.MISSING_SAMPLES,)),
        (replace(WHOLE, signal=WHOLE.signal[:, :2500]), (quality.SHORT,)),
        (replace(WHOLE, signal=WHOLE.signal[:, :4999]), (quality.SHORT,)),
        (chest(lambda leads: np.minimum(leads, 0.15)), (quality.CLIPPED,)),
        (chest(lambda leads: np.clip(leads - 0.5 * np.sin(TIME), -0.3, 0.3)), (quality.CLIPPED, quality.FLAT_STRETCH)),
        (changed(8, 1, 9, 5.0), (quality.CLIPPED, quality.FLAT_STRETCH)),  # off for most of the time
        (changed(8, 1, 2.5, -0.001), ()),  # a pause
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
        (changed(8, 1, 1.01, 40.0), ()),  # a single spike
        (replace(WHOLE, signal=WHOLE.signal * 0), (quality.DEAD_LEAD,)),
    ],
)
def test_a_fault_is_named(recording: Recording, flags: tuple[str, ...]) -> None:
    assert quality_flags(recording, 10.0) == flags


def test_a_model_of_short_windows_is_told_of_everything_it_reads() -> None:
    assert quality_flags(WHOLE, 5.0) == (quality.SHORT_WINDOW,)


def heart(**changes: object) -> Recording:
    """A simulated normal heart as a perfect recorder stores it."""
    physiology = sample_physiology({"NORM"}, np.random.default_rng(0))
    signal, _ = record(physiology, np.random.default_rng(1), disturbed=False)
    return replace(Recording("r", STANDARD_LEADS, signal, RATE), **changes)


@pytest.mark.parametrize(("one", "other"), list(itertools.combinations(range(6), 2)))
def test_limb_leads_under_each_other_s_names_are_told_by_lead(one: int, other: int) -> None:
    right = heart()
    assert quality_flags(right, 10.0) == ()
    signal = right.signal.copy()
    signal[[one, other]] = right.signal[[other, one]]
    flags = quality_flags(replace(right, signal=signal), 10.0)
    assert flags
    assert set(flags) <= set(map(quality.misfit, LIMB_LEADS_OF_I_AND_II))
    assert {one, other} & {0, 1} or {quality.misfit(STANDARD_LEADS[one]), quality.misfit(STANDARD_LEADS[other])} == set(
        flags
    )


def test_the_order_of_another_dataset_is_told_and_without_lead_ii_nothing_is() -> None:
    right = heart()
    by_position = replace(right, signal=right.signal[lead_indices(STANDARD_LEADS, MIMIC_LEADS)])
    assert quality_flags(by_position, 10.0) == (quality.misfit("aVL"), quality.misfit("aVF"))
    assert quality_flags(replace(by_position, leads=MIMIC_LEADS), 10.0) == ()
    without = [row for row, lead in enumerate(STANDARD_LEADS) if lead != "II"]
    leads = tuple(STANDARD_LEADS[row] for row in without)
    assert quality_flags(replace(by_position, leads=leads, signal=by_position.signal[without]), 10.0) == ()


def test_leads_that_were_scaled_each_for_itself_are_told() -> None:
    right = heart()
    scaled = replace(right, signal=right.signal * np.linspace(0.5, 2, 12)[:, None])
    assert quality_flags(scaled, 10.0) == (quality.UNEQUAL_SCALE,)


def test_exchanged_arm_electrodes_are_told() -> None:
    right = heart()
    rows, signs = [0, 2, 1, 4, 3, 5, *range(6, 12)], [-1, *[1] * 11]
    arms = replace(right, signal=right.signal[rows] * np.array(signs)[:, None])
    assert Preprocessing()(right).flags == ()
    assert Preprocessing()(arms).flags == (quality.ARM_ELECTRODES,)


def test_a_spike_is_told() -> None:
    signal = heart().signal.copy()
    signal[7, 2500] = 399.0
    assert quality.SPIKE in Preprocessing()(heart(signal=signal)).flags


def test_flags_are_of_the_window_that_the_network_reads() -> None:
    minute = np.tile(heart().signal, 6)
    outside = minute.copy()
    outside[:, : 10 * RATE] = np.linspace(0, 1, 12)[:, None] * TIME * 3  # 30 mV, not in the middle 10 s
    assert Preprocessing()(heart(signal=outside)).flags == ()
    inside = minute.copy()
    inside[:, 24 * RATE : 36 * RATE] = 0.0
    with pytest.raises(UnreadableRecordingError, match="flat recording"):
        Preprocessing()(heart(signal=inside))
    chest_off = minute.copy()
    chest_off[6:, 24 * RATE : 36 * RATE] = 0.0
    assert quality.DEAD_LEAD in Preprocessing()(heart(signal=chest_off)).flags
    partly = minute.copy()
    partly[:, 28 * RATE : 30 * RATE] = 0.0
    assert quality.FLAT_STRETCH in Preprocessing()(heart(signal=partly)).flags


@pytest.mark.parametrize("value", [0.0, 0.7, np.nan])
def test_padding_is_missing_and_not_signal(value: float) -> None:
    short = heart(signal=heart().signal[:, : 7 * RATE])
    pad = np.full((12, 750), value)
    padded = replace(short, signal=np.hstack([pad, short.signal, pad]))
    found, expected = Preprocessing()(padded), Preprocessing()(short)
    np.testing.assert_array_equal(found.signal, expected.signal)
    assert found.flags == expected.flags == (quality.SHORT,)
    assert PADDING_CUT_OFF in found.repairs
    assert found.start == 1.5


def with_pulse(
    recording: Recording, begin: float, width: float, height: float = 1.0, seconds: float = 1.0
) -> Recording:
    """The recording, and behind it a rectangular pulse as Philips' devices write it."""
    pulse = np.zeros((len(recording.leads), round(seconds * RATE)))
    pulse[:, round(begin * RATE) : round((begin + width) * RATE)] = height
    return replace(recording, signal=np.hstack([recording.signal, pulse - 0.03]))


@pytest.mark.parametrize(
    ("begin", "width", "height", "at_start"),
    [(0.3, 0.2, 1.0, False), (0.3, 0.2, 0.98, False), (0.1, 0.5, 1.0, False), (0.4, 0.1, 1.0, True)],
)
def test_a_calibration_pulse_is_cut_off_and_said(begin: float, width: float, height: float, at_start: bool) -> None:
    right = heart()
    found = with_pulse(right, begin, width, height)
    if at_start:
        found = replace(found, signal=found.signal[:, ::-1])
        right = replace(right, signal=right.signal[:, ::-1])
    found, expected = Preprocessing()(found), Preprocessing()(right)
    np.testing.assert_array_equal(found.signal, expected.signal)
    assert CALIBRATION_CUT_OFF in found.repairs
    assert quality.CLIPPED not in found.flags
    assert found.start == pytest.approx(1.0 if at_start else 0.0, abs=0.05)


@pytest.mark.parametrize(("width", "height", "leads"), [(0.2, 0.5, 12), (1.0, 1.0, 12), (0.02, 1.0, 12), (0.2, 1.0, 6)])
def test_what_is_no_calibration_pulse_stays(width: float, height: float, leads: int) -> None:
    found = with_pulse(heart(), 0.3, width, height, seconds=2.0)
    found.signal[leads:, -2 * RATE :] = heart().signal[leads:, : 2 * RATE]
    assert CALIBRATION_CUT_OFF not in Preprocessing()(found).repairs


@pytest.mark.parametrize("step", [0.005, 0.02, 0.05])
@pytest.mark.parametrize("voltage", [1.0, 0.3])
def test_rounding_is_no_misfit_of_leads(step: float, voltage: float) -> None:
    right = heart()
    rounded = replace(right, signal=step * np.round(voltage * right.signal / step))
    of_leads = {quality.UNEQUAL_SCALE, *map(quality.misfit, LIMB_LEADS_OF_I_AND_II)}
    assert not of_leads & set(quality_flags(rounded, 10.0))
    exchanged = rounded.signal.copy()
    exchanged[[3, 4]] = rounded.signal[[4, 3]]
    assert of_leads & set(quality_flags(replace(rounded, signal=exchanged), 10.0))


def test_few_real_recordings_have_one(shared) -> None:
    found = {}
    for path in find_recordings(shared / "ecg" / "physionet2021"):
        try:
            found[path.stem] = Preprocessing()(read_recording(path, STANDARD_LEADS)).flags
        except UnreadableRecordingError:
            continue
    dead = {name for name, flags in found.items() if quality.DEAD_LEAD in flags}
    assert dead == {"JS11438", "JS20004", "JS45542", "JS45551"}
    assert sum(bool(set(flags).difference(quality.STORAGE_MATTERS)) for flags in found.values()) < 0.1 * len(found)
    assert not any(quality.COARSE_RESOLUTION in flags for flags in found.values())  # 1 to 5 µV
    of_leads = {quality.ARM_ELECTRODES, quality.UNEQUAL_SCALE, *map(quality.misfit, LIMB_LEADS_OF_I_AND_II)}
    assert sum(bool(of_leads & set(flags)) for flags in found.values()) <= len(found) / 300
    assert quality.IMPLAUSIBLE_AMPLITUDE in found["HR00599"]  # five times too large, by the gain in its header
