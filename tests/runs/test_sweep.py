"""The table of a sweep: the best trial first, whichever way its metric is better."""

import csv
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from ecgfounder_ft.files import write_json
from ecgfounder_ft.runs.folder import RunFolder
from ecgfounder_ft.runs.sweep import SweepSummary, read_trial


def trial(sweep: Path, name: str, value: float | None, mode: str = "max", **status: Any) -> None:
    """A finished trial, or, with a status that says so, another."""
    run = RunFolder(sweep / name)
    run.create()
    metric = {} if value is None else {"optimized_metric": {"name": "validation/x", "mode": mode, "value": value}}
    write_json(run.path / "status.json", {"state": "finished", "seconds": 1.0, **metric, **status})
    (run.path / ".hydra").mkdir()
    (run.path / ".hydra" / "overrides.yaml").write_text(f"- optimizer.lr={name}\n")


def table_of(sweep: Path) -> list[dict[str, str]]:
    SweepSummary().on_multirun_end(OmegaConf.create({"hydra": {"sweep": {"dir": str(sweep)}}}))
    return list(csv.DictReader((sweep / "sweep.csv").open()))


@pytest.mark.parametrize(("mode", "expected"), [("max", ["2", "0", "1"]), ("min", ["1", "0", "2"])])
def test_the_best_is_first_in_the_direction_of_the_metric(mode: str, expected: list[str], tmp_path: Path) -> None:
    for name, value in (("0", 0.5), ("1", 0.25), ("2", 0.75)):
        trial(tmp_path, name, value, mode)
    (tmp_path / "multirun.yaml").write_text("a: 1\n")
    rows = table_of(tmp_path)
    assert [row["trial"] for row in rows] == expected
    assert [row["overrides"] for row in rows] == [f"optimizer.lr={name}" for name in expected]


def test_trials_without_a_metric_come_last_and_a_failed_one_ends_the_sweep(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trial(tmp_path, "0", None, state="failed", error="NoDataError: nothing there\nmore")
    trial(tmp_path, "1", 3.0, "min")
    trial(tmp_path, "2", float("nan"), "min")
    with pytest.raises(SystemExit) as end:
        table_of(tmp_path)
    assert end.value.code == 1
    assert "1 of 3 trials did not finish: 0" in capsys.readouterr().err
    rows = list(csv.DictReader((tmp_path / "sweep.csv").open()))
    assert [row["trial"] for row in rows] == ["1", "0", "2"]
    assert rows[1]["error"] == "NoDataError: nothing there"


def test_a_trial_that_is_still_running_has_no_metric(tmp_path: Path) -> None:
    trial(tmp_path, "0", None, state="running")
    found = read_trial(RunFolder(tmp_path / "0"))
    assert (found["state"], found["metric"]) == ("running", None)
