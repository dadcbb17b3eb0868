"""One file per thing: what is found in a package, and what is refused."""

import importlib
import sys
from pathlib import Path
from types import ModuleType

import pytest

from ecgfounder_ft import finetune
from ecgfounder_ft.discovery import classes_in
from ecgfounder_ft.finetune.strategy import Strategy


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    folder = tmp_path / "toys"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "toy.py").write_text(
        "from abc import ABC, abstractmethod\nclass Toy(ABC):\n  @abstractmethod\n  def play(self): ...\n"
    )
    (folder / "ball.py").write_text("from toys.toy import Toy\nclass Ball(Toy):\n  def play(self): ...\n")
    (folder / "helpers.py").write_text("from toys.ball import Ball\nX = Ball\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield importlib.import_module("toys")
    for name in [name for name in sys.modules if name.partition(".")[0] == "toys"]:
        del sys.modules[name]


def test_each_module_contributes_the_class_that_it_defines(package: ModuleType) -> None:
    base = importlib.import_module("toys.toy").Toy
    assert {name: found.__name__ for name, found in classes_in(package, base).items()} == {"ball": "Ball"}


def test_two_classes_in_one_file_are_refused(package: ModuleType) -> None:
    base = importlib.import_module("toys.toy").Toy
    (Path(package.__path__[0]) / "two.py").write_text(
        "from toys.toy import Toy\nclass A(Toy):\n  def play(self): ...\nclass B(Toy):\n  def play(self): ...\n"
    )
    importlib.invalidate_caches()
    with pytest.raises(TypeError, match=r"toys\.two defines A, B: expected one class per file"):
        classes_in(package, base)


def test_every_strategy_is_found() -> None:
    files = {path.stem for path in Path(finetune.__path__[0]).glob("*.py")} - {"__init__", "strategy"}
    assert set(classes_in(finetune, Strategy)) == files  # type: ignore[type-abstract]
