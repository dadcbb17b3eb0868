"""What README.md and the pages of docs/ tell a user to type is understood; ``-m slow``: and runs to its end."""

from pathlib import Path
from typing import Any

import pytest
import typer

from ecgfounder_ft.cli import app
from ecgfounder_ft.config.command_line import read_command_line
from ecgfounder_ft.config.compose import compose_config
from tests.docs.documented import ROOT, Command, commands, files_of, pages

EACH = {tuple(command.words): command for command in commands()}.values()
"""Those that several pages name, once."""
TRAINING = [command for command in EACH if command.trains]
PROGRAM = [command for command in EACH if command.words[0] == "ecgfounder-ft" and not command.trains]
MAKE = [command for command in EACH if command.words[0] == "make"]


@pytest.fixture
def files_of_the_pages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with the files that the pages tell the user to write."""
    for page in pages():
        for name, content in files_of(page):
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_pages_have_commands_of_every_kind() -> None:
    assert len(TRAINING) > 15
    assert len(PROGRAM) > 10
    assert MAKE


@pytest.mark.parametrize("command", EACH, ids=str)
def test_a_command_can_be_pasted(command: Command) -> None:
    assert "..." not in command.text


@pytest.mark.parametrize("command", TRAINING, ids=str)
def test_a_training_command_composes(command: Command, files_of_the_pages: Path) -> None:
    if command.words[2:] == ["--help"]:
        return
    first = read_command_line(command.words[2:]).trials()[0]
    compose_config([one for one in first if not one.startswith("hydra")])


@pytest.mark.parametrize("command", PROGRAM, ids=str)
def test_a_command_knows_its_options(command: Command) -> None:
    program: Any = typer.main.get_command(app)
    name = command.words[1]
    if name == "--help":
        return
    assert name in program.commands
    program.commands[name].make_context(name, command.words[2:])


@pytest.mark.parametrize("command", MAKE, ids=str)
def test_a_make_target_exists(command: Command) -> None:
    targets = {line.split(":")[0] for line in (ROOT / "Makefile").read_text().splitlines() if ":" in line}
    assert command.words[1] in targets


@pytest.mark.parametrize(("label_map", "conditions"), [("my_conditions", ["AFIB", "PVC"])])
def test_the_label_map_of_the_pages_is_one(label_map: str, conditions: list[str], files_of_the_pages: Path) -> None:
    from ecgfounder_ft.config.compose import load_label_map

    assert list(load_label_map(label_map).codes) == conditions
