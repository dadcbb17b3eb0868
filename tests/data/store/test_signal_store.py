"""The signal store: the same numbers as reading and preprocessing one by one, and nothing lost whatever happens."""

import errno
import json
import os
import pickle
import shutil
from collections import namedtuple
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ecgfounder_ft.data.store import shard, signal_store
from ecgfounder_ft.data.store.index import DamagedStoreError
from ecgfounder_ft.data.store.shard import StoreFullError, signal_hash
from ecgfounder_ft.data.store.signal_store import StoredSignals, build_store, store_name
from ecgfounder_ft.ecg.formats.wfdb import read_recording, write_recording
from ecgfounder_ft.ecg.leads import STANDARD_LEADS
from ecgfounder_ft.ecg.preprocessing import Preprocessing
from ecgfounder_ft.ecg.preprocessing_settings import Window
from ecgfounder_ft.ecg.quality import misfit


@pytest.fixture
def preprocessing() -> Preprocessing:
    return Preprocessing(baseline_median=None, window=Window(seconds=1.0))


def make_recordings(folder: Path, n: int, start: int = 0) -> pd.DataFrame:
    paths = []
    for number in range(start, start + n):
        signal = np.random.default_rng(number).normal(size=(12, 600))
        storage = "dat" if number % 2 else "mat"
        paths.append(write_recording(folder, f"r{number}", signal, STANDARD_LEADS, 500, storage=storage))
    recordings = [f"made/{path.stem}" for path in paths]
    return pd.DataFrame({"recording": recordings, "path": list(map(str, paths))}, index=range(100, 100 + n))


def build(table: pd.DataFrame, preprocessing: Preprocessing, folder: Path, workers: int = 1) -> StoredSignals:
    return build_store(table, preprocessing, folder, workers, progress=False)


def expected(table: pd.DataFrame, preprocessing: Preprocessing) -> np.ndarray:
    return np.stack([preprocessing(read_recording(Path(path))).signal for path in table["path"]])


@pytest.fixture
def built(monkeypatch) -> list[str]:
    """The paths that were preprocessed, in order."""
    paths: list[str] = []
    original = shard.read_recording

    def counted(path, **settings):
        paths.append(Path(path).stem)
        return original(path, **settings)

    monkeypatch.setattr(shard, "read_recording", counted)
    return paths


def test_gives_the_numbers_of_the_plain_way(tmp_path, preprocessing):
    table = make_recordings(tmp_path / "data", 70)
    stored = build(table, preprocessing, tmp_path / "store")
    assert stored.rows.index.equals(table.index)
    assert stored.rows["recording"].tolist() == table["recording"].tolist()
    order = np.random.default_rng(0).integers(0, 70, 200)
    np.testing.assert_array_equal(stored.read(order), expected(table, preprocessing)[order])
    assert stored.repairs["cropped"] == 70
    assert stored.repairs[misfit("aVL")] == 70  # the recordings are noise
    assert stored.folder.name == store_name(preprocessing)
    settings = json.loads((stored.folder / "settings.json").read_text())
    assert settings["preprocessing"] == preprocessing.to_dict()


def test_shards_are_plain_numpy_files(tmp_path, preprocessing):
    table = make_recordings(tmp_path / "data", 5)
    stored = build(table, preprocessing, tmp_path / "store")
    (shard,) = stored.folder.glob("shard-*.npy")
    np.testing.assert_array_equal(np.load(shard, mmap_mode="r"), stored.read(range(5)))


def test_processes_give_the_same_shards(tmp_path, preprocessing):
    table = make_recordings(tmp_path / "data", 300)
    alone = build(table, preprocessing, tmp_path / "one")
    several = build(table, preprocessing, tmp_path / "two", workers=2)
    pd.testing.assert_frame_equal(alone.rows, several.rows)
    np.testing.assert_array_equal(alone.read(range(300)), several.read(range(300)))


def test_growing_builds_only_what_is_missing(tmp_path, preprocessing, built):
    table = make_recordings(tmp_path / "data", 50)
    build(table.iloc[:30], preprocessing, tmp_path / "store")
    assert len(built) == 30
    stored = build(table, preprocessing, tmp_path / "store")
    assert len(built) == 50
    build(table, preprocessing, tmp_path / "store")
    build(table.iloc[10:20], preprocessing, tmp_path / "store")
    assert len(built) == 50
    np.testing.assert_array_equal(stored.read(range(50)), expected(table, preprocessing))


def test_other_settings_are_another_store(tmp_path, preprocessing):
    table = make_recordings(tmp_path / "data", 3)
    twelve = build(table, preprocessing, tmp_path / "store")
    one = build(table, Preprocessing(leads=["I"], window=Window(seconds=1.0)), tmp_path / "store")
    assert twelve.folder != one.folder
    assert one.read([0]).shape == (1, 1, 500)


