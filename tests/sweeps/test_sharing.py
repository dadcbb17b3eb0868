"""Processes of the same sweep share what has to be computed once."""

from pathlib import Path

import pytest

from tests.small_run import small_run
from tests.sweep_runs import TINY, SweepProcess, table_of

PROBES = ("finetune=linear_probe", "optimizer.lr=1e-2,1e-3,1e-4,1e-5")


@pytest.mark.slow
def test_embeddings_are_computed_by_one_of_the_trials_of_two_processes(small_root: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"  # without stored outputs of other tests
    typed = [*small_run(small_root, *TINY, *PROBES, f"data.store='{store}'")]
    both = [SweepProcess(tmp_path, typed) for _ in range(2)]
    assert [process.wait() for process in both] == [0, 0], both[0].printed() + both[1].printed()
    assert [row["state"] for row in table_of(tmp_path)] == ["finished"] * 4
    logs = [file.read_text() for file in (tmp_path / "sweep").glob("*/train.log")]
    assert len(logs) == 4
    assert sum("Computing outputs of frozen parts" in log for log in logs) == 1
    assert len(list(store.rglob("activations-*.npy"))) == 1
    ran = [(tmp_path / f"output-{number}.txt").read_text().count("Run folder:") for number in range(2)]
    assert sum(ran) == 4, "no trial is run twice"
    assert all(ran), "both processes ran some"
