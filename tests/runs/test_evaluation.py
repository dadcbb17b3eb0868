"""Run folders: read, evaluated, compared, and refused in clear words."""

import json

import numpy as np
import pandas as pd
import pytest

from ecgfounder_ft.evaluation.calibration import fit_calibration
from ecgfounder_ft.evaluation.comparison import NotComparableError
from ecgfounder_ft.evaluation.run_comparison import comparison_table
from ecgfounder_ft.evaluation.run_evaluation import UNTRAINED_START, NoPredictionsError
from ecgfounder_ft.evaluation.thresholds import fixed_thresholds
from ecgfounder_ft.runs.compare import compare_runs
from ecgfounder_ft.runs.folder import RunFolder, RunFolderError
from ecgfounder_ft.task import MULTI_LABEL, SINGLE_LABEL
from tests.run_folders import evaluate, write_run
from tests.settings import evaluation_settings

CODES = ("NORM", "AFIB")
FAST = evaluation_settings(resamples=40)


def _table(skill=1.5, n=240, seed=0, task=MULTI_LABEL):
    generator = np.random.default_rng(0)
    if task == SINGLE_LABEL:
        targets = np.eye(2, dtype=int)[generator.integers(0, 2, n)]
    else:
        targets = (generator.random((n, 2)) < 0.4).astype(int)
    noise = np.random.default_rng(seed).normal(size=(n, 2))
    probabilities = 1 / (1 + np.exp(-(skill * (2 * targets - 1) + noise)))
    if task == SINGLE_LABEL:
        probabilities /= probabilities.sum(axis=1, keepdims=True)
    table = pd.DataFrame(
        {
            "recording": [f"d{i % 2}/r{i:03d}" for i in range(n)],
            "dataset": [f"d{i % 2}" for i in range(n)],
            "constituent": "",
            "patient": [f"d{i % 2}/p{i // 2}" for i in range(n)],
            "split": np.where(np.arange(n) % 3 == 0, "validation", "test"),
            "age": np.where(np.arange(n) % 7 == 0, np.nan, 20 + np.arange(n) % 60),
            "sex": np.array(["female", "male", ""])[np.arange(n) % 3],
        }
    )
    for column, code in enumerate(CODES):
        table[f"label_{code}"] = pd.Series(targets[:, column], dtype="Int8")
    for column, code in enumerate(CODES):
        table[f"probability_{code}"] = probabilities[:, column]
    return table


def _run(folder, table=None, codes=CODES, task=MULTI_LABEL):
    return write_run(folder, _table(task=task) if table is None else table, codes, task)


def test_a_run_is_evaluated_from_its_files(tmp_path):
    table = _table()
    table.loc[5, "label_AFIB"] = pd.NA
    result = evaluate(_run(tmp_path / "run", table), FAST)
    assert result.evaluation.n == 160
    assert result.evaluation.conditions["AFIB"].unknown == 1
    assert result.evaluation.conditions["AFIB"].metrics["auroc"].low is not None
    assert result.calibration.method == "platt"
    assert set(result.calibration_check) == {"before", "after"}
    after = result.calibration_check["after"]["AFIB"]
    assert after["ece"].value == pytest.approx(result.evaluation.conditions["AFIB"].metrics["ece"].value)
    assert after["log_loss"].value < result.calibration_check["before"]["AFIB"]["log_loss"].value
    assert after["slope"].low < after["slope"].value < after["slope"].high
    assert result.thresholds.method == "f1"
    assert result.validation.n == 80
    assert {group.attribute for group in result.subgroups} == {"source", "sex", "age", "co-occurring condition"}
    assert sum(group.n for group in result.subgroups if group.attribute == "source") == 160


def test_conformal_sets_come_from_validation_where_an_error_rate_is_stated(tmp_path):
    run = _run(tmp_path / "run")
    assert evaluate(run, FAST).conformal is None
    sets = evaluate(run, evaluation_settings(resamples=0, error_rate=0.1)).conformal
    assert 0.8 < sets.conditions["AFIB"]["coverage_with"].value <= 1
    assert sets.cuts.error_rate == 0.1
    single = _run(tmp_path / "single", task=SINGLE_LABEL)
    assert evaluate(single, evaluation_settings(resamples=0, error_rate=0.1)).conformal is None


