"""What training leaves in a run's folder beside its evaluation, and what it says at the end."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd
import torch
from rich import box
from rich.table import Table

from ecgfounder_ft.console import plain_console
from ecgfounder_ft.data.gather_and_split import PreparedData
from ecgfounder_ft.evaluation.predictions import predictions_table
from ecgfounder_ft.evaluation.run_evaluation import RANDOM_ENCODER, UNTRAINED_START, RunEvaluation
from ecgfounder_ft.model.record import ModelRecord
from ecgfounder_ft.report.words import baseline_verdict


@dataclass(frozen=True)
class Pass:
    """What a model said in one pass over validation and test."""

    metrics: dict[str, dict[str, float]]
    """Side to metrics by their logged names."""
    collected: dict[str, dict[str, torch.Tensor]]
    """Side to logits, states, losses and dataset rows, as ``Classifier.collected``."""

    def predictions(self, data: PreparedData, record: ModelRecord) -> pd.DataFrame:
        """The predictions table of both sides."""
        parts = []
        for side in ("validation", "test"):
            rows = self.collected[side]["index"].cpu().numpy()
            probabilities = record.task.probabilities(self.collected[side]["logits"]).cpu().numpy()
            codes = record.label_map.codes
            parts.append(predictions_table(data.table.iloc[rows], data.targets[rows], probabilities, codes))
        return pd.concat(parts, ignore_index=True)


def print_summary(
    evaluated: RunEvaluation, report: str, next_commands: Mapping[str, str], *, random_head: bool
) -> None:
    """The closing table, what was learnt in a sentence, and what to type next.

    Args:
        evaluated: the run, with its untrained start among the baselines.
        report: where the results are.
        next_commands: what for, to command.
        random_head: whether the last layer started from random weights, whose answers are no measure of anything.
    """
    evaluation, start = evaluated.evaluation, evaluated.baselines[UNTRAINED_START]
    table = Table(title="Test recordings", title_justify="left", box=box.SIMPLE_HEAD, collapse_padding=True)
    beside = [] if random_head else ["start"]
    for name in ("condition", "n", "AUROC", "95% interval", *beside, "AUPRC", "F1", "sens.", "spec."):
        table.add_column(name, justify="left" if name == "condition" else "right", no_wrap=True)
    rows = [
        (code, condition.positives, condition.metrics, start.conditions[code].metrics["auroc"])
        for code, condition in evaluation.conditions.items()
    ]
    rows.append(("macro", evaluation.n, evaluation.macro, start.macro["auroc"]))
    for name, n, metrics, before in rows:
        if name == "macro":
            table.add_section()
        auroc = metrics["auroc"]
        interval = "-" if auroc.low is None else f"{auroc.low:.3f}-{auroc.high:.3f}"
        cells = [_cell(metrics[metric].value) for metric in ("auprc", "f1", "sensitivity", "specificity")]
        shown = [] if random_head else [_cell(before.value)]
        table.add_row(name, str(n), _cell(auroc.value), interval, *shown, *cells)
    console = plain_console()
    console.print(table)
    console.print(f"accuracy {_cell(evaluation.overall['accuracy'].value)}; {report}", soft_wrap=True)
    if random_head:
        console.print("its last layer started from random weights, so its start is no measure", soft_wrap=True)
    baseline = RANDOM_ENCODER if random_head else UNTRAINED_START
    if baseline in evaluated.differences:
        verdict = baseline_verdict(evaluated.differences[baseline])
        console.print(f"against {'a' if random_head else 'its'} {baseline}, {verdict}", soft_wrap=True)
    for purpose, command in next_commands.items():
        console.print(f"{purpose}: {command}", soft_wrap=True)


def _cell(value: float | None) -> str:
    return "-" if value is None or math.isnan(value) else f"{value:.3f}"
