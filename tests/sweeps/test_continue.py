"""A sweep that was stopped goes on by the same command, and one failing trial fails alone."""

import json
from pathlib import Path

import pytest

from ecgfounder_ft.sweeps.trial import run_trial
from tests.small_run import composed, small_run
from tests.sweep_runs import run_sweep, table_of

AXES = ("optimizer.lr=1e-2,1e-3,1e30", "optimized_metric=validation/loss")
"""The third trial's loss is soon no number."""


@pytest.fixture(scope="module")
def sweep(small_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sweep of three trials that was never killed; read only."""
    folder = tmp_path_factory.mktemp("never-killed")
    assert run_sweep(folder, small_root, AXES) == 1
    return folder


def test_a_trial_that_raises_fails_alone_and_shows(sweep: Path) -> None:
    rows = table_of(sweep)
    assert [row["state"] for row in rows] == ["finished", "finished", "failed"]
    assert float(rows[-1]["optimizer.lr"]) == 1e30
    assert "TrainingStopped" in rows[-1]["error"]
    assert "1 of 3 trials did not finish (failed: 2)" in (sweep / "output-0.txt").read_text()
    assert "TrainingStopped" in (sweep / "output-0.txt").read_text()


@pytest.mark.parametrize(("typed", "drawn"), [("null", False), ("true", True)])
def test_a_trial_draws_attributions_only_where_they_are_asked_for(
    typed: str, drawn: bool, small_root: Path, tmp_path: Path
) -> None:
    seen = []
    settings = composed(small_run(small_root, f"output_dir={tmp_path}", f"evaluation.attribution={typed}"))
    run_trial(settings, lambda used, _: seen.append(used.evaluation.attribution))
    assert seen == [drawn]


def test_a_metric_that_is_minimised_has_its_smallest_first(sweep: Path) -> None:
    rows = table_of(sweep)
    values = [float(row["validation/loss"]) for row in rows[:2]]
    assert values == sorted(values)
    assert values[0] < values[1]


def test_nothing_that_is_large_is_held_of_a_trial_that_ended(sweep: Path) -> None:
    """Trainer, classifier, optimizer and recordings; of the trial that failed as well."""
    assert (sweep / "held.txt").read_text().split("\n") == [*["0 of 4"] * 3, ""]


@pytest.mark.parametrize("steps", [pytest.param(1, marks=pytest.mark.slow), 7])
def test_a_killed_sweep_ends_in_the_same_table(sweep: Path, small_root: Path, tmp_path: Path, steps: int) -> None:
    """Killed in the first trial's first epoch, and in the second trial's second."""
    assert run_sweep(tmp_path, small_root, AXES, kill_after=steps) == -9
    assert not (tmp_path / "sweep" / "sweep.csv").exists()
    finished = {
        file.parent.name: file.stat().st_mtime_ns
        for file in (tmp_path / "sweep").glob("*/status.json")
        if json.loads(file.read_text())["state"] == "finished"
    }
    assert list(finished) == ([] if steps < 4 else ["0"])
    assert run_sweep(tmp_path, small_root, AXES) == 1
    assert table_of(tmp_path) == table_of(sweep)
    for name, before in finished.items():
        assert (tmp_path / "sweep" / name / "status.json").stat().st_mtime_ns == before


@pytest.mark.slow
@pytest.mark.parametrize(
    ("design", "steps"),
    [
        pytest.param(("sweep=optuna", "sweep.n_trials=3", "optimizer.lr=tag(log,interval(1e-3,1e-2))"), 6, id="optuna"),
        pytest.param(("sweep=cross_validation", "sweep.folds=3"), 6, id="cross_validation"),
        pytest.param(("sweep=seeds", "sweep.seeds=3"), 6, id="seeds"),
        pytest.param(("sweep=label_efficiency", "sweep.sizes=20,30,all"), 3, id="label_efficiency"),
        pytest.param(("sweep=hospital_out",), 6, id="hospital_out"),
    ],
)
def test_every_design_goes_on_after_a_kill(
    design: tuple[str, ...], steps: int, small_root: Path, tmp_path: Path
) -> None:
    """Killed in its second trial: what had ended stays as it was, and the answer is that of one never killed."""
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    assert run_sweep(whole, small_root, design) == 0
    assert run_sweep(stopped, small_root, design, kill_after=steps) == -9
    states = {
        file.parent.name: json.loads(file.read_text())["state"] for file in (stopped / "sweep").glob("*/status.json")
    }
    assert states == {"0": "finished", "1": "running"}
    finished = {file: file.stat().st_mtime_ns for file in (stopped / "sweep" / "0").rglob("*") if file.is_file()}
    assert run_sweep(stopped, small_root, design) == 0
    assert len(table_of(whole)) == 3
    assert table_of(stopped) == table_of(whole)
    assert answer_of(stopped, 1) == answer_of(whole, 0)
    assert {file: file.stat().st_mtime_ns for file in finished} == finished


def answer_of(folder: Path, start: int) -> list[str]:
    """What a start of the sweep printed at its end, from the table of trials on, without the names of folders."""
    printed = (folder / f"output-{start}.txt").read_text(encoding="utf-8")
    lines = [line.strip() for line in printed[printed.rindex("Trials of") :].splitlines()]
    (head,) = (place for place, line in enumerate(lines) if line.split()[:1] == ["trial"])
    return [line for line in lines[head:] if "/sweep/sweep." not in line]
