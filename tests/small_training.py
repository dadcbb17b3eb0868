"""A classifier and its data small enough to train in a second, without files."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from torch.optim.lr_scheduler import LambdaLR

from ecgfounder_ft.data.datamodule import ECGDataModule
from ecgfounder_ft.ecg.preprocessing import Preprocessing
from ecgfounder_ft.finetune.strategy import Strategy
from ecgfounder_ft.labels import LabelMap
from ecgfounder_ft.losses.cross_entropy import CrossEntropy
from ecgfounder_ft.model.ecgfounder import NET1D
from ecgfounder_ft.model.record import ModelRecord
from ecgfounder_ft.task import SINGLE_LABEL
from ecgfounder_ft.training.callbacks import FollowStrategy
from ecgfounder_ft.training.classifier import Classifier, Training
from tests.fake_store import FakeStore

ARCHITECTURE: dict[str, Any] = {
    "base_filters": 16,
    "filter_list": [16, 32, 32],
    "m_blocks": [1, 1, 1],
    "kernel_size": 4,
    "stride": 2,
    "groups_width": 16,
    "ratio": 1.0,
}
PARTS = ("stem", "stage1", "stage2", "stage3", "head")
SAMPLES = 64


def small_data(codes: Sequence[str], batch_size: int = 8) -> ECGDataModule:
    """24 recordings for training, 12 each for validation and test; a condition is a larger mean in one lead."""
    rng = np.random.default_rng(0)
    classes = np.arange(48) % len(codes)
    signals = rng.normal(size=(48, 12, SAMPLES)).astype(np.float32)
    signals[np.arange(48), classes] += 1.5
    targets = (classes[:, None] == np.arange(len(codes))).astype(np.int8)
    split = ["train"] * 24 + ["validation"] * 12 + ["test"] * 12
    return ECGDataModule(FakeStore(signals), split, targets, codes, SINGLE_LABEL, batch_size=batch_size)  # type: ignore[arg-type]


def small_classifier(label_map: LabelMap, **changes: Any) -> Classifier:
    """A small Net1D with AdamW at 1e-2; ``changes`` replaces fields of its Training."""
    torch.manual_seed(0)
    architecture = {"_target_": NET1D, "in_channels": 12, "num_classes": len(label_map), **ARCHITECTURE}
    record = ModelRecord(label_map, SINGLE_LABEL, Preprocessing(), architecture)
    fields: dict[str, Any] = {
        "loss": CrossEntropy(label_smoothing=0.0),
        "optimizer": lambda groups: torch.optim.AdamW(groups, lr=1e-2),
        "scheduler": lambda optimizer, _: LambdaLR(optimizer, lambda step: 1.0),
        "monitor": "validation/loss",
    }
    return Classifier(record, record.build_network(), Training(**(fields | changes)))


def small_trainer(
    strategy: Strategy, epochs: int, callbacks: Sequence[pl.Callback] = (), **settings: Any
) -> pl.Trainer:
    """A trainer that follows the strategy, and writes and shows nothing."""
    fields: dict[str, Any] = {
        "max_epochs": epochs,
        "accelerator": "cpu",
        "devices": 1,
        "callbacks": [FollowStrategy(strategy, "validation/loss", "min"), *callbacks],
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "num_sanity_val_steps": 0,
        "use_distributed_sampler": False,
        "log_every_n_steps": 1,
    }
    return pl.Trainer(**(fields | settings))
