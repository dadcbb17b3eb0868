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
from ecgfounder_ft.evaluation.run_evaluation import RunEvaluation, evaluate_predictions
from ecgfounder_ft.evaluation.subgroups import SubgroupEvaluation
from ecgfounder_ft.inference.finished_model import FinishedModel, load_model
from ecgfounder_ft.report.characteristics import characteristics
from ecgfounder_ft.report.facts import RunFacts
from ecgfounder_ft.runs.facts import best_epoch, compared, facts_of, states_of, with_those_learnt_from
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
        result, model = evaluated
        given = run.read_data_counts() | (counts or {})
        label_map = model.card.label_map
        described = characteristics(
            table, states_of(table, label_map), label_map.codes, ("train", "validation", result.side)
        )
        return facts_of(run, result, model, table, described, given, source, {"flat": 2}, elsewhere=elsewhere, cases=3)

    return build


def test_the_record_of_a_run_is_what_it_did(facts: Facts, evaluated: tuple[RunEvaluation, FinishedModel]) -> None:
    found = facts()
    assert (found.network, found.weights, found.strategy, found.seed) == ("Net1D", "", "full", 42)
    assert found.title.startswith("Net1D (12 leads, from a random start), trained (full) on simulated")
    assert found.title.endswith("seed 42")
    assert (found.epochs, found.best_epoch, found.monitor) == (1, 1, "validation/loss")
    assert found.loss == "cross entropy"
    assert (found.exclusive, found.thresholds, found.calibration) == (True, "", evaluated[0].calibration.method)
    assert found.sides["train"].recordings > found.sides["test"].recordings > 0
    assert found.calibrated_on == found.sides["validation"].recordings
    assert found.split.startswith("patients were dealt to the sides at random, stratified over conditions and sources")
    assert "70% / 15% / 15%; a known patient stands on one side" in found.split
    assert (found.external, found.elsewhere, found.natural_prevalence) == ("", False, False)
    assert (found.skipped, found.cases, found.capped) == ({"flat": 2}, 3, {})
    assert "z-scored" in found.preprocessing
    assert facts(source="physionet2021").natural_prevalence


def test_caps_are_summed_by_side_and_imbalance_comes_from_the_configuration(facts: Facts) -> None:
    rows = [
        {"side": "train", "source": "georgia", "cap": "data.max_samples", "recordings": 300, "conditions": {}},
        {"side": "train", "source": "ptb", "cap": "data.max_samples", "recordings": 20, "conditions": {}},
        {"side": "test", "source": "ptb", "cap": "data.max_evaluation_recordings", "recordings": 5, "conditions": {}},
    ]
    found = facts({"data": {"imbalance": "pos_weight"}}, {"left out by a cap": rows, "left out": {"paced": 4}})
    assert found.capped == {"train": 320, "test": 5}
    assert (found.imbalance, found.left_out) == ("pos_weight", {"paced": 4})
    assert facts(counts={"left out by a cap": rows}, elsewhere=True).capped == {
        "train elsewhere": 320,
        "test elsewhere": 5,
    }


def test_a_source_that_chance_left_out_of_training_is_no_external_validation(facts: Facts) -> None:
    def moved(table: pd.DataFrame) -> pd.DataFrame:
        return table.assign(dataset=np.where(table["split"] == "test", "far", "near"), constituent="")

    assert facts(change=moved).external == ""
    assert facts({"split": {"kind": "leave_one_source_out", "held_out": "far"}}, change=moved).external == (
        "far not trained on"
    )


def test_unknown_patients_and_exclusions_are_counted(facts: Facts) -> None:
    def spoilt(table: pd.DataFrame) -> pd.DataFrame:
        table = table.assign(patient_known=table["split"] != "test")
        table.loc[table.index[:2], ["split", "exclusion"]] = ["excluded", "signal on another side"]
        return table

    found = facts(change=spoilt)
    assert found.patient_unknown == found.sides["test"].recordings
    assert found.sides["train"].patient_unknown == 0
    assert found.excluded == {"signal on another side": 2}


def test_another_set_stands_beside_what_the_run_learnt_from(finished_run: Path) -> None:
    run = RunFolder(finished_run)
    own = run.read_splits()
    assert with_those_learnt_from(own, run) is own
    other = own[own["split"] == "test"].assign(dataset="elsewhere")
    both = with_those_learnt_from(other, run)
    assert (both["split"] == "train").sum() == (own["split"] == "train").sum()
    assert set(both.loc[both["split"] == "test", "dataset"]) == {"elsewhere"}


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
