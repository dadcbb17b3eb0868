"""One experiment from its configuration to its results."""

import logging
import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path

import pytorch_lightning as pl
import torch

from ecgfounder_ft.config.settings import Settings
from ecgfounder_ft.data.gather_and_split import PreparedData, divide_recordings, gather_recordings
from ecgfounder_ft.ecg.preprocessing import Preprocessing
from ecgfounder_ft.inference.finished_model import FinishedModel
from ecgfounder_ft.interruption import Interrupted, interruptible, kept_apart
from ecgfounder_ft.memory import keep_freed_memory
from ecgfounder_ft.model.record import RECORD_KEY
from ecgfounder_ft.report.training_plots import lr_finder_figure, solved_head_figure, wise_ft_figure
from ecgfounder_ft.runs.folder import RunFolder
from ecgfounder_ft.runs.report import report_first_evaluation
from ecgfounder_ft.training.build import Model, build_model
from ecgfounder_ft.training.classifier import CONFIG_KEY
from ecgfounder_ft.training.device import allow_tf32, is_main_process, quieten
from ecgfounder_ft.training.fit import Trained, fit
from ecgfounder_ft.training.loggers import log_results, opened_loggers
from ecgfounder_ft.training.monitor import direction_of
from ecgfounder_ft.training.random_encoder import probe_random_encoder
from ecgfounder_ft.training.requirements import require_trainable
from ecgfounder_ft.training.results import print_summary
from ecgfounder_ft.training.resume import (
    command_that_goes_on,
    require_epochs_left,
    require_same_meaning,
    show_changes,
)
from ecgfounder_ft.training.settle import Settled, TrainingPlan, settle
from ecgfounder_ft.training.strategy_table import print_strategy
from ecgfounder_ft.training.wise_ft import copy_of_state, print_wise_ft
from ecgfounder_ft.untrusted.weights import read_checkpoint

log = logging.getLogger(__name__)


def run_experiment(settings: Settings, callbacks: Sequence[pl.Callback] = ()) -> float | None:
    """Train and test one model; everything it produces stands in ``settings.output_dir``.

    Args:
        settings: everything that the run was told.
        callbacks: further Lightning callbacks.

    Returns:
        The best epoch's ``optimized_metric``, for sweeps that search.

    Raises:
        ExplainedError: whatever a user can mend, told in words.
        Interrupted: by SIGTERM or Ctrl-C; says which command goes on.
    """
    require_trainable(settings)
    keep_freed_memory()
    folder = RunFolder(settings.output_dir)
    folder.create()
    main = is_main_process()
    new = main and settings.resume is None
    with (
        interruptible(),
        goes_on(settings, folder),
        folder.only_run(main),
        folder.unused() if new else nullcontext(),  # looked at only once nobody else is at work there
        folder.recorded_status(main) as status,
        kept_apart(),
    ):
        if new:
            folder.write_configuration(settings.content)
        if main:
            log.info("Run folder: %s", folder)
        pl.seed_everything(settings.seed, verbose=False)
        allow_tf32(settings.tf32)
        quieten()
        data = prepare_data(settings, folder)
        model = build_model(settings, data)
        checkpoint, earlier = require_same_run(settings, model, folder)
        untrained = copy_of_state(model.net) if settings.wise_ft.enabled else None
        settled = settle(settings, model, data, earlier)
        save_plan(settled, model, folder)
        with opened_loggers(settled.settings, folder) as loggers:
            trained = fit(
                settled,
                model,
                data,
                folder.last_checkpoint,
                resumed_from=checkpoint,
                untrained=untrained,
                callbacks=callbacks,
                loggers=loggers,
            )
            if is_main_process():
                report(settled, model, data, trained, folder)
        name = settings.optimized_metric
        value = trained.end.metrics["validation"].get(name, float("nan"))
        status["optimized_metric"] = {"name": name, "mode": direction_of(name), "value": value}
        return value


@contextmanager
def goes_on(settings: Settings, folder: RunFolder) -> Iterator[None]:
    """Let an interruption inside tell the command that goes on."""
    try:
        yield
    except Interrupted as interruption:
        interruption.goes_on_with = command_that_goes_on(folder, settings.content)
        raise


