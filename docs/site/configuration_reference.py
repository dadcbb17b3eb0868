"""The page with every configuration value: from the YAML files, their comments, and the schema's types."""

import dataclasses
import re
import typing
from collections.abc import Iterator
from pathlib import Path

import yaml

from ecgfounder_ft.config.schema import Config, schemas
from ecgfounder_ft.data.sources.source import DataSource
from ecgfounder_ft.files import write_text

CONFIGS = Path(__file__).resolve().parents[2] / "configs"

OPENING = """# Configuration

Every value of every file in `configs/`, with its type and the comment that stands beside it. This page is made from
those files and from the schema that refuses a misspelt key.

A group is chosen by `group=file` (`model=1lead`), a value is changed by its name (`optimizer.lr=1e-4`).
"""


@dataclasses.dataclass(frozen=True)
class Value:
    """One line of a YAML file."""

    name: str
    value: str
    comment: str


def values_of(path: Path) -> Iterator[Value]:
    """Every value of a YAML file, nested ones by dotted name, with the comment at the end of its line or above it."""
    text = path.read_text()
    root = yaml.compose(text)
    if not isinstance(root, yaml.MappingNode):
        return
    lines = text.splitlines()
    yield from _values_of(root, "", lines)


def _values_of(node: yaml.MappingNode, prefix: str, lines: list[str]) -> Iterator[Value]:
    for key, value in node.value:
        name = f"{prefix}{key.value}"
        if name == "defaults":
            continue
        if isinstance(value, yaml.MappingNode) and value.value and not value.flow_style:
            comment = _comment_at(lines, key.start_mark.line)
            if comment:
                yield Value(name, "", comment)
            yield from _values_of(value, f"{name}.", lines)
            continue
        last = max(value.end_mark.line - (value.end_mark.column == 0), key.start_mark.line)
        comment = _comment_at(lines, key.start_mark.line) or _comment_at(lines, last)
        yield Value(name, _shown(value, lines), comment)


def _comment_at(lines: list[str], line: int) -> str:
    found = re.search(r"(?:^|\s)#\s?(.*)$", _without_strings(lines[line]))
    end = lines[line][found.start(1) :] if found else ""
    above: list[str] = []
    if not end:
        while line > 0 and re.match(r"\s*#", lines[line - 1]):
            line -= 1
            above.insert(0, lines[line].strip().lstrip("#").strip())
    return end or " ".join(above)


def _without_strings(line: str) -> str:
    """A line whose quoted parts are blanked, so that a # in them is no comment; of the same length."""
    return re.sub(r"\"(?:[^\"\\]|\\.)*\"|'(?:[^']|'')*'", lambda quoted: "_" * len(quoted.group()), line)


def _shown(node: yaml.Node, lines: list[str]) -> str:
    start, end = node.start_mark, node.end_mark
    if start.line == end.line:
        return lines[start.line][start.column : end.column].strip()
    count = len(node.value) if isinstance(node, (yaml.SequenceNode, yaml.MappingNode)) else 0
    return f"a list of {count}" if count else "…"


def heading_of(path: Path) -> str:
    """The comment at the top of a YAML file: what choosing it means."""
    said = []
    for line in path.read_text().splitlines():
        if line.startswith("# @package"):
            continue
        if not line.startswith("#"):
            break
        said.append(line.lstrip("#").rstrip())
    return " ".join(" ".join(said).split())


def type_of(group: str, path: Path, name: str) -> str:
    """The type that the schema gives a value; empty where the schema of its file leaves it open."""
    schema: object = Config
    if group:
        named = next((one for one in _defaults_of(path) if isinstance(one, str) and one.endswith("_schema")), None)
        schema = DataSource if (group, path.stem) == ("data", "common") else schemas().get(group, {}).get(named or "")
    for part in name.split("."):
        known = [one for one in (schema, *typing.get_args(schema)) if dataclasses.is_dataclass(one)]
        schema = typing.get_type_hints(known[0]).get(part) if known else None
    return _type_name(schema)


def _defaults_of(path: Path) -> list[object]:
    found = yaml.safe_load(path.read_text())
    return list(found.get("defaults", [])) if isinstance(found, dict) else []


def _type_name(hint: object) -> str:
    if hint is None or hint is typing.Any or dataclasses.is_dataclass(hint):
        return ""
    return hint.__name__ if isinstance(hint, type) and not typing.get_args(hint) else str(hint).replace("typing.", "")


def _cell(text: str, code: bool = False) -> str:
    text = text.replace("|", "\\|")
    if code and text:
        return f"`{text}`" if "`" not in text else text
    # what stands in angle brackets is no HTML
    return text.replace("<", "&lt;").replace(">", "&gt;").replace("*", "\\*").replace("_", "\\_").replace("$", "\\$")


def _prose(text: str) -> str:
    parts = text.split("`")
    return "`".join(part if index % 2 else _cell(part) for index, part in enumerate(parts))


def table_of(group: str, path: Path) -> str:
    """A table of a file's values in Markdown; empty where it sets none."""
    prefix = "" if group in ("", "experiment") else f"{group.replace('/', '.')}."
    rows = []
    for one in values_of(path):
        if not one.name.startswith("hydra"):
            cells = [prefix + one.name, one.value, type_of(group, path, one.name)]
            rows.append(f"| {' | '.join(_cell(cell, code=True) for cell in cells)} | {_prose(one.comment)} |")
    if not rows:
        return ""
    head = ["| value | as shipped | type | |", "| --- | --- | --- | --- |"]
    return "\n".join([":::{container} settings", *head, *rows, ":::"])  # the style sheet knows it by this name


def write_configuration_reference(page: Path) -> None:
    """Write the page."""
    said = [OPENING, "## `train.yaml`\n", f"{_prose(heading_of(CONFIGS / 'train.yaml'))}\n"]
    said.append(table_of("", CONFIGS / "train.yaml"))
    groups = sorted({path.parent.relative_to(CONFIGS).as_posix() for path in CONFIGS.rglob("*.yaml")} - {"."})
    for group in groups:
        if group.startswith("hydra"):
            continue
        said.append(f"\n## `{group}`\n")
        for path in sorted((CONFIGS / group).glob("*.yaml")):
            said.append(f"### `{group}={path.stem}`\n\n{_prose(heading_of(path))}\n")
            said.append(f"{'' if group == 'labels' else table_of(group, path)}\n")
    write_text(page, "\n".join(said) + "\n")
