"""The effects of augmentation, one function each, by the names of the settings that give their strength.

Each takes signals (N, leads, samples), the strength, all settings and the generator of its draws, and returns changed
signals of the same shape. Apart from the settings, so that a configuration is checked without importing torch.

Batches hold preprocessed signals, z-scored by default, so amplitudes are given in multiples of the recording's own
standard deviation over all leads and samples (SD): 1 of a z-scored signal, and the same effect on millivolts.
Preprocessing has filtered the recordings already: what is added here is what its filters leave of a disturbance.
"""

import math

import torch
from torch import Tensor

from ecgfounder_ft.data.augmentation import Augmentation

WANDER_HERTZ = (0.05, 0.5)
"""Frequencies of baseline wander, from breathing and slow movement of electrodes (Clifford, Azuaje & McSharry 2006,
"Advanced Methods and Tools for ECG Data Analysis")."""
MUSCLE_HERTZ = (20.0, 100.0)
"""Frequencies of muscle noise: the part of the surface electromyogram that lies over an ECG's (ibid.)."""
_WAVES = 3  # sinusoids that a baseline wander is made of


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
    """Return signals with slow waves added, other ones in each lead."""
    low, high = WANDER_HERTZ
    shape = (*signal.shape[:2], 1, _WAVES)
    hertz = low + (high - low) * torch.rand(shape, generator=generator, device=signal.device)
    phase = torch.rand(shape, generator=generator, device=signal.device)
    seconds = torch.arange(signal.shape[-1], device=signal.device)[:, None] / settings.sampling_rate
    waves = torch.sin(2 * math.pi * (hertz * seconds + phase)).sum(dim=-1) * math.sqrt(2 / _WAVES)
    return signal + largest * _uniform(signal, generator) * _sd(signal) * waves


def mains(signal: Tensor, largest: float, settings: Augmentation, generator: torch.Generator) -> Tensor:
    """Return signals with a sine of the mains' frequency added, of one phase per lead."""
    phase = torch.rand(*signal.shape[:2], 1, generator=generator, device=signal.device)
    seconds = torch.arange(signal.shape[-1], device=signal.device) / settings.sampling_rate
    wave = torch.sin(2 * math.pi * (settings.mains_frequency * seconds + phase)) * math.sqrt(2)
    return signal + largest * _uniform(signal, generator) * _sd(signal) * wave


def muscle(signal: Tensor, largest: float, settings: Augmentation, generator: torch.Generator) -> Tensor:
    """Return signals with band-limited Gaussian noise added, independent in each lead."""
    samples = signal.shape[-1]
    noise = torch.randn(signal.shape, generator=generator, device=signal.device)
    hertz = torch.fft.rfftfreq(samples, 1 / settings.sampling_rate, device=signal.device)
    band = (hertz >= MUSCLE_HERTZ[0]) & (hertz <= MUSCLE_HERTZ[1])
    noise = torch.fft.irfft(torch.fft.rfft(noise) * band, n=samples)
    noise = noise / noise.std(dim=-1, keepdim=True).clamp(min=1e-8)
    return signal + largest * _uniform(signal, generator) * _sd(signal) * noise


def lead_dropout(signal: Tensor, probability: float, settings: Augmentation, generator: torch.Generator) -> Tensor:
    """Return signals with leads at zero; one lead always stays."""
    draws = torch.rand(*signal.shape[:2], 1, generator=generator, device=signal.device)
    return signal * ((draws >= probability) | (draws == draws.amax(dim=1, keepdim=True)))


def time_mask(signal: Tensor, seconds: float, settings: Augmentation, generator: torch.Generator) -> Tensor:
    """Return signals with a piece of up to ``seconds`` at zero, in all leads."""
    samples = signal.shape[-1]
    length = _uniform(signal, generator) * min(seconds * settings.sampling_rate, samples)
    start = _uniform(signal, generator) * (samples - length)
    position = torch.arange(samples, device=signal.device)
    return signal * ((position < start) | (position >= start + length))


def beta(alpha: float, count: int, generator: torch.Generator, like: Tensor) -> Tensor:
    """Draws of Beta(alpha, alpha) as a ratio of gamma draws; torch's own take no generator for Beta."""
    shape = torch.full((2, count), alpha, device=like.device)
    gamma = torch._standard_gamma(shape, generator=generator).clamp(min=1e-30)
    return (gamma[0] / gamma.sum(dim=0)).to(like.dtype)


def _uniform(signal: Tensor, generator: torch.Generator) -> Tensor:
    return torch.rand(len(signal), 1, 1, generator=generator, device=signal.device)


def _sd(signal: Tensor) -> Tensor:
    return signal.std(dim=(1, 2), keepdim=True)
