"""A search goes on from its journal, and several processes search together."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import optuna
import pytest
import torch
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from pytorch_lightning.trainer.states import TrainerFn

from ecgfounder_ft.designs.design import DesignError
from ecgfounder_ft.runs.folder import RunFolder
from ecgfounder_ft.runs.status import PrunedError
from ecgfounder_ft.sweeps.folder import SweepFolder
from ecgfounder_ft.sweeps.layout import parse
from ecgfounder_ft.sweeps.pruning import PruneByValidation
from ecgfounder_ft.sweeps.search import importances_of, journal, space_of
from tests.sweep_runs import SweepProcess, table_of

SEARCH = (
    "sweep=optuna",
    "sweep/pruner=none",
    "optimized_metric=validation/loss",
    "optimizer.lr=tag(log,interval(1e-5,1e-1))",
    "data.batch_size=16,32",
)


def search(folder: Path, trials: int, kill_after: int = 0, together: int = 0) -> SweepProcess:
    return SweepProcess(folder, [*SEARCH, f"sweep.n_trials={trials}"], kill_after, trained=False, together=together)


def processes_of(folder: Path) -> dict[str, list[str]]:
    """Trial to the processes that have run it."""
    return {file.parent.name: file.read_text().split() for file in (folder / "sweep").glob("*/processes.txt")}


def test_a_search_that_was_killed_goes_on_from_its_file(tmp_path: Path) -> None:
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    uninterrupted = search(whole, 3)
    assert search(stopped, 2, kill_after=2).wait() == -9
    assert search(stopped, 3).wait() == 0
    assert uninterrupted.wait() == 0
    rows = table_of(stopped)
    assert rows == table_of(whole)
    again = {trial: len(found) for trial, found in processes_of(stopped).items()}
    assert again == {"0": 1, "1": 2, "2": 1}, "the second was killed, and no other is run again"
    losses = [float(row["validation/loss"]) for row in rows]
    assert losses == sorted(losses), "the smallest loss is the best"


@pytest.mark.slow
def test_two_processes_search_at_once(tmp_path: Path) -> None:
    both = [search(tmp_path, 4, together=2) for _ in range(2)]
    assert [process.wait() for process in both] == [0, 0], both[0].printed() + both[1].printed()
    ran = processes_of(tmp_path)
    assert sorted(ran) == ["0", "1", "2", "3"]
    assert all(len(found) == 1 for found in ran.values()), "no trial is run twice"
    assert len({found[0] for found in ran.values()}) == 2, "both processes ran some"
    assert len(table_of(tmp_path)) == 4


def space(*typed: str) -> dict[str, BaseDistribution]:
    return space_of(parse(typed, None))


def test_what_is_searched_is_typed_in_hydras_grammar() -> None:
    found = space(
        "finetune=full,lp_ft",
        "optimizer.lr=tag(log,interval(1e-5,1e-2))",
        "trainer.max_epochs=int(interval(5,50))",
        "data.batch_size=range(16,65,16)",
        "sweep.n_trials=5",
        "seed=3",
    )
    assert found == {
        "finetune": CategoricalDistribution(["full", "lp_ft"]),
        "data.batch_size": IntDistribution(16, 64, step=16),
        "optimizer.lr": FloatDistribution(1e-5, 1e-2, log=True),
        "trainer.max_epochs": IntDistribution(5, 50),
    }


@pytest.mark.parametrize("typed", ["seed=3", "optimizer.lr=interval(1e-2,1e-5)", "optimizer.lr=tag(log,interval(0,1))"])
def test_what_cannot_be_searched_is_refused(typed: str) -> None:
    with pytest.raises(DesignError, match=r"nothing to search|no range"):
        space(typed)


def test_a_line_that_was_cut_off_is_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = SweepFolder(tmp_path)
    study = optuna.create_study(storage=journal(folder), study_name="one")
    study.tell(study.ask(), 0.5)
    with folder.journal_file.open("ab") as stream:
        stream.write(b'{"op_code": 4, "wor')
    again = optuna.load_study(study_name="one", storage=journal(folder))
    again.tell(again.ask(), 0.25)
    assert "middle of a line" in caplog.text
    assert [trial.value for trial in optuna.load_study(study_name="one", storage=journal(folder)).trials] == [0.5, 0.25]


@pytest.mark.parametrize(
    ("loss", "warm_up", "epochs", "pruned"),
    [
        pytest.param(0.5, 0, 9, True, id="behind"),
        pytest.param(0.05, 0, 9, False, id="ahead"),
        pytest.param(0.5, 4, 9, True, id="after as many epochs as it cannot be given up before"),
        pytest.param(0.5, 5, 9, False, id="too early"),
        pytest.param(0.5, 0, 4, False, id="in its last epoch"),
    ],
)
def test_a_trial_behind_the_others_is_given_up(
    loss: float, warm_up: int, epochs: int, pruned: bool, tmp_path: Path
) -> None:
    """The loss is minimised: of the trial that ended it was 0.1 in the same epoch, the fourth."""
    pruner = optuna.pruners.MedianPruner(n_startup_trials=1, n_warmup_steps=warm_up)
    study = optuna.create_study(storage=journal(SweepFolder(tmp_path)), direction="minimize", pruner=pruner)
    earlier = study.ask()
    earlier.report(0.1, step=4)
    study.tell(earlier, 0.1)
    run = RunFolder(tmp_path)
    callback = PruneByValidation(study.ask(), "validation/loss", run)
    metrics = {"validation/loss": torch.tensor(loss), "train/loss": torch.tensor(1.0)}
    state = SimpleNamespace(fn=TrainerFn.FITTING)
    trainer: Any = SimpleNamespace(
        state=state, callback_metrics=metrics, current_epoch=3, max_epochs=epochs, callbacks=[]
    )
    if not pruned:
        callback.on_validation_end(trainer, None)  # type: ignore[arg-type]
        return
    with pytest.raises(PrunedError, match="given up after epoch 3") as given_up:
        callback.on_validation_end(trainer, None)  # type: ignore[arg-type]
    assert given_up.value.metric == {"name": "validation/loss", "mode": "min", "value": pytest.approx(0.5)}
    assert run.read_history() == [{"epoch": 3, "validation/loss": 0.5}]


@pytest.mark.parametrize("trials", [19, 20])
def test_importances_take_twenty_trials(tmp_path: Path, trials: int) -> None:
    folder = SweepFolder(tmp_path)
    study = optuna.create_study(storage=journal(folder))
    distributions: dict[str, BaseDistribution] = {name: FloatDistribution(0, 1) for name in "ab"}
    for number in range(trials):
        values = {"a": number / trials, "b": number * 7 % trials / trials}
        study.add_trial(optuna.trial.create_trial(params=values, distributions=distributions, value=values["a"]))
    found, why = importances_of(folder)
    if trials < 20:
        assert not found
        assert why == (
            "Importances of the parameters take 20 finished trials, and there are 19: of fewer they are mostly chance."
        )
    else:
        assert found["a"] > found["b"]
        assert not why
