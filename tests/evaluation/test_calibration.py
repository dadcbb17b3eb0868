"""Calibration recovers known distortions, survives JSON and refuses to invent."""

import json

import numpy as np
import pytest
from scipy.special import expit, logit, softmax

from ecgfounder_ft.evaluation.calibration import Calibration, fit_calibration
from ecgfounder_ft.task import MULTI_LABEL, SINGLE_LABEL


def _multi_label(n=6000, seed=0):
    """True probabilities and labels drawn from them."""
    generator = np.random.default_rng(seed)
    truth = expit(generator.normal(-1, 1.5, (n, 2)))
    return truth, (generator.random((n, 2)) < truth).astype(np.int8)


def test_temperature_undoes_overconfidence():
    truth, targets = _multi_label()
    distorted = expit(3.0 * logit(truth))
    calibration = fit_calibration(targets, distorted, ("A", "B"), task=MULTI_LABEL, method="temperature")
    assert calibration.temperature == pytest.approx(3.0, rel=0.08)
    np.testing.assert_allclose(calibration.apply(expit(3.0 * logit(truth))), truth, atol=0.03)
    assert calibration.ece_after["A"] < 0.3 * calibration.ece_before["A"]


def test_platt_undoes_a_shift_of_each_condition():
    truth, targets = _multi_label()
    distorted = expit(logit(truth) * (2.0, 0.5) + (1.0, -1.5))
    calibration = fit_calibration(targets, distorted, ("A", "B"), task=MULTI_LABEL, method="platt")
    assert calibration.slopes == pytest.approx([0.5, 2.0], rel=0.1)
    assert calibration.intercepts == pytest.approx([-0.5, 3.0], abs=0.3)
    np.testing.assert_allclose(calibration.apply(distorted), truth, atol=0.05)


@pytest.mark.parametrize("method", ["temperature", "platt"])
def test_single_label_stays_a_distribution(method):
    generator = np.random.default_rng(1)
    scores = generator.normal(0, 1.5, (4000, 3))
    truth = softmax(scores, axis=1)
    targets = np.array([generator.multinomial(1, row) for row in truth], dtype=np.int8)
    distorted = softmax(2.5 * scores, axis=1)
    calibration = fit_calibration(targets, distorted, ("A", "B", "C"), task=SINGLE_LABEL, method=method)
    calibrated = calibration.apply(distorted)
    np.testing.assert_allclose(calibrated.sum(axis=1), 1.0)
    assert np.abs(calibrated - truth).mean() < 0.35 * np.abs(distorted - truth).mean()


def test_unknown_labels_and_missing_probabilities_do_not_count():
    truth, targets = _multi_label(n=2000)
    reference = fit_calibration(targets, truth**2, ("A", "B"), task=MULTI_LABEL, method="platt")
    padded = np.concatenate([targets, np.full((500, 2), -1, dtype=np.int8), np.ones((5, 2), dtype=np.int8)])
    given = np.concatenate([truth**2, np.full((500, 2), 0.99), np.full((5, 2), np.nan)])
    other = fit_calibration(padded, given, ("A", "B"), task=MULTI_LABEL, method="platt")
    assert other.slopes == pytest.approx(reference.slopes, rel=1e-6)
    assert np.isnan(other.apply(given)[-1]).all()


def test_separable_labels_give_finite_parameters():
    targets = np.repeat([[0], [1]], 30, axis=0).astype(np.int8)
    calibration = fit_calibration(targets, np.where(targets == 1, 0.9, 0.2), ("A",), task=MULTI_LABEL, method="platt")
    assert 0 < calibration.slopes[0] < 100
    assert 0.9 < calibration.apply(np.array([[0.9]]))[0, 0] < 1.0


def test_a_condition_too_rare_to_fit_is_left_alone_and_named():
    generator = np.random.default_rng(0)
    targets = np.zeros((100, 2), dtype=np.int8)
    targets[:40, 0] = 1
    targets[:3, 1] = 1
    probabilities = np.clip(generator.random((100, 2)) * 0.6 + 0.1 * targets, 0, 1)
    calibration = fit_calibration(targets, probabilities, ("A", "B"), task=MULTI_LABEL, method="platt")
    assert (calibration.slopes[1], calibration.intercepts[1]) == (1.0, 0.0)
    assert calibration.notes == {"B": "left as it is, for 3 with and 97 without in validation are fewer than 5"}
    np.testing.assert_allclose(calibration.apply(probabilities)[:, 1], probabilities[:, 1], atol=1e-6)


