"""The trials of a sweep as jobs of a SLURM array: all are waited for, and one that is lost is lost alone."""

import logging
import math
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, JobStatus, filter_overrides
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf, open_dict

from ecgfounder_ft.errors import ExplainedError, how_to_install
from ecgfounder_ft.runs.folder import RunFolder

if TYPE_CHECKING:
    from submitit import Job

log = logging.getLogger(__name__)

_SECONDS_BETWEEN_LOOKS = 5
_LOOKS_BEFORE_LOST = 3
"""How often in a row a job has to be found ended without a result: shared folders show files late."""
_ENDED = frozenset(
    {"CANCELLED", "COMPLETED", "FAILED", "TIMEOUT", "NODE_FAIL", "OUT_OF_MEMORY", "BOOT_FAIL", "DEADLINE", "PREEMPTED"}
)
_GONE = "GONE"
"""What SLURM has forgotten."""


class MissingSubmititError(ExplainedError):
    """What talks to SLURM is not installed."""


class SubmissionError(ExplainedError):
    """Jobs that SLURM does not take; the message has its words."""


def is_requeued() -> bool:
    """Whether this process is a job that SLURM has started before: it was preempted, its node failed, or it ran out
    of time."""
    return int(os.environ.get("SLURM_RESTART_COUNT", "0")) > 0


