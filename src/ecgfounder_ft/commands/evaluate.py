"""``ecgfounder-ft evaluate``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ecgfounder_ft.commands.options import AcceptEdited, Trust, path_argument, path_option
from ecgfounder_ft.console import say
from ecgfounder_ft.errors import run_or_explain
from ecgfounder_ft.memory import keep_freed_memory

if TYPE_CHECKING:
    from ecgfounder_ft.evaluation.run_evaluation import RunEvaluation
    from ecgfounder_ft.runs.evaluation_folder import EvaluationFolder

Overrides = Annotated[
    list[str] | None,
    typer.Argument(
        help="Other recordings to judge it by, as for training: data=physionet2021 data.root=...; and settings of "
        "the evaluation in place of the run's own: evaluation.seed=5"
    ),
]


@dataclass(frozen=True)
class _Wanted:
    run_folder: Path
    overrides: Sequence[str]
    settings: Mapping[str, Any]
    """Settings of the evaluation that replace the run's own."""
    challenge_2021: Path | None
    output: Path | None
    device: str
    bf16: bool
    trusted: Sequence[str]
    accept_edited: bool


def evaluate(
    run_folder: Annotated[Path, path_argument("The folder of a finished run, or a pretrained file.", "RUN")],
    overrides: Overrides = None,
    by: Annotated[str | None, typer.Option(help="Subgroups: source,constituent,sex,age,condition,signal.")] = None,
    calibration: Annotated[str | None, typer.Option(help="Fit anew: auto, none, temperature or platt.")] = None,
    thresholds: Annotated[str | None, typer.Option(help="Choose anew: fixed, f1, youden or sensitivity.")] = None,
    sensitivity: Annotated[float | None, typer.Option(help="The least, for --thresholds sensitivity.")] = None,
    resamples: Annotated[int | None, typer.Option(help="Bootstrap resamples of patients; 0: no intervals.")] = None,
    attribution: Annotated[bool | None, typer.Option(help="Show what decisions rest on.")] = None,
    challenge_2021: Annotated[
        Path | None, path_option("Also write files for the Challenge's own scorer into it.", "--challenge-2021")
    ] = None,
    output: Annotated[
        Path | None, path_option("Folder for the results; by default a new one in the run's evaluations/.")
    ] = None,
    device: Annotated[str, typer.Option(help="For other recordings: auto, cpu or cuda.")] = "auto",
    bf16: Annotated[bool, typer.Option("--bf16", help="For other recordings: compute in bfloat16.")] = False,
    trust: Trust = None,
    accept_edited: AcceptEdited = False,
) -> None:
    """Evaluate a finished run again, by its own settings where no other are given; the first evaluation stays.

    A pretrained file (12_lead_ECGFounder, or its path) is evaluated untrained, on the recordings that are named. Three
    in ten patients choose calibration and thresholds, the others are tested.
    """
    given = {
        "calibration": calibration,
        "thresholds": thresholds,
        "sensitivity": sensitivity,
        "by": None if by is None else by.split(","),
        "resamples": resamples,
        "attribution": attribution,
    }
    settings = {name: value for name, value in given.items() if value is not None}
    wanted = _Wanted(
        run_folder, overrides or (), settings, challenge_2021, output, device, bf16, trust or (), accept_edited
    )

    def run() -> None:
        from ecgfounder_ft.inference.loading import pretrained_source

        if (pretrained := pretrained_source(run_folder)) is not None:
            _evaluate_pretrained(pretrained, wanted)
            return
        evaluated, target = _evaluate(wanted)
        macro = evaluated.evaluation.macro["auroc"]
        value = "undefined" if macro.value is None else f"{macro.value:.3f}"
        say(f"{evaluated.evaluation.n} recordings, macro AUROC {value}; results: {target}")

    run_or_explain(run)


def _evaluate_pretrained(source: str, wanted: _Wanted) -> None:
    """Evaluate a pretrained file as the untrained start of a run, through the label map of the recordings."""
    from ecgfounder_ft.config.choices import ConfigurationError
    from ecgfounder_ft.config.pretraining import overrides_of
    from ecgfounder_ft.train import main_of_command

    if not any(entry.startswith("data") for entry in wanted.overrides):
        raise ConfigurationError(f"{source}: name the recordings to judge it by, as for train: data=... data.root=...")
    settings = [f"evaluation.{name}={_typed(value)}" for name, value in wanted.settings.items()]
    run = [] if wanted.output is None else [f"hydra.run.dir='{wanted.output}'"]
    device = {"auto": [], "cpu": ["trainer.accelerator=cpu"], "cuda": ["trainer.accelerator=gpu"]}[wanted.device]
    untrained = [
        "task=multi_label",
        "trainer.max_epochs=0",
        "split.train=0.01",
        "split.validation=0.29",
        "split.test=0.7",
    ]
    more = ["split.minimum=0", "evaluation.baselines=false"]
    main_of_command([*overrides_of(source), *untrained, *more, *settings, *run, *device, *wanted.overrides])


def _typed(value: Any) -> str:
    """A value as Hydra reads it."""
    if isinstance(value, list):
        return f"[{','.join(value)}]"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _evaluate(wanted: _Wanted) -> tuple[RunEvaluation, EvaluationFolder]:
    from ecgfounder_ft.inference.finished_model import load_model
    from ecgfounder_ft.runs.digests import require_unedited
    from ecgfounder_ft.runs.evaluate_elsewhere import evaluate_elsewhere
    from ecgfounder_ft.runs.folder import RunFolder
    from ecgfounder_ft.runs.report import report_again, settings_of, write_scorer_files

    folder, trusted = RunFolder(wanted.run_folder), wanted.trusted
    folder.require()
    require_unedited(folder, accept=wanted.accept_edited)
    chosen = [entry for entry in wanted.overrides if entry.startswith("evaluation.")]
    recordings = [entry for entry in wanted.overrides if entry not in chosen]
    settings, own = settings_of(folder, wanted.settings, chosen, trusted), settings_of(folder, trusted=trusted)
    fits = ("calibration", "thresholds", "sensitivity")
    refit = any(getattr(settings, name) != getattr(own, name) for name in fits)
    if recordings:
        keep_freed_memory()
        model = load_model(wanted.run_folder, wanted.device, wanted.bf16, trusted)
    else:
        model = load_model(wanted.run_folder, trusted=trusted)
    folder.require_model(model)  # refused before a folder is made for the results
    name = recordings[0].replace("/", "-").replace("=", "-") if recordings else "own-test"
    target = folder.new_evaluation(name, wanted.output)
    if recordings:
        evaluated = evaluate_elsewhere(folder, model, recordings, target, settings, refit=refit)
    else:
        evaluated = report_again(folder, target, model, settings, refit=refit)
    if wanted.challenge_2021 is not None:
        say(write_scorer_files(model.record.label_map, evaluated, wanted.challenge_2021))
    return evaluated, target
