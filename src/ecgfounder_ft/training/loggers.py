"""Where a run is followed: TensorBoard, a CSV file, Weights & Biases, MLflow, one of them or several at once."""

import importlib.util
import logging
import threading
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, cast

import pytorch_lightning as pl
from hydra.utils import instantiate
from matplotlib.figure import Figure
from pytorch_lightning.loggers import CSVLogger, Logger, MLFlowLogger, TensorBoardLogger, WandbLogger

from ecgfounder_ft.config.settings import Node, Settings
from ecgfounder_ft.errors import ExplainedError, how_to_install
from ecgfounder_ft.evaluation.evaluate import Evaluation
from ecgfounder_ft.runs.folder import RunFolder
from ecgfounder_ft.runs.varied import varied_values
from ecgfounder_ft.training.device import is_main_process

log = logging.getLogger(__name__)

_PACKAGES = {"WandbLogger": "wandb", "MLFlowLogger": "mlflow"}
"""Lightning's classes to the packages that they need, which are also the names of the extras."""
_CONTINUED_BY = {"WandbLogger": "id", "MLFlowLogger": "run_id"}
"""Lightning's classes to the argument with which one goes on with an earlier run of its own."""


class MissingLoggerError(ExplainedError):
    """A logger whose package is not installed."""


class TensorBoard(TensorBoardLogger):
    """Lightning's, with tags in the order in which people look.

    TensorBoard sorts the groups of its page by name and opens the first two: ``loss`` and ``metrics``. The metrics of
    each condition, learning rates, the loss of single steps and the results come behind them.
    """

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Log values by their tags."""
        super().log_metrics({tag_of(name): value for name, value in metrics.items()}, step)


def tag_of(name: str) -> str:
    """The tag that TensorBoard shows a logged value under: ``validation/loss`` is ``loss/validation``."""
    group, _, rest = name.partition("/")
    if group in ("train", "validation"):
        metric, _, condition = rest.partition("/")
        if condition:
            return f"metrics_by_condition/{metric}/{condition}"
        if metric == "loss_step":
            return f"steps/{group}_loss"
        return f"loss/{group}" if metric == "loss" else f"metrics/{metric}/{group}"
    if group == "learning_rate":
        return f"optimizer/{name}"
    return "steps/epoch" if name == "epoch" else name


def require_installed(loggers: Mapping[str, Node]) -> None:
    """Refuse a logger whose package is not there.

    Raises:
        MissingLoggerError: that says what to install.
    """
    for settings in loggers.values():
        package = _PACKAGES.get(_class_name(settings))
        spec = None if package is None else importlib.util.find_spec(package)
        if package is not None and (spec is None or spec.origin is None):  # without an origin: a folder of that name
            raise MissingLoggerError(f"logger={package} needs {package}: {how_to_install(package)}")


@contextmanager
def opened_loggers(settings: Settings, folder: RunFolder) -> Iterator[list[Logger]]:
    """The configured loggers, told of the configuration; a resumed run goes on where it was followed before.

    Weights & Biases keeps one run open in a process: it is closed, so that the next trial of a sweep gets its own.

    Args:
        settings: settled.
        folder: of the run, where it is written down which run of Weights & Biases or MLflow is its own.
    """
    before = folder.read_logger_runs() if settings.resume is not None else {}
    runs: dict[str, str] = {}
    loggers = []
    for name, node in settings.loggers.items():
        argument = _CONTINUED_BY.get(_class_name(node))
        more = {argument: before[name]} if argument is not None and name in before else {}
        if argument == "id" and not more:
            more = {argument: uuid.uuid4().hex[:8]}
        loggers.append(instantiate(node, **more))
        if argument is not None and is_main_process():
            loggers[-1].experiment  # noqa: B018  begins the run, if it is a new one
            runs[str(name)] = str(loggers[-1].version)
    if is_main_process():
        folder.write_logger_runs(runs)
        if settings.resume is None:  # MLflow takes no second value
            _log_configuration(loggers, settings.content)
    failed = True
    before_threads = threading.excepthook
    threading.excepthook = _tell_of_threads
    try:
        yield loggers
        failed = False
    finally:
        threading.excepthook = before_threads
        if is_main_process():
            for logger in loggers:
                if isinstance(logger, WandbLogger):
                    logger.experiment.finish(exit_code=int(failed))


def _tell_of_threads(arguments: threading.ExceptHookArgs) -> None:
    """TensorBoard writes in a thread of its own: a disk that is full there is told in a line, and ends nothing."""
    if isinstance(arguments.exc_value, OSError):
        log.warning("A logger can write no more: %s", arguments.exc_value)
    else:
        threading.__excepthook__(arguments)


def log_results(
    logger: Logger,
    evaluation: Evaluation,
    validation: Mapping[str, float],
    pictures: Mapping[str, Figure],
    run: RunFolder,
) -> None:
    """The results to a logger; to TensorBoard also what sets this run apart from others, for its table.

    Args:
        logger: one of the run's.
        evaluation: of the test recordings.
        validation: metrics of the model that was chosen, by their logged names.
        pictures: name to figure.
        run: whose results they are.
    """
    found = {f"test/macro_{name}": evaluation.macro[name].value for name in ("auroc", "auprc", "f1")}
    found["test/accuracy"] = evaluation.overall["accuracy"].value
    chosen = {name: value for name, value in validation.items() if "/auroc/" not in name}
    metrics = {f"results/{name}": value for name, value in (chosen | found).items() if value is not None}
    if isinstance(logger, TensorBoardLogger):
        logger.log_hyperparams(varied_values(run), metrics)
    else:
        logger.log_metrics(metrics)
    for name, figure in pictures.items():
        if isinstance(logger, TensorBoardLogger):
            logger.experiment.add_figure(f"results/{name}", figure, close=False)
        elif isinstance(logger, WandbLogger):
            logger.log_image(f"results/{name}", [figure])
        elif isinstance(logger, MLFlowLogger):
            logger.experiment.log_figure(cast(str, logger.run_id), figure, f"results/{name}.png")
    logger.save()


def _log_configuration(loggers: list[Logger], configuration: Mapping[str, Any]) -> None:
    """The whole configuration, but for the texts of the label map and the loggers' own settings.

    TensorBoard gets a few of its values at the end, with the metrics that its table shows beside them.
    """
    content = {key: value for key, value in configuration.items() if key != "logger"}
    content["labels"] = content["labels"]["name"]
    for logger in loggers:
        if not isinstance(logger, TensorBoardLogger):
            logger.log_hyperparams(content)
            if isinstance(logger, CSVLogger):
                logger.save()


def _class_name(settings: Any) -> str:
    """Of one of Lightning's loggers; empty for another class."""
    module, _, name = str(settings.get("_target_", "")).rpartition(".")
    return name if module == pl.loggers.__name__ else ""
