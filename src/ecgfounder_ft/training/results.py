"""What training leaves in a run's folder, and what it says at the end."""

import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pytorch_lightning as pl
import torch
from matplotlib.figure import Figure
from omegaconf import OmegaConf
from pytorch_lightning.trainer.states import TrainerFn
from rich import box
from rich.console import Console
from rich.table import Table

from ecgfounder_ft.data.gather_and_split import PreparedData
from ecgfounder_ft.evaluation.evaluate import Evaluation
from ecgfounder_ft.inference.predict import WEIGHTS_FILE, Model, save_model
from ecgfounder_ft.runs.evaluation import PREDICTIONS_FILE, START_PREDICTIONS_FILE, predictions_table
from ecgfounder_ft.runs.report import write_json
from ecgfounder_ft.training.classifier import Classifier

log = logging.getLogger(__name__)

_HYPERPARAMETERS = (
    "seed",
    "data.batch_size",
    "data.max_samples",
    "data.imbalance",
    "task.name",
    "model.weights",
    "model.head",
    "finetune",
    "augment",
    "optimizer",
    "scheduler",
    "trainer.max_epochs",
    "trainer.precision",
)
"""What TensorBoard's table of hyperparameters shows; the whole configuration is in config.yaml."""


@dataclass(frozen=True)
class Start:
    """The untrained start: its figures by their logged names, and what it predicted."""

    validation: dict[str, float]
    test: dict[str, float]
    collected: dict[str, dict[str, torch.Tensor]]
    """As ``Classifier.collected``."""


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
        rates = {
            f"learning_rate/{group['part']}": float(group["lr"])
            for group in trainer.optimizers[0].param_groups
            if any(parameter.requires_grad for parameter in group["params"])
        }
        for logger in trainer.loggers:
            logger.log_metrics(rates, step=trainer.global_step)
        row["learning_rate"] = max(rates.values())
        self.epochs.append(row)

    def state_dict(self) -> dict[str, Any]:
        """For the checkpoint."""
        return {"epochs": self.epochs}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """From the checkpoint."""
        self.epochs = state_dict["epochs"]


def _predictions(
    data: PreparedData, collected: Mapping[str, Mapping[str, torch.Tensor]], classifier: Classifier
) -> pd.DataFrame:
    """The predictions table of validation and test."""
    parts = []
    for side in ("validation", "test"):
        rows = collected[side]["index"].cpu().numpy()
        probabilities = classifier.probabilities(collected[side]["logits"]).cpu().numpy()
        codes = classifier.card.label_map.codes
        parts.append(predictions_table(data.table.iloc[rows], data.targets[rows], probabilities, codes))
    return pd.concat(parts, ignore_index=True)


def write_results(folder: Path, classifier: Classifier, data: PreparedData, history: History, start: Start) -> None:
    """Write what only training knows: predictions, the untrained start, the history, and the best epoch's weights.

    Everything else that a run's folder holds follows from these files, see ``run_report.py``.
    """
    for file, collected in ((PREDICTIONS_FILE, classifier.collected), (START_PREDICTIONS_FILE, start.collected)):
        _predictions(data, collected, classifier).to_csv(folder / file, index=False, float_format="%.9g")
    write_json(folder / "start.json", {"validation": start.validation, "test": start.test})
    write_json(folder / "data.json", data.counts)
    pd.DataFrame(history.epochs).to_csv(folder / "training_history.csv", index=False)
    save_model(Model(classifier.net, classifier.card), folder / WEIGHTS_FILE)


def log_results(logger: pl.loggers.Logger, evaluation: Evaluation, pictures: Mapping[str, Figure], config: Any) -> None:
    """Test figures, pictures and hyperparameters to a logger; pictures where it takes them (TensorBoard)."""
    headline = {f"macro_{name}": evaluation.macro[name].value for name in ("auroc", "auprc", "f1")}
    headline["accuracy"] = evaluation.overall["accuracy"].value
    figures = {f"test/{name}": value for name, value in headline.items() if value is not None}
    flat = _flatten(OmegaConf.to_container(config, resolve=True))
    shown = {name: value for name, value in flat.items() if name.startswith(_HYPERPARAMETERS)}
    if isinstance(logger, pl.loggers.TensorBoardLogger):
        logger.log_hyperparams(shown, figures)
        for name, figure in pictures.items():
            logger.experiment.add_figure(f"results/{name}", figure, close=False)
    else:
        logger.log_hyperparams(shown)
        logger.log_metrics(figures)
    logger.save()


def print_summary(evaluation: Evaluation, start: Start, folder: Path) -> None:
    """The closing table."""
    table = Table(title="Test recordings", title_justify="left", box=box.SIMPLE_HEAD, collapse_padding=True)
    for name in ("condition", "n", "AUROC", "95% interval", "start", "AUPRC", "F1", "sens.", "spec."):
        table.add_column(name, justify="left" if name == "condition" else "right", no_wrap=True)
    rows = [
        (code, condition.positives, condition.figures, start.test.get(f"test/auroc/{code}"))
        for code, condition in evaluation.conditions.items()
    ]
    rows.append(("macro", evaluation.n, evaluation.macro, start.test.get("test/macro_auroc")))
    for name, n, figures, before in rows:
        if name == "macro":
            table.add_section()
        auroc = figures["auroc"]
        interval = "-" if auroc.low is None else f"{auroc.low:.3f}-{auroc.high:.3f}"
        cells = [_cell(figures[figure].value) for figure in ("auprc", "f1", "sensitivity", "specificity")]
        table.add_row(name, str(n), _cell(auroc.value), interval, _cell(before), *cells)
    console = Console()
    console.print(table)
    console.print(f"accuracy {_cell(evaluation.overall['accuracy'].value)}; report: {folder / 'report.html'}")


def _cell(value: float | None) -> str:
    return "-" if value is None or math.isnan(value) else f"{value:.3f}"


def _flatten(content: Any, prefix: str = "") -> dict[str, str | int | float | bool]:
    if not isinstance(content, Mapping):
        return {prefix: content if isinstance(content, str | int | float | bool) else str(content)}
    flat: dict[str, str | int | float | bool] = {}
    for key, value in content.items():
        flat |= _flatten(value, f"{prefix}.{key}" if prefix else str(key))
    return flat
