"""The linear probe on a random encoder: what it learns from, what it leaves alone, and that a run has it beside it."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.typing import NDArray

from ecgfounder_ft.evaluation.run_evaluation import RANDOM_ENCODER
from ecgfounder_ft.inference.finished_model import load_model
from ecgfounder_ft.model.ecgfounder.net1d import Net1D
from ecgfounder_ft.runs.folder import RunFolder
from ecgfounder_ft.task import MULTI_LABEL, SINGLE_LABEL
from ecgfounder_ft.training import random_encoder
from ecgfounder_ft.training.random_encoder import (
    STRENGTHS,
    fit_probe,
    log_loss,
    random_network,
    seed_of_encoder,
    standardised,
)
from tests.small_run import run, train


def _case(n: int = 300, k: int = 3) -> tuple[NDArray[np.float32], NDArray[np.int8]]:
    """Features of which each condition follows one, and more that say nothing."""
    features = np.random.default_rng(0).normal(size=(n, 20)).astype(np.float32)
    return features, (features[:, :k] > 0.3).astype(np.int8)


def test_each_condition_is_read_from_the_recordings_with_a_known_label_alone() -> None:
    features, states = _case()
    asked, wanted = features[200:], states[200:]
    masked, spoilt = states[:200].copy(), features[:200].copy()
    masked[:50, 0] = -1
    strength, found = fit_probe(features[:200], masked, asked, wanted[:50], MULTI_LABEL)
    assert strength in STRENGTHS
    assert np.mean((found[50:] >= 0.5) == wanted[50:]) > 0.9
    spoilt[:50] = 100.0
    _, again = fit_probe(spoilt, masked, asked, wanted[:50], MULTI_LABEL)
    np.testing.assert_array_equal(again[:, 0], found[:, 0])
    assert not np.array_equal(again[:, 1], found[:, 1])


def test_a_single_label_probe_is_one_softmax_and_survives_a_condition_that_training_lacks() -> None:
    features, _ = _case()
    states = np.eye(4, dtype=np.int8)[features[:, :3].argmax(axis=1)]
    _, found = fit_probe(features[:200], states[:200], features[200:], states[200:240], SINGLE_LABEL)
    np.testing.assert_allclose(found.sum(axis=1), 1)
    assert np.mean(found.argmax(axis=1) == states[200:].argmax(axis=1)) > 0.8
    assert (found[:, 3] > 0).all()
    assert found[:, 3].max() < 1e-5


def test_a_condition_without_any_label_or_without_a_positive_breaks_nothing() -> None:
    features, states = _case()
    states[:, 0], states[:, 1] = -1, 0
    _, found = fit_probe(features, states, features, states, MULTI_LABEL)
    assert (found[:, 0] == 0.5).all()
    assert (found[:, 1] < 1e-5).all()


def test_validation_chooses_the_strength_of_the_penalty() -> None:
    generator = np.random.default_rng(0)
    features = generator.normal(size=(60, 200)).astype(np.float32)  # nothing to learn, and room to learn it by heart
    states = generator.integers(0, 2, (60, 1)).astype(np.int8)
    unlike = generator.normal(size=(400, 200)).astype(np.float32)
    chosen, _ = fit_probe(features, states, unlike, generator.integers(0, 2, (400, 1)).astype(np.int8), MULTI_LABEL)
    assert chosen == min(STRENGTHS)
    chosen, _ = fit_probe(features, states, features, states, MULTI_LABEL)
    assert chosen == max(STRENGTHS)
    chosen, _ = fit_probe(features, states, features, states[:0], MULTI_LABEL)
    assert min(STRENGTHS) < chosen < max(STRENGTHS)


def test_the_log_loss_is_of_what_is_known() -> None:
    probabilities = np.array([[0.5, 0.9], [0.25, 0.2]])
    assert log_loss(np.array([[1, -1], [-1, 0]], dtype=np.int8), probabilities, MULTI_LABEL) == pytest.approx(
        -(np.log(0.5) + np.log(0.8)) / 2
    )
    assert log_loss(np.array([[0, 1], [1, 0]], dtype=np.int8), probabilities, SINGLE_LABEL) == pytest.approx(
        -(np.log(0.9) + np.log(0.25)) / 2
    )
    assert np.isnan(log_loss(np.full((2, 2), -1, dtype=np.int8), probabilities, MULTI_LABEL))


def test_a_feature_that_never_changes_says_nothing() -> None:
    by = np.array([[1.0, 5.0], [3.0, 5.0]])
    np.testing.assert_allclose(standardised(np.array([[2.0, 7.0], [4.0, 5.0]]), by), [[0, 0], [2, 0]])


def test_the_network_is_random_by_a_seed_of_its_own_and_leaves_torch_as_it_was(finished_run: Path) -> None:
    record = load_model(finished_run / "model.pth").record
    torch.manual_seed(3)
    before = torch.get_rng_state()
    first, again, other = (random_network(record, seed).state_dict() for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), before)
    name = "first_conv.conv.weight"
    assert torch.equal(first[name], again[name])
    assert not torch.equal(first[name], other[name])
    assert seed_of_encoder(0) != seed_of_encoder(1)
    assert seed_of_encoder(0) == seed_of_encoder(0)


@pytest.fixture(scope="module")
def beside(tmp_path_factory: pytest.TempPathFactory, small_root: Path) -> tuple[RunFolder, RunFolder]:
    """The same run with the baseline and without it."""
    folder = tmp_path_factory.mktemp("runs")
    common = ("task=multi_label", "trainer.max_epochs=1")
    with_it = train(folder / "with", small_root, *common, "evaluation.baselines=true")
    return RunFolder(with_it), RunFolder(train(folder / "without", small_root, *common))


def test_a_run_has_it_beside_the_model_with_the_paired_difference(beside: tuple[RunFolder, RunFolder]) -> None:
    with_it, without = beside
    metrics = with_it.read_metrics()
    baseline, difference = metrics["baselines"][RANDOM_ENCODER], metrics["baseline_differences"][RANDOM_ENCODER]
    trained = metrics["test"]["macro"]["auroc"]["value"]
    assert baseline["n"] == metrics["test"]["n"] == difference["n"]
    assert difference["macro"]["auroc"]["value"] == pytest.approx(trained - baseline["macro"]["auroc"]["value"])
    record = with_it.read_random_encoder()
    assert record["features"] == 32
    assert record["seed"] == seed_of_encoder(42)
    splits = with_it.read_splits()
    assert record["fitted_on"] == record["of"] == (splits["split"] == "train").sum()
    assert without.read_random_encoder() == {}
    assert list(without.read_metrics()["baselines"]) == ["untrained start"]
    assert list(without.read_metrics()["baseline_differences"]) == ["untrained start"]


def test_it_changes_nothing_of_the_model_nor_of_its_metrics(beside: tuple[RunFolder, RunFolder]) -> None:
    with_it, without = beside
    for name in ("predictions.csv", "start_predictions.csv", "training_history.csv", "calibration.json"):
        assert (with_it.path / name).read_bytes() == (without.path / name).read_bytes(), name
    found, plain = with_it.read_metrics(), without.read_metrics()
    for name in ("baselines", "baseline_differences"):
        del found[name][RANDOM_ENCODER]
    assert json.dumps(found) == json.dumps(plain)
    table = pd.read_csv(with_it.path / "random_encoder_predictions.csv")
    trained = pd.read_csv(with_it.path / "predictions.csv")
    probabilities = [name for name in table if name.startswith("probability_")]
    pd.testing.assert_frame_equal(table.drop(columns=probabilities), trained.drop(columns=probabilities))
    assert not np.allclose(table[probabilities], trained[probabilities])


def test_a_network_without_features_is_left_out_and_the_run_says_so(
    tmp_path: Path, small_root: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(_net: Net1D, _x: torch.Tensor) -> torch.Tensor:
        raise NotImplementedError("no features here")

    caplog.set_level("INFO")
    options = ("evaluation.baselines=true", "trainer.max_epochs=0", "seed=7")
    monkeypatch.setattr(Net1D, "features", none)
    folder = RunFolder(train(tmp_path / "none", small_root, *options))
    assert "No random encoder beside the model" in caplog.text
    assert "no features here" in caplog.text
    assert folder.read_random_encoder() == {}
    monkeypatch.setattr(Net1D, "features", lambda _net, x: torch.full((len(x), 4), float("nan")))
    assert not RunFolder(train(tmp_path / "nan", small_root, *options, "seed=8")).read_random_encoder()
    assert "no finite features" in caplog.text


def test_a_large_training_side_is_drawn_from_by_a_seed(
    tmp_path: Path, small_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(random_encoder, "MOST_RECORDINGS", 10)
    few = RunFolder(train(tmp_path / "few", small_root, "evaluation.baselines=true", "trainer.max_epochs=0"))
    record = few.read_random_encoder()
    assert record["fitted_on"] == 10 < record["of"]


@pytest.mark.slow
def test_a_run_that_was_killed_and_resumed_has_the_same_baseline(tmp_path: Path, small_root: Path) -> None:
    changes = ("evaluation.baselines=true", "trainer.max_epochs=2", "seed=9")
    folder = tmp_path / "run"
    assert run(folder, small_root, changes, kill_at="validation 1") == -9
    assert RunFolder(folder).read_random_encoder() == {}
    assert run(folder, small_root, resume=True) == 0
    whole = train(tmp_path / "whole", small_root, *changes)
    name = "random_encoder_predictions.csv"
    assert (folder / name).read_bytes() == (whole / name).read_bytes()
