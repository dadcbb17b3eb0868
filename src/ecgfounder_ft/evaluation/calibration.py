"""Calibration of probabilities, fitted on validation recordings and applied wherever the model is used.

Everything works on probabilities, so that it can be fitted and applied wherever predictions are kept.

* ``temperature``: one number T for all (Guo et al., ICML 2017). Log-odds are divided by T; in a single-label task
  log-probabilities are, and the softmax taken again.
* ``platt``: a slope and an intercept for each condition on its log-odds (Platt 1999). In a single-label task the
  conditions are calibrated one against the rest and scaled to sum to one (Zadrozny and Elkan, KDD 2002).
* ``auto``: ``platt`` for a multi-label task, whose conditions are outputs of their own and are wrong in their own ways
  (one temperature that mends three overconfident conditions makes a fourth, underconfident one worse); ``temperature``
  for a single-label task, whose probabilities hang together.

*Shrinkage.* A few recordings cannot tell a slope and an intercept, so ``platt`` is fitted by penalised likelihood,
which draws it towards no change (as Steyerberg et al., Stat Med 2004;23:2567, shrink a model's update towards the
model): the log of the slope is normal around 0 with :data:`SLOPE_SPREAD`, and so is, with :data:`SHIFT_SPREAD`, what is
added to the condition's mean log-odds. Where positives are many the data outweigh this; where they are few little is
changed. It also keeps the fit finite where validation is told apart without an error, and the ranking as it was.

*A calibration that makes things worse is not used.* Validation patients are dealt into five folds; the calibration
fitted on four is judged on the fifth. Where the log loss of all the held-out recordings is not lower with it than
without it, the condition (``platt``, multi-label) or everything (otherwise) is left as it is, and ``notes`` says so. On
the recordings of the fit itself nearly every calibration looks better; held-out ones charge it for the noise it fits.

Thresholds are chosen on, and applied to, calibrated probabilities.

What fits imports its libraries itself, so that a calibration is applied without them.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit, softmax

from ecgfounder_ft.evaluation.probabilities import EPSILON, log_losses, log_odds, off_the_ends
from ecgfounder_ft.evaluation.settings import CALIBRATIONS
from ecgfounder_ft.labels import PRESENT, UNKNOWN
from ecgfounder_ft.records import check_record
from ecgfounder_ft.task import TASKS, Task, task_named

METHODS = tuple(method for method in CALIBRATIONS if method != "auto")
"""What a fit may be; ``auto`` is one of them by the task."""

MIN_OF_EACH = 5
"""Fewest recordings with a condition, and without it, to fit its slope and intercept."""

SLOPE_SPREAD = 0.5
"""Standard deviation that is expected of the log of a slope: nineteen in twenty between 0.37 and 2.7."""

SHIFT_SPREAD = 1.0
"""Standard deviation that is expected of the shift of a condition's mean log-odds."""

FOLDS = 5
"""Of validation patients, to see whether a calibration helps patients that it was not fitted on."""

MAX_TEMPERATURE = 20.0
"""Temperatures are sought between this and its inverse."""


SLOPES, INTERCEPTS = (1e-3, 1e3), (-1e5, 1e5)
"""Beyond these no fit comes to lie: shrinkage holds the log of a slope, and log-odds are kept off the ends."""


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
    held_out_log_loss: dict[str, list[float]] = field(default_factory=dict)
    """Condition code, or ``all`` where all stand or fall together, to the mean log loss of held-out validation
    recordings without and with the calibration."""

    def to_dict(self) -> dict[str, Any]:
        """Plain containers."""
        return asdict(self)

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> "Calibration":
        """Inverse of :meth:`to_dict`.

        Raises:
            ValueError: if the method or the task is unknown, or a parameter of the method is missing or of another
                type.
        """
        check_record(cls, content, "calibration")
        calibration = cls(**content)
        _expect("method", calibration.method, METHODS)
        _expect("task", calibration.task, list(TASKS))
        conditions = len(calibration.codes)
        temperature = calibration.temperature
        if calibration.method == "temperature" and temperature is None:
            raise ValueError("calibration 'temperature' without its parameters: there is no temperature")
        if temperature is not None:
            _require_within("temperature", [temperature], 1 / MAX_TEMPERATURE, MAX_TEMPERATURE)
        _require_within("slopes", calibration.slopes or [], *SLOPES)
        _require_within("intercepts", calibration.intercepts or [], *INTERCEPTS)
        for name, found in (("slopes", calibration.slopes), ("intercepts", calibration.intercepts)):
            if calibration.method == "platt" and (found is None or len(found) != conditions):
                raise ValueError(f"calibration 'platt' without its parameters: {name} of {conditions} conditions")
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
        calibrated = expit(log_odds(given) * self.slopes + self.intercepts)
        if task_named(self.task).exclusive:
            calibrated /= calibrated.sum(axis=1, keepdims=True)
        return calibrated