def test_a_ranking_is_never_turned_round():
    generator = np.random.default_rng(0)
    targets = (generator.random((200, 1)) < 0.5).astype(np.int8)
    calibration = fit_calibration(targets, np.where(targets == 1, 0.2, 0.8), ("A",), task=MULTI_LABEL, method="platt")
    assert calibration.notes == {"A": "left as it is, for the probabilities do not rise with the condition"}


def test_nothing_to_fit_on_leaves_everything():
    calibration = fit_calibration(np.full((4, 1), -1), np.full((4, 1), 0.3), ("A",), task=MULTI_LABEL)
    assert calibration.method == "none"
    assert calibration.notes == {"A": "left as it is, for 0 with and 0 without in validation are fewer than 5"}
    one = fit_calibration(np.full((4, 1), -1), np.full((4, 1), 0.3), ("A",), task=MULTI_LABEL, method="temperature")
    assert "all" in one.notes
    assert calibration.ece_before == {"A": None}


@pytest.mark.parametrize("method", ["none", "temperature", "platt"])
def test_survives_json(method):
    truth, targets = _multi_label(n=300)
    calibration = fit_calibration(targets, truth**2, ("A", "B"), task=MULTI_LABEL, method=method)
    again = Calibration.from_dict(json.loads(json.dumps(calibration.to_dict(), allow_nan=False)))
    assert again == calibration
    np.testing.assert_array_equal(again.apply(truth), calibration.apply(truth))


def test_bad_content_is_refused():
    with pytest.raises(ValueError, match="expected one of auto, none, temperature, platt"):
        fit_calibration(np.zeros((1, 1)), np.zeros((1, 1)), ("A",), task=MULTI_LABEL, method="isotonic")
    with pytest.raises(ValueError, match="'temperature' without its parameters"):
        Calibration.from_dict({"method": "temperature", "task": "multi_label", "codes": ["A"]})
    with pytest.raises(ValueError, match="calibrated were 1 conditions"):
        Calibration("none", "multi_label", ["A"]).apply(np.zeros((2, 2)))


@pytest.mark.parametrize("task", [SINGLE_LABEL, MULTI_LABEL])
def test_a_faultless_small_validation_does_not_make_the_model_certain(task):
    targets = np.eye(2, dtype=np.int8)[np.arange(16) % 2]
    probabilities = np.where(targets == 1, 0.7, 0.3)
    calibration = fit_calibration(targets, probabilities, ("A", "B"), task=task)
    assert 0.7 < calibration.apply(probabilities).max() < 0.96


def _distorted(positives, slopes, shifts, seed=0, n=1500):
    """Labels (n, k) with about so many positives of each condition, true probabilities, and stated ones."""
    generator = np.random.default_rng(seed)
    shape = (n, len(slopes))
    truth = expit(logit(np.array(positives) / n) - 1.0 + 1.5 * generator.normal(size=shape))
    targets = (generator.random(shape) < truth).astype(np.int8)
    return targets, truth, expit((logit(truth) - shifts) / slopes)


def test_an_underconfident_condition_is_not_made_worse_by_overconfident_others():
    targets, truth, given = _distorted([300, 300, 300, 300], [0.4, 0.4, 0.4, 2.0], [0.0] * 4)
    codes = ("A", "B", "C", "D")
    one = fit_calibration(targets, given, codes, task=MULTI_LABEL, method="temperature")
    assert one.ece_after["D"] > one.ece_before["D"]  # what one temperature for all does
    own = fit_calibration(targets, given, codes, task=MULTI_LABEL)
    assert own.method == "platt"
    assert all(own.ece_after[code] < 0.5 * own.ece_before[code] for code in codes)
    assert np.abs(own.apply(given) - truth).mean() < 0.2 * np.abs(given - truth).mean()


def test_the_default_of_a_single_label_task_is_one_temperature():
    targets = np.eye(2, dtype=np.int8)[np.arange(60) % 2]
    given = np.where(targets == 1, 0.7, 0.3)
    assert fit_calibration(targets, given, ("A", "B"), task=SINGLE_LABEL).method == "temperature"


