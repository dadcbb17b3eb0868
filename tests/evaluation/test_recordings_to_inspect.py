"""The recordings to look at are the right ones."""

import numpy as np

from ecgfounder_ft.evaluation.inputs import prepare
from ecgfounder_ft.evaluation.recordings_to_inspect import CONFIDENT_ERROR, LEAST_CERTAIN, choose_cases
from ecgfounder_ft.task import MULTI_LABEL, SINGLE_LABEL


def test_confident_errors_come_by_distance_from_the_threshold():
    targets = np.array([[0], [0], [1], [0], [-1], [1], [0]], dtype=np.int8)
    probabilities = np.array([[0.95], [0.6], [0.001], [0.49], [0.99], [0.9], [np.nan]])
    data = prepare(targets, probabilities, np.arange(7), ("AFIB",), task=MULTI_LABEL)
    cases = choose_cases(data, errors_per_condition=2, least_certain=1)
    assert [(case.row, case.kind) for case in cases] == [
        (2, CONFIDENT_ERROR),
        (0, CONFIDENT_ERROR),
        (3, LEAST_CERTAIN),
    ]
    assert cases[0].reason == "AFIB is labelled and was missed (probability 0.001)"
    assert cases[1].reason == "AFIB was decided and is not labelled (probability 0.950)"


def test_the_threshold_counts_not_one_half():
    targets = np.zeros((2, 1), dtype=np.int8)
    data = prepare(targets, np.array([[0.06], [0.4]]), [0, 1], ("A",), task=MULTI_LABEL, thresholds={"A": 0.05})
    assert [case.row for case in choose_cases(data, errors_per_condition=0, least_certain=1)] == [0]


def test_single_label_cases_keep_their_place_among_the_rows_given():
    targets = np.array([[1, 1, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]], dtype=np.int8)
    probabilities = np.array([[0.4, 0.3, 0.3], [0.05, 0.9, 0.05], [0.1, 0.8, 0.1], [0.34, 0.31, 0.35]])
    data = prepare(targets, probabilities, np.arange(4), ("A", "B", "C"), task=SINGLE_LABEL)
    cases = choose_cases(data, errors_per_condition=1, least_certain=1)
    assert [(case.row, case.kind) for case in cases] == [(1, CONFIDENT_ERROR), (3, LEAST_CERTAIN)]
    assert "C (0.350) and A (0.340) are nearly as probable" in cases[1].reason


def test_no_recording_is_shown_twice_and_none_invented():
    generator = np.random.default_rng(0)
    targets = generator.integers(0, 2, (12, 3)).astype(np.int8)
    data = prepare(targets, generator.random((12, 3)), np.arange(12), ("A", "B", "C"), task=MULTI_LABEL)
    rows = [case.row for case in choose_cases(data, errors_per_condition=5, least_certain=50)]
    assert len(rows) == len(set(rows)) == 12
    unknown = prepare(np.full((3, 1), -1), np.full((3, 1), 0.5), [0, 1, 2], ("A",), task=MULTI_LABEL)
    assert choose_cases(unknown) == []
    empty = prepare(np.zeros((0, 2)), np.zeros((0, 2)), [], ("A", "B"), task=SINGLE_LABEL)
    assert choose_cases(empty) == []
