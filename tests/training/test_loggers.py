"""Where a run is followed: one logger or several, and the same run of theirs after a resume."""

import csv
import importlib.util
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from pytorch_lightning.loggers import WandbLogger

from ecgfounder_ft.config.compose import compose_settings
from ecgfounder_ft.runs.folder import RunFolder
from ecgfounder_ft.training.loggers import MissingLoggerError, opened_loggers, require_installed, tag_of
from tests.small_run import train

SHORT = ("trainer.max_epochs=1", "data.recordings_per_condition=12")


def test_tensorboard_opens_on_loss_and_metrics_with_learning_rates_behind() -> None:
    logged = ["epoch", "learning_rate/head", "train/loss", "train/loss_step", "train/macro_f1", "validation/loss"]
    logged += ["validation/macro_auroc", "validation/auroc/AFIB", "results/test/macro_auroc"]
    tags = sorted(map(tag_of, logged))
    groups = list(dict.fromkeys(tag.partition("/")[0] for tag in tags))
    assert groups == ["loss", "metrics", "metrics_by_condition", "optimizer", "results", "steps"]
    assert tags[:4] == ["loss/train", "loss/validation", "metrics/macro_auroc/validation", "metrics/macro_f1/train"]
    assert len(set(tags)) == len(logged)


@pytest.fixture(scope="module")
def followed_run(small_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with two loggers."""
    return train(tmp_path_factory.mktemp("followed") / "run", small_root, *SHORT, "logger=[tensorboard,csv]")


def test_several_loggers_at_once(followed_run: Path) -> None:
    assert list((followed_run / "tensorboard").glob("events.out.tfevents*"))
    rows = list(csv.DictReader((followed_run / "csv" / "version_0" / "metrics.csv").open()))
    history = next(csv.DictReader((followed_run / "training_history.csv").open()))

    def logged(name: str) -> list[float]:
        return [float(row[name]) for row in rows if row.get(name)]

    assert logged("validation/loss") == pytest.approx([float(history["validation/loss"])])  # no final pass in the curve
    assert logged("train/loss") == pytest.approx([float(history["train/loss"])])
    assert logged("learning_rate/head") == [3e-3]
    assert len(logged("results/test/macro_auroc")) == len(logged("results/validation/loss")) == 1
    parameters = yaml.safe_load((followed_run / "csv" / "version_0" / "hparams.yaml").read_text())
    assert parameters["optimizer"]["lr"] == 3e-3
    assert parameters["labels"] == "six_conditions"


def test_without_loggers_none_is_written(small_root: Path, tmp_path: Path) -> None:
    folder = train(tmp_path / "run", small_root, *SHORT, "logger=[]")
    assert not (folder / "tensorboard").exists()
    assert not (folder / "logger_runs.json").exists()


@pytest.mark.parametrize("name", ["wandb", "mlflow"])
def test_what_is_not_installed_is_refused_with_the_extra_to_install(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(MissingLoggerError, match=rf"logger={name} needs {name}: pip install .*\[{name}\]"):
        require_installed(compose_settings([f"logger=[csv,{name}]", "output_dir=x"]).loggers)
    require_installed(compose_settings(["logger=[csv,tensorboard]", "output_dir=x"]).loggers)


def test_weights_and_biases_offline_one_run_per_trial_and_the_same_after_a_resume(
    small_root: Path, tmp_path: Path
) -> None:
    wandb = pytest.importorskip("wandb", reason="the extra `wandb` is not installed")
    first, second = (RunFolder(tmp_path / name) for name in ("first", "second"))
    train(first.path, small_root, *SHORT, "logger=wandb", "logger.wandb.offline=true")
    assert wandb.run is None
    settings = replace(first.settings(), resume=first.path)
    with opened_loggers(settings, first) as [logger]:
        assert isinstance(logger, WandbLogger)
        assert logger.version == first.read_logger_runs()["wandb"]
        assert logger.experiment.name == f"{tmp_path.name}/first"
    second.create()
    loggers = {"wandb": {**settings.loggers["wandb"], "save_dir": str(second)}}
    with opened_loggers(replace(settings, resume=None, loggers=loggers), second):
        pass
    assert wandb.run is None
    found = {file.stem.removeprefix("run-") for file in tmp_path.rglob("*.wandb")}
    assert found == {first.read_logger_runs()["wandb"], second.read_logger_runs()["wandb"]}
    assert len(found) == 2


def test_mlflow_in_a_local_store_of_files_and_the_same_run_after_a_resume(
    small_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mlflow = pytest.importorskip("mlflow", reason="the extra `mlflow` is not installed")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")  # newer versions ask for it
    store = f"file:{tmp_path / 'store'}"
    settings = ("logger=mlflow", f"logger.mlflow.tracking_uri={store}", "evaluation.report=true")
    run = RunFolder(train(tmp_path / "run", small_root, *SHORT, *settings))
    identity = run.read_logger_runs()["mlflow"]
    client = mlflow.MlflowClient(store)
    found = client.get_run(identity)
    assert (found.info.run_name, found.info.status) == (f"{tmp_path.name}/run", "FINISHED")
    wanted = {"train/loss", "validation/macro_auroc", "learning_rate/head", "results/test/macro_auroc"}
    assert wanted <= set(found.data.metrics)
    assert len(client.get_metric_history(identity, "validation/macro_auroc")) == 1  # no final pass in the curve
    assert found.data.params["optimizer/lr"] == "0.003"
    assert "results/confusion_matrix.png" in [file.path for file in client.list_artifacts(identity, "results")]
    content = {**run.settings().content, "seed": 9}  # MLflow would refuse a second value of it
    with opened_loggers(replace(run.settings(), resume=run.path, content=content), run) as [logger]:
        assert logger.version == identity == run.read_logger_runs()["mlflow"]


@pytest.mark.slow
def test_mlflow_in_a_local_database_where_nothing_else_is_named(
    small_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("mlflow", reason="the extra `mlflow` is not installed")
    pytest.importorskip("sqlalchemy", reason="a small MLflow without databases is installed")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    run = RunFolder(train(tmp_path / "run", small_root, *SHORT, "logger=mlflow"))
    with sqlite3.connect(tmp_path / "mlflow.db") as database:
        [(identity, status)] = database.execute("select run_uuid, status from runs").fetchall()
    assert (identity, status) == (run.read_logger_runs()["mlflow"], "FINISHED")
