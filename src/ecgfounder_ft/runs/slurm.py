"""The trials of a sweep as jobs of a SLURM array: all are waited for, and one that is lost is lost alone."""

import logging
import math
import os
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, JobStatus, filter_overrides
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf, open_dict

from ecgfounder_ft.errors import ExplainedError
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
                'hydra/launcher=submitit_slurm needs hydra-submitit-launcher: pip install "ecgfounder-ft[slurm]"'
            ) from error
        self.settings: dict[str, Any] = {
            name: OmegaConf.to_container(value) if OmegaConf.is_config(value) else value
            for name, value in settings.items()
        }
        self.context, self.config = hydra_context, config
        self.trial = SlurmLauncher(**settings)
        self.trial.setup(hydra_context=hydra_context, task_function=task_function, config=config)

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> list[JobReturn]:
        """Run one trial for each list of overrides; a lost one returns NaN, and its folder says what became of it."""
        Path(self.config.hydra.sweep.dir).mkdir(parents=True, exist_ok=True)
        numbers = range(initial_job_idx, initial_job_idx + len(job_overrides))
        for number, overrides in zip(numbers, job_overrides, strict=True):
            log.info("Trial %d: %s", number, " ".join(filter_overrides(overrides)))
        jobs = self._submit(job_overrides, numbers)
        array = jobs[0].job_id.partition("_")[0]
        log.info("SLURM array %s: %d trial(s); logs in %s", array, len(jobs), jobs[0].paths.folder)
        lost = wait_for(dict(zip(numbers, jobs, strict=True)), array)
        return [
            self._lost(overrides, number, lost[number]) if number in lost else job.result()
            for number, overrides, job in zip(numbers, job_overrides, jobs, strict=True)
        ]

    def _submit(self, job_overrides: Sequence[Sequence[str]], numbers: Sequence[int]) -> "list[Job[JobReturn]]":
        import submitit
        from hydra_plugins.hydra_submitit_launcher.config import BaseQueueConf

        settings = dict(self.settings)
        executor = submitit.AutoExecutor(
            folder=settings.pop("submitit_folder"),
            cluster="slurm",
            slurm_max_num_timeout=settings.pop("max_num_timeout"),
        )
        common = OmegaConf.structured(BaseQueueConf).keys()
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

    def _lost(self, overrides: Sequence[str], number: int, reason: str) -> JobReturn:
        config = self.context.config_loader.load_sweep_config(self.config, list(overrides))
        with open_dict(config.hydra.job):
            config.hydra.job.num = number
        folder = RunFolder(Path(config.hydra.sweep.dir) / str(config.hydra.sweep.subdir))
        folder.write_lost(reason, overrides)
        log.error("Trial %d is lost: %s", number, reason)
        found = JobReturn(overrides=list(overrides), status=JobStatus.COMPLETED)
        found.return_value = math.nan
        return found


def wait_for(jobs: "Mapping[int, Job[Any]]", array: str) -> dict[int, str]:
    """Wait until every job has left its result, or is over without one.

    Args:
        jobs: by number.
        array: SLURM's number of the array that they belong to.

    Returns:
        Number to what is known of a job that left no result.
    """
    lost: dict[int, str] = {}
    shown: dict[int, str] = {}
    without = dict.fromkeys(jobs, 0)
    while without:
        states = job_states(array)
        for number in list(without):
            job = jobs[number]
            job.paths.folder.stat()
            if job.paths.result_pickle.exists():
                log.info("Trial %d is over", number)
                del without[number]
                continue
            state = "UNKNOWN" if states is None else states.get(job.job_id, _GONE)
            if state != shown.get(number) and state not in (_GONE, "UNKNOWN"):
                shown[number] = state
                log.info("Trial %d (SLURM job %s): %s", number, job.job_id, state.lower())
            without[number] = without[number] + 1 if state in _ENDED or state == _GONE else 0
            if without[number] >= _LOOKS_BEFORE_LOST:
                last = state if state != _GONE else shown.get(number, _GONE)
                lost[number] = f"SLURM job {job.job_id} ended as {last}, without a result; see {job.paths.stderr}"
                del without[number]
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
