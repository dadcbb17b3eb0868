"""The wheel, installed in an environment that does not see the repository, and used from an empty folder."""

import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pandas as pd
import pytest

from ecgfounder_ft import __version__
from ecgfounder_ft.model.pretrained import shipped_names
from ecgfounder_ft.train import help_text

ROOT = Path(__file__).resolve().parents[1]
RECORDINGS = 12
"""A condition, in both datasets together."""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built with the running environment's hatchling: nothing is downloaded."""
    folder = tmp_path_factory.mktemp("wheel")
    _run([sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)], ROOT)
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def binaries(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of programs of a fresh environment with the wheel and the running environment's other packages.

    Those come by a ``.pth`` file that names their folder. The ``.pth`` files in that folder, an editable install of the
    repository among them, are not read.
    """
    environment = tmp_path_factory.mktemp("environment")
    venv.create(environment, symlinks=os.name == "posix")
    binaries = environment / ("Scripts" if os.name == "nt" else "bin")
    python = str(binaries / "python")
    install = ["install", "--quiet", "--no-deps", "--no-index", str(wheel)]
    _run([sys.executable, "-m", "pip", "--python", python, *install], environment)
    asked = [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
    packages = Path(_run(asked, environment).stdout.strip())
    others = dict.fromkeys(sysconfig.get_path(kind) for kind in ("purelib", "platlib"))
    (packages / "others.pth").write_text("\n".join(others))
    return binaries


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The user's folder, empty at first."""
    return tmp_path_factory.mktemp("anywhere")


@pytest.fixture(scope="module")
def simulated(binaries: Path, folder: Path) -> Path:
    """The folder of simulated recordings."""
    _run([binaries / "ecgfounder-ft", "simulate", "simulated", "--recordings", str(RECORDINGS)], folder)
    return folder / "simulated"


@pytest.fixture(scope="module")
def run_folder(binaries: Path, folder: Path, simulated: Path) -> Path:
    """The folder of a run that the console command trained."""
    settings = [
        "data=simulated",
        f"data.root={simulated.name}",
        f"data.recordings_per_condition={RECORDINGS}",
        "data.workers=1",
        "model/architecture=slim",
        "model.architecture.filter_list=[16,16,32]",
        "model.architecture.m_blocks=[1,1,1]",
        "model.weights=null",
        "preprocessing.window.seconds=4.0",
        "trainer.max_epochs=1",
        "trainer.accelerator=cpu",
        "trainer.enable_progress_bar=false",
        "evaluation.resamples=20",
        "evaluation.attribution=false",
        "evaluation.cases=false",
        "hydra.run.dir=run",
    ]
    _run([binaries / "ecgfounder-ft", "train", *settings], folder)
    return folder / "run"


def _run(command: list[str | Path], cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run without the variables that would show the repository to Python."""
    hidden = {"PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV"}
    environment = {name: value for name, value in os.environ.items() if name not in hidden}
    settings = {"PYTHONNOUSERSITE": "1", "OMP_NUM_THREADS": "1"}
    found = subprocess.run(
        list(map(str, command)),
        cwd=cwd,
        env=environment | settings,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert found.returncode == 0, found.stdout + found.stderr
    return found


def test_the_wheel_holds_every_configuration_template_and_demo_model(wheel: Path) -> None:
    held = set(zipfile.ZipFile(wheel).namelist())
    configurations = {path.relative_to(ROOT) for path in (ROOT / "configs").rglob("*") if path.is_file()}
    assert {f"ecgfounder_ft/{path.as_posix()}" for path in configurations} <= held
    source = ROOT / "src" / "ecgfounder_ft"
    files = [path for path in source.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    assert {f"ecgfounder_ft/{path.relative_to(source).as_posix()}" for path in files} <= held
    shipped = {"demo_models.md", *(f"{name}.pth" for name in shipped_names())}
    assert {name for name in held if "/checkpoint/" in name} == {f"ecgfounder_ft/checkpoint/{name}" for name in shipped}
    own = {"ecgfounder_ft", "hydra_plugins", f"ecgfounder_ft-{__version__}.dist-info"}
    assert {name.partition("/")[0] for name in held} == own
    plugins = {f"hydra_plugins/{path.name}" for path in (ROOT / "src" / "hydra_plugins").glob("*.py")}
    assert {name for name in held if name.startswith("hydra_plugins/")} == plugins
    assert "hydra_plugins/__init__.py" not in held  # it would hide the plugins of other packages


def test_the_package_in_use_is_the_installed_one(binaries: Path, folder: Path) -> None:
    program = "import ecgfounder_ft, sys; print(ecgfounder_ft.__file__); print(*sys.path, sep='\\n')"
    file, *path = _run([binaries / "python", "-c", program], folder).stdout.splitlines()
    assert Path(file).is_relative_to(binaries.parent)
    assert not [entry for entry in path if entry in (str(ROOT), str(ROOT / "src"))]


def test_the_console_command_knows_its_version(binaries: Path, folder: Path) -> None:
    found = _run([binaries / "ecgfounder-ft", "--version"], folder)
    assert found.stdout.strip() == __version__


@pytest.mark.parametrize("command", [["ecgfounder-ft", "train"], ["python", "-m", "ecgfounder_ft", "train"]])
def test_the_help_is_that_of_training(command: list[str], binaries: Path, folder: Path) -> None:
    found = _run([binaries / command[0], *command[1:], "--help"], folder)
    assert found.stdout.strip() == help_text().strip()


@pytest.mark.slow
def test_it_trains_and_writes_where_it_was_started(run_folder: Path, folder: Path) -> None:
    for name in ("metrics.json", "report.html", "model.pth", "predictions.csv", "train.log", ".hydra/config.yaml"):
        assert (run_folder / name).is_file(), name
    assert {path.name for path in folder.iterdir()} <= {"run", "simulated", "outputs", "catalogs", "predictions.csv"}


@pytest.mark.slow
def test_a_run_goes_on(binaries: Path, run_folder: Path, folder: Path) -> None:
    _run([binaries / "ecgfounder-ft", "train", "resume=run", "trainer.max_epochs=2"], folder)
    history = pd.read_csv(run_folder / "training_history.csv")
    assert history["epoch"].nunique() == 2


def test_it_catalogs(binaries: Path, simulated: Path, folder: Path) -> None:
    physionet = simulated / "Physionet 2021 Selected"
    _run([binaries / "ecgfounder-ft", "catalog", "physionet2021", physionet, "--output", "catalogs"], folder)
    assert len(pd.read_parquet(folder / "catalogs" / "physionet2021.parquet")) == len(list(physionet.rglob("*.hea")))


@pytest.mark.slow
def test_it_predicts(binaries: Path, run_folder: Path, simulated: Path, folder: Path) -> None:
    recordings = simulated / "MIMIC IV Selected"
    _run([binaries / "ecgfounder-ft", "predict", run_folder, recordings, "--output", "predictions.csv"], folder)
    assert len(pd.read_csv(folder / "predictions.csv")) == len(list(recordings.rglob("*.hea")))


def test_the_demo_models_ship_with_it(binaries: Path, folder: Path) -> None:
    """Without training: the weights of ``experiment=demo`` are found from any folder."""
    program = """
from pathlib import Path
from ecgfounder_ft.config.compose import compose_config, compose_settings
from ecgfounder_ft.model.checkpoints import read_state_dict
from ecgfounder_ft.model.pretrained import find_weights
print(len(read_state_dict(find_weights(compose_settings(["experiment=demo"]).model.weights, Path("checkpoint")))))
"""
    assert int(_run([binaries / "python", "-c", program], folder).stdout) > 10
