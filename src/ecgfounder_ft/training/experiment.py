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
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
import pytorch_lightning as pl
import torch
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning.callbacks import ModelCheckpoint, WeightAveraging
from pytorch_lightning.utilities.rank_zero import rank_zero_only

from ecgfounder_ft.config.compose import ConfigurationError, typed
from ecgfounder_ft.config.schema import Config
from ecgfounder_ft.data.augmentation import Augmentation
from ecgfounder_ft.data.datamodule import ECGDataModule
from ecgfounder_ft.data.gather_and_split import prepare_data
from ecgfounder_ft.data.split_settings import SplitSettings
from ecgfounder_ft.data.splits import TRAIN
from ecgfounder_ft.data.store.frozen_output_views import store_views
from ecgfounder_ft.data.store.frozen_outputs import store_activations
from ecgfounder_ft.data.store.reading import StoredSignals
from ecgfounder_ft.ecg.preprocessing import Preprocessing
from ecgfounder_ft.errors import ExplainedError
from ecgfounder_ft.files import sha256_of
from ecgfounder_ft.finetune.strategy import FollowStrategy, Strategy, digest_of
from ecgfounder_ft.labels import LabelMap
from ecgfounder_ft.memory import keep_freed_memory
from ecgfounder_ft.model.card import CARD_KEY, ModelCard
from ecgfounder_ft.model.checkpoints import load_weights
from ecgfounder_ft.model.ecgfounder.published import find_weights
from ecgfounder_ft.report.finetuning_plots import lr_finder_figure, wise_ft_figure
from ecgfounder_ft.report.plots import save_figure
from ecgfounder_ft.runs.report import evaluation_settings, report_options, report_run
from ecgfounder_ft.targets import targets_in
from ecgfounder_ft.task import task_named
from ecgfounder_ft.training import results
from ecgfounder_ft.training.batch_size import SMALLEST, find_batch_size
from ecgfounder_ft.training.classifier import CONFIG_KEY, Classifier, NonFiniteLossError, Training
from ecgfounder_ft.training.last_checkpoint import LAST
from ecgfounder_ft.training.lr_finder import range_test
from ecgfounder_ft.training.results import History, Start
from ecgfounder_ft.training.resume import require_same_meaning, show_changes
from ecgfounder_ft.training.strategy_table import print_strategy
from ecgfounder_ft.training.wise_ft import best_row, copy_of_state, interpolate, print_wise_ft

log = logging.getLogger(__name__)

PACKAGES = ("ecgfounder-ft", "torch", "pytorch-lightning", "hydra-core", "numpy", "scipy", "pandas", "torchmetrics")
"""Whose versions a run records."""
BATCH_SIZE = 32
"""Recordings at once where nothing depends on it: while ``data.batch_size=auto`` is not found yet."""


class SeveralDevicesError(ExplainedError):
    """Several devices for what one alone can do."""


class TrainingStoppedError(ExplainedError):
    """Training cannot go on; the message names the recordings at fault and what to try."""


