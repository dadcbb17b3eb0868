"""Finished trainings of the comparison of recipes, what is made of them without training, and how they are judged."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from ecgfounder_ft.config.compose import compose_settings
from ecgfounder_ft.data.gather_and_split import PreparedData
from ecgfounder_ft.data.split_settings import TEST, VALIDATION
from ecgfounder_ft.evaluation.inputs import EvaluationInput
from ecgfounder_ft.evaluation.predictions import Predictions
from ecgfounder_ft.evaluation.probabilities import log_losses
from ecgfounder_ft.evaluation.run_evaluation import UNTRAINED_START, evaluate_predictions
from ecgfounder_ft.evaluation.several_trainings import MACRO, Difference, Trainings, difference_of, draw_trainings
from ecgfounder_ft.inference.finished_model import FinishedModel, load_model
from ecgfounder_ft.runs.folder import RunFolder
from ecgfounder_ft.sweeps.answers.trainings import evaluated
from ecgfounder_ft.sweeps.folder import SweepFolder
from ecgfounder_ft.sweeps.trial_results import TrialResult, read_results, settings_of
from ecgfounder_ft.training.build import build_model
from ecgfounder_ft.training.epoch_predictions import EpochPredictions
from ecgfounder_ft.training.experiment import prepare_data
from ecgfounder_ft.training.wise_ft import choose_interpolation, copy_of_state

METRIC = "auroc"
SHIFTS = (-0.5, -0.25, 0.0, 0.25, 0.5)
"""Seconds by which a recording is shifted for the crops that are averaged."""
MEMBERS = 3
"""Trainings of an ensemble."""


@dataclass(frozen=True)
class Arm:
    """An arm's evaluated test recordings, and the trials that they come from."""

    inputs: Mapping[int, Mapping[int, EvaluationInput]]
    """Size to seed to the evaluated recordings."""
    trials: Mapping[int, Mapping[int, TrialResult]]
    """Size to seed to the trial; of an ensemble, its first member."""
    validation: Mapping[int, Mapping[int, float]]
    """Size to seed to the validation metric; that of the trial where nothing else was validated."""

    def values(self) -> list[float]:
        """The validation metric of every training."""
        return [one for seeds in self.validation.values() for one in seeds.values()]


def _of_trials(
    inputs: Mapping[int, Mapping[int, EvaluationInput]], trials: Mapping[int, dict[int, TrialResult]]
) -> Arm:
    own = {size: {seed: float(one.value or 0) for seed, one in seeds.items()} for size, seeds in trials.items()}
    return Arm(inputs, trials, own)


def read_arms(folder: SweepFolder, names: Sequence[str]) -> dict[str, Arm]:
    """Name of an arm to its finished trainings.

    Raises:
        ValueError: if a trial of one of the arms did not finish.
    """
    found: dict[str, dict[int, dict[int, TrialResult]]] = {name: {} for name in names}
    for result in read_results(folder).trials:
        typed = dict(one.lstrip("+").partition("=")[::2] for one in result.trial.overrides)
        name = typed.get("with", typed["experiment"])
        if name not in found:
            continue
        if not result.finished:
            raise ValueError(f"trial {result.trial.name} ({name}) is {result.state}: {result.error}")
        found[name].setdefault(int(str(result.at("size"))), {})[int(str(result.at("seed")))] = result
    return {
        name: _of_trials(
            {size: {seed: evaluated(one).data for seed, one in seeds.items()} for size, seeds in sizes.items()}, sizes
        )
        for name, sizes in found.items()
    }


def best_by_validation(arms: Mapping[str, Arm]) -> str:
    """The arm with the highest mean of the validation metric over sizes and seeds."""
    return max(arms, key=lambda name: float(np.mean(arms[name].values())))


def start_of(trial: TrialResult) -> EvaluationInput:
    """The test recordings as the untrained start of a trial reads them, calibrated by its own validation recordings."""
    predictions = trial.run.predictions()
    table = trial.run.baselines(predictions.codes)[UNTRAINED_START]
    return _evaluated(trial, Predictions("start", table, predictions.codes, predictions.task))


def ensembles(arm: Arm) -> Arm:
    """The mean probabilities of each seed's training and those of the next two; after the last seed comes the first."""
    inputs: dict[int, dict[int, EvaluationInput]] = {}
    for size, trials in arm.trials.items():
        seeds = sorted(trials)
        tables = {seed: _sorted(trials[seed].run.predictions()) for seed in seeds}
        for place, seed in enumerate(seeds):
            members = [tables[seeds[(place + step) % len(seeds)]] for step in range(MEMBERS)]
            mean = np.mean([_probabilities(one) for one in members], axis=0)
            inputs.setdefault(size, {})[seed] = _evaluated(trials[seed], _with_probabilities(members[0], mean))
    return replace(arm, inputs=inputs)


