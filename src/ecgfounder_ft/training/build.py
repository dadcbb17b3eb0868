"""From a configuration to what trains: network, start, record and strategy, and the module around them."""

import importlib.metadata
import inspect
import logging
import platform
from collections.abc import Callable
from dataclasses import dataclass, is_dataclass
from pathlib import Path
from typing import Any, TypeVar, cast

import torch
from hydra.utils import instantiate

from ecgfounder_ft.config.choices import ConfigurationError
from ecgfounder_ft.config.pretraining import pretraining_of
from ecgfounder_ft.config.settings import Node, Settings
from ecgfounder_ft.data.datamodule import ECGDataModule
from ecgfounder_ft.data.gather_and_split import PreparedData
from ecgfounder_ft.data.splits import TRAIN
from ecgfounder_ft.ecg.preprocessing import Preprocessing
from ecgfounder_ft.ecg.preprocessing_settings import PreprocessingSettings
from ecgfounder_ft.files import sha256_of
from ecgfounder_ft.finetune.strategy import Strategy
from ecgfounder_ft.losses.loss import Loss
from ecgfounder_ft.model.checkpoints import has_task_rows, load_weights
from ecgfounder_ft.model.network import Network
from ecgfounder_ft.model.pretrained import find_weights, network_of_class, weights_files
from ecgfounder_ft.model.record import ModelRecord
from ecgfounder_ft.schedules.schedule import Schedule
from ecgfounder_ft.targets import targets_in
from ecgfounder_ft.training.classifier import Classifier, Training
from ecgfounder_ft.training.inputs import Inputs

log = logging.getLogger(__name__)

Made = TypeVar("Made")

PACKAGES = ("ecgfounder-ft", "torch", "pytorch-lightning", "hydra-core", "numpy", "scipy", "pandas", "torchmetrics")
"""Whose versions a run records."""


@dataclass(frozen=True)
class Model:
    """A network with its start, the record of what it is, and what trains it."""

    net: Network
    record: ModelRecord
    strategy: Strategy


def build_model(settings: Settings, data: PreparedData) -> Model:
    """The network with its start, and the strategy that trains it.

    Raises:
        WeightsError: if the weights are missing, damaged or of another network.
        NetworkError: if the network cannot be built or does not fit the recordings and conditions.
    """
    model, label_map = settings.model, settings.label_map
    path = None if model.weights is None else find_weights(model.weights, Path(model.checkpoint_dir))
    architecture = dict(model.architecture)
    record = ModelRecord(
        label_map=label_map,
        task=settings.task,
        preprocessing=Preprocessing.of(settings.preprocessing),
        architecture=architecture,
        pretrained=None if path is None else {"name": path.name, "sha256": sha256_of(path)},
        head="random" if path is None else model.head,
        versions=versions(),
        data_fingerprint=data.digest,
        seed=settings.seed,
        shifts=list(model.shifts),
    )
    strategy = made(settings.strategy, Strategy)  # type: ignore[type-abstract]
    torch.manual_seed(settings.seed)  # so that the start does not depend on what was drawn while the data was prepared
    typed_by_the_user = {target for _, target in targets_in(architecture)}  # or checked when the configuration was read
    net = record.build_network(typed_by_the_user, "model.architecture")
    if path is not None:
        rows, combine = label_map.task_rows
        if model.head == "auto":
            pretrained = network_of_class(architecture["_target_"])
            outputs = None if pretrained is None else pretrained.outputs
            record.head = "pretrained" if has_task_rows(net, path, rows, outputs) else "random"
        load_weights(net, path, rows if record.head == "pretrained" else None, combine)
        log.info("Weights: %s (head: %s)", path, record.head)
        if path.stem in weights_files():
            warn_of_other_preprocessing(record.preprocessing, path.stem)
    if strategy.stochastic_depth:
        net.skip_blocks(strategy.stochastic_depth)
    return Model(net, record, strategy)


def warn_of_other_preprocessing(preprocessing: PreprocessingSettings, weights: str) -> None:
    """Warn where a pretrained network reads another signal than it was pretrained on.

    ECGFounder's authors ask that their preprocessing be followed strictly; docs/mistakes.md measures what it costs.

    Args:
        preprocessing: of the run.
        weights: name of a pretrained file.
    """
    network, file = weights_files()[weights]
    for name, (here, there) in preprocessing.unlike(pretraining_of(network, file.leads)).items():
        log.warning("preprocessing.%s=%s, but %s was pretrained with %s", name, _short(here), weights, _short(there))


def _short(setting: Any) -> str:
    """A value, or the values of a step, as they are typed."""
    if is_dataclass(setting):
        return "{" + ",".join(f"{name}:{value}" for name, value in vars(setting).items()) + "}"
    return "null" if setting is None else str(setting)


def build_classifier(settings: Settings, model: Model, data: PreparedData, inputs: Inputs) -> Classifier:
    """The module that trains a model on inputs, by what the configuration says of loss, optimizer and scheduler."""
    task = model.record.task
    loss = made(settings.loss, Loss)  # type: ignore[type-abstract]
    exclusive = getattr(loss, "exclusive", task.exclusive)
    if exclusive != task.exclusive:
        raise ConfigurationError(
            f"task.loss is {type(loss).__name__}, which is not made for task={task.name}; its own is "
            f"task/loss={task.default_loss}"
        )
    balance = None
    if settings.batches.imbalance == "pos_weight":
        balance = torch.from_numpy(task.loss_weights(data.targets[(data.table["split"] == TRAIN).to_numpy()]))
    training = Training(
        loss=loss,
        optimizer=cast(Any, instantiate(settings.optimizer, _partial_=True, _convert_="all")),
        scheduler=scheduler_of(settings.scheduler),
        monitor=settings.monitor.name,
        balance=balance,
        augment=inputs.augment,
        config=settings.content,
    )
    return Classifier(model.record, model.net, training, inputs.entry)


def build_data_module(
    settings: Settings, model: Model, data: PreparedData, inputs: Inputs, batch_size: int
) -> ECGDataModule:
    """The batches that training reads."""
    return ECGDataModule(
        inputs.stored,
        data.table["split"],
        data.targets,
        model.record.label_map.codes,
        model.record.task,
        training_views=inputs.training_views,
        batch_size=batch_size,
        imbalance=settings.batches.imbalance,
        seed=settings.seed,
    )


def made(given: Any, kind: type[Made]) -> Made:
    """Return an object of the settings as it is, or instantiate a node that names a class of the user's."""
    return given if isinstance(given, kind) else cast(Made, instantiate(given))


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that a result depends on."""
    return {"python": platform.python_version()} | {name: importlib.metadata.version(name) for name in PACKAGES}


def scheduler_of(scheduler: Schedule | Node) -> Callable[[torch.optim.Optimizer, int], Any]:
    """Return what makes a schedule for an optimizer and a number of steps.

    Schedules of this package are told their number of steps, others only if they ask for it.
    """
    if isinstance(scheduler, Schedule):
        return scheduler
    build = instantiate(scheduler, _partial_=True)
    if "total_steps" in inspect.signature(build.func).parameters:
        return lambda optimizer, steps: build(optimizer, total_steps=steps)
    return lambda optimizer, steps: build(optimizer)
