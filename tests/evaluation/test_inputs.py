"""Arrays of an evaluated set."""

import numpy as np

from ecgfounder_ft.evaluation.inputs import prepare
from ecgfounder_ft.task import MULTI_LABEL


def test_patients_are_numbered_whatever_names_them():
    arguments = (np.array([[1], [0], [0]]), np.array([[0.9], [0.1], [0.2]]))
    by_text = prepare(*arguments, ["b/2", "a/1", "b/2"], ("A",), task=MULTI_LABEL)
    by_number = prepare(*arguments, [20, 10, 20], ("A",), task=MULTI_LABEL)
    assert by_text.groups.tolist() == by_number.groups.tolist() == [1, 0, 1]
    assert by_text.patients == 2


def test_a_selection_keeps_its_place_among_the_rows_given():
    targets, probabilities = np.array([[1], [0], [0], [1]]), np.array([[0.9], [0.1], [0.2], [0.3]])
    data = prepare(targets, probabilities, list("abcd"), ("A",), task=MULTI_LABEL)
    part = data.select(np.array([False, False, True, True]))
    assert part.kept.tolist() == [2, 3]
    assert part.groups.tolist() == [0, 1]
    assert part.decisions.tolist() == [[False], [False]]
