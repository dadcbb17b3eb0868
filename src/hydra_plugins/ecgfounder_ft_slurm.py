"""Where Hydra looks for launchers. The launcher itself is in ``ecgfounder_ft/sweeps/slurm.py``.

Every Hydra application of the environment imports this file, so it imports next to nothing itself.
"""

from collections.abc import Sequence
from typing import Any

from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


class SlurmLauncher(Launcher):
    """Runs the trials of a sweep as the jobs of a SLURM array; see :mod:`ecgfounder_ft.sweeps.slurm`."""

    def __init__(self, **settings: Any) -> None:
        self.settings = settings

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Called by Hydra before :meth:`launch`."""
        from ecgfounder_ft.errors import run_or_explain
        from ecgfounder_ft.sweeps.slurm import SlurmTrials

        self.trials = run_or_explain(lambda: SlurmTrials(self.settings, hydra_context, task_function, config))

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Run one trial for each list of overrides, and wait for all of them."""
        from ecgfounder_ft.errors import run_or_explain

        trials = self.trials
        assert trials is not None  # without them, setup has ended the process
        return run_or_explain(lambda: trials.launch(job_overrides, initial_job_idx)) or ()
