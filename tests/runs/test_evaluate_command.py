"""A finished run judged again: on its own test recordings, on others, and beside another run."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

ROOT = Path(__file__).parents[2]


def console(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "ecgfounder_ft.cli", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=240, check=False)


@pytest.fixture
def run(finished_run: Path, tmp_path: Path) -> Path:
    shutil.copytree(finished_run, tmp_path / "run", ignore=shutil.ignore_patterns("checkpoints", "tensorboard"))
    return tmp_path / "run"


def test_evaluating_again_gives_the_figures_that_training_ended_with(run: Path, tmp_path: Path) -> None:
    before = json.loads((run / "metrics.json").read_text())
    (run / "report.html").unlink()
    scores = tmp_path / "scores"
    found = console("evaluate", str(run), "--resamples", "50", "--no-attribution", "--challenge-2021", str(scores))
    assert found.returncode == 0, found.stderr
    after = json.loads((run / "metrics.json").read_text())
    assert after["test"] == before["test"]
    assert "<html" in (run / "report.html").read_text()
    assert len(list((scores / "outputs").glob("*.csv"))) == after["test"]["n"]


def test_other_recordings_are_judged_without_those_the_run_learnt_from(
    run: Path, simulated_folders: tuple[Path, Path], tmp_path: Path
) -> None:
    output = tmp_path / "elsewhere"
    found = console(
        "evaluate",
        str(run),
        "data=selected",
        "data.mimic_path=null",
        f"data.physionet_path='{simulated_folders[1]}'",
        f"data.store='{tmp_path / 'store'}'",
        "--resamples=0",
        "--no-attribution",
        f"--output={output}",
    )
    assert found.returncode == 0, found.stderr
    own = pd.read_csv(run / "splits.csv")
    learnt = set(own[own["split"].isin(["train", "validation"])]["recording"])
    judged = set(pd.read_csv(output / "predictions.csv")["recording"])
    assert judged
    assert not judged & learnt
    assert "left out: the run trained or validated on their patient or signal" in " ".join(found.stdout.split())
    assert (output / "report.html").is_file()


def test_two_runs_are_compared_and_the_wrong_ones_refused(run: Path, finished_run: Path, tmp_path: Path) -> None:
    page = tmp_path / "comparison.html"
    found = console("compare", str(finished_run), str(run), "--resamples", "50", "--output", str(page))
    assert found.returncode == 0, found.stderr
    table = pd.read_csv(page.with_suffix(".csv"))
    assert list(table["difference_value"].dropna()) == [0.0]
    predictions = pd.read_csv(run / "predictions.csv")
    predictions[predictions["recording"] != predictions["recording"].iloc[-1]].to_csv(
        run / "predictions.csv", index=False
    )
    refused = console("compare", str(finished_run), str(run))
    assert refused.returncode == 2
    assert "not tested on the same recordings" in refused.stderr


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda run: (run / "predictions.csv").unlink(), "no predictions.csv"),
        (lambda run: (run / "config.yaml").unlink(), "no config.yaml"),
        (lambda run: (run / "model.pth").unlink(), "no such file"),
    ],
)
def test_a_run_folder_with_a_missing_file_is_explained(run: Path, damage: object, words: str) -> None:
    damage(run)  # type: ignore[operator]
    found = console("evaluate", str(run), "--resamples", "0", "--no-attribution")
    assert found.returncode == 2
    assert words in found.stderr
    assert "Traceback" not in found.stderr
