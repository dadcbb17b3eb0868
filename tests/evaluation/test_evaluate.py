"""The record that becomes metrics.json."""

import json

import numpy as np
import pytest

from ecgfounder_ft.evaluation.evaluate import Evaluation, evaluate
from ecgfounder_ft.evaluation.inputs import prepare
from ecgfounder_ft.task import MULTI_LABEL, SINGLE_LABEL

CODES = ("NORM", "AFIB", "RBBB")


def test_unknown_labels_are_left_out_and_counted():
    targets = np.array([[1, 0, -1], [0, 1, 1], [0, -1, 0], [1, 0, 0]], dtype=np.int8)
    probabilities = np.array([[0.9, 0.2, 0.9], [0.4, 0.8, 0.7], [0.3, 0.99, 0.1], [0.6, 0.1, 0.2]])
    result = evaluate(targets, probabilities, ["a", "b", "c", "a"], CODES, task=MULTI_LABEL, resamples=0)
    rbbb = result.conditions["RBBB"]
    assert (rbbb.n, rbbb.positives, rbbb.patients, rbbb.positive_patients, rbbb.unknown) == (3, 1, 3, 1, 1)
    assert rbbb.metrics["auroc"].value == 1.0
    assert result.conditions["AFIB"].metrics["specificity"].value == 1.0  # the unknown 0.99 is no false alarm
    assert result.overall["accuracy"].value == 1.0
    assert result.overall["accuracy"].reason == "2 recordings with an unknown label left out"
    assert result.patients == 3


def test_thresholds_decide_in_a_multi_label_task():
    targets = np.array([[1, 0, 0], [0, 1, 0]], dtype=np.int8)
    probabilities = np.array([[0.4, 0.2, 0.1], [0.2, 0.3, 0.1]])
    result = evaluate(targets, probabilities, [0, 1], CODES, task=MULTI_LABEL, thresholds={"NORM": 0.3})
    assert result.conditions["NORM"].confusion.true_positives == 1
    assert result.conditions["AFIB"].confusion.false_negatives == 1
    assert result.conditions["AFIB"].threshold == 0.5


def test_single_label_decides_the_most_probable_condition():
    targets = np.array([[1, 0, 0], [0, 1, 0], [-1, -1, 1], [0, 1, 0]], dtype=np.int8)
    probabilities = np.array([[0.4, 0.3, 0.3], [0.5, 0.3, 0.2], [0.1, 0.2, 0.7], [0.2, 0.45, 0.35]])
    result = evaluate(targets, probabilities, range(4), CODES, task=SINGLE_LABEL)
    assert result.confusion_matrix == ((1, 0, 0), (1, 1, 0), (0, 0, 1))
    assert result.overall["accuracy"].value == 0.75
    assert result.conditions["NORM"].threshold is None
    assert result.conditions["RBBB"].n == 4  # the other conditions of a single-label recording count as absent


def test_single_label_leaves_out_what_has_no_single_label():
    targets = np.array([[1, 0, 0], [1, 1, 0], [-1, -1, -1], [0, 0, 1]], dtype=np.int8)
    probabilities = np.array([[0.6, 0.2, 0.2], [0.6, 0.2, 0.2], [0.6, 0.2, 0.2], [np.nan] * 3])
    data = prepare(targets, probabilities, range(4), CODES, task=SINGLE_LABEL)
    assert data.kept.tolist() == [0]
    assert data.notes[0] == "2 recordings without exactly one present condition left out"
    assert data.notes[1] == "1 recording without probabilities left out"


@pytest.mark.parametrize("task", [SINGLE_LABEL, MULTI_LABEL])
def test_a_set_of_nothing_known_has_no_metric_and_no_traceback(task):
    targets = np.full((5, 3), -1, dtype=np.int8)
    result = evaluate(targets, np.full((5, 3), 0.5), ["p"] * 5, CODES, task=task)
    assert all(metric.value is None and metric.reason for metric in result.macro.values())
    assert result.overall["accuracy"].value is None
    empty = evaluate(np.zeros((0, 3)), np.zeros((0, 3)), [], CODES, task=task)
    assert empty.n == 0


def test_nan_probabilities_are_counted_and_never_decided():
    targets = np.array([[1, 0, 0], [0, 1, 0], [1, 0, 1]], dtype=np.int8)
    probabilities = np.array([[np.nan, 0.1, 0.1], [0.2, 0.8, 0.1], [0.7, 0.2, 0.9]])
    result = evaluate(targets, probabilities, range(3), CODES, task=MULTI_LABEL)
    assert result.conditions["NORM"].without_probability == 1
    assert result.conditions["NORM"].n == 2
    assert result.conditions["NORM"].metrics["sensitivity"].value == 1.0
    assert result.notes == ("1 recording without a probability for some condition",)


def test_one_patient_is_said_to_be_one():
    result = evaluate(np.array([[1], [0]]), np.array([[0.9], [0.2]]), ["p", "p"], ("AFIB",), task=MULTI_LABEL)
    assert "one patient" in result.notes[0]


def test_metrics_json_holds_null_and_no_nan_and_reads_back():
    generator = np.random.default_rng(0)
    targets = np.eye(3, dtype=np.int8)[generator.integers(0, 2, 30)]  # RBBB never occurs
    probabilities = generator.dirichlet(np.ones(3), 30)
    result = evaluate(targets, probabilities, range(30), CODES, task=SINGLE_LABEL)
    text = json.dumps(result.to_dict(), allow_nan=False)
    assert json.loads(text)["conditions"]["RBBB"]["metrics"]["auroc"]["value"] is None
    assert Evaluation.from_dict(json.loads(text)) == result
    with pytest.raises(ValueError, match="schema 'other'"):
        Evaluation.from_dict({"schema": "other"})


@pytest.mark.parametrize(
    ("targets", "probabilities", "task", "message"),
    [
        (np.zeros((2, 2)), np.zeros((2, 3)), MULTI_LABEL, r"targets \(2, 2\)"),
        (np.full((2, 3), 2), np.zeros((2, 3)), MULTI_LABEL, r"targets hold \[2\]"),
        (np.zeros((2, 3)), np.full((2, 3), 1.5), MULTI_LABEL, "probabilities from 1.5 to 1.5"),
    ],
)
def test_arrays_that_cannot_be_meant_are_refused(targets, probabilities, task, message):
    with pytest.raises(ValueError, match=message):
        evaluate(targets, probabilities, [0, 1], CODES, task=task)
