"""``ecgfounder-ft``: every command. Each imports what it needs when it runs."""

import logging
import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.logging import RichHandler

from ecgfounder_ft import __version__
from ecgfounder_ft.errors import run_or_explain
from ecgfounder_ft.memory import keep_freed_memory

app = typer.Typer(
    name="ecgfounder-ft",
    help="Fine-tune ECGFounder, prepare data for it and work with its results.",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
)


class Dataset(StrEnum):
    """Datasets that a catalog can be built of."""

    MIMIC_IV_ECG = "mimic-iv-ecg"
    PHYSIONET_2021 = "physionet2021"


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _main(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    if context.invoked_subcommand == "train":  # whose log is the configuration's to set up
        return
    handler = RichHandler(show_path=False, rich_tracebacks=False, log_time_format="%H:%M:%S")
    logging.basicConfig(level=logging.INFO, format="%(message)s", handlers=[handler])


@app.command(
    add_help_option=False,
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
    options_metavar="",
)
def train(context: typer.Context) -> None:
    """Fine-tune: group=choice key=value ...; `ecgfounder-ft train --help` lists them."""
    from ecgfounder_ft.train import main_of_command

    main_of_command(context.args)


@app.command()
def simulate(
    folder: Annotated[Path, typer.Argument(help="The folders of the two datasets are made in it.")],
    recordings: Annotated[int, typer.Option(help="Recordings a condition, in both datasets together.")] = 100,
    seed: Annotated[int, typer.Option(help="The same seed gives the same files.")] = 0,
    labels: Annotated[str, typer.Option(help="Label map: a file of configs/labels, by its name.")] = "six_conditions",
) -> None:
    """Write simulated recordings in the folder layout of both datasets."""

    def run() -> None:
        from ecgfounder_ft.config.compose import load_label_map
        from ecgfounder_ft.data.sources.simulated import write_selected_folders

        mimic, physionet = write_selected_folders(folder, load_label_map(labels), recordings, seed)
        typer.echo(f'python train.py data.mimic_path="{mimic}" data.physionet_path="{physionet}"')

    run_or_explain(run)


@app.command()
def download(
    model: Annotated[str, typer.Argument(help="12lead or 1lead.")] = "12lead",
    folder: Annotated[Path, typer.Option(help="Where the file goes.")] = Path("checkpoint"),
) -> None:
    """Download a published ECGFounder checkpoint and check it."""

    def run() -> None:
        from ecgfounder_ft.model.ecgfounder.weights import PUBLISHED, WeightsError, find_weights

        names = {f"{checkpoint.leads}lead": name for name, checkpoint in PUBLISHED.items()}
        if model not in names:
            raise WeightsError(f"model '{model}': expected one of {', '.join(names)}")
        folder.mkdir(parents=True, exist_ok=True)
        typer.echo(f"{find_weights(names[model], folder)} is in place")

    run_or_explain(run)


@app.command()
def catalog(
    dataset: Annotated[Dataset, typer.Argument(help="Which dataset.")],
    root: Annotated[Path, typer.Argument(help="Its folder, as downloaded from PhysioNet.")],
    output: Annotated[Path, typer.Option(help="Folder of the catalogs.")] = Path("outputs/catalogs"),
    labels: Annotated[str, typer.Option(help="Label map: a file of configs/labels, by its name.")] = "six_conditions",
    ptbxl_database: Annotated[
        Path | None, typer.Option(help="PTB-XL's ptbxl_database.csv, for patients and folds of its recordings.")
    ] = None,
    report: Annotated[bool, typer.Option(help="Also draw distributions and example recordings.")] = False,
) -> None:
    """List a dataset's recordings with their labels, and the evidence for each, in one Parquet table."""

    def run() -> None:
        from ecgfounder_ft.config.compose import load_label_map
        from ecgfounder_ft.data.catalog import describe_counts
        from ecgfounder_ft.data.sources.source import mimic_iv_ecg_catalog, physionet2021_catalog

        label_map = load_label_map(labels)
        if dataset is Dataset.MIMIC_IV_ECG:
            found = mimic_iv_ecg_catalog(root, label_map, output)
        else:
            found = physionet2021_catalog(root, label_map, output, ptbxl_database)
        name = dataset.value.replace("-", "_")
        typer.echo(describe_counts(found.table, label_map))
        for note in found.notes:
            typer.echo(note)
        if len(found.skipped):
            typer.echo(f"{len(found.skipped)} skipped: {found.skipped['reason'].value_counts().to_dict()}")
        typer.echo(f"{len(found)} recordings in {output / name}.parquet")
        if report:
            from ecgfounder_ft.report.catalog_report import write_catalog_report

            typer.echo(f"report: {write_catalog_report(found, label_map, output / f'{name}-report')}")

    run_or_explain(run)


@app.command()
def store(
    overrides: Annotated[list[str], typer.Argument(help="As for train.py: data=merged data.max_samples=null ...")],
    jobs: Annotated[int, typer.Option(help="SLURM jobs that do the work, as one array; 0: this machine does it.")] = 0,
    partition: Annotated[str | None, typer.Option(help="SLURM partition of the jobs.")] = None,
    minutes: Annotated[int, typer.Option(help="Time limit of each job.")] = 240,
    output: Annotated[Path, typer.Option(help="For the jobs' logs and the list of what was skipped.")] = Path(
        "outputs/store-build"
    ),
) -> None:
    """Preprocess recordings ahead of training, here or on a SLURM cluster; train.py then finds them ready."""

    def run() -> None:
        from ecgfounder_ft.config.compose import compose_config, typed
        from ecgfounder_ft.data.gather_and_split import gather_recordings
        from ecgfounder_ft.ecg.preprocessing import Preprocessing
        from ecgfounder_ft.labels import LabelMap

        config = compose_config(overrides)
        label_map = typed(LabelMap, config.labels)
        preprocessing = typed(Preprocessing, config.preprocessing)
        output.mkdir(parents=True, exist_ok=True)
        executor = None
        if jobs:
            from submitit import AutoExecutor

            executor = AutoExecutor(folder=output / "jobs", cluster="slurm")
            executor.update_parameters(
                timeout_min=minutes, slurm_partition=partition, cpus_per_task=config.data.workers or 1
            )
        found = gather_recordings(
            config.data, label_map, config.task.name, preprocessing, config.seed, output, executor, max(jobs, 1)
        )
        typer.echo(f"{len(found.table)} recordings in {found.signals.folder}, {len(found.skipped)} skipped")

    run_or_explain(run)


@app.command()
def draw(
    recording: Annotated[Path, typer.Argument(help="A WFDB header (.hea).")],
    output: Annotated[Path | None, typer.Option(help="The picture; beside the current folder by default.")] = None,
) -> None:
    """Draw a recording on ECG paper, 25 mm/s and 10 mm/mV."""

    def run() -> None:
        from ecgfounder_ft.ecg.formats.wfdb import read_recording
        from ecgfounder_ft.ecg.paper import draw_recording

        found = read_recording(recording)
        target = output or Path(f"{found.name}.png")
        draw_recording(found, title=found.name).savefig(target, dpi=150)
        typer.echo(str(target))

    run_or_explain(run)


@app.command()
def predict(
    model: Annotated[Path, typer.Argument(help="A run's folder, its model.pth, or a checkpoint of it.")],
    recordings: Annotated[list[Path], typer.Argument(help="WFDB headers (.hea), or folders of them.")],
    output: Annotated[Path, typer.Option(help="The table of predictions.")] = Path("predictions.csv"),
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    bf16: Annotated[bool, typer.Option("--bf16", help="Compute in bfloat16: faster, less exact.")] = False,
    workers: Annotated[
        int | None, typer.Option(help="Processes that read and filter; default: one a core beside a GPU, else 0.")
    ] = None,
) -> None:
    """Predict recordings as they are stored; leads, rate and filters are the model's own affair."""

    def run() -> None:
        from ecgfounder_ft.inference.predict import load_model, predict_files

        keep_freed_memory()
        paths = [file for path in recordings for file in (sorted(path.rglob("*.hea")) if path.is_dir() else [path])]
        loaded = load_model(model, device, bf16)
        readers = workers if workers is not None else (os.cpu_count() or 1) if loaded.device.type == "cuda" else 0
        predictions, skipped = predict_files(loaded, paths, workers=readers, progress=True)
        predictions.to_csv(output, index=False, float_format="%.6f")
        for row in skipped.itertuples():
            typer.echo(f"skipped {row.path}: {row.reason}: {row.detail}", err=True)
        typer.echo(f"{len(predictions)} recordings in {output}, {len(skipped)} skipped")

    run_or_explain(run)


@app.command()
def evaluate(
    run_folder: Annotated[Path, typer.Argument(metavar="RUN", help="The folder of a finished run.")],
    overrides: Annotated[
        list[str] | None,
        typer.Argument(help="Other recordings to judge it by, as for train.py: data=physionet2021 data.root=..."),
    ] = None,
    by: Annotated[str | None, typer.Option(help="Subgroups: source,constituent,sex,age,condition,signal.")] = None,
    calibration: Annotated[str | None, typer.Option(help="Fit anew: none, temperature or platt.")] = None,
    thresholds: Annotated[str | None, typer.Option(help="Choose anew: fixed, f1, youden or sensitivity.")] = None,
    sensitivity: Annotated[
        float | None, typer.Option(help="The least one wished, for --thresholds sensitivity.")
    ] = None,
    resamples: Annotated[int, typer.Option(help="Bootstrap resamples of patients; 0: no intervals.")] = 1000,
    attribution: Annotated[bool, typer.Option(help="Show what decisions rest on.")] = True,
    challenge_2021: Annotated[
        Path | None, typer.Option("--challenge-2021", help="Also write files for the Challenge's own scorer into it.")
    ] = None,
    output: Annotated[Path | None, typer.Option(help="Folder for the results on other recordings.")] = None,
    device: Annotated[str, typer.Option(help="For other recordings: auto, cpu or cuda.")] = "auto",
    bf16: Annotated[bool, typer.Option("--bf16", help="For other recordings: compute in bfloat16.")] = False,
) -> None:
    """Evaluate a finished run: figures with intervals, calibration, subgroups, report.html."""

    def run() -> None:
        from ecgfounder_ft.inference.predict import load_model
        from ecgfounder_ft.runs.evaluate_elsewhere import evaluate_elsewhere
        from ecgfounder_ft.runs.evaluation import BY, EvaluationSettings
        from ecgfounder_ft.runs.report import REPORT_FILE, ReportOptions, report_run, write_scorer_files

        settings = EvaluationSettings(
            calibration=calibration or "temperature",
            thresholds=thresholds or "f1",
            sensitivity=sensitivity,
            by=BY if by is None else tuple(by.split(",")),
            resamples=resamples,
        )
        options = ReportOptions(attribution=attribution)
        target = run_folder
        if overrides:
            target = output or run_folder / "evaluations" / "-".join(overrides[0].split("/")).replace("=", "-")
            keep_freed_memory()
            model = load_model(run_folder, device, bf16)
            evaluated = evaluate_elsewhere(run_folder, model, overrides, target, settings, options)
        else:
            refit = calibration is not None or thresholds is not None
            evaluated, _ = report_run(run_folder, settings, options, refit=refit)
        if challenge_2021 is not None:
            typer.echo(write_scorer_files(run_folder, evaluated, challenge_2021))
        macro = evaluated.evaluation.macro["auroc"]
        value = "undefined" if macro.value is None else f"{macro.value:.3f}"
        typer.echo(f"{evaluated.evaluation.n} recordings, macro AUROC {value}; report: {target / REPORT_FILE}")

    run_or_explain(run)


@app.command()
def compare(
    runs: Annotated[
        list[Path], typer.Argument(help="Folders of runs with the same test recordings, the first as reference.")
    ],
    sort_by: Annotated[str, typer.Option(help="The macro figure that orders the table.")] = "auroc",
    resamples: Annotated[int, typer.Option(help="Bootstrap resamples of patients.")] = 1000,
    output: Annotated[Path, typer.Option(help="The page; a CSV stands beside it.")] = Path("comparison.html"),
) -> None:
    """Set runs side by side: paired differences with intervals, McNemar tests."""

    def run() -> None:
        import time

        from ecgfounder_ft.report.page import write_comparison
        from ecgfounder_ft.runs.evaluation import EvaluationSettings, compare_runs, comparison_table

        comparison = compare_runs(runs, EvaluationSettings(resamples=resamples), sort_by=sort_by)
        table = comparison_table(comparison)
        table.to_csv(output.with_suffix(".csv"), index=False)
        write_comparison(comparison, output, title="Comparison of runs", created=time.strftime("%Y-%m-%d %H:%M"))
        shown = ["run", "recordings", f"macro_{sort_by}", "difference_value", "difference_low", "difference_high"]
        typer.echo(table[shown].to_string(index=False, float_format=lambda value: f"{value:.3f}", na_rep="-"))
        typer.echo(f"{output} and {output.with_suffix('.csv')}")

    run_or_explain(run)


if __name__ == "__main__":
    app()