def test_thresholds_and_calibration_come_from_validation_alone(tmp_path):
    table = _table()
    first = evaluate(_run(tmp_path / "a", table), FAST)
    spoilt = table.copy()
    test = spoilt["split"] == "test"
    spoilt.loc[test, "probability_AFIB"] = 1 - spoilt.loc[test, "probability_AFIB"]
    second = evaluate(_run(tmp_path / "b", spoilt), FAST)
    assert second.thresholds == first.thresholds
    assert second.calibration == first.calibration
    assert second.evaluation.conditions["AFIB"].metrics["auroc"].value == pytest.approx(
        1 - first.evaluation.conditions["AFIB"].metrics["auroc"].value
    )


def test_what_was_stored_is_used_unless_a_refit_is_asked_for(tmp_path):
    folder = _run(tmp_path / "run")
    stored = fit_calibration(np.zeros((0, 2)), np.zeros((0, 2)), CODES, task=MULTI_LABEL, method="none")
    (folder.path / "calibration.json").write_text(json.dumps(stored.to_dict()))
    (folder.path / "thresholds.json").write_text(json.dumps(fixed_thresholds(CODES, 0.3).to_dict()))
    result = evaluate(folder, FAST)
    assert result.calibration == stored
    assert result.evaluation.conditions["NORM"].threshold == 0.3
    assert evaluate(folder, FAST, refit=True).calibration.method == "platt"


def test_single_label_runs_have_no_thresholds(tmp_path):
    result = evaluate(_run(tmp_path / "run", task=SINGLE_LABEL), FAST)
    assert result.thresholds is None
    assert result.evaluation.confusion_matrix is not None


def test_the_untrained_start_stands_beside_where_it_was_kept(tmp_path):
    folder = _run(tmp_path / "run")
    _table(skill=0.1).to_csv(folder.path / "start_predictions.csv", index=False)
    result = evaluate(folder, FAST)
    assert result.baselines[UNTRAINED_START].macro["auroc"].value < result.evaluation.macro["auroc"].value


def test_signal_repairs_become_subgroups(tmp_path):
    table = _table()
    table["repairs"] = np.where(np.arange(240) % 4 == 0, "missing samples; flat lead", "")
    groups = evaluate(_run(tmp_path / "run", table), evaluation_settings(by=["signal"], resamples=0)).subgroups
    assert [group.value for group in groups] == ["flat lead", "missing samples", "no flag"]


def _compare(runs, **options):
    return compare_runs([run.path for run in runs], resamples=40, **options)


def _break(folder, how):
    predictions = folder / "predictions.csv"
    table = pd.read_csv(predictions)
    if how == "no folder":
        return folder / "elsewhere"
    if how == "no predictions":
        predictions.unlink()
    elif how == "no config":
        (folder / "config.yaml").unlink()
    elif how == "edited config":
        (folder / "config.yaml").write_text("a: 1")
    elif how == "other labels":
        table.rename(columns={"label_AFIB": "label_X"}).to_csv(predictions, index=False)
    elif how == "other order":
        order = [name for name in table if "NORM" not in name] + ["label_NORM", "probability_NORM"]
        table[order].to_csv(predictions, index=False)
    elif how == "no patients":
        table.drop(columns="patient").to_csv(predictions, index=False)
    elif how == "twice":
        pd.concat([table, table.iloc[:1]]).to_csv(predictions, index=False)
    elif how == "no test":
        table.assign(split="validation").to_csv(predictions, index=False)
    elif how == "bad thresholds":
        (folder / "thresholds.json").write_text("{")
    elif how == "other thresholds":
        (folder / "thresholds.json").write_text(json.dumps(fixed_thresholds(("X",)).to_dict()))
    elif how == "empty file":
        predictions.write_text("")
    return folder


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("no folder", "no run folder"),
        ("no predictions", r"no predictions.csv in .*did training end\?"),
        ("no config", "no config.yaml"),
        ("edited config", "does not name the conditions and the task"),
        ("other labels", "label_columns of NORM, X; the run's label map has NORM, AFIB"),
        ("other order", "label_columns of AFIB, NORM"),
        ("no patients", "no column patient"),
        ("twice", "d0/r000 twice"),
        ("no test", "has no test recordings; its predictions are of: validation"),
        ("bad thresholds", "thresholds.json cannot be read"),
        ("other thresholds", "belongs to another run"),
        ("empty file", "cannot be read as CSV"),
    ],
)
def test_a_folder_that_lacks_something_says_what(tmp_path, how, message):
    with pytest.raises((RunFolderError, NoPredictionsError), match=message):
        evaluate(RunFolder(_break(_run(tmp_path / "run").path, how)), FAST)