def _require_within(name: str, values: Sequence[float], low: float, high: float) -> None:
    for value in values:
        if not low * (1 - 1e-9 * (low > 0)) <= value <= high * (1 + 1e-9):
            raise ValueError(f"calibration: {name} hold {value:g}, expected {low:g} to {high:g}")


def fit_calibration(
    targets: NDArray[np.integer],
    probabilities: NDArray[np.floating],
    codes: Sequence[str],
    *,
    task: Task,
    method: str = "auto",
    groups: ArrayLike | None = None,
) -> Calibration:
    """Fit on validation recordings.

    Args:
        targets: (n, k) 1, 0 or -1 (unknown, left out). In a single-label task only recordings with exactly one present
            condition count, and their other conditions count as absent.
        probabilities: (n, k), the model's own; NaN is left out.
        codes: (k,) condition codes.
        task: of the model.
        method: one of :data:`~ecgfounder_ft.evaluation.settings.CALIBRATIONS`.
        groups: (n,) patient of each recording, None: each has its own.

    Raises:
        ValueError: for an unknown method.
    """
    _expect("method", method, CALIBRATIONS)
    if method == "auto":
        method = "temperature" if task.exclusive else "platt"
    labels = np.asarray(targets)
    given = np.asarray(probabilities, dtype=np.float64)
    patients = np.arange(len(labels)) if groups is None else np.asarray(groups).astype(str)
    if task.exclusive:
        rows = np.flatnonzero(task.usable(labels) & ~np.isnan(given).any(axis=1))
        labels, given, patients = task.states(labels[rows]), given[rows], patients[rows]
    known = (labels != UNKNOWN) & ~np.isnan(given)
    fit = {"none": _identity, "temperature": _fit_temperature, "platt": _fit_platt}[method]
    fitted = fit(labels, given, known, list(codes), task)
    if fitted.method != "none":
        fitted = _unless_worse(fitted, fit, labels, given, known, patients, task)
    calibrated = fitted.apply(given)
    return replace(
        fitted,
        ece_before=_errors(labels, given, known, codes),
        ece_after=_errors(labels, calibrated, known, codes),
    )


_Fit = Callable[[NDArray[np.integer], NDArray[np.float64], NDArray[np.bool_], list[str], Task], Calibration]


def _unless_worse(
    fitted: Calibration,
    fit: _Fit,
    labels: NDArray[np.integer],
    given: NDArray[np.float64],
    known: NDArray[np.bool_],
    patients: NDArray[Any],
    task: Task,
) -> Calibration:
    """The calibration, without what does not lower the log loss of held-out patients."""
    unique, patient = np.unique(patients, return_inverse=True)
    if len(unique) < FOLDS:
        return fitted
    fold = (np.random.default_rng(0).permutation(len(unique)) % FOLDS)[patient.reshape(-1)]
    calibrated = given.copy()
    for number in range(FOLDS):
        held = fold == number
        calibrated[held] = fit(labels[~held], given[~held], known[~held], fitted.codes, task).apply(given[held])
    before, after = log_losses(labels, given, task), log_losses(labels, calibrated, task)
    if fitted.slopes is None or fitted.intercepts is None or task.exclusive:
        pair = [float(np.nanmean(before)), float(np.nanmean(after))]
        losses = {"all": pair}
        if pair[1] < pair[0]:
            return replace(fitted, held_out_log_loss=losses)
        return Calibration("none", task.name, fitted.codes, notes={"all": _worse(pair)}, held_out_log_loss=losses)
    slopes, intercepts, notes, by_code = list(fitted.slopes), list(fitted.intercepts), dict(fitted.notes), {}
    for column, code in enumerate(fitted.codes):
        if code in notes:
            continue
        by_code[code] = [float(np.nanmean(before[:, column])), float(np.nanmean(after[:, column]))]
        if by_code[code][1] >= by_code[code][0]:
            slopes[column], intercepts[column] = 1.0, 0.0
            notes[code] = _worse(by_code[code])
    notes = {code: notes[code] for code in fitted.codes if code in notes}
    if len(notes) == len(fitted.codes):
        return Calibration("none", task.name, fitted.codes, notes=notes, held_out_log_loss=by_code)
    return replace(fitted, slopes=slopes, intercepts=intercepts, notes=notes, held_out_log_loss=by_code)


