"""What a training cannot do without is looked for before anything is made."""

from pathlib import Path

import pytest
import torch

from ecgfounder_ft.config.compose import compose_settings
from ecgfounder_ft.errors import ExplainedError
from ecgfounder_ft.training.requirements import require_trainable

TWO = "path,NORM,AFIB\na.hea,1,0\nb.hea,0,1\n"


def refused(*overrides: str) -> str:
    with pytest.raises(ExplainedError) as error:
        require_trainable(compose_settings(["data=simulated", "model.weights=null", *overrides]))
    return str(error.value)


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_what_is_there_is_taken(tmp_path: Path) -> None:
    require_trainable(compose_settings(["experiment=demo"]))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["+trainer.max_epoch=1"], "takes no max_epoch. Did you mean max_epochs?"),
        (["+optimizer.x=1"], "optimizer.x: torch.optim.AdamW takes no x"),
        (["optimizer=sgd", "optimizer.momentum=0"], "optimizer: Nesterov momentum requires"),
        (["callbacks.early_stopping.monitor=val_loss"], "'val_loss' is no validation metric"),
        (["optimized_metric=validation/auroc/AFBI"], "no such condition; there are NORM"),
        (["monitor.mode=up"], "set monitor.mode=min"),
        (["wise_ft.floor=validation/auroc"], "'validation/auroc' is no validation metric"),
        (["model.weights=/nowhere.pth"], "no such file"),
        (["model=1lead", "model.weights=12_lead_ECGFounder"], "type model.weights=1_lead_ECGFounder"),
        (["trainer.precision=16-mixed", "trainer.accelerator=cpu"], "type trainer.precision=auto"),
        (["model.architecture._target_=nothing.Net"], "model.architecture._target_=nothing.Net: cannot be imported"),
        (["data=physionet2021", "data.root=/nowhere"], "there is no such folder"),
        (["data=merged"], "set data.mimic_iv_ecg.root"),
        (["data=table", "data.path=/nowhere.csv"], "no table /nowhere.csv"),
    ],
)
def test_what_is_missing_is_said(overrides: list[str], words: str, tmp_path: Path) -> None:
    assert words in refused(*overrides)
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_a_device_that_is_not_there() -> None:
    assert "torch finds no CUDA device here" in refused("trainer.accelerator=gpu")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (TWO.replace(",", ";"), "separated by semicolons, expected commas"),
        (TWO.replace(",", "\t"), "separated by tabs, expected commas"),
        (TWO, "no column for AFLT, 1dAVb, RBBB, LBBB.*type labels=mine"),
        ("path,NORM\n", "no row below the names of the columns"),
        ("", "cannot be read as a table"),
    ],
)
def test_a_table_that_cannot_be_meant(content: str, words: str, tmp_path: Path) -> None:
    import re

    file = tmp_path / "table.csv"
    file.write_text(content)
    assert re.search(words, refused("data=table", f"data.path={file}"))


def test_a_table_of_fewer_conditions_is_taken_where_none_is_asked_for(tmp_path: Path) -> None:
    file = tmp_path / "table.csv"
    file.write_text(TWO)
    require_trainable(compose_settings(["data=table", f"data.path={file}", "split.minimum=0", "model.weights=null"]))
