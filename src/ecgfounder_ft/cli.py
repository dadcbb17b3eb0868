"""``ecgfounder-ft``: every command. Each imports what it needs when it runs."""

import logging
import os
from pathlib import Path
from typing import Annotated

import typer
from rich.logging import RichHandler

from ecgfounder_ft import __version__
from ecgfounder_ft.errors import ExitCode, ExplainedError, run_or_explain
from ecgfounder_ft.memory import keep_freed_memory

app = typer.Typer(
    name="ecgfounder-ft",
    help="Fine-tune ECGFounder, prepare data for it and work with its results.",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
)


TRUST = Annotated[
    list[str] | None,
    typer.Option(help="Dotted name of a network of your own that the model may be of; may be given several times."),
]


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
    recordings: Annotated[int, typer.Option(min=2, help="Recordings per condition, in both datasets together.")] = 100,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same files.")] = 0,
    labels: Annotated[str, typer.Option(help="Label map: a file of configs/labels, by its name.")] = "six_conditions",
    hospital: Annotated[
        str, typer.Option(help="textbook, shifted or everyday: whom and with what it records.")
    ] = "textbook",
    wrong_labels: Annotated[
        float, typer.Option(min=0, max=1, help="Share of recordings with another condition stated.")
    ] = 0.0,
) -> None:
    """Write simulated recordings in the folder layout of both datasets."""

    def run() -> None:
        from ecgfounder_ft.config.compose import load_label_map
        from ecgfounder_ft.data.sources.simulated import write_selected_folders
        from ecgfounder_ft.ecg.simulator.hospital import hospital_named

        try:
            hospital_named(hospital)
        except ValueError as error:
            raise ExplainedError(str(error)) from error
        mimic, physionet = write_selected_folders(
            folder, load_label_map(labels), recordings, seed, hospital, wrong_labels
        )
        typer.echo(f'ecgfounder-ft train data.mimic_path="{mimic}" data.physionet_path="{physionet}"')

    run_or_explain(run)


@app.command()
def download(
    model: Annotated[str, typer.Argument(help="12lead or 1lead.")] = "12lead",
    folder: Annotated[Path, typer.Option(help="Where the file goes.")] = Path("checkpoint"),
) -> None:
    """Download a published ECGFounder checkpoint and check it."""

    def run() -> None:
        from ecgfounder_ft.model.ecgfounder.published import PUBLISHED, find_weights
        from ecgfounder_ft.untrusted.weights import WeightsError

        names = {f"{checkpoint.leads}lead": name for name, checkpoint in PUBLISHED.items()}
        if model not in names:
            raise WeightsError(f"model '{model}': expected one of {', '.join(names)}")
        folder.mkdir(parents=True, exist_ok=True)
        typer.echo(f"{find_weights(names[model], folder)} is in place")

    run_or_explain(run)


@app.command()
def catalog(
    dataset: Annotated[str, typer.Argument(help="Which dataset: mimic-iv-ecg or physionet2021.")],
    root: Annotated[Path, typer.Argument(help="Its folder, as downloaded from PhysioNet.")],
    output: Annotated[Path, typer.Option(help="Folder of the catalogs.")] = Path("outputs/catalogs"),
    labels: Annotated[str, typer.Option(help="Label map: a file of configs/labels, by its name.")] = "six_conditions",
    ptbxl_database: Annotated[
        Path | None, typer.Option(help="PTB-XL's ptbxl_database.csv, for patients and folds of its recordings.")
    ] = None,
    report: Annotated[bool, typer.Option(help="Also draw distributions and example recordings.")] = False,
) -> None:
    """List a dataset's recordings with their labels, and the evidence for each, in one Parquet table."""

    def run() -> bool:
        from ecgfounder_ft.config.compose import compose_config, load_label_map, typed
        from ecgfounder_ft.data.catalog import describe_counts
        from ecgfounder_ft.data.sources.downloaded import downloaded_datasets
        from ecgfounder_ft.data.sources.source import NoDataError

        label_map = load_label_map(labels)
        name = dataset.replace("-", "_")
        known = downloaded_datasets()
        if name not in known:
            raise NoDataError(f"dataset '{dataset}', expected one of: {', '.join(known)}")
        settings = compose_config([f"data={name}"]).data
        settings.root, settings.catalogs = str(root), str(output)
        if ptbxl_database is not None:
            settings.ptbxl_database = str(ptbxl_database)
        found = typed(known[name], settings).read(label_map)
        if not len(found):
            skipped = found.skipped["reason"].value_counts().to_dict()
            typer.echo(f"no recording of {dataset} in {root}; skipped: {skipped or 'none found at all'}", err=True)
            return False
        typer.echo(describe_counts(found.table, label_map))
        for note in found.notes:
            typer.echo(note)
        if len(found.skipped):
            typer.echo(f"{len(found.skipped)} skipped: {found.skipped['reason'].value_counts().to_dict()}")
        typer.echo(f"{len(found)} recordings in {output / name}.parquet")
        if report:
            from ecgfounder_ft.report.catalog_report import write_catalog_report

            typer.echo(f"report: {write_catalog_report(found, label_map, output / f'{name}-report')}")
        return True

    if not run_or_explain(run):
        raise typer.Exit(ExitCode.NO_RESULT)


