"""Random changes of training batches, on the device of the batch.

Batches hold preprocessed signals, z-scored by default, so amplitudes are given in multiples of the recording's own
standard deviation over all leads and samples (SD): 1 of a z-scored signal, and the same effect on millivolts.
Preprocessing has filtered the recordings already: what is added here is what its filters leave of a disturbance.

All draws follow from a seed and the numbers of the epoch, the batch and the process, so a resumed run meets the same
changes as one that was never stopped; those of stored views from the seed, the view and the recording.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

WANDER_HERTZ = (0.05, 0.5)
"""Frequencies of baseline wander, from breathing and slow movement of electrodes (Clifford, Azuaje & McSharry 2006,
"Advanced Methods and Tools for ECG Data Analysis")."""
MUSCLE_HERTZ = (20.0, 100.0)
"""Frequencies of muscle noise: the part of the surface electromyogram that lies over an ECG's (ibid.)."""
_WAVES = 3  # sinusoids that a baseline wander is made of


@dataclass
class Augmentation:
    """Changes each recording of a batch by each effect that is on, with a probability.

    Args:
        probability: of each effect, a recording.
        time_shift: seconds by which a recording is moved at most, to either side; zeros move in (Iwana & Uchida 2021,
            https://doi.org/10.1371/journal.pone.0254841).
        amplitude_scale: largest relative change of a recording's amplitude, 0 to 1 (ibid.).
        baseline_wander: SD of slow waves of 0.05 to 0.5 Hz, at most; in units of the recording's SD.
        mains: SD of a sine of the mains' frequency, at most; in units of the recording's SD.
        mains_frequency: Hz.
        muscle: SD of Gaussian noise of 20 to 100 Hz, at most; in units of the recording's SD.
        lead_dropout: probability of each lead to be zero; one lead always stays (Oh et al. 2022,
            https://arxiv.org/abs/2203.06889).
        time_mask: seconds that are set to zero at most, in one piece (after Park et al. 2019,
            https://arxiv.org/abs/1904.08779).
        mixup: parameter of the symmetric Beta distribution that the shares of two recordings come from, over the whole
            batch (Zhang et al. 2018, https://arxiv.org/abs/1710.09412).
        sampling_rate: Hz, of the batches.
        seed: of all draws.
        stored_views: versions of each training recording whose output of frozen parts is stored, see
            ``data/stored_views.py``; 0: frozen parts run in every epoch, on signals that change anew.

    Raises:
        ValueError: if a number is out of range.
    """

    probability: float = 0.5
    time_shift: float = 0.0
    amplitude_scale: float = 0.0
    baseline_wander: float = 0.0
    mains: float = 0.0
    mains_frequency: float = 50.0
    muscle: float = 0.0
    lead_dropout: float = 0.0
    time_mask: float = 0.0
    mixup: float = 0.0
    sampling_rate: float = 500.0
    seed: int = 0
    stored_views: int = 0

    def __post_init__(self) -> None:
        for name in ("probability", "amplitude_scale", "lead_dropout"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"augment.{name} is {getattr(self, name)}, expected 0 to 1")
        for name in ("time_shift", "baseline_wander", "mains", "muscle", "time_mask", "mixup", "stored_views"):
            if getattr(self, name) < 0:
                raise ValueError(f"augment.{name} is {getattr(self, name)}, expected 0 or more")

    @property
    def effects(self) -> list[str]:
        """Names of the effects that are on."""
        names = (*_EFFECTS, "mixup")
        return [name for name in names if getattr(self, name) > 0 and (self.probability > 0 or name == "mixup")]

    def __call__(self, signal: Tensor, key: Sequence[int]) -> tuple[Tensor, tuple[Tensor, Tensor] | None]:
        """Signals (N, leads, samples), and numbers (epoch, batch, process) that the draws follow from.

        Returns:
            The changed signals; and with mixup the row (N,) that each was mixed with and the share (N,) that it kept.
        """
        generator = torch.Generator(signal.device)
        generator.manual_seed(int(np.random.SeedSequence([self.seed, *key]).generate_state(1, np.uint64)[0] >> 1))
        for name, apply in _EFFECTS.items():
            strength = getattr(self, name)
            if strength > 0 and self.probability > 0:
                chosen = torch.rand(len(signal), 1, 1, generator=generator, device=signal.device) < self.probability
                signal = torch.where(chosen, apply(signal, strength, self, generator), signal)
        if self.mixup == 0 or len(signal) < 2:
            return signal, None
        partner = torch.randperm(len(signal), generator=generator, device=signal.device)
        share = _beta(self.mixup, len(signal), generator, signal)
        weight = share[:, None, None]
        return weight * signal + (1 - weight) * signal[partner], (partner, share)


