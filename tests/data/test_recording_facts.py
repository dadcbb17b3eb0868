"""The memory of headers: what is read again, and what a damaged memory costs."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ecgfounder_ft.data import recording_facts
from ecgfounder_ft.data.recording_facts import facts_of, find_headers
from ecgfounder_ft.ecg.formats.wfdb import write_recording
from ecgfounder_ft.ecg.leads import STANDARD_LEADS


def write(folder: Path, name: str, samples: int = 100, **comments: str) -> Path:
    signal = np.random.default_rng(0).normal(size=(12, samples)).astype(np.float32)
    return write_recording(folder, name, signal, STANDARD_LEADS, 500, storage="dat", comments=comments)


@pytest.fixture
def paths(tmp_path: Path) -> list[Path]:
    return [write(tmp_path / "data", f"r{number}", Age=str(40 + number), Sex="Male") for number in range(3)]


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "memory" / "headers.parquet"


def test_headers_are_read_once(paths: list[Path], cache: Path) -> None:
    first = facts_of(paths, cache)
    assert first.read == 3
    written = cache.stat().st_mtime_ns
    again = facts_of(paths, cache)
    assert again.read == 0
    assert again.facts == first.facts == facts_of(paths).facts
    assert [entry.age for entry in again.facts] == [40, 41, 42]
    assert cache.stat().st_mtime_ns == written  # nothing changed, so nothing is written


def test_a_changed_header_or_signal_file_is_read_again(paths: list[Path], cache: Path) -> None:
    facts_of(paths, cache)
    write(paths[0].parent, "r0", Age="77", Sex="Male")
    signal = paths[1].with_suffix(".dat")
    os.utime(signal, ns=(1, 1))
    found = facts_of(paths, cache)
    assert found.read == 2
    assert found.facts[0].age == 77
    assert facts_of(paths, cache).read == 0


def test_a_recording_that_is_gone_is_forgotten(paths: list[Path], cache: Path) -> None:
    facts_of(paths, cache)
    facts_of(paths[:1], cache)
    assert pq.read_table(cache)["path"].to_pylist() == [str(paths[0])]


def test_what_cannot_be_read_is_never_remembered(paths: list[Path], cache: Path) -> None:
    signal = paths[2].with_suffix(".dat")
    whole = signal.read_bytes()
    signal.write_bytes(whole[:50])
    found = facts_of(paths, cache)
    assert [error.reason for error in found.errors] == ["signal file is truncated"]
    assert len(found.facts) == 2
    signal.write_bytes(whole)
    assert len(facts_of(paths, cache).facts) == 3


@pytest.mark.parametrize("damage", ["cut short", "not parquet", "a column is missing", "another version"])
def test_a_memory_that_cannot_be_used_is_made_anew(paths: list[Path], cache: Path, damage: str) -> None:
    before = facts_of(paths, cache)
    if damage == "cut short":
        cache.write_bytes(cache.read_bytes()[:100])
    elif damage == "not parquet":
        cache.write_text("headers")
    elif damage == "a column is missing":
        pq.write_table(pq.read_table(cache).drop_columns(["sex"]), cache)
    else:
        pq.write_table(pq.read_table(cache).replace_schema_metadata({b"version": b"0"}), cache)
    found = facts_of(paths, cache)
    assert found.read == 3
    assert found.facts == before.facts
    assert facts_of(paths, cache).read == 0


def test_a_memory_that_cannot_be_written_leaves_the_old_one(
    paths: list[Path], cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    facts_of(paths, cache)
    before = cache.read_bytes()

    def fails(table: pa.Table, file: Path) -> None:
        file.write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(recording_facts.pq, "write_table", fails)
    with pytest.raises(OSError, match="disk full"):
        facts_of(paths[:2], cache)
    assert cache.read_bytes() == before
    assert list(cache.parent.iterdir()) == [cache]


def test_files_outside_the_usual_suffixes_are_always_read_again(tmp_path: Path, cache: Path) -> None:
    header = write(tmp_path / "data", "r0")
    header.with_suffix(".dat").rename(tmp_path / "data" / "signal.bin")
    header.write_text(header.read_text().replace("r0.dat", "signal.bin"))
    assert facts_of([header], cache).facts[0].signature == ""
    assert facts_of([header], cache).read == 1


def test_facts_differ_in_what_the_header_says(paths: list[Path]) -> None:
    first, second, _ = facts_of(paths).facts
    assert replace(first, path=second.path, name=second.name, age=second.age, signature="") == replace(
        second, signature=""
    )


def test_a_signal_file_without_a_header_is_listed(tmp_path: Path) -> None:
    for number in range(10):
        (tmp_path / f"E{number:05d}.mat").write_bytes(b"signal")
    (tmp_path / "deeper").mkdir()
    for name in ("E10000.hea", "E10000.mat", "E10001.HEA", "E10001.MAT"):
        (tmp_path / "deeper" / name).write_bytes(b"")
    headers, left_out = find_headers(tmp_path)
    assert [path.name for path in headers] == ["E10000.hea", "E10001.HEA"]
    assert len(left_out) == 10
    assert {error.reason for error in left_out} == {"signal file without a header"}


def test_recordings_of_other_formats_are_listed_and_tables_are_not(tmp_path: Path) -> None:
    write(tmp_path, "r0")
    recordings = {
        "r1.edf": "",
        "R2.XML": "",
        "r3.csv": "time (s),I (mV),II (mV)\n0,1,1\n",
        "r4.csv": "# unit: mV\n0.1,0.2\n0.1,0.2\n",
        "deeper/r5.npy": "",
    }
    others = {"RECORDS": "r0\n", "patients.csv": "record,age\nr0,60\n", "r0.json": "{}", "LICENSE.txt": "free"}
    (tmp_path / "deeper").mkdir()
    for name, content in {**recordings, **others}.items():
        (tmp_path / name).write_text(content)
    headers, left_out = find_headers(tmp_path)
    assert [path.name for path in headers] == ["r0.hea"]
    assert {error.path for error in left_out} == {str(tmp_path / name) for name in recordings}
    assert {error.reason for error in left_out} == {"recording of another format"}
