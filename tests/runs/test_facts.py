"""What a run did is read from its files, and from nothing that merely looks like it."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from ecgfounder_ft.evaluation.evaluate import evaluate
from ecgfounder_ft.evaluation.recordings_to_inspect import CONFIDENT_ERROR, Case
from ecgfounder_ft.evaluation.run_evaluation import RunEvaluation, evaluate_predictions
from ecgfounder_ft.evaluation.subgroups import SubgroupEvaluation
from ecgfounder_ft.inference.finished_model import FinishedModel, load_model
from ecgfounder_ft.report.run_facts import RunFacts
from ecgfounder_ft.runs.facts import Evaluated, best_epoch, compared, evaluation_facts, facts_of
from ecgfounder_ft.runs.folder import RunFolder
from ecgfounder_ft.runs.report import settings_of
from ecgfounder_ft.task import MULTI_LABEL
from tests.settings import evaluation_settings

Facts = Callable[..., RunFacts]


@pytest.fixture(scope="module")
def evaluated(finished_run: Path) -> tuple[RunEvaluation, FinishedModel]:
    run = RunFolder(finished_run)
    return evaluate_predictions(run.predictions(), evaluation_settings(resamples=20)), load_model(run.model_file)


@pytest.fixture
def facts(finished_run: Path, tmp_path: Path, evaluated: tuple[RunEvaluation, FinishedModel]) -> Facts:
    """The record of the finished run with its configuration, counts or recordings changed."""

    def build(
        config: dict[str, Any] | None = None,
        counts: dict[str, Any] | None = None,
        change: Callable[[pd.DataFrame], pd.DataFrame] = lambda table: table,
        source: str = "simulated",
        elsewhere: bool = False,
    ) -> RunFacts:
        folder = tmp_path / f"run{len(list(tmp_path.iterdir()))}"
        shutil.copytree(finished_run, folder, ignore=shutil.ignore_patterns("*.pth", "checkpoints", "*.png"))
        run = RunFolder(folder)
        content = run.plain_configuration()
        for group, values in (config or {}).items():
            content[group] |= values
        (folder / "config.yaml").write_text(yaml.safe_dump(content))
        table = change(run.read_splits())
        _, model = evaluated
        given = run.read_data_counts() | (counts or {})
        skipped = pd.DataFrame({"reason": ["flat", "flat"]})
        return facts_of(run, model, Evaluated(table, given, skipped, source, elsewhere=elsewhere))

    return build


def test_the_record_of_a_run_is_what_it_did(facts: Facts, evaluated: tuple[RunEvaluation, FinishedModel]) -> None:
    found = facts()
    model, data, training = found.model, found.data, found.training
    assert (model.network, model.weights, training.strategy, training.seed) == ("Net1D", "", "full", 42)
    assert found.title.startswith("Net1D (12 leads, from a random start), trained (full) on simulated")
    assert found.title.endswith("seed 42")
    assert (training.epochs, training.best_epoch, training.monitor) == (1, 1, "validation/loss")
    assert training.loss == "cross entropy"
    assert model.exclusive
    assert data.sides["train"].recordings > data.sides["test"].recordings > 0
    assert found.calibrated_on == data.sides["validation"].recordings
    assert data.split.startswith("patients were dealt to the sides at random, stratified over conditions and sources")
    assert "70% / 15% / 15%; a known patient stands on one side" in data.split
    assert (data.external, data.elsewhere, data.natural_prevalence) == ("", False, False)
    assert (data.skipped, data.capped) == ({"flat": 2}, {})
    assert data.flow["test"][-1].recordings == data.sides["test"].recordings
    assert "z-scored" in model.preprocessing
    assert facts(source="physionet2021").data.natural_prevalence
    counted = evaluation_facts(evaluated[0], [Case(0, CONFIDENT_ERROR, "NORM", "")] * 3)
    assert (counted.thresholds, counted.calibration) == ("", evaluated[0].calibration.method)
    assert (counted.errors, counted.uncertain) == (3, 0)


def test_caps_are_summed_by_side_and_imbalance_comes_from_the_configuration(facts: Facts) -> None:
    rows = [
        {"side": "train", "source": "georgia", "cap": "data.max_samples", "recordings": 300, "conditions": {}},
        {"side": "train", "source": "ptb", "cap": "data.max_samples", "recordings": 20, "conditions": {}},
        {"side": "test", "source": "ptb", "cap": "data.max_evaluation_recordings", "recordings": 5, "conditions": {}},
    ]
    found = facts({"data": {"imbalance": "pos_weight"}}, {"left out by a cap": rows, "left out": {"paced": 4}})
    assert found.data.capped == {"train": 320, "test": 5}
    assert (found.training.imbalance, found.data.left_out) == ("pos_weight", {"paced": 4})
    assert facts(counts={"left out by a cap": rows}, elsewhere=True).data.capped == {
        "train elsewhere": 320,
        "test elsewhere": 5,
    }


def test_a_source_that_chance_left_out_of_training_is_no_external_validation(facts: Facts) -> None:
    def moved(table: pd.DataFrame) -> pd.DataFrame:
        return table.assign(dataset=np.where(table["split"] == "test", "far", "near"), constituent="")

    assert facts(change=moved).data.external == ""
    assert facts({"split": {"kind": "leave_one_source_out", "held_out": "far"}}, change=moved).data.external == (
        "far not trained on"
    )


def test_unknown_patients_and_exclusions_are_counted(facts: Facts) -> None:
    def spoilt(table: pd.DataFrame) -> pd.DataFrame:
        table = table.assign(patient_known=table["split"] != "test")
        table.loc[table.index[:2], ["split", "exclusion"]] = ["excluded", "signal on another side"]
        return table

    found = facts(change=spoilt)
    assert found.data.patient_unknown == found.data.sides["test"].recordings
    assert found.data.sides["train"].patient_unknown == 0
    assert found.data.excluded == {"signal on another side": 2}


def test_another_set_stands_beside_what_the_run_learnt_from(facts: Facts) -> None:
    def other(table: pd.DataFrame) -> pd.DataFrame:
        return table[table["split"] == "test"].assign(dataset="elsewhere", constituent="")

    own, both = facts().data, facts(change=other, elsewhere=True).data
    assert both.sides["train"].recordings == own.sides["train"].recordings
    assert both.evaluated_datasets == ("elsewhere",)
    assert list(both.flow) == ["test"]


def test_a_run_from_before_a_setting_can_still_be_evaluated(finished_run: Path, tmp_path: Path) -> None:
    content = RunFolder(finished_run).plain_configuration()
    del content["evaluation"]["baselines"]
    content["evaluation"]["resamples"] = 7
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(content))
    found = settings_of(RunFolder(tmp_path))
    assert (found.baselines, found.resamples) == (evaluation_settings().baselines, 7)
    assert settings_of(RunFolder(tmp_path), {"baselines": False}).baselines is False


def test_the_best_epoch_goes_by_the_monitor() -> None:
    history = [{"loss": 0.5, "auroc": 0.7}, {"loss": 0.4, "auroc": 0.9}, {"loss": 0.4, "auroc": float("nan")}]
    assert best_epoch(history, "loss", "min") == 2
    assert best_epoch(history, "auroc", "max") == 2
    assert best_epoch(history, "f1", "max") is None
    assert best_epoch([], "loss", "min") is None


def test_groups_are_compared_only_where_two_stated_ones_have_an_auroc() -> None:
    def group(attribute: str, value: str, positives: int) -> SubgroupEvaluation:
        targets = np.zeros((40, 1), dtype=np.int8)
        targets[:positives] = 1
        result = evaluate(targets, np.linspace(0, 1, 40)[:, None], np.arange(40), ("A",), task=MULTI_LABEL, resamples=0)
        return SubgroupEvaluation(attribute, value, 40, 40, result)

    groups = [
        group("sex", "female", 10), group("sex", "not stated", 10),
        group("source", "x", 10), group("source", "y", 10), group("source", "z", 2),
        SubgroupEvaluation("age", "under 18", 1, 1, None, "too few"), group("age", "18 to 39", 10),
    ]  # fmt: skip
    assert compared(groups) == {"source": 2}
