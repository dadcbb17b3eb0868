"""What the simulator says of a recording is measured back from the signal by simple independent means."""

import time
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.signal import butter, find_peaks, sosfiltfilt, welch

from ecgfounder_ft.ecg.leads import STANDARD_LEADS
from ecgfounder_ft.ecg.simulator import (
    FINDINGS,
    SIMULATED_CONDITIONS,
    Physiology,
    Simulated,
    check_conditions,
    record,
    sample_physiology,
    simulate,
    simulate_batch,
)
from ecgfounder_ft.ecg.simulator.dipole import QRS
from ecgfounder_ft.ecg.simulator.leads import DOWER, twelve_from_eight
from ecgfounder_ft.ecg.simulator.population import draw_case, is_normal, is_sinus
from ecgfounder_ft.ecg.simulator.ranges import RANGES

RATE = 500
SEEDS = range(12)


def lead(simulated: Simulated, name: str) -> NDArray:
    return simulated.recording.signal[STANDARD_LEADS.index(name)].astype(float)


def detect_beats(signal: NDArray) -> NDArray:
    """Times of QRS complexes, s, from the band-passed energy of all leads."""
    sections = butter(2, (8, 25), "bandpass", fs=RATE, output="sos")
    energy = (sosfiltfilt(sections, signal, axis=1) ** 2).sum(axis=0)
    energy = np.convolve(energy, np.ones(60) / 60, mode="same")
    peaks, _ = find_peaks(energy, height=0.25 * np.percentile(energy, 98), distance=int(0.25 * RATE))
    return peaks / RATE


def median_beat(simulated: Simulated, before: float, after: float) -> NDArray:
    """(12, samples) median over beats, aligned at the QRS onset."""
    starts = ((simulated.truth.beat_times - before) * RATE).round().astype(int)
    length = round((before + after) * RATE)
    signal = simulated.recording.signal
    return np.median([signal[:, s : s + length] for s in starts if s >= 0 and s + length <= signal.shape[1]], axis=0)


@pytest.mark.parametrize("condition", SIMULATED_CONDITIONS)
def test_heart_rate_is_measured_back_through_noise(condition: str) -> None:
    for seed in SEEDS:
        simulated = simulate([condition], np.random.default_rng(seed))
        found = detect_beats(simulated.recording.signal)
        # a complex at the very edge, or close behind another, may be counted by one and not by the other
        assert abs(len(found) - len(simulated.truth.beat_times)) <= 2
        assert 60 / np.mean(np.diff(found)) == pytest.approx(simulated.truth.heart_rate, rel=0.06)


def alone(condition: str, seed: int, **changes: float) -> tuple[Physiology, NDArray]:
    """A patient with parts switched off, and the median beat around the QRS onset of a perfect recorder (12, 1 s)."""
    physiology = replace(sample_physiology([condition], np.random.default_rng(seed)), **changes)
    signal, beats = record(physiology, np.random.default_rng(seed), duration=40, disturbed=False)
    starts = ((beats.qrs - 0.5) * RATE).round().astype(int)
    return physiology, np.median([signal[:, s : s + RATE] for s in starts if 0 <= s <= signal.shape[1] - RATE], axis=0)


def extent(beat: NDArray) -> tuple[float, float]:
    """First and last time, s from the QRS onset, at which any lead leaves 5% of its largest deflection."""
    size = np.sqrt((beat**2).sum(axis=0))
    busy = np.flatnonzero(size > 0.05 * size.max())
    return busy[0] / RATE - 0.5, busy[-1] / RATE - 0.5


@pytest.mark.parametrize(("condition", "low", "high"), [("NORM", 0.120, 0.200), ("1dAVb", 0.210, 0.390)])
def test_pr_interval(condition: str, low: float, high: float) -> None:
    for seed in SEEDS:
        physiology, beat = alone(condition, seed, qrs_size=0.0, t_size=0.0, rate=60.0)
        onset, end = extent(beat)
        assert -onset == pytest.approx(physiology.pr, abs=0.02)
        assert low <= physiology.pr <= high
        assert end - onset == pytest.approx(physiology.p_duration, abs=0.035)


