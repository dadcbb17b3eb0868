"""Whether this checkout can be released: builds the wheel and the sdist into a folder and checks them.

``make release`` runs it. It publishes nothing.
"""

import argparse
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import tomllib
import zipfile
from collections.abc import Iterator
from email.parser import Parser
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def main() -> int:
    """Build, check, and say what is wrong; the number of faults."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dist", type=Path, default=ROOT / "dist", help="folder for the wheel and the sdist")
    parser.add_argument("--draft", action="store_true", help="accept a changelog without the version's own section")
    options = parser.parse_args()
    faults = [*metadata_faults(ROOT, options.draft)]
    wheel, sdist = build(options.dist)
    faults += [*twine_faults([wheel, sdist]), *wheel_faults(wheel), *sdist_faults(sdist, wheel)]
    for fault in faults:
        print(f"not ready: {fault}", file=sys.stderr)
    print(f"{wheel}\n{sdist}\n{'not ready to release' if faults else 'ready to release'}")
    return len(faults)


def metadata_faults(root: Path, draft: bool = False) -> Iterator[str]:
    """Versions that differ, a changelog without the version, a tested version outside its allowed range."""
    from packaging.requirements import Requirement

    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    version = project["version"]
    places = {
        "src/ecgfounder_ft/__init__.py": r'^__version__ = "([^"]+)"',
        "CITATION.cff": r"^version: (\S+)",
    }
    for name, pattern in places.items():
        found = re.search(pattern, (root / name).read_text(), re.MULTILINE)
        if found is None or found.group(1) != version:
            yield f"{name}: version {found.group(1) if found else 'missing'}, expected {version} as in pyproject.toml"
    changelog = (root / "CHANGELOG.md").read_text()
    if not draft and not re.search(rf"^## {re.escape(version)} - \d{{4}}-\d{{2}}-\d{{2}}$", changelog, re.MULTILINE):
        yield f"CHANGELOG.md: no section '## {version} - YYYY-MM-DD'; rename 'Unreleased'"
    lines = (root / "constraints.txt").read_text().splitlines()
    tested = dict(line.split("==") for line in lines if "==" in line)
    tested = {_normal(name): number for name, number in tested.items()}
    extras = [one for group in project["optional-dependencies"].values() for one in group]
    for line in [*project["dependencies"], *extras]:
        needed = Requirement(line)
        number = tested.get(_normal(needed.name))
        if number is not None and not needed.specifier.contains(number):
            yield f"constraints.txt: {needed.name}=={number}, but pyproject.toml allows {needed.specifier}"


def build(folder: Path) -> tuple[Path, Path]:
    """The wheel and the sdist, built anew."""
    with tempfile.TemporaryDirectory() as fresh:
        command = [sys.executable, "-m", "hatchling", "build", "--directory", fresh]
        subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
        folder.mkdir(parents=True, exist_ok=True)
        built = [Path(shutil.copy2(path, folder)) for path in Path(fresh).iterdir() if path.is_file()]
    wheel = next(path for path in built if path.suffix == ".whl")
    return wheel, next(path for path in built if path.name.endswith(".tar.gz"))


def twine_faults(files: list[Path]) -> Iterator[str]:
    """What the package index would refuse."""
    command = [sys.executable, "-m", "twine", "check", "--strict", *map(str, files)]
    checked = subprocess.run(command, capture_output=True, text=True, check=False)
    if checked.returncode:
        yield f"twine check: {checked.stdout.strip()} {checked.stderr.strip()}"


def wheel_faults(wheel: Path) -> Iterator[str]:
    """Files that a user would miss, or should not get."""
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        metadata = next(name for name in names if name.endswith(".dist-info/METADATA"))
        described = Parser().parsestr(archive.read(metadata).decode())
    if not any(name.endswith("licenses/LICENSE") for name in names):
        yield f"{wheel.name}: no LICENSE"
    if not described.get_payload():
        yield f"{wheel.name}: no description"
    tracked = _tracked()
    for name in names:
        if ".dist-info/" in name:
            continue
        if not {f"src/{name}", name.removeprefix("ecgfounder_ft/")} & tracked:
            yield f"{wheel.name}: {name} is not in the repository"


def sdist_faults(sdist: Path, wheel: Path) -> Iterator[str]:
    """Files of the repository that the sdist lacks; a wheel of it that is another."""
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    for name in sorted(_tracked() - names):
        if name.startswith(("src/", "configs/", "tests/", "docs/", "checkpoint/")):
            yield f"{sdist.name}: without {name}"
    with tempfile.TemporaryDirectory() as folder:
        with tarfile.open(sdist) as archive:
            archive.extractall(folder, filter="data")
        inner = next(Path(folder).iterdir())
        command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", folder]
        subprocess.run(command, cwd=inner, check=True, stdout=subprocess.DEVNULL)
        again = Path(folder) / wheel.name
        if not again.is_file() or _contents(again) != _contents(wheel):
            yield f"{sdist.name}: the wheel built from it differs from {wheel.name}"


def _contents(wheel: Path) -> dict[str, int]:
    with zipfile.ZipFile(wheel) as archive:
        return {one.filename: one.CRC for one in archive.infolist()}


def _tracked() -> set[str]:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(listed.stdout.splitlines())


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


if __name__ == "__main__":
    sys.exit(min(main(), 1))