def prepared(overrides: Sequence[str], output: Path) -> PreparedData:
    """The stored and divided recordings.

    Args:
        overrides: that all arms share.
        output: folder that the division of the recordings is written down in.
    """
    folder = RunFolder(output / "recordings")
    folder.path.mkdir(exist_ok=True)
    return prepare_data(compose_settings([*overrides, f"output_dir={folder}"]), folder)


def fall_backs(arm: Arm, data: PreparedData) -> Arm:
    """Each training with ``wise_ft.enabled=true``, which changes nothing before its end: it is not run again."""
    rule = compose_settings([]).wise_ft
    return interpolated(arm, data, rule.coefficients, rule.floor)


def halfway(arm: Arm, data: PreparedData) -> Arm:
    """The mean of the weights of each training's start and of its best epoch."""
    return interpolated(arm, data, [0.5], None)


def interpolated(arm: Arm, data: PreparedData, coefficients: Sequence[float], floor: str | None) -> Arm:
    """Each training with the weights between its start and its end that are best on validation.

    Args:
        arm: its finished trainings.
        data: that they were trained on.
        coefficients: shares of the end.
        floor: a metric in which the start is the least that is taken; None: none.
    """
    inputs: dict[int, dict[int, EvaluationInput]] = {}
    validation: dict[int, dict[int, float]] = {}
    rows = np.flatnonzero((data.table["split"] == VALIDATION).to_numpy())
    target = torch.from_numpy(data.targets[rows])
    for size, trials in arm.trials.items():
        for seed, trial in trials.items():
            settings = trial.run.settings()
            model, loss = load_model(trial.run.path), settings.loss

            def validate(model: FinishedModel = model, loss: Any = loss) -> dict[str, float]:
                logits = _logits(model, data, rows)
                metric = EpochPredictions(data.codes, model.record.task)
                metric.update(logits, target, loss(logits, target, None), torch.arange(len(rows)))
                return {f"validation/{name}": float(value) for name, value in metric.compute().items()}

            monitor = settings.monitor
            start = copy_of_state(build_model(settings, data).net)
            chosen = choose_interpolation(start, model.net, coefficients, monitor.name, monitor.mode, floor, validate)
            taken = next(row for row in chosen.rows if row["coefficient"] == chosen.coefficient)
            validation.setdefault(size, {})[seed] = taken[str(trial.metric)]
            inputs.setdefault(size, {})[seed] = _asked_again(trial, model, data)
    return Arm(inputs, arm.trials, validation)


def crops(arm: Arm, data: PreparedData) -> Arm:
    """Each recording's answer as with ``model.shifts``: averaged with those to the same shifted in time."""
    inputs: dict[int, dict[int, EvaluationInput]] = {}
    for size, trials in arm.trials.items():
        for seed, trial in trials.items():
            model = load_model(trial.run.path)
            rate = model.record.preprocessing.sampling_rate
            model.net.average_over([round(seconds * rate) for seconds in SHIFTS])
            inputs.setdefault(size, {})[seed] = _asked_again(trial, model, data)
    return replace(arm, inputs=inputs)


def _asked_again(trial: TrialResult, model: FinishedModel, data: PreparedData) -> EvaluationInput:
    """The test recordings as a model that was changed after its training reads them."""
    rows = np.flatnonzero(data.table["split"].isin([VALIDATION, TEST]).to_numpy())
    found = model.record.task.probabilities(_logits(model, data, rows)).double().numpy()
    given = pd.DataFrame(found, index=data.table["recording"].iloc[rows])
    predictions = _sorted(trial.run.predictions())
    return _evaluated(trial, _with_probabilities(predictions, given.loc[predictions.table["recording"]].to_numpy()))


