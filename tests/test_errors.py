"""What a user is told who lacks an extra."""

import re
import tomllib
from pathlib import Path

import pytest

from ecgfounder_ft.errors import EXTRAS, run_or_explain

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
    assert f"this needs {name}: pip install 'ecgfounder-ft[{extra}]'" in capsys.readouterr().err


def test_a_module_of_somebody_elses_keeps_its_traceback() -> None:
    def run() -> None:
        raise ModuleNotFoundError("No module named 'mine'", name="mine")

    with pytest.raises(ModuleNotFoundError):
        run_or_explain(run)
