"""Where Hydra looks for sweepers. The sweeper itself is in ``ecgfounder_ft/sweeps/``; Hydra takes none from elsewhere.

Every Hydra application of the environment imports this file, so it imports next to nothing itself.
"""

from typing import Any

from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


class TrialSweeper(Sweeper):
    """Runs the trials that ``sweep=...`` lays out; see :mod:`ecgfounder_ft.sweeps.sweep`."""

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Called by Hydra before :meth:`sweep`."""
        from ecgfounder_ft.sweeps.sweep import Sweep

        self.hydra_context, self.config = hydra_context, config
        self.sweeping = Sweep(hydra_context, task_function, config)
        self.launcher = None

    def sweep(self, arguments: list[str]) -> Any:
        """Run the trials of what was typed."""
        return self.sweeping.run(arguments)
