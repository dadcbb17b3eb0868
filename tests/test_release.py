"""The release check finds what would spoil a release, and the container's steps are right as far as they run here."""

import os
import re
import shlex
import shutil
import subprocess
import sys
import venv
import zipfile
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from ecgfounder_ft import __version__
from tests.scripts import script

ROOT = Path(__file__).resolve().parents[1]
CHECKED = ("pyproject.toml", "CITATION.cff", "CHANGELOG.md", "constraints.txt", "src/ecgfounder_ft/__init__.py")


@pytest.fixture(scope="module")
def check() -> ModuleType:
    return script(ROOT / "scripts" / "check_release.py")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    for name in CHECKED:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, tmp_path / name)
    return tmp_path


def test_versions_agree_and_tested_versions_are_allowed(check: ModuleType) -> None:
    assert list(check.metadata_faults(ROOT, draft=True)) == []


@pytest.mark.parametrize(
    ("name", "old", "new", "told"),
    [
        ("CITATION.cff", f"version: {__version__}", "version: 9.9.9", "CITATION.cff: version 9.9.9, expected"),
        ("src/ecgfounder_ft/__init__.py", __version__, "9.9.9", "version 9.9.9, expected"),
        ("constraints.txt", "wfdb==4.3.1", "wfdb==3.0", "wfdb==3.0, but pyproject.toml allows >=4.3"),
    ],
)
def test_a_fault_is_named(check: ModuleType, checkout: Path, name: str, old: str, new: str, told: str) -> None:
    path = checkout / name
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    (fault,) = check.metadata_faults(checkout, draft=True)
    assert told in fault


def test_a_changelog_without_the_version_is_no_release(check: ModuleType, checkout: Path) -> None:
    changelog = checkout / "CHANGELOG.md"
    changelog.write_text(changelog.read_text().replace("## Unreleased", f"## {__version__}"))
    assert any("CHANGELOG.md" in fault for fault in check.metadata_faults(checkout))
    changelog.write_text(changelog.read_text().replace(f"## {__version__}", f"## {__version__} - 2030-01-31"))
    assert list(check.metadata_faults(checkout)) == []


def instructions() -> list[tuple[str, str]]:
    """Of the Dockerfile: instruction and the rest of the line, continued lines joined."""
    text = re.sub(r"^#.*\n", "", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    return [(line.split(" ", 1)[0], line.split(" ", 1)[1].strip()) for line in text.splitlines() if line.strip()]


def copied() -> Iterator[str]:
    """What the image takes from the checkout."""
    for name, rest in instructions():
        if name == "COPY" and not rest.startswith("--from"):
            yield from shlex.split(rest)[:-1]


def test_the_container_runs_as_somebody_without_rights() -> None:
    last = [rest for name, rest in instructions() if name == "USER"][-1]
    assert last not in ("root", "0")
    assert instructions()[-2] == ("ENTRYPOINT", '["ecgfounder-ft"]')


def test_the_container_s_build_gets_every_file_it_copies_and_no_data() -> None:
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    for name in copied():
        assert (ROOT / name).exists(), name
        assert name in allowed, f"{name} is kept from the image by .dockerignore"
    assert "outputs" not in allowed
    assert (ROOT / ".dockerignore").read_text().splitlines()[1] == "*"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from what the container copies."""
    tmp_path = tmp_path_factory.mktemp("wheel")
    source = tmp_path / "source"
    source.mkdir()
    for name in copied():
        path = ROOT / name
        if path.is_dir():
            ignored = shutil.ignore_patterns("__pycache__", "*ECGFounder*")
            shutil.copytree(path, source / name, ignore=ignored)
        else:
            shutil.copy2(path, source / name)
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(tmp_path)]
    subprocess.run(command, cwd=source, check=True, capture_output=True)
    return next(tmp_path.glob("*.whl"))


def test_what_the_container_copies_builds_the_wheel(wheel: Path) -> None:
    held = set(zipfile.ZipFile(wheel).namelist())
    assert {"ecgfounder_ft/cli.py", "ecgfounder_ft/configs/train.yaml", "hydra_plugins/ecgfounder_ft_slurm.py"} <= held


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="asks git what the repository holds")
def test_every_file_of_the_wheel_is_of_the_repository(check: ModuleType, wheel: Path) -> None:
    assert list(check.wheel_faults(wheel)) == []


@pytest.mark.slow
def test_the_container_s_second_stage_installs_and_answers(tmp_path: Path) -> None:
    """Its pip step in a fresh environment in place of a fresh system: it draws a gigabyte where nothing is cached."""
    wheels = tmp_path / "wheels"
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(wheels)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    shutil.copy2(ROOT / "constraints.txt", wheels)
    venv.create(tmp_path / "system", with_pip=True)
    binaries = tmp_path / "system" / "bin"
    install = next(rest for name, rest in instructions() if name == "RUN" and "*.whl" in rest).split("&&")[0]
    install = install.replace("python -m", f"{binaries}/python -m").replace("/wheels", str(wheels))
    hidden = {"PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV"}
    environment = {name: value for name, value in os.environ.items() if name not in hidden}
    subprocess.run(["sh", "-c", install], check=True, env=environment | {"TORCH_INDEX": ""}, capture_output=True)
    answer = subprocess.run(
        [binaries / "ecgfounder-ft", "--version"],
        check=True,
        capture_output=True,
        text=True,
        env=environment,
        cwd=tmp_path,
    )
    assert answer.stdout.strip() == __version__
