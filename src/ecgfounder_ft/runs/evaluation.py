"""From a run's predictions to its evaluation, and several runs side by side.

A predictions table has a row a recording: ``recording``, ``dataset``, ``constituent``, ``patient``, ``split``, ``age``,
``sex``, then ``label_<code>`` (1, 0, empty for unknown) and ``probability_<code>`` for each condition in output order,
the probabilities as the network gives them, uncalibrated. A column ``repairs`` (phrases parted by ``; ``) is optional.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml
from numpy.typing import NDArray

from ecgfounder_ft.errors import ExplainedError
from ecgfounder_ft.evaluation import calibration as calibrations
from ecgfounder_ft.evaluation import thresholds as threshold_choice
from ecgfounder_ft.evaluation.bootstrap import DEFAULT_RESAMPLES
from ecgfounder_ft.evaluation.calibration import Calibration, fit_calibration
from ecgfounder_ft.evaluation.comparison import NotComparableError, PairedComparison, compare
from ecgfounder_ft.evaluation.evaluate import Evaluation, evaluate_input
from ecgfounder_ft.evaluation.inputs import EvaluationInput, prepare
from ecgfounder_ft.evaluation.metrics import FIGURES, LOWER_IS_BETTER
from ecgfounder_ft.evaluation.subgroups import (
    Subgroup,
    SubgroupEvaluation,
    by_age,
    by_condition,
    by_flag,
    by_value,
    evaluate_subgroups,
)
from ecgfounder_ft.evaluation.thresholds import Thresholds, choose_thresholds
from ecgfounder_ft.labels import TASKS, UNKNOWN

PREDICTIONS_FILE = "predictions.csv"
START_PREDICTIONS_FILE = "start_predictions.csv"
"""Predictions of the untrained start for the same recordings, optional."""
CALIBRATION_FILE = "calibration.json"
THRESHOLDS_FILE = "thresholds.json"
CONFIG_FILE = "config.yaml"

UNTRAINED_START = "untrained start"

BY = ("source", "constituent", "sex", "age", "condition", "signal")
"""What subgroups can be made by."""

_REQUIRED_COLUMNS = ("recording", "dataset", "patient", "split")


class RunFolderError(ExplainedError):
    """A run folder that lacks something or contradicts itself; the message says what and what to do."""


class EvaluationSettingsError(ExplainedError, ValueError):
    """A setting of the evaluation that does not exist."""


@dataclass(frozen=True)
class EvaluationSettings:
    """How predictions are evaluated.

    Raises:
        EvaluationSettingsError: if a setting is unknown.
    """

    calibration: str = "temperature"
    """``none``, ``temperature`` or ``platt``; fitted on validation."""
    thresholds: str = "f1"
    """``fixed`` (0.5), ``f1``, ``youden`` or ``sensitivity``; chosen on validation, for multi-label tasks."""
    sensitivity: float | None = None
    """The least sensitivity wished, for ``thresholds="sensitivity"``."""
    by: tuple[str, ...] = BY
    """Subgroups, of :data:`BY`."""
    resamples: int = DEFAULT_RESAMPLES
    seed: int = 0
    level: float = 0.95

    def __post_init__(self) -> None:
        for name, found, allowed in (
            ("calibration", (self.calibration,), calibrations.METHODS),
            ("thresholds", (self.thresholds,), threshold_choice.METHODS),
            ("by", self.by, BY),
        ):
            unknown = [value for value in found if value not in allowed]
            if unknown:
                raise EvaluationSettingsError(
                    f"evaluation.{name}: '{unknown[0]}', expected one of {', '.join(allowed)}"
                )


@dataclass(frozen=True)
class Predictions:
    """A run's predictions as arrays, and what was stored with them."""

    name: str
    """Of the run, as printed."""
    table: pd.DataFrame
    """The predictions table."""
    codes: tuple[str, ...]
    task: str
    stored_calibration: Calibration | None = None
    stored_thresholds: Thresholds | None = None

    def rows(self, split: str) -> pd.DataFrame:
        """The split's rows of the table."""
        return self.table[self.table["split"] == split]

    def targets(self, rows: pd.DataFrame) -> NDArray[np.int8]:
        """(n, k) 1, 0 or -1."""
        return rows[[f"label_{code}" for code in self.codes]].fillna(UNKNOWN).to_numpy(dtype=np.int8)

    def probabilities(self, rows: pd.DataFrame) -> NDArray[np.float64]:
        """(n, k) as the network gives them, NaN where there is none."""
        return rows[[f"probability_{code}" for code in self.codes]].to_numpy(dtype=np.float64)