@torch.inference_mode()
def _logits(model: FinishedModel, data: PreparedData, rows: NDArray[np.integer]) -> Tensor:
    batches = np.array_split(rows, -(-len(rows) // 64))
    return torch.cat([model.net(torch.from_numpy(data.signals.read(batch))) for batch in batches])


@dataclass(frozen=True)
class Judged:
    """What the protocol asks of an arm."""

    name: str
    auroc: dict[int, float]
    """Size to the mean macro AUROC of the test recordings over the seeds."""
    deviation: dict[int, float]
    """Size to its standard deviation between seeds."""
    log_loss: dict[int, float]
    """Size to the mean log loss of the calibrated probabilities."""
    validation: float
    """Mean validation macro AUROC; that of the trainings it is made of, where it is made of finished ones."""
    gain: Difference
    """Over the defaults, as the mean of both sizes."""
    over_start: Difference
    """Over its own untrained start, likewise."""
    worst: tuple[str, float]
    """The condition that loses most against the defaults, at the size where it does, and by how much (below 0)."""
    log_loss_change: float
    """The largest rise of the log loss against the defaults at a size."""
    below_start: tuple[int, int, int]
    """Trainings that end below their start on validation, on test, and all of them."""
    seconds: float
    """Mean time of a training, with its evaluation."""

    @property
    def passes(self) -> bool:
        """Whether the rule of the protocol would let it become the default."""
        gain = self.gain.estimate
        if gain.value is None or gain.low is None:
            return False
        return gain.value >= 0.005 and gain.low > 0 and self.worst[1] >= -0.01 and self.log_loss_change <= 0


def judged_arms(arms: Mapping[str, Arm], today: str, resamples: int) -> list[Judged]:
    """Judge arms against one of them, in pairs over patients and seeds.

    Args:
        arms: name to trainings.
        today: name of the defaults.
        resamples: of the patients.
    """
    others = _drawn(today, arms[today].inputs, resamples)
    return [
        _judged(
            name, arm, others if name == today else _drawn(name, arm.inputs, resamples), arms[today], others, resamples
        )
        for name, arm in arms.items()
    ]


def _drawn(which: str, inputs: Mapping[int, Mapping[int, EvaluationInput]], resamples: int) -> dict[int, Trainings]:
    return {size: draw_trainings(which, seeds, METRIC, resamples=resamples, seed=0) for size, seeds in inputs.items()}


def _judged(
    name: str, arm: Arm, own: Mapping[int, Trainings], today: Arm, others: Mapping[int, Trainings], resamples: int
) -> Judged:
    starts = {size: {seed: start_of(trial) for seed, trial in trials.items()} for size, trials in arm.trials.items()}
    start = _drawn("start", starts, resamples)
    changes = [
        (f"{code}, {size:,}", float(difference_of(others[size], own[size], code).estimate.value or 0))
        for size in own
        for code in own[size].columns
        if code != MACRO
    ]
    losses, before = ({size: _log_loss(one.inputs[size]) for size in own} for one in (arm, today))
    return Judged(
        name=name,
        auroc={size: float(one.values[:, -1].mean()) for size, one in own.items()},
        deviation={size: float(one.values[:, -1].std(ddof=1)) for size, one in own.items()},
        log_loss=losses,
        validation=float(np.mean(arm.values())),
        gain=difference_of(_over_sizes(others), _over_sizes(own)),
        over_start=difference_of(_over_sizes(start), _over_sizes(own)),
        worst=min(changes, key=lambda change: change[1]),
        log_loss_change=max(losses[size] - before[size] for size in own),
        below_start=_below_start(arm, own, start),
        seconds=float(np.mean([one.seconds or 0 for trials in arm.trials.values() for one in trials.values()])),
    )


def _over_sizes(trainings: Mapping[int, Trainings]) -> Trainings:
    """The mean of both sizes for each seed and each draw of patients, which are the same for both."""
    first, *_ = trainings.values()
    values = np.mean([one.values for one in trainings.values()], axis=0)
    drawn = np.mean([one.drawn for one in trainings.values()], axis=0)
    return replace(first, values=values, drawn=drawn)


def _log_loss(inputs: Mapping[int, EvaluationInput]) -> float:
    return float(np.mean([log_losses(one.targets, one.probabilities, one.task).mean() for one in inputs.values()]))


def _below_start(arm: Arm, own: Mapping[int, Trainings], start: Mapping[int, Trainings]) -> tuple[int, int, int]:
    validation = test = trainings = 0
    for size, trials in arm.trials.items():
        test += int((own[size].values[:, -1] < start[size].values[:, -1]).sum())
        for seed, trial in trials.items():
            before = trial.run.read_start()["validation"][str(trial.metric)]
            validation += int(arm.validation[size][seed] < before - 1e-6)  # rounding: batches differ
            trainings += 1
    return validation, test, trainings


def _sorted(predictions: Predictions) -> Predictions:
    """By the recordings' names, so that trainings line up."""
    ordered = predictions.table.sort_values("recording", kind="stable").reset_index(drop=True)
    return replace(predictions, table=ordered)


def _columns(predictions: Predictions) -> list[str]:
    return [f"probability_{code}" for code in predictions.codes]


def _probabilities(predictions: Predictions) -> NDArray[np.float64]:
    return predictions.probabilities(predictions.table)


def _with_probabilities(predictions: Predictions, probabilities: NDArray[np.float64]) -> Predictions:
    changed = predictions.table.assign(**dict(zip(_columns(predictions), probabilities.T, strict=True)))
    return Predictions(predictions.name, changed, predictions.codes, predictions.task)


def _evaluated(trial: TrialResult, predictions: Predictions) -> EvaluationInput:
    """Calibrated on their own validation rows, and without intervals."""
    settings = replace(settings_of(trial.run), by=[], resamples=0)
    return evaluate_predictions(_sorted(predictions), settings, refit=True).data
