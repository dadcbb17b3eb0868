"""A recording on ECG paper: 25 mm/s, 10 mm/mV, true to scale.

The picture's coordinates are millimetres of paper. Printed at 100 % a second is 25 mm wide and a millivolt 10
mm high; the small squares are 1 mm (40 ms, 0.1 mV), the large ones 5 mm (200 ms, 0.5 mV). Paper speed, gain
and the 3 x 4 layout with a rhythm strip follow the recommendations of Kligfield et al., Circulation
2007;115:1306.
"""

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ecgfounder_ft.ecg.leads import STANDARD_LEADS
from ecgfounder_ft.ecg.recording import Recording

PAPER_SPEED = 25.0
"""mm/s."""

GAIN = 10.0
"""mm/mV."""

WINDOW_SECONDS = 10.0
"""Duration drawn; the middle of a longer recording."""

_SHORTEST_COLUMN = 0.5
"""s, so that the names of the leads have room."""
_RHYTHM_LEAD = "II"
_COLUMNS = (("I", "II", "III"), ("aVR", "aVL", "aVF"), ("V1", "V2", "V3"), ("V4", "V5", "V6"))

_MM_PER_INCH = 25.4
_LEFT = 15.0
"""mm left of the traces, which hold the calibration pulse."""
_RIGHT = 5.0
_TOP, _TOP_UNTITLED = 15.0, 3.0
_BOTTOM = 10.0
_MAX_UP, _MAX_DOWN = 45.0, 35.0
"""mm that a trace may go above and below its baseline before it is cut."""
_MIN_UP, _MIN_DOWN = 12.0, 5.0
"""mm kept above and below a baseline in any case: the calibration pulse, and air."""
_ROW = 25.0
"""mm between two baselines at least."""
_LABEL_HEIGHT = 5.0
"""mm over a trace, for the name of its lead."""

_PAPER = "#fffaf8"
_FINE_GRID = "#f6d5d0"
_BOLD_GRID = "#e9a79f"
_INK = "#111111"
_SUPPORTS, _OPPOSES = (0.84, 0.37, 0.0), (0.0, 0.45, 0.70)
"""Colours of positive and negative attribution (vermilion and blue of Okabe and Ito)."""
_OVERLAY_BINS_PER_SECOND = 25
_OVERLAY_OPACITY = 0.55
_OVERLAY_FULL_QUANTILE = 0.99
"""The quantile of |attribution| drawn at full opacity."""


def draw_recording(
    recording: Recording,
    *,
    title: str | None = None,
    figure: Figure | None = None,
    overlay: NDArray[np.floating] | None = None,
    position: str = "centre",
) -> Figure:
    """Draw ten seconds of a recording on ECG paper.

    The twelve standard leads are drawn in four columns of 2.5 s (a quarter of a shorter recording), one after the
    other in time, over a rhythm strip of lead II; any other set of leads as one strip of ten seconds each. Of a longer
    recording the middle is drawn, as the model sees it. Each lead is drawn about its own median. A trace that leaves
    its row by more than a few centimetres is cut there, and the footnote says so; missing samples leave a gap.

    Args:
        recording: any number of leads.
        title: above the traces; the record's name where None, nothing where empty. Lines may be separated by newlines
            (two at most).
        figure: drawn into and resized, where given.
        overlay: (leads, samples) as the recording's signal, weights for or against a decision, shaded behind
            the traces: orange where positive, blue where negative.
        position: which ten seconds of a longer recording: ``centre`` or ``start``, as the model's window.

    Returns:
        The figure, as large as the paper.

    Raises:
        ValueError: if the overlay has another shape than the signal, or the position is unknown.
    """
    if overlay is not None and overlay.shape != recording.signal.shape:
        raise ValueError(
            f"overlay of shape {overlay.shape} on a signal of shape {recording.signal.shape}; expected the same"
        )
    start = max(0.0, _window_start(recording, WINDOW_SECONDS, position))
    rows = [[_trace(recording, place, start) for place in row] for row in _layout(recording)]
    depths = _baselines(rows)
    text = recording.name if title is None else title
    top = _TOP if text else _TOP_UNTITLED
    width = _LEFT + WINDOW_SECONDS * PAPER_SPEED + _RIGHT
    height = top + depths[-1] + _BOTTOM
    if figure is None:
        figure = Figure()
        FigureCanvasAgg(figure)
    figure.set_layout_engine("none")
    figure.set_size_inches(width / _MM_PER_INCH, height / _MM_PER_INCH)
    axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    axes.set_xlim(0, width)
    axes.set_ylim(0, height)
    axes.set_axis_off()
    paper_top = height - top
    axes.fill_between([0, width], _BOTTOM, paper_top, color=_PAPER, linewidth=0, zorder=0)
    shade = None if overlay is None else _overlay_scale(overlay)
    for row, depth in zip(rows, depths, strict=False):
        baseline = paper_top - depth
        _draw_pulse(axes, baseline)
        for trace in row:
            x = _LEFT + trace.place.offset * PAPER_SPEED
            if overlay is not None and shade:
                weights = _samples_of(overlay, recording, trace.place, start) / shade
                band = (baseline - trace.down, baseline + trace.up - _LABEL_HEIGHT)
                _draw_overlay(axes, weights, recording.sampling_rate, x, *band)
            xs = x + trace.time * PAPER_SPEED
            axes.plot(xs, baseline + trace.height, color=_INK, linewidth=0.7, solid_joinstyle="round", zorder=4)
            label: dict[str, Any] = {"fontsize": 9, "fontweight": "bold", "color": _INK, "parse_math": False}
            axes.text(x + 1.5, baseline + trace.up - 4, trace.label, zorder=5, **label)
            if trace.place.offset:
                axes.plot([x, x], [baseline - 3, baseline + 3], color=_INK, linewidth=0.6, zorder=4)
    _draw_grid(axes, width, _BOTTOM, paper_top, paper_top - depths[0])
    cut = any(trace.cut for row in rows for trace in row)
    axes.text(3, height - 5, text, fontsize=10, color=_INK, va="top", parse_math=False)
    axes.text(3, 3.5, _footnote(recording, start, cut, overlay is not None), fontsize=8, color=_INK)
    return figure