def test_unknown_settings_are_refused():
    with pytest.raises(ValueError, match=r"evaluation.by: 'hospital', expected one of source"):
        evaluation_settings(by=["hospital"])


def test_runs_are_compared_best_first_whatever_the_order_of_their_rows(tmp_path):
    weak = _run(tmp_path / "weak", _table(skill=0.4, seed=1))
    strong = _run(tmp_path / "strong", _table(skill=2.0, seed=2).sample(frac=1, random_state=0))
    comparison = _compare([weak, strong])
    assert comparison.names == ["strong", "weak"]
    assert comparison.reference == "weak"
    assert comparison.differences["strong"].macro["auroc"].low > 0
    table = comparison_table(comparison)
    assert table["run"].tolist() == ["strong", "weak"]
    difference, (strong_one, weak_one) = table.loc[0, "difference_macro_auroc"], table["test_macro_auroc"]
    assert difference == pytest.approx(strong_one - weak_one)
    assert table.loc[0, "test_macro_auroc_low"] < strong_one < table.loc[0, "test_macro_auroc_high"]
    assert _compare([weak, strong], sort_by="brier").names == ["strong", "weak"]


def test_trials_of_a_sweep_are_named_by_what_varies_in_it(tmp_path):
    """Not by the numbers of their folders: "Differences from 0" reads as zero."""
    runs = [_run(tmp_path / str(number), _table(skill=skill, seed=number)) for number, skill in enumerate((0.4, 2.0))]
    for run, strategy in zip(runs, ("full", "lp_ft"), strict=True):
        (run.path / ".hydra").mkdir()
        (run.path / run.OVERRIDES).write_text(f"- seed=3\n- finetune={strategy}\n")
    comparison = _compare(runs)
    assert comparison.reference == "finetune=full (0)"
    assert comparison.names == ["finetune=lp_ft (1)", "finetune=full (0)"]


def test_runs_of_one_name_are_told_apart(tmp_path):
    folders = [_run(tmp_path / part / "12-00-00") for part in ("a", "b")]
    assert set(_compare(folders).runs) == {"a/12-00-00", "b/12-00-00"}


def test_other_test_sets_are_refused(tmp_path):
    one = _run(tmp_path / "one")
    fewer = _run(tmp_path / "fewer", _table().drop(index=[1]))
    with pytest.raises(NotComparableError, match=r"1 only in the first, 0 only in the second, such as d1/r001"):
        _compare([one, fewer])
    relabelled = _table()
    relabelled.loc[1, "label_NORM"] = 1 - relabelled.loc[1, "label_NORM"]
    with pytest.raises(NotComparableError, match="one and other cannot be compared: the labels"):
        _compare([one, _run(tmp_path / "other", relabelled)])
    with pytest.raises(NotComparableError, match="a multi_label model against a single_label"):
        _compare([one, _run(tmp_path / "single", _table(), task=SINGLE_LABEL)])
    with pytest.raises(RunFolderError, match="at least two"):
        _compare([one, one])


def test_reading_keeps_the_probabilities_to_the_last_digit(tmp_path):
    table = _table()
    predictions = _run(tmp_path / "run", table).predictions()
    given = table[["probability_NORM", "probability_AFIB"]].to_numpy()
    np.testing.assert_allclose(predictions.probabilities(predictions.table), given, rtol=1e-15)
