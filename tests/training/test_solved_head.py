"""A last layer that is solved: against scikit-learn itself, against gradient descent, and in a whole run."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from ecgfounder_ft.inference.finished_model import load_model
from ecgfounder_ft.task import MULTI_LABEL, SINGLE_LABEL
from ecgfounder_ft.training.solved_head import Head, choose_and_solve, solve
from tests.settings import strategy
from tests.small_run import train


def problem(n: int = 300, width: int = 12, k: int = 3, seed: int = 0) -> tuple[np.ndarray, np.ndarray, Head]:
    """Embeddings of unlike scales, states of a linear truth with unknown ones, and that truth."""
    rng = np.random.default_rng(seed)
    embeddings = rng.normal(2, rng.uniform(0.1, 30, width), (n, width))
    truth = Head(rng.normal(size=(k, width)) / embeddings.std(axis=0), rng.normal(size=k))
    states = (truth.logits(embeddings) + rng.logistic(size=(n, k)) > 0).astype(np.int8)
    states[rng.random((n, k)) < 0.2] = -1
    return embeddings, states, truth


def test_each_condition_is_scikit_learns_regression_on_its_known_labels() -> None:
    embeddings, states, _ = problem()
    head = solve(embeddings, states, MULTI_LABEL, 0.3)
    for row in range(3):
        known = states[:, row] >= 0
        scaled = StandardScaler().fit_transform(embeddings[known])
        expected = LogisticRegression(C=0.3, tol=1e-8, max_iter=5000).fit(scaled, states[known, row])
        np.testing.assert_allclose(
            head.logits(embeddings[known])[:, row], expected.decision_function(scaled), atol=2e-3, rtol=1e-3
        )


def test_an_exclusive_task_is_a_softmax_and_a_class_that_never_occurs_is_improbable() -> None:
    embeddings, _, truth = problem(k=4)
    classes = truth.logits(embeddings)[:, :3].argmax(axis=1)
    states = np.eye(4, dtype=np.int8)[classes]
    head = solve(embeddings, states, SINGLE_LABEL, 1.0)
    probabilities = SINGLE_LABEL.probabilities_of_array(head.logits(embeddings))
    scaled = StandardScaler().fit_transform(embeddings)
    expected = LogisticRegression(C=1.0, tol=1e-8, max_iter=5000).fit(scaled, classes).predict_proba(scaled)
    np.testing.assert_allclose(probabilities[:, :3], expected, atol=2e-3)
    assert probabilities[:, 3].max() < 1e-3


def test_a_strong_penalty_leaves_the_recalibrated_start_and_a_weak_one_forgets_it() -> None:
    embeddings, states, truth = problem()
    start = Head(truth.weight * 3, truth.bias + 2)  # ranks rightly, is not calibrated
    strong = solve(embeddings, states, MULTI_LABEL, 1e-7, start)
    for row in range(3):
        found, given = strong.logits(embeddings)[:, row], start.logits(embeddings)[:, row]
        assert np.corrcoef(found, given)[0, 1] > 0.9999
        assert 0.2 < found.std() / given.std() < 0.5  # a third of the slope, as the truth has
    far = solve(embeddings, states, MULTI_LABEL, 1e5, start).logits(embeddings)
    plain = solve(embeddings, states, MULTI_LABEL, 1e5).logits(embeddings)
    np.testing.assert_allclose(far[:, 1:], plain[:, 1:], rtol=0.05, atol=0.2)  # the first can be told apart wholly


def test_gradient_descent_does_not_find_a_lower_loss() -> None:
    embeddings, states, _ = problem()
    scaled = torch.from_numpy(StandardScaler().fit_transform(embeddings))
    known, target = torch.from_numpy(states >= 0), torch.from_numpy((states == 1).astype(float))

    def loss(weight: torch.Tensor, bias: torch.Tensor, inputs: torch.Tensor) -> torch.Tensor:
        each = torch.nn.functional.binary_cross_entropy_with_logits(inputs @ weight.T + bias, target, reduction="none")
        return each[known].sum()

    head = solve(embeddings, states, MULTI_LABEL, 1e6)
    solved = loss(torch.from_numpy(head.weight), torch.from_numpy(head.bias), torch.from_numpy(embeddings))
    weight, bias = torch.zeros(3, 12, dtype=torch.double), torch.zeros(3, dtype=torch.double)
    optimizer = torch.optim.Adam([weight.requires_grad_(), bias.requires_grad_()], lr=0.05)
    for _ in range(500):
        optimizer.zero_grad()
        loss(weight, bias, scaled).backward()
        optimizer.step()
    assert solved <= loss(weight, bias, scaled) + 1e-2


def test_the_penalty_is_chosen_over_patients_and_not_over_recordings() -> None:
    rng = np.random.default_rng(1)
    patients = np.repeat(np.arange(60), 5)
    own = rng.normal(size=(60, 40))[patients] + 0.01 * rng.normal(size=(300, 40))  # recordings of a patient are alike
    states = rng.integers(0, 2, (60, 2))[patients].astype(np.int8)  # and say nothing of the label
    settings = {"strengths": [1e-4, 1e-2, 1.0, 100.0], "folds": 5, "start": None}
    everything = np.ones(300, dtype=np.bool_)
    _, over_patients = choose_and_solve(own, states, patients, everything, MULTI_LABEL, **settings)
    _, over_recordings = choose_and_solve(own, states, np.arange(300), everything, MULTI_LABEL, **settings)
    assert over_patients.strength == 1e-4
    assert over_recordings.strength > 1e-2
    assert over_patients.folds == 5


def test_one_patient_chooses_nothing() -> None:
    embeddings, states, _ = problem(20)
    _, found = choose_and_solve(
        embeddings,
        states,
        np.zeros(20),
        np.ones(20, bool),
        MULTI_LABEL,
        strengths=[1.0, 0.1, 10.0],
        folds=5,
        start=None,
    )
    assert (found.strength, found.tried) == (1.0, [])
    assert "without a choice" in str(found)


@pytest.mark.parametrize(
    ("given", "message"),
    [({"strengths": []}, "at least one"), ({"folds": 1}, "2 or more"), ({"towards": "end"}, "zero, start")],
)
def test_settings_out_of_range_are_refused(given: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        strategy("solved_head", **given)


def test_a_run_ends_as_any_other(small_root: Path, tmp_path: Path) -> None:
    given = ("finetune=solved_head", "finetune.strengths=[1e-3,1e-1]", "task=multi_label")
    folders = [train(tmp_path / name, small_root, *given) for name in ("one", "again")]
    folder = folders[0]
    found = json.loads((folder / "solved_head.json").read_text())
    assert [row["strength"] for row in found["tried"]] == [1e-3, 1e-1]
    assert (folder / "solved_head.png").stat().st_size
    assert json.loads((folder / "plan.json").read_text())["epochs"] == 0
    start = json.loads((folder / "start.json").read_text())["validation"]["validation/loss"]
    one, again = (load_model(run).net.state_dict() for run in folders)
    for name, value in one.items():
        assert torch.equal(value, again[name]), name
    assert np.isfinite(start)