def time_shift(signal: Tensor, seconds: float, settings: Augmentation, generator: torch.Generator) -> Tensor:
    """Moved by up to ``seconds`` to either side."""
    samples = signal.shape[-1]
    reach = min(round(seconds * settings.sampling_rate), samples - 1)
    shift = torch.randint(-reach, reach + 1, (len(signal), 1, 1), generator=generator, device=signal.device)
    source = torch.arange(samples, device=signal.device) - shift  # (N, 1, samples)
    inside = (source >= 0) & (source < samples)
    return signal.gather(2, source.clamp(0, samples - 1).expand_as(signal)) * inside


def amplitude_scale(signal: Tensor, share: float, settings: Augmentation, generator: torch.Generator) -> Tensor:
    """Multiplied by a factor of 1 - ``share`` to 1 + ``share``."""
    return signal * (1 + share * (2 * _uniform(signal, generator) - 1))


def baseline_wander(signal: Tensor, largest: float, settings: Augmentation, generator: torch.Generator) -> Tensor:
    """With slow waves added, other ones in each lead."""
    low, high = WANDER_HERTZ
    shape = (*signal.shape[:2], 1, _WAVES)
    rate = low + (high - low) * torch.rand(shape, generator=generator, device=signal.device)
    phase = torch.rand(shape, generator=generator, device=signal.device)
    seconds = torch.arange(signal.shape[-1], device=signal.device)[:, None] / settings.sampling_rate
    waves = torch.sin(2 * math.pi * (rate * seconds + phase)).sum(dim=-1) * math.sqrt(2 / _WAVES)
    return signal + largest * _uniform(signal, generator) * _sd(signal) * waves


def mains(signal: Tensor, largest: float, settings: Augmentation, generator: torch.Generator) -> Tensor:
    """With a sine of the mains' frequency added, of one phase a lead."""
    phase = torch.rand(*signal.shape[:2], 1, generator=generator, device=signal.device)
    seconds = torch.arange(signal.shape[-1], device=signal.device) / settings.sampling_rate
    wave = torch.sin(2 * math.pi * (settings.mains_frequency * seconds + phase)) * math.sqrt(2)
    return signal + largest * _uniform(signal, generator) * _sd(signal) * wave


def muscle(signal: Tensor, largest: float, settings: Augmentation, generator: torch.Generator) -> Tensor:
    """With band-limited Gaussian noise added, independent in each lead."""
    samples = signal.shape[-1]
    noise = torch.randn(signal.shape, generator=generator, device=signal.device)
    hertz = torch.fft.rfftfreq(samples, 1 / settings.sampling_rate, device=signal.device)
    band = (hertz >= MUSCLE_HERTZ[0]) & (hertz <= MUSCLE_HERTZ[1])
    noise = torch.fft.irfft(torch.fft.rfft(noise) * band, n=samples)
    noise = noise / noise.std(dim=-1, keepdim=True).clamp(min=1e-8)
    return signal + largest * _uniform(signal, generator) * _sd(signal) * noise


def lead_dropout(signal: Tensor, probability: float, settings: Augmentation, generator: torch.Generator) -> Tensor:
    """With leads at zero, but for one that always stays."""
    draws = torch.rand(*signal.shape[:2], 1, generator=generator, device=signal.device)
    return signal * ((draws >= probability) | (draws == draws.amax(dim=1, keepdim=True)))


def time_mask(signal: Tensor, seconds: float, settings: Augmentation, generator: torch.Generator) -> Tensor:
    """With a piece of up to ``seconds`` at zero, in all leads."""
    samples = signal.shape[-1]
    length = _uniform(signal, generator) * min(seconds * settings.sampling_rate, samples)
    start = _uniform(signal, generator) * (samples - length)
    position = torch.arange(samples, device=signal.device)
    return signal * ((position < start) | (position >= start + length))


_EFFECTS = {
    "time_shift": time_shift,
    "amplitude_scale": amplitude_scale,
    "baseline_wander": baseline_wander,
    "mains": mains,
    "muscle": muscle,
    "lead_dropout": lead_dropout,
    "time_mask": time_mask,
}
"""Name of a setting to its effect on signals (N, leads, samples), in the order in which they are applied."""


def _uniform(signal: Tensor, generator: torch.Generator) -> Tensor:
    return torch.rand(len(signal), 1, 1, generator=generator, device=signal.device)


def _sd(signal: Tensor) -> Tensor:
    return signal.std(dim=(1, 2), keepdim=True)


def _beta(alpha: float, count: int, generator: torch.Generator, like: Tensor) -> Tensor:
    """Draws of Beta(alpha, alpha) as a ratio of gamma draws; torch's own take no generator for Beta."""
    shape = torch.full((2, count), alpha, device=like.device)
    gamma = torch._standard_gamma(shape, generator=generator).clamp(min=1e-30)
    return (gamma[0] / gamma.sum(dim=0)).to(like.dtype)
