from pathlib import Path

import numpy as np
import pytest
import torch

from ecgfounder_ft.data.augmentation import Augmentation
from ecgfounder_ft.data.batches import BatchOrder, RecordingBatches, batch_loader
from ecgfounder_ft.data.store.frozen_output_views import ChangedSignals, StoredViews, store_views
from tests.fake_store import FakeStore, mean_over_time, ten_signals
from tests.settings import augmentation

AUGMENTATION = augmentation(probability=1.0, amplitude_scale=0.5, time_shift=0.01, stored_views=3)
TRAINING = np.array([8, 2, 5, 1])


def _views(signals: FakeStore, chosen: Augmentation = AUGMENTATION, batch_size: int = 4) -> StoredViews:
    found = store_views(signals, TRAINING, chosen, mean_over_time, "mean", batch_size)
    assert found is not None
    return found


def test_a_changed_recording_follows_from_seed_view_and_recording_alone(tmp_path: Path) -> None:
    signals = ten_signals(tmp_path)

    def changed(view: int, **settings: float) -> ChangedSignals:
        chosen = augmentation(**{"probability": 1.0, "amplitude_scale": 0.5} | settings)
        return ChangedSignals(signals, TRAINING, chosen, view)

    first = changed(0)
    whole = first.read([0, 1, 2, 3])
    assert np.array_equal(first.read([2]), whole[[2]])
    assert np.array_equal(first.read([3, 0]), whole[[3, 0]])
    factors = whole / signals.signals[TRAINING]
    assert len(np.unique(factors[:, 0, 0].round(5))) == 4  # one factor per recording
    np.testing.assert_allclose(factors, np.broadcast_to(factors[:, :1, :1], factors.shape), rtol=1e-4)
    for other in (changed(1), changed(0, seed=1)):
        assert not np.isclose(other.read([0, 1, 2, 3]), whole).all(axis=(1, 2)).any()
    with pytest.raises(ValueError, match="mixup"):
        changed(0, mixup=0.2)


def test_a_view_is_read_by_the_positions_of_the_whole_store(tmp_path: Path) -> None:
    signals = ten_signals(tmp_path)
    views = _views(signals)
    assert len(views) == 30
    assert views.shape == (3,)
    for view in range(3):
        changed = ChangedSignals(signals, np.array([5, 8]), AUGMENTATION, view)
        expected = changed.read([0, 1]).mean(axis=2)
        np.testing.assert_allclose(views.read(np.array([5, 8]) + 10 * view), expected, rtol=1e-5, atol=1e-7)
    for wrong in ([5, 18], [0], [35]):  # two views, not a training recording, no such view
        with pytest.raises(IndexError):
            views.read(wrong)


def test_views_are_found_again_whatever_their_number_and_the_batch_size(tmp_path: Path) -> None:
    signals = ten_signals(tmp_path)
    _views(signals)
    files = set(tmp_path.glob("*.npy"))
    assert len(files) == 3
    fewer = augmentation(probability=1.0, amplitude_scale=0.5, time_shift=0.01, stored_views=2)
    _views(signals, fewer, batch_size=3)
    assert set(tmp_path.glob("*.npy")) == files
    _views(signals, augmentation(probability=1.0, amplitude_scale=0.4, stored_views=1))
    assert len(set(tmp_path.glob("*.npy"))) == 4


def test_epochs_take_the_views_in_turn(tmp_path: Path) -> None:
    signals = ten_signals(tmp_path)
    views = _views(signals)
    targets = np.eye(10, dtype=np.int8)
    order = BatchOrder(TRAINING, 3, shuffle=True, views=3, stride=10)
    loader = batch_loader(RecordingBatches(views, targets), order)
    for epoch in range(4):
        order.set_epoch(epoch)
        batches = list(loader)
        index = torch.cat([batch["index"] for batch in batches]).numpy()
        assert sorted(index) == sorted(TRAINING)
        assert torch.equal(torch.cat([batch["target"] for batch in batches]), torch.from_numpy(targets[index]))
        expected = views.read(index + 10 * (epoch % 3))
        assert np.array_equal(torch.cat([batch["signal"] for batch in batches]).numpy(), expected)
