"""A finished run evaluated on recordings that it was not made for, through its own label map and preprocessing."""

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from omegaconf import OmegaConf

from ecgfounder_ft.config.compose import compose_config
from ecgfounder_ft.data.catalog import targets
from ecgfounder_ft.data.gather_and_split import SPLIT_COLUMNS, gather_recordings
from ecgfounder_ft.data.sources.source import NoDataError
from ecgfounder_ft.data.splits import EXCLUDED, TEST, TRAIN, VALIDATION
from ecgfounder_ft.errors import ExplainedError
from ecgfounder_ft.inference.predict import Model
from ecgfounder_ft.runs.evaluation import (
    EvaluationSettings,
    RunEvaluation,
    evaluate_predictions,
    predictions_table,
    read_run,
)
from ecgfounder_ft.runs.report import ReportOptions, write_evaluation

log = logging.getLogger(__name__)


class OtherLabelMapError(ExplainedError):
    """Recordings labelled by another label map than the run's."""


def evaluate_elsewhere(
    run_folder: Path,
    model: Model,
    overrides: Sequence[str],
    output: Path,
    settings: EvaluationSettings,
    options: ReportOptions,
    batch_size: int = 32,
) -> RunEvaluation:
    """Evaluate a run's model on the recordings that the overrides choose, with its calibration and thresholds.

    Recordings of patients, or with signals, that the run trained or validated on are left out, and counted.

    Args:
        run_folder: of the run.
        model: the run's, on the device that computes.
        overrides: of the ``data`` group, as for train.py (``data=physionet2021 data.root=...``).
        output: folder for the results.
        settings: of the evaluation; calibration and thresholds are the run's own.
        options: of the report.
        batch_size: recordings at a time.

    Raises:
        NoDataError: if no recording is left.
        OtherLabelMapError: if the overrides choose another label map than the run's.
    """
    own = read_run(run_folder)
    label_map = model.card.label_map
    config = compose_config(overrides)
    if any(entry.startswith("labels=") for entry in overrides) and list(config.labels.conditions) != list(own.codes):
        raise OtherLabelMapError(
            f"{run_folder} has the conditions {', '.join(own.codes)}, the chosen label map "
            f"{', '.join(map(str, config.labels.conditions))}: a model can only be judged by the conditions it knows"
        )
    OmegaConf.resolve(config)
    output.mkdir(parents=True, exist_ok=True)
    card = model.card
    gathered = gather_recordings(config.data, label_map, card.task.name, card.preprocessing, card.seed, output)
    table = gathered.table.assign(split=TEST, exclusion="")
    splits = pd.read_csv(run_folder / "splits.csv", dtype=str)
    learnt = splits[splits["split"].isin([TRAIN, VALIDATION])]
    seen = table["patient"].isin(learnt["patient"]) | table["signal_hash"].isin(learnt["signal_hash"])
    table.loc[seen, ["split", "exclusion"]] = [EXCLUDED, "the run learnt from this patient or signal"]
    if seen.any():
        log.warning("%d recordings left out: the run trained or validated on their patient or signal", seen.sum())
    table[[*SPLIT_COLUMNS, *label_map.codes]].to_csv(output / "splits.csv", index=False)
    rows = np.flatnonzero(~seen)
    if not len(rows):
        raise NoDataError("no recording to evaluate: the run learnt from all of these patients or signals")
    batches = np.split(rows, range(batch_size, len(rows), batch_size))
    probabilities = np.concatenate([model.uncalibrated(gathered.signals.read(batch)) for batch in batches])
    predictions = predictions_table(table.iloc[rows], targets(table, label_map)[rows], probabilities, own.codes)
    predictions.to_csv(output / "predictions.csv", index=False, float_format="%.9g")
    evaluated = replace(own, name=f"{own.name} on {config.data.source}", table=predictions)
    run = evaluate_predictions(evaluated, settings)
    model = Model(model.net.to("cpu"), model.card)  # the few recordings that are drawn and explained are not worth more
    write_evaluation(output, run_folder, run, model, table, gathered.counts, config.data.source, options)
    return run
