"""The run folder: what it writes it reads again, whole or not at all, and nothing is written over."""

import json
import os
import re
from pathlib import Path

import pandas as pd
import pytest
from matplotlib.figure import Figure

from ecgfounder_ft.config.choices import ConfigurationError
from ecgfounder_ft.config.compose import compose_settings
from ecgfounder_ft.evaluation.calibration import Calibration
from ecgfounder_ft.evaluation.thresholds import fixed_thresholds
from ecgfounder_ft.runs.evaluation_folder import EvaluationFolder
from ecgfounder_ft.runs.folder import RunFolder, RunFolderError

SOURCE = Path(__file__).parents[2] / "src" / "ecgfounder_ft"


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    folder = RunFolder(tmp_path / "run")
    folder.create()
    return folder


def test_file_names_stand_nowhere_else() -> None:
    names = [
        name for folder in (EvaluationFolder, RunFolder) for name in vars(folder).values() if isinstance(name, str)
    ]
    names = [name for name in names if re.fullmatch(r"\w+\.(csv|json|yaml|html)", name)]
    assert {"splits.csv", "config.yaml", "metrics.json", "plan.json"} <= set(names)
    for file in SOURCE.rglob("*.py"):
        if file.name in ("folder.py", "evaluation_folder.py", "status.py"):
            continue
        code = re.sub(r'""".*?"""|#[^\n]*', "", file.read_text(encoding="utf-8"), flags=re.DOTALL)
        typed = [name for name in names if f'"{name}"' in code or f"'{name}'" in code]
        if file.parent.name == "commands" and file.name == "predict.py":
            typed.remove("predictions.csv")  # where `predict` writes by default: beside the user, in no run's folder
        assert not typed, f"{file.relative_to(SOURCE)} types {', '.join(typed)}"


def test_a_configuration_comes_back_typed(run: RunFolder) -> None:
    settings = compose_settings([f"output_dir={run}", "finetune=lp_ft", "optimizer.lr=0.25", "data=merged"])
    run.write_configuration(settings.content)
    found = run.settings()
    assert found == settings
    assert found.source.mimic_iv_ecg.check_files is True  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("a: [", "cannot be read as YAML"),
        ("- 1", "holds a list"),
        ("a: 1", "not a configuration of this version"),
        ("data: {source: nowhere}", "not a configuration of this version"),
    ],
)
def test_a_damaged_configuration_is_explained(run: RunFolder, content: str, words: str) -> None:
    (run.path / "config.yaml").write_text(content)
    with pytest.raises((RunFolderError, ConfigurationError), match=words):
        run.settings()


def test_tables_and_records_come_back(run: RunFolder) -> None:
    skipped = pd.DataFrame({"path": ["a.hea"], "reason": ["flat"], "detail": ["no, lead"]})
    run.write_skipped(skipped)
    pd.testing.assert_frame_equal(run.read_skipped(), skipped)
    names = {"recording": ["007"], "dataset": ["d"], "patient": ["0012"], "path": ["a.hea"], "signal_hash": ["00"]}
    splits = pd.DataFrame({**names, "split": ["test"], "repairs": [""]})
    run.write_splits(splits)
    found = run.read_splits()
    assert (found["recording"][0], found["patient"][0]) == ("007", "0012")  # names stay text
    run.write_history([])
    assert run.read_history() == []
    run.write_history([{"epoch": 0.0, "validation/loss": 0.5}])
    assert run.read_history() == [{"epoch": 0.0, "validation/loss": 0.5}]
    assert run.read_plan() is None
    run.write_plan({"batch_size": 8, "found": {"x": float("nan")}})
    assert run.read_plan() == {"batch_size": 8, "found": {"x": None}}
    run.write_metrics({"test": {"n": 3}}, {})
    assert run.read_metrics() == {"test": {"n": 3}}
    run.write_fits(Calibration("none", "multi_label", ["A"]), fixed_thresholds(["A"]))
    assert json.loads((run.path / "thresholds.json").read_text())["values"] == {"A": 0.5}
    run.write_report("<html>")
    assert run.report_file.read_text() == "<html>"
    run.write_picture("curve", Figure())
    assert (run.path / "curve.png").read_bytes().startswith(b"\x89PNG")
    assert not [path for path in run.path.iterdir() if "unfinished" in path.name]


def test_the_status_says_how_a_run_ended(run: RunFolder) -> None:
    assert run.read_status() == {}
    with run.recorded_status() as status:
        assert run.read_status()["state"] == "running"
        status["more"] = 1
    assert run.read_status() | {"started": "", "seconds": 0} == {
        "state": "finished",
        "more": 1,
        "started": "",
        "seconds": 0,
    }
    with pytest.raises(ValueError, match="boom"), run.recorded_status():
        raise ValueError("boom")
    assert run.read_status()["state"] == "failed"
    assert run.read_status()["error"] == "ValueError: boom"
    with run.recorded_status(write=False):
        assert run.read_status()["state"] == "failed"


def test_a_new_evaluation_never_takes_the_place_of_another(run: RunFolder, tmp_path: Path) -> None:
    first, second = run.new_evaluation("own-test"), run.new_evaluation("own-test")
    assert [folder.path.name for folder in (first, second)] == ["own-test", "own-test-2"]
    there = run.new_evaluation("x", tmp_path / "there")
    there.write_metrics({}, {})
    for taken in (there.path, run.path):
        with pytest.raises(RunFolderError, match="choose another --output"):
            run.new_evaluation("x", taken)


def test_an_evaluation_that_begins_at_the_same_moment_gets_a_folder_of_its_own(
    run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    run.new_evaluation("own-test")
    monkeypatch.setattr(os.path, "lexists", lambda path: False)  # as another process saw it before
    assert run.new_evaluation("own-test").path.name == "own-test-2"


def test_what_is_no_run_is_refused_and_nothing_is_made(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match="no run folder"):
        RunFolder(tmp_path / "none").require()
    assert not (tmp_path / "none").exists()
    with pytest.raises(RunFolderError, match=r"no config\.yaml"):
        RunFolder(tmp_path).require()
