"""A sweep and a training on a SLURM that the test starts: jobs are cancelled, preempted, and reach their time limit."""

import csv
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY
from tests.slurm_cluster import slurm, two_nodes, until, why_not
from tests.small_run import small_run

pytestmark = pytest.mark.slurm

EPOCHS = 30


@pytest.fixture(scope="module", autouse=True)
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    reason = why_not()
    if reason is not None:
        pytest.skip(f"no SLURM can be started: {reason}")
    with two_nodes(tmp_path_factory.mktemp("slurm") / "of-the-test"):
        yield


def small(root: Path, *changes: str) -> list[str]:
    return small_run(root, f"trainer.max_epochs={EPOCHS}", "callbacks.early_stopping.patience=100", *changes)


def asked(job: str, what: str) -> str:
    """What squeue says of a job, whatever became of it."""
    return slurm("squeue", "--noheader", "--array", "--states=all", f"--jobs={job}", f"--format={what}")


def state_of(job: str) -> str:
    return asked(job, "%T")


def take_machine_of(job: str) -> None:
    """Preempt a running job, by one that may."""
    node = asked(job, "%N").partition(",")[0]
    slurm("sbatch", "--partition=urgent", f"--nodelist={node}", "--output=/dev/null", "--wrap=sleep 3")


def restarts_of(job: str) -> int:
    shown = dict(part.partition("=")[::2] for part in slurm("scontrol", "--oneliner", "show", "job", job).split())
    return int(shown["Restarts"])


def start_at_once(job: str) -> bool:
    """Tell a job that is back in the queue not to wait, as jobs do there for two minutes; False while its end is not
    settled yet."""
    if state_of(job) != "PENDING":
        return False
    slurm("scontrol", "update", f"jobid={job}", "starttime=now")
    return True


def test_a_sweep_of_which_trials_are_cancelled_preempted_and_out_of_time(small_root: Path, tmp_path: Path) -> None:
    sweep = tmp_path / "sweep"
    overrides = small(small_root, "hydra/launcher=submitit_slurm", "hydra.launcher.partition=main")
    overrides += ["hydra.launcher.cpus_per_task=1", f"hydra.sweep.dir={sweep}"]
    # five times the same training: what happens to one on the way must not show in its result
    overrides += ["trainer.log_every_n_steps=10,11,12,13,14"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with (tmp_path / "output").open("w") as output:
        command = [sys.executable, "train.py", "-m", *overrides]
        process = subprocess.Popen(command, cwd=REPOSITORY, env=environment, stdout=output, stderr=output)

    def has_checkpoint(trial: int) -> bool:
        assert process.poll() is None, (tmp_path / "output").read_text()
        return (sweep / str(trial) / "checkpoints" / "last.ckpt").is_file()

    until(lambda: has_checkpoint(0), seconds=120)
    array = slurm("squeue", "--noheader", "--format=%F").splitlines()[0]
    slurm("scancel", f"{array}_0")
    until(lambda: has_checkpoint(1), seconds=120)
    take_machine_of(f"{array}_1")
    until(lambda: has_checkpoint(2), seconds=120)
    slurm("scancel", "--signal=USR2", f"{array}_2")  # as SLURM does ahead of the time limit
    for trial in (1, 2):
        until(lambda job=f"{array}_{trial}": restarts_of(job), seconds=60)  # type: ignore[misc]
        until(lambda job=f"{array}_{trial}": start_at_once(job), seconds=60)  # type: ignore[misc]
    assert process.wait(timeout=400) == 1
    print((tmp_path / "output").read_text())

    rows = {row["trial"]: row for row in csv.DictReader((sweep / "sweep.csv").open())}
    assert sorted(rows) == ["0", "1", "2", "3", "4"]
    assert {name for name, row in rows.items() if row["state"] == "finished"} == {"1", "2", "3", "4"}
    assert f"SLURM job {array}_0 ended as CANCELLED" in rows["0"]["error"]
    assert [restarts_of(f"{array}_{trial}") for trial in range(5)] == [0, 1, 1, 0, 0]
    logs = [(sweep / str(trial) / "train.log").read_text() for trial in range(5)]
    assert ["Going on from" in log for log in logs] == [False, True, True, False, False]
    for name in ("training_history.csv", "predictions.csv"):
        found = [(sweep / str(trial) / name).read_text() for trial in range(1, 5)]
        assert found == [found[-1]] * 4, name
    assert len((sweep / "1" / "training_history.csv").read_text().splitlines()) == EPOCHS + 1


def test_the_documented_script_trains_on_two_nodes_and_goes_on_after_a_preemption(
    small_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (REPOSITORY / "docs" / "slurm.md").read_text()
    script = text.partition("```bash\n")[2].partition("```")[0]
    assert "--nodes=2" in script
    typed = " ".join(f"'{one}'" for one in small(small_root, "data.batch_size=8"))
    script = script.replace("python train.py", f"{sys.executable} train.py")
    script = script.replace("outputs/slurm-$SLURM_JOB_ID", f"{tmp_path}/run {typed}")
    (tmp_path / "train.sh").write_text(script)
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")  # the names of the test's nodes are no names of machines
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    job = slurm("sbatch", "--parsable", f"--chdir={REPOSITORY}", f"--output={tmp_path}/log", str(tmp_path / "train.sh"))
    folder = tmp_path / "run"

    def has_checkpoint() -> bool:
        assert state_of(job) in ("PENDING", "RUNNING"), (tmp_path / "log").read_text()
        return (folder / "checkpoints" / "last.ckpt").is_file()

    until(has_checkpoint, seconds=120)
    take_machine_of(job)
    until(lambda: restarts_of(job), seconds=90)
    until(lambda: start_at_once(job), seconds=60)
    until(lambda: state_of(job) not in ("PENDING", "RUNNING", "COMPLETING"), seconds=240)
    output = (tmp_path / "log").read_text()
    print(output)
    assert state_of(job) == "COMPLETED", output
    assert output.count("MEMBER: 2/2") == 2  # once before, once after
    assert "Going on from" in (folder / "train.log").read_text()
    epochs = [row["epoch"] for row in csv.DictReader((folder / "training_history.csv").open())]
    assert epochs == [str(float(epoch)) for epoch in range(EPOCHS)]
