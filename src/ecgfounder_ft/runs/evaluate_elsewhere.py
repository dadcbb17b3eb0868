"""A finished run evaluated on recordings that it was not made for, through its own label map and preprocessing."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ecgfounder_ft.config.compose import compose_settings
from ecgfounder_ft.data.catalog import targets
from ecgfounder_ft.data.gather_and_split import SPLIT_COLUMNS, gather_recordings
from ecgfounder_ft.data.near_copies import find_copies
from ecgfounder_ft.data.sources.source import NoDataError
from ecgfounder_ft.data.splits import EXCLUDED, TEST, TRAIN, VALIDATION
from ecgfounder_ft.data.store.signal_store import StoredSignals, build_store, is_store
from ecgfounder_ft.ecg.description import SignalDescription
from ecgfounder_ft.errors import ExplainedError
from ecgfounder_ft.evaluation.predictions import predictions_table
from ecgfounder_ft.evaluation.run_evaluation import RunEvaluation, evaluate_predictions, fitted
from ecgfounder_ft.evaluation.settings import EvaluationSettings
from ecgfounder_ft.inference.finished_model import FinishedModel
from ecgfounder_ft.runs.evaluation_folder import EvaluationFolder
from ecgfounder_ft.runs.facts import Evaluated
from ecgfounder_ft.runs.folder import RunFolder
from ecgfounder_ft.runs.report import with_fits, write_evaluation

log = logging.getLogger(__name__)


class OtherLabelMapError(ExplainedError):
    """Recordings labelled by another label map than the run's."""


def evaluate_elsewhere(
    run: RunFolder,
    model: FinishedModel,
    overrides: Sequence[str],
    output: EvaluationFolder,
    settings: EvaluationSettings,
    batch_size: int = 32,
    refit: bool = False,
) -> RunEvaluation:
    """Evaluate a run's model on the recordings that the overrides choose, with its calibration and thresholds.

    Recordings of patients, or with signals, that the run trained or validated on are left out, and counted.

    Args:
        run: finished.
        model: the run's, on the device that computes.
        overrides: of the ``data`` group, as for train.py (``data=physionet2021 data.root=...``).
        output: a new folder for the results.
        settings: of the evaluation.
        batch_size: recordings at a time.
        refit: fit calibration and thresholds anew on the run's own validation recordings, by the settings.

    Raises:
        NoDataError: if no recording is left.
        OtherLabelMapError: if the overrides choose another label map than the run's.
    """
    own = run.predictions()
    record = model.record
    label_map = record.label_map
    composed = compose_settings(overrides)
    chosen = composed.label_map.codes
    if any(entry.startswith("labels=") for entry in overrides) and list(chosen) != list(own.codes):
        raise OtherLabelMapError(
            f"{run} has the conditions {', '.join(own.codes)}, the chosen label map {', '.join(chosen)}: a model can "
            "only be judged by the conditions it knows"
        )
    source = composed.source
    if not any(entry.startswith("data.max_evaluation_recordings=") for entry in overrides):
        source = replace(source, max_evaluation_recordings=None)  # another set is whole unless less is asked for
    with output.listing_skipped():
        gathered = gather_recordings(source, label_map, record.task, record.preprocessing, record.seed)
    output.write_skipped(gathered.skipped)
    gathered.require_any()
    useless = gathered.table["exclusion"] != ""
    table = gathered.table.assign(split=np.where(useless, EXCLUDED, TEST))
    splits = run.read_splits()
    learnt = splits[splits["split"].isin([TRAIN, VALIDATION])]
    seen = table["patient"].isin(learnt["patient"]) | table["signal_hash"].isin(learnt["signal_hash"])
    seen |= _near_copies(gathered.signals, learnt, _store_of(run, model, Path(source.store)), model, _stated(run))
    table.loc[seen, ["split", "exclusion"]] = [EXCLUDED, "the run learnt from this patient or signal"]
    if seen.any():
        log.warning("%d recordings left out: the run trained or validated on their patient or signal", seen.sum())
    output.write_splits(table[[*SPLIT_COLUMNS, *label_map.codes]])
    output.write_data_counts(gathered.counts)
    rows = np.flatnonzero(table["split"] == TEST)
    if not len(rows):
        raise NoDataError("no recording to evaluate: the run learnt from all of these patients or signals")
    batches = np.split(rows, range(batch_size, len(rows), batch_size))
    probabilities = np.concatenate([model.uncalibrated(gathered.signals.read(batch)) for batch in batches])
    predictions = predictions_table(table.iloc[rows], targets(table, label_map)[rows], probabilities, own.codes)
    output.write_predictions(predictions)
    calibration, thresholds = fitted(own, settings, refit)
    judged = replace(
        own,
        name=f"{own.name} on {source.source}",
        table=predictions,
        stored_calibration=calibration,
        stored_thresholds=thresholds,
    )
    evaluated = evaluate_predictions(judged, settings)
    model = replace(model, net=model.net.to("cpu"))  # the few recordings that are drawn are not worth more
    if refit:
        model = with_fits(model, evaluated)
        output.write_model(model)
    elsewhere = Evaluated(table, gathered.counts, gathered.skipped, source.source, elsewhere=True)
    write_evaluation(output, run, evaluated, model, elsewhere)
    return evaluated


@dataclass(frozen=True)
class _Joined:
    """Two sets of signals, read as one."""

    first: StoredSignals
    second: StoredSignals

    def read(self, indices: Sequence[int]) -> NDArray[np.float32]:
        """Some of them, (len(indices), leads, samples)."""
        n = len(self.first)
        return np.concatenate([(self.first.read([one]) if one < n else self.second.read([one - n])) for one in indices])


def _store_of(run: RunFolder, model: FinishedModel, otherwise: Path) -> Path:
    """The run's store where it is still there; a run folder of somebody else does not choose where one is made."""
    store = Path(str(run.plain_configuration()["data"].get("store")))
    return store if is_store(store, model.record.preprocessing, _stated(run)) else otherwise


def _stated(run: RunFolder) -> SignalDescription:
    """What the run was told of files that do not say it."""
    return SignalDescription.from_dict(run.plain_configuration()["data"])


def _near_copies(
    signals: StoredSignals, learnt: pd.DataFrame, store: Path, model: FinishedModel, stated: SignalDescription
) -> NDArray[np.bool_]:
    """Tell which signals are near copies of what the run learnt from, by the signals that a store holds of that."""
    preprocessing = model.record.preprocessing
    known = build_store(learnt, preprocessing, store, progress=False, stated=stated)
    if lost := len(learnt) - len(known):
        log.warning(
            "%d recordings that the run learnt from cannot be read any more, so near copies of them are not found", lost
        )
    prints = [one.fingerprints for one in (signals, known) if len(one)]
    seen = np.zeros(len(signals), dtype=np.bool_)
    if len(prints) < 2:
        return seen
    hashes = pd.concat([signals.rows["signal_hash"], known.rows["signal_hash"]])
    identical, _ = pd.factorize(hashes)
    found = find_copies(np.concatenate(prints), _Joined(signals, known), preprocessing.sampling_rate, identical)
    across = (found.pairs[:, 0] < len(signals)) & (found.pairs[:, 1] >= len(signals))
    seen[found.pairs[across, 0]] = True
    return seen
