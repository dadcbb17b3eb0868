"""A finished run judged again: on its own test recordings, on others, and beside another run."""

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
import yaml

from ecgfounder_ft.ecg.formats.wfdb import read_recording, write_recording
from ecgfounder_ft.files import sha256_of
from ecgfounder_ft.inference.finished_model import load_model
from tests.console import console


@pytest.fixture
def run(finished_run: Path, tmp_path: Path) -> Path:
    shutil.copytree(finished_run, tmp_path / "run", ignore=shutil.ignore_patterns("checkpoints", "tensorboard"))
    return tmp_path / "run"


def digests(folder: Path) -> dict[str, str]:
    return {path.name: sha256_of(path) for path in folder.iterdir() if path.is_file()}


def test_evaluating_again_says_what_training_ended_with_and_leaves_it_in_place(run: Path, tmp_path: Path) -> None:
    before = digests(run)
    scores = tmp_path / "scores"
    found = console("evaluate", str(run), "--no-attribution", "--challenge-2021", str(scores))
    assert found.exit_code == 0, found.stderr
    assert digests(run) == before
    again = run / "evaluations" / "own-test"
    first, second = (json.loads((folder / "metrics.json").read_text()) for folder in (run, again))
    assert second == first
    assert "<html" in (again / "report.html").read_text()
    assert not (again / "model.pth").exists()
    written = json.loads((scores / "metrics.json").read_text())
    assert len(list((scores / "outputs").glob("*.csv"))) == written["recordings"] == first["test"]["n"]
    assert written["evaluation"]["macro"]["f1"] == first["test"]["macro"]["f1"]  # every recording could be written
    assert -1 <= written["challenge_metric"]["value"] <= 1
    assert "Challenge metric" in found.stdout


def test_the_run_s_own_settings_hold_where_no_other_are_given(finished_run: Path, run: Path, tmp_path: Path) -> None:
    file = run / "config.yaml"
    content = yaml.safe_load(file.read_text())
    content["evaluation"] |= {"resamples": 20, "seed": 5, "by": ["sex"], "report": False}
    file.write_text(yaml.safe_dump(content, sort_keys=False))
    output = tmp_path / "there"
    refused = console("evaluate", str(run), f"--output={output}")
    assert refused.exit_code == 2
    assert "config.yaml (differs)" in refused.stderr
    assert "--accept-edited" in refused.stderr
    found = console("evaluate", str(run), "--accept-edited", f"--output={output}")
    assert found.exit_code == 0, found.stderr
    metrics = json.loads((output / "metrics.json").read_text())
    assert (metrics["test"]["resamples"], metrics["test"]["seed"]) == (20, 5)
    assert {group["attribute"] for group in metrics["subgroups"]} == {"sex"}
    assert not (output / "report.html").exists()
    found = console(
        "evaluate", str(run), "evaluation.seed=6", "--resamples=30", "--calibration=none", "--accept-edited"
    )
    assert found.exit_code == 0, found.stderr
    other = run / "evaluations" / "own-test"
    metrics = json.loads((other / "metrics.json").read_text())
    assert (metrics["test"]["resamples"], metrics["test"]["seed"]) == (30, 6)
    assert json.loads((other / "calibration.json").read_text())["method"] == "none"
    chosen = load_model(other).record.calibration
    assert chosen["method"] == "none"  # fitted anew, so that predictions can use it
    assert load_model(run).record.calibration == load_model(finished_run).record.calibration != chosen
    refused = console("evaluate", str(run), "--accept-edited", f"--output={output}")
    assert refused.exit_code == 2
    assert "holds an evaluation already" in refused.stderr


def test_other_recordings_are_judged_without_those_the_run_learnt_from(
    run: Path, simulated_folders: tuple[Path, Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
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
    assert found.exit_code == 0, found.stderr
    own = pd.read_csv(run / "splits.csv")
    learnt = set(own[own["split"].isin(["train", "validation"])]["recording"])
    judged = set(pd.read_csv(output / "predictions.csv")["recording"])
    assert judged
    assert not judged & learnt
    assert "left out: the run trained or validated on their patient or signal" in caplog.text
    assert (output / "report.html").is_file()


def test_near_copies_of_what_the_run_learnt_from_are_left_out(
    run: Path, simulated_folders: tuple[Path, Path], tmp_path: Path
) -> None:
    own = pd.read_csv(run / "splits.csv").set_index("recording")
    learnt = set(own.index[own["split"].isin(["train", "validation"])])
    folder = simulated_folders[1]
    for header in folder.rglob("*.hea"):
        recording = read_recording(header)
        name, there = f"COPY{header.stem}", tmp_path / "copies" / header.parent.relative_to(folder)
        write_recording(there, name, recording.signal * 1.7, recording.leads, 500.0, storage="mat")
    output = tmp_path / "elsewhere"
    found = console(
        "evaluate",
        str(run),
        "data=selected",
        "data.mimic_path=null",
        f"data.physionet_path='{tmp_path / 'copies'}'",
        f"data.store='{tmp_path / 'store'}'",
        "--resamples=0",
        "evaluation.report=false",
        f"--output={output}",
    )
    assert found.exit_code == 0, found.stderr
    table = pd.read_csv(output / "splits.csv")
    assert not set(table["signal_hash"]) & set(own["signal_hash"])
    of_learnt = table["recording"].str.replace("COPY", "").isin(learnt)
    assert of_learnt.sum() > 10
    assert (table["split"][of_learnt] == "excluded").all()
    assert (table["split"][~of_learnt] == "test").all()


def test_two_runs_are_compared_and_the_wrong_ones_refused(run: Path, finished_run: Path, tmp_path: Path) -> None:
    page = tmp_path / "comparison.html"
    found = console("compare", str(finished_run), str(run), "--resamples", "50", "--output", str(page))
    assert found.exit_code == 0, found.stderr
    table = pd.read_csv(page.with_suffix(".csv"))
    assert list(table["difference_macro_auroc"].dropna()) == [0.0]
    predictions = pd.read_csv(run / "predictions.csv")
    predictions[predictions["recording"] != predictions["recording"].iloc[-1]].to_csv(
        run / "predictions.csv", index=False
    )
    edited = console("compare", str(finished_run), str(run))
    assert edited.exit_code == 2
    assert "predictions.csv (differs)" in edited.stderr
    refused = console("compare", str(finished_run), str(run), "--accept-edited")
    assert refused.exit_code == 2
    assert "not tested on the same recordings" in refused.stderr


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda run: (run / "predictions.csv").unlink(), "predictions.csv (was removed)"),
        (lambda run: (run / "config.yaml").unlink(), "no config.yaml"),
        (lambda run: (run / "model.pth").unlink(), "model.pth (was removed)"),
    ],
)
def test_a_run_folder_with_a_missing_file_is_explained(run: Path, damage: object, words: str) -> None:
    damage(run)  # type: ignore[operator]
    found = console("evaluate", str(run), "--resamples", "0", "--no-attribution")
    assert found.exit_code == 2
    assert words in found.stderr
