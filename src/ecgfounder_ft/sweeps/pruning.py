"""A trial is given up where its validation is behind that of the search's other trials."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pytorch_lightning as pl
from pytorch_lightning.trainer.states import TrainerFn

from ecgfounder_ft.config.settings import Settings
from ecgfounder_ft.designs.optuna import OptunaSearch
from ecgfounder_ft.runs.folder import RunFolder
from ecgfounder_ft.runs.status import PrunedError
from ecgfounder_ft.sweeps.folder import SweepFolder, Trial
from ecgfounder_ft.training.callbacks import History
from ecgfounder_ft.training.monitor import direction_of

if TYPE_CHECKING:
    import optuna


class PruneByValidation(pl.Callback):
    """Tells the search how each epoch went, and ends the trial where the pruner says so.

    Args:
        trial: of the search.
        metric: logged validation metric that the search is for.
        run: the trial's folder, which gets the curves of its epochs.
    """

    def __init__(self, trial: "optuna.trial.Trial", metric: str, run: RunFolder) -> None:
        self.trial = trial
        self.metric = metric
        self.run = run

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Report, after each epoch's validation.

        A trial that has come to its last epoch is not given up: nothing would be saved, and its test metrics lost.

        Raises:
            PrunedError: if the trial is given up.
        """
        if trainer.state.fn != TrainerFn.FITTING or self.metric not in trainer.callback_metrics:
            return
        epoch, value = trainer.current_epoch, float(trainer.callback_metrics[self.metric])
        if value != value:  # NaN says nothing
            return
        trained = epoch + 1  # pruners count in steps, which are epochs: the first one is one
        reported = self.trial.study.trials[self.trial.number].intermediate_values
        if trained not in reported:  # a trial that goes on may come to an epoch twice
            self.trial.report(value, step=trained)
        behind = self.trial.should_prune()  # asked after the last epoch, too: others are measured against it
        if behind and trained != trainer.max_epochs:
            callbacks: list[pl.Callback] = trainer.callbacks  # type: ignore[attr-defined]
            epochs = [row for one in callbacks if isinstance(one, History) for row in one.epochs]
            metrics = {name: float(one) for name, one in trainer.callback_metrics.items() if "validation/" in name}
            self.run.write_history([*epochs, {"epoch": epoch, **metrics}])
            raise PrunedError(
                f"given up after epoch {epoch}: {self.metric} was {value:.4f}, behind other trials of the search",
                {"name": self.metric, "mode": direction_of(self.metric), "value": value},
            )


def pruning_callbacks(settings: Settings, sweep: SweepFolder, trial: Trial) -> Sequence[pl.Callback]:
    """Return the callbacks that a search adds to those of a trial; none in other sweeps."""
    design = settings.design
    if not isinstance(design, OptunaSearch) or design.pruner["_target_"].endswith("NopPruner"):
        return ()
    from ecgfounder_ft.sweeps.search import running_trial  # imports Optuna

    asked = running_trial(sweep, trial, design.pruner)
    return () if asked is None else (PruneByValidation(asked, settings.optimized_metric, sweep.run(trial)),)