@dataclass(frozen=True)
class RunEvaluation:
    """Everything that predictions say of a run."""

    predictions: Predictions
    settings: EvaluationSettings
    calibration: Calibration
    thresholds: Thresholds | None
    """None in a single-label task."""
    split: str
    """The evaluated split."""
    rows: pd.DataFrame
    """The split's rows of the predictions table."""
    data: EvaluationInput
    """Calibrated and decided."""
    uncalibrated: NDArray[np.float64]
    """(n, k) of the evaluated recordings, as ``data.probabilities``."""
    evaluation: Evaluation
    validation: Evaluation | None
    """Of the recordings on which calibration and thresholds were chosen, so flattering; without intervals."""
    subgroups: list[SubgroupEvaluation] = field(default_factory=list)
    baselines: dict[str, Evaluation] = field(default_factory=dict)


def predictions_table(
    recordings: pd.DataFrame, targets: NDArray[np.int8], probabilities: NDArray[np.floating], codes: Sequence[str]
) -> pd.DataFrame:
    """A predictions table.

    Args:
        recordings: a row a recording with the columns before the labels, and ``repairs`` where known.
        targets: (n, k) 1, 0 or -1.
        probabilities: (n, k) as the network gives them.
        codes: (k,) condition codes in output order.
    """
    wanted = ["recording", "dataset", "constituent", "patient", "split", "age", "sex", "repairs"]
    frame = recordings[[name for name in wanted if name in recordings]].reset_index(drop=True)
    for column, code in enumerate(codes):
        labels = pd.Series(targets[:, column], dtype="Int8")
        frame[f"label_{code}"] = labels.mask(labels == UNKNOWN)
    for column, code in enumerate(codes):
        frame[f"probability_{code}"] = probabilities[:, column].astype(np.float64)
    return frame


def read_run(folder: Path) -> Predictions:
    """Read what a finished run left in its folder.

    Raises:
        RunFolderError: if a file is missing, unreadable or at odds with another.
    """
    if not folder.is_dir():
        raise RunFolderError(f"no run folder {folder}: name a folder that training has written")
    codes, task = _codes_and_task(folder)
    table = read_predictions(folder / PREDICTIONS_FILE, codes)
    calibration = _read_json(folder / CALIBRATION_FILE, Calibration.from_dict)
    thresholds = _read_json(folder / THRESHOLDS_FILE, Thresholds.from_dict)
    if calibration is not None and tuple(calibration.codes) != codes:
        raise RunFolderError(
            f"{folder / CALIBRATION_FILE} is of {', '.join(calibration.codes)}, the run of {', '.join(codes)}: "
            "it belongs to another run"
        )
    if thresholds is not None and set(thresholds.values) != set(codes):
        raise RunFolderError(
            f"{folder / THRESHOLDS_FILE} is of {', '.join(thresholds.values)}, the run of {', '.join(codes)}: "
            "it belongs to another run"
        )
    return Predictions(folder.name, table, codes, task, calibration, thresholds)


