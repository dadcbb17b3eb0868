"""Macro AUROC and Fmax of benchmarks, against the definitions written out."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from ecgfounder_ft.evaluation.benchmark_scores import benchmark_scores, fmax
from ecgfounder_ft.evaluation.inputs import prepare
from ecgfounder_ft.labels import UNKNOWN
from ecgfounder_ft.task import task_named


def written_out(present: np.ndarray, probabilities: np.ndarray) -> float:
    best = 0.0
    for threshold in np.unique(probabilities):
        decided = probabilities >= threshold
        hits = (decided & present).sum(axis=1)
        some = decided.any(axis=1)
        precision = np.mean(hits[some] / decided[some].sum(axis=1))
        recall = np.mean(hits / present.sum(axis=1))
        if precision + recall:
            best = max(best, 2 * precision * recall / (precision + recall))
    return best


@pytest.mark.parametrize("decimals", [1, 12])
@pytest.mark.parametrize("seed", range(3))
def test_scores_are_those_of_the_definitions(seed: int, decimals: int) -> None:
    generator = np.random.default_rng(seed)
    present = generator.random((60, 6)) < 0.3
    present[:, [1, 4]] = False
    present[~present.any(axis=1), 0] = True
    probabilities = generator.random((60, 6)).round(decimals)
    data = prepare(
        present.astype(int), probabilities, np.arange(60) // 2, list("abcdef"), task=task_named("multi_label")
    )
    found = benchmark_scores(data, resamples=50)
    there = [0, 2, 3, 5]
    assert found.left_out == ("b", "e")
    assert "without b, e" in found.macro_auroc.reason
    expected = roc_auc_score(present[:, there], probabilities[:, there], average="macro")
    assert found.macro_auroc.value == pytest.approx(expected, abs=1e-9)
    assert found.fmax.value == pytest.approx(written_out(present[:, there], probabilities[:, there]), abs=1e-9)
    assert found.fmax.low is not None
    assert found.fmax.high is not None
    assert found.fmax.low <= found.fmax.high
    assert found.patients == 30


def test_recordings_that_fmax_leaves_out_are_counted() -> None:
    targets = np.array([[1, 0], [0, 1], [0, 0], [1, UNKNOWN]])
    data = prepare(targets, np.full((4, 2), 0.5), list("wxyz"), ["a", "b"], task=task_named("multi_label"))
    found = benchmark_scores(data, resamples=0)
    assert found.without_fmax == 2
    assert found.fmax.value == pytest.approx(2 / 3)


def test_fmax_takes_recordings_with_a_condition() -> None:
    with pytest.raises(ValueError, match="at least one condition"):
        fmax(np.zeros((2, 3), dtype=bool), np.zeros((2, 3)))
    assert fmax(np.eye(3, dtype=bool), np.eye(3)) == 1.0
