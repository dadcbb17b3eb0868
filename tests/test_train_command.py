"""``python train.py`` and ``ecgfounder-ft`` as a user types them."""

import csv
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def train(*arguments: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "train.py"), *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=240, check=False)


def console(*arguments: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "ecgfounder_ft.cli", *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=240, check=False)


def test_without_data_it_says_what_to_download_and_names_the_demo(tmp_path: Path) -> None:
    found = train("data.mimic_path=/nowhere/mimic", f"hydra.run.dir={tmp_path}")
    assert found.returncode == 2
    assert "/nowhere/mimic" in found.stderr
    assert "https://physionet.org/content/mimic-iv-ecg" in found.stderr
    assert "python train.py experiment=demo" in found.stderr
    assert "Traceback" not in found.stderr + found.stdout


def test_help_says_what_can_be_done() -> None:
    found = train("--help")
    assert found.returncode == 0
    for word in ("experiment=demo", "data.max_samples=500", "tensorboard --logdir outputs", "finetune"):
        assert word in found.stdout


@pytest.mark.parametrize("command", ["train.py", "-m ecgfounder_ft.cli"])
def test_help_imports_no_torch(command: str) -> None:
    arguments = [sys.executable, "-X", "importtime", *command.split(), "--help"]
    found = subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True, timeout=120, check=True)
    imported = {line.rsplit("|", 1)[-1].strip() for line in found.stderr.splitlines() if "import time" in line}
    assert not imported & {"torch", "pytorch_lightning", "wfdb", "matplotlib", "sklearn"}


def test_a_refused_configuration_imports_no_numpy() -> None:
    program = """
import runpy, sys
sys.argv = ["train.py", "optimizer.lrr=1"]
try:
    runpy.run_path("train.py", run_name="__main__")
except SystemExit as end:
    print(end.code, sorted({"numpy", "torch", "pandas"} & sys.modules.keys()))
"""
    found = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "1 []"


def test_a_refused_configuration_has_no_traceback(tmp_path: Path) -> None:
    found = train("optimizer.lrr=1", f"hydra.run.dir={tmp_path}")
    assert found.returncode == 1
    assert "lrr" in found.stderr
    assert "Traceback" not in found.stderr


def test_a_sweep_runs_all_trials_and_a_failed_one_shows(run_overrides: list[str], tmp_path: Path) -> None:
    found = train(
        "-m",
        *run_overrides,
        "split.minimum=1,1000",
        "trainer.limit_train_batches=1",
        f"hydra.sweep.dir={tmp_path}",
    )
    assert found.returncode == 1, found.stderr
    assert "1 of 2 trials did not finish: 1" in found.stderr
    rows = list(csv.DictReader((tmp_path / "sweep.csv").open()))
    assert [row["state"] for row in rows] == ["finished", "failed"]
    assert float(rows[0]["metric"]) > 0
    assert "too few recordings" in rows[1]["error"]
    assert (tmp_path / "0" / "model.pth").is_file()


def test_the_console_command_simulates_catalogs_draws_and_predicts(finished_run: Path, tmp_path: Path) -> None:
    made = console("simulate", str(tmp_path / "sim"), "--recordings", "2")
    assert made.returncode == 0, made.stderr
    assert 'data.mimic_path="' in made.stdout
    physionet = tmp_path / "sim" / "Physionet 2021 Selected"
    listed = console("catalog", "physionet2021", str(physionet), "--output", str(tmp_path / "catalogs"))
    assert listed.returncode == 0, listed.stderr
    assert (tmp_path / "catalogs" / "physionet2021.parquet").is_file()
    header = next(physionet.rglob("*.hea"))
    drawn = console("draw", str(header), "--output", str(tmp_path / "ecg.png"))
    assert drawn.returncode == 0, drawn.stderr
    assert (tmp_path / "ecg.png").read_bytes().startswith(b"\x89PNG")
    output = tmp_path / "p.csv"
    predicted = console("predict", str(finished_run), str(physionet), "--output", str(output))
    assert predicted.returncode == 0, predicted.stderr
    assert len(output.read_text().splitlines()) == 1 + len(list(physionet.rglob("*.hea")))


def test_the_console_command_explains_errors_without_a_traceback(tmp_path: Path) -> None:
    for arguments, words in (
        (("predict", str(tmp_path), str(tmp_path)), "no such file"),
        (("catalog", "physionet2021", "/nowhere"), "/nowhere"),
        (("draw", "/nowhere/x.hea"), "header cannot be read"),
        (("simulate", str(tmp_path), "--labels", "seven"), "no label map 'seven'"),
        (("download", "13lead"), "expected one of 12lead, 1lead"),
    ):
        found = console(*arguments)
        assert found.returncode == 2, found.stdout + found.stderr
        assert words in found.stderr
        assert "Traceback" not in found.stderr
