"""The page of a real run holds no slips of the pen, and no probability that its table contradicts."""

import re
from pathlib import Path

import pytest
from bs4 import BeautifulSoup

from ecgfounder_ft.runs.folder import RunFolder


@pytest.fixture(scope="module")
def page(finished_run: Path) -> BeautifulSoup:
    found = BeautifulSoup(RunFolder(finished_run).report_file.read_text(), "html.parser")
    for tag in found(["script", "style", "pre"]):
        tag.decompose()
    return found


def test_no_sentence_shows_what_a_program_calls_it(page: BeautifulSoup) -> None:
    text = page.get_text("\n")
    for slip in (r"\bNone\b", r"\bnan\b", r"_value\b", r"\S  +\S", r" [.,;:](\s|$)", r"\.\.(?!\.)", r"\b\d+ x "):
        assert not re.search(slip, text, re.MULTILINE), slip
    for paragraph in page("p"):
        said = paragraph.get_text()
        assert not re.search(r"[a-z]\.[A-Z][a-z]", said), said


def test_probabilities_in_sentences_are_those_of_their_table(page: BeautifulSoup) -> None:
    cases = page.select("article.case")
    assert cases
    for case in cases:
        rows = [[cell.get_text() for cell in row(["th", "td"])] for row in case.table("tr")]
        table = dict(zip(rows[0][1:], next(row for row in rows if row[0] == "Probability")[1:], strict=True))
        reason = next(p for p in case("p") if "path" not in (p.get("class") or [])).get_text()
        pairs = re.findall(r"(\w+) \((\d\.\d{3})\)", reason)
        for code, probability in pairs:
            assert table[code] == probability, reason
        if len(pairs) == 2:
            assert float(pairs[0][1]) - float(pairs[1][1]) <= 0.201, reason
