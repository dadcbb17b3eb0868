"""The example of docs/networks.md, with the page's own files, so that the two cannot drift apart."""

import json
import logging
import re
import shlex
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from ecgfounder_ft.config.compose import compose_settings
from ecgfounder_ft.inference.finished_model import load_model
from ecgfounder_ft.model.plain import PlainNetwork
from ecgfounder_ft.targets import UntrustedTargetError
from tests import small_run

REPOSITORY = Path(__file__).parents[2]
PAGE = (REPOSITORY / "docs" / "networks.md").read_text()
FILES = dict(re.findall(r"^`(\S+)`:\n\n```\w+\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL))
CLASS = "my_network.MyNetwork"

Train = Callable[..., Path]


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder to work in, with the shipped configuration files and those of the page."""
    shutil.copytree(REPOSITORY / "configs", tmp_path / "configs")
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    sys.modules.pop("my_network", None)


@pytest.fixture
def train(small_root: Path, checkout: Path) -> Train:
    return lambda *changes: small_run.train(checkout / "run", small_root, "trainer.max_epochs=2", *changes)


def state_of(folder: Path) -> dict[str, torch.Tensor]:
    state: dict[str, torch.Tensor] = torch.load(folder / "model.pth", weights_only=True)["state_dict"]
    return state


def test_the_page_has_the_files_of_the_example() -> None:
    assert list(FILES) == [
        "my_network.py",
        "configs/model/architecture/my_network.yaml",
        "configs/model/architecture/layers.yaml",
    ]
    assert CLASS in FILES["configs/model/architecture/my_network.yaml"]
    assert f"trusted_targets=[{CLASS}]" in PAGE


def test_the_comparison_composes_for_each_network(checkout: Path) -> None:
    command = next(line for line in PAGE.splitlines() if line.startswith("python train.py -m"))
    _, _, _, choice, weights = shlex.split(command)
    group, names = choice.split("=")
    targets = [
        compose_settings([f"{group}={name}", weights]).model.architecture["_target_"] for name in names.split(",")
    ]
    assert targets == ["ecgfounder_ft.model.ecgfounder.net1d.Net1D", CLASS]
    one_lead = compose_settings([f"{group}=my_network", "model=1lead"]).model.architecture
    assert (one_lead["leads"], one_lead["conditions"]) == (1, 6)


def test_it_trains_to_a_report_and_is_loaded_by_those_who_trust_it(train: Train) -> None:
    folder = train("model/architecture=my_network", "finetune=full", "evaluation.report=true")
    assert (folder / "report.html").stat().st_size
    assert json.loads((folder / "status.json").read_text())["state"] == "finished"
    model = load_model(folder, trusted=[CLASS])
    assert isinstance(model.net, PlainNetwork)
    assert list(model.net.parts()) == ["stem", "middle", "top", "head"]
    signals = np.random.default_rng(0).normal(size=(2, 12, model.record.preprocessing.samples)).astype(np.float32)
    from my_network import MyNetwork  # type: ignore[import-not-found]

    bare = MyNetwork(12, 6, 32).eval()
    bare.load_state_dict(state_of(folder))
    with torch.inference_mode():
        expected = bare(torch.from_numpy(signals)).softmax(dim=1)
    np.testing.assert_allclose(model.uncalibrated(signals), expected, atol=1e-6)


def test_without_trust_it_is_refused_by_name_and_no_code_runs(train: Train) -> None:
    folder = train("model/architecture=my_network", "trainer.max_epochs=0")
    for file in (folder / "model.pth", folder / "checkpoints" / "last.ckpt"):
        del sys.modules["my_network"]
        for trusted in ((), ("my_network.OtherNetwork",)):
            with pytest.raises(UntrustedTargetError, match=rf"{file.name}.*'{re.escape(CLASS)}'"):
                load_model(file, trusted=trusted)
            assert "my_network" not in sys.modules
        load_model(file, trusted=[CLASS])
        assert "my_network" in sys.modules


def test_its_frozen_parts_stay_as_they_were_and_run_in_every_epoch(
    train: Train, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    from my_network import MyNetwork

    torch.manual_seed(3)
    start = MyNetwork(12, 6, 32).state_dict()
    torch.save(start, tmp_path / "start.pth")
    with caplog.at_level(logging.INFO):
        folder = train(
            "model/architecture=my_network",
            f"model.weights={tmp_path / 'start.pth'}",
            "finetune=last_stages",
            "finetune.stages=1",
        )
    assert "Parts up to middle never train, but run in every epoch" in caplog.text
    trained = state_of(folder)
    assert list(trained) == list(start)
    for name, value in trained.items():
        assert torch.equal(value, start[name]) == name.startswith(("stem.", "middle.")), name


def test_layers_named_in_yaml_train_from_stored_outputs_and_need_no_trust(
    train: Train, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        folder = train("model/architecture=layers", "finetune=linear_probe")
    assert "Parts up to 1 never train: batches enter at 2, from stored outputs" in caplog.text
    model = load_model(folder)
    predictions = pd.read_csv(folder / "predictions.csv")
    assert len(predictions)
    assert (
        set(state_of(folder))
        == set(model.net.state_dict())
        == {f"{place}.{kind}" for place in ("0.0", "1.0", "2") for kind in ("weight", "bias")}
    )
