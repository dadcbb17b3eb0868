"""Preprocessing against the reference's numbers, and each of its steps by a signal whose answer is known."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ecgfounder_ft.ecg.leads import STANDARD_LEADS
from ecgfounder_ft.ecg.preprocessing import Preprocessing, resample
from ecgfounder_ft.ecg.preprocessing_settings import Amplitudes, BaselineMedian, Notch, Plausible, SamplingRates, Window
from ecgfounder_ft.ecg.recording import Recording, UnreadableRecordingError

GOLDEN = Path(__file__).parents[1] / "golden" / "preprocess.npz"
MIMIC_ORDER = ("I", "II", "III", "aVR", "aVF", "aVL", "V1", "V2", "V3", "V4", "V5", "V6")


def recording(signal: np.ndarray, leads: tuple[str, ...] = STANDARD_LEADS, rate: float = 500.0) -> Recording:
    return Recording("test", leads, signal.astype(np.float32), rate)


def noise(samples: int = 5000, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(12, samples))


def plain(**settings: object) -> Preprocessing:
    """All filters and the scaling off, unless given."""
    base: dict = {"notch": None, "band_pass": None, "baseline_median": None, "scale": None}
    return Preprocessing(**{**base, **settings})


def test_agrees_with_the_reference_on_the_shipped_recording() -> None:
    golden = np.load(GOLDEN)
    found = Preprocessing()(recording(golden["microvolts"] / 1000)).signal
    np.testing.assert_allclose(found, golden["zscored"], atol=1e-5, rtol=0)


def test_agrees_with_the_reference_on_every_recorded_case(shared: Path) -> None:
    golden = np.load(shared / "golden" / "preprocess.npz")
    for case in range(6):
        source = recording(golden[f"mv{case}"])
        filtered, zscored = Preprocessing(scale=None)(source).signal, Preprocessing()(source).signal
        np.testing.assert_allclose(filtered, golden[f"filtered{case}"], atol=1e-5, rtol=0)
        np.testing.assert_allclose(zscored, golden[f"zscored{case}"], atol=1e-5, rtol=0)


def test_a_recording_in_mimic_order_gives_the_same_input_as_in_standard_order() -> None:
    signal = noise()
    rows = [STANDARD_LEADS.index(lead) for lead in MIMIC_ORDER]
    standard = Preprocessing()(recording(signal)).signal
    swapped = Preprocessing()(recording(signal[rows], tuple(lead.lower() for lead in MIMIC_ORDER))).signal
    np.testing.assert_array_equal(swapped, standard)


def test_the_twelve_are_picked_out_of_fifteen_leads() -> None:
    signal = np.vstack([noise(seed=9)[:3], noise()])
    found = Preprocessing()(recording(signal, ("vx", "vy", "vz", *STANDARD_LEADS))).signal
    np.testing.assert_array_equal(found, Preprocessing()(recording(noise())).signal)


@pytest.mark.parametrize("lead", ["I", "v1", "AVF"])
def test_any_one_lead_can_be_the_input(lead: str) -> None:
    signal = noise()
    found = plain(leads=[lead])(recording(signal)).signal
    row = [name.lower() for name in STANDARD_LEADS].index(lead.lower())
    np.testing.assert_allclose(found, signal[[row]].astype(np.float32))


def test_missing_leads_are_named() -> None:
    with pytest.raises(UnreadableRecordingError, match=r"leads are missing: no lead V6 among I, II"):
        Preprocessing()(recording(noise()[:11], STANDARD_LEADS[:11]))


@pytest.mark.parametrize("rate", [200.0, 257.0, 360.0, 1000.0])
def test_any_rate_becomes_500_hz_without_a_shift(rate: float) -> None:
    time = np.arange(round(10 * rate)) / rate
    wave = np.tile(np.sin(2 * np.pi * 5 * time), (12, 1))
    found = plain()(recording(wave, rate=rate))
    assert found.signal.shape == (12, 5000)
    assert "resampled" in found.repairs
    expected = np.sin(2 * np.pi * 5 * np.arange(5000) / 500)
    np.testing.assert_allclose(found.signal[3, 500:-500], expected[500:-500], atol=0.01)


def test_missing_samples_do_not_spread_when_resampled() -> None:
    signal = np.ones((12, 2000)) + noise(2000) * 0.01
    signal[0, 1000] = np.nan
    found = plain(missing="interpolate")(recording(signal, rate=200.0)).signal
    assert np.abs(found[0, 2000:3000] - 1).max() < 0.2


def test_missing_samples_become_zero_or_are_interpolated() -> None:
    signal = np.tile(np.linspace(1, 2, 5000), (12, 1))
    signal[4, 100:200] = np.nan
    signal[7, 0] = np.inf
    zero = plain()(recording(signal)).signal
    assert (zero[4, 100:200] == 0).all()
    assert zero[7, 0] == 0
    line = plain(missing="interpolate")(recording(signal)).signal
    np.testing.assert_allclose(line[4], np.linspace(1, 2, 5000), atol=1e-6)


def test_a_dead_lead_is_counted_and_a_flat_recording_refused() -> None:
    signal = noise()
    signal[5] = 0.3
    signal[6] = np.nan
    assert Preprocessing()(recording(signal)).repairs == ("dead lead",)
    with pytest.raises(UnreadableRecordingError, match="flat recording"):
        Preprocessing()(recording(np.full((12, 5000), 0.1)))


def scaled(factor: float, lead: int) -> np.ndarray:
    signal = noise()
    signal[lead] *= factor
    return signal


@pytest.mark.parametrize("factor", [1e3, 1e6, 1e30])
def test_a_lead_of_an_impossible_gain_does_not_wipe_out_the_others(factor: float) -> None:
    with pytest.raises(UnreadableRecordingError, match=r"implausible amplitude: lead V1 reaches .* expected 400 mV"):
        Preprocessing()(recording(scaled(factor, 6)))


def test_amplitudes_of_another_unit_are_refused_and_a_lead_of_nearly_nothing_is_dead() -> None:
    with pytest.raises(UnreadableRecordingError, match=r"implausible amplitude: .* expected 0\.01 mV or more"):
        Preprocessing()(recording(noise() / 1000))
    assert Preprocessing()(recording(scaled(1e-6, 6))).repairs == ("dead lead",)
    offset = noise() + 300.0  # what electrodes may have
    assert Preprocessing()(recording(offset)).repairs == ()


@pytest.mark.parametrize("rate", [1e-9, 0.25, 0.5, 1.0, 49.9, 500_000.0])
def test_rates_that_no_ecg_has_are_refused_before_anything_is_resampled(rate: float) -> None:
    wrong = replace(recording(noise()), sampling_rate=rate)
    with pytest.raises(UnreadableRecordingError, match=r"implausible sampling rate: .* expected 50 to 10000 Hz"):
        Preprocessing()(wrong)


def test_too_long_a_recording_is_refused_before_it_is_filtered() -> None:
    long = replace(recording(np.zeros((12, 200_000))), sampling_rate=50.0)
    with pytest.raises(UnreadableRecordingError, match=r"too long: 4000 s, expected 3600 s at most"):
        Preprocessing()(long)


def test_ranges_can_be_set() -> None:
    wide = Plausible(SamplingRates(1.0, 1e6), Amplitudes(1e-9, 1e9))
    assert Preprocessing(plausible=wide)(recording(scaled(1e6, 6))).repairs == ()
    assert Preprocessing.from_dict(Preprocessing(plausible=wide).to_dict()).plausible == wide


def test_settings_of_before_there_were_ranges_get_them() -> None:
    old = Preprocessing().to_dict()
    del old["plausible"], old["window"]["max_seconds"]
    assert Preprocessing.from_dict(old) == Preprocessing()
    old["window"]["seconds"] = 7200.0
    assert Preprocessing.from_dict(old).window.max_seconds == 7200


def test_too_short_a_recording_is_refused_and_a_short_one_padded() -> None:
    with pytest.raises(UnreadableRecordingError, match=r"too short: 0\.50 s, expected 1\.0 s"):
        Preprocessing()(recording(noise(250)))
    found = plain()(recording(noise(3001)))
    assert found.repairs == ("padded with zeros",)
    assert (found.signal[:, :999] == 0).all()
    assert (found.signal[:, 4000:] == 0).all()
    np.testing.assert_allclose(found.signal[:, 999:4000], noise(3001).astype(np.float32))


def test_a_long_recording_is_cropped_at_the_centre_or_the_start() -> None:
    signal = noise(7501)
    np.testing.assert_allclose(plain()(recording(signal)).signal, signal[:, 1250:6250].astype(np.float32))
    start = plain(window=Window(position="start", seconds=4))(recording(signal)).signal
    np.testing.assert_allclose(start, signal[:, :2000].astype(np.float32))


@pytest.mark.parametrize("rate", [500.0, 257.0])
@pytest.mark.parametrize("position", ["centre", "start"])
def test_of_a_long_recording_no_more_is_filtered_than_the_window_needs(
    rate: float, position: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = Preprocessing(scale=None, window=Window(position=position))
    long = recording(noise(round(300 * rate)).cumsum(axis=1) / 100, rate=rate)
    whole = steps._filter(long.signal if rate == 500 else resample(long.signal.astype(float), rate, 500))
    before = (whole.shape[1] - 5000) // 2 if position == "centre" else 0
    seen: list[int] = []
    monkeypatch.setattr(
        Preprocessing,
        "_filter",
        lambda self, signal, own=Preprocessing._filter: seen.append(signal.shape[1]) or own(self, signal),
    )
    np.testing.assert_allclose(steps(long).signal, whole[:, before : before + 5000], atol=1e-5)
    assert seen[0] < 60 * 500


def test_the_notch_takes_the_mains_and_the_median_the_baseline() -> None:
    time = np.arange(5000) / 500
    hum = np.tile(np.sin(2 * np.pi * 60 * time), (12, 1))
    found = plain(notch=Notch(frequency=60))(recording(hum)).signal
    assert np.abs(found[:, 1500:3500]).max() < 0.02
    drift = np.tile(np.sin(2 * np.pi * 0.1 * time), (12, 1))
    found = plain(baseline_median=BaselineMedian(0.4))(recording(drift)).signal
    assert np.abs(found[:, 200:-200]).max() < 0.1


def test_z_score_is_over_all_leads_together() -> None:
    signal = noise() * np.arange(1, 13)[:, None] + 5
    found = plain(scale="zscore")(recording(signal)).signal
    assert abs(found.mean()) < 1e-5
    assert abs(found.std() - 1) < 1e-5
    assert found[11].std() / found[0].std() == pytest.approx(signal[11].std() / signal[0].std(), rel=1e-4)


def test_settings_survive_the_checkpoint() -> None:
    settings = Preprocessing(leads=["ii"], notch=None, window=Window(seconds=5))
    assert Preprocessing.from_dict(settings.to_dict()) == settings
    assert settings.leads == ["II"]
    assert settings.samples == 2500


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"leads": []}, "leads is empty"),
        ({"leads": ["I", "i"]}, "names a lead twice"),
        ({"missing": "mean"}, "missing is 'mean', expected one of: zero, interpolate"),
        ({"scale": "minmax"}, "scale is 'minmax', expected one of: zscore, null"),
        ({"sampling_rate": 60.0}, r"notch\.frequency is 50\.0 Hz"),
        (
            {"plausible": Plausible(SamplingRates(500, 50))},
            r"plausible\.sampling_rate is 500 to 50, expected",
        ),
        ({"window": Window(max_seconds=5.0)}, r"max_seconds is 5\.0, expected 10\.0 or more"),
        ({"window": Window(seconds=0.5)}, "expected 0 < min_seconds <= seconds"),
    ],
)
def test_impossible_settings_are_refused(settings: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Preprocessing(**settings)