def overlay_from_window(
    recording: Recording,
    weights: NDArray[np.floating],
    leads: tuple[str, ...],
    sampling_rate: float,
    *,
    position: str = "centre",
) -> NDArray[np.float32]:
    """Bring weights on a model's input window back onto the recording's own leads and samples.

    The window is taken to lie in the middle of the recording, or the recording in the middle of a longer,
    padded window, as preprocessing cuts it.

    Args:
        recording: what the window was cut from.
        weights: (leads of the window, samples of the window).
        leads: names of the window's leads.
        sampling_rate: of the window, Hz.
        position: ``centre`` or ``start``, as the window was cut.

    Returns:
        (leads, samples) as ``recording.signal``; 0 outside the window and on leads that the model does not
        see.
    """
    placed = np.zeros(recording.signal.shape, dtype=np.float32)
    window_start = _window_start(recording, weights.shape[1] / sampling_rate, position)
    window_time = window_start + np.arange(weights.shape[1]) / sampling_rate
    time = np.arange(recording.signal.shape[1]) / recording.sampling_rate
    for row, lead in enumerate(recording.leads):
        if lead in leads:
            placed[row] = np.interp(time, window_time, weights[leads.index(lead)], left=0.0, right=0.0)
    return placed


def _window_start(recording: Recording, seconds: float, position: str) -> float:
    """s from the recording's start to the window's; negative where the recording lies within a longer window."""
    if position not in ("centre", "start"):
        raise ValueError(f"position '{position}': expected 'centre' or 'start'")
    return (recording.duration - seconds) / 2 if position == "centre" else 0.0


@dataclass(frozen=True)
class _Place:
    """Place at which a stretch of a lead is drawn."""

    lead: str
    offset: float
    """s from the window's start."""
    seconds: float


@dataclass(frozen=True)
class _Trace:
    """A stretch of a lead, ready to draw."""

    place: _Place
    label: str
    time: NDArray[np.float64]
    """s from the stretch's start."""
    height: NDArray[np.float64]
    """mm about the lead's median, NaN where a sample is missing."""
    up: float
    """mm that it needs above its baseline, the lead's name included."""
    down: float
    """mm that it needs below."""
    cut: bool
    """Whether it left its row and was cut."""


def _layout(recording: Recording) -> list[list[_Place]]:
    """Rows from the top."""
    if set(STANDARD_LEADS) <= set(recording.leads):
        shown = min(recording.duration, WINDOW_SECONDS)
        seconds = max(shown / len(_COLUMNS), _SHORTEST_COLUMN)  # so that each lead of a short one is seen
        grid = [
            [_Place(column[row], place * seconds, seconds) for place, column in enumerate(_COLUMNS)] for row in range(3)
        ]
        return [*grid, [_Place(_RHYTHM_LEAD, 0.0, WINDOW_SECONDS)]]
    return [[_Place(lead, 0.0, WINDOW_SECONDS)] for lead in recording.leads]


