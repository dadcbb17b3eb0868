"""The benchmarks run: on small sizes, with every assertion that they make about equal results."""

import runpy
import sys
from pathlib import Path

import pytest

from ecgfounder_ft.config.preflight import looked_through
from tests import forked

ROOT = Path(__file__).resolve().parents[1]


def run(*arguments: str) -> str:
    """``python <arguments>``, without importing torch anew."""
    finished = forked.call(_python, *arguments, cwd=ROOT)
    assert finished.returncode == 0, finished.stderr[-3000:]
    return finished.stdout


def _python(*arguments: str) -> None:
    if arguments[0] == "-m":
        sys.argv = list(arguments[1:])
        runpy.run_module(arguments[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv = list(arguments)
        runpy.run_path(arguments[0], run_name="__main__")


def test_the_simulator() -> None:
    assert "recordings/s in 1 processes" in run("-m", "benchmarks.simulator", "--recordings", "5", "--processes", "1")


def test_near_copies() -> None:
    found = run("-m", "benchmarks.near_copies", "--simulated", "4", "--growth", "50")
    assert "100 Hz: 4 of 4 found" in found
    assert "4 recordings, 6 pairs compared" in found
    assert "0 taken for copies" in found
    assert "50 fingerprints, 1,225 pairs" in found


@pytest.mark.slow
def test_rules_for_the_rows_near_norm() -> None:
    found = run("-m", "studies.small_models.normal_rows", "--simulated", "60", "--resamples", "20", "--threads", "1")
    for rule in ("mean of rows 1, 2 and 3", "any of rows 1 and 3", "least squares"):
        assert rule in found


@pytest.mark.slow  # tests/data/store/test_frozen_outputs.py has a computation that is broken off
def test_faults() -> None:
    found = run("-m", "campaigns.faults", "--count", "2", "--only", "activations")
    assert "| stored outputs of frozen parts | SIGKILL | 2 |" in found
    assert "wrong: 0" in found


@pytest.mark.slow
def test_faults_of_each_kind() -> None:
    assert "wrong: 0" in run("-m", "campaigns.faults", "--count", "1")


def test_one_device() -> None:
    slim = "configs/model/architecture/slim.yaml"
    options = ["--device", "cpu", "--batches", "2", "--rounds", "1", "--architecture", slim]
    found = run("benchmarks/device.py", *options)
    assert "| training, batch 2 | plain, float32, Adam |" in found
    assert "aten::" in found  # the profiler's table


@pytest.mark.slow  # tests/config/test_preflight.py has slips and files of strangers
def test_mutated_configurations() -> None:
    found = run("-m", "campaigns.fuzz_configuration", "--count", "15")
    assert "15 cases, seed 0" in found
    assert [line.split("|")[5].strip() for line in found.splitlines() if line.count("|") == 6][2:] == ["0"] * 5


def test_fuzz_of_model_files_and_run_folders() -> None:
    found = run("-m", "campaigns.fuzz_models", "--seed", "3", "--count", "10")
    assert "10 cases" in found
    assert " 0 faults" in found


def test_fuzz_of_other_formats_and_exported_models() -> None:
    found = run("-m", "campaigns.fuzz_formats", "--seed", "5", "--count", "40", "--no-onnx")
    assert "40 cases, seed 5: 0 faults" in found
    for outcome in ("recording: read", "recording: refused", "exported model: refused"):
        assert outcome in found


def test_intervals() -> None:
    assert "with 20 resamples" in run("benchmarks/bootstrap.py", "time", "--recordings", "300", "--resamples", "20")


@pytest.mark.slow
def test_prediction_and_storage(tmp_path: Path) -> None:
    few = ["--recordings", "12", "--few", "6", "--many", "12", "--rounds", "1"]
    assert "| full | plain loop |" in run("-m", "benchmarks.predict", *few)
    run("-m", "ecgfounder_ft", "simulate", str(tmp_path), "--recordings", "2")
    found = run("-m", "benchmarks.storage", str(tmp_path))
    assert "| leads in reverse order | 0.0e+00 | 0.0e+00 | 0 of 12 |" in found


@pytest.mark.slow
def test_growth_the_store_and_the_whole_table() -> None:
    assert "| evaluation, 1,000 resamples |" in run("-m", "benchmarks.growth", "--sizes", "40", "80")
    assert "| outputs of 1,024, training a head |" in run("-m", "benchmarks.checksums", "--recordings", "64")
    assert "store, 2 processes" in run("-m", "benchmarks.store", "build", "--recordings", "30", "--rounds", "1")
    assert "| inference, batch 32 |" in run("benchmarks/speed.py", "--short")


@pytest.mark.slow
def test_an_exported_model(simulated_folders: tuple[Path, Path]) -> None:
    found = run(
        "-m", "benchmarks.exported", "answers", "--architecture", "slim", "--recordings", str(simulated_folders[0])
    )
    assert "answered: 36, skipped: 0" in found
    assert "| ONNX Runtime, model.onnx |" in found
    found = run("-m", "benchmarks.exported", "speed", "--architecture", "slim", "--rounds", "1")
    assert "| 32 | ONNX Runtime |" in found


@pytest.mark.slow
def test_recipes(tmp_path: Path) -> None:
    small = ["--sizes", "60", "120", "--seeds", "2", "--epochs", "1", "--recordings", "60", "--resamples", "50"]
    found = run(
        "-m", "studies.recipes.recipe", "--output", str(tmp_path), *small, "--first", "lp_ft", "--second", "ema"
    )
    rows = {line.split("`")[1]: line for line in found.splitlines() if line.startswith("| `")}
    assert list(rows) == ["today", "lp_ft", "ema", "wise_ft", "crops", "ensemble"]
    assert "| 0 / " in rows["wise_ft"]  # trainings that end below their start on validation
    assert "+0.000 (+0.000 to +0.000)" in rows["today"]


@pytest.mark.slow
def test_recipes_for_few_recordings(tmp_path: Path) -> None:
    small = [
        "--sizes",
        "20",
        "30",
        "--trained",
        "12",
        "--tested",
        "20",
        "--draws",
        "2",
        "--epochs",
        "1",
        "--resamples",
        "50",
    ]
    found = run(
        "-m", "studies.recipes.few_recordings", "--output", str(tmp_path), *small, "--arms", "linear_probe", "slow"
    )
    rows = {line.split("`")[1]: line for line in found.splitlines() if line.startswith("| `")}
    assert list(rows) == [
        f"{arm}{rule}" for arm in ("linear_probe", "slow") for rule in ("", ", fall-back", ", halfway")
    ]
    for arm in ("linear_probe", "slow"):
        assert rows[f"{arm}, fall-back"].count("| 0 / ") == 2  # below their start on validation, at both hospitals
    assert "Taken by the protocol: " in found


@pytest.mark.slow
@pytest.mark.parametrize("arm", [path.stem for path in sorted((ROOT / "studies/recipes/configs").rglob("*.yaml"))])
def test_arms_of_the_recipes_compose(arm: str) -> None:
    folder = ROOT / "benchmarks" / "recipe_configs"
    group = "experiment" if (folder / "experiment" / f"{arm}.yaml").is_file() else "+with"
    line = ["--config-dir", str(folder), "data=simulated", "model.weights=demo_12_lead", f"{group}={arm}"]
    assert looked_through(line)[1]


@pytest.mark.slow
def test_real_recordings(simulated_folders: tuple[Path, Path]) -> None:
    weights = [
        "--weights",
        "checkpoint/demo_12_lead.pth",
        "--folds",
        "2",
        "--repeats",
        "2",
        "--resamples",
        "20",
        "--train",
    ]
    typed = ["trainer.max_epochs=1", "finetune=linear_probe"]
    found = run("studies/small_models/real_recordings.py", "--recordings", str(simulated_folders[1]), *weights, *typed)
    assert "fine-tuned, 2-fold, seed 0" in found
    assert "fine-tuned, 2-fold, seed 1" in found
    assert "mean of 2" in found


@pytest.mark.slow
def test_thresholds_from_a_simulated_hospital(simulated_folders: tuple[Path, Path]) -> None:
    few = ["--simulated", "30", "--resamples", "20"]
    found = run("-m", "studies.small_models.simulated_thresholds", "--recordings", str(simulated_folders[1]), *few)
    cells = [[cell.strip() for cell in line.split("│")[1:-1]] for line in found.splitlines() if line.startswith("│")]
    assert [row[0] for row in cells] == ["NORM", "AFIB", "AFLT", "1dAVb", "RBBB", "LBBB", "macro"]
    assert all(0 < float(row[2]) < 1 for row in cells[:-1])  # thresholds
    assert 0.4 < float(cells[-1][4]) <= 1  # macro F1


def test_coverage_of_comparisons_folds_and_rare_conditions() -> None:
    found = run("-m", "benchmarks.coverage", "--short")
    for row in ("| 3 | 0.1 |", "| pooled, patients |", "| 6 | percentile |", "| score 16 |"):
        assert row in found
