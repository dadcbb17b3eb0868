"""Fine-tuning as a classifier of scikit-learn."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted

from ecgfounder_ft.config.compose import compose_settings
from ecgfounder_ft.inference.ecg_classifier import ECGClassifier
from ecgfounder_ft.inference.estimators import of_recordings, recordings_in
from ecgfounder_ft.inference.inputs import PredictionError
from ecgfounder_ft.training.experiment import run_experiment

_QUIET = (
    "evaluation.report=false",
    "evaluation.attribution=false",
    "evaluation.baselines=false",
    "evaluation.resamples=0",
    "trainer.enable_progress_bar=false",
    "logger=[]",
    "split.minimum=0",
    "split.assignment=stratified",
)


class ECGFineTuner(ClassifierMixin, BaseEstimator):
    """A fine-tuned model of recordings, trained by the product's own training.

    Part of the patients given to ``fit`` is held out. Two thirds of these choose the best epoch, calibration and
    thresholds; the others are the test recordings of the run, whose folder is ``run_``.

    Args:
        conditions: codes of the label map that y speaks of; the columns of y where it has several, and in their order.
        overrides: settings of the training, as for ``ecgfounder-ft train``: ``("finetune=solved_head",)``.
        held_out: share of the patients that is held out.
        sampling_rate: Hz, of arrays and of files that do not say it.
        leads: names of an array's rows.
        unit: mV, uV, V or nV; arrays without one are in millivolts.
        output: folder of the run; None: a temporary one, which goes with the estimator.
        seed: of split and training.
    """

    def __init__(
        self,
        conditions: Sequence[str] = ("NORM", "AFIB", "AFLT", "1dAVb", "RBBB", "LBBB"),
        *,
        overrides: Sequence[str] = (),
        held_out: float = 0.3,
        sampling_rate: float | None = None,
        leads: Sequence[str] | None = None,
        unit: str | None = None,
        output: str | Path | None = None,
        seed: int = 42,
    ) -> None:
        self.conditions = conditions
        self.overrides = overrides
        self.held_out = held_out
        self.sampling_rate = sampling_rate
        self.leads = leads
        self.unit = unit
        self.output = output
        self.seed = seed

    def fit(self, X: Any, y: ArrayLike, groups: ArrayLike | None = None) -> ECGFineTuner:
        """Train on recordings.

        Args:
            X: recordings, as for :func:`~ecgfounder_ft.inference.estimators.recordings_in`.
            y: one condition code for each recording, or (recordings, conditions) of 1 (present), 0 (absent) and NaN
                (unknown), in the order of ``conditions``.
            groups: patient of each recording; None: each is a patient of its own.

        Raises:
            PredictionError: if X, y and groups do not fit each other.
            ExplainedError: if the training is refused or cannot go on.
        """
        given, states = recordings_in(X), self._states(y)
        patients = np.arange(len(given)) if groups is None else np.asarray(groups)
        if not len(given) == len(states) == len(patients):
            raise PredictionError(
                f"{len(given)} recordings, {len(states)} rows of y and {len(patients)} groups, expected as many of each"
            )
        self.classes_ = np.array(self.conditions)
        self._temporary = tempfile.TemporaryDirectory() if self.output is None else None
        folder = Path(self._temporary.name if self._temporary is not None else str(self.output)).absolute()
        folder.mkdir(parents=True, exist_ok=True)
        table = pd.DataFrame({"path": self._paths(given, folder), "patient": [f"patient {one}" for one in patients]})
        for code, column in zip(self.conditions, states.T, strict=True):
            table[code] = pd.array(np.where(np.isnan(column), -1, column), dtype="Int64").map(
                lambda value: "" if value < 0 else str(value)
            )
        table.to_csv(folder / "recordings.csv", index=False)
        run_experiment(compose_settings(self._typed(folder, exclusive=np.ndim(y) == 1)))
        self.run_ = folder / "run"
        self.classifier_ = ECGClassifier.from_pretrained(self.run_, device="cpu")
        return self

    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """Recordings to calibrated probabilities (recordings, conditions); NaN where one cannot be used."""
        check_is_fitted(self, "classifier_")
        found = self.classifier_.predict(
            recordings_in(X), sampling_rate=self.sampling_rate, leads=self.leads, unit=self.unit
        )
        assert isinstance(found, list)
        rows = [[one.probabilities.get(code, np.nan) for code in self.conditions] for one in found]
        return np.array(rows, dtype=np.float64).reshape(len(rows), len(self.conditions))

    def predict(self, X: Any) -> NDArray[Any]:
        """Recordings to the most probable code where y had one each, else to decisions (recordings, conditions)."""
        probabilities = self.predict_proba(X)
        if self.classifier_.record.task.exclusive:
            return self.classes_[np.nan_to_num(probabilities, nan=-1).argmax(axis=1)]
        thresholds = self.classifier_.record.thresholds or {}
        limits = np.array([thresholds.get(code, 0.5) for code in self.conditions])
        return (probabilities >= limits).astype(int)

    def _states(self, y: ArrayLike) -> NDArray[np.float64]:
        given = np.asarray(y)
        if given.ndim == 1:
            strange = sorted({str(one) for one in given} - set(self.conditions))
            if strange:
                raise PredictionError(
                    f"y names {', '.join(strange[:5])}, expected codes of: {', '.join(self.conditions)}; labels of "
                    "your own need a label map of your own (docs/howto/own_labels.md)"
                )
            return np.array([[float(one == code) for code in self.conditions] for one in given.astype(str)])
        if given.ndim != 2 or given.shape[1] != len(self.conditions):
            raise PredictionError(
                f"y has the shape {given.shape}, expected one code for each recording, or (recordings, "
                f"{len(self.conditions)}) for {', '.join(self.conditions)}"
            )
        return given.astype(np.float64)

    def _paths(self, given: Sequence[Any], folder: Path) -> list[str]:
        """Paths of the recordings; arrays are written into a folder of the run first."""
        arrays = folder / "arrays"
        found = []
        for number, entry in enumerate(given):
            path = Path(str(entry)) if isinstance(entry, str | Path) else arrays / f"{number:06d}.npy"
            if not isinstance(entry, str | Path):
                arrays.mkdir(exist_ok=True)
                np.save(path, np.asarray(entry, dtype=np.float32))
            found.append(str(path.absolute()))
        return found

    def _typed(self, folder: Path, exclusive: bool) -> list[str]:
        stated: Mapping[str, Any] = {"sampling_rate": self.sampling_rate, "unit": self.unit}
        more = [f"data.{name}={value}" for name, value in stated.items() if value is not None]
        if self.leads is not None:
            more.append(f"data.leads=[{','.join(self.leads)}]")
            if self.unit is None:
                more.append("data.unit=mV")
        return [
            "data=table",
            f"data.path='{folder / 'recordings.csv'}'",
            "data.root=/",
            f"data.store='{folder / 'store'}'",
            f"task={'single_label' if exclusive else 'multi_label'}",
            f"split.train={1 - self.held_out}",
            f"split.validation={self.held_out * 2 / 3}",
            f"split.test={self.held_out / 3}",
            f"seed={self.seed}",
            f"split.seed={self.seed}",
            *_QUIET,
            *more,
            *self.overrides,
            f"output_dir='{folder / 'run'}'",
        ]

    def __sklearn_tags__(self) -> Any:
        """Say that X holds recordings, three-dimensional arrays or texts, and no table of features."""
        return of_recordings(super().__sklearn_tags__())
