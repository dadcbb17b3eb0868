"""The documentation site builds without a warning, and its references are complete."""

from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import typer
import yaml

from ecgfounder_ft.cli import app
from tests import forked
from tests.docs.documented import ROOT
from tests.scripts import script

pytest.importorskip("sphinx", reason="the site needs the extra [docs]")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where every page was read and its links were followed; no HTML is written, which would take as long again."""
    folder = tmp_path_factory.mktemp("site")
    options = ["-q", "-b", "dummy", "--fail-on-warning", "--keep-going"]
    built = forked.call(_sphinx, *options, str(ROOT / "docs"), str(folder), cwd=ROOT)
    assert built.returncode == 0, built.stdout + built.stderr
    return folder


def _sphinx(*arguments: str) -> int:
    from sphinx.cmd.build import main

    return main(arguments)


def test_the_site_builds_without_a_warning_and_documents_the_code(site: Path) -> None:
    assert (site / ".doctrees" / "reference" / "api" / "ecgfounder_ft.ecg.doctree").stat().st_size > 50_000
    assert (site / ".doctrees" / "index.doctree").is_file()


def test_every_value_of_every_file_is_in_the_configuration_reference(tmp_path: Path) -> None:
    _module("configuration_reference").write_configuration_reference(tmp_path / "page.md")
    text = (tmp_path / "page.md").read_text()
    for path in (ROOT / "configs").rglob("*.yaml"):
        if "hydra" in path.parts or "labels" in path.parts:
            continue
        for name in _names(yaml.safe_load(path.read_text())):
            assert f"{name}`" in text or f"{name}." in text, f"{path}: {name}"


def _names(content: object, prefix: str = "") -> Iterator[str]:
    if not isinstance(content, dict):
        return
    for key, value in content.items():
        if (prefix, key) in (("", "defaults"), ("", "hydra")):
            continue
        yield f"{prefix}{key}"
        yield from _names(value, f"{prefix}{key}.")


def test_every_command_and_option_is_in_the_reference(tmp_path: Path) -> None:
    _module("command_reference").write_command_reference(tmp_path / "page.md")
    text = (tmp_path / "page.md").read_text()
    program: Any = typer.main.get_command(app)
    for name, command in program.commands.items():
        assert f"ecgfounder-ft {name}" in text
        for option in command.params:
            assert all(spelling in text for spelling in option.opts if spelling.startswith("--"))


def test_comments_and_types_stand_beside_the_values() -> None:
    reference = _module("configuration_reference")
    path = ROOT / "configs" / "preprocessing" / "ecgfounder.yaml"
    values = {one.name: one for one in reference.values_of(path)}
    assert values["band_pass.low"].value == "0.67"
    assert values["band_pass.low"].comment == "Hz"
    assert reference.type_of("preprocessing", path, "band_pass.low") == "float"


@pytest.mark.parametrize(
    ("line", "comment"),
    [("a: 1 # Hz", "Hz"), ("a: '#x' # s", "s"), ('a: "# no comment"', ""), ("a: b#c", "")],
)
def test_a_comment_is_told_from_a_string(tmp_path: Path, line: str, comment: str) -> None:
    path = tmp_path / "one.yaml"
    path.write_text(line + "\n")
    (value,) = _module("configuration_reference").values_of(path)
    assert value.comment == comment


def _module(name: str) -> ModuleType:
    return script(ROOT / "docs" / "site" / f"{name}.py")
