"""What may happen to a build, by doing it: kills, two builds at once, a disk that fills, jobs of a cluster."""

import errno
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ecgfounder_ft.data.near_copies import fingerprint
from ecgfounder_ft.data.store import shard
from ecgfounder_ft.data.store.building import StoreBuildError
from ecgfounder_ft.data.store.index import read_index, temporary_file
from ecgfounder_ft.data.store.shard import StoreFullError
from ecgfounder_ft.data.store.signal_store import build_store, store_name
from ecgfounder_ft.ecg.formats.wfdb import read_recording, write_recording
from ecgfounder_ft.ecg.leads import STANDARD_LEADS
from ecgfounder_ft.ecg.preprocessing import Preprocessing
from ecgfounder_ft.ecg.preprocessing_settings import Window

SLOW_BUILD = """
import sys, time
from pathlib import Path
import pandas as pd
from ecgfounder_ft.data.store import shard
from ecgfounder_ft.data.store.signal_store import build_store
from ecgfounder_ft.ecg.preprocessing import Preprocessing
from ecgfounder_ft.ecg.preprocessing_settings import Window

def slowly(path, read=shard.read_recording, **settings):
    time.sleep(float(pause))
    return read(path, **settings)

table, folder, workers, pause = sys.argv[1:]
if __name__ == "__main__":
    if workers == "1":
        shard.read_recording = slowly
    preprocessing = Preprocessing(window=Window(seconds=1.0))
    stored = build_store(pd.read_csv(table), preprocessing, Path(folder), int(workers), progress=False)
    print(len(stored))
"""


@pytest.fixture
def preprocessing() -> Preprocessing:
    return Preprocessing(window=Window(seconds=1.0))


def make_table(folder: Path, n: int) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    paths = [
        write_recording(folder, f"r{number}", rng.normal(size=(12, 600)), STANDARD_LEADS, 500, storage="dat")
        for number in range(n)
    ]
    return pd.DataFrame({"recording": [path.stem for path in paths], "path": list(map(str, paths))})


def start_build(tmp_path: Path, table: pd.DataFrame, workers: int, pause: float = 0.0) -> subprocess.Popen:
    table.to_csv(tmp_path / "table.csv", index=False)
    (tmp_path / "build.py").write_text(SLOW_BUILD)
    command = [sys.executable, "build.py", "table.csv", "store", str(workers), str(pause)]
    return subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for(condition, seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.01)


def check(table: pd.DataFrame, preprocessing: Preprocessing, folder: Path) -> None:
    """All recordings are there with the right numbers, and nothing else is."""
    stored = build_store(table, preprocessing, folder, progress=False)
    assert stored.rows["recording"].tolist() == table["recording"].tolist()
    expected = [preprocessing(read_recording(Path(path))).signal for path in table["path"]]
    np.testing.assert_array_equal(stored.read(range(len(table))), expected)
    assert not list(stored.folder.glob(".*.temporary"))


@pytest.mark.parametrize("workers", [1, 2])
def test_fingerprints_are_kept_beside_the_signals(tmp_path, preprocessing, workers):
    table = make_table(tmp_path / "data", 3 if workers == 1 else 520)
    stored = build_store(table, preprocessing, tmp_path / "store", workers, progress=False)
    again = build_store(table[::-1], preprocessing, tmp_path / "store", workers, progress=False)
    assert stored.fingerprints.shape == (len(table), 128 + 78)
    assert (again.fingerprints[::-1] == stored.fingerprints).all()
    for number in (0, len(table) - 1):
        recording = read_recording(Path(table["path"][number]), leads=preprocessing.leads)
        assert (stored.fingerprints[number] == fingerprint(recording.signal, 500.0)).all()


def rows_built(folder: Path, preprocessing: Preprocessing) -> int:
    return len(read_index(folder / store_name(preprocessing), 4 * 12 * 500))


def children_of(process: int) -> list[int]:
    listing = subprocess.run(["ps", "--ppid", str(process), "-o", "pid="], capture_output=True, text=True).stdout
    return [int(child) for child in listing.split()]


