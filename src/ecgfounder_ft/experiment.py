"""One experiment from its configuration to its results. The only room that knows all the others."""

import importlib.metadata
import inspect
import json
import logging
import platform
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
import pytorch_lightning as pl
import torch
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from ecgfounder_ft import results
from ecgfounder_ft.config import Config
from ecgfounder_ft.data.datamodule import ECGDataModule
from ecgfounder_ft.data.preparation import prepare_data
from ecgfounder_ft.data.splits import SplitSettings
from ecgfounder_ft.ecg.preprocessing import Preprocessing
from ecgfounder_ft.errors import ExplainedError
from ecgfounder_ft.finetune.strategy import FollowStrategy, Strategy
from ecgfounder_ft.labels import LabelMap
from ecgfounder_ft.model.card import ModelCard
from ecgfounder_ft.model.classifier import Classifier, NonFiniteLossError, Training
from ecgfounder_ft.model.weights import find_weights, load_weights, sha256_of
from ecgfounder_ft.results import History, Start

log = logging.getLogger(__name__)

PACKAGES = ("ecgfounder-ft", "torch", "pytorch-lightning", "hydra-core", "numpy", "scipy", "pandas", "torchmetrics")
"""Whose versions a run records."""


class TrainingStoppedError(ExplainedError):
    """Training cannot go on; the message names the recordings at fault and what to try."""


def run_experiment(config: Config) -> float | None:
    """Train and test one model; everything it produces stands in ``config.output_dir``.

    Returns:
        The best epoch's ``config.optimized_metric``, for sweeps that search.
    """
    folder = Path(config.output_dir)
    folder.mkdir(parents=True, exist_ok=True)
    with _status(folder) as status:
        OmegaConf.save(cast(DictConfig, config), folder / "config.yaml", resolve=True)
        pl.seed_everything(config.seed, verbose=False)
        _quieten()
        label_map = cast(LabelMap, OmegaConf.to_object(config.labels))
        preprocessing = cast(Preprocessing, OmegaConf.to_object(config.preprocessing))
        split = cast(SplitSettings, OmegaConf.to_object(config.split))
        data = prepare_data(config.data, label_map, config.task.name, preprocessing, split, config.seed, folder)
        datamodule = ECGDataModule(
            data.signals,
            data.table["split"],
            data.targets,
            label_map.codes,
            config.task.name,
            batch_size=config.data.batch_size,
            imbalance=config.data.imbalance,
            seed=config.seed,
        )
        classifier, strategy = build_classifier(
            config, label_map, preprocessing, data.fingerprint, datamodule.loss_weights
        )
        history = History()
        trainer = build_trainer(config, [FollowStrategy(strategy), history])
        start = evaluate_start(trainer, classifier, datamodule)
        try:
            trainer.fit(classifier, datamodule=datamodule)
        except NonFiniteLossError as error:
            raise TrainingStoppedError(_explain_not_finite(error, data.table)) from error
        best = _best_checkpoint(trainer)
        trainer.validate(classifier, datamodule=datamodule, ckpt_path=best, verbose=False)
        trainer.test(classifier, datamodule=datamodule, ckpt_path=best, verbose=False)
        summary = results.write_results(folder, classifier, data.table, data.targets, history, start, data.counts)
        for logger in trainer.loggers:
            results.log_results(logger, summary, config)
        results.print_summary(summary, folder)
        figure = summary.validation_figures.get(config.optimized_metric)
        status["optimized_metric"] = figure
        return figure


def build_classifier(
    config: Config,
    label_map: LabelMap,
    preprocessing: Preprocessing,
    data_fingerprint: str,
    loss_weights: np.ndarray | None,
) -> tuple[Classifier, Strategy]:
    """The network with its start, and the strategy that trains it."""
    model = config.model
    path = None if model.weights is None else find_weights(model.weights, Path(model.checkpoint_dir))
    card = ModelCard(
        label_map=label_map,
        task=config.task.name,
        preprocessing=preprocessing,
        architecture=cast(dict[str, Any], OmegaConf.to_container(cast(DictConfig, model.architecture), resolve=True)),
        pretrained=None if path is None else {"name": path.name, "sha256": sha256_of(path)},
        head=model.head if path is not None else "random",
        versions=versions(),
        data_fingerprint=data_fingerprint,
        seed=config.seed,
    )
    strategy = cast(Strategy, instantiate(config.finetune))
    training = Training(
        loss=instantiate(config.task.loss, balance=None if loss_weights is None else torch.from_numpy(loss_weights)),
        optimizer=cast(Any, instantiate(config.optimizer, _partial_=True, _convert_="all")),
        scheduler=_scheduler(config.scheduler),
        monitor=config.monitor.name,
    )
    torch.manual_seed(config.seed)  # so that the start does not depend on what was drawn while the data was prepared
    classifier = Classifier(card.to_dict(), training=training)
    if path is not None:
        rows = [condition.tasks for condition in label_map.conditions.values()]
        load_weights(classifier.net, path, rows if model.head == "pretrained" else None)
        log.info("Weights: %s (head: %s)", path, model.head)
    return classifier, strategy


