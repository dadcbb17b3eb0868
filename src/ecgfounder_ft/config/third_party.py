"""Schemas of classes that torch and Lightning define, or that derive from theirs, and so cannot be read without them.

A test binds each to the signature of the class that it mirrors.
"""

from dataclasses import dataclass
from typing import Any

from omegaconf import MISSING


@dataclass
class OptimizerConfig:
    """What every optimizer has."""

    lr: float = MISSING
    weight_decay: float = MISSING
    fused: bool = MISSING


@dataclass
class AdamConfig(OptimizerConfig):
    """torch.optim.Adam."""

    _target_: str = "torch.optim.Adam"
    betas: list[float] = MISSING


@dataclass
class AdamWConfig(OptimizerConfig):
    """torch.optim.AdamW."""

    _target_: str = "torch.optim.AdamW"
    betas: list[float] = MISSING


@dataclass
class SGDConfig(OptimizerConfig):
    """torch.optim.SGD."""

    _target_: str = "torch.optim.SGD"
    momentum: float = MISSING
    nesterov: bool = MISSING


@dataclass
class PlateauConfig:
    """torch.optim.lr_scheduler.ReduceLROnPlateau on the monitored metric."""

    _target_: str = "torch.optim.lr_scheduler.ReduceLROnPlateau"
    mode: str = MISSING
    factor: float = MISSING
    patience: int = MISSING
    min_lr: float = MISSING


@dataclass
class TrainerConfig:
    """Arguments of ``pytorch_lightning.Trainer``."""

    _target_: str = "pytorch_lightning.Trainer"
    max_epochs: int = MISSING
    accelerator: str = MISSING
    devices: Any = MISSING
    num_nodes: int = MISSING
    strategy: str = MISSING
    precision: str = MISSING
    gradient_clip_val: float | None = MISSING
    accumulate_grad_batches: int = MISSING
    log_every_n_steps: int = MISSING
    deterministic: Any = MISSING
    limit_train_batches: Any = MISSING
    limit_val_batches: Any = MISSING
    limit_test_batches: Any = MISSING
    enable_progress_bar: bool = MISSING


@dataclass
class EarlyStoppingConfig:
    """pytorch_lightning.callbacks.EarlyStopping."""

    _target_: str = "pytorch_lightning.callbacks.EarlyStopping"
    monitor: str = MISSING
    mode: str = MISSING
    patience: int = MISSING
    min_delta: float = MISSING
    check_on_train_epoch_end: bool = MISSING


@dataclass
class ModelCheckpointConfig:
    """pytorch_lightning.callbacks.ModelCheckpoint."""

    _target_: str = "pytorch_lightning.callbacks.ModelCheckpoint"
    dirpath: str = MISSING
    filename: str = MISSING
    monitor: str = MISSING
    mode: str = MISSING
    save_top_k: int = MISSING
    save_last: bool = MISSING
    save_on_train_epoch_end: bool = MISSING
    enable_version_counter: bool = MISSING


@dataclass
class LastCheckpointConfig:
    """The checkpoint that an interrupted run goes on from."""

    _target_: str = "ecgfounder_ft.training.callbacks.LastCheckpoint"
    dirpath: str = MISSING
    every_n_steps: int | None = MISSING


@dataclass
class EMAConfig:
    """pytorch_lightning.callbacks.EMAWeightAveraging."""

    _target_: str = "pytorch_lightning.callbacks.EMAWeightAveraging"
    decay: float = MISSING
    update_every_n_steps: int = MISSING


@dataclass
class RichProgressBarConfig:
    """pytorch_lightning.callbacks.RichProgressBar, narrower."""

    _target_: str = "ecgfounder_ft.training.progress_bar.ProgressBar"
    leave: bool = MISSING


@dataclass
class TensorBoardConfig:
    """pytorch_lightning.loggers.TensorBoardLogger, with tags in the order that its page shows them in."""

    _target_: str = "ecgfounder_ft.training.loggers.TensorBoard"
    save_dir: str = MISSING
    name: str = MISSING
    version: str = MISSING
    default_hp_metric: bool = MISSING


@dataclass
class TPESamplerConfig:
    """optuna.samplers.TPESampler; the search itself gives it a seed."""

    _target_: str = "optuna.samplers.TPESampler"
    n_startup_trials: int = MISSING
    multivariate: bool = MISSING
    constant_liar: bool = MISSING


