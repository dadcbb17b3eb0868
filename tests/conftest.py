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


@pytest.fixture(scope="session")
def small_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the recordings and the signal store of small runs lie; made by the first of them, shared by all."""
    return tmp_path_factory.mktemp("small")


@pytest.fixture(scope="session")
def simulated_folders(small_root: Path, label_map: LabelMap) -> tuple[Path, Path]:
    """The simulated recordings of small runs, in the folders of both datasets: 12 per condition."""
    from ecgfounder_ft.data.sources.simulated import write_selected_folders

    return write_selected_folders(small_root / "simulated", label_map, 12, seed=0)


@pytest.fixture(scope="session")
def finished_run(
    small_root: Path, simulated_folders: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The folder of a finished run with its report; read only."""
    from tests.small_run import train

    folder = tmp_path_factory.mktemp("run")
    report = ("evaluation.report=true", "evaluation.resamples=50")
    return train(folder, small_root, "trainer.max_epochs=1", *report)