@pytest.mark.parametrize(
    ("condition", "low", "high"), [("NORM", 0.07, 0.11), ("RBBB", 0.12, 0.18), ("LBBB", 0.12, 0.19)]
)
def test_qrs_width(condition: str, low: float, high: float) -> None:
    for seed in SEEDS:
        physiology, beat = alone(condition, seed, atrial_size=0.0, t_size=0.0, rate=60.0)
        onset, end = extent(beat)
        assert low <= physiology.qrs <= high
        assert end - onset == pytest.approx(physiology.qrs, abs=0.025)


def test_qt_follows_the_rate() -> None:
    """Fridericia: at a rate of 60 the T wave ends at QTc, at a rate of 100 earlier."""
    for rate in (60.0, 100.0):
        physiology, beat = alone("NORM", 1, atrial_size=0.0, qrs_size=0.0, st_share=0.0, rate=rate)
        assert extent(beat)[1] == pytest.approx(physiology.qtc * np.cbrt(60 / rate), abs=0.04)


def test_rhythm_is_irregular_in_fibrillation_only() -> None:
    def irregularity(condition: str, seed: int) -> float:
        simulated = simulate([condition], np.random.default_rng(seed), duration=30)
        rr = np.diff(detect_beats(simulated.recording.signal))
        return float(np.std(np.diff(rr)) / np.mean(rr))

    assert min(irregularity("AFIB", seed) for seed in SEEDS) > 0.12
    assert max(irregularity("NORM", seed) for seed in SEEDS) < 0.10


def test_no_p_wave_in_fibrillation() -> None:
    """The median of many beats holds a P wave before the QRS in sinus rhythm, and next to nothing in fibrillation."""
    for seed in SEEDS:
        spans = {}
        for condition in ("NORM", "AFIB"):
            _, beat = alone(condition, seed, t_size=0.0, rate=60.0)
            before = beat[:, int(0.28 * RATE) : int(0.48 * RATE)]
            spans[condition] = np.ptp(before[STANDARD_LEADS.index("II")])
        assert spans["NORM"] > 0.04
        assert spans["AFIB"] < 0.06


def test_flutter_rate_stands_in_the_spectrum() -> None:
    for seed in SEEDS:
        simulated = simulate(["AFLT"], np.random.default_rng(seed), duration=60, disturbed=False)
        assert 250 <= simulated.truth.atrial_rate <= 350
        signal = simulated.recording.signal.astype(float)
        frequency, power = welch(signal[STANDARD_LEADS.index("II")], fs=RATE, nperseg=RATE * 20)
        expected = simulated.truth.atrial_rate / 60
        near = np.abs(frequency - expected) <= 0.1
        around = (np.abs(frequency - expected) > 0.15) & (np.abs(frequency - expected) < 0.5)
        assert power[near].max() > 5 * np.median(power[around])


def test_flutter_conducts_two_to_four_waves_per_beat() -> None:
    for seed in SEEDS:
        simulated = simulate(["AFLT"], np.random.default_rng(seed))
        waves = simulated.truth.rr * simulated.truth.atrial_rate / 60
        assert np.abs(waves - waves.round()).max() < 0.12
        assert set(waves.round()) <= {2.0, 3.0, 4.0}


def test_right_bundle_branch_block_in_v1_i_and_v6() -> None:
    good = 0
    for seed in SEEDS:
        simulated = simulate(["RBBB"], np.random.default_rng(seed), disturbed=False)
        beat = median_beat(simulated, before=0.0, after=0.5)
        late = slice(int(0.5 * simulated.physiology.qrs * RATE), int(0.95 * simulated.physiology.qrs * RATE))
        v1, one, v6 = (beat[STANDARD_LEADS.index(name)] for name in ("V1", "I", "V6"))
        # a late R' in V1, where a normal heart has its S wave, and a late S in I and V6
        good += v1[late].max() > 0.1 and one[late].min() < -0.05 and v6[late].min() < -0.05
    assert good >= 0.8 * len(SEEDS)