def test_a_changed_source_file_is_noticed(tmp_path, preprocessing, built):
    table = make_recordings(tmp_path / "data", 4)
    before = build(table, preprocessing, tmp_path / "store").read(range(4))
    signal = np.random.default_rng(99).normal(size=(12, 600))
    write_recording(tmp_path / "data", "r2", signal, STANDARD_LEADS, 500, storage="mat")
    after = build(table, preprocessing, tmp_path / "store").read(range(4))
    assert built == ["r0", "r1", "r2", "r3", "r2"]
    assert (before[2] != after[2]).any()
    np.testing.assert_array_equal(after, expected(table, preprocessing))


def test_a_changed_header_is_noticed(tmp_path, preprocessing):
    table = make_recordings(tmp_path / "data", 2)
    first = build(table, Preprocessing(window=Window(seconds=1.0), scale=None), tmp_path / "store").read([0])
    header = Path(table["path"].iloc[0])
    header.write_text(header.read_text().replace(" 1000.0(0)/mV", " 2000.0(0)/mV"))
    second = build(table, Preprocessing(window=Window(seconds=1.0), scale=None), tmp_path / "store").read([0])
    np.testing.assert_allclose(second, first / 2, atol=1e-5)


def test_a_moved_or_touched_dataset_is_not_built_again(tmp_path, preprocessing, built):
    table = make_recordings(tmp_path / "data", 6)
    before = build(table, preprocessing, tmp_path / "store").read(range(6))
    (tmp_path / "data").rename(tmp_path / "elsewhere")
    moved = table.assign(path=table["path"].str.replace("/data/", "/elsewhere/"))
    after = build(moved, preprocessing, tmp_path / "store")
    np.testing.assert_array_equal(after.read(range(6)), before)
    assert len(built) == 6
    assert not after.skipped.size


def test_skipped_recordings_are_listed_and_tried_again_when_they_change(tmp_path, preprocessing, built):
    table = make_recordings(tmp_path / "data", 6)
    signal_file = tmp_path / "data" / "r1.dat"
    content = signal_file.read_bytes()
    signal_file.write_bytes(content[:100])
    (tmp_path / "data" / "r3.dat").unlink()
    (tmp_path / "data" / "r4.hea").unlink()
    stored = build(table, preprocessing, tmp_path / "store")
    assert stored.skipped.index.tolist() == [101, 103, 104]
    assert stored.skipped["reason"].tolist() == [
        "signal file is truncated",
        "signal file is missing",
        "header cannot be read",
    ]
    assert stored.rows.index.tolist() == [100, 102, 105]
    np.testing.assert_array_equal(stored.read([2]), expected(table.iloc[5:], preprocessing))
    built.clear()
    again = build(table, preprocessing, tmp_path / "store")
    assert built == []
    pd.testing.assert_frame_equal(again.skipped, stored.skipped)
    signal_file.write_bytes(content)
    assert build(table, preprocessing, tmp_path / "store").skipped.index.tolist() == [103, 104]


def test_nothing_usable_is_an_empty_store(tmp_path, preprocessing):
    table = pd.DataFrame({"recording": ["made/x"], "path": [str(tmp_path / "x.hea")]})
    stored = build(table, preprocessing, tmp_path / "store")
    assert len(stored) == 0
    assert stored.read([]).shape == (0, 12, 500)
    assert stored.skipped["reason"].tolist() == ["header cannot be read"]


def test_a_recording_under_two_paths_is_stored_once(tmp_path, preprocessing, built):
    table = make_recordings(tmp_path / "data", 2)
    shutil.copytree(tmp_path / "data", tmp_path / "copy")
    twice = pd.concat([table, table.assign(path=table["path"].str.replace("/data/", "/copy/"))], ignore_index=True)
    stored = build(twice, preprocessing, tmp_path / "store")
    assert len(built) == 2
    assert stored.rows["row"].tolist() == [0, 1, 0, 1]


def test_a_damaged_shard_is_built_again(tmp_path, preprocessing, caplog):
    table = make_recordings(tmp_path / "data", 5)
    first = build(table, preprocessing, tmp_path / "store")
    before = first.read(range(5))
    first.close()
    (shard,) = first.folder.glob("shard-*.npy")
    os.truncate(shard, shard.stat().st_size - 1)
    with pytest.raises(OSError, match="delete this file"):
        first.read([4])
    np.testing.assert_array_equal(build(table, preprocessing, tmp_path / "store").read(range(5)), before)
    assert "damaged" in caplog.text
    (index,) = first.folder.glob("index-*.parquet")
    index.write_bytes(b"PAR1")
    np.testing.assert_array_equal(build(table, preprocessing, tmp_path / "store").read(range(5)), before)