def _trace(recording: Recording, place: _Place, start: float) -> _Trace:
    whole = recording.signal[recording.leads.index(place.lead)]
    centre = float(np.nanmedian(whole)) if not np.isnan(whole).all() else 0.0
    uncut = (_samples_of(recording.signal, recording, place, start).astype(np.float64) - centre) * GAIN
    height = np.clip(uncut, -_MAX_DOWN, _MAX_UP)
    known = ~np.isnan(height)
    first = round((start + place.offset) * recording.sampling_rate)
    time = (first + np.arange(len(height))) / recording.sampling_rate - start - place.offset
    return _Trace(
        place=place,
        label=place.lead if known.any() else f"{place.lead} (no samples)",
        time=time,
        height=height,
        up=max(_MIN_UP, float(height[known].max(initial=0.0))) + _LABEL_HEIGHT,
        down=max(_MIN_DOWN, -float(height[known].min(initial=0.0))),
        cut=bool(np.any(height[known] != uncut[known])),
    )


def _samples_of(array: NDArray[np.floating], recording: Recording, place: _Place, start: float) -> NDArray[np.floating]:
    first = round((start + place.offset) * recording.sampling_rate)
    last = round((start + place.offset + place.seconds) * recording.sampling_rate)
    return array[recording.leads.index(place.lead), first:last]


def _baselines(rows: list[list[_Trace]]) -> list[float]:
    """mm from the paper's upper edge to each baseline, and to the lower edge, in whole large squares.

    Rows stand as close as the traces above each other allow.
    """
    depths = [_large_squares(max(trace.up for trace in rows[0]))]
    for upper, lower in pairwise(rows):
        need = max(
            above.down + below.up
            for above in upper
            for below in lower
            if above.place.offset < below.place.offset + below.place.seconds
            and below.place.offset < above.place.offset + above.place.seconds
        )
        depths.append(depths[-1] + _large_squares(max(_ROW, need)))
    return [*depths, depths[-1] + _large_squares(max(trace.down for trace in rows[-1]))]


def _large_squares(millimetres: float) -> float:
    return 5.0 * math.ceil(millimetres / 5)


def _draw_pulse(axes: Axes, baseline: float) -> None:
    """The calibration pulse: 1 mV for 200 ms."""
    x = [3.0, 5.0, 5.0, 10.0, 10.0, 12.0]
    y = [0.0, 0.0, GAIN, GAIN, 0.0, 0.0]
    axes.plot(x, np.array(y) + baseline, color=_INK, linewidth=0.7, solid_joinstyle="miter", zorder=4)


def _draw_grid(axes: Axes, width: float, bottom: float, top: float, origin: float) -> None:
    """Lines every 1 mm and 5 mm; the first trace's start and baseline lie on large squares."""
    for step, colour, thickness, layer in ((1.0, _FINE_GRID, 0.25, 1), (5.0, _BOLD_GRID, 0.5, 2)):
        xs = np.arange(_LEFT % step, width + 1e-9, step)
        ys = np.arange(bottom + (origin - bottom) % step, top + 1e-9, step)
        lines = [[(x, bottom), (x, top)] for x in xs] + [[(0.0, y), (width, y)] for y in ys]
        axes.add_collection(LineCollection(lines, colors=colour, linewidths=thickness, zorder=layer))


def _overlay_scale(overlay: NDArray[np.floating]) -> float:
    magnitude = np.abs(overlay[np.isfinite(overlay) & (overlay != 0)])
    return float(np.quantile(magnitude, _OVERLAY_FULL_QUANTILE)) if len(magnitude) else 0.0


def _draw_overlay(axes: Axes, weights: NDArray[np.floating], rate: float, x: float, bottom: float, top: float) -> None:
    """A strip of colour behind one trace, in bins of 40 ms (1 mm of paper)."""
    if not len(weights):
        return
    bins = np.minimum((np.arange(len(weights)) / rate * _OVERLAY_BINS_PER_SECOND).astype(int), 10**6)
    count = np.bincount(bins)
    strip = np.clip(np.bincount(bins, weights=np.nan_to_num(weights)) / np.maximum(count, 1), -1, 1)
    colours = np.zeros((1, len(strip), 4))
    colours[0, :, :3] = np.where((strip > 0)[:, None], _SUPPORTS, _OPPOSES)
    colours[0, :, 3] = np.abs(strip) * _OVERLAY_OPACITY
    axes.imshow(
        colours,
        extent=(x, x + len(strip) / _OVERLAY_BINS_PER_SECOND * PAPER_SPEED, bottom + 1, top - 1),
        aspect="auto",
        interpolation="nearest",
        zorder=3,
    )


def _footnote(recording: Recording, start: float, cut: bool, overlay: bool) -> str:
    end = min(recording.duration, start + WINDOW_SECONDS)
    parts = [
        f"{PAPER_SPEED:g} mm/s   {GAIN:g} mm/mV   {recording.sampling_rate:g} Hz",
        f"{start:.1f} to {end:.1f} s of {recording.duration:.1f} s",
    ]
    if overlay:
        parts.append("shading: orange supports, blue opposes")
    if cut:
        parts.append("traces cut at the edge of their row")
    if np.isnan(recording.signal).any():
        parts.append("gaps: missing samples")
    return "   ·   ".join(parts)
