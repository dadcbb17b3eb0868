"""What every picture has in common: its colours, its size, its axes, and how it becomes a file or a part of a page.

A :class:`matplotlib.figure.Figure` is built without the global state of pyplot, so that pictures may be drawn in any
thread and on machines without a screen.
"""

import base64
import io
from pathlib import Path

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

# The palette of Okabe and Ito, which people with any colour vision can tell apart, without its yellow.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_DASHES = ("-", "--", ":", "-.")
_PALETTE = 128
"""Colours of an embedded picture of pixels."""
GREY = "#666666"
"""Colour of everything that is not data."""


def colour_of(index: int) -> str:
    """The colour of the condition at this place in the output order."""
    return _COLOURS[index % len(_COLOURS)]


def dash_of(index: int) -> str:
    """The dashes of its line, which differ where colours come again."""
    return _DASHES[index // len(_COLOURS) % len(_DASHES)]


def new_figure(width: float, height: float) -> Figure:
    """A figure of a size in inches that PNG writers and TensorBoard can render."""
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def plain(axes: Axes, *, grid: str = "both") -> None:
    """Leave out what carries no data, and lay a pale grid behind what does."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(visible=True, axis=grid, color="#dddddd", linewidth=0.8)  # type: ignore[arg-type]
    axes.set_axisbelow(True)


def say(axes: Axes, text: str) -> None:
    """Clear words in place of an empty picture."""
    axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", va="center", color=GREY, wrap=True)


def save_figure(figure: Figure, path: Path, *, dpi: int = 150) -> Path:
    """Write a PNG, whatever the suffix, and return its path; the folder is created."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, format="png", dpi=dpi, facecolor="white")
    return path


def data_uri(figure: Figure, *, image_format: str = "svg", dpi: int = 110) -> str:
    """The picture as a ``data:`` address, to embed in HTML; the same figure gives the same bytes."""
    stream = io.BytesIO()
    metadata = {"Date": None} if image_format == "svg" else None
    with rc_context({"svg.hashsalt": "ecgfounder-ft"}):
        figure.savefig(stream, format=image_format, dpi=dpi, facecolor="white", metadata=metadata)
    kind = {"svg": "image/svg+xml", "png": "image/png"}[image_format]
    content = _with_palette(stream) if image_format == "png" else stream.getvalue()
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"


def _with_palette(png: io.BytesIO) -> bytes:
    """The picture with as many colours as ECG paper and its shading need: a fifth of the bytes."""
    from PIL import Image  # comes with matplotlib

    found = io.BytesIO()
    picture = Image.open(png).convert("RGB")
    picture.quantize(_PALETTE, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE).save(
        found, "PNG", optimize=True
    )
    return found.getvalue()