def test_damage_inside_a_shard_is_told_when_it_is_first_read_and_mended_by_a_build(tmp_path, preprocessing, built):
    table = make_recordings(tmp_path / "data", 6)
    before = build(table, preprocessing, tmp_path / "store").read(range(6))
    (shard,) = (tmp_path / "store").glob("*/shard-*.npy")
    content = bytearray(shard.read_bytes())
    content[-24_000 * 2 + 5000 : -24_000 * 2 + 9000] = bytes(4000)  # of the last but one recording
    shard.write_bytes(content)
    stored = build(table, preprocessing, tmp_path / "store")
    np.testing.assert_array_equal(stored.read([0, 5]), before[[0, 5]])
    for _ in range(2):  # not only once
        with pytest.raises(DamagedStoreError, match=rf"{shard.name}: row 4, made/r4, is not .* delete this file"):
            stored.read([5, 4])
    with pytest.raises(DamagedStoreError, match="row 4"):
        pickle.loads(pickle.dumps(stored)).read([4])
    shard.unlink()
    np.testing.assert_array_equal(build(table, preprocessing, tmp_path / "store").read(range(6)), before)
    assert len(built) == 12


def test_every_flipped_bit_of_a_recording_is_told(tmp_path, preprocessing):
    table = make_recordings(tmp_path / "data", 1)
    build(table, preprocessing, tmp_path / "store")
    (shard,) = (tmp_path / "store").glob("*/shard-*.npy")
    content = shard.read_bytes()
    for place in np.random.default_rng(0).integers(128 * 8, len(content) * 8, 50).tolist():
        damaged = bytearray(content)
        damaged[place // 8] ^= 1 << place % 8
        shard.write_bytes(damaged)
        with pytest.raises(DamagedStoreError):
            build(table, preprocessing, tmp_path / "store").read([0])


def test_no_room_is_said_before_the_work(tmp_path, preprocessing, monkeypatch, built):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10**9, 10**9 - 10**5, 10**5))
    with pytest.raises(StoreFullError, match=r"10 recordings take 0\.2 MB, 0\.1 MB are free"):
        build(make_recordings(tmp_path / "data", 10), preprocessing, tmp_path / "store")
    assert built == []


def test_reads_check_their_arguments(tmp_path, preprocessing):
    stored = build(make_recordings(tmp_path / "data", 3), preprocessing, tmp_path / "store")
    for indices in ([3], [-1]):
        with pytest.raises(IndexError):
            stored.read(indices)
    with pytest.raises(ValueError, match="expected C-contiguous float32"):
        stored.read([0], out=np.empty((1, 12, 500)))
    out = np.empty((2, 12, 500), dtype=np.float32)
    assert stored.read([2, 0], out=out) is out
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(stored)).read([2, 0]), out)


def test_more_shards_than_open_files(tmp_path, preprocessing, monkeypatch):
    monkeypatch.setattr(signal_store, "_OPEN_SHARDS", 2)
    table = make_recordings(tmp_path / "data", 5)
    for n in range(1, 6):
        stored = build(table.iloc[:n], preprocessing, tmp_path / "store")
    for order in ([0, 1, 2, 3, 4], [4, 0, 3, 1, 2]):
        np.testing.assert_array_equal(stored.read(order), expected(table, preprocessing)[order])
        assert len(stored._open) == 2


def test_the_signal_hash_knows_neither_name_nor_storage_nor_lead_order(tmp_path):
    signal = np.round(np.random.default_rng(0).normal(size=(12, 50)), 3)
    signal[3, 7] = np.nan
    mimic = ["I", "II", "III", "aVR", "aVF", "aVL", "V1", "V2", "V3", "V4", "V5", "V6"]
    order = [STANDARD_LEADS.index(lead) for lead in mimic]
    a = write_recording(tmp_path, "a", signal, STANDARD_LEADS, 500, storage="mat")
    b = write_recording(tmp_path, "b", signal[order], mimic, 500, storage="dat", gain=2000)
    c = write_recording(tmp_path, "c", signal + 0.001, STANDARD_LEADS, 500, storage="mat")
    hashes = [signal_hash(read_recording(path)) for path in (a, b, c)]
    assert hashes[0] == hashes[1] != hashes[2]


def test_real_copies_have_one_signal_hash(shared):
    georgia = shared / "ecg" / "physionet2021" / "georgia"
    ptb_xl = shared / "ecg" / "physionet2021" / "ptb-xl"
    records500 = shared / "ecg" / "ptbxl-records500"
    for one, other in (
        (next(georgia.rglob("E07509.hea")), next(georgia.rglob("E07510.hea"))),
        (next(ptb_xl.rglob("HR00001.hea")), next(records500.rglob("00001_hr.hea"))),
    ):
        assert signal_hash(read_recording(one)) == signal_hash(read_recording(other))


def test_a_failing_disk_error_number(tmp_path, preprocessing, monkeypatch):
    def full(stream, shape):
        raise OSError(errno.ENOSPC, "No space left on device")

    table = make_recordings(tmp_path / "data", 3)
    with monkeypatch.context() as patch:
        patch.setattr(shard, "write_shard_header", full)
        with pytest.raises(StoreFullError, match=r"ran full.*3 recordings take"):
            build(table, preprocessing, tmp_path / "store")
    folder = tmp_path / "store" / store_name(preprocessing)
    assert {path.name for path in folder.iterdir()} <= {"settings.json", "build.lock"}
    assert len(build(table, preprocessing, tmp_path / "store")) == 3
