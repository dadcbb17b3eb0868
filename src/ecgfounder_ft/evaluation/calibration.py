"""Calibration of probabilities, fitted on validation recordings and applied wherever the model is used.

Everything works on probabilities, so that it can be fitted and applied wherever predictions are kept.

* ``temperature``: one number T for all (Guo et al., ICML 2017). Log-odds are divided by T; in a single-label task
  log-probabilities are, and the softmax taken again.
* ``platt``: a slope and an intercept for each condition on its log-odds (Platt 1999, with his smoothed targets). In a
  single-label task the conditions are calibrated one against the rest and scaled to sum to one (Zadrozny and Elkan,
  KDD 2002).

Thresholds are chosen on, and applied to, calibrated probabilities.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import expit, logit, softmax
from sklearn.linear_model import LogisticRegression

from ecgfounder_ft.evaluation.metrics import expected_calibration_error
from ecgfounder_ft.evaluation.settings import CALIBRATIONS
from ecgfounder_ft.labels import PRESENT, UNKNOWN
from ecgfounder_ft.task import TASKS, Task, task_named

MIN_OF_EACH = 10
"""Fewest recordings with a condition, and without it, to fit its slope and intercept."""

MAX_TEMPERATURE = 20.0
"""Temperatures are sought between this and its inverse."""

_EPSILON = 1e-7
"""Probabilities are kept this far from 0 and 1, where log-odds are infinite."""


@dataclass(frozen=True)
class Calibration:
    """Fitted parameters, as in ``calibration.json``."""

    method: str
    task: str
    codes: list[str]
    """Conditions in output order."""
    temperature: float | None = None
    slopes: list[float] | None = None
    """In the order of the codes, for ``platt``."""
    intercepts: list[float] | None = None
    fitted_on: str = "validation"
    ece_before: dict[str, float | None] = field(default_factory=dict)
    """Condition code to expected calibration error on the recordings of the fit."""
    ece_after: dict[str, float | None] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)
    """Condition code to why its probabilities are left as they are; ``all`` for every condition."""

    def to_dict(self) -> dict[str, Any]:
        """Plain containers."""
        return asdict(self)

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> "Calibration":
        """Inverse of :meth:`to_dict`.

        Raises:
            ValueError: if the method or the task is unknown, or a parameter of the method is missing.
        """
        calibration = cls(**content)
        _expect("method", calibration.method, CALIBRATIONS)
        _expect("task", calibration.task, list(TASKS))
        missing = (calibration.method == "temperature" and calibration.temperature is None) or (
            calibration.method == "platt" and (calibration.slopes is None or calibration.intercepts is None)
        )
        if missing:
            raise ValueError(f"calibration '{calibration.method}' without its parameters")
        return calibration

    def apply(self, probabilities: NDArray[np.floating]) -> NDArray[np.float64]:
        """Calibrated probabilities (n, k); NaN stays NaN.

        Raises:
            ValueError: if there is another number of conditions.
        """
        given = np.asarray(probabilities, dtype=np.float64)
        if given.ndim != 2 or given.shape[1] != len(self.codes):
            raise ValueError(f"probabilities of shape {given.shape}; calibrated were {len(self.codes)} conditions")
        if self.method == "none":
            return given
        if self.method == "temperature":
            assert self.temperature is not None
            return _tempered(given, self.temperature, task_named(self.task))
        assert self.slopes is not None
        assert self.intercepts is not None
        calibrated = expit(_log_odds(given) * self.slopes + self.intercepts)
        if task_named(self.task).exclusive:
            calibrated /= calibrated.sum(axis=1, keepdims=True)
        return calibrated


def fit_calibration(
    targets: NDArray[np.integer],
    probabilities: NDArray[np.floating],
    codes: Sequence[str],
    *,
    task: Task,
    method: str = "temperature",
) -> Calibration:
    """Fit on validation recordings.

    Args:
        targets: (n, k) 1, 0 or -1 (unknown, left out). In a single-label task only recordings with exactly one present
            condition count, and their other conditions count as absent.
        probabilities: (n, k), the model's own; NaN is left out.
        codes: (k,) condition codes.
        task: of the model.
        method: one of :data:`~ecgfounder_ft.evaluation.settings.CALIBRATIONS`.

    Raises:
        ValueError: for an unknown method.
    """
    _expect("method", method, CALIBRATIONS)
    labels = np.asarray(targets)
    given = np.asarray(probabilities, dtype=np.float64)
    if task.exclusive:
        rows = np.flatnonzero(task.usable(labels) & ~np.isnan(given).any(axis=1))
        labels, given = task.states(labels[rows]), given[rows]
    known = (labels != UNKNOWN) & ~np.isnan(given)
    fitted = {"none": _identity, "temperature": _fit_temperature, "platt": _fit_platt}[method](
        labels, given, known, list(codes), task
    )
    calibrated = fitted.apply(given)
    return Calibration(
        **{
            **fitted.to_dict(),
            "ece_before": _errors(labels, given, known, codes),
            "ece_after": _errors(labels, calibrated, known, codes),
        }
    )


def _identity(
    labels: NDArray[np.integer], given: NDArray[np.float64], known: NDArray[np.bool_], codes: list[str], task: Task
) -> Calibration:
    return Calibration("none", task.name, codes)


def _fit_temperature(
    labels: NDArray[np.integer], given: NDArray[np.float64], known: NDArray[np.bool_], codes: list[str], task: Task
) -> Calibration:
    present = labels == PRESENT
    if not (known & present).any() or not (known & ~present).any():
        return Calibration("none", task.name, codes, notes={"all": "validation lacks recordings to fit on"})
    goal = _smoothed(present, known, task)

    def loss(log_temperature: float) -> float:
        clipped = np.clip(_tempered(given, float(np.exp(log_temperature)), task), _EPSILON, 1 - _EPSILON)
        surprise = goal * np.log(clipped)
        if not task.exclusive:
            surprise += (1 - goal) * np.log1p(-clipped)
        return float(-surprise[known].sum())

    bound = float(np.log(MAX_TEMPERATURE))
    best = minimize_scalar(loss, bounds=(-bound, bound), method="bounded")
    return Calibration("temperature", task.name, codes, temperature=float(np.exp(best.x)))


def _smoothed(present: NDArray[np.bool_], known: NDArray[np.bool_], task: Task) -> NDArray[np.float64]:
    """Platt's targets, which keep a temperature finite where validation is told apart without an error.

    In a multi-label task (N+ + 1)/(N+ + 2) and 1/(N- + 2) for each condition; in a single-label task as much of each
    recording's one, 1/(n + 2), is spread over the other conditions.
    """
    if task.exclusive:
        spread = 1 / (len(present) + 2)
        return np.where(present, 1 - spread, spread / max(1, present.shape[1] - 1))
    positives, negatives = (known & present).sum(axis=0), (known & ~present).sum(axis=0)
    return np.where(present, (positives + 1) / (positives + 2), 1 / (negatives + 2))


def _fit_platt(
    labels: NDArray[np.integer], given: NDArray[np.float64], known: NDArray[np.bool_], codes: list[str], task: Task
) -> Calibration:
    scores = _log_odds(given)
    slopes, intercepts, notes = [], [], {}
    for column, code in enumerate(codes):
        rows = known[:, column]
        present = labels[rows, column] == PRESENT
        positives, negatives = int(present.sum()), int((~present).sum())
        slope, intercept = 1.0, 0.0
        if min(positives, negatives) < MIN_OF_EACH:
            notes[code] = f"{positives} with and {negatives} without in validation, fewer than {MIN_OF_EACH}"
        else:
            slope, intercept = _logistic(scores[rows, column], present, positives, negatives)
            if slope <= 0:
                notes[code] = "probabilities do not rise with the condition"
                slope, intercept = 1.0, 0.0
        slopes.append(slope)
        intercepts.append(intercept)
    return Calibration("platt", task.name, codes, slopes=slopes, intercepts=intercepts, notes=notes)


def _logistic(
    score: NDArray[np.float64], present: NDArray[np.bool_], positives: int, negatives: int
) -> tuple[float, float]:
    """Slope and intercept with Platt's targets (N+ + 1)/(N+ + 2) and 1/(N- + 2), which keep them finite.

    A target between 0 and 1 is one recording with and one without the condition, weighted by it.
    """
    target = np.where(present, (positives + 1) / (positives + 2), 1 / (negatives + 2))
    model = LogisticRegression(C=np.inf, tol=1e-8, max_iter=1000)
    model.fit(
        np.tile(score, 2)[:, None],
        np.repeat([1, 0], len(score)),
        sample_weight=np.concatenate([target, 1 - target]),
    )
    return float(model.coef_[0, 0]), float(model.intercept_[0])


def _tempered(probabilities: NDArray[np.float64], temperature: float, task: Task) -> NDArray[np.float64]:
    if task.exclusive:
        return softmax(np.log(np.clip(probabilities, _EPSILON, 1.0)) / temperature, axis=1)
    return expit(_log_odds(probabilities) / temperature)


def _log_odds(probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    return logit(np.clip(probabilities, _EPSILON, 1 - _EPSILON))


def _errors(
    labels: NDArray[np.integer], probabilities: NDArray[np.float64], known: NDArray[np.bool_], codes: Sequence[str]
) -> dict[str, float | None]:
    errors: dict[str, float | None] = {}
    for column, code in enumerate(codes):
        rows = known[:, column]
        present = (labels[rows, column] == PRESENT).astype(np.int8)
        errors[code] = expected_calibration_error(present, probabilities[rows, column]) if rows.any() else None
    return errors


def _expect(what: str, found: str, allowed: Sequence[str]) -> None:
    if found not in allowed:
        raise ValueError(f"calibration {what} '{found}': expected one of {', '.join(allowed)}")
