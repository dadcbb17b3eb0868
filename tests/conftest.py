"""Fixtures for the whole suite."""

import gc
import os
from pathlib import Path

import pytest
from filelock import FileLock

from ecgfounder_ft.labels import LabelMap

REPOSITORY = Path(__file__).resolve().parents[1]
LONG_FIRST = (
    "training/test_resume.py",
    "training/test_experiment.py",
    "docs/test_site.py",
    "sweeps/test_continue.py",
    "test_train_command.py",
    "runs/test_evaluate_command.py",
    "test_benchmarks.py",
    "config/test_preflight.py",
    "model/test_documented_example.py",
    "inference/test_exported_model.py",
    "training/test_interruption.py",
    "training/test_settle.py",
    "training/test_random_encoder.py",
    "report/test_page.py",
    "inference/test_bad_model_files.py",
    "evaluation/test_intervals.py",
    "test_cli.py",
    "test_installed.py",
)
"""Files of more than ten seconds, the longest first: one that began last would leave the other processes idle."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the long files first."""
    places = {REPOSITORY / "tests" / name: place for place, name in enumerate(LONG_FIRST)}
    for path in places:
        if not path.is_file():
            raise pytest.UsageError(f"LONG_FIRST in tests/conftest.py names {path}, which is not there: take it out")
    items.sort(key=lambda item: places.get(item.path, len(places)))


def pytest_collection_finish() -> None:
    """Have Python look for rubbish less often, and not in what was imported: a tenth of the time of all tests."""
    gc.freeze()
    gc.set_threshold(100_000)


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
def shared_by_workers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all processes of this test run share, whether there are several or one."""
    base = tmp_path_factory.getbasetemp()
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


@pytest.fixture(scope="session")
def small_root(shared_by_workers: Path, label_map: LabelMap) -> Path:
    """Where the recordings and the signal store of small runs lie; simulated and preprocessed once."""
    from ecgfounder_ft.data.sources.simulated import write_selected_folders

    root = shared_by_workers / "small"
    root.mkdir(exist_ok=True)
    with FileLock(root / "lock"):
        write_selected_folders(root / "simulated", label_map, 12, seed=0)
    return root


@pytest.fixture(scope="session")
def simulated_folders(small_root: Path) -> tuple[Path, Path]:
    """The simulated recordings of small runs, in the folders of both datasets: 12 per condition."""
    simulated = small_root / "simulated"
    return simulated / "MIMIC IV Selected", simulated / "Physionet 2021 Selected"


@pytest.fixture(scope="session")
def finished_run(small_root: Path) -> Path:
    """The folder of a finished run with its report; read only."""
    from tests.small_run import train

    folder = small_root / "finished-run"
    with FileLock(small_root / "finished-run.lock"):
        if not (folder / "report.html").exists():
            subgroups = "evaluation.by=[source,constituent,sex,age,condition,signal]"
            report = ("evaluation.report=true", "evaluation.resamples=50", subgroups)
            train(folder, small_root, "trainer.max_epochs=1", *report)
    return folder


@pytest.fixture(scope="session")
def exported_run(small_root: Path, finished_run: Path) -> Path:
    """The finished run as an exported model; read only."""
    from ecgfounder_ft.runs.export import export_run
    from ecgfounder_ft.runs.folder import RunFolder

    folder = small_root / "exported-run"
    with FileLock(small_root / "exported-run.lock"):
        if not folder.exists():
            export_run(RunFolder(finished_run), folder)
    return folder