def prepare_data(settings: Settings, folder: RunFolder) -> PreparedData:
    """Gather the recordings and divide them, and write down what became of each.

    Raises:
        NoDataError: if none is left.
        LeakageError: if a patient or a signal stands on two sides.
        TooFewRecordingsError: if a side has too few recordings of a condition.
    """
    label_map, split = settings.label_map, settings.split
    preprocessing = Preprocessing.of(settings.preprocessing)
    with folder.listing_skipped():
        gathered = gather_recordings(settings.source, label_map, settings.task, preprocessing, split.seed, split=split)
    folder.write_skipped(gathered.skipped)
    gathered.require_any()
    data = divide_recordings(gathered, label_map, split)
    folder.write_leakage(data.leakage.by_source)
    folder.write_splits(data.splits_table())
    data.require_sound()
    folder.write_data_counts(data.counts)
    return data


def require_same_run(settings: Settings, model: Model, folder: RunFolder) -> tuple[Path | None, TrainingPlan | None]:
    """The checkpoint and the plan that a resumed run goes on with; None for each that there is not.

    Raises:
        ResumeError: if it would go on with another model or other data.
    """
    if settings.resume is None:
        return None, None
    content = folder.read_plan()
    plan = None if content is None else TrainingPlan.from_dict(content)
    if not folder.last_checkpoint.is_file():
        return None, plan
    before = read_checkpoint(folder.last_checkpoint)
    require_epochs_left(before["epoch"] + 1, settings.trainer.max_epochs, folder)
    require_same_meaning(before[RECORD_KEY], model.record.to_dict(), folder)
    show_changes(before[CONFIG_KEY], settings.content)
    log.info("Going on from %s", folder.last_checkpoint)
    return folder.last_checkpoint, plan


def save_plan(settled: Settled, model: Model, folder: RunFolder) -> None:
    """Save what was settled, and show it."""
    if not is_main_process():
        return
    folder.write_configuration(settled.settings.content)
    folder.write_plan(settled.plan.to_dict())
    found = settled.range_test
    if found is not None:
        folder.write_lr_finder(found.to_dict(), lr_finder_figure(found.learning_rates, found.losses, found.suggestion))
    print_strategy(model.net, model.strategy, settled.plan.epochs, settled.plan.learning_rate)


def report(settled: Settled, model: Model, data: PreparedData, trained: Trained, folder: RunFolder) -> None:
    """Write what training produced, evaluate it, and show the result."""
    folder.write_predictions(trained.end.predictions(data, model.record))
    folder.write_start(trained.start.metrics, trained.start.predictions(data, model.record))
    folder.write_history(trained.epochs)
    if settled.settings.evaluation.baselines:
        add_random_encoder(settled, model, data, trained, folder)
    if trained.solution is not None:
        found = trained.solution
        chart = solved_head_figure(found.tried, found.strength) if found.tried else None
        folder.write_solved_head(found.to_dict(), chart)
    chosen = trained.interpolation
    if chosen is not None:
        folder.write_wise_ft(chosen.to_dict(), wise_ft_figure(chosen.rows, chosen.coefficient))
        print_wise_ft(chosen.rows, chosen.coefficient)
        log.info("%s", chosen)
    evaluated, _, pictures = report_first_evaluation(
        folder,
        FinishedModel(model.net.cpu().eval(), model.record),
        settled.settings.evaluation,
    )
    for logger in trained.trainer.loggers:
        log_results(logger, evaluated.evaluation, trained.end.metrics["validation"], pictures, folder)
    shown = f"report: {folder.report_file}" if settled.settings.evaluation.report else f"results: {folder}"
    place = shlex.quote(str(folder))
    print_summary(
        evaluated,
        shown,
        {
            "read other recordings": f"ecgfounder-ft predict {place} FOLDER",
            "watch the curves": f"tensorboard --logdir {place}",
        },
        random_head=model.record.head == "random",
    )


def add_random_encoder(settled: Settled, model: Model, data: PreparedData, trained: Trained, folder: RunFolder) -> None:
    """Put a linear probe on a random network of the same architecture beside the trained model."""
    plan = settled.plan
    probe = probe_random_encoder(model.record, data, batch_size=plan.batch_size, device=torch.device(plan.accelerator))
    if probe is None:
        return
    folder.write_random_encoder(probe.record.to_dict(), probe.predictions)
    log.info(
        "Linear probe on a random encoder: %.1f s (training took %.1f s); evaluation.baselines=false leaves it out",
        probe.record.seconds,
        trained.seconds,
    )
