"""Thresholds against a search over every threshold, and their fall-back."""

import json

import numpy as np
import pytest

from ecgfounder_ft.evaluation.thresholds import Thresholds, choose_thresholds, fixed_thresholds


def _score(labels, probabilities, threshold, method):
    decisions = probabilities >= threshold
    tp, fp = np.sum(decisions & labels), np.sum(decisions & ~labels)
    if method == "f1":
        return 2 * tp / (decisions.sum() + labels.sum())
    return tp / labels.sum() - fp / (~labels).sum()


@pytest.mark.parametrize("method", ["f1", "youden"])
def test_no_other_threshold_scores_higher(method):
    generator = np.random.default_rng(1)
    for _ in range(20):
        labels = generator.random(60) < 0.3
        probabilities = np.clip(0.3 * labels + 0.7 * generator.random(60), 0, 1).round(2)
        chosen = choose_thresholds(
            labels[:, None].astype(np.int8), probabilities[:, None], ("A",), method=method
        ).values["A"]
        best = max(_score(labels, probabilities, cut, method) for cut in np.linspace(0.0005, 1.0005, 1001))
        assert _score(labels, probabilities, chosen, method) == pytest.approx(best)


def test_wished_sensitivity_is_reached_at_the_highest_threshold():
    targets = np.array([[1], [1], [1], [1], [0], [0]], dtype=np.int8)
    probabilities = np.array([[0.9], [0.8], [0.6], [0.2], [0.7], [0.1]])
    thresholds = choose_thresholds(targets, probabilities, ("A",), method="sensitivity", sensitivity=0.75)
    assert thresholds.values["A"] == pytest.approx(0.4)  # half-way between 0.6 and 0.2
    assert thresholds.sensitivity == 0.75


def test_the_threshold_survives_rounding_of_the_probabilities():
    generator = np.random.default_rng(2)
    labels = (generator.random(300) < 0.2).astype(np.int8)[:, None]
    probabilities = np.clip(0.4 * labels + 0.6 * generator.random((300, 1)), 0, 1)
    threshold = choose_thresholds(labels, probabilities, ("A",)).values["A"]
    np.testing.assert_array_equal(probabilities.round(6) >= threshold, probabilities >= threshold)


def test_unknown_labels_and_missing_probabilities_do_not_count():
    targets = np.array([[1], [0], [-1], [1]], dtype=np.int8)
    probabilities = np.array([[0.8], [0.6], [0.1], [np.nan]])
    assert choose_thresholds(targets, probabilities, ("A",)).values["A"] == pytest.approx(0.7)


def test_one_sided_labels_keep_the_default_and_say_so():
    targets = np.array([[0, -1], [0, -1]], dtype=np.int8)
    thresholds = choose_thresholds(targets, np.full((2, 2), 0.3), ("A", "B"), method="youden")
    assert thresholds.values == {"A": 0.5, "B": 0.5}
    assert thresholds.notes["A"] == "0 positives of 2 in validation, so the default is kept"
    assert thresholds.notes["B"] == "0 positives of 0 in validation, so the default is kept"


def test_survives_json():
    thresholds = choose_thresholds(
        np.array([[1], [0]], dtype=np.int8), np.array([[0.9], [0.4]]), ("A",), method="youden"
    )
    assert Thresholds.from_dict(json.loads(json.dumps(thresholds.to_dict()))) == thresholds


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match="expected one of fixed, f1, youden, sensitivity"):
        choose_thresholds(np.zeros((1, 1)), np.zeros((1, 1)), ("A",), method="best")
    with pytest.raises(ValueError, match="wished sensitivity None"):
        choose_thresholds(np.zeros((1, 1)), np.zeros((1, 1)), ("A",), method="sensitivity")
    with pytest.raises(KeyError, match="no threshold for B"):
        fixed_thresholds(("A",)).array(("A", "B"))


def test_a_threshold_that_few_patients_decide_says_so_with_an_interval():
    generator = np.random.default_rng(0)
    targets = np.zeros((100, 2), dtype=np.int8)
    targets[:7, 0] = 1
    targets[:40, 1] = 1
    probabilities = np.clip(0.3 * targets + 0.7 * generator.random((100, 2)), 0, 1)
    chosen = choose_thresholds(targets, probabilities, ("A", "B"))
    assert list(chosen.intervals) == list(chosen.notes) == ["A"]
    low, high = chosen.intervals["A"]
    assert low <= chosen.values["A"] <= high
    assert chosen.notes["A"] == (
        "chosen from 7 patients with the condition in validation; other patients might have given "
        f"{low:.3f} to {high:.3f} (95% interval)"
    )
    # forty recordings of eight patients are the threshold of eight patients
    of_few = choose_thresholds(targets, probabilities, ("A", "B"), groups=np.append(np.arange(40) // 5, np.arange(60)))
    assert "chosen from 8 patients" in of_few.notes["B"]
    # resamples of four patients are all alike, and an interval from them would be too narrow
    targets[:3, 0] = 0
    of_four = choose_thresholds(targets, probabilities, ("A", "B"))
    assert of_four.notes == {
        "A": "chosen from 4 patients with the condition in validation, too few to tell how far off it is"
    }
    assert not of_four.intervals
    targets[:3, 0] = 1
    again = choose_thresholds(targets, probabilities, ("A", "B"))
    assert again == chosen
    assert Thresholds.from_dict(json.loads(json.dumps(chosen.to_dict()))) == chosen
    earlier = {key: value for key, value in chosen.to_dict().items() if key != "intervals"}
    assert Thresholds.from_dict(earlier).intervals == {}