def read_predictions(path: Path, codes: Sequence[str]) -> pd.DataFrame:
    """Read a predictions table and check it against the conditions of its run.

    Raises:
        RunFolderError: if it is missing, is no such table, or is of other conditions or another order.
    """
    if not path.is_file():
        raise RunFolderError(f"no {path.name} in {path.parent}: did training end? See its status.json and log")
    try:
        table = pd.read_csv(path, dtype=dict.fromkeys(("recording", "dataset", "patient", "split", "sex"), str))
    except (ValueError, UnicodeDecodeError) as error:
        raise RunFolderError(
            f"{path} cannot be read as CSV ({error}): restore it or run the evaluation anew"
        ) from error
    missing = [name for name in _REQUIRED_COLUMNS if name not in table.columns]
    if missing:
        raise RunFolderError(f"{path} has no column {', '.join(missing)}; it has {', '.join(table.columns[:12])}")
    for prefix in ("label_", "probability_"):
        found = tuple(name.removeprefix(prefix) for name in table.columns if name.startswith(prefix))
        if found != tuple(codes):
            raise RunFolderError(
                f"{path} has {prefix}columns of {', '.join(found) or 'no condition'}; the run's label map has "
                f"{', '.join(codes)}, in this order: predictions of another label map cannot be evaluated with it"
            )
    repeated = table["recording"][table["recording"].duplicated()]
    if len(repeated):
        raise RunFolderError(f"{path} has {repeated.iloc[0]} twice; expected a row a recording")
    return table


def evaluate_run(
    folder: Path, settings: EvaluationSettings | None = None, *, split: str = "test", refit: bool = False
) -> RunEvaluation:
    """Evaluate a finished run from the files in its folder.

    Calibration and thresholds stored in the folder are used; where there are none they are fitted on its validation
    recordings.

    Args:
        folder: of the run.
        settings: of the evaluation.
        split: which of the recordings are evaluated.
        refit: fit calibration and thresholds anew, by the settings.

    Raises:
        RunFolderError: if the folder lacks something.
    """
    predictions = read_run(folder)
    baselines = _read_baselines(folder, predictions.codes)
    return evaluate_predictions(predictions, settings, split=split, refit=refit, baselines=baselines)


def evaluate_predictions(
    predictions: Predictions,
    settings: EvaluationSettings | None = None,
    *,
    split: str = "test",
    refit: bool = False,
    baselines: Mapping[str, pd.DataFrame] | None = None,
) -> RunEvaluation:
    """Calibrate and choose thresholds on validation, then evaluate a split, its subgroups and baselines.

    Args:
        predictions: with rows of ``validation`` and of the evaluated split.
        settings: of the evaluation.
        split: which rows are evaluated.
        refit: leave aside what was stored with the predictions.
        baselines: name to predictions table of the same form; each is calibrated and decided on its own validation
            rows.

    Raises:
        RunFolderError: if the split has no rows.
    """
    settings = settings or EvaluationSettings()
    rows = predictions.rows(split)
    if rows.empty:
        there = ", ".join(sorted(predictions.table["split"].dropna().unique())) or "none"
        raise RunFolderError(f"{predictions.name} has no {split} recordings; its predictions are of: {there}")
    calibration, thresholds = _fitted(predictions, settings, refit)
    data = _prepared(predictions, rows, calibration, thresholds)
    validation = predictions.rows("validation")
    bootstrap: dict[str, Any] = {
        "resamples": settings.resamples,
        "seed": settings.seed,
        "level": settings.level,
    }
    return RunEvaluation(
        predictions=predictions,
        settings=settings,
        calibration=calibration,
        thresholds=thresholds,
        split=split,
        rows=rows,
        data=data,
        uncalibrated=predictions.probabilities(rows)[data.kept],
        evaluation=evaluate_input(data, **bootstrap),
        validation=None
        if validation.empty
        else evaluate_input(_prepared(predictions, validation, calibration, thresholds), resamples=0),
        subgroups=evaluate_subgroups(
            data, subgroups_of(rows, predictions.targets(rows), predictions.codes, settings.by), **bootstrap
        ),
        baselines={
            name: _evaluate_baseline(predictions, table, settings, split, bootstrap)
            for name, table in (baselines or {}).items()
        },
    )


def subgroups_of(
    rows: pd.DataFrame, targets: NDArray[np.integer], codes: Sequence[str], by: Sequence[str]
) -> list[Subgroup]:
    """Subgroups of a predictions table by the attributes asked for, those that tell nothing apart left out."""
    groups: list[Subgroup] = []
    for attribute in by:
        if attribute == "condition":
            groups += by_condition(targets, codes)
        elif attribute == "age":
            groups += _telling(by_age(_column(rows, "age").to_numpy(dtype=np.float64)))
        elif attribute == "signal":
            phrases = _column(rows, "repairs").fillna("").astype(str)
            names = sorted({phrase for entry in phrases for phrase in entry.split("; ") if phrase})
            groups += by_flag({name: [name in entry.split("; ") for entry in phrases] for name in names})
        else:
            groups += _telling(by_value(attribute, _column(rows, "dataset" if attribute == "source" else attribute)))
    return groups