def test_few_positives_change_little_and_many_all_that_is_asked_for():
    slopes = []
    for positives in (8, 30, 3000):
        targets, _, given = _distorted([positives], [2.0], [0.0], n=5 * positives + 50)
        slopes.append(_platt_slope(targets, given))
    assert abs(np.log(slopes[0])) < abs(np.log(slopes[2])) == pytest.approx(np.log(2.0), abs=0.1)
    assert 0.5 < slopes[0] < 1.9


def _platt_slope(targets, given):
    from ecgfounder_ft.evaluation.calibration import _fit_platt

    known = np.ones(targets.shape, dtype=bool)
    fitted = _fit_platt(targets, given, known, ["A"], MULTI_LABEL)
    assert fitted.slopes is not None
    return fitted.slopes[0]


def test_shrinkage_serves_patients_to_come_better_than_none():
    """Eight positives: over many validation sets, the log loss of the population with the fit and without."""
    from ecgfounder_ft.evaluation import calibration

    changes = {}
    for spread in (calibration.SLOPE_SPREAD, 1e3):
        losses = []
        for seed in range(40):
            targets, truth, given = _distorted([8], [1.3], [0.3], seed=seed, n=120)
            if min(targets.sum(), (1 - targets).sum()) < 5:
                continue
            score = logit(given[:, 0])
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(calibration, "SLOPE_SPREAD", spread)
                patch.setattr(calibration, "SHIFT_SPREAD", 2 * spread)
                slope, intercept = calibration._shrunken_logistic(score, targets[:, 0] == 1)
            _, truth, given = _distorted([8], [1.3], [0.3], seed=999, n=120)
            stated = np.clip(expit(intercept + slope * logit(given)), 1e-7, 1 - 1e-7)
            losses.append(-(truth * np.log(stated) + (1 - truth) * np.log1p(-stated)).mean())
        changes[spread] = np.mean(losses)
    assert changes[calibration.SLOPE_SPREAD] < changes[1e3]


@pytest.mark.parametrize("method", ["temperature", "platt"])
def test_a_calibration_that_does_not_help_held_out_patients_is_not_used(method):
    """Probabilities that are right already: what a fit changes is noise, and held-out patients tell."""
    unused = 0
    for seed in range(20):
        truth, targets = _multi_label(n=150, seed=seed)
        found = fit_calibration(targets[:, :1], truth[:, :1], ("A",), task=MULTI_LABEL, method=method)
        before, after = found.held_out_log_loss["A" if method == "platt" else "all"]
        assert (found.method == "none") == (after >= before)
        if found.method == "none":
            unused += 1
            np.testing.assert_array_equal(found.apply(truth[:, :1]), truth[:, :1])
            (note,) = found.notes.values()
            assert note == (
                f"left as it is, for the log loss of held-out validation patients goes from {before:.4f} to {after:.4f}"
            )
    assert unused >= 10


def test_recordings_of_a_patient_are_held_out_together():
    """Copies of one recording on both sides of a fold would make any fit look good."""
    generator = np.random.default_rng(0)
    truth = expit(generator.normal(-1, 1.5, (30, 1)))
    targets = (generator.random((30, 1)) < truth).astype(np.int8)
    copies = [np.repeat(values, 8, axis=0) for values in (targets, truth)]
    alone = fit_calibration(*copies, ("A",), task=MULTI_LABEL)
    together = fit_calibration(*copies, ("A",), task=MULTI_LABEL, groups=np.repeat(np.arange(30), 8))
    gains = [before - after for before, after in (found.held_out_log_loss["A"] for found in (alone, together))]
    assert gains[1] < gains[0]


def test_records_of_earlier_versions_are_read():
    earlier = {
        "method": "platt", "task": "multi_label", "codes": ["A"], "temperature": None, "slopes": [2.0],
        "intercepts": [0.5], "fitted_on": "validation", "ece_before": {"A": 0.1}, "ece_after": {"A": 0.05}, "notes": {},
    }  # fmt: skip
    assert Calibration.from_dict(earlier).apply(np.array([[0.5]]))[0, 0] == pytest.approx(expit(0.5))
    with pytest.raises(ValueError, match="expected one of none, temperature, platt"):
        Calibration.from_dict({**earlier, "method": "auto"})
