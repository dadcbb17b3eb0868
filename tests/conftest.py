"""Fixtures for the whole suite."""

from pathlib import Path

import pytest

from ecgfounder_ft.labels import LabelMap

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real recordings and reference numbers that developers keep beside the repository."""
    folder = REPOSITORY.parent / "shared"
    if not (folder / "ecg" / "INDEX.csv").is_file():
        pytest.skip("the folder of real recordings is not beside this checkout")
    return folder


@pytest.fixture(scope="session")
def label_map() -> LabelMap:
    """The label map that ships with the project."""
    import yaml

    content = yaml.safe_load((REPOSITORY / "configs" / "labels" / "six_conditions.yaml").read_text())
    content.pop("defaults")
    return LabelMap.from_dict(content)
