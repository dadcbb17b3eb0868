"""Training itself: the untrained start, the epochs, the best of them, and what lies between the two."""

import logging
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import pandas as pd
import pytorch_lightning as pl
import torch
from hydra.utils import instantiate
from pytorch_lightning.callbacks import ModelCheckpoint, WeightAveraging
from pytorch_lightning.loggers import Logger
from pytorch_lightning.plugins.environments import SLURMEnvironment

from ecgfounder_ft.data.datamodule import ECGDataModule
from ecgfounder_ft.data.gather_and_split import PreparedData
from ecgfounder_ft.data.splits import TRAIN, VALIDATION
from ecgfounder_ft.errors import ExplainedError
from ecgfounder_ft.finetune.solved_head import SolvedHead
from ecgfounder_ft.interruption import deferred
from ecgfounder_ft.training.build import Model, build_classifier, build_data_module
from ecgfounder_ft.training.callbacks import FiniteEpochs, FollowStrategy, History, LastCheckpoint
from ecgfounder_ft.training.checkpoint_io import WholeCheckpoints
from ecgfounder_ft.training.classifier import Classifier, NonFiniteEpochError, NonFiniteLossError
from ecgfounder_ft.training.embeddings import embeddings_of
from ecgfounder_ft.training.epoch_log import EpochLog
from ecgfounder_ft.training.results import Pass
from ecgfounder_ft.training.settle import OutOfMemoryError, Settled, explain_out_of_memory
from ecgfounder_ft.training.solved_head import Solution, choose_and_solve, head_of, set_head
from ecgfounder_ft.training.wise_ft import Interpolation, State, choose_interpolation
from ecgfounder_ft.untrusted.weights import read_checkpoint

log = logging.getLogger(__name__)

_WHERE_TRAINING_DIVERGES = (
    "Lower optimizer.lr, limit gradients (trainer.gradient_clip_val=1.0), or set trainer.precision=32-true"
)


class TrainingStoppedError(ExplainedError):
    """Training cannot go on; the message names the recordings at fault and what to try."""


@dataclass(frozen=True)
class Trained:
    """A model as training left it, and how it came about."""

    trainer: pl.Trainer
    start: Pass
    """The untrained start, the baseline of everything that follows."""
    end: Pass
    """The best epoch, or what was chosen between it and the start."""
    epochs: list[dict[str, float]]
    """Metrics of every epoch."""
    interpolation: Interpolation | None
    """What was chosen between start and end, where that was asked for."""
    seconds: float
    """Seconds that the epochs, or the solution, took in this process."""
    solution: Solution | None = None
    """How the last layer was solved, where it was not trained."""


def fit(
    settled: Settled,
    model: Model,
    data: PreparedData,
    last_checkpoint: Path,
    *,
    resumed_from: Path | None = None,
    untrained: State | None = None,
    callbacks: Sequence[pl.Callback] = (),
    loggers: Sequence[Logger] = (),
) -> Trained:
    """Train a model by its plan; afterwards its network is the best epoch's.

    Args:
        settled: the plan and what follows from it.
        model: with its start, prepared for its strategy.
        data: of the run.
        last_checkpoint: where the callbacks write what an interrupted run goes on from.
        resumed_from: a checkpoint to go on from.
        untrained: weights of the start, for an interpolation between it and the end; None: none is made.
        callbacks: beside those of the configuration.
        loggers: where the epochs are shown.

    Raises:
        TrainingStoppedError: if the loss of a training batch is not finite, or if the model cannot be used after an
            epoch and there is no earlier one.
        OutOfMemoryError: if the GPU's memory is too small.
    """
    settings = settled.settings
    datamodule = build_data_module(settings, model, data, settled.inputs, settled.plan.batch_size)
    classifier = build_classifier(settings, model, data, settled.inputs)
    history = History()
    follow = FollowStrategy(model.strategy, settings.monitor.name, settings.monitor.mode)
    epoch_log = EpochLog(history, settings.monitor.name, settings.monitor.mode)
    trainer = build_trainer(settled, [*callbacks, follow, history, FiniteEpochs(history)], loggers, after=[epoch_log])
    try:
        start = quiet_pass(trainer, classifier, datamodule)
        begun = time.monotonic()
        writes = any(isinstance(callback, LastCheckpoint) for callback in trainer.callbacks)  # type: ignore[attr-defined]
        with deferred() if writes else nullcontext():
            trainer.fit(classifier, datamodule=datamodule, ckpt_path=resumed_from, weights_only=True)
        seconds = time.monotonic() - begun
    except NonFiniteLossError as error:
        raise TrainingStoppedError(_explain_not_finite(error, data.table)) from error
    except NonFiniteEpochError as error:
        raise TrainingStoppedError(f"{error}: training diverged. {_WHERE_TRAINING_DIVERGES}") from error
    except torch.OutOfMemoryError as error:
        raise OutOfMemoryError(explain_out_of_memory(settings, error)) from error
    solution = _solve_head(settled, model, data) if isinstance(model.strategy, SolvedHead) else None
    if (
        solution is not None or not last_checkpoint.is_file()
    ):  # no epoch ended, as with trainer.max_epochs=0: the start is the model
        trainer.save_checkpoint(last_checkpoint)
    _load_best(trainer, classifier)
    model.strategy.finish(classifier.net)
    interpolation = None
    if untrained is not None and settled.plan.epochs > 0:
        interpolation = choose_interpolation(
            untrained,
            classifier.net,
            settings.wise_ft.coefficients,
            settings.monitor.name,
            settings.monitor.mode,
            settings.wise_ft.floor,
            lambda: quiet_pass(trainer, classifier, datamodule, sides=("validation",)).metrics["validation"],
        )
    end = quiet_pass(trainer, classifier, datamodule)
    if found := classifier.not_finite():  # where no callback keeps the best epoch
        raise TrainingStoppedError(f"{found} NaN or infinite after training. {_WHERE_TRAINING_DIVERGES}")
    seconds = seconds if solution is None else solution.seconds
    return Trained(trainer, start, end, history.epochs, interpolation, seconds, solution)


