"""A value stands in one place, the YAML: a default in a class would be a second one, and one day another."""

from dataclasses import MISSING, fields, is_dataclass
from typing import get_type_hints

import pytest

from ecgfounder_ft.data.augmentation import Augmentation
from ecgfounder_ft.data.sources.merged import Merged
from ecgfounder_ft.data.sources.mimic_iv_ecg import MimicIvEcgFolder
from ecgfounder_ft.data.sources.physionet2021 import Physionet2021Folder
from ecgfounder_ft.data.sources.source import data_sources
from ecgfounder_ft.data.split_settings import SplitSettings

SETTINGS = [*data_sources().values(), MimicIvEcgFolder, Physionet2021Folder, SplitSettings, Augmentation]


@pytest.mark.parametrize("settings", SETTINGS, ids=lambda settings: settings.__name__)
def test_a_class_of_settings_has_no_values(settings: type) -> None:
    with_default = [
        field.name for field in fields(settings) if field.default is not MISSING or field.default_factory is not MISSING
    ]
    assert not with_default
    assert len(fields(settings)) > 1


def test_settings_within_settings_are_looked_at_too() -> None:
    for settings in SETTINGS:
        nested = {hint for hint in get_type_hints(settings).values() if is_dataclass(hint)}
        assert nested <= set(SETTINGS), settings
    assert get_type_hints(Merged)["mimic_iv_ecg"] is MimicIvEcgFolder
