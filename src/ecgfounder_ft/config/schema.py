"""The typed schema of every configuration group. A misspelt key is refused wherever it stands, experiments included.

The values, and a comment with the unit of each, are in ``configs/``. This module imports no torch, so that ``--help``
and a refused configuration answer at once.
"""

from dataclasses import dataclass, field
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING, OmegaConf

from ecgfounder_ft.data.split_settings import SplitSettings
from ecgfounder_ft.ecg.preprocessing_settings import PreprocessingSettings
from ecgfounder_ft.labels import LabelMap
from ecgfounder_ft.model.ecgfounder.architecture import Net1DArchitecture


@dataclass
class DataConfig:
    """What every data source has in common."""

    source: str = MISSING
    max_samples: int | None = MISSING
    batch_size: Any = MISSING  # int or "auto"; a Union breaks when OmegaConf merges it
    imbalance: str = MISSING
    workers: int | None = MISSING
    store: str = MISSING


@dataclass
class SelectedDataConfig(DataConfig):
    """Two folders of recordings selected by hand, a subfolder a condition."""

    source: str = "selected"
    mimic_path: str | None = MISSING
    physionet_path: str | None = MISSING
    unlisted: str = MISSING


@dataclass
class SimulatedDataConfig(SelectedDataConfig):
    """The same two folders, filled by the simulator."""

    source: str = "simulated"
    root: str = MISSING
    recordings_per_condition: int = MISSING
    seed: int = MISSING


@dataclass
class MimicIvEcgConfig:
    """MIMIC-IV-ECG as downloaded."""

    root: str | None = MISSING
    check_files: bool = MISSING


@dataclass
class Physionet2021Config:
    """PhysioNet/CinC Challenge 2021 as downloaded."""

    root: str | None = MISSING
    ptbxl_database: str | None = MISSING


@dataclass
class MergedDataConfig(DataConfig):
    """Both datasets as downloaded, or one of them."""

    source: str = "merged"
    catalogs: str = MISSING
    mimic_iv_ecg: MimicIvEcgConfig = field(default_factory=MimicIvEcgConfig)
    physionet2021: Physionet2021Config = field(default_factory=Physionet2021Config)


@dataclass
class MimicIvEcgDataConfig(DataConfig, MimicIvEcgConfig):
    """MIMIC-IV-ECG alone."""

    source: str = "mimic_iv_ecg"
    catalogs: str = MISSING


@dataclass
class Physionet2021DataConfig(DataConfig, Physionet2021Config):
    """PhysioNet/CinC Challenge 2021 alone."""

    source: str = "physionet2021"
    catalogs: str = MISSING


@dataclass
class TableDataConfig(DataConfig):
    """A table of the user's own recordings and labels."""

    source: str = "table"
    path: str = MISSING
    root: str | None = MISSING


@dataclass
class CrossEntropyConfig:
    """Softmax cross-entropy."""

    _target_: str = "ecgfounder_ft.training.losses.CrossEntropy"
    label_smoothing: float = MISSING


@dataclass
class BinaryCrossEntropyConfig:
    """A binary cross-entropy a condition."""

    _target_: str = "ecgfounder_ft.training.losses.BinaryCrossEntropy"


@dataclass
class AsymmetricConfig:
    """The asymmetric loss."""

    _target_: str = "ecgfounder_ft.training.losses.Asymmetric"
    gamma_negative: float = MISSING
    gamma_positive: float = MISSING
    clip: float = MISSING


@dataclass
class TaskConfig:
    """What is predicted, and the loss that trains it."""

    name: str = MISSING
    loss: Any = MISSING


@dataclass
class ModelConfig:
    """The network and where it starts."""

    leads: list[str] = MISSING
    weights: str | None = MISSING
    head: str = MISSING
    checkpoint_dir: str = MISSING
    architecture: Any = MISSING


@dataclass
class FinetuneConfig:
    """What every strategy has beside its own settings."""

    store_activations: str = MISSING


@dataclass
class FullConfig(FinetuneConfig):
    """Everything trains."""

    _target_: str = "ecgfounder_ft.finetune.full.Full"


