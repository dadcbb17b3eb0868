"""What a finished run leaves in its folder."""

import json
import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytorch_lightning as pl
import torch
from omegaconf import OmegaConf
from pytorch_lightning.trainer.states import TrainerFn
from rich.console import Console
from rich.table import Table

from ecgfounder_ft.evaluation.evaluate import Evaluation, evaluate
from ecgfounder_ft.labels import UNKNOWN
from ecgfounder_ft.model.card import CARD_KEY
from ecgfounder_ft.model.classifier import Classifier
from ecgfounder_ft.report.figures import (
    condition_bars_figure,
    confusion_matrix_figure,
    confusion_tables_figure,
    precision_recall_figure,
    roc_figure,
    save_figure,
    training_history_figure,
)

log = logging.getLogger(__name__)

WEIGHTS_FILE = "model.pth"
"""The best epoch's weights, in the form of the published checkpoints and without training state."""


@dataclass(frozen=True)
class Start:
    """Figures of the untrained start, by their logged names."""

    validation: dict[str, float]
    test: dict[str, float]


@dataclass(frozen=True)
class Summary:
    """What the terminal, TensorBoard and the caller are told of a run."""

    evaluations: dict[str, Evaluation]
    """Of ``validation`` and ``test``."""
    validation_figures: dict[str, float]
    """The best epoch's logged figures."""
    start: Start
    figures: dict[str, Any] = field(default_factory=dict)
    """Pictures by file stem."""


class History(pl.Callback):
    """The logged figures of every epoch, kept across a resume."""

    def __init__(self) -> None:
        self.epochs: list[dict[str, float]] = []

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Take the epoch's figures, of training (its last batch is over) and validation."""
        if trainer.state.fn != TrainerFn.FITTING:
            return
        assert isinstance(pl_module, Classifier)
        row = {"epoch": float(trainer.current_epoch)}
        for side in ("train", "validation"):
            row |= {name: float(value) for name, value in pl_module.figures.get(side, {}).items()}
        row["learning_rate"] = max(float(group["lr"]) for group in trainer.optimizers[0].param_groups)
        self.epochs.append(row)

    def state_dict(self) -> dict[str, Any]:
        """For the checkpoint."""
        return {"epochs": self.epochs}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """From the checkpoint."""
        self.epochs = state_dict["epochs"]


def predictions_table(
    table: pd.DataFrame, targets: np.ndarray, collected: Mapping[str, torch.Tensor], classifier: Classifier
) -> pd.DataFrame:
    """A row a recording: where it is from, its side, its labels (blank where unknown) and probabilities."""
    rows = collected["index"].cpu().numpy()
    probabilities = classifier.probabilities(collected["logits"]).cpu().numpy()
    frame = table.iloc[rows][["recording", "dataset", "constituent", "patient", "split", "age", "sex"]].copy()
    for column, code in enumerate(classifier.card.label_map.codes):
        labels = pd.Series(targets[rows, column], index=frame.index, dtype="Int8")
        frame[f"label_{code}"] = labels.mask(labels == UNKNOWN)
    for column, code in enumerate(classifier.card.label_map.codes):
        frame[f"probability_{code}"] = probabilities[:, column].astype(np.float64)
    return frame.reset_index(drop=True)


def write_results(
    folder: Path,
    classifier: Classifier,
    table: pd.DataFrame,
    targets: np.ndarray,
    history: History,
    start: Start,
    counts: Mapping[str, Any],
) -> Summary:
    """Write predictions, figures, pictures and weights of the classifier's best epoch."""
    card = classifier.card
    codes = card.label_map.codes
    parts = [
        predictions_table(table, targets, classifier.collected[side], classifier) for side in ("validation", "test")
    ]
    predictions = pd.concat(parts, ignore_index=True)
    predictions.to_csv(folder / "predictions.csv", index=False, float_format="%.6f")
    evaluations = {}
    arrays = {}
    for side, frame in zip(("validation", "test"), parts, strict=True):
        labels = frame[[f"label_{code}" for code in codes]].fillna(UNKNOWN).to_numpy(dtype=np.int8)
        probabilities = frame[[f"probability_{code}" for code in codes]].to_numpy()
        arrays[side] = labels, probabilities
        evaluations[side] = evaluate(labels, probabilities, frame["patient"], codes, task=card.task)
    _write_json(
        folder / "metrics.json",
        {
            **{side: evaluation.to_dict() for side, evaluation in evaluations.items()},
            "start": {"validation": start.validation, "test": start.test},
            "data": dict(counts),
        },
    )
    _write_json(folder / "classification_report.json", classification_report(evaluations["test"]))
    pd.DataFrame(history.epochs).to_csv(folder / "training_history.csv", index=False)
    figures = _draw(evaluations["test"], *arrays["test"], history)
    for name, figure in figures.items():
        save_figure(figure, folder / f"{name}.png")
    torch.save({"state_dict": classifier.net.state_dict(), CARD_KEY: card.to_dict()}, folder / WEIGHTS_FILE)
    best = {name: float(value) for name, value in classifier.figures["validation"].items()}
    return Summary(evaluations, best, start, figures)