@app.command()
def store(
    overrides: Annotated[list[str], typer.Argument(help="As for training: data=merged data.max_samples=null ...")],
    jobs: Annotated[int, typer.Option(help="SLURM jobs that do the work, as one array; 0: this machine does it.")] = 0,
    partition: Annotated[str | None, typer.Option(help="SLURM partition of the jobs.")] = None,
    minutes: Annotated[int, typer.Option(help="Time limit of each job.")] = 240,
    output: Annotated[Path, typer.Option(help="For the jobs' logs and the list of what was skipped.")] = Path(
        "outputs/store-build"
    ),
) -> None:
    """Preprocess recordings ahead of training, here or on a SLURM cluster; training then finds them ready."""

    def run() -> None:
        from ecgfounder_ft.config.compose import compose_config, typed
        from ecgfounder_ft.data.gather_and_split import gather_recordings
        from ecgfounder_ft.data.sources.source import source_named
        from ecgfounder_ft.data.split_settings import SplitSettings
        from ecgfounder_ft.ecg.preprocessing import Preprocessing
        from ecgfounder_ft.labels import LabelMap
        from ecgfounder_ft.runs.evaluation_folder import EvaluationFolder
        from ecgfounder_ft.task import task_named

        config = compose_config(overrides)
        label_map = typed(LabelMap, config.labels)
        preprocessing = typed(Preprocessing, config.preprocessing)
        folder = EvaluationFolder(output)
        folder.create()
        executor = None
        if jobs:
            from submitit import AutoExecutor

            executor = AutoExecutor(folder=output / "jobs", cluster="slurm")
            executor.update_parameters(
                timeout_min=minutes, slurm_partition=partition, cpus_per_task=config.data.workers or 1
            )
        found = gather_recordings(
            typed(source_named(config.data.source), config.data),
            label_map,
            task_named(config.task.name),
            preprocessing,
            config.split.seed,
            executor,
            max(jobs, 1),
            typed(SplitSettings, config.split),
        )
        folder.write_skipped(found.skipped)
        found.require_any()
        typer.echo(f"{len(found.table)} recordings in {found.signals.folder}, {len(found.skipped)} skipped")

    run_or_explain(run)


@app.command()
def draw(
    recording: Annotated[Path, typer.Argument(help="Of any format that says its rate, unit and leads.")],
    output: Annotated[Path | None, typer.Option(help="The picture; beside the current folder by default.")] = None,
) -> None:
    """Draw a recording on ECG paper, 25 mm/s and 10 mm/mV."""

    def run() -> None:
        from ecgfounder_ft.ecg.formats import read_recording
        from ecgfounder_ft.ecg.paper import draw_recording
        from ecgfounder_ft.inference.notice import NO_MEDICAL_DEVICE

        found = read_recording(recording)
        target = output or Path(f"{found.name}.png")
        draw_recording(found, title=f"{found.name}   ·   {NO_MEDICAL_DEVICE}").savefig(target, dpi=150)
        typer.echo(str(target))

    run_or_explain(run)


