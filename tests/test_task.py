"""What a task answers: usable recordings, states, probabilities, decisions, loss weights."""

import numpy as np
import pytest
import torch

from ecgfounder_ft.task import MULTI_LABEL, SINGLE_LABEL, TASKS, task_named

STATES = np.array([[1, 0, 0], [1, 1, 0], [0, 0, 0], [-1, -1, -1], [1, -1, -1]], dtype=np.int8)


def test_which_recordings_can_be_used() -> None:
    assert SINGLE_LABEL.usable(STATES).tolist() == [True, False, False, False, True]
    assert MULTI_LABEL.usable(STATES).tolist() == [True, True, True, False, True]


def test_what_is_not_stated_is_absent_where_exactly_one_condition_is_present() -> None:
    assert SINGLE_LABEL.states(STATES[[0, 4]]).tolist() == [[1, 0, 0], [1, 0, 0]]
    assert MULTI_LABEL.states(STATES).tolist() == STATES.tolist()


def test_probabilities_are_those_of_the_loss() -> None:
    logits = torch.tensor([[2.0, -1.0, 0.5]])
    torch.testing.assert_close(SINGLE_LABEL.probabilities(logits).sum(dim=1), torch.ones(1))
    torch.testing.assert_close(MULTI_LABEL.probabilities(logits), 1 / (1 + torch.exp(-logits)))


def test_decisions() -> None:
    probabilities = np.array([[0.4, 0.3, 0.3], [0.1, 0.2, 0.7]])
    assert SINGLE_LABEL.decisions(probabilities).tolist() == [[True, False, False], [False, False, True]]
    assert SINGLE_LABEL.decisions(probabilities, np.ones(3)).sum() == 2  # thresholds have no effect
    assert MULTI_LABEL.decisions(probabilities).tolist() == [[False] * 3, [False, False, True]]
    assert MULTI_LABEL.decisions(probabilities, np.array([0.4, 0.1, 0.8])).tolist() == [
        [True, True, False],
        [False, True, False],
    ]
    assert not MULTI_LABEL.decisions(np.array([[np.nan]])).any()
    assert SINGLE_LABEL.decisions(np.empty((0, 3))).shape == (0, 3)


def test_rare_conditions_weigh_more() -> None:
    states = np.array([[1, 0, 0], [1, 0, -1], [1, 0, 0], [0, 1, 0]], dtype=np.int8)
    assert SINGLE_LABEL.loss_weights(states) == pytest.approx([4 / 9, 4 / 3, 1.0])
    assert MULTI_LABEL.loss_weights(states) == pytest.approx([1 / 3, 3.0, 1.0])


def test_tasks_are_known_by_name() -> None:
    assert task_named("multi_label") is MULTI_LABEL
    assert {task.name for task in TASKS.values()} == set(TASKS)
    with pytest.raises(ValueError, match="task is 'regression', expected one of: single_label, multi_label"):
        task_named("regression")
