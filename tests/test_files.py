"""Files appear whole or not at all."""

import errno
import hashlib
import json
import os
import resource
import stat
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import pytest
import torch

from ecgfounder_ft.files import (
    HeldError,
    WriteError,
    file_lock,
    make_shared_folder,
    require_place_for,
    sha256_of,
    text_of,
    whole_file,
    write_csv,
    write_json,
    write_text,
)
from ecgfounder_ft.untrusted.weights import write_checkpoint


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


@contextmanager
def full_disk(size: int) -> Iterator[None]:
    """As if the disk had room for files of this size alone."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize(
    "write",
    [
        lambda file: write_text(file, "0" * 100_000),
        lambda file: write_json(file, ["0"] * 100_000),
        lambda file: write_csv(file, pd.DataFrame({"a": range(100_000)})),
        lambda file: write_checkpoint({"state_dict": {"a": torch.zeros(50_000)}}, file),
        lambda file: write_checkpoint({"state_dict": {}, "text": "0" * 100_000}, file),
    ],
    ids=["text", "json", "csv", "tensors", "record"],
)
@pytest.mark.parametrize("room", [50, 5000, 70_000])
def test_a_full_disk_is_told_and_nothing_is_left(tmp_path: Path, write: Callable[[Path], None], room: int) -> None:
    file = tmp_path / "a"
    file.write_text("before")
    with full_disk(room), pytest.raises(WriteError, match=f"{file} cannot be written"):
        write(file)
    assert file.read_text() == "before"
    assert list(tmp_path.iterdir()) == [file]


def test_a_place_that_cannot_be_written_to_is_told(tmp_path: Path) -> None:
    for file, words in ((tmp_path / "none" / "a", "no folder"), (tmp_path, "is a folder")):
        with pytest.raises(WriteError, match=words):
            require_place_for(file)
        with pytest.raises(WriteError, match="cannot be written"):
            write_text(file, "a")
    require_place_for(tmp_path / "a")
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_read_meanwhile_is_not_taken_for_a_full_disk(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), whole_file(tmp_path / "a"):
        (tmp_path / "other").read_text()


def test_a_cell_is_no_formula_and_comes_back(tmp_path: Path) -> None:
    texts = ["=1+1", "+SUM(A1)", "-x.hea", "@cmd", "'=quoted", "\tx", "plain", "-5", "+1e-3", "it's", None]
    table = pd.DataFrame({"=column": texts, "number": [-1.5] * len(texts)})
    write_csv(tmp_path / "t.csv", table)
    found = pd.read_csv(tmp_path / "t.csv", dtype={"'=column": str}, keep_default_na=False)
    cells = list(found["'=column"])
    assert cells == ["'=1+1", "'+SUM(A1)", "'-x.hea", "'@cmd", "''=quoted", "'\tx", "plain", "-5", "+1e-3", "it's", ""]
    assert [text_of(cell) for cell in cells[:-1]] == texts[:-1]
    assert list(found["number"]) == [-1.5] * len(texts)


def test_a_lock_is_of_the_file_that_stands_there(tmp_path: Path) -> None:
    """Whoever waited for a lock that was removed at its end takes the one of the path, not the removed one."""
    path = tmp_path / "x.lock"
    held: list[bool] = []

    def second() -> None:
        with file_lock(path, remove=True):
            held.append(path.exists())
            with pytest.raises(HeldError), file_lock(path, wait=0):
                pass

    with file_lock(path, remove=True):
        with pytest.raises(HeldError), file_lock(path, wait=0):
            pass
        waiting = threading.Thread(target=second)
        waiting.start()
        time.sleep(0.2)
    waiting.join()
    assert held == [True]
    assert not path.exists()


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_is_told(
    tmp_path: Path, number: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refused(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("fcntl.flock", refused)
    with file_lock(tmp_path / "x.lock") as held:
        assert not held
    assert "has no locks" in caplog.text


def test_a_lock_that_cannot_be_opened_is_told(tmp_path: Path) -> None:
    with pytest.raises(WriteError, match="cannot be written"), file_lock(tmp_path / "nowhere" / "x.lock"):
        pass


@pytest.mark.parametrize(("mode", "expected"), [(0o2770, 0o2770), (0o2775, 0o2775), (0o755, 0o755), (0o1777, 0o750)])
def test_a_folder_takes_the_mode_and_group_of_the_one_that_it_is_in(tmp_path: Path, mode: int, expected: int) -> None:
    above = tmp_path / "shared"
    above.mkdir()
    above.chmod(mode)
    before = os.umask(0o027)
    try:
        make_shared_folder(above / "store" / "hash")
    finally:
        os.umask(before)
    for folder in (above / "store", above / "store" / "hash"):
        assert stat.S_IMODE(folder.stat().st_mode) == expected
        assert folder.stat().st_gid == above.stat().st_gid
