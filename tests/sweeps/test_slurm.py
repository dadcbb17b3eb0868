"""Trials as jobs of SLURM, without one: what its commands answer, and what becomes of each job."""

import math
import os
import signal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.utils import JobReturn, JobStatus
from hydra.errors import HydraException
from omegaconf import OmegaConf

from ecgfounder_ft.config.compose import config_folder, register_configurations
from ecgfounder_ft.files import write_json
from ecgfounder_ft.runs.folder import RunFolder
from ecgfounder_ft.sweeps import slurm
from ecgfounder_ft.sweeps.slurm import SlurmTrials, TrialInJob, is_requeued, job_states, wait_for
from hydra_plugins.ecgfounder_ft_slurm import SlurmLauncher


class FakeJob:
    """A job of submitit; ``outcome`` is what it returned, or an error, or None where it left nothing."""

    def __init__(self, folder: Path, number: int, outcome: JobReturn | Exception | None) -> None:
        self.job_id, self.outcome = f"7_{number}", outcome
        self.paths = SimpleNamespace(
            folder=folder, result_pickle=folder / f"{number}.pkl", stderr=folder / f"{number}.err"
        )
        if outcome is not None:
            self.paths.result_pickle.touch()

    def exception(self) -> Exception | None:
        return self.outcome if isinstance(self.outcome, Exception) else None

    def result(self) -> Any:
        return self.outcome


def returned(value: Any, status: JobStatus = JobStatus.COMPLETED) -> JobReturn:
    found = JobReturn(status=status)
    found.return_value = value
    return found


def answers(monkeypatch: pytest.MonkeyPatch, *looks: dict[str, str] | None) -> list[float]:
    """Let squeue answer with ``looks`` one after the other, the last for ever; returns the waits between them."""
    found, waits = list(looks), list[float]()
    monkeypatch.setattr(slurm, "job_states", lambda _: found.pop(0) if len(found) > 1 else found[0])
    monkeypatch.setattr("time.sleep", waits.append)
    return waits


def test_a_cancelled_job_is_given_up_and_the_others_are_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = {str(number): FakeJob(tmp_path, number, None) for number in range(2)}
    running = {"7_0": "CANCELLED", "7_1": "RUNNING"}
    waits = answers(monkeypatch, running)

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 10:
            jobs["1"].paths.result_pickle.touch()

    monkeypatch.setattr("time.sleep", sleep)
    lost = wait_for(jobs, "7")  # type: ignore[arg-type]
    assert list(lost) == ["0"]
    assert lost["0"].startswith("SLURM job 7_0 ended as CANCELLED")
    assert str(tmp_path / "0.err") in lost["0"]
    assert len(waits) == 10


def test_a_job_that_is_requeued_or_not_told_of_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job = FakeJob(tmp_path, 0, None)
    looks: list[dict[str, str] | None] = [{"7_0": state} for state in ("RUNNING", "PREEMPTED", "PREEMPTED", "PENDING")]
    looks += [None] * 5  # no answer
    looks += [{"7_0": "RUNNING"}]
    waits = answers(monkeypatch, *looks)

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 20:
            job.paths.result_pickle.touch()

    monkeypatch.setattr("time.sleep", sleep)
    assert wait_for({"0": job}, "7") == {}  # type: ignore[dict-item]


