"""Draw each effect of training augmentation on a recording: the page of pictures beside docs/finetuning.md.

    python scripts/draw_augmentations.py RECORDING.hea augmentations.png
    python scripts/draw_augmentations.py RECORDING.hea augmentations.png --preset light --lead V1

Each picture shows one effect of a preset, the strongest of eight draws as in training, in colour, over the preprocessed
recording in grey. Without a recording (``simulated``), one is simulated.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure

from ecgfounder_ft.config.compose import compose_settings
from ecgfounder_ft.ecg.formats import read_recording
from ecgfounder_ft.ecg.leads import STANDARD_LEADS
from ecgfounder_ft.ecg.preprocessing import Preprocessing
from ecgfounder_ft.ecg.recording import Recording
from ecgfounder_ft.ecg.simulator import record, sample_physiology

TITLES = {
    "time_shift": "time shift, up to {:g} s",
    "amplitude_scale": "amplitude, up to ±{:.0%}",
    "baseline_wander": "baseline wander, SD up to {:g} of the recording's",
    "mains": "mains, SD up to {:g} of the recording's",
    "muscle": "muscle noise, SD up to {:g} of the recording's",
    "lead_dropout": "lead dropout, each with probability {:g}",
    "time_mask": "time mask, up to {:g} s",
    "mixup": "mixup with another recording, Beta({0:g}, {0:g})",
}
DRAWS = 8


def simulated() -> Recording:
    """A normal sinus rhythm."""
    rng = np.random.default_rng(1)
    signal, _ = record(sample_physiology(frozenset({"NORM"}), rng), rng)
    return Recording("simulated", STANDARD_LEADS, signal, 500.0)


def draw(recording: Recording, preset: str, lead: str, seed: int) -> Figure:
    """One picture per effect; lead dropout in all leads, the others in one."""
    signal = torch.from_numpy(np.ascontiguousarray(Preprocessing()(recording).signal, dtype=np.float32))
    other = torch.from_numpy(np.ascontiguousarray(Preprocessing()(simulated()).signal, dtype=np.float32))
    batch = torch.stack([signal, other])
    chosen = compose_settings([f"augment={preset}"]).augmentation
    off = dict.fromkeys(TITLES, 0.0)
    names = chosen.effects
    figure = Figure(figsize=(12, 2.2 * len(names)), layout="constrained")
    seconds = np.arange(signal.shape[-1]) / chosen.sampling_rate
    row = STANDARD_LEADS.index(lead)
    for axes, name in zip(np.atleast_1d(figure.subplots(len(names), 1, sharex=True)), names, strict=True):
        strength = getattr(chosen, name)
        alone = replace(chosen, **{**off, name: strength}, probability=1.0, seed=seed)
        draws = [alone(batch, (number, 0, 0))[0][0] for number in range(DRAWS)]
        changed = max(draws, key=lambda draw: float((draw - signal).abs().mean()))
        shown = range(len(STANDARD_LEADS)) if name == "lead_dropout" else [row]
        for place, number in enumerate(shown):
            axes.plot(seconds, signal[number] - 8 * place, color="0.7", linewidth=1)
            axes.plot(seconds, changed[number] - 8 * place, color="tab:red", linewidth=0.7)
        axes.set_title(TITLES[name].format(strength), loc="left", fontsize=10)
        axes.set_ylabel("all leads" if len(shown) > 1 else f"{lead} (SD)")
        if len(shown) > 1:
            axes.set_yticks([])
    axes.set_xlabel("s")
    return figure


def main() -> None:
    """Read, draw, save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recording", help="a WFDB header, or: simulated")
    parser.add_argument("output", type=Path)
    parser.add_argument("--preset", default="strong", choices=["light", "strong"])
    parser.add_argument("--lead", default="II", choices=STANDARD_LEADS)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    recording = simulated() if options.recording == "simulated" else read_recording(Path(options.recording))
    draw(recording, options.preset, options.lead, options.seed).savefig(options.output, dpi=110)


if __name__ == "__main__":
    main()