def classification_report(evaluation: Evaluation) -> dict[str, Any]:
    """Precision, recall, F1 and support a condition, with their macro means, as scikit-learn names them."""
    names = {"precision": "ppv", "recall": "sensitivity", "f1-score": "f1"}
    report: dict[str, Any] = {
        code: {name: condition.figures[figure].value for name, figure in names.items()}
        | {"support": condition.positives}
        for code, condition in evaluation.conditions.items()
    }
    report["macro avg"] = {name: evaluation.macro[figure].value for name, figure in names.items()}
    report["macro avg"]["support"] = sum(condition.positives for condition in evaluation.conditions.values())
    report["accuracy"] = evaluation.overall["accuracy"].value
    return report


def log_results(logger: pl.loggers.Logger, summary: Summary, config: Any) -> None:
    """Test figures, pictures and hyperparameters to a logger; pictures where it takes them (TensorBoard)."""
    test = summary.evaluations["test"]
    figures = {f"final/test_{name}": value for name, value in _headline(test).items() if not math.isnan(value)}
    flat = _flatten(OmegaConf.to_container(config, resolve=True))
    if isinstance(logger, pl.loggers.TensorBoardLogger):
        logger.log_hyperparams(flat, figures)
        for name, figure in summary.figures.items():
            logger.experiment.add_figure(f"test/{name}", figure, close=False)
    else:
        logger.log_hyperparams(flat)
        logger.log_metrics(figures)
    logger.save()


def print_summary(summary: Summary, folder: Path) -> None:
    """The closing table."""
    test, start = summary.evaluations["test"], summary.start.test
    table = Table(title="Test recordings", title_justify="left")
    for name in ("condition", "n", "AUROC", "start", "AUPRC", "F1", "sensitivity", "specificity"):
        table.add_column(name, justify="left" if name == "condition" else "right")
    for code, condition in test.conditions.items():
        cells = [_cell(condition.figures[name].value) for name in ("auprc", "f1", "sensitivity", "specificity")]
        auroc = _cell(condition.figures["auroc"].value)
        table.add_row(code, str(condition.positives), auroc, _cell(start.get(f"test/auroc/{code}")), *cells)
    table.add_section()
    cells = [_cell(test.macro[name].value) for name in ("auprc", "f1", "sensitivity", "specificity")]
    auroc = _cell(test.macro["auroc"].value)
    table.add_row("macro", str(test.n), auroc, _cell(start.get("test/macro_auroc")), *cells)
    console = Console()
    console.print(table)
    console.print(f"accuracy {_cell(test.overall['accuracy'].value)}; results in {folder}")


def _draw(evaluation: Evaluation, labels: np.ndarray, probabilities: np.ndarray, history: History) -> dict[str, Any]:
    if evaluation.confusion_matrix is not None:
        confusion = confusion_matrix_figure(evaluation.confusion_matrix, evaluation.codes)
    else:
        confusion = confusion_tables_figure(
            {code: condition.confusion for code, condition in evaluation.conditions.items()}
        )
    return {
        "training_history": training_history_figure(history.epochs),
        "confusion_matrix": confusion,
        "per_condition": condition_bars_figure(evaluation),
        "roc_curves": roc_figure(labels, probabilities, evaluation.codes, evaluation=evaluation),
        "precision_recall_curves": precision_recall_figure(
            labels, probabilities, evaluation.codes, evaluation=evaluation
        ),
    }


def _headline(evaluation: Evaluation) -> dict[str, float]:
    values = {f"macro_{name}": evaluation.macro[name].value for name in ("auroc", "auprc", "f1")}
    values["accuracy"] = evaluation.overall["accuracy"].value
    return {name: math.nan if value is None else value for name, value in values.items()}


def _cell(value: float | None) -> str:
    return "-" if value is None or math.isnan(value) else f"{value:.3f}"


def _flatten(content: Any, prefix: str = "") -> dict[str, str | int | float | bool]:
    if not isinstance(content, Mapping):
        plain = content if isinstance(content, str | int | float | bool) else json.dumps(content)
        return {prefix: plain}
    flat: dict[str, str | int | float | bool] = {}
    for key, value in content.items():
        if prefix or key not in ("labels", "callbacks", "logger"):
            flat |= _flatten(value, f"{prefix}.{key}" if prefix else str(key))
    return flat


def _write_json(path: Path, content: Any) -> None:
    path.write_text(json.dumps(_without_nan(content), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _without_nan(content: Any) -> Any:
    """JSON has no NaN: null in its place."""
    if isinstance(content, Mapping):
        return {str(key): _without_nan(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [_without_nan(value) for value in content]
    if isinstance(content, float) and not math.isfinite(content):
        return None
    return content
