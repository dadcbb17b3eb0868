import math

import numpy as np
import pytest
import torch
from sklearn.metrics import f1_score, roc_auc_score

from ecgfounder_ft.labels import ABSENT, PRESENT, UNKNOWN
from ecgfounder_ft.task import MULTI_LABEL, SINGLE_LABEL
from ecgfounder_ft.training.epoch_predictions import EpochPredictions

CODES = ("a", "b", "c")


def test_metrics_are_those_of_sklearn() -> None:
    rng = np.random.default_rng(0)
    classes = rng.integers(0, 3, 60)
    logits = rng.normal(size=(60, 3)).astype(np.float32)
    target = (classes[:, None] == np.arange(3)).astype(np.int8)
    metric = EpochPredictions(CODES, SINGLE_LABEL)
    for part in np.array_split(np.arange(60), 4):
        metric.update(torch.tensor(logits[part]), torch.tensor(target[part]), torch.ones(len(part)), torch.tensor(part))
    metrics = metric.compute()
    probability = torch.tensor(logits).softmax(dim=1).numpy()
    assert float(metrics["macro_auroc"]) == pytest.approx(roc_auc_score(classes, probability, multi_class="ovr"))
    assert float(metrics["macro_f1"]) == pytest.approx(f1_score(classes, logits.argmax(axis=1), average="macro"))
    assert float(metrics["accuracy"]) == pytest.approx((logits.argmax(axis=1) == classes).mean())


def test_in_a_single_label_task_what_is_not_stated_is_absent() -> None:
    logits = torch.tensor([[2.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 2.0, 3.0], [0.0, 2.0, 1.0]])
    stated = torch.eye(3, dtype=torch.int8)[[0, 1, 2, 2]]
    unstated = torch.where(stated == PRESENT, PRESENT, UNKNOWN).to(torch.int8)
    metrics = []
    for target in (stated, unstated):
        metric = EpochPredictions(CODES, SINGLE_LABEL)
        metric.update(logits, target, torch.ones(4), torch.arange(4))
        metrics.append({name: float(value) for name, value in metric.compute().items()})
    assert metrics[0] == metrics[1]
    assert not math.isnan(metrics[0]["macro_auroc"])


def test_unknown_labels_are_left_out_of_a_multi_label_task() -> None:
    metric = EpochPredictions(CODES, MULTI_LABEL)
    target = torch.tensor(
        [[PRESENT, UNKNOWN, ABSENT], [ABSENT, UNKNOWN, ABSENT], [UNKNOWN, UNKNOWN, ABSENT]], dtype=torch.int8
    )
    logits = torch.tensor([[1.0, 9.0, -1.0], [-1.0, 9.0, 1.0], [9.0, 9.0, -2.0]])
    metric.update(logits, target, torch.ones(3), torch.arange(3))
    metrics = metric.compute()
    assert float(metrics["auroc/a"]) == 1.0
    assert math.isnan(metrics["auroc/b"])
    assert math.isnan(metrics["auroc/c"])  # never present
    assert float(metrics["macro_auroc"]) == 1.0
    assert float(metrics["accuracy"]) == pytest.approx(4 / 5)


def test_repeated_recordings_count_once_and_stand_in_order() -> None:
    metric = EpochPredictions(CODES, SINGLE_LABEL)
    target = torch.eye(3, dtype=torch.int8)
    metric.update(torch.eye(3)[[2, 0]], target[[2, 0]], torch.tensor([1.0, 2.0]), torch.tensor([2, 0]))
    metric.update(torch.eye(3)[[1, 2]], target[[1, 2]], torch.tensor([3.0, 4.0]), torch.tensor([1, 2]))
    collected = metric.collected()
    assert collected["index"].tolist() == [0, 1, 2]
    assert collected["loss"].tolist() == [2.0, 3.0, 1.0]
    assert list(metric.raw()["index"]) == [2, 0, 1, 2]
    metric.reset()
    assert metric.raw() == {}
