"""The small pretrained models that ship with the repository."""

from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from hydra.utils import instantiate

from ecgfounder_ft.config.compose import compose_settings
from ecgfounder_ft.config.pretraining import sizes_in
from ecgfounder_ft.ecg.leads import STANDARD_LEADS
from ecgfounder_ft.ecg.preprocessing import Preprocessing
from ecgfounder_ft.ecg.simulator import SIMULATED_CONDITIONS, simulate
from ecgfounder_ft.labels import LabelMap
from ecgfounder_ft.model.checkpoints import load_weights
from ecgfounder_ft.model.ecgfounder.net1d import Net1D
from ecgfounder_ft.model.pretrained import find_weights, shipped_names, weights_files

REPOSITORY = Path(__file__).resolve().parents[3]
CARD = (REPOSITORY / "checkpoint" / "demo_models.md").read_text()
ARCHITECTURE = yaml.safe_load(CARD.split("---")[1])["architecture"]


@pytest.mark.parametrize(
    ("name", "leads", "least"),
    [
        ("12_lead", list(STANDARD_LEADS), 0.8),
        ("1_lead", ["I"], 0.6),
        ("limb_leads", list(STANDARD_LEADS[:6]), 0.8),
        ("any_lead", ["V1"], 0.6),
        ("any_lead", ["II"], 0.6),
    ],
)
def test_demo_checkpoint_reads_simulated_recordings(
    name: str, leads: list[str], least: float, label_map: LabelMap
) -> None:
    path = REPOSITORY / "checkpoint" / f"demo_{name}.pth"
    assert path.stat().st_size < 5e6
    net = Net1D(in_channels=len(leads), num_classes=len(label_map), **ARCHITECTURE).eval()
    load_weights(net, path, *label_map.task_rows)
    preprocessing = Preprocessing(leads=leads)
    right = []
    for seed in range(5):
        for code in SIMULATED_CONDITIONS:
            recording = simulate([code], np.random.default_rng([seed, 99])).recording
            with torch.inference_mode():
                logits = net(torch.from_numpy(preprocessing(recording).signal)[None])[0]
            # NORM stands beside a block of a sinus rhythm of normal rate, and beside no other rhythm
            may = {code} if code in {"AFIB", "AFLT"} else {code, "NORM"}
            others = [column for column, other in enumerate(label_map.codes) if other not in may]
            right.append(logits[label_map.codes.index(code)] > 0 and (logits[others] < 0).all())
    assert np.mean(right) >= least


def test_demo_checkpoints_have_the_published_layout() -> None:
    for name in shipped_names():
        path = REPOSITORY / "checkpoint" / f"{name}.pth"
        content = torch.load(path, map_location="cpu", weights_only=False)  # our own file
        assert set(content) == {"epoch", "step", "state_dict", "optimizer", "scheduler", "val_auroc"}
        assert content["state_dict"]["dense.weight"].shape[0] == 150
        assert content["state_dict"]["first_conv.conv.weight"].shape[1] == len(weights_files()[name][1].leads)


def test_the_configured_architecture_is_theirs() -> None:
    assert sizes_in(REPOSITORY / "configs" / "model" / "architecture" / "demo.yaml") == ARCHITECTURE


def test_the_demo_starts_from_a_shipped_checkpoint_that_fits_its_network(label_map: LabelMap, tmp_path: Path) -> None:
    model = compose_settings(["experiment=demo"]).model
    net = instantiate(model.architecture, _convert_="all")
    load_weights(net, find_weights(model.weights, tmp_path), *label_map.task_rows)
