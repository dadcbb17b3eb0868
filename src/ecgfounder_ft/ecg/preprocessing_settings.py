"""The settings of preprocessing. Apart from the steps that follow them, so that a configuration is checked without
importing numpy."""

import math
from dataclasses import asdict, dataclass, field
from typing import Any, Self

from ecgfounder_ft.ecg.leads import STANDARD_LEADS, canonical_lead


@dataclass
class Notch:
    """A notch against mains hum."""

    frequency: float = 50.0
    """Hz."""
    quality: float = 30.0
    """Centre frequency over the -3 dB bandwidth."""


@dataclass
class BandPass:
    """A Butterworth band-pass."""

    low: float = 0.67
    """Hz."""
    high: float = 40.0
    """Hz."""
    order: int = 4
    """Order of the prototype; the band-pass has twice as many poles, and forward-backward doubles its effect."""


@dataclass
class BaselineMedian:
    """A running median that is subtracted as the baseline."""

    seconds: float = 0.4
    """Window length, rounded to an odd number of samples."""


@dataclass
class Window:
    """The stretch of the recording that the network sees."""

    seconds: float = 10.0
    position: str = "centre"
    """``centre`` or ``start``: which part of a longer recording is taken. A shorter one is padded with zeros
    on both sides (centre) or at its end (start)."""
    min_seconds: float = 1.0
    """A shorter recording is skipped."""
    max_seconds: float = 3600.0
    """A longer recording is skipped: all of it is filtered before a window is taken."""


@dataclass
class SamplingRates:
    """The sampling rates that an ECG may have."""

    lowest: float = 50.0
    """Hz."""
    highest: float = 10_000.0
    """Hz."""


@dataclass
class Amplitudes:
    """The amplitudes that an ECG may have."""

    lowest: float = 0.01
    """mV from the lowest to the highest sample; at least one lead must move by so much, one that does not is dead."""
    highest: float = 400.0
    """mV from zero, of every sample."""


@dataclass
class Plausible:
    """What an ECG can be; a recording beyond is skipped, since its file or its header is wrong."""

    sampling_rate: SamplingRates = field(default_factory=SamplingRates)
    amplitude: Amplitudes = field(default_factory=Amplitudes)


@dataclass
class PreprocessingSettings:
    """The steps' settings, in the order in which they run. A step set to None is left out.

    Raises:
        ValueError: if a setting is impossible; the message names it.
    """

    leads: list[str] = field(default_factory=lambda: list(STANDARD_LEADS))
    """Leads of the input, picked by name, in this order."""
    plausible: Plausible = field(default_factory=Plausible)
    missing: str = "zero"
    """``zero`` (as in pretraining) or ``interpolate`` (linearly, within the lead)."""
    sampling_rate: float = 500.0
    """Hz; any other rate is resampled by a polyphase filter."""
    notch: Notch | None = field(default_factory=Notch)
    band_pass: BandPass | None = field(default_factory=BandPass)
    baseline_median: BaselineMedian | None = field(default_factory=BaselineMedian)
    window: Window = field(default_factory=Window)
    scale: str | None = "zscore"
    """``zscore`` over the whole array (all leads together, so that their proportions remain), or None: millivolts."""

    def __post_init__(self) -> None:
        if not self.leads:
            raise ValueError("preprocessing.leads is empty: name at least one lead")
        self.leads = [canonical_lead(lead) for lead in self.leads]
        if len(set(self.leads)) != len(self.leads):
            raise ValueError(f"preprocessing.leads names a lead twice: {', '.join(self.leads)}")
        _expect("missing", self.missing, ("zero", "interpolate"))
        _expect("scale", self.scale, ("zscore", None))
        _expect("window.position", self.window.position, ("centre", "start"))
        nyquist = self.sampling_rate / 2
        if not self.sampling_rate > 0:
            raise ValueError(f"preprocessing.sampling_rate is {self.sampling_rate} Hz, expected above 0")
        if self.notch is not None and not 0 < self.notch.frequency < nyquist:
            raise ValueError(f"preprocessing.notch.frequency is {self.notch.frequency} Hz, expected 0 to {nyquist}")
        if self.band_pass is not None and not 0 < self.band_pass.low < self.band_pass.high < nyquist:
            raise ValueError(
                f"preprocessing.band_pass is {self.band_pass.low}-{self.band_pass.high} Hz, "
                f"expected 0 < low < high < {nyquist}"
            )
        for name, span in vars(self.plausible).items():
            if not 0 < span.lowest < span.highest < math.inf:
                raise ValueError(
                    f"preprocessing.plausible.{name} is {span.lowest} to {span.highest}, expected 0 < lowest < highest"
                )
        if not self.window.max_seconds >= self.window.seconds:
            raise ValueError(
                f"preprocessing.window.max_seconds is {self.window.max_seconds}, "
                f"expected {self.window.seconds} or more, the length of the window"
            )
        if not 0 < self.window.min_seconds <= self.window.seconds:
            raise ValueError(
                f"preprocessing.window has {self.window.seconds} s with a minimum of {self.window.min_seconds} s, "
                "expected 0 < min_seconds <= seconds"
            )

    @property
    def samples(self) -> int:
        """Length of the output."""
        return round(self.window.seconds * self.sampling_rate)

    def unlike(self, other: "PreprocessingSettings") -> dict[str, tuple[Any, Any]]:
        """Return the settings that make another signal than others do: setting to its value here and there.

        Leads are part of a model's name, and what is skipped changes no signal.
        """
        found = {}
        for name in ("missing", "sampling_rate", "notch", "band_pass", "baseline_median", "scale"):
            found[name] = (getattr(self, name), getattr(other, name))
        for name in ("seconds", "position"):
            found[f"window.{name}"] = (getattr(self.window, name), getattr(other.window, name))
        return {name: pair for name, pair in found.items() if pair[0] != pair[1]}

    def to_dict(self) -> dict[str, Any]:
        """Plain containers only, as stored in checkpoints and store folders."""
        return asdict(self)

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> Self:
        """Inverse of :meth:`to_dict`.

        What was stored before there were plausible ranges and a longest recording gets those of ECGFounder's settings.
        """
        steps = {"notch": Notch, "band_pass": BandPass, "baseline_median": BaselineMedian, "window": Window}
        values = {
            key: steps[key](**value) if key in steps and value is not None else value for key, value in content.items()
        }
        if "plausible" in values:
            ranges = values["plausible"]
            values["plausible"] = Plausible(SamplingRates(**ranges["sampling_rate"]), Amplitudes(**ranges["amplitude"]))
        window = content.get("window", {})
        if "max_seconds" not in window and "window" in values:
            values["window"].max_seconds = max(Window.max_seconds, values["window"].seconds)
        return cls(**values)


def _expect(name: str, value: Any, allowed: tuple[Any, ...]) -> None:
    if value not in allowed:
        wanted = ", ".join("null" if choice is None else str(choice) for choice in allowed)
        raise ValueError(f"preprocessing.{name} is {value!r}, expected one of: {wanted}")