@app.command()
def predict(
    model: Annotated[
        str,
        typer.Argument(
            help="An exported model, a repository of one on the Hub (group/name), or a run's folder, its model.pth or "
            "a checkpoint of it."
        ),
    ],
    recordings: Annotated[list[Path], typer.Argument(help="Recordings of any format, or folders of them.")],
    output: Annotated[Path, typer.Option(help="The table of predictions, .csv or .parquet.")] = Path("predictions.csv"),
    plots: Annotated[Path | None, typer.Option(help="Folder for each recording on ECG paper with its result.")] = None,
    embeddings: Annotated[
        Path | None, typer.Option(help="A .npy file for what the last layer reads, one row per row of the table.")
    ] = None,
    windows: Annotated[
        str,
        typer.Option(
            help="Of recordings longer than the model's input. one: the window it was trained on; else all consecutive "
            "windows, each with a row of its own (each), or their mean or max for each condition."
        ),
    ] = "one",
    sampling_rate: Annotated[float | None, typer.Option(help="Hz, of files that do not say it.")] = None,
    unit: Annotated[str | None, typer.Option(help="mV, uV, V or nV, of files that do not say it.")] = None,
    leads: Annotated[str | None, typer.Option(help="I,II,V1: of files that do not say them.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    backend: Annotated[
        str, typer.Option(help="auto, onnxruntime (processor; exported models) or torch; the answers are the same.")
    ] = "auto",
    revision: Annotated[
        str | None, typer.Option(help="Branch, tag or commit of a repository on the Hub; default: main.")
    ] = None,
    bf16: Annotated[bool, typer.Option("--bf16", help="Compute in bfloat16: faster, less exact.")] = False,
    batch_size: Annotated[int, typer.Option(min=1, help="Windows at a time.")] = 32,
    workers: Annotated[
        int | None,
        typer.Option(min=0, help="Processes that read and filter; default: one per core beside a GPU, else 0."),
    ] = None,
    show: Annotated[int, typer.Option(min=0, help="Rows of the table to show in the terminal when all are there.")] = 0,
    restart: Annotated[
        bool, typer.Option("--restart", help="Begin anew, where the same command would go on after a kill.")
    ] = False,
    trust: TRUST = None,
) -> None:
    """Predict recordings as they are stored; leads, sampling rate and filters follow from the model.

    Answers are written as they come. The same command goes on where it was killed. Exit code 1: no recording has an
    answer; 2: it could not run. Research only: this is no medical device.
    """

    def run() -> bool:
        from ecgfounder_ft.ecg.description import SignalDescription
        from ecgfounder_ft.files import require_place_for
        from ecgfounder_ft.inference.inputs import Reading
        from ecgfounder_ft.inference.loading import load_predictor
        from ecgfounder_ft.inference.notice import NO_MEDICAL_DEVICE
        from ecgfounder_ft.inference.predict_command import Wanted, predict_into_file

        for file in (output, embeddings):
            if file is not None:
                require_place_for(file)
        keep_freed_memory()
        names = None if leads is None else tuple(leads.split(","))
        stated = SignalDescription(sampling_rate, unit, names)
        loaded = load_predictor(
            model, device=device, backend=backend, bf16=bf16, trusted=trust or (), revision=revision
        )
        readers = workers if workers is not None else (os.cpu_count() or 1) if loaded.on_gpu else 0
        reading = Reading(loaded.card.preprocessing, stated, windows)
        wanted = Wanted(output, plots, embeddings, batch_size, readers, restart, progress=True)
        found = predict_into_file(loaded, recordings, reading, wanted)
        for reason, count in found.skipped.most_common():
            typer.echo(f"skipped {count}: {reason}", err=True)
        again = f" ({found.resumed} of them by an earlier start)" if found.resumed else ""
        if show:
            from rich.console import Console

            from ecgfounder_ft.inference.answers_table import answers_table

            Console().print(answers_table(output, loaded.card.label_map.codes, show))
        typer.echo(f"{found.answered} of {found.recordings} recordings answered{again}, {found.rows} rows in {output}")
        typer.echo(f"{NO_MEDICAL_DEVICE.capitalize()}.")
        return bool(found.answered)

    if not run_or_explain(run):
        raise typer.Exit(ExitCode.NO_RESULT)


@app.command()
def export(
    run_folder: Annotated[Path, typer.Argument(metavar="RUN", help="The folder of a finished run.")],
    to: Annotated[Path, typer.Option(help="Folder of the exported model; absent or empty.")],
    onnx: Annotated[bool, typer.Option(help="Also as ONNX, which prediction without torch needs.")] = True,
    licence: Annotated[
        str | None,
        typer.Option(
            "--license",
            help="Of the model, by the Hub's identifier (cc-by-4.0, ...); default: mit where it started from the "
            "published weights, else none is stated.",
        ),
    ] = None,
    trust: TRUST = None,
) -> None:
    """Write the model of a run as safetensors, ONNX and config.json, with a model card. No medical device."""

    def run() -> None:
        from ecgfounder_ft.inference.notice import NO_MEDICAL_DEVICE
        from ecgfounder_ft.runs.export import export_run
        from ecgfounder_ft.runs.folder import RunFolder

        exported, without = export_run(RunFolder(run_folder), to, onnx=onnx, licence=licence, trusted=trust or ())
        for name, reason in without.items():
            typer.echo(f"no {name}: {reason}", err=True)
        for name in sorted(path.name for path in exported.folder.iterdir()):
            typer.echo(f"{exported.folder / name}  {(exported.folder / name).stat().st_size:,} bytes")
        typer.echo(f"{NO_MEDICAL_DEVICE.capitalize()}.")

    run_or_explain(run)


@app.command()
def push(
    model: Annotated[Path, typer.Argument(help="The folder of an exported model.")],
    repository: Annotated[str, typer.Argument(help="On the Hugging Face Hub: group/name; made if absent.")],
    private: Annotated[
        bool, typer.Option("--private/--public", help="Whether the repository is seen by its group alone.")
    ] = True,
    revision: Annotated[str | None, typer.Option(help="Branch, made if absent; default: main.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check the model and say what would be sent.")] = False,
) -> None:
    """Put an exported model on the Hugging Face Hub. Sign in first: hf auth login, or HF_TOKEN."""

    def run() -> None:
        from ecgfounder_ft.inference.hub import push as push_model

        done = push_model(model, repository, private=private, revision=revision, dry_run=dry_run)
        for name, size in done.files.items():
            typer.echo(f"{name}  {size:,} bytes")
        for name in done.left_out:
            typer.echo(f"left out, no part of an exported model: {name}", err=True)
        kind = "private" if done.private else "public"
        where = f"{done.repository} ({kind}), revision {done.revision}"
        typer.echo(f"would be sent to {where}; nothing was" if done.url is None else f"sent to {where}: {done.url}")

    run_or_explain(run)


@app.command()
def evaluate(
    run_folder: Annotated[Path, typer.Argument(metavar="RUN", help="The folder of a finished run.")],
    overrides: Annotated[
        list[str] | None,
        typer.Argument(
            help="Other recordings to judge it by, as for training: data=physionet2021 data.root=...; and settings of "
            "the evaluation in place of the run's own: evaluation.seed=5"
        ),
    ] = None,
    by: Annotated[str | None, typer.Option(help="Subgroups: source,constituent,sex,age,condition,signal.")] = None,
    calibration: Annotated[str | None, typer.Option(help="Fit anew: auto, none, temperature or platt.")] = None,
    thresholds: Annotated[str | None, typer.Option(help="Choose anew: fixed, f1, youden or sensitivity.")] = None,
    sensitivity: Annotated[
        float | None, typer.Option(help="The least one wished, for --thresholds sensitivity.")
    ] = None,
    resamples: Annotated[int | None, typer.Option(help="Bootstrap resamples of patients; 0: no intervals.")] = None,
    attribution: Annotated[bool | None, typer.Option(help="Show what decisions rest on.")] = None,
    challenge_2021: Annotated[
        Path | None, typer.Option("--challenge-2021", help="Also write files for the Challenge's own scorer into it.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option(help="Folder for the results; by default a new one in the run's evaluations/.")
    ] = None,
    device: Annotated[str, typer.Option(help="For other recordings: auto, cpu or cuda.")] = "auto",
    bf16: Annotated[bool, typer.Option("--bf16", help="For other recordings: compute in bfloat16.")] = False,
    trust: TRUST = None,
) -> None:
    """Evaluate a finished run again, by its own settings where no other are given; the first evaluation stays."""

    def run() -> None:
        from ecgfounder_ft.inference.finished_model import load_model
        from ecgfounder_ft.runs.evaluate_elsewhere import evaluate_elsewhere
        from ecgfounder_ft.runs.folder import RunFolder
        from ecgfounder_ft.runs.report import report_again, settings_of, write_scorer_files

        folder = RunFolder(run_folder)
        given = {
            "calibration": calibration,
            "thresholds": thresholds,
            "sensitivity": sensitivity,
            "by": None if by is None else by.split(","),
            "resamples": resamples,
            "attribution": attribution,
        }
        chosen = [entry for entry in overrides or [] if entry.startswith("evaluation.")]
        recordings = [entry for entry in overrides or [] if entry not in chosen]
        given = {name: value for name, value in given.items() if value is not None}
        settings = settings_of(folder, given, chosen, trust or ())
        own = settings_of(folder, trusted=trust or ())
        refit = (settings.calibration, settings.thresholds, settings.sensitivity) != (
            own.calibration,
            own.thresholds,
            own.sensitivity,
        )
        if recordings:
            keep_freed_memory()
            model = load_model(run_folder, device, bf16, trust or ())
            folder.require_model(model)
            name = recordings[0].replace("/", "-").replace("=", "-")
            target = folder.new_evaluation(name, output)
            evaluated = evaluate_elsewhere(folder, model, recordings, target, settings, refit=refit)
        else:
            model = load_model(run_folder, trusted=trust or ())
            folder.require_model(model)  # refused before a folder is made for the results
            target = folder.new_evaluation("own-test", output)
            evaluated = report_again(folder, target, model, settings, refit=refit)
        if challenge_2021 is not None:
            typer.echo(write_scorer_files(model.card.label_map, evaluated, challenge_2021))
        macro = evaluated.evaluation.macro["auroc"]
        value = "undefined" if macro.value is None else f"{macro.value:.3f}"
        typer.echo(f"{evaluated.evaluation.n} recordings, macro AUROC {value}; results: {target}")

    run_or_explain(run)


@app.command()
def compare(
    runs: Annotated[
        list[Path],
        typer.Argument(
            help="Folders of runs with the same test recordings, the first as reference; or the folder of one sweep."
        ),
    ],
    sort_by: Annotated[str, typer.Option(help="The macro metric that orders the table.")] = "auroc",
    resamples: Annotated[
        int | None, typer.Option(help="Bootstrap resamples of patients; by default as many as the first run has.")
    ] = None,
    output: Annotated[
        Path, typer.Option(help="The page; a CSV stands beside it. Those of a sweep stay in its folder.")
    ] = Path("comparison.html"),
) -> None:
    """Set runs side by side: paired differences with intervals, McNemar tests. Of a sweep, show its answer again."""

    def run() -> None:
        import time

        from ecgfounder_ft.evaluation.run_comparison import comparison_table, require_metric
        from ecgfounder_ft.files import require_place_for, write_csv, write_text
        from ecgfounder_ft.report.page import render_comparison
        from ecgfounder_ft.runs.compare import compare_runs
        from ecgfounder_ft.sweeps.folder import SweepFolder

        if len(runs) == 1 and SweepFolder(runs[0]).is_sweep:
            from ecgfounder_ft.sweeps.answer import show_answer

            show_answer(SweepFolder(runs[0]), metric=require_metric(sort_by), resamples=resamples)
            return
        for file in (output, output.with_suffix(".csv")):
            require_place_for(file)
        comparison = compare_runs(runs, resamples=resamples, sort_by=sort_by)
        table = comparison_table(comparison)
        write_csv(output.with_suffix(".csv"), table)
        page = render_comparison(comparison, title="Comparison of runs", created=time.strftime("%Y-%m-%d %H:%M"))
        write_text(output, page)
        shown = ["run", "recordings", f"macro_{sort_by}", "difference_value", "difference_low", "difference_high"]
        typer.echo(table[shown].to_string(index=False, float_format=lambda value: f"{value:.3f}", na_rep="-"))
        typer.echo(f"{output} and {output.with_suffix('.csv')}")

    run_or_explain(run)


if __name__ == "__main__":
    app()
