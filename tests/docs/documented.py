"""Every command that README.md and docs/ tell a user to type."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = ("python", "ecgfounder-ft", "make", "tensorboard")
_FENCE = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Command:
    """A line of a page."""

    page: str
    text: str

    @property
    def words(self) -> list[str]:
        """As a shell parts them, without comments."""
        return shlex.split(self.text, comments=True)

    @property
    def trains(self) -> bool:
        """Whether it is the training command."""
        return self.words[:2] == ["python", "train.py"] or self.words[:2] == ["ecgfounder-ft", "train"]

    def __str__(self) -> str:
        return f"{self.page}: {self.text}"


def pages() -> list[Path]:
    """README.md, the pages of docs/ that somebody wrote, and those of the studies."""
    written = [*sorted((ROOT / "docs").glob("*.md")), *sorted((ROOT / "docs" / "howto").glob("*.md"))]
    return [ROOT / "README.md", *written, *sorted((ROOT / "studies").glob("*/README.md"))]


def commands() -> list[Command]:
    """In the order of the pages, each once."""
    return list(dict.fromkeys(command for page in pages() for command in _of(page)))


def _of(page: Path) -> Iterator[Command]:
    for language, block in _FENCE.findall(page.read_text(encoding="utf-8")):
        if language not in ("", "bash"):
            continue
        for line in block.replace("\\\n", " ").splitlines():
            if line.split(" ", 1)[0] in PROGRAMS:
                yield Command(page.relative_to(ROOT).as_posix(), " ".join(line.split()))


def files_of(page: Path) -> Iterator[tuple[str, str]]:
    """Files that a page tells the user to write: a name in backticks and a colon, then a block."""
    pattern = re.compile(r"^`([\w./-]+)`:\n\n```\w+\n(.*?)^```", re.MULTILINE | re.DOTALL)
    yield from pattern.findall(page.read_text(encoding="utf-8"))