@dataclass
class RandomSamplerConfig:
    """optuna.samplers.RandomSampler; the search itself gives it a seed."""

    _target_: str = "optuna.samplers.RandomSampler"


@dataclass
class NoPrunerConfig:
    """optuna.pruners.NopPruner."""

    _target_: str = "optuna.pruners.NopPruner"


@dataclass
class MedianPrunerConfig:
    """optuna.pruners.MedianPruner; a step is an epoch."""

    _target_: str = "optuna.pruners.MedianPruner"
    n_startup_trials: int = MISSING
    n_warmup_steps: int = MISSING


@dataclass
class HyperbandPrunerConfig:
    """optuna.pruners.HyperbandPruner; the resource is the epoch."""

    _target_: str = "optuna.pruners.HyperbandPruner"
    min_resource: int = MISSING
    max_resource: int = MISSING
    reduction_factor: int = MISSING


@dataclass
class CSVConfig:
    """pytorch_lightning.loggers.CSVLogger."""

    _target_: str = "pytorch_lightning.loggers.CSVLogger"
    save_dir: str = MISSING
    name: str = MISSING
    version: str | None = MISSING
    flush_logs_every_n_steps: int = MISSING


@dataclass
class WandbConfig:
    """pytorch_lightning.loggers.WandbLogger, with the arguments of ``wandb.init`` that it hands on."""

    _target_: str = "pytorch_lightning.loggers.WandbLogger"
    project: str = MISSING
    entity: str | None = MISSING
    group: str | None = MISSING
    name: str | None = MISSING
    save_dir: str = MISSING
    offline: bool = MISSING
    log_model: bool = MISSING


@dataclass
class MLFlowConfig:
    """pytorch_lightning.loggers.MLFlowLogger."""

    _target_: str = "pytorch_lightning.loggers.MLFlowLogger"
    experiment_name: str = MISSING
    run_name: str | None = MISSING
    tracking_uri: str = MISSING
    log_model: bool = MISSING


@dataclass
class SlurmLauncherConfig:
    """hydra_plugins.hydra_submitit_launcher.config.SlurmQueueConf."""

    _target_: str = "hydra_plugins.ecgfounder_ft_slurm.SlurmLauncher"
    partition: str | None = MISSING
    account: str | None = MISSING
    qos: str | None = MISSING
    constraint: str | None = MISSING
    exclude: str | None = MISSING
    comment: str | None = MISSING
    name: str = MISSING
    array_parallelism: int = MISSING
    timeout_min: int = MISSING
    signal_delay_s: int = MISSING
    max_num_timeout: int = MISSING
    nodes: int = MISSING
    tasks_per_node: int = MISSING
    cpus_per_task: int | None = MISSING
    gpus_per_node: int | None = MISSING
    gres: str | None = MISSING
    mem_gb: int | None = MISSING
    gpus_per_task: int | None = MISSING
    cpus_per_gpu: int | None = MISSING
    mem_per_gpu: str | None = MISSING
    mem_per_cpu: str | None = MISSING
    additional_parameters: dict[str, Any] = MISSING
    setup: list[str] | None = MISSING
    stderr_to_stdout: bool = MISSING
    submitit_folder: str = MISSING


MIRRORS: dict[str, dict[str, type]] = {
    "optimizer": {"adam_schema": AdamConfig, "adamw_schema": AdamWConfig, "sgd_schema": SGDConfig},
    "scheduler": {"plateau_schema": PlateauConfig},
    "trainer": {"trainer_schema": TrainerConfig},
    "callbacks": {
        "early_stopping_schema": EarlyStoppingConfig,
        "model_checkpoint_schema": ModelCheckpointConfig,
        "last_checkpoint_schema": LastCheckpointConfig,
        "ema_schema": EMAConfig,
        "rich_progress_bar_schema": RichProgressBarConfig,
    },
    "logger": {
        "tensorboard_schema": TensorBoardConfig,
        "csv_schema": CSVConfig,
        "wandb_schema": WandbConfig,
        "mlflow_schema": MLFlowConfig,
    },
    "hydra/launcher": {"slurm_schema": SlurmLauncherConfig},
    "sweep/sampler": {"tpe_schema": TPESamplerConfig, "random_sampler_schema": RandomSamplerConfig},
    "sweep/pruner": {
        "no_pruner_schema": NoPrunerConfig,
        "median_pruner_schema": MedianPrunerConfig,
        "hyperband_pruner_schema": HyperbandPrunerConfig,
    },
}
"""Configuration group to schemas."""