@dataclass
class LinearProbeConfig(FinetuneConfig):
    """The last layer trains."""

    _target_: str = "ecgfounder_ft.finetune.linear_probe.LinearProbe"


@dataclass
class LastStagesConfig(FinetuneConfig):
    """The last layer and some stages train."""

    _target_: str = "ecgfounder_ft.finetune.last_stages.LastStages"
    stages: int = MISSING


@dataclass
class GradualConfig(FinetuneConfig):
    """One stage after the other is unfrozen."""

    _target_: str = "ecgfounder_ft.finetune.gradual.Gradual"
    every_n_epochs: int = MISSING
    parts_per_step: int = MISSING


@dataclass
class DiscriminativeConfig(FinetuneConfig):
    """A learning rate a depth group."""

    _target_: str = "ecgfounder_ft.finetune.discriminative.Discriminative"
    decay: float = MISSING


@dataclass
class LPFTConfig(FinetuneConfig):
    """Linear probing, then everything."""

    _target_: str = "ecgfounder_ft.finetune.lp_ft.LPFT"
    probe_epochs: int = MISSING
    patience: int = MISSING
    full_rate: float = MISSING


@dataclass
class LoRAConfig(FinetuneConfig):
    """Low-rank adapters."""

    _target_: str = "ecgfounder_ft.finetune.lora.LoRA"
    rank: int = MISSING
    alpha: int = MISSING


@dataclass
class AugmentationConfig:
    """Random changes of training batches."""

    _target_: str = "ecgfounder_ft.data.augmentation.Augmentation"
    probability: float = MISSING
    time_shift: float = MISSING
    amplitude_scale: float = MISSING
    baseline_wander: float = MISSING
    mains: float = MISSING
    mains_frequency: float = MISSING
    muscle: float = MISSING
    lead_dropout: float = MISSING
    time_mask: float = MISSING
    mixup: float = MISSING
    sampling_rate: float = MISSING
    seed: int = MISSING
    stored_views: int = MISSING


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
    """torch.optim.lr_scheduler.ReduceLROnPlateau on the monitored figure."""

    _target_: str = "torch.optim.lr_scheduler.ReduceLROnPlateau"
    mode: str = MISSING
    factor: float = MISSING
    patience: int = MISSING
    min_lr: float = MISSING


@dataclass
class CosineConfig:
    """Warm-up and half a cosine."""

    _target_: str = "ecgfounder_ft.training.schedules.cosine"
    warmup: float = MISSING
    floor: float = MISSING


@dataclass
class OneCycleConfig:
    """Up and down once."""

    _target_: str = "ecgfounder_ft.training.schedules.one_cycle"
    warmup: float = MISSING


@dataclass
class ConstantConfig:
    """No schedule."""

    _target_: str = "ecgfounder_ft.training.schedules.constant"


@dataclass
class TrainerConfig:
    """Arguments of ``pytorch_lightning.Trainer``."""

    _target_: str = "pytorch_lightning.Trainer"
    max_epochs: int = MISSING
    accelerator: str = MISSING
    devices: Any = MISSING
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
class MonitorConfig:
    """The validation figure by which the best epoch is known."""

    name: str = MISSING
    mode: str = MISSING


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

    _target_: str = "ecgfounder_ft.training.last_checkpoint.LastCheckpoint"
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
    """pytorch_lightning.callbacks.RichProgressBar."""

    _target_: str = "pytorch_lightning.callbacks.RichProgressBar"
    leave: bool = MISSING


@dataclass
class TensorBoardConfig:
    """pytorch_lightning.loggers.TensorBoardLogger."""

    _target_: str = "pytorch_lightning.loggers.TensorBoardLogger"
    save_dir: str = MISSING
    name: str = MISSING
    version: str = MISSING
    default_hp_metric: bool = MISSING


@dataclass
class WiseFTConfig:
    """Interpolation between the weights at the start and at the end of training."""

    enabled: bool = MISSING
    coefficients: list[float] = MISSING


@dataclass
class LRFinderConfig:
    """The learning-rate range test before training."""

    enabled: bool = MISSING
    lowest: float = MISSING
    highest: float = MISSING
    steps: int = MISSING


