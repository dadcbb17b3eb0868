"""Files appear whole or not at all."""

import hashlib
import json
from pathlib import Path

import pandas as pd
import pytest

from ecgfounder_ft.files import sha256_of, whole_file, write_csv, write_json, write_text


def test_after_an_error_the_earlier_file_is_as_it_was(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    write_text(file, "before")

    def fail() -> None:
        with whole_file(file, durable=True) as unfinished:
            unfinished.write_text("half")
            assert file.read_text() == "before"
            raise OSError("no space left")

    with pytest.raises(OSError, match="no space"):
        fail()
    assert file.read_text() == "before"
    assert list(tmp_path.iterdir()) == [file]


def test_two_writers_at_once_do_not_meet(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    with whole_file(file) as first, whole_file(file) as second:
        assert first != second
        first.write_text("1")
        second.write_text("2")
    assert file.read_text() == "1"  # the one that ended last
    assert list(tmp_path.iterdir()) == [file]


def test_json_has_null_for_what_is_no_number(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"a": [float("nan"), 1.5], 2: (float("inf"), "µV")})
    text = (tmp_path / "a.json").read_text(encoding="utf-8")
    assert json.loads(text) == {"a": [None, 1.5], "2": [None, "µV"]}
    assert "µV" in text


def test_tables_have_no_index_unless_asked_for(tmp_path: Path) -> None:
    table = pd.DataFrame({"a": [1]}, index=pd.Index(["x"], name="name"))
    write_csv(tmp_path / "a.csv", table)
    assert (tmp_path / "a.csv").read_text() == "a\n1\n"
    write_csv(tmp_path / "a.csv", table, index=True)
    assert (tmp_path / "a.csv").read_text() == "name,a\nx,1\n"


def test_digests_are_those_of_the_content(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    assert sha256_of(tmp_path / "a") == hashlib.sha256(b"abc").hexdigest()
