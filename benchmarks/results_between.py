"""Puts what a benchmark found into a page, between the two lines that say which command writes there."""

from pathlib import Path

RESULTS = Path(__file__).parent / "RESULTS.md"


def write_between(page: Path, command: str, text: str) -> None:
    """Replace what stands between ``<!-- written by COMMAND -->`` and ``<!-- end of what COMMAND writes -->``.

    Args:
        page: a Markdown file that has the two lines.
        command: the command, as in the lines.
        text: what it found.

    Raises:
        ValueError: if a line is missing; the page stays as it is.
    """
    begin, end = f"<!-- written by {command} -->", f"<!-- end of what {command} writes -->"
    whole = page.read_text(encoding="utf-8")
    before, first, rest = whole.partition(begin)
    _, last, after = rest.partition(end)
    if not first or not last:
        raise ValueError(f"{page} lacks the line {end if first else begin}, where the results would stand")
    page.write_text(f"{before}{begin}\n\n{text}\n\n{end}{after}", encoding="utf-8")
