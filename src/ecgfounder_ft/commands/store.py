"""``ecgfounder-ft store``."""

from pathlib import Path
from typing import Annotated

import typer

from ecgfounder_ft.commands.options import path_option
from ecgfounder_ft.console import say
from ecgfounder_ft.errors import run_or_explain


def store(
    overrides: Annotated[list[str], typer.Argument(help="As for training: data=merged data.max_samples=null ...")],
    jobs: Annotated[int, typer.Option(help="SLURM jobs that do the work, as one array; 0: this machine does it.")] = 0,
    partition: Annotated[str | None, typer.Option(help="SLURM partition of the jobs.")] = None,
    minutes: Annotated[int, typer.Option(help="Time limit of each job.")] = 240,
    output: Annotated[Path, path_option("For the jobs' logs and the list of what was skipped.")] = Path(
        "outputs/store-build"
    ),
) -> None:
    """Preprocess recordings ahead of training, here or on a SLURM cluster; training then finds them ready."""

    def run() -> None:
        from ecgfounder_ft.config.compose import compose_settings
        from ecgfounder_ft.data.gather_and_split import gather_recordings
        from ecgfounder_ft.ecg.preprocessing import Preprocessing
        from ecgfounder_ft.runs.evaluation_folder import EvaluationFolder

        settings = compose_settings(overrides)
        folder = EvaluationFolder(output)
        folder.create()
        executor = None
        if jobs:
            from submitit import AutoExecutor

            executor = AutoExecutor(folder=output / "jobs", cluster="slurm")
            executor.update_parameters(
                timeout_min=minutes, slurm_partition=partition, cpus_per_task=settings.source.workers or 1
            )
        found = gather_recordings(
            settings.source,
            settings.label_map,
            settings.task,
            Preprocessing.of(settings.preprocessing),
            settings.split.seed,
            executor,
            max(jobs, 1),
            settings.split,
        )
        folder.write_skipped(found.skipped)
        found.require_any()
        say(f"{len(found.table)} recordings in {found.signals.folder}, {len(found.skipped)} skipped")

    run_or_explain(run)