@dataclass
class EvaluationConfig:
    """How test recordings are evaluated, and what the report shows."""

    calibration: str = MISSING
    thresholds: str = MISSING
    sensitivity: float | None = MISSING
    by: list[str] = MISSING
    resamples: int = MISSING
    seed: int = MISSING
    attribution: bool = MISSING
    cases: bool = MISSING


@dataclass
class Config:
    """A whole experiment."""

    labels: LabelMap = MISSING
    data: DataConfig = MISSING
    task: TaskConfig = MISSING
    split: SplitSettings = MISSING
    preprocessing: PreprocessingSettings = MISSING
    model: ModelConfig = MISSING
    finetune: Any = MISSING
    augment: AugmentationConfig = MISSING
    optimizer: Any = MISSING
    scheduler: Any = MISSING
    trainer: TrainerConfig = MISSING
    tf32: bool = MISSING
    monitor: MonitorConfig = field(default_factory=MonitorConfig)
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)
    callbacks: dict[str, Any] = MISSING
    logger: dict[str, Any] = MISSING
    optimized_metric: str = MISSING
    wise_ft: WiseFTConfig = field(default_factory=WiseFTConfig)
    lr_finder: LRFinderConfig = field(default_factory=LRFinderConfig)
    resume: str | None = MISSING
    seed: int = MISSING
    output_dir: str = MISSING


SCHEMAS: dict[str, dict[str, Any]] = {
    "": {"config_schema": Config},
    "labels": {"label_map_schema": LabelMap},
    "data": {
        "selected_schema": SelectedDataConfig,
        "simulated_schema": SimulatedDataConfig,
        "merged_schema": MergedDataConfig,
        "mimic_iv_ecg_schema": MimicIvEcgDataConfig,
        "physionet2021_schema": Physionet2021DataConfig,
        "table_schema": TableDataConfig,
    },
    "task": {"task_schema": TaskConfig},
    "task/loss": {
        "cross_entropy_schema": CrossEntropyConfig,
        "binary_cross_entropy_schema": BinaryCrossEntropyConfig,
        "asymmetric_schema": AsymmetricConfig,
    },
    "split": {"split_schema": SplitSettings},
    "preprocessing": {"preprocessing_schema": PreprocessingSettings},
    "model": {"model_schema": ModelConfig},
    "model/architecture": {"net1d_schema": Net1DArchitecture},
    "finetune": {
        "full_schema": FullConfig,
        "linear_probe_schema": LinearProbeConfig,
        "last_stages_schema": LastStagesConfig,
        "gradual_schema": GradualConfig,
        "discriminative_schema": DiscriminativeConfig,
        "lp_ft_schema": LPFTConfig,
        "lora_schema": LoRAConfig,
    },
    "augment": {"augmentation_schema": AugmentationConfig},
    "optimizer": {"adam_schema": AdamConfig, "adamw_schema": AdamWConfig, "sgd_schema": SGDConfig},
    "scheduler": {
        "plateau_schema": PlateauConfig,
        "cosine_schema": CosineConfig,
        "one_cycle_schema": OneCycleConfig,
        "constant_schema": ConstantConfig,
    },
    "trainer": {"trainer_schema": TrainerConfig},
    "callbacks": {
        "early_stopping_schema": EarlyStoppingConfig,
        "model_checkpoint_schema": ModelCheckpointConfig,
        "last_checkpoint_schema": LastCheckpointConfig,
        "ema_schema": EMAConfig,
        "rich_progress_bar_schema": RichProgressBarConfig,
    },
    "logger": {"tensorboard_schema": TensorBoardConfig},
}
"""Configuration group to the schemas that its files name in their ``defaults``."""


def register_schemas() -> None:
    """Make the schemas, and what interpolations call, known to Hydra; called before a configuration is composed."""
    OmegaConf.register_new_resolver(
        "if_set", lambda value, then, otherwise: otherwise if value is None else then, replace=True
    )
    OmegaConf.register_new_resolver("count", len, replace=True)
    store = ConfigStore.instance()
    for group, schemas in SCHEMAS.items():
        for name, node in schemas.items():
            store.store(group=group or None, name=name, node=node, provider="ecgfounder_ft")
