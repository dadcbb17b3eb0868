"""What an evaluation leaves: the one place that knows what each of its files is called and how it is written."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ecgfounder_ft.files import whole_file, write_csv, write_json, write_text
from ecgfounder_ft.untrusted import run_files

if TYPE_CHECKING:  # a resume is refused, and a sweep summed up, without pandas or torch
    import pandas as pd
    from matplotlib.figure import Figure

    from ecgfounder_ft.evaluation.calibration import Calibration
    from ecgfounder_ft.evaluation.thresholds import Thresholds
    from ecgfounder_ft.inference.finished_model import FinishedModel

log = logging.getLogger(__name__)

EXACT = "%.9g"
"""A float32 probability in text, without loss."""


class EvaluationFolder:
    """What an evaluation leaves: metrics, pictures, the report, and what it was fitted to.

    Args:
        path: of the folder.
    """

    METRICS = "metrics.json"
    CLASSIFICATION_REPORT = "classification_report.json"
    CALIBRATION = "calibration.json"
    THRESHOLDS = "thresholds.json"
    REPORT = "report.html"
    PREDICTIONS = "predictions.csv"
    SPLITS = "splits.csv"
    SKIPPED = "skipped.csv"
    DATA = "data.json"
    MODEL = "model.pth"
    DIGESTS = "digests.json"

    def __init__(self, path: Path) -> None:
        self.path = path

    def __str__(self) -> str:
        return str(self.path)

    def create(self) -> None:
        """Make the folder."""
        self.path.mkdir(parents=True, exist_ok=True)

    @property
    def report_file(self) -> Path:
        """The report's page."""
        return self.path / self.REPORT

    @property
    def model_file(self) -> Path:
        """The model with its record, in the form of the published checkpoints."""
        return self.path / self.MODEL

    @property
    def skipped_file(self) -> Path:
        """The list of recordings that could not be used."""
        return self.path / self.SKIPPED

    # ---------------------------------------------------------------------------------------- data

    def write_skipped(self, skipped: pd.DataFrame) -> None:
        """Write path, reason and detail of every recording that could not be used."""
        write_csv(self.path / self.SKIPPED, skipped)

    @contextmanager
    def listing_skipped(self) -> Iterator[None]:
        """Write the list of what was skipped where no recording at all is left, too, and the command fails."""
        from ecgfounder_ft.data.sources.source import NoDataError

        try:
            yield
        except NoDataError as error:
            if error.skipped is not None:
                self.write_skipped(error.skipped)
                log.warning("Every skipped recording is listed in %s", self.skipped_file)
            raise

    def read_skipped(self) -> pd.DataFrame:
        """Read what :meth:`write_skipped` wrote."""
        return run_files.read_table(self.path, self.path / self.SKIPPED, ("path", "reason", "detail"))

    def write_splits(self, splits: pd.DataFrame) -> None:
        """Write every recording with its labels and its side."""
        write_csv(self.path / self.SPLITS, splits)

    def read_splits(self) -> pd.DataFrame:
        """Read what :meth:`write_splits` wrote."""
        return run_files.read_splits(self.path, self.path / self.SPLITS)

    def write_data_counts(self, counts: Mapping[str, Any]) -> None:
        """Write how many recordings each step of their preparation left."""
        write_json(self.path / self.DATA, counts)

    def read_data_counts(self) -> dict[str, Any]:
        """Read what :meth:`write_data_counts` wrote; empty without it."""
        return run_files.read_json(self.path, self.path / self.DATA, dict, run_files.DATA_COUNTS) or {}

    # --------------------------------------------------------------------------------- predictions

    def write_predictions(self, predictions: pd.DataFrame) -> None:
        """Write a predictions table (see ``evaluation/predictions.py``)."""
        write_csv(self.path / self.PREDICTIONS, predictions, float_format=EXACT)

    # ---------------------------------------------------------------------------------- evaluation

    def write_fits(self, calibration: Calibration, thresholds: Thresholds | None) -> None:
        """Write what was fitted on validation."""
        write_json(self.path / self.CALIBRATION, calibration.to_dict())
        if thresholds is not None:
            write_json(self.path / self.THRESHOLDS, thresholds.to_dict())

    def write_metrics(self, metrics: Mapping[str, Any], classification_report: Mapping[str, Any]) -> None:
        """Write the metrics, and the few of them under scikit-learn's names."""
        write_json(self.path / self.METRICS, metrics)
        write_json(self.path / self.CLASSIFICATION_REPORT, classification_report)

    def read_metrics(self) -> dict[str, Any]:
        """Read what :meth:`write_metrics` wrote; empty without it."""
        return run_files.read_json(self.path, self.path / self.METRICS, dict) or {}

    def write_picture(self, name: str, figure: Figure) -> None:
        """Write a picture as ``<name>.png``."""
        from ecgfounder_ft.report.figures import save_figure

        with whole_file(self.path / f"{name}.png") as unfinished:
            save_figure(figure, unfinished)

    def write_report(self, page: str) -> None:
        """Write the report's page."""
        write_text(self.report_file, page)

    def write_model(self, model: FinishedModel) -> None:
        """Write the model with its record."""
        from ecgfounder_ft.inference.finished_model import save_model

        save_model(model, self.model_file)
