import contextlib
import pickle
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch

from ecgfounder_ft.data.store.frozen_outputs import store_activations
from ecgfounder_ft.data.store.index import DamagedStoreError
from tests.fake_store import mean_over_time, ten_signals


def test_outputs_are_read_by_position_and_into_a_batch(tmp_path: Path) -> None:
    signals = ten_signals(tmp_path)
    stored = store_activations(signals, mean_over_time, "mean", batch_size=4)
    assert stored is not None
    assert len(stored) == 10
    assert stored.shape == (3,)
    expected = signals.signals[[7, 0, 7]].mean(axis=2)
    np.testing.assert_allclose(stored.read([7, 0, 7]), expected, rtol=1e-6)
    out = np.empty((3, 3), np.float32)
    assert stored.read(np.array([7, 0, 7]), out=out) is out
    np.testing.assert_allclose(out, expected, rtol=1e-6)
    assert {file.suffix for file in tmp_path.iterdir()} <= {".npy", ".lock"}
    assert len(pickle.dumps(stored)) < 10_000  # a file's name for a worker process, not its content
    assert np.array_equal(pickle.loads(pickle.dumps(stored)).read([3]), stored.read([3]))


def test_outputs_are_computed_once_for_the_same_weights_and_recordings(tmp_path: Path) -> None:
    computed: list[int] = []

    def run(signal: torch.Tensor) -> torch.Tensor:
        computed.append(len(signal))
        return mean_over_time(signal)

    everything, some = ten_signals(tmp_path), ten_signals(tmp_path, [3, 1])
    for signals, what in ((everything, "a"), (everything, "a"), (some, "a"), (everything, "b")):
        stored = store_activations(signals, run, what, batch_size=10)
        assert stored is not None
        np.testing.assert_allclose(stored.read([1]), signals.signals[[1]].mean(axis=2), rtol=1e-6)
    assert [count for count in computed if count > 1] == [10, 2, 10]  # one recording each to learn the shape


def test_what_another_is_computing_is_waited_for(tmp_path: Path) -> None:
    """The first to compute gives the other time to begin, too: it would, if nothing kept it back."""
    signals = ten_signals(tmp_path)
    computed: list[int] = []
    together = threading.Barrier(2)

    def run(signal: torch.Tensor) -> torch.Tensor:
        computed.append(len(signal))
        with contextlib.suppress(threading.BrokenBarrierError):
            together.wait(timeout=0.2)
        return mean_over_time(signal)

    with ThreadPoolExecutor(2) as pool:
        waiting = [pool.submit(store_activations, signals, run, "mean", 10) for _ in range(2)]
    first, second = (one.result() for one in waiting)
    assert computed == [1, 10], "one recording to learn the shape, then all"
    assert first is not None
    assert second is not None
    assert np.array_equal(first.read(range(10)), second.read(range(10)))


def test_an_interrupted_computation_leaves_nothing_that_counts(tmp_path: Path) -> None:
    signals = ten_signals(tmp_path)
    calls: list[int] = []

    def fails(signal: torch.Tensor) -> torch.Tensor:
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return mean_over_time(signal)

    with pytest.raises(KeyboardInterrupt):
        store_activations(signals, fails, "mean", batch_size=4)
    (lock,) = tmp_path.iterdir()
    killed = tmp_path / f".{lock.stem}.npy.0.unfinished"  # as a process leaves it that had no time to clean up
    killed.write_bytes(b"half")
    stored = store_activations(signals, mean_over_time, "mean", batch_size=4)
    assert stored is not None
    np.testing.assert_allclose(stored.read(range(10)), signals.signals.mean(axis=2), rtol=1e-6, atol=1e-7)
    assert not killed.exists()


def test_without_room_on_the_disk_it_says_so_and_does_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=100)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    signals = ten_signals(tmp_path)
    assert store_activations(signals, mean_over_time, "mean", batch_size=4) is None
    assert "computed in every epoch instead" in caplog.text


def test_damaged_outputs_are_told_when_they_are_first_read(tmp_path: Path) -> None:
    signals = ten_signals(tmp_path)
    store_activations(signals, mean_over_time, "mean", batch_size=4)
    (file,) = tmp_path.glob("*.npy")
    content = file.read_bytes()
    np.testing.assert_allclose(np.load(file), signals.signals.mean(axis=2), rtol=1e-6, atol=1e-7)  # a plain .npy
    first = len(content) - 10 * (3 + 1) * 4
    for place in range(first, len(content)):  # of the arrays and of their checksums
        damaged = bytearray(content)
        damaged[place] ^= 16
        file.write_bytes(damaged)
        stored = store_activations(signals, mean_over_time, "mean", batch_size=4)
        assert stored is not None
        with pytest.raises(DamagedStoreError, match=f"{file.name}.*delete this file"):
            stored.read(range(10))
    for damaged in (content[:-1], content[:-40], content + b"0000", content[:50], b""):
        file.write_bytes(damaged)
        with pytest.raises(DamagedStoreError, match=f"{file.name}.*delete this file"):
            store_activations(signals, mean_over_time, "mean", batch_size=4)
    file.unlink()
    again = store_activations(signals, mean_over_time, "mean", batch_size=4)
    assert again is not None
    assert file.read_bytes() == content