def _worse(pair: Sequence[float]) -> str:
    return f"left as it is, for the log loss of held-out validation patients goes from {pair[0]:.4f} to {pair[1]:.4f}"


def _identity(
    labels: NDArray[np.integer], given: NDArray[np.float64], known: NDArray[np.bool_], codes: list[str], task: Task
) -> Calibration:
    return Calibration("none", task.name, codes)


def _fit_temperature(
    labels: NDArray[np.integer], given: NDArray[np.float64], known: NDArray[np.bool_], codes: list[str], task: Task
) -> Calibration:
    from scipy.optimize import minimize_scalar

    present = labels == PRESENT
    if not (known & present).any() or not (known & ~present).any():
        return Calibration(
            "none", task.name, codes, notes={"all": "left as they are, for validation lacks recordings to fit on"}
        )
    goal = _smoothed(present, known, task)

    def loss(log_temperature: float) -> float:
        clipped = off_the_ends(_tempered(given, float(np.exp(log_temperature)), task))
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
    scores = log_odds(given)
    slopes, intercepts, notes = [], [], {}
    for column, code in enumerate(codes):
        rows = known[:, column]
        score, present = scores[rows, column], labels[rows, column] == PRESENT
        positives, negatives = int(present.sum()), int((~present).sum())
        slope, intercept = 1.0, 0.0
        if min(positives, negatives) < MIN_OF_EACH:
            notes[code] = (
                f"left as it is, for {positives} with and {negatives} without in validation "
                f"are fewer than {MIN_OF_EACH}"
            )
        elif score[present].mean() <= score[~present].mean():
            notes[code] = "left as it is, for the probabilities do not rise with the condition"
        else:
            slope, intercept = _shrunken_logistic(score, present)
        slopes.append(slope)
        intercepts.append(intercept)
    if len(notes) == len(codes):
        return Calibration("none", task.name, codes, notes=notes)
    return Calibration("platt", task.name, codes, slopes=slopes, intercepts=intercepts, notes=notes)


def _shrunken_logistic(score: NDArray[np.float64], present: NDArray[np.bool_]) -> tuple[float, float]:
    """Slope and intercept of the penalised likelihood of the module's head.

    Args:
        score: (n,) log-odds.
        present: (n,)
    """
    from scipy.optimize import minimize

    centre = float(score.mean())

    def loss(values: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        log_slope, shift = values
        spread = np.exp(log_slope) * (score - centre)
        odds = centre + shift + spread
        surplus = expit(odds) - present
        value = np.logaddexp(0, odds).sum() - odds[present].sum()
        value += (log_slope / SLOPE_SPREAD) ** 2 / 2 + (shift / SHIFT_SPREAD) ** 2 / 2
        gradient = [surplus @ spread + log_slope / SLOPE_SPREAD**2, surplus.sum() + shift / SHIFT_SPREAD**2]
        return float(value), np.array(gradient)

    log_slope, shift = minimize(loss, np.zeros(2), jac=True, method="BFGS").x
    slope = float(np.exp(log_slope))
    return slope, float(centre + shift - slope * centre)


def _tempered(probabilities: NDArray[np.float64], temperature: float, task: Task) -> NDArray[np.float64]:
    if task.exclusive:
        return softmax(np.log(np.clip(probabilities, EPSILON, 1.0)) / temperature, axis=1)
    return expit(log_odds(probabilities) / temperature)


def _errors(
    labels: NDArray[np.integer], probabilities: NDArray[np.float64], known: NDArray[np.bool_], codes: Sequence[str]
) -> dict[str, float | None]:
    from ecgfounder_ft.evaluation.metrics import expected_calibration_error

    errors: dict[str, float | None] = {}
    for column, code in enumerate(codes):
        rows = known[:, column]
        present = (labels[rows, column] == PRESENT).astype(np.int8)
        errors[code] = expected_calibration_error(present, probabilities[rows, column]) if rows.any() else None
    return errors


def _expect(what: str, found: str, allowed: Sequence[str]) -> None:
    if found not in allowed:
        raise ValueError(f"calibration {what} '{found}': expected one of {', '.join(allowed)}")