def test_a_job_that_slurm_has_forgotten_is_lost_by_its_last_state(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers(monkeypatch, {"7_0": "RUNNING"}, {})
    lost = wait_for({"0": FakeJob(tmp_path, 0, None)}, "7")  # type: ignore[dict-item]
    assert "ended as RUNNING, without a result" in lost["0"]


def squeue(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """Put a command of this name before all others."""
    command = folder / "squeue"
    command.write_text(f"#!/bin/sh\n{script}\n")
    command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")


def test_states_are_read_from_squeue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    squeue(tmp_path, monkeypatch, 'echo "$@" >&2; echo "7_0 RUNNING"; echo; echo "7_1 PENDING"')
    assert job_states("7") == {"7_0": "RUNNING", "7_1": "PENDING"}
    squeue(tmp_path, monkeypatch, "echo 'slurm_load_jobs error: Invalid job id specified' >&2; exit 1")
    assert job_states("7") == {}
    squeue(tmp_path, monkeypatch, "echo 'slurm_load_jobs error: Unable to contact slurm controller' >&2; exit 1")
    assert job_states("7") is None


@pytest.fixture
def trials(tmp_path: Path) -> SlurmTrials:
    """Of a sweep in ``tmp_path``, whose launcher composes each trial from overrides of Hydra's own part."""
    pytest.importorskip("hydra_plugins.hydra_submitit_launcher", reason="the extra `slurm` is not installed")
    config = OmegaConf.create({"hydra": {"job": {"num": None}, "sweep": {"dir": str(tmp_path)}}})
    config.hydra.sweep.subdir = "${hydra.job.num}"

    def compose(config: Any, overrides: list[str]) -> Any:
        own = [one for one in overrides if one.startswith("hydra.")]
        return OmegaConf.merge(config, OmegaConf.from_dotlist(own))

    context: Any = SimpleNamespace(config_loader=SimpleNamespace(load_sweep_config=compose))
    settings = {"submitit_folder": str(tmp_path), "max_num_timeout": 1}
    return SlurmTrials(settings, context, lambda _: None, config)


def test_an_option_of_sbatch_that_is_false_is_left_out(trials: SlurmTrials) -> None:
    settings = {**trials.settings, "additional_parameters": {"requeue": False, "mail-type": "END", "exclusive": True}}
    found = SlurmTrials(settings, trials.context, lambda _: None, trials.config)
    assert found.settings["additional_parameters"] == {"mail-type": "END", "exclusive": True}


@pytest.mark.parametrize(("count", "requeued"), [(None, False), ("0", False), ("2", True)])
def test_a_process_knows_that_its_job_was_requeued(
    count: str | None, requeued: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SLURM_RESTART_COUNT", raising=False)
    if count is not None:
        monkeypatch.setenv("SLURM_RESTART_COUNT", count)
    assert is_requeued() is requeued


def test_every_trial_has_an_outcome_and_lost_ones_are_written_down(
    trials: SlurmTrials, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    outcomes = [
        returned(0.5),
        returned(OSError("disk"), JobStatus.FAILED),
        RuntimeError("Job failed:\n------\nTraceback\nUncompletedJobError: timed-out too many times.\n-----"),
        None,  # killed by hand
        None,  # the same, when it was done
    ]
    jobs = [FakeJob(tmp_path, number, outcome) for number, outcome in enumerate(outcomes)]
    monkeypatch.setattr(SlurmTrials, "_submit", lambda *_: jobs)
    answers(monkeypatch, {"7_3": "CANCELLED", "7_4": "OUT_OF_MEMORY"})
    (tmp_path / "mine").mkdir()
    write_json(tmp_path / "mine" / "status.json", {"state": "finished", "optimized_metric": {"value": 0.75}})
    (tmp_path / "3").mkdir()
    write_json(tmp_path / "3" / "status.json", {"state": "running", "started": "then"})
    overrides = [["seed=1", f"optimizer.lr={number}"] for number in range(5)]
    overrides[4].append("hydra.sweep.subdir='mine'")
    found = [job.return_value for job in trials.launch(overrides, initial_job_idx=0)]
    assert found[0] == 0.5
    assert all(math.isnan(value) for value in found[1:4])
    assert found[4] == 0.75
    status = RunFolder(tmp_path / "2").read_status()
    assert (status["state"], status["error"].split(":")[0]) == ("failed", "SLURM job 7_2 failed")
    assert "timed-out too many times." in status["error"]
    assert RunFolder(tmp_path / "2").overrides() == ["seed=1", "optimizer.lr=2"]
    status = RunFolder(tmp_path / "3").read_status()
    assert (status["state"], status["started"]) == ("failed", "then")
    assert RunFolder(tmp_path / "mine").read_status()["state"] == "finished"
    assert "Trial mine: optimizer.lr=4\n" in caplog.text
    assert "OSError('disk')" in caplog.text


def test_a_preemption_ends_a_trial_that_submitit_would_let_go_on(trials: SlurmTrials) -> None:
    result = returned(1.0)
    found = []

    def launcher(*arguments: Any) -> JobReturn:
        found.append((arguments, signal.getsignal(signal.SIGTERM)))
        return result

    before = signal.getsignal(signal.SIGTERM)
    signal.signal(signal.SIGTERM, lambda *_: None)  # submitit's
    try:
        trial = TrialInJob(launcher)
        assert trial("a", 1) is result
        again = trial.checkpoint("a", 1)
        assert again.function(*again.args) is result
    finally:
        signal.signal(signal.SIGTERM, before)
    assert found == [(("a", 1), signal.SIG_DFL)] * 2


def test_without_slurm_a_sweep_says_so_before_anything_runs(
    trials: SlurmTrials, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    launcher = SlurmLauncher(**trials.settings)
    launcher.setup(hydra_context=trials.context, task_function=lambda _: None, config=trials.config)
    with pytest.raises(SystemExit) as end:
        launcher.launch([["seed=1"], ["seed=2"]], initial_job_idx=0)
    assert end.value.code == 2
    assert 'Submission: SLURM did not take the trials: Could not detect "srun"' in capsys.readouterr().err
    assert not (tmp_path / "0").exists()


def test_the_launcher_that_hydra_calls_submitit_slurm_is_this_one_and_refuses_what_it_does_not_know() -> None:
    register_configurations()
    with initialize_config_dir(str(config_folder()), version_base="1.3"):
        chosen = ["hydra/launcher=submitit_slurm", "hydra.launcher.partition=gpu"]
        config = compose("train", overrides=chosen, return_hydra_config=True)
        assert config.hydra.launcher._target_ == "hydra_plugins.ecgfounder_ft_slurm.SlurmLauncher"
        assert config.hydra.launcher.partition == "gpu"
        assert config.hydra.launcher.additional_parameters.requeue is True
        with pytest.raises(HydraException, match="partitoin"):
            compose("train", overrides=["hydra/launcher=submitit_slurm", "hydra.launcher.partitoin=gpu"])
