"""Imports run one way: the directions that CONTRIBUTING.md states, read from the code itself."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src"
PACKAGE = "ecgfounder_ft"


def modules() -> dict[str, Path]:
    """Dotted name to file of every module of the package."""
    found = {}
    for file in sorted((SOURCE / PACKAGE).rglob("*.py")):
        parts = file.relative_to(SOURCE).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file
    return found


MODULES = modules()


def imports_of(module: str, *, at_import: bool = False) -> set[str]:
    """Modules of the package that a module imports, anywhere in it; or only those that importing it imports."""
    found: set[str] = set()

    def visit(node: ast.AST) -> None:
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            names = [] if at_import else node.body
            for child in [*names, *node.orelse]:
                visit(child)
            return
        if at_import and isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            return
        if isinstance(node, ast.Import):
            found.update(name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            for name in node.names:
                whole = f"{node.module}.{name.name}"
                found.add(whole if whole in MODULES else node.module)
        for child in ast.iter_child_nodes(node):
            visit(child)

    visit(ast.parse(MODULES[module].read_text(encoding="utf-8")))
    return {name for name in found if name in MODULES and name != module}


def place_of(module: str) -> str:
    """The folder of a module right below the package, or the module itself where it stands there."""
    return module.split(".")[1] if "." in module else PACKAGE


def directions() -> dict[str, set[str]]:
    """Place to the places that it may import, from the table in CONTRIBUTING.md."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (`[^|]+`) \|[^|]*\|([^|]*)\|$", text, flags=re.MULTILINE)
    found: dict[str, set[str]] = {}
    for places, allowed in rows:
        names = set(re.findall(r"`(\w+)`", allowed))
        for place in re.findall(r"`(\w+)(?:\.py|/)`", places):
            found[place] = names
    return found


def test_every_place_stands_in_the_table() -> None:
    places = {place_of(module) for module in MODULES} - {PACKAGE}
    assert set(directions()) == places


@pytest.mark.parametrize("module", MODULES)
def test_no_import_runs_upwards(module: str) -> None:
    place = place_of(module)
    if place == PACKAGE:
        assert not imports_of(module, at_import=True)
        return
    allowed = directions()[place] | {place, PACKAGE}
    upwards = sorted(name for name in imports_of(module) if place_of(name) not in allowed)
    assert not upwards, f"{module} imports {', '.join(upwards)}; {place} may import {', '.join(sorted(allowed))}"


def test_the_table_itself_has_no_circle() -> None:
    rows = directions()
    done: set[str] = set()
    while len(done) < len(rows):
        free = {place for place, allowed in rows.items() if place not in done and allowed - {place} <= done}
        assert free, f"a circle among {', '.join(sorted(set(rows) - done))}"
        done |= free


def test_no_modules_import_each_other_in_a_circle() -> None:
    imported = {module: imports_of(module, at_import=True) for module in MODULES}
    done: set[str] = set()
    while len(done) < len(imported):
        free = {module for module, names in imported.items() if module not in done and names <= done}
        assert free, f"a circle among {', '.join(sorted(set(imported) - done))}"
        done |= free