@dataclass(frozen=True)
class RunComparison:
    """Runs on the same recordings, best first."""

    sorted_by: str
    names: list[str]
    runs: dict[str, RunEvaluation]
    reference: str
    """The run that the others are compared with: the first given."""
    differences: dict[str, PairedComparison]
    """Run to its figures minus the reference's."""


def compare_runs(
    folders: Sequence[Path],
    settings: EvaluationSettings | None = None,
    *,
    split: str = "test",
    sort_by: str = "auroc",
) -> RunComparison:
    """Evaluate runs and compare each with the first, recording by recording.

    Args:
        folders: at least two run folders.
        settings: of each evaluation; subgroups are left out.
        split: which recordings are compared.
        sort_by: the macro figure that orders the table, one of :data:`~ecgfounder_ft.evaluation.metrics.FIGURES`.

    Raises:
        RunFolderError: if fewer than two folders are given or one lacks something.
        NotComparableError: if the runs' recordings, labels, conditions or tasks differ.
        ValueError: if the figure is unknown.
    """
    if sort_by not in FIGURES:
        raise ValueError(f"sort by '{sort_by}': expected one of {', '.join(FIGURES)}")
    if len({folder.resolve() for folder in folders}) < 2:
        raise RunFolderError("comparing takes at least two different run folders")
    given = settings or EvaluationSettings()
    without_subgroups = EvaluationSettings(**{**given.__dict__, "by": ()})
    runs: dict[str, RunEvaluation] = {}
    for name, folder in zip(_names(folders), folders, strict=True):
        predictions = read_run(folder)
        ordered = predictions.table.sort_values("recording", kind="stable").reset_index(drop=True)
        runs[name] = evaluate_predictions(
            Predictions(
                name,
                ordered,
                predictions.codes,
                predictions.task,
                predictions.stored_calibration,
                predictions.stored_thresholds,
            ),
            without_subgroups,
            split=split,
            baselines=_read_baselines(folder, predictions.codes),
        )
    reference, *others = runs
    differences = {}
    for name in others:
        _refuse_other_recordings(runs[reference], runs[name])
        try:
            differences[name] = compare(
                runs[reference].data,
                runs[name].data,
                resamples=given.resamples,
                seed=given.seed,
                level=given.level,
            )
        except NotComparableError as error:
            raise NotComparableError(f"{reference} and {name} cannot be compared: {error}") from error
    return RunComparison(sort_by, _best_first(runs, sort_by), runs, reference, differences)


def comparison_table(comparison: RunComparison) -> pd.DataFrame:
    """A row a run, best first: macro figures, and the difference of the sorting figure from the reference's."""
    records = []
    for name in comparison.names:
        evaluation = comparison.runs[name].evaluation
        record: dict[str, Any] = {"run": name, "recordings": evaluation.n, "patients": evaluation.patients}
        record |= {f"macro_{figure}": evaluation.macro[figure].value for figure in FIGURES}
        record["accuracy_overall"] = evaluation.overall["accuracy"].value
        pair = comparison.differences.get(name)
        difference = None if pair is None else pair.macro[comparison.sorted_by]
        for end in ("value", "low", "high"):
            record[f"difference_{end}"] = None if difference is None else getattr(difference, end)
        records.append(record)
    return pd.DataFrame(records)


def _fitted(
    predictions: Predictions, settings: EvaluationSettings, refit: bool
) -> tuple[Calibration, Thresholds | None]:
    rows = predictions.rows("validation")
    targets, given = predictions.targets(rows), predictions.probabilities(rows)
    calibration = None if refit else predictions.stored_calibration
    if calibration is None:
        calibration = fit_calibration(
            targets, given, predictions.codes, task=predictions.task, method=settings.calibration
        )
    if predictions.task == "single_label":
        return calibration, None
    thresholds = None if refit else predictions.stored_thresholds
    if thresholds is None:
        thresholds = choose_thresholds(
            targets,
            calibration.apply(given),
            predictions.codes,
            method=settings.thresholds,
            sensitivity=settings.sensitivity,
        )
    return calibration, thresholds