def is_running(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


@pytest.mark.parametrize("moment", [40, *(pytest.param(moment, marks=pytest.mark.slow) for moment in (1, 75))])
def test_a_build_killed_in_the_middle_goes_on(tmp_path, preprocessing, moment):
    table = make_table(tmp_path / "data", 100)
    process = start_build(tmp_path, table, workers=1, pause=0.01)
    store = tmp_path / "store" / store_name(preprocessing)

    def size(file: Path) -> int:
        try:
            return file.stat().st_size
        except FileNotFoundError:  # renamed meanwhile
            return 0

    def written() -> int:
        return sum(size(file) for pattern in (".*.temporary", "shard-*.npy") for file in store.glob(pattern))

    wait_for(lambda: written() >= moment * 24_000)
    process.kill()
    process.communicate()
    before = rows_built(tmp_path / "store", preprocessing)
    assert before < 100
    assert before >= moment - 32  # whole shards are kept
    assert list(store.glob(".*.temporary"))
    finished = {file.name: file.stat().st_mtime_ns for file in store.glob("shard-*.npy")}
    check(table, preprocessing, tmp_path / "store")
    assert rows_built(tmp_path / "store", preprocessing) == 100
    kept = {name: (store / name).stat().st_mtime_ns for name in finished if (store / name).exists()}
    assert len([name for name in kept if kept[name] == finished[name]]) >= before // 32


@pytest.mark.slow
def test_killing_a_build_of_several_processes_leaves_none_behind(tmp_path, preprocessing):
    table = make_table(tmp_path / "data", 1000)
    process = start_build(tmp_path, table, workers=2)
    wait_for(lambda: rows_built(tmp_path / "store", preprocessing) > 0)
    children = children_of(process.pid)
    assert len(children) >= 2
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    wait_for(lambda: not any(map(is_running, children)), 10)
    assert 0 < rows_built(tmp_path / "store", preprocessing) < 1000
    check(table, preprocessing, tmp_path / "store")


@pytest.mark.slow
def test_a_worker_that_dies_ends_the_build_in_words(tmp_path, preprocessing):
    table = make_table(tmp_path / "data", 1000)
    process = start_build(tmp_path, table, workers=2)
    wait_for(lambda: rows_built(tmp_path / "store", preprocessing) > 0)
    for child in children_of(process.pid):
        os.kill(child, signal.SIGKILL)
    _, errors = process.communicate()
    assert "StoreBuildError: a process that was building" in errors
    assert "what was built is kept" in errors
    check(table, preprocessing, tmp_path / "store")


def test_two_builds_at_once_do_the_work_once(tmp_path, preprocessing):
    table = make_table(tmp_path / "data", 60)
    processes = [start_build(tmp_path, table, workers=1, pause=0.02) for _ in range(2)]
    outputs = [process.communicate() for process in processes]
    assert [output for output, _ in outputs] == ["60\n", "60\n"], outputs
    assert rows_built(tmp_path / "store", preprocessing) == 60
    check(table, preprocessing, tmp_path / "store")


def test_a_store_without_locks_is_built_all_the_same(tmp_path, preprocessing, monkeypatch, caplog):
    def no_locks(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", no_locks)
    check(make_table(tmp_path / "data", 5), preprocessing, tmp_path / "store")
    assert "has no locks" in caplog.text


@pytest.fixture
def small_disk(tmp_path) -> Path:
    """A file system of 2 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    options = ["-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)]
    if os.geteuid() or not shutil.which("mount") or subprocess.run(["mount", *options]).returncode:
        pytest.skip("a small file system can only be mounted as root")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_disk_too_small_is_said_before_the_work(tmp_path, preprocessing, small_disk):
    table = make_table(tmp_path / "data", 100)
    with pytest.raises(StoreFullError, match=r"100 recordings take 2\.4 MB, 2\.. MB are free in .*disk"):
        build_store(table, preprocessing, small_disk, progress=False)
    assert rows_built(small_disk, preprocessing) == 0
    check(table.iloc[:50], preprocessing, small_disk)


def test_a_disk_that_fills_during_the_work_keeps_what_was_built(tmp_path, preprocessing, small_disk, monkeypatch):
    table = make_table(tmp_path / "data", 70)
    others = small_disk / "of somebody else"
    read = shard.read_recording

    def read_while_others_write(path, **settings):
        if Path(path).stem == "r40":
            others.write_bytes(bytes(shutil.disk_usage(small_disk).free - 40_000))
        return read(path, **settings)

    monkeypatch.setattr(shard, "read_recording", read_while_others_write)
    with pytest.raises(StoreFullError, match=r"ran full.*32 recordings take 0\.8 MB, 0\.. MB are free.*is kept"):
        build_store(table, preprocessing, small_disk, progress=False)
    assert rows_built(small_disk, preprocessing) == 32
    others.unlink()
    monkeypatch.undo()
    check(table, preprocessing, small_disk)


def test_only_the_remains_of_dead_writers_are_removed(tmp_path, preprocessing):
    store = tmp_path / "store" / store_name(preprocessing)
    store.mkdir(parents=True)
    (store / ".1.temporary").touch()
    abandoned, recent = (store / f".index-{name}.parquet.0.unfinished" for name in ("a", "b"))
    for file in (abandoned, recent):
        file.touch()
    os.utime(abandoned, (0, 0))
    with temporary_file(store) as (_, alive):
        build_store(make_table(tmp_path / "data", 2), preprocessing, tmp_path / "store", progress=False)
        assert set(store.glob(".*")) == {alive, recent}


@pytest.mark.slow
def test_jobs_of_a_cluster_build_the_same_store(tmp_path, preprocessing):
    submitit = pytest.importorskip("submitit", reason="the extra 'slurm' is not installed")
    table = make_table(tmp_path / "data", 200)
    Path(table["path"][7]).unlink()
    executor = submitit.LocalExecutor(tmp_path / "jobs")
    executor.update_parameters(timeout_min=5)
    stored = build_store(table, preprocessing, tmp_path / "store", progress=False, executor=executor, jobs=3)
    assert stored.skipped["reason"].to_dict() == {7: "header cannot be read"}
    check(table.drop(index=7), preprocessing, tmp_path / "store")
    alone = build_store(table, preprocessing, tmp_path / "alone", progress=False)
    assert {file.name for file in alone.folder.glob("shard-*")} == {file.name for file in stored.folder.glob("shard-*")}


@pytest.mark.slow
def test_a_job_that_fails_ends_the_build_in_words(tmp_path, preprocessing):
    submitit = pytest.importorskip("submitit", reason="the extra 'slurm' is not installed")
    table = make_table(tmp_path / "data", 100)
    executor = submitit.LocalExecutor(tmp_path / "jobs")
    executor.update_parameters(timeout_min=5)
    preprocessing.notch.frequency = -1.0
    with pytest.raises(StoreBuildError, match=r"(?s)failed; what was built is kept.*ValueError.*while preprocessing"):
        build_store(table, preprocessing, tmp_path / "store", progress=False, executor=executor, jobs=2)