def run_experiment(config: Config) -> float | None:
    """Train and test one model; everything it produces stands in ``config.output_dir``.

    Returns:
        The best epoch's ``config.optimized_metric``, for sweeps that search.
    """
    _refuse_what_needs_one_device(config)
    _refuse_views_of_mixed_recordings(config)
    chosen_batch_size(config)
    keep_freed_memory()
    folder = Path(config.output_dir)
    folder.mkdir(parents=True, exist_ok=True)
    with _status(folder) as status:
        if config.resume is None:
            _save_configuration(config, folder)
        pl.seed_everything(config.seed, verbose=False)
        _allow_tf32(config.tf32)
        _quieten()
        label_map = typed(LabelMap, config.labels)
        preprocessing = typed(Preprocessing, config.preprocessing)
        split = typed(SplitSettings, config.split)
        data = prepare_data(config.data, label_map, config.task.name, preprocessing, split, config.seed, folder)
        datamodule = ECGDataModule(
            data.signals,
            data.table["split"],
            data.targets,
            label_map.codes,
            config.task.name,
            batch_size=chosen_batch_size(config) or BATCH_SIZE,
            imbalance=config.data.imbalance,
            seed=config.seed,
        )
        classifier, strategy = build_classifier(
            config, label_map, preprocessing, data.fingerprint, datamodule.loss_weights
        )
        last = folder / "checkpoints" / LAST
        resumed = last if config.resume is not None and last.is_file() else None
        if resumed is not None:
            before = torch.load(resumed, map_location="cpu", weights_only=True)
            require_same_meaning(before[CARD_KEY], classifier.card.to_dict(), folder)
            show_changes(before[CONFIG_KEY], _plain(config))
            log.info("Going on from %s", resumed)
        _save_configuration(config, folder)  # once more, now that a resumed run's changes are not refused
        enter_at_stored_activations(config, classifier, strategy, datamodule)
        untrained = copy_of_state(classifier.net) if config.wise_ft.enabled else {}
        strategy.prepare(classifier.net)
        if chosen_batch_size(config) is None:
            choose_batch_size(config, classifier, strategy, datamodule)
            _save_configuration(config, folder)
        if config.lr_finder.enabled:
            find_learning_rate(config, classifier, strategy, datamodule, folder, search=resumed is None)
        if is_main_process():
            print_strategy(classifier.net, strategy, config.trainer.max_epochs, config.optimizer.lr)
        history = History()
        trainer = build_trainer(config, [FollowStrategy(strategy, config.monitor.name, config.monitor.mode), history])
        try:
            start = evaluate_start(trainer, classifier, datamodule)
            trainer.fit(classifier, datamodule=datamodule, ckpt_path=resumed, weights_only=True)
        except NonFiniteLossError as error:
            raise TrainingStoppedError(_explain_not_finite(error, data.table)) from error
        except torch.OutOfMemoryError as error:
            raise TrainingStoppedError(_explain_out_of_memory(config, error)) from error
        if not last.is_file():  # no epoch ended, as with trainer.max_epochs=0: the start is the model
            trainer.save_checkpoint(last)
        _load_best(trainer, classifier)
        strategy.finish(classifier.net)
        if untrained and config.trainer.max_epochs > 0:
            choose_interpolation(config, trainer, classifier, datamodule, untrained, folder)
        trainer.validate(classifier, datamodule=datamodule, verbose=False)
        trainer.test(classifier, datamodule=datamodule, verbose=False)
        figure = float(classifier.figures["validation"].get(config.optimized_metric, float("nan")))
        if is_main_process():
            results.write_results(folder, classifier, data, history, start)
            chosen = config.evaluation
            run, pictures = report_run(
                folder, evaluation_settings(chosen), report_options(chosen), trusted=_network_classes(config)
            )
            for logger in trainer.loggers:
                results.log_results(logger, run.evaluation, pictures, config)
            results.print_summary(run.evaluation, start, folder)
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
        task=task_named(config.task.name),
        preprocessing=preprocessing,
        architecture=cast(dict[str, Any], OmegaConf.to_container(cast(DictConfig, model.architecture), resolve=True)),
        pretrained=None if path is None else {"name": path.name, "sha256": sha256_of(path)},
        head=model.head if path is not None else "random",
        versions=versions(),
        data_fingerprint=data_fingerprint,
        seed=config.seed,
    )
    strategy = cast(Strategy, instantiate(config.finetune))
    augmentation = cast(Augmentation, instantiate(config.augment))
    training = Training(
        loss=instantiate(config.task.loss, balance=None if loss_weights is None else torch.from_numpy(loss_weights)),
        optimizer=cast(Any, instantiate(config.optimizer, _partial_=True, _convert_="all")),
        scheduler=_scheduler(config.scheduler),
        monitor=config.monitor.name,
        augment=augmentation if augmentation.effects else None,
        config=_plain(config),
    )
    torch.manual_seed(config.seed)  # so that the start does not depend on what was drawn while the data was prepared
    classifier = Classifier(card.to_dict(), training=training, trusted=_network_classes(config))
    if path is not None:
        rows = [condition.tasks for condition in label_map.conditions.values()]
        load_weights(classifier.net, path, rows if model.head == "pretrained" else None)
        log.info("Weights: %s (head: %s)", path, model.head)
    return classifier, strategy


def build_trainer(config: Config, callbacks: list[pl.Callback]) -> pl.Trainer:
    """The Lightning trainer with the configured callbacks and loggers."""
    shown = {"progress_bar"} if not config.trainer.enable_progress_bar else set()
    configured = [instantiate(callback) for name, callback in config.callbacks.items() if name not in shown]
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
            default_root_dir=config.output_dir,
            _convert_="all",
        ),
    )