def _prepared(
    predictions: Predictions, rows: pd.DataFrame, calibration: Calibration, thresholds: Thresholds | None
) -> EvaluationInput:
    return prepare(
        predictions.targets(rows),
        calibration.apply(predictions.probabilities(rows)),
        rows["patient"].fillna(rows["recording"]).to_numpy(dtype=str),
        predictions.codes,
        task=predictions.task,
        thresholds=None if thresholds is None else thresholds.values,
    )


def _evaluate_baseline(
    predictions: Predictions,
    table: pd.DataFrame,
    settings: EvaluationSettings,
    split: str,
    bootstrap: Mapping[str, Any],
) -> Evaluation:
    baseline = Predictions(UNTRAINED_START, table, predictions.codes, predictions.task)
    calibration, thresholds = _fitted(baseline, settings, refit=True)
    return evaluate_input(_prepared(baseline, baseline.rows(split), calibration, thresholds), **bootstrap)


def _read_baselines(folder: Path, codes: Sequence[str]) -> dict[str, pd.DataFrame]:
    path = folder / START_PREDICTIONS_FILE
    return {UNTRAINED_START: read_predictions(path, codes)} if path.is_file() else {}


def _codes_and_task(folder: Path) -> tuple[tuple[str, ...], str]:
    path = folder / CONFIG_FILE
    if not path.is_file():
        raise RunFolderError(f"no {CONFIG_FILE} in {folder}: is it a run folder of this project?")
    try:
        config = yaml.safe_load(path.read_text(encoding="utf-8"))
        codes = tuple(str(code) for code in config["labels"]["conditions"])
        task = str(config["task"]["name"])
    except (yaml.YAMLError, KeyError, TypeError, UnicodeDecodeError) as error:
        raise RunFolderError(f"{path} does not name the conditions and the task ({error!r}): was it edited?") from error
    if task not in TASKS:
        raise RunFolderError(f"{path}: task '{task}', expected one of {', '.join(TASKS)}")
    return codes, task


def _read_json(path: Path, build: Any) -> Any:
    """The record in a JSON file, None where there is no such file."""
    if not path.is_file():
        return None
    try:
        return build(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError, KeyError) as error:
        raise RunFolderError(f"{path} cannot be read ({error}): delete it to have it fitted anew") from error


def _column(rows: pd.DataFrame, name: str) -> pd.Series:
    return rows[name] if name in rows.columns else pd.Series(np.nan, index=rows.index, dtype=object)


def _telling(groups: list[Subgroup]) -> list[Subgroup]:
    """No groups where all recordings are in one."""
    return groups if len(groups) > 1 else []


def _names(folders: Sequence[Path]) -> list[str]:
    """The shortest ends of the paths that tell the folders apart."""
    parts = [folder.resolve().parts for folder in folders]
    for length in range(1, max(map(len, parts)) + 1):
        names = ["/".join(entry[-length:]) for entry in parts]
        if len(set(names)) == len(names):
            break
    return names


def _refuse_other_recordings(reference: RunEvaluation, other: RunEvaluation) -> None:
    ours, theirs = set(reference.rows["recording"]), set(other.rows["recording"])
    if ours == theirs:
        return
    only_ours, only_theirs = sorted(ours - theirs), sorted(theirs - ours)
    example = (only_ours or only_theirs)[0]
    raise NotComparableError(
        f"{reference.predictions.name} and {other.predictions.name} were not tested on the same recordings: "
        f"{len(only_ours)} only in the first, {len(only_theirs)} only in the second, such as {example}. "
        "Train both on one split, or evaluate both on the same data"
    )


def _best_first(runs: Mapping[str, RunEvaluation], figure: str) -> list[str]:
    def key(name: str) -> tuple[bool, float]:
        value = runs[name].evaluation.macro[figure].value
        if value is None:
            return (True, 0.0)
        return (False, value if figure in LOWER_IS_BETTER else -value)

    return sorted(runs, key=key)
