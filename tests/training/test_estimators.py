"""scikit-learn's own view of the estimators, and pipelines and searches on recordings."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.exceptions import SkipTestWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, GroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.utils import estimator_checks

from ecgfounder_ft import ECGClassifier, ECGEmbedding, ECGFineTuner
from ecgfounder_ft.ecg.formats import read_recording
from ecgfounder_ft.ecg.recording import UnreadableRecordingError
from ecgfounder_ft.inference.inputs import PredictionError
from tests.small_run import SMALL

FOLDERS = {"AFIB": "Atrial Fibrillation", "LBBB": "Left bundle branch block"}


@pytest.fixture(scope="module")
def labelled(small_root: Path) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Paths, codes and patients of recordings of two conditions."""
    found = sorted((small_root / "simulated").rglob("*.hea"))
    pairs = [
        (path, code) for path in found for code, name in FOLDERS.items() if path.parts[-2].replace("_", " ") == name
    ]
    pairs = pairs or [
        (path, code) for path in found for code, name in FOLDERS.items() if name.casefold() in str(path).casefold()
    ]
    paths = [str(path) for path, _ in pairs]
    return paths, np.array([code for _, code in pairs]), np.arange(len(paths)) // 2


CHECKS = (
    "check_parameters_default_constructible",
    "check_estimator_cloneable",
    "check_estimator_repr",
    "check_get_params_invariance",
    "check_set_params",
    "check_no_attributes_set_in_init",
    "check_mixin_order",
    "check_valid_tag_types",
    "check_estimator_tags_renamed",
)
"""Checks of scikit-learn that give an estimator no data. The others make tables of two to ten numbers a row, which are
no ECGs; ``check_estimator`` leaves them out by the tags."""


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("estimator", [ECGEmbedding(), ECGFineTuner()], ids=lambda one: type(one).__name__)
def test_scikit_learns_own_checks_pass_as_far_as_they_apply(estimator: object, check: str) -> None:
    getattr(estimator_checks, check)(type(estimator).__name__, estimator)


@pytest.mark.parametrize("estimator", [ECGEmbedding(), ECGFineTuner()], ids=lambda one: type(one).__name__)
def test_tags_say_that_no_table_is_read(estimator: object) -> None:
    with pytest.warns(SkipTestWarning, match="Can't test estimator"):
        results = estimator_checks.check_estimator(estimator, on_fail=None)
    assert not [entry for entry in results if entry["status"] == "failed"]


def test_embeddings_are_those_of_the_classifier_in_every_form_of_x(labelled) -> None:  # type: ignore[no-untyped-def]
    paths = labelled[0][:3]
    embedding = ECGEmbedding("demo_12_lead").fit(paths)
    expected = ECGClassifier.from_pretrained("demo_12_lead").embed(paths)
    forms = [
        paths,
        np.array(paths),
        np.array(paths, dtype=object)[:, None],
        pd.Series(paths),
        pd.DataFrame({"ecg": paths}),
    ]
    for form in forms:
        np.testing.assert_array_equal(embedding.transform(form), expected)
    recordings = [read_recording(Path(path)) for path in paths]
    arrays = np.stack([one.signal for one in recordings])
    how = {"sampling_rate": recordings[0].sampling_rate, "leads": list(recordings[0].leads)}
    np.testing.assert_allclose(ECGEmbedding("demo_12_lead", **how).fit_transform(arrays), expected, atol=1e-4)
    assert list(embedding.get_feature_names_out()[:2]) == ["embedding0", "embedding1"]


def test_pipelines_and_searches_by_patient(labelled) -> None:  # type: ignore[no-untyped-def]
    paths, y, patients = labelled
    frame = pd.DataFrame({"ecg": paths, "age": np.linspace(40, 80, len(paths))})
    columns = ColumnTransformer([("ecg", ECGEmbedding("demo_12_lead"), ["ecg"]), ("age", "passthrough", ["age"])])
    search = GridSearchCV(
        make_pipeline(columns, LogisticRegression(max_iter=500)),
        {"logisticregression__C": [0.01, 1.0]},
        cv=GroupKFold(2),
        scoring="roc_auc",
    )
    search.fit(frame, y, groups=patients)
    assert search.best_score_ > 0.9
    assert search.predict_proba(frame).shape == (len(paths), 2)


def test_what_is_no_ecg_is_told(labelled, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    paths = labelled[0]
    embedding = ECGEmbedding("demo_12_lead").fit(paths)
    with pytest.raises(PredictionError, match=r"shape \(4, 3\), expected \(recordings, leads, samples\)"):
        embedding.transform(np.zeros((4, 3)))
    with pytest.raises(PredictionError, match="expected a list of recordings"):
        embedding.transform(paths[0])
    with pytest.raises(PredictionError, match="sampling_rate is not stated"):
        embedding.transform(np.zeros((1, 12, 5000)))
    (tmp_path / "broken.hea").write_text("nothing")
    mixed = [paths[0], str(tmp_path / "broken.hea")]
    with pytest.raises(UnreadableRecordingError, match=r"broken\.hea: recordings cannot be used: 1 of 2"):
        embedding.transform(mixed)
    found = ECGEmbedding("demo_12_lead", unusable="nan").fit_transform(mixed)
    assert np.isfinite(found[0]).all()
    assert np.isnan(found[1]).all()


def test_a_fine_tuner_is_a_classifier(labelled, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    paths, y, patients = labelled
    small = [one for one in SMALL if one.startswith(("preprocessing", "model", "data.workers", "data.batch_size"))]
    tuner = ECGFineTuner(
        overrides=[*small, "finetune=solved_head", "finetune.strengths=[0.1]"], output=tmp_path / "run"
    )
    tuner.fit(paths, y, groups=patients)
    probabilities = tuner.predict_proba(paths[:4])
    assert probabilities.shape == (4, 6)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-6)
    assert list(tuner.classes_) == ["NORM", "AFIB", "AFLT", "1dAVb", "RBBB", "LBBB"]
    assert set(tuner.predict(paths[:4])) <= set(tuner.classes_)
    with pytest.raises(PredictionError, match="y names STEMI, expected codes of"):
        tuner.fit(paths[:1], ["STEMI"])
    with pytest.raises(PredictionError, match="as many of each"):
        tuner.fit(paths, y, groups=[1, 2])