def choose_precision(wanted: str, accelerator: str) -> str:
    """``auto`` becomes bfloat16 where the CUDA card has it, else float16; float32 without CUDA."""
    if wanted != "auto":
        return wanted
    if choose_accelerator(accelerator) == "cpu":
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
    return Start(figures["validation"], figures["test"], dict(classifier.collected))


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that a result depends on."""
    return {"python": platform.python_version()} | {name: importlib.metadata.version(name) for name in PACKAGES}


def _scheduler(config: Any) -> Callable[[torch.optim.Optimizer, int], Any]:
    build = cast(Any, instantiate(config, _partial_=True))
    if "total_steps" in inspect.signature(build.func).parameters:
        return lambda optimizer, steps: build(optimizer, total_steps=steps)
    return lambda optimizer, steps: build(optimizer)


def enter_at_stored_activations(
    config: Config, classifier: Classifier, strategy: Strategy, datamodule: ECGDataModule
) -> None:
    """Compute the output of the parts that never train once, and let batches enter behind them.

    Where signals change from epoch to epoch, that is done for as many versions of them as ``augment.stored_views``
    says, and by default not at all; nor for the stem alone, whose output is larger than its input.
    """
    parts = list(classifier.net.parts())
    prefix = strategy.frozen_prefix(parts, config.trainer.max_epochs)
    plan = cast(Training, classifier.training_plan)
    augmentation = cast(Augmentation | None, plan.augment)
    wanted = strategy.store_activations == "auto" and config.trainer.max_epochs > 0
    if wanted and prefix and not classifier.net.can_enter_between_parts:
        log.info(
            "Parts up to %s never train, but run in every epoch: batches cannot enter this network behind them, so no "
            "output is stored",
            prefix[-1],
        )
        return
    if not wanted or len(prefix) < 2:
        if augmentation is not None and augmentation.stored_views:
            log.info("augment.stored_views: no output of frozen parts is stored, signals change anew in every epoch")
        return
    if augmentation is not None and not augmentation.stored_views:
        log.info("Augmentation changes the signals: parts up to %s never train, but run in every epoch", prefix[-1])
        return
    device = choose_device(config)
    lower = autocast_type(config)
    net = classifier.net.to(device).eval()

    def run(signal: torch.Tensor) -> torch.Tensor:
        with torch.inference_mode(), torch.autocast(device.type, dtype=lower, enabled=lower is not None):
            return net.run_until(prefix[-1], signal.to(device)).float().cpu()

    what = f"{prefix[-1]} of {digest_of(net.parts()[part] for part in prefix)}" + (f" in {lower}" if lower else "")
    signals = cast(StoredSignals, datamodule.stored)
    progress = config.trainer.enable_progress_bar and is_main_process()
    stored = store_activations(signals, run, what, datamodule.batch_size, progress)
    views = None
    if stored is not None and augmentation is not None:
        training = datamodule.positions[TRAIN]
        views = store_views(signals, training, augmentation, run, what, datamodule.batch_size, progress)
    classifier.net.to("cpu").train()
    if stored is None or (augmentation is not None and views is None):
        return
    datamodule.stored = stored
    datamodule.training_views = views
    plan.augment = None  # the views have it in them
    classifier.entry = parts[len(prefix)]
    log.info("Parts up to %s never train: batches enter at %s, from stored outputs", prefix[-1], classifier.entry)
    if views is not None:
        log.info("Epochs take %d stored views of each training recording in turn", len(views.views))


def _network_classes(config: Config) -> list[str]:
    """The classes that the network is built of; whoever started the run wrote their names."""
    return [target for _, target in targets_in(OmegaConf.to_container(cast(DictConfig, config.model.architecture)))]


def choose_batch_size(config: Config, classifier: Classifier, strategy: Strategy, datamodule: ECGDataModule) -> None:
    """Find the batch size for ``data.batch_size=auto`` and write it into the configuration of the run."""
    try:
        found = find_batch_size(
            classifier,
            strategy,
            datamodule.stored.shape,
            len(datamodule.positions[TRAIN]),
            config.trainer.max_epochs,
            choose_device(config),
            autocast_type(config),
        )
    except torch.OutOfMemoryError as error:
        raise TrainingStoppedError(_explain_out_of_memory(config, error)) from error
    tried = ", ".join(f"{size}: {speed:.0f}" for size, speed in found.speed.items())
    limit = f"; {found.too_large} does not fit into the GPU's memory" if found.too_large else ""
    log.info("data.batch_size=auto takes %d (recordings/s by size: %s%s)", found.chosen, tried, limit)
    config.data.batch_size = datamodule.batch_size = found.chosen
    cast(Training, classifier.training_plan).config = _plain(config)


def chosen_batch_size(config: Config) -> int | None:
    """``data.batch_size``, None while it is ``auto``.

    Raises:
        ConfigurationError: if it is neither ``auto`` nor a number above 0.
    """
    size = config.data.batch_size
    if size == "auto":
        return None
    if not isinstance(size, int) or size < 1:
        raise ConfigurationError(f"data.batch_size is {size!r}, expected a number of recordings or auto")
    return size


def find_learning_rate(
    config: Config, classifier: Classifier, strategy: Strategy, datamodule: ECGDataModule, folder: Path, search: bool
) -> None:
    """Run the range test, draw it, and take the learning rate that it suggests; a resumed run takes the same one."""
    file = folder / "lr_finder.json"
    if search:
        loader = datamodule.train_dataloader()
        settings = config.lr_finder
        device = choose_device(config)
        found = range_test(classifier, strategy, loader, settings.lowest, settings.highest, settings.steps, device)
        file.write_text(json.dumps(asdict(found), indent=2) + "\n", encoding="utf-8")
        save_figure(lr_finder_figure(found.rates, found.losses, found.suggestion), folder / "lr_finder.png")
    suggestion = json.loads(file.read_text(encoding="utf-8"))["suggestion"]
    if suggestion is None:
        log.warning("The range test found no rate at which the loss falls; optimizer.lr stays %g", config.optimizer.lr)
        return
    log.info("The range test suggests optimizer.lr=%.3g (was %g): lr_finder.png", suggestion, config.optimizer.lr)
    config.optimizer.lr = suggestion
    plan = cast(Training, classifier.training_plan)
    plan.optimizer = cast(Any, instantiate(config.optimizer, _partial_=True, _convert_="all"))


def choose_interpolation(
    config: Config,
    trainer: pl.Trainer,
    classifier: Classifier,
    datamodule: ECGDataModule,
    start: dict[str, torch.Tensor],
    folder: Path,
) -> None:
    """WiSE-FT: evaluate weights between start and end on validation, and keep the best by the monitored figure."""
    end = copy_of_state(classifier.net)
    rows = []
    loggers, trainer.loggers = trainer.loggers, []
    for coefficient in config.wise_ft.coefficients:
        classifier.net.load_state_dict(interpolate(start, end, coefficient))
        trainer.validate(classifier, datamodule=datamodule, verbose=False)
        figures = {name: float(value) for name, value in classifier.figures["validation"].items()}
        rows.append({"coefficient": float(coefficient)} | figures)
    trainer.loggers = loggers
    best = best_row(rows, config.monitor.name, config.monitor.mode)
    classifier.net.load_state_dict(interpolate(start, end, best["coefficient"]))
    if is_main_process():
        content = {"monitor": config.monitor.name, "chosen": best["coefficient"], "rows": rows}
        (folder / "wise_ft.json").write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
        save_figure(wise_ft_figure(rows, best["coefficient"]), folder / "wise_ft.png")
        print_wise_ft(rows, best["coefficient"])


def is_main_process() -> bool:
    """False in all but one process of a run on several devices."""
    return rank_zero_only.rank == 0  # type: ignore[attr-defined]


def choose_device(config: Config) -> torch.device:
    """Of what is computed before the trainer takes over."""
    return torch.device(choose_accelerator(config.trainer.accelerator))


def autocast_type(config: Config) -> torch.dtype | None:
    """The lower precision of mixed-precision training; None: float32."""
    precision = choose_precision(config.trainer.precision, config.trainer.accelerator)
    return {"bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}.get(precision)


def choose_accelerator(wanted: str) -> str:
    """``cuda`` or ``cpu``."""
    return "cuda" if wanted in ("auto", "gpu", "cuda") and torch.cuda.is_available() else "cpu"


def _plain(config: Config) -> dict[str, Any]:
    return cast(dict[str, Any], OmegaConf.to_container(cast(DictConfig, config), resolve=True))


def _save_configuration(config: Config, folder: Path) -> None:
    if is_main_process():
        OmegaConf.save(cast(DictConfig, config), folder / "config.yaml", resolve=True)


def _has_several_devices(config: Config) -> bool:
    devices = config.trainer.devices
    if devices in ("auto", -1, "-1"):
        return choose_accelerator(config.trainer.accelerator) == "cuda" and torch.cuda.device_count() > 1
    return len(devices) > 1 if OmegaConf.is_list(devices) else int(devices) > 1


def _refuse_what_needs_one_device(config: Config) -> None:
    if not _has_several_devices(config):
        return
    if HydraConfig.initialized() and HydraConfig.get().mode == RunMode.MULTIRUN:
        raise SeveralDevicesError(
            f"trainer.devices={config.trainer.devices} in a multirun: each further process would start the whole sweep "
            "again, and with a searching sweeper train on values of its own. Use trainer.devices=1 in a sweep, or "
            "start its trials one by one"
        )
    if config.data.batch_size == "auto":
        raise SeveralDevicesError(
            "data.batch_size=auto with several devices: each process would find a size of its own. Find it with "
            "trainer.devices=1 trainer.max_epochs=1 trainer.limit_train_batches=1, then set data.batch_size"
        )
    if config.lr_finder.enabled:
        raise SeveralDevicesError(
            "lr_finder.enabled with several devices: each process would find a rate of its own. Find it with "
            "trainer.devices=1 trainer.max_epochs=0, then set optimizer.lr"
        )


def _refuse_views_of_mixed_recordings(config: Config) -> None:
    chosen = config.augment
    if chosen.stored_views and chosen.mixup:
        raise ConfigurationError(
            f"augment.stored_views={chosen.stored_views} with augment.mixup={chosen.mixup}: a stored view holds "
            "recordings one by one, mixup mixes those of a batch. Set one of the two to 0"
        )


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
            content = torch.load(callback.best_model_path, map_location="cpu", weights_only=True)
            classifier.load_state_dict(content["state_dict"])


def _explain_out_of_memory(config: Config, error: torch.OutOfMemoryError) -> str:
    size = chosen_batch_size(config)
    needed = str(error).split(". ")[0]
    if size is None or size == 1:
        least = SMALLEST if size is None else 1
        return (
            f"the GPU's memory is too small for {least} recording(s) a batch ({needed}). "
            "Try finetune=linear_probe or finetune=lora" + (", or data.batch_size=1" if size is None else "")
        )
    steps = 2 * config.trainer.accumulate_grad_batches
    return (
        f"the GPU's memory is too small for data.batch_size={size} ({needed}). Try data.batch_size={size // 2} "
        f"trainer.accumulate_grad_batches={steps}, which makes the same optimizer steps; data.batch_size=auto finds "
        "the size that fits"
    )


def _explain_not_finite(error: NonFiniteLossError, table: pd.DataFrame) -> str:
    names = table["recording"].iloc[error.recordings].tolist()
    shown = ", ".join(names[:10]) + (f" and {len(names) - 10} more" if len(names) > 10 else "")
    return (
        f"{error}: {shown}. If these are few, look at them (`ecgfounder-ft draw`) or leave them out; if they are a "
        "whole batch, training diverged: lower optimizer.lr, or set trainer.precision=32-true"
    )


def _allow_tf32(allowed: bool) -> None:
    """Whether CUDA may round the factors of float32 products to TensorFloat-32; torch allows convolutions to."""
    torch.set_float32_matmul_precision("high" if allowed and torch.cuda.is_available() else "highest")
    torch.backends.cudnn.allow_tf32 = allowed


def _quieten() -> None:
    """Warnings of Lightning that describe what this package decided on purpose, and all but one process of several."""
    if not is_main_process():
        logging.getLogger().setLevel(logging.ERROR)
    for message in (
        ".*does not have many workers.*",
        ".*Checkpoint directory .* exists and is not empty.*",
        ".*The number of training batches.*smaller than the logging interval.*",
        ".*Found .* module.* in eval mode.*",
        ".*isinstance.treespec, LeafSpec.*",
        ".*The `srun` command is available.*",
        ".*recommended to use `self.log.*sync_dist=True.*",
    ):
        warnings.filterwarnings("ignore", message=message)
    for name in (
        "pytorch_lightning.utilities.rank_zero",
        "pytorch_lightning.accelerators.cuda",
        "pytorch_lightning.trainer.connectors.checkpoint_connector",
    ):
        logging.getLogger(name).setLevel(logging.WARNING)


@contextmanager
def _status(folder: Path) -> Iterator[dict[str, Any]]:
    """``status.json``: running, finished or failed, so that a sweep's failures show without reading logs."""
    file = folder / "status.json"
    status: dict[str, Any] = {"state": "running", "started": time.strftime("%Y-%m-%dT%H:%M:%S%z")}
    begun = time.monotonic()

    def write() -> None:
        if is_main_process():
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
