"""Everything that training depends on, decided before it begins and never changed afterwards.

``data.batch_size=auto``, ``lr_finder.enabled`` and ``trainer.precision=auto`` leave something to be found out, and a
strategy that freezes leading parts lets batches enter behind them. :func:`settle` finds all of it out; the answer is a
frozen :class:`TrainingPlan`, saved once, beside the configuration with the same values in it.
"""

import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

import torch
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode

from ecgfounder_ft.config.choices import ConfigurationError
from ecgfounder_ft.config.settings import Settings
from ecgfounder_ft.data.gather_and_split import PreparedData
from ecgfounder_ft.data.splits import TRAIN
from ecgfounder_ft.errors import ExplainedError
from ecgfounder_ft.training.batch_size import SMALLEST, find_batch_size
from ecgfounder_ft.training.build import Model, build_classifier, build_data_module
from ecgfounder_ft.training.device import (
    choose_accelerator,
    choose_precision,
    has_several_devices,
    is_main_process,
    lower_precision,
)
from ecgfounder_ft.training.inputs import Inputs, choose_inputs
from ecgfounder_ft.training.loggers import require_installed
from ecgfounder_ft.training.lr_finder import RangeTest, range_test
from ecgfounder_ft.training.monitor import direction_of, require_direction

log = logging.getLogger(__name__)

BATCH_SIZE = 32
"""Recordings at once where nothing depends on it: while ``data.batch_size=auto`` is not found yet."""


class SeveralDevicesError(ExplainedError):
    """Several devices for what one alone can do."""


class OutOfMemoryError(ExplainedError):
    """The GPU's memory is too small; the message says what to try."""


@dataclass(frozen=True)
class TrainingPlan:
    """What was decided before training."""

    epochs: int
    """At most."""
    batch_size: int
    """Recordings per step and device."""
    learning_rate: float
    """Of ``optimizer.lr``; a strategy multiplies it part by part."""
    accelerator: str
    """``cpu`` or ``cuda``."""
    precision: str
    """As Lightning names it."""
    frozen_parts: list[str]
    """Leading parts that never train."""
    entry: str
    """The part that batches enter at; behind the frozen parts where their outputs are stored."""
    stored_views: int
    """Stored versions of each training recording that the epochs take in turn; 0: recordings as they are read."""
    found: dict[str, str] = field(default_factory=dict)
    """Key of the configuration to how its value was found, for those that the configuration left open."""

    def to_dict(self) -> dict[str, Any]:
        """The content of ``plan.json``."""
        return asdict(self)

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> "TrainingPlan":
        """Inverse of :meth:`to_dict`."""
        return cls(**{entry.name: content[entry.name] for entry in fields(cls)})


@dataclass(frozen=True)
class Settled:
    """A plan, and what follows from it."""

    plan: TrainingPlan
    settings: Settings
    """The run's settings with the values of the plan in them."""
    inputs: Inputs
    range_test: RangeTest | None = None
    """What the learning rate was chosen by, where it was sought."""


def refuse_contradictions(settings: Settings) -> None:
    """Refuse, before anything is read or written, what cannot be trained.

    Raises:
        ConfigurationError: if values contradict each other or are none.
        SeveralDevicesError: if several devices are asked for what one alone can do.
        MissingLoggerError: if the package of a logger is not installed.
        MonitorError: if a metric does not exist, or its direction is stated the wrong way round.
    """
    require_installed(settings.loggers)
    require_direction(settings.monitor.name, settings.monitor.mode)
    direction_of(settings.optimized_metric)
    chosen = settings.augmentation
    if chosen.stored_views and chosen.mixup:
        raise ConfigurationError(
            f"augment.stored_views={chosen.stored_views} with augment.mixup={chosen.mixup}: a stored view holds "
            "recordings one by one, mixup mixes those of a batch. Set one of the two to 0"
        )
    if not has_several_devices(settings.trainer):
        return
    if HydraConfig.initialized() and HydraConfig.get().mode == RunMode.MULTIRUN:
        trainer = settings.trainer
        raise SeveralDevicesError(
            f"trainer.devices={trainer.devices} and trainer.num_nodes={trainer.num_nodes} in a multirun: "
            "each further process would start the whole sweep again, and with a searching sweeper train on values of "
            "its own. Use trainer.devices=1 trainer.num_nodes=1 in a sweep, or start its trials one by one"
        )
    if settings.batches.batch_size == "auto":
        raise SeveralDevicesError(
            "data.batch_size=auto with several devices: each process would find a size of its own. Find it with "
            "trainer.devices=1 trainer.max_epochs=1 trainer.limit_train_batches=1, then set data.batch_size"
        )
    if settings.lr_finder.enabled:
        raise SeveralDevicesError(
            "lr_finder.enabled with several devices: each process would find a learning rate of its own. Find it with "
            "trainer.devices=1 trainer.max_epochs=0, then set optimizer.lr"
        )


