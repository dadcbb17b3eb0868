"""What a user is told who lacks an extra."""

import re
import tomllib
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest

from ecgfounder_ft.errors import EXTRAS, how_to_install, run_or_explain

PROJECT = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
MODULE_OF = {
    "hydra-core": "hydra",
    "pytorch-lightning": "pytorch_lightning",
    "pyyaml": "yaml",
    "scikit-learn": "sklearn",
}
"""Package to the module that it installs, where that has another name."""
FOR_DEVELOPERS = {"dev", "docs", "notebook"}
BESIDE_OTHERS = {"hydra-submitit-launcher"}
"""Packages that no code of this package imports."""


def modules_of(requirements: list[str]) -> set[str]:
    names = [re.split(r"[\[<>=]", requirement)[0] for requirement in requirements]
    return {MODULE_OF.get(name, name) for name in names} - {"ecgfounder-ft"}


def test_every_package_of_an_extra_is_told_with_its_name() -> None:
    given = PROJECT["optional-dependencies"]
    extras = {name: modules_of(found) for name, found in given.items() if name not in FOR_DEVELOPERS}
    expected = {module: extra for extra, modules in extras.items() for module in modules - BESIDE_OTHERS}
    assert expected == EXTRAS
    assert not modules_of(PROJECT["dependencies"]) & set(EXTRAS)


@pytest.mark.parametrize("name", ["torch", "matplotlib.figure"])
def test_a_missing_extra_is_explained(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    def run() -> None:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    with pytest.raises(SystemExit, match="2"):
        run_or_explain(run)
    extra = EXTRAS[name.partition(".")[0]]
    assert f"this needs {name}: {how_to_install(extra)}" in capsys.readouterr().err


def test_a_module_of_somebody_elses_keeps_its_traceback() -> None:
    def run() -> None:
        raise ModuleNotFoundError("No module named 'mine'", name="mine")

    with pytest.raises(ModuleNotFoundError):
        run_or_explain(run)


@pytest.mark.parametrize(
    ("origin", "command"),
    [
        ('{"url": "file:///work/my%20ecg", "dir_info": {"editable": true}}', "pip install -e '/work/my ecg[edf]'"),
        ('{"url": "file:///work/ecg", "dir_info": {}}', "pip install '/work/ecg[edf]'"),
        ('{"url": "file:///w/a.whl", "archive_info": {}}', "pip install 'ecgfounder-ft[edf] @ file:///w/a.whl'"),
        (None, 'pip install "ecgfounder-ft[edf]"'),
    ],
)
def test_the_hint_installs_from_where_the_package_came(
    origin: str | None, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Installed:
        def read_text(self, name: str) -> str | None:
            return origin

    monkeypatch.setattr("ecgfounder_ft.errors.distribution", lambda _: Installed())
    assert how_to_install("edf") == command


def test_the_hint_works_in_a_checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(_: str) -> None:
        raise PackageNotFoundError

    monkeypatch.setattr("ecgfounder_ft.errors.distribution", missing)
    assert how_to_install("edf").startswith('pip install ".[edf]"')


def test_every_hint_comes_from_one_function() -> None:
    hints = [
        file
        for file in (Path(__file__).parents[1] / "src").rglob("*.py")
        if file.name != "errors.py" and re.search(r"pip install .?ecgfounder", file.read_text())
    ]
    assert not hints