def build_trainer(config: Config, callbacks: list[pl.Callback]) -> pl.Trainer:
    """The Lightning trainer with the configured callbacks and loggers."""
    configured = [instantiate(callback) for callback in config.callbacks.values()]
    loggers = [instantiate(logger) for logger in config.logger.values()]
    precision = choose_precision(config.trainer.precision, config.trainer.accelerator)
    return cast(
        pl.Trainer,
        instantiate(
            config.trainer,
            precision=precision,
            callbacks=[*callbacks, *configured],
            logger=loggers or False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            use_distributed_sampler=False,
            _convert_="all",
        ),
    )


def choose_precision(wanted: str, accelerator: str) -> str:
    """``auto`` becomes bfloat16 where the CUDA card has it, else float16; float32 without CUDA."""
    if wanted != "auto":
        return wanted
    if accelerator not in ("auto", "gpu", "cuda") or not torch.cuda.is_available():
        return "32-true"
    return "bf16-mixed" if torch.cuda.is_bf16_supported(including_emulation=False) else "16-mixed"


def evaluate_start(trainer: pl.Trainer, classifier: Classifier, datamodule: ECGDataModule) -> Start:
    """Figures of the untrained start on validation and test, the baseline of everything that follows."""
    loggers, trainer.loggers = trainer.loggers, []  # so that its figures do not stand in the curves of training
    trainer.validate(classifier, datamodule=datamodule, verbose=False)
    trainer.test(classifier, datamodule=datamodule, verbose=False)
    trainer.loggers = loggers
    figures = {
        side: {name: float(value) for name, value in found.items()} for side, found in classifier.figures.items()
    }
    return Start(figures["validation"], figures["test"])


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that a result depends on."""
    return {"python": platform.python_version()} | {name: importlib.metadata.version(name) for name in PACKAGES}


def _scheduler(config: Any) -> Callable[[torch.optim.Optimizer, int], Any]:
    build = cast(Any, instantiate(config, _partial_=True))
    if "total_steps" in inspect.signature(build.func).parameters:
        return lambda optimizer, steps: build(optimizer, total_steps=steps)
    return lambda optimizer, steps: build(optimizer)


def _best_checkpoint(trainer: pl.Trainer) -> str | None:
    checkpoint = trainer.checkpoint_callback
    path = getattr(checkpoint, "best_model_path", "")
    return path or None  # none was written where max_epochs is 0: the start is the model


def _explain_not_finite(error: NonFiniteLossError, table: pd.DataFrame) -> str:
    names = table["recording"].iloc[error.recordings].tolist()
    shown = ", ".join(names[:10]) + (f" and {len(names) - 10} more" if len(names) > 10 else "")
    return (
        f"{error}: {shown}. If these are few, look at them (`ecgfounder-ft draw`) or leave them out; if they are a "
        "whole batch, training diverged: lower optimizer.lr, or set trainer.precision=32-true"
    )


def _quieten() -> None:
    """Warnings of Lightning that describe what this package decided on purpose."""
    for message in (
        ".*does not have many workers.*",
        ".*Checkpoint directory .* exists and is not empty.*",
        ".*The number of training batches.*smaller than the logging interval.*",
        ".*Found .* module.* in eval mode.*",
        ".*isinstance.treespec, LeafSpec.*",
    ):
        warnings.filterwarnings("ignore", message=message)
    for name in ("pytorch_lightning.utilities.rank_zero", "pytorch_lightning.accelerators.cuda"):
        logging.getLogger(name).setLevel(logging.WARNING)


@contextmanager
def _status(folder: Path) -> Iterator[dict[str, Any]]:
    """``status.json``: running, finished or failed, so that a sweep's failures show without reading logs."""
    file = folder / "status.json"
    status: dict[str, Any] = {"state": "running", "started": time.strftime("%Y-%m-%dT%H:%M:%S%z")}
    begun = time.monotonic()

    def write() -> None:
        file.write_text(json.dumps(status, indent=2) + "\n", encoding="utf-8")

    write()
    try:
        yield status
    except BaseException as error:
        status |= {"state": "failed", "error": f"{type(error).__name__}: {error}"}
        raise
    else:
        status["state"] = "finished"
    finally:
        status["seconds"] = round(time.monotonic() - begun, 1)
        write()
