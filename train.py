"""Fine-tune ECGFounder: compose the configuration, run the experiment, return the figure that a sweep optimises."""

import math
import sys
from pathlib import Path
from typing import cast

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from ecgfounder_ft.config.compose import config_folder
from ecgfounder_ft.config.schema import Config, register_schemas
from ecgfounder_ft.errors import run_or_explain
from ecgfounder_ft.training.resume import configuration_of

register_schemas()


@hydra.main(config_path="configs", config_name="train", version_base="1.3")
def main(config: DictConfig) -> float | None:
    """Run one experiment; see ``python train.py --help``."""

    def run() -> float | None:
        chosen = config
        if config.resume is not None:
            chosen = configuration_of(Path(config.resume), HydraConfig.get().overrides.task)
        from ecgfounder_ft.training.experiment import (
            run_experiment,  # imports torch, which a refused configuration never needs
        )

        return run_experiment(cast(Config, chosen))

    figure = run_or_explain(run, exit_on_error=HydraConfig.get().mode is not RunMode.MULTIRUN)
    return math.nan if figure is None else figure  # a search takes NaN for a trial that failed


if __name__ == "__main__":
    if {"-h", "--help"} & set(sys.argv[1:]):
        print((config_folder() / "help.txt").read_text(encoding="utf-8"))  # Hydra's own help takes seconds to compose
        sys.exit()
    sys.exit(main())
