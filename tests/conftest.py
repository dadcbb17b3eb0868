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
def simulated_folders(tmp_path_factory: pytest.TempPathFactory, label_map: LabelMap) -> tuple[Path, Path]:
    """Simulated recordings in the folders of both datasets: 16 a condition."""
    from ecgfounder_ft.data.sources.simulated import write_selected_folders

    return write_selected_folders(tmp_path_factory.mktemp("simulated"), label_map, 16, seed=1)


@pytest.fixture(scope="session")
def run_overrides(simulated_folders: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Overrides that make a run small: simulated recordings, a slim network, one epoch, one process."""
    mimic, physionet = simulated_folders
    store = tmp_path_factory.mktemp("store")
    return [
        f"data.mimic_path='{mimic}'",
        f"data.physionet_path='{physionet}'",
        f"data.store='{store}'",
        "data.workers=1",
        "model.weights=null",
        "model/architecture=slim",
        "trainer.max_epochs=1",
        "trainer.enable_progress_bar=false",
        "trainer.accelerator=cpu",
        "evaluation.resamples=50",
        "~callbacks.progress_bar",
    ]


@pytest.fixture(scope="session")
def finished_run(run_overrides: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished run; read only."""
    from ecgfounder_ft.config.compose import compose_config
    from ecgfounder_ft.training.experiment import run_experiment

    folder = tmp_path_factory.mktemp("run")
    config = compose_config(run_overrides)
    config.output_dir = str(folder)
    run_experiment(config)  # type: ignore[arg-type]
    return folder
