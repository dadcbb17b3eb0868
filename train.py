"""Fine-tune ECGFounder: compose the configuration, run the experiment, return the figure that a sweep optimises."""

import sys
from typing import cast

import hydra
from omegaconf import DictConfig

from ecgfounder_ft.config import Config, register_schemas
from ecgfounder_ft.errors import run_or_explain

register_schemas()


@hydra.main(config_path="configs", config_name="train", version_base="1.3")
def main(config: DictConfig) -> float | None:
    """Run one experiment; see ``python train.py --help``."""

    def run() -> float | None:
        from ecgfounder_ft.experiment import run_experiment  # imports torch, which a refused configuration never needs

        return run_experiment(cast(Config, config))

    return run_or_explain(run)


if __name__ == "__main__":
    sys.exit(main())
