"""A run as an exported model: the same answers everywhere, and a record that says what the run did."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from huggingface_hub import ModelCard as HubCard

from ecgfounder_ft.ecg.formats import find_recordings
from ecgfounder_ft.inference.exported_model import FILES, read_exported_model
from ecgfounder_ft.inference.inputs import Reading, prepare_all
from ecgfounder_ft.inference.loading import load_predictor
from ecgfounder_ft.model.ecgfounder.net1d import Net1D
from ecgfounder_ft.runs.folder import RunFolder
from tests.console import console

GOLDEN = Path(__file__).parents[1] / "golden"


@pytest.fixture(scope="module")
def record(exported_run: Path) -> str:
    return (exported_run / "README.md").read_text()


def test_run_torch_and_onnx_answer_alike_on_every_real_recording(
    finished_run: Path, exported_run: Path, shared: Path
) -> None:
    models = [
        load_predictor(finished_run, device="cpu"),
        load_predictor(finished_run / "checkpoints" / "best.ckpt", device="cpu"),
        load_predictor(exported_run, backend="torch", device="cpu"),
        load_predictor(exported_run, backend="onnxruntime"),
        load_predictor(exported_run / "model.pth", device="cpu"),
    ]
    found = list(prepare_all(find_recordings(shared / "ecg"), Reading(models[0].record.preprocessing), workers=0))
    signals = np.concatenate([one.signals for one in found if not one.reason])
    assert len(signals) > 300
    assert all(one.reason for one in found if not len(one.signals))
    answers = [np.concatenate([model.uncalibrated(part) for part in np.array_split(signals, 10)]) for model in models]
    for model, answer in zip(models[1:], answers[1:], strict=True):
        np.testing.assert_allclose(answer, answers[0], atol=1e-4, err_msg=model.backend)
    np.testing.assert_allclose(models[3].calibrated(answers[3]), models[0].calibrated(answers[0]), atol=1e-4)


def test_the_record_is_that_of_the_run(finished_run: Path, exported_run: Path) -> None:
    exported = read_exported_model(exported_run)
    run = load_predictor(finished_run, device="cpu").record
    assert exported.record.to_dict() == json.loads(json.dumps(run.to_dict()))
    assert exported.content["id2label"] == dict(zip("012345", run.label_map.codes, strict=True))


@pytest.mark.parametrize(("leads", "name"), [(12, "12lead"), (1, "1lead")])
def test_the_pth_has_every_tensor_that_the_published_network_asks_for(leads: int, name: str) -> None:
    """Its code loads strictly; what it never uses has to be there too."""
    lines = (GOLDEN / f"state_dict_{name}.txt").read_text().splitlines()
    published = dict(line.rsplit(" ", 1) for line in lines if line)
    with torch.device("meta"):
        tensors = Net1D(leads, 150).published_tensors()
    assert {key: "x".join(map(str, value.shape)) or "scalar" for key, value in tensors.items()} == published


def test_the_pth_loads_without_running_code_and_ends_in_the_same_network(exported_run: Path) -> None:
    content = torch.load(exported_run / "model.pth", weights_only=True)
    tensors = content["state_dict"]
    assert torch.equal(tensors["first_bn.running_var"], torch.ones(len(tensors["first_bn.running_var"])))
    again = load_predictor(exported_run / "model.pth", device="cpu")
    assert again.digest == load_predictor(exported_run, backend="torch", device="cpu").digest


def test_the_card_says_what_the_run_did(record: str, finished_run: Path) -> None:
    run = RunFolder(finished_run)
    metrics = run.read_metrics()["test"]
    assert f"{metrics['n']} recordings of {metrics['patients']} patients" in record
    for code, condition in metrics["conditions"].items():
        row = next(line for line in record.splitlines() if line.startswith(f"| {code} | {condition['positives']} |"))
        assert f"{condition['metrics']['auroc']['value']:.3f}" in row
        low = condition["metrics"]["specificity"]["low"]
        assert low is None or f"({low:.3f} to" in row
    splits = run.read_splits()
    sizes = [str((splits["split"] == side).sum()) for side in ("train", "validation", "test")]
    assert f"| recordings | {' | '.join(sizes)} |" in record
    for said in (
        "no medical device",
        "not for the diagnosis",
        "natural prevalence",
        "simulator's own",
        "0.67 to 40 Hz",
    ):
        assert said in record
    assert "None" not in record
    assert "nan" not in record.casefold().split()
    assert not re.search(r"\{\{|\{%", record)


def test_no_folder_of_whoever_trained_it_is_passed_on(exported_run: Path, finished_run: Path, tmp_path: Path) -> None:
    for path in exported_run.iterdir():
        assert str(finished_run.parent).encode() not in path.read_bytes(), path.name


def test_the_cards_head_is_the_hubs_metadata(record: str) -> None:
    head = yaml.safe_load(record.split("---")[1])
    assert set(head) <= {"license", "library_name", "tags", "base_model", "metrics", "model-index"}
    assert "base_model" not in head  # it started from random weights
    assert "license" not in head
    assert "No licence is stated" in record
    HubCard(record)


def test_tables_have_as_many_cells_as_their_heads(record: str) -> None:
    columns = 0
    for line in record.splitlines():
        cells = len(re.findall(r"(?<!\\)\|", line)) if line.startswith("|") else 0
        if cells and not columns:
            columns = cells
        assert not cells or cells == columns, line
        columns = columns if cells else 0


def test_the_command_writes_a_whole_folder_or_none(finished_run: Path, tmp_path: Path) -> None:
    target = tmp_path / "my" / "model"
    target.mkdir(parents=True)
    done = console("export", str(finished_run), "--to", str(target), "--no-onnx", "--license", "cc-by-4.0")
    assert done.exit_code == 0, done.stderr
    assert "no medical device" in done.stdout
    assert {path.name for path in target.iterdir()} == set(FILES) - {"model.onnx"}
    assert [path.name for path in target.parent.iterdir()] == ["model"]
    assert HubCard.load(target / "README.md").data.license == "cc-by-4.0"
    assert load_predictor(target, device="cpu").backend == "torch"
    again = console("export", str(finished_run), "--to", str(target))
    assert again.exit_code == 2
    assert "is there already" in again.stderr
    none = console("export", str(tmp_path / "none"), "--to", str(tmp_path / "x"))
    assert none.exit_code == 2
    assert "no run folder" in none.stderr
    assert not (tmp_path / "x").exists()