class SlurmTrials:
    """Submits trials and waits for them.

    The launcher of hydra-submitit-launcher makes the jobs. It does not collect them: it stops waiting at the first that
    was cancelled, so that no table is written, and without SLURM's accounting waits for that one for ever.

    Args:
        settings: of ``hydra/launcher=submitit_slurm``.
        hydra_context: Hydra's.
        task_function: what a trial runs.
        config: of the sweep.

    Raises:
        MissingSubmititError: if hydra-submitit-launcher is not installed.
    """

    def __init__(
        self, settings: Mapping[str, Any], hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        try:
            from hydra_plugins.hydra_submitit_launcher.submitit_launcher import SlurmLauncher
        except ImportError as error:
            raise MissingSubmititError(
                f"hydra/launcher=submitit_slurm needs hydra-submitit-launcher: {how_to_install('slurm')}"
            ) from error
        self.settings: dict[str, Any] = {
            name: OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value
            for name, value in settings.items()
        }
        # submitit would write --requeue=False, which sbatch refuses
        options = self.settings.get("additional_parameters") or {}
        self.settings["additional_parameters"] = {name: value for name, value in options.items() if value is not False}
        self.context, self.config = hydra_context, config
        launcher = SlurmLauncher(**settings)
        launcher.setup(hydra_context=hydra_context, task_function=task_function, config=config)
        self.trial = TrialInJob(launcher)

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> list[JobReturn]:
        """Run one trial for each list of overrides; one that failed or was lost returns NaN, and its folder says why.

        Raises:
            SubmissionError: if SLURM does not take the jobs.
        """
        Path(self.config.hydra.sweep.dir).mkdir(parents=True, exist_ok=True)
        numbers = range(initial_job_idx, initial_job_idx + len(job_overrides))
        names = [_folder_name(overrides, number) for overrides, number in zip(job_overrides, numbers, strict=True)]
        for name, own in zip(names, _without_what_all_share(job_overrides), strict=True):
            log.info("Trial %s: %s", name, " ".join(own))
        jobs = self._submit(job_overrides, numbers)
        array = jobs[0].job_id.partition("_")[0]
        log.info("SLURM job %s: %d trial(s); `scancel %s` ends them", array, len(jobs), array)
        lost = wait_for(dict(zip(names, jobs, strict=True)), array)
        returned = []
        for name, number, overrides, job in zip(names, numbers, job_overrides, jobs, strict=True):
            reason = lost.get(name) or _failure(job)
            returned.append(self._lost(overrides, number, name, reason) if reason else _result(job, name))
        return returned

    def _submit(self, job_overrides: Sequence[Sequence[str]], numbers: Sequence[int]) -> "list[Job[JobReturn]]":
        import submitit
        from hydra_plugins.hydra_submitit_launcher.config import BaseQueueConf

        settings = dict(self.settings)
        common = OmegaConf.structured(BaseQueueConf).keys()
        try:
            executor = submitit.AutoExecutor(
                folder=settings.pop("submitit_folder"),
                cluster="slurm",
                slurm_max_num_timeout=settings.pop("max_num_timeout"),
            )
            executor.update_parameters(
                **{name if name in common else f"slurm_{name}": value for name, value in settings.items()}
            )
            return executor.map_array(
                self.trial,
                [list(overrides) for overrides in job_overrides],
                ["hydra.sweep.dir"] * len(numbers),
                list(numbers),
                [f"job_id_for_{number}" for number in numbers],
                [Singleton.get_state()] * len(numbers),
            )
        except RuntimeError as error:  # submitit's own: without srun, and where sbatch refuses
            raise SubmissionError(f"SLURM did not take the trials: {str(error).strip()}") from error

    def _lost(self, overrides: Sequence[str], number: int, name: str, reason: str) -> JobReturn:
        config = self.context.config_loader.load_sweep_config(self.config, list(overrides))
        with open_dict(config.hydra.job):
            config.hydra.job.num = number
        folder = RunFolder(Path(config.hydra.sweep.dir) / str(config.hydra.sweep.subdir))
        status = folder.read_status()
        found = JobReturn(overrides=list(overrides), status=JobStatus.COMPLETED)
        found.return_value = math.nan
        if status.get("state") == "finished":
            log.warning("Trial %s is finished; afterwards, %s", name, reason)
            found.return_value = status.get("optimized_metric", {}).get("value", math.nan)
        else:
            folder.write_lost(reason, overrides)
            log.error("Trial %s: %s", name, reason)
        return found


class TrialInJob:
    """What a job runs.

    SIGTERM, by which SLURM tells of a preemption, ends the trial, and SLURM puts the job back into the queue; submitit
    by itself would let the signal pass. Ahead of a time limit submitit is told by SIGUSR2, and puts the job back.

    Args:
        launcher: of hydra-submitit-launcher, which composes the trial and runs it.
    """

    def __init__(self, launcher: Callable[..., JobReturn]) -> None:
        self.launcher = launcher

    def __call__(self, *arguments: Any) -> JobReturn:
        """Run the trial."""
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        return self.launcher(*arguments)

    def checkpoint(self, *arguments: Any) -> Any:
        """What submitit runs when the job starts again: the same."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self, *arguments)


def _folder_name(overrides: Sequence[str], number: int) -> str:
    """Of a trial, as a sweeper gives it, or Hydra."""
    given = [one.partition("=")[2] for one in overrides if one.startswith("hydra.sweep.subdir=")]
    return given[-1].strip("'\"") if given else str(number)


def _without_what_all_share(job_overrides: Sequence[Sequence[str]]) -> list[list[str]]:
    """The overrides of each trial that some other trial does not have; all of them for a single trial."""
    own = [filter_overrides(overrides) for overrides in job_overrides]
    shared = set.intersection(*map(set, own)) if len(own) > 1 else set()
    return [[one for one in overrides if one not in shared] for overrides in own]


def _failure(job: "Job[JobReturn]") -> str:
    """Why a job that is over has no result of a trial; empty where it has one."""
    error = job.exception()
    if error is None:
        return ""
    lines = [line.strip() for line in str(error).splitlines() if line.strip(" -")]
    return f"SLURM job {job.job_id} failed: {lines[-1] if lines else error}; see {job.paths.stderr}"


def _result(job: "Job[JobReturn]", name: str) -> JobReturn:
    """What a trial returned; NaN where it failed, so that the others' results are still looked at."""
    found = job.result()
    if found.status == JobStatus.FAILED:
        log.error("Trial %s failed: %r; see %s", name, found._return_value, job.paths.stderr)
        found.status, found.return_value = JobStatus.COMPLETED, math.nan
    return found


def wait_for(jobs: "Mapping[str, Job[Any]]", array: str) -> dict[str, str]:
    """Wait until every job has left its result, or is over without one.

    Args:
        jobs: by the trial's name.
        array: SLURM's number of the array that they belong to.

    Returns:
        Name to what is known of a job that left no result.
    """
    lost: dict[str, str] = {}
    shown: dict[str, str] = {}
    without = dict.fromkeys(jobs, 0)
    while without:
        states = job_states(array)
        for name in list(without):
            job = jobs[name]
            job.paths.folder.stat()
            if job.paths.result_pickle.exists():
                log.info("Trial %s is over", name)
                del without[name]
                continue
            state = "UNKNOWN" if states is None else states.get(job.job_id, _GONE)
            if state != shown.get(name) and state not in (_GONE, "UNKNOWN"):
                shown[name] = state
                log.info("Trial %s (SLURM job %s): %s", name, job.job_id, state.lower())
            without[name] = without[name] + 1 if state in _ENDED or state == _GONE else 0
            if without[name] >= _LOOKS_BEFORE_LOST:
                last = shown.get(name, "one that SLURM has forgotten")
                lost[name] = f"SLURM job {job.job_id} ended as {last}, without a result; see {job.paths.stderr}"
                del without[name]
        if without:
            time.sleep(_SECONDS_BETWEEN_LOOKS)
    return lost


def job_states(array: str) -> dict[str, str] | None:
    """Job to its state, such as RUNNING, for the jobs of an array that SLURM remembers; None where it does not answer.

    From squeue, which every SLURM answers; sacct needs accounting.
    """
    command = ["squeue", "--noheader", "--states=all", "--array", "--format=%i %T", f"--jobs={array}"]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    if found.returncode:
        return {} if "Invalid job id" in found.stderr else None
    return dict(line.split(maxsplit=1) for line in found.stdout.splitlines() if line.strip())
