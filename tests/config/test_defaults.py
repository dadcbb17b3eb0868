"""A value stands in one place, the YAML: a default in a class would be a second one, and one day another."""

from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from typing import get_type_hints

import pytest
import yaml

from ecgfounder_ft import finetune, losses, schedules
from ecgfounder_ft.data.augmentation import Augmentation
from ecgfounder_ft.data.sources.merged import Merged
from ecgfounder_ft.data.sources.mimic_iv_ecg import MimicIvEcgFolder
from ecgfounder_ft.data.sources.physionet2021 import Physionet2021Folder
from ecgfounder_ft.data.sources.ptbxl import PtbxlFolder
from ecgfounder_ft.data.sources.source import data_sources
from ecgfounder_ft.data.split_settings import SplitSettings
from ecgfounder_ft.discovery import classes_in
from ecgfounder_ft.ecg.preprocessing_settings import PreprocessingSettings
from ecgfounder_ft.evaluation.settings import EvaluationSettings
from ecgfounder_ft.finetune.strategy import Strategy
from ecgfounder_ft.losses.loss import Loss
from ecgfounder_ft.schedules.schedule import Schedule

SETTINGS = [
    *data_sources().values(),
    MimicIvEcgFolder,
    Physionet2021Folder,
    PtbxlFolder,
    SplitSettings,
    Augmentation,
    EvaluationSettings,
    *classes_in(finetune, Strategy).values(),  # type: ignore[type-abstract]
    *classes_in(losses, Loss).values(),  # type: ignore[type-abstract]
    *classes_in(schedules, Schedule).values(),  # type: ignore[type-abstract]
]


@pytest.mark.parametrize("settings", SETTINGS, ids=lambda settings: settings.__name__)
def test_a_class_of_settings_has_no_values(settings: type) -> None:
    with_default = [
        field.name for field in fields(settings) if field.default is not MISSING or field.default_factory is not MISSING
    ]
    assert not with_default


def test_every_kind_of_settings_is_looked_at() -> None:
    assert {"Selected", "SplitSettings", "LoRA", "LPFT", "Asymmetric", "Cosine"} <= {one.__name__ for one in SETTINGS}


def test_settings_within_settings_are_looked_at_too() -> None:
    for settings in SETTINGS:
        nested = {hint for hint in get_type_hints(settings).values() if is_dataclass(hint)}
        assert nested <= set(SETTINGS), settings
    assert get_type_hints(Merged)["mimic_iv_ecg"] is MimicIvEcgFolder


def test_the_preprocessing_of_the_pretraining_is_that_of_its_file() -> None:
    """It has values of its own, being ECGFounder's; those of the file are the same."""
    content = yaml.safe_load((Path(__file__).parents[2] / "configs/preprocessing/ecgfounder.yaml").read_text())
    own = PreprocessingSettings()
    shipped = {key: value for key, value in content.items() if key not in ("defaults", "leads")}
    assert PreprocessingSettings.from_dict({**shipped, "leads": own.leads}) == own
