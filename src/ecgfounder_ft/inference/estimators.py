"""scikit-learn estimators on ECG recordings: embeddings as a transformer, fine-tuning as a classifier.

>>> from sklearn.linear_model import LogisticRegressionCV
>>> from sklearn.pipeline import make_pipeline
>>> from ecgfounder_ft import ECGEmbedding
>>> model = make_pipeline(ECGEmbedding("12_lead_ECGFounder"), LogisticRegressionCV())
>>> model.fit(paths, y).predict_proba(others)  # doctest: +SKIP
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from ecgfounder_ft.ecg.recording import UnreadableRecordingError
from ecgfounder_ft.inference.crops import AveragedCrops
from ecgfounder_ft.inference.ecg_classifier import ECGClassifier
from ecgfounder_ft.inference.inputs import PredictionError
from ecgfounder_ft.inference.loading import load_predictor

UNUSABLE = ("refuse", "nan")


def recordings_in(X: Any) -> list[Any]:
    """Return the recordings of what scikit-learn passes on, one by one.

    Args:
        X: paths in a list, a Series, an array or the only column of a data frame, a list of arrays (leads, samples), or
            an array (recordings, leads, samples).

    Raises:
        PredictionError: if it is something else.
    """
    if isinstance(X, str | Path):
        raise PredictionError(f"X is {str(X)!r}, expected a list of recordings: [{str(X)!r}]")
    if hasattr(X, "columns"):
        if len(X.columns) != 1:
            names = ", ".join(map(str, X.columns))
            raise PredictionError(
                f"X has the columns {names}, expected one with the paths; a ColumnTransformer gives each part its own"
            )
        X = X.iloc[:, 0]
    given = X.to_numpy() if hasattr(X, "to_numpy") else X
    if isinstance(given, np.ndarray):
        if given.ndim == 2 and given.shape[1] == 1 and given.dtype.kind in "OU":
            given = given[:, 0]
        elif given.dtype.kind in "fiu" and given.ndim != 3:
            raise PredictionError(
                f"X is an array of the shape {given.shape}, expected (recordings, leads, samples), or paths"
            )
    return list(given)


def of_recordings(tags: Any) -> Any:
    """Set the tags of an estimator whose X holds recordings, and return them."""
    tags.input_tags.two_d_array = False
    tags.input_tags.three_d_array = True
    tags.input_tags.string = True
    tags.input_tags.allow_nan = True
    tags.no_validation = True
    return tags


class ECGEmbedding(TransformerMixin, BaseEstimator):
    """Recordings to embeddings: what the last layer of a model reads, for any classifier of scikit-learn.

    Nothing is learnt in ``fit``: the model stays as it is.

    Args:
        model: anything that :func:`~ecgfounder_ft.inference.loading.load_predictor` loads.
        sampling_rate: Hz, of arrays and of files that do not say it.
        leads: names of an array's rows.
        unit: mV, uV, V or nV; arrays without one are in millivolts.
        windows: ``one``, or ``mean`` over all windows of a long recording.
        crops: overlapping crops of each window that are averaged.
        batch_size: windows at a time.
        device: ``cpu``, ``cuda`` or ``auto``.
        unusable: ``refuse`` recordings that cannot be used, or make their rows NaN.
    """

    def __init__(
        self,
        model: str | Path = "12_lead_ECGFounder",
        *,
        sampling_rate: float | None = None,
        leads: Sequence[str] | None = None,
        unit: str | None = None,
        windows: str = "one",
        crops: int = 1,
        batch_size: int = 32,
        device: str = "auto",
        unusable: str = "refuse",
    ) -> None:
        self.model = model
        self.sampling_rate = sampling_rate
        self.leads = leads
        self.unit = unit
        self.windows = windows
        self.crops = crops
        self.batch_size = batch_size
        self.device = device
        self.unusable = unusable

    def fit(self, X: Any, y: ArrayLike | None = None) -> ECGEmbedding:
        """Load the model.

        Args:
            X: recordings, as for :func:`recordings_in`; they are not read.
            y: not used.

        Raises:
            PredictionError: if a setting is out of range or X holds no recordings.
            ExplainedError: if the model cannot be loaded.
        """
        if self.unusable not in UNUSABLE:
            raise PredictionError(f"unusable is {self.unusable!r}, expected one of: {', '.join(UNUSABLE)}")
        if self.crops < 1:
            raise PredictionError(f"crops is {self.crops}, expected 1 or more")
        if not recordings_in(X):
            raise PredictionError("X holds no recordings")
        predictor = load_predictor(self.model, device=self.device)
        self.classifier_ = ECGClassifier(AveragedCrops(predictor, self.crops) if self.crops > 1 else predictor)
        preprocessing = predictor.record.preprocessing
        silence = np.zeros((1, len(preprocessing.leads), preprocessing.samples), np.float32)
        self.width_ = int(predictor.outputs(silence).embedding.shape[1])
        return self

    def transform(self, X: Any) -> NDArray[np.float32]:
        """Recordings to embeddings (recordings, width).

        Raises:
            UnreadableRecordingError: if some cannot be used and ``unusable`` is ``refuse``; it names the first.
            PredictionError: if X holds something else than recordings.
        """
        check_is_fitted(self, "classifier_")
        given = recordings_in(X)
        if not given:
            return np.zeros((0, self.width_), np.float32)
        found = self.classifier_.embed(
            given,
            sampling_rate=self.sampling_rate,
            leads=self.leads,
            unit=self.unit,
            windows=self.windows,
            batch_size=self.batch_size,
        )
        if found.shape[1] == 0:  # no recording could be used, so that no vector told its width
            found = np.full((len(given), self.width_), np.nan, np.float32)
        lost = np.flatnonzero(np.isnan(found).any(axis=1))
        if len(lost) and self.unusable == "refuse":
            first = given[lost[0]]
            name = first if isinstance(first, str | Path) else f"array {lost[0]}"
            raise UnreadableRecordingError(
                "recordings cannot be used",
                f"{len(lost)} of {len(given)}; leave them out, or take unusable='nan' and impute",
                str(name),
            )
        return found

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[np.object_]:
        """Return a name for each number of an embedding."""
        check_is_fitted(self, "width_")
        return np.array([f"embedding{number}" for number in range(self.width_)], dtype=object)

    def __sklearn_tags__(self) -> Any:
        """Say that X holds recordings, three-dimensional arrays or texts, and no table of features."""
        return of_recordings(super().__sklearn_tags__())
