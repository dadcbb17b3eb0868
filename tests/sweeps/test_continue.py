"""A sweep that was stopped goes on by the same command, and one failing trial fails alone."""

import json
from pathlib import Path

import pytest

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


def test_a_metric_that_is_minimised_has_its_smallest_first(sweep: Path) -> None:
    rows = table_of(sweep)
    values = [float(row["validation/loss"]) for row in rows[:2]]
    assert values == sorted(values)
    assert values[0] < values[1]


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
