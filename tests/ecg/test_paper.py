"""ECG paper: amplitudes and intervals are read back off the rendered picture, in millimetres."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from ecgfounder_ft.ecg.formats.wfdb import read_recording
from ecgfounder_ft.ecg.leads import STANDARD_LEADS
from ecgfounder_ft.ecg.paper import draw_recording, overlay_from_window
from ecgfounder_ft.ecg.recording import Recording

DPI = 254  # 10 pixels per millimetre


def _ink(figure: Figure) -> np.ndarray:
    """Dark pixels, (height, width), 10 per millimetre, row 0 on top."""
    figure.set_dpi(DPI)
    figure.canvas.draw()
    rgb = np.asarray(figure.canvas.buffer_rgba())[..., :3].astype(int)
    return rgb.max(axis=2) < 90


def _recording(signal, leads, rate=500.0, name="x") -> Recording:
    return Recording(name, tuple(leads), np.asarray(signal, dtype=np.float32), rate)


def test_a_step_of_one_millivolt_and_one_second_measures_10_by_25_mm():
    signal = np.zeros((1, 5000))
    signal[0, 1500:2000] = 1.0  # 3 s to 4 s
    figure = draw_recording(_recording(signal, ["V1"]))
    ink = _ink(figure)
    left = 150 + 3 * 250  # the traces begin 15 mm from the edge
    top_of = {
        name: np.flatnonzero(ink[200:, column])[0]
        for name, column in {"baseline": left - 100, "step": left + 125}.items()
    }
    assert (top_of["baseline"] - top_of["step"]) / 10 == pytest.approx(10.0, abs=0.15)
    upper = 200 + top_of["step"] + 30  # a line across the step, 3 mm under its top
    edges = np.flatnonzero(ink[upper, 200:]) + 200
    assert (edges[-1] - edges[0]) / 10 == pytest.approx(25.0, abs=0.5)
    assert edges[0] == pytest.approx(left, abs=4)


def test_the_calibration_pulse_is_one_millivolt_and_200_ms():
    ink = _ink(draw_recording(_recording(np.zeros((1, 5000)), ["I"])))
    pulse = ink[160:-100, 20:130]
    rows, columns = (
        np.flatnonzero(pulse.any(axis=1)),
        np.flatnonzero(pulse[: pulse.any(axis=1).argmax() + 50].any(axis=0)),
    )
    assert (rows[-1] - rows[0]) / 10 == pytest.approx(10.0, abs=0.4)
    assert (columns[-1] - columns[0]) / 10 == pytest.approx(5.0, abs=0.4)


def test_large_squares_meet_the_baseline_and_the_start_of_the_traces():
    figure = draw_recording(_recording(np.zeros((1, 5000)), ["I"]))
    bold = max(figure.axes[0].collections, key=lambda lines: np.ravel(lines.get_linewidths())[0])
    segments = np.array(bold.get_segments())
    xs = np.unique(segments[segments[:, 0, 0] == segments[:, 1, 0]][:, 0, 0])
    ys = np.unique(segments[segments[:, 0, 1] == segments[:, 1, 1]][:, 0, 1])
    assert np.diff(xs) == pytest.approx(5.0)
    assert np.diff(ys) == pytest.approx(5.0)
    trace = max(figure.axes[0].lines, key=lambda line: len(line.get_xdata()))
    assert trace.get_xdata()[0] in xs
    assert np.min(np.abs(ys - trace.get_ydata()[0])) < 1e-9


def test_twelve_leads_stand_in_four_columns_over_a_rhythm_strip_whatever_their_order():
    generator = np.random.default_rng(0)
    signal = generator.normal(0, 0.1, (12, 5000))
    shuffled = generator.permutation(12)
    figures = [
        draw_recording(_recording(signal[order], [STANDARD_LEADS[i] for i in order]))
        for order in (np.arange(12), shuffled)
    ]
    drawn = []
    for figure in figures:
        names = [text.get_text() for text in figure.axes[0].texts][:13]
        assert names == ["I", "aVR", "V1", "V4", "II", "aVL", "V2", "V5", "III", "aVF", "V3", "V6", "II"]
        drawn.append([line.get_ydata() for line in figure.axes[0].lines if len(line.get_xdata()) > 100])
    for first, second in zip(*drawn, strict=True):
        np.testing.assert_allclose(first, second)
    assert [len(trace) for trace in drawn[0]] == [1250] * 12 + [5000]


@pytest.mark.parametrize("leads", [("I",), ("V1", "V5"), (*STANDARD_LEADS, "vx", "vy", "vz")])
def test_other_sets_of_leads(leads):
    figure = draw_recording(_recording(np.zeros((len(leads), 4000)), leads))
    names = [text.get_text() for text in figure.axes[0].texts]
    assert names[: len(leads)] == list(leads) if len(leads) < 12 else "vx" not in names


def test_every_lead_of_a_short_recording_is_seen():
    signal = np.random.default_rng(0).normal(size=(12, 2500))
    texts = [text.get_text() for text in draw_recording(_recording(signal, STANDARD_LEADS, rate=500)).axes[0].texts]
    assert set(STANDARD_LEADS) <= set(texts)
    assert not any("no samples" in text for text in texts)


def test_the_middle_of_a_long_recording_and_the_whole_of_a_short_one():
    long = draw_recording(_recording(np.zeros((1, 15000)), ["I"]))
    assert "10.0 to 20.0 s of 30.0 s" in long.axes[0].texts[-1].get_text()
    short = draw_recording(_recording(np.zeros((1, 1285)), ["I"], rate=257))
    assert "0.0 to 5.0 s of 5.0 s" in short.axes[0].texts[-1].get_text()


def test_the_start_of_a_recording_where_the_model_sees_that():
    recording = _recording(np.zeros((1, 15000)), ["I"])
    figure = draw_recording(recording, position="start")
    assert "0.0 to 10.0 s of 30.0 s" in figure.axes[0].texts[-1].get_text()
    window = np.zeros((1, 5000))
    window[0, 2500] = 1.0
    assert overlay_from_window(recording, window, ("I",), 500.0, position="start")[0].argmax() == 2500
    with pytest.raises(ValueError, match="position 'end'"):
        draw_recording(recording, position="end")


def test_missing_samples_and_huge_traces_are_said():
    signal = np.zeros((2, 5000))
    signal[0] = np.nan
    signal[1, 2000:2010] = 40.0
    texts = [t.get_text() for t in draw_recording(_recording(signal, ["I", "II"])).axes[0].texts]
    assert texts[0] == "I (no samples)"
    assert "traces cut" in texts[-1]
    assert "missing samples" in texts[-1]


def test_an_overlay_of_another_shape_is_refused():
    with pytest.raises(ValueError, match=r"overlay of shape \(1, 10\)"):
        draw_recording(_recording(np.zeros((1, 5000)), ["I"]), overlay=np.zeros((1, 10)))


def test_the_overlay_shades_where_the_weights_are():
    weights = np.zeros((1, 5000))
    weights[0, 2500:2600] = 1.0  # 5.0 s to 5.2 s
    figure = draw_recording(_recording(np.zeros((1, 5000)), ["I"]), overlay=weights)
    (image,) = figure.axes[0].images
    opacity = np.asarray(image.get_array())[0, :, 3]
    left, right = image.get_extent()[:2]
    shaded = left + np.flatnonzero(opacity)[[0, -1]] / len(opacity) * (right - left)
    assert shaded[0] == pytest.approx(15 + 125)
    assert shaded[1] == pytest.approx(15 + 129)


@pytest.mark.parametrize(("seconds", "expected"), [(30.0, 15.0), (6.0, 3.0)])
def test_weights_of_a_window_return_to_their_place(seconds, expected):
    recording = _recording(np.zeros((2, int(seconds * 250))), ["II", "I"], rate=250.0)
    window = np.zeros((1, 5000))
    window[0, 2500] = 1.0  # the middle of a 10 s window at 500 Hz
    placed = overlay_from_window(recording, window, ("I",), 500.0)
    assert placed.shape == recording.signal.shape
    assert not placed[0].any()
    assert placed[1].argmax() / 250.0 == pytest.approx(expected)


def test_a_real_recording_is_drawn_at_its_own_amplitudes(shared):
    path = next((shared / "ecg" / "physionet2021" / "ptb_xl").glob("*.hea"), None) or next(
        (shared / "ecg" / "physionet2021").rglob("JS0*.hea")
    )
    recording = read_recording(path)
    figure = draw_recording(recording)
    rhythm = max(figure.axes[0].lines, key=lambda line: len(line.get_xdata()))
    lead = recording.signal[recording.leads.index("II")]
    drawn = np.asarray(rhythm.get_ydata())
    assert (np.nanmax(drawn) - np.nanmin(drawn)) / 10 == pytest.approx(np.nanmax(lead) - np.nanmin(lead), abs=1e-3)
    figure.axes[0].figure.canvas.draw()