def _solve_head(settled: Settled, model: Model, data: PreparedData) -> Solution:
    """Solve the last layer on the embeddings of a run's recordings, and put it into the network."""
    strategy, net, task = model.strategy, model.net, model.record.task
    assert isinstance(strategy, SolvedHead)
    net.eval()
    *_, (name, layer) = net.parts().items()
    inputs = settled.inputs
    if inputs.entry == name:
        embeddings = inputs.stored.read(np.arange(len(inputs.stored)))
    else:
        embeddings = embeddings_of(net, data, settled.plan.batch_size, torch.device(settled.plan.accelerator))
        net.to("cpu")
    sides = data.table["split"].to_numpy()
    rows = np.flatnonzero(task.usable(data.targets) & np.isin(sides, (TRAIN, VALIDATION)))
    head, solution = choose_and_solve(
        embeddings[rows],
        task.states(data.targets[rows]),
        data.table["patient"].to_numpy()[rows],
        sides[rows] == TRAIN,
        task,
        strengths=strategy.strengths,
        folds=strategy.folds,
        start=head_of(layer) if strategy.towards == "start" else None,
    )
    set_head(layer, head)
    log.info("%s", solution)
    return solution


def build_trainer(
    settled: Settled, callbacks: Sequence[pl.Callback], loggers: Sequence[Logger], after: Sequence[pl.Callback] = ()
) -> pl.Trainer:
    """The Lightning trainer; the configured callbacks come between ``callbacks`` and ``after``."""
    settings = settled.settings
    shown = {"progress_bar"} if not settings.trainer.enable_progress_bar else set()
    # by itself, Lightning would go on from a checkpoint of its own kind, whatever it is told to go on from
    slurm = [SLURMEnvironment(auto_requeue=False)] if SLURMEnvironment.detect() else []
    configured = [instantiate(callback) for name, callback in settings.callbacks.items() if name not in shown]
    return cast(
        pl.Trainer,
        instantiate(
            settings.trainer.node,
            max_epochs=settled.plan.epochs,
            precision=settled.plan.precision,
            callbacks=[*callbacks, *configured, *after],
            logger=list(loggers) or False,
            plugins=[WholeCheckpoints(), *slurm],
            enable_model_summary=False,
            num_sanity_val_steps=0,
            use_distributed_sampler=False,
            default_root_dir=str(settings.output_dir),
            _convert_="all",
        ),
    )


def quiet_pass(
    trainer: pl.Trainer,
    classifier: Classifier,
    datamodule: ECGDataModule,
    sides: Sequence[str] = ("validation", "test"),
) -> Pass:
    """A pass whose metrics do not stand in the curves of training."""
    loggers, trainer.loggers = trainer.loggers, []
    try:
        for side in sides:
            run = trainer.validate if side == "validation" else trainer.test
            run(classifier, datamodule=datamodule, verbose=False)
    finally:
        trainer.loggers = loggers
    metrics = {side: {name: float(value) for name, value in classifier.metrics[side].items()} for side in sides}
    return Pass(metrics, dict(classifier.collected))


def _load_best(trainer: pl.Trainer, classifier: Classifier) -> None:
    """The weights of the best epoch; the start's where no epoch was trained.

    The averaging callback is taken out: it would swap weights in later validations, but not in tests.
    """
    callbacks: list[pl.Callback] = trainer.callbacks  # type: ignore[attr-defined]
    trainer.callbacks = [  # type: ignore[attr-defined]
        callback for callback in callbacks if not isinstance(callback, WeightAveraging)
    ]
    for callback in callbacks:
        if isinstance(callback, ModelCheckpoint) and callback.best_model_path:
            content = read_checkpoint(Path(callback.best_model_path))
            classifier.load_state_dict(content["state_dict"])


def _explain_not_finite(error: NonFiniteLossError, table: pd.DataFrame) -> str:
    names = table["recording"].iloc[error.recordings].tolist()
    shown = ", ".join(names[:10]) + (f" and {len(names) - 10} more" if len(names) > 10 else "")
    return (
        f"{error}: {shown}. If these are few, look at them (`ecgfounder-ft draw`) or leave them out; if they are a "
        f"whole batch, training diverged. {_WHERE_TRAINING_DIVERGES}"
    )