def test_left_bundle_branch_block_in_v1_i_and_v6() -> None:
    good = 0
    for seed in SEEDS:
        simulated = simulate(["LBBB"], np.random.default_rng(seed), disturbed=False)
        qrs = int(simulated.physiology.qrs * RATE)
        beat = median_beat(simulated, before=0.0, after=0.5)
        v1, one, v6 = (beat[STANDARD_LEADS.index(name)] for name in ("V1", "I", "V6"))
        qs_or_rs = v1[:qrs].min() < -0.3 and v1[:qrs].max() < 0.3 * -v1[:qrs].min()
        broad = all((x[:qrs] > 0.5 * x[:qrs].max()).mean() > 0.35 and x[: qrs // 3].min() > -0.05 for x in (one, v6))
        t_wave = slice(qrs + int(0.08 * RATE), int(0.42 * RATE))
        discordant = v6[t_wave].min() < -0.05 and v1[t_wave].max() > 0.05
        good += qs_or_rs and broad and discordant
    assert good >= 0.8 * len(SEEDS)


def test_leads_obey_einthoven_and_goldberger_with_all_noise() -> None:
    for condition in SIMULATED_CONDITIONS:
        simulated = simulate([condition], np.random.default_rng(3))
        one, two, three, avr, avl, avf = (lead(simulated, name) for name in STANDARD_LEADS[:6])
        np.testing.assert_allclose(three, two - one, atol=2e-4)
        np.testing.assert_allclose(avr, -(one + two) / 2, atol=2e-4)
        np.testing.assert_allclose(avl, (one - three) / 2, atol=2e-4)
        np.testing.assert_allclose(avf, (two + three) / 2, atol=2e-4)


def test_lead_vectors_are_dowers() -> None:
    """The eight published rows imply the published rows of the other four, to their three decimals."""
    published = {"III": (-0.397, 1.301, -0.191), "aVR": (-0.434, -0.415, 0.037), "aVF": (-0.081, 1.184, -0.162)}
    rows = twelve_from_eight(DOWER)
    for name, row in published.items():
        np.testing.assert_allclose(rows[STANDARD_LEADS.index(name)], row, atol=1.1e-3)


def test_normal_hearts_have_an_r_wave_that_grows_from_v1_to_v4() -> None:
    grows = 0
    for seed in SEEDS:
        beat = median_beat(simulate(["NORM"], np.random.default_rng(seed), disturbed=False), before=0.0, after=0.12)
        v1, v4 = beat[STANDARD_LEADS.index("V1")], beat[STANDARD_LEADS.index("V4")]
        grows += v4.max() > v1.max() and v1.min() < -0.2
    assert grows >= 0.8 * len(SEEDS)


def test_same_seed_same_recording_and_another_seed_another() -> None:
    first, second, other = (simulate(["AFIB"], np.random.default_rng(s)).recording.signal for s in (5, 5, 6))
    np.testing.assert_array_equal(first, second)
    assert np.abs(first - other).max() > 0.1


def test_rates_and_durations() -> None:
    simulated = simulate(["NORM"], np.random.default_rng(0), sampling_rate=257, duration=4)
    assert simulated.recording.signal.shape == (12, 1028)
    assert simulated.recording.signal.dtype == np.float32
    assert np.isfinite(simulate_batch([(["AFLT", "LBBB"], []), ([], ["paced"])], np.random.default_rng(0))).all()


@pytest.mark.parametrize(
    "conditions", [("AFIB", "AFLT"), ("RBBB", "LBBB"), ("NORM", "AFIB"), ("1dAVb", "AFLT"), ("STEMI",)]
)
def test_impossible_hearts_are_refused(conditions: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match=r"cannot"):
        sample_physiology(conditions, np.random.default_rng(0))


def test_templates_fill_the_qrs_duration() -> None:
    for name, waves in QRS.items():
        assert -0.05 <= (waves.center - 2 * waves.width).min() <= 0.06, name
        assert 0.94 <= (waves.center + 2 * waves.width).max() <= 1.05, name


def test_population_draws_possible_hearts_with_every_condition_and_finding() -> None:
    rng = np.random.default_rng(0)
    cases = [draw_case(rng) for _ in range(3000)]
    for conditions, findings in cases:
        check_conditions(conditions, findings)
    seen = {name for conditions, findings in cases for name in (*conditions, *findings)}
    assert seen == {*SIMULATED_CONDITIONS, *FINDINGS}
    assert all(is_sinus(*case) for case in cases if is_normal(*case))
    share = np.mean([bool(conditions - {"NORM"}) for conditions, _ in cases])
    assert 0.4 < share < 0.8


@pytest.mark.parametrize("finding", FINDINGS)
def test_every_finding_can_be_recorded(finding: str) -> None:
    signal = simulate([], np.random.default_rng(1), findings=[finding]).recording.signal
    assert np.isfinite(signal).all()
    assert 0.3 < np.ptp(signal, axis=1).max() < 25


def test_ventricular_ectopics_come_early_wide_and_without_p() -> None:
    physiology = sample_physiology(["NORM"], np.random.default_rng(3), findings=["PVC"])
    _, beats = record(physiology, np.random.default_rng(3), duration=60)
    early = np.flatnonzero(beats.kind == "ventricular")
    assert len(early) >= 3
    assert np.isnan(beats.p[early]).all()
    usual = np.median(beats.rr)
    assert (beats.rr[early] < 0.85 * usual).all()
    following = beats.rr[early[early + 1 < len(beats.qrs)] + 1]
    assert (following > 1.1 * usual).all()  # the compensatory pause


def test_wenckebach_drops_beats_after_a_growing_pr() -> None:
    physiology = sample_physiology([], np.random.default_rng(3), findings=["second-degree block"])
    _, beats = record(physiology, np.random.default_rng(3), duration=60)
    dropped = np.flatnonzero(beats.kind == "dropped")
    assert len(dropped) >= 5
    pr = beats.qrs - beats.p
    assert (pr[dropped[1:] - 1] > pr[dropped[:-1] + 1]).all()


def test_pacing_follows_its_rate_and_shows_left_bundle_shapes() -> None:
    simulated = simulate([], np.random.default_rng(2), findings=["paced"], disturbed=False)
    assert np.std(simulated.truth.rr) < 0.02
    assert np.isnan(simulated.truth.pr_ms)
    assert simulated.truth.qrs_ms >= 140


@pytest.mark.parametrize(
    ("conditions", "findings"),
    [
        (("RBBB",), ("irbbb",)),
        (("AFIB",), ("PAC",)),
        (("NORM",), ("bradycardia",)),
        ((), ("svt", "paced")),
        ((), ("flu",)),
    ],
)
def test_impossible_findings_are_refused(conditions: tuple[str, ...], findings: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match=r"cannot"):
        sample_physiology(conditions, np.random.default_rng(0), findings)


def test_every_range_is_sourced_and_ordered() -> None:
    for name, entry in RANGES.items():
        assert entry.low < entry.high, name
        assert entry.source, name
        assert entry.unit, name
        assert entry.low > 0 or not entry.logarithmic, name


@pytest.mark.slow
def test_speed_is_a_hundred_recordings_per_second_and_core() -> None:
    rng = np.random.default_rng(0)
    cases = [draw_case(rng) for _ in range(300)]
    started = time.process_time()
    simulate_batch(cases, rng)
    assert time.process_time() - started < 3.0