def settle(settings: Settings, model: Model, data: PreparedData, earlier: TrainingPlan | None = None) -> Settled:
    """Decide what the configuration leaves open.

    The network is prepared for its strategy on the way (adapters are added), and is otherwise as it was.

    Args:
        settings: of the run; they stay as they are.
        model: with its start.
        data: of the run.
        earlier: the plan of a run that goes on: its learning rate holds, and is not sought again.

    Raises:
        OutOfMemoryError: if the GPU's memory is too small for the smallest batch.
    """
    trainer = settings.trainer
    accelerator = choose_accelerator(trainer.accelerator)
    precision = choose_precision(trainer.precision, trainer.accelerator)
    device, lower = torch.device(accelerator), lower_precision(precision)
    batch_size = chosen_batch_size(settings)
    inputs = choose_inputs(
        model.net,
        model.strategy,
        data,
        settings.augmentation if settings.augmentation.effects else None,
        epochs=1 if model.strategy.solves else trainer.max_epochs,  # with none, nothing would be worth storing
        batch_size=batch_size or BATCH_SIZE,
        device=device,
        precision=lower,
        progress=trainer.enable_progress_bar and is_main_process(),
    )
    model.strategy.prepare(model.net)
    found: dict[str, str] = {} if earlier is None else dict(earlier.found)
    learning_rate, tried = settings.learning_rate, None
    classifier = build_classifier(settings, model, data, inputs)
    if batch_size is None:
        recordings = int((data.table["split"] == TRAIN).sum())
        try:
            search = find_batch_size(
                classifier,
                model.strategy,
                inputs.stored.shape,
                recordings,
                trainer.max_epochs,
                device,
                lower,
            )
        except torch.OutOfMemoryError as error:
            raise OutOfMemoryError(explain_out_of_memory(settings, error)) from error
        batch_size = search.chosen
        speeds = ", ".join(f"{size}: {speed:.0f}" for size, speed in search.speed.items())
        limit = f"; {search.too_large} does not fit into the GPU's memory" if search.too_large else ""
        found["data.batch_size"] = f"auto (recordings/s by size: {speeds}{limit})"
        log.info("data.batch_size=auto takes %d (recordings/s by size: %s%s)", batch_size, speeds, limit)
    finder = settings.lr_finder
    if finder.enabled and earlier is None:
        loader = build_data_module(settings, model, data, inputs, batch_size).train_dataloader()
        tried = range_test(classifier, model.strategy, loader, finder.lowest, finder.highest, finder.steps, device)
        if tried.suggestion is None:
            log.warning(
                "The range test found no learning rate at which the loss falls; optimizer.lr stays %g", learning_rate
            )
        else:
            log.info("The range test suggests optimizer.lr=%.3g (was %g)", tried.suggestion, learning_rate)
            found["optimizer.lr"] = f"range test (was {learning_rate:g})"
            learning_rate = tried.suggestion
    plan = TrainingPlan(
        epochs=0 if model.strategy.solves else trainer.max_epochs,
        batch_size=batch_size,
        learning_rate=learning_rate,
        accelerator=accelerator,
        precision=precision,
        frozen_parts=list(inputs.frozen),
        entry=inputs.entry,
        stored_views=0 if inputs.training_views is None else len(inputs.training_views.views),
        found=found,
    )
    return Settled(plan, settings.settled(plan.batch_size, plan.learning_rate), inputs, tried)


def chosen_batch_size(settings: Settings) -> int | None:
    """Return ``data.batch_size``, or None while it is ``auto``."""
    size = settings.batches.batch_size
    return None if size == "auto" else int(size)


def explain_out_of_memory(settings: Settings, error: torch.OutOfMemoryError) -> str:
    """What to try where the GPU's memory is too small."""
    size = chosen_batch_size(settings)
    needed = str(error).split(". ")[0]
    if size is None or size == 1:
        least = SMALLEST if size is None else 1
        return (
            f"the GPU's memory is too small for {least} recording(s) per batch ({needed}). "
            "Try finetune=linear_probe or finetune=lora" + (", or data.batch_size=1" if size is None else "")
        )
    steps = 2 * settings.trainer.accumulate_grad_batches
    return (
        f"the GPU's memory is too small for data.batch_size={size} ({needed}). Try data.batch_size={size // 2} "
        f"trainer.accumulate_grad_batches={steps}, which makes the same optimizer steps; data.batch_size=auto finds "
        "the size that fits"
    )
