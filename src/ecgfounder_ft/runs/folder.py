"""The folder of a run: the one place that knows what each of its files is called and how it is read and written.

Every file appears whole or not at all. A new evaluation is a folder of its own under the run, so nothing that training
left is ever written over. What an evaluation leaves, the run's own first one too, is in ``evaluation_folder.py``.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from ecgfounder_ft.files import write_csv, write_json, write_text
from ecgfounder_ft.runs.evaluation_folder import EXACT, EvaluationFolder
from ecgfounder_ft.runs.status import RunStatus
from ecgfounder_ft.untrusted import run_files
from ecgfounder_ft.untrusted.run_files import RunFolderError

if TYPE_CHECKING:  # a resume is refused, and a sweep summed up, without pandas or torch
    import pandas as pd
    from matplotlib.figure import Figure

    from ecgfounder_ft.config.settings import Settings
    from ecgfounder_ft.evaluation.predictions import Predictions
    from ecgfounder_ft.inference.finished_model import FinishedModel


class RunFolder(RunStatus):
    """The folder of a run. Its own first evaluation lies in it; later ones lie in ``evaluations/``."""

    CONFIGURATION = "config.yaml"
    PLAN = "plan.json"
    LOGGER_RUNS = "logger_runs.json"
    LEAKAGE = "leakage.csv"
    START_PREDICTIONS = "start_predictions.csv"
    START = "start.json"
    RANDOM_ENCODER_PREDICTIONS = "random_encoder_predictions.csv"
    RANDOM_ENCODER = "random_encoder.json"
    HISTORY = "training_history.csv"
    LR_FINDER = "lr_finder.json"
    SOLVED_HEAD = "solved_head.json"
    WISE_FT = "wise_ft.json"
    CHECKPOINTS = "checkpoints"
    LAST_CHECKPOINT = "last.ckpt"
    EVALUATIONS = "evaluations"

    @property
    def name(self) -> str:
        """Name of the folder, as printed."""
        return self.path.name

    @property
    def last_checkpoint(self) -> Path:
        """What an interrupted run goes on from."""
        return self.path / self.CHECKPOINTS / self.LAST_CHECKPOINT

    @contextmanager
    def unused(self) -> Iterator[None]:
        """Refuse a folder in which another run has come as far as a checkpoint, which could be taken for a new run's.

        Raises:
            RunFolderError: that says how to go on with that one.
        """
        if self.last_checkpoint.is_file():
            raise RunFolderError(
                f"{self.path} holds a run already: go on with it by resume={self.path}, or choose another folder "
                "(hydra.run.dir=...)"
            )
        yield

    def require(self) -> None:
        """Refuse what is no folder of a run.

        Raises:
            RunFolderError: that says what was looked for.
        """
        if not self.path.is_dir():
            raise RunFolderError(f"no run folder {self.path}: name a folder that training has written")
        if not (self.path / self.CONFIGURATION).is_file():
            raise RunFolderError(f"no {self.CONFIGURATION} in {self.path}: is it a run folder of this project?")

    # ------------------------------------------------------------------------------- configuration

    def write_configuration(self, content: Mapping[str, Any]) -> None:
        """Write the configuration, given in plain containers."""
        text = yaml.safe_dump(dict(content), sort_keys=False, allow_unicode=True, width=110)
        write_text(self.path / self.CONFIGURATION, text)

    def settings(self, trusted: Collection[str] = ()) -> Settings:
        """Read the run's settings; nothing of them has been instantiated.

        Args:
            trusted: dotted names that it may instantiate beside this package's own, torch's and Lightning's.

        Raises:
            RunFolderError: if it is absent or cannot be read.
            UntrustedTargetError: if it wants something else instantiated.
            ConfigurationError: if the schema does not know something in it.
        """
        from ecgfounder_ft.config.stored import saved_settings

        self.require()
        file = self.path / self.CONFIGURATION
        return saved_settings(self.plain_configuration(), file, trusted)

    def plain_configuration(self) -> dict[str, Any]:
        """The run's configuration in plain containers, as it stands in the file.

        Raises:
            RunFolderError: if it is absent or cannot be read.
        """
        self.require()
        return run_files.read_yaml(self.path, self.path / self.CONFIGURATION)

    def write_plan(self, plan: Mapping[str, Any]) -> None:
        """Write what was settled before training."""
        write_json(self.path / self.PLAN, plan)

    def read_plan(self) -> dict[str, Any] | None:
        """Read what :meth:`write_plan` wrote; None where nothing was settled yet."""
        return run_files.read_json(self.path, self.path / self.PLAN, dict, run_files.PLAN)

    # -------------------------------------------------------------------------------------- training

    def write_logger_runs(self, runs: Mapping[str, str]) -> None:
        """Write which run of its own each logger keeps for this one, by the logger's name; nothing where none does."""
        if runs:
            write_json(self.path / self.LOGGER_RUNS, runs)

    def read_logger_runs(self) -> dict[str, str]:
        """Read what :meth:`write_logger_runs` wrote; empty without it."""
        return run_files.read_json(self.path, self.path / self.LOGGER_RUNS, dict) or {}

    def write_leakage(self, by_source: pd.DataFrame) -> None:
        """Write the patients and signals on two sides, one row per source."""
        write_csv(self.path / self.LEAKAGE, by_source, index=True)

    def write_start(self, metrics: Mapping[str, Any], predictions: pd.DataFrame) -> None:
        """Write metrics and predictions of the untrained start."""
        write_csv(self.path / self.START_PREDICTIONS, predictions, float_format=EXACT)
        write_json(self.path / self.START, metrics)

    def read_start(self) -> dict[str, Any]:
        """Read the metrics of the untrained start; empty without them."""
        return run_files.read_json(self.path, self.path / self.START, dict, run_files.START) or {}

    def write_random_encoder(self, record: Mapping[str, Any], predictions: pd.DataFrame) -> None:
        """Write the predictions of the linear probe on a random encoder, and how it came about."""
        write_csv(self.path / self.RANDOM_ENCODER_PREDICTIONS, predictions, float_format=EXACT)
        write_json(self.path / self.RANDOM_ENCODER, record)

    def read_random_encoder(self) -> dict[str, Any]:
        """Read how the linear probe on a random encoder came about; empty without one."""
        found = run_files.read_json(self.path, self.path / self.RANDOM_ENCODER, dict, run_files.RANDOM_ENCODER)
        lacking = [] if found is None else [name for name in run_files.RANDOM_ENCODER if name not in found]
        if lacking:
            raise RunFolderError(f"{self.path / self.RANDOM_ENCODER} has no {', '.join(lacking)}: restore or delete it")
        return found or {}

    def write_history(self, epochs: Sequence[Mapping[str, float]]) -> None:
        """Write one row of metrics per epoch."""
        import pandas as pd

        write_csv(self.path / self.HISTORY, pd.DataFrame(list(epochs)))

    def read_history(self) -> list[dict[str, Any]]:
        """Read what :meth:`write_history` wrote; empty where no epoch was trained."""
        file = self.path / self.HISTORY
        if not run_files.is_there(self.path, file, run_files.MOST_TABLE_BYTES) or file.stat().st_size <= 1:
            return []
        table = run_files.read_table(self.path, file)
        texts = [str(name) for name, dtype in table.dtypes.items() if dtype.kind not in "fiu"]
        if texts:
            raise RunFolderError(f"{file}: {texts[0]} holds something that is no number: restore it, or delete it")
        return [{str(name): value for name, value in row.items()} for row in table.to_dict("records")]

    def write_lr_finder(self, found: Mapping[str, Any], figure: Figure) -> None:
        """Write the losses of the range test, and draw them."""
        write_json(self.path / self.LR_FINDER, found)
        self.write_picture("lr_finder", figure)

    def write_solved_head(self, found: Mapping[str, Any], figure: Figure | None) -> None:
        """Write how the last layer was solved, and a picture of the choice where there was one."""
        write_json(self.path / self.SOLVED_HEAD, found)
        if figure is not None:
            self.write_picture("solved_head", figure)

    def write_wise_ft(self, found: Mapping[str, Any], figure: Figure) -> None:
        """Write the validation metrics between start and end, and draw them."""
        write_json(self.path / self.WISE_FT, found)
        self.write_picture("wise_ft", figure)

    def read_wise_ft(self) -> dict[str, Any]:
        """What was chosen between start and end; empty where nothing was."""
        return run_files.read_json(self.path, self.path / self.WISE_FT, dict, run_files.WISE_FT) or {}

    # ----------------------------------------------------------------------------------- predictions

    def predictions(self) -> Predictions:
        """The run's predictions, with the calibration and thresholds of its first evaluation where there are any.

        Raises:
            RunFolderError: if a file is missing, unreadable or at odds with another.
        """
        from ecgfounder_ft.evaluation.calibration import Calibration
        from ecgfounder_ft.evaluation.predictions import Predictions
        from ecgfounder_ft.evaluation.thresholds import Thresholds
        from ecgfounder_ft.task import task_named

        content = self.plain_configuration()
        file = self.path / self.CONFIGURATION
        try:
            codes = tuple(str(code) for code in content["labels"]["conditions"])
            task = task_named(str(content["task"]["name"]))
        except (KeyError, TypeError, ValueError) as error:
            raise RunFolderError(
                f"{file} does not name the conditions and the task ({error}): was it edited?"
            ) from error
        table = run_files.read_predictions(self.path, self.path / self.PREDICTIONS, codes)
        calibration = run_files.read_json(self.path, self.path / self.CALIBRATION, Calibration.from_dict)
        thresholds = run_files.read_json(self.path, self.path / self.THRESHOLDS, Thresholds.from_dict)
        belonging: list[tuple[str, list[str], list[str]]] = []
        if calibration is not None:
            belonging.append((self.CALIBRATION, [calibration.task, *calibration.codes], [task.name, *codes]))
        if thresholds is not None:
            belonging.append((self.THRESHOLDS, sorted(thresholds.values), sorted(codes)))
        for name, found, expected in belonging:
            if found != expected:
                raise RunFolderError(
                    f"{self.path / name} is of {', '.join(found)}, the run of {', '.join(expected)}: "
                    "it belongs to another run"
                )
        return Predictions(self.name, table, codes, task, calibration, thresholds)

    def baselines(self, codes: Sequence[str]) -> dict[str, pd.DataFrame]:
        """Name to predictions table of what stands beside the trained model."""
        from ecgfounder_ft.evaluation.run_evaluation import RANDOM_ENCODER, UNTRAINED_START

        files = {
            UNTRAINED_START: self.path / self.START_PREDICTIONS,
            RANDOM_ENCODER: self.path / self.RANDOM_ENCODER_PREDICTIONS,
        }
        return {
            name: run_files.read_predictions(self.path, file, codes)
            for name, file in files.items()
            if run_files.is_there(self.path, file, run_files.MOST_TABLE_BYTES)
        }

    def require_model(self, model: FinishedModel) -> None:
        """Refuse a model of other conditions or of another task than the run's.

        Raises:
            RunFolderError: that says which.
        """
        own, record = self.predictions(), model.record
        if (record.label_map.codes, record.task.name) != (own.codes, own.task.name):
            raise RunFolderError(
                f"{self.model_file} is a {record.task.name} model of {', '.join(record.label_map.codes[:20])}, the "
                f"run is {own.task.name} of {', '.join(own.codes[:20])}: they do not belong together"
            )

    # ----------------------------------------------------------------------------------- evaluations

    def new_evaluation(self, name: str, path: Path | None = None) -> EvaluationFolder:
        """A new folder for another evaluation of this run; what is there stays.

        Args:
            name: what is evaluated; the folder is ``evaluations/<name>``, with a number where that exists.
            path: another place for it.

        Raises:
            RunFolderError: if ``path`` holds an evaluation already.
        """
        if path is not None:
            if (path / self.METRICS).exists() or path.resolve() == self.path.resolve():
                raise RunFolderError(f"{path} holds an evaluation already, which stays: choose another --output")
            folder = path
        else:
            base = self.path / self.EVALUATIONS
            if not Path(os.path.realpath(base)).is_relative_to(os.path.realpath(self.path)):
                raise RunFolderError(f"{base} leads out of the folder: name another place by --output")
            base.mkdir(parents=True, exist_ok=True)
            folder = _made_anew(base, name)
        found = EvaluationFolder(folder)
        found.create()
        return found


def _made_anew(base: Path, name: str) -> Path:
    """A folder of that name, with a number where it exists; two processes that ask at once get one each."""
    numbers = count(2)
    folder = base / name
    while True:
        try:
            folder.mkdir()
        except FileExistsError:
            folder = base / f"{name}-{next(numbers)}"
        else:
            return folder
