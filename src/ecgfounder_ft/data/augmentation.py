"""Random changes of training batches, on the device of the batch.

All draws follow from a seed and the numbers of the epoch, the batch and the process, so a resumed run meets the same
changes as one that was never stopped; those of stored views from the seed, the view and the recording. Amplitudes are
in multiples of a recording's own standard deviation (SD). The effects themselves are functions of
:mod:`ecgfounder_ft.data.augmentation_effects`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # these are settings as well, and a configuration is checked without importing torch
    from torch import Tensor

EFFECTS = (
    "time_shift",
    "amplitude_scale",
    "baseline_wander",
    "mains",
    "muscle",
    "lead_dropout",
    "time_mask",
)
"""Effects in the order in which they are applied, each the name of a setting and of the function that applies it."""


@dataclass(kw_only=True)
class Augmentation:
    """Changes each recording of a batch by each effect that is on, with a probability.

    The values stand in ``configs/augment/``; the class has none.

    Raises:
        ValueError: if a number is out of range.
    """

    probability: float
    """Chance of each effect, for each recording."""
    time_shift: float
    """Seconds by which a recording is moved at most, to either side; zeros move in (Iwana & Uchida 2021,
    https://doi.org/10.1371/journal.pone.0254841)."""
    amplitude_scale: float
    """Largest relative change of a recording's amplitude, 0 to 1 (ibid.)."""
    baseline_wander: float
    """SD of slow waves of 0.05 to 0.5 Hz, at most; in units of the recording's SD."""
    mains: float
    """SD of a sine of the mains' frequency, at most; in units of the recording's SD."""
    mains_frequency: float
    """Hz."""
    muscle: float
    """SD of Gaussian noise of 20 to 100 Hz, at most; in units of the recording's SD."""
    lead_dropout: float
    """Probability of each lead to be zero; one lead always stays (Oh et al. 2022, https://arxiv.org/abs/2203.06889)."""
    time_mask: float
    """Seconds that are set to zero at most, in one piece (after Park et al. 2019, https://arxiv.org/abs/1904.08779)."""
    mixup: float
    """Parameter of the symmetric Beta distribution of the shares of two mixed recordings; applied to the whole batch
    (Zhang et al. 2018, https://arxiv.org/abs/1710.09412)."""
    sampling_rate: float
    """Hz, of the batches."""
    seed: int
    """Seed of all draws."""
    stored_views: int
    """Versions of each training recording whose output of frozen parts is stored, see
    :mod:`ecgfounder_ft.data.store.frozen_output_views`; 0: frozen parts run in every epoch, on signals that change
    anew."""

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
        names = (*EFFECTS, "mixup")
        return [name for name in names if getattr(self, name) > 0 and (self.probability > 0 or name == "mixup")]

    def __call__(self, signal: Tensor, key: Sequence[int]) -> tuple[Tensor, tuple[Tensor, Tensor] | None]:
        """Signals (N, leads, samples), and numbers (epoch, batch, process) that the draws follow from.

        Returns:
            The changed signals; and with mixup the row (N,) that each was mixed with and the share (N,) that it kept.
        """
        import numpy as np
        import torch

        from ecgfounder_ft.data import augmentation_effects

        generator = torch.Generator(signal.device)
        generator.manual_seed(int(np.random.SeedSequence([self.seed, *key]).generate_state(1, np.uint64)[0] >> 1))
        for name in EFFECTS:
            strength = getattr(self, name)
            if strength > 0 and self.probability > 0:
                chosen = torch.rand(len(signal), 1, 1, generator=generator, device=signal.device) < self.probability
                apply = getattr(augmentation_effects, name)
                signal = torch.where(chosen, apply(signal, strength, self, generator), signal)
        if self.mixup == 0 or len(signal) < 2:
            return signal, None
        partner = torch.randperm(len(signal), generator=generator, device=signal.device)
        share = augmentation_effects.beta(self.mixup, len(signal), generator, signal)
        weight = share[:, None, None]
        return weight * signal + (1 - weight) * signal[partner], (partner, share)
