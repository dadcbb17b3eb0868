"""Batches: whole, in an order that the seed and the epoch decide, and going on where a run was interrupted."""

import numpy as np
import pandas as pd
import pytest
import pytorch_lightning as pl
import torch

from ecgfounder_ft.data.batches import BatchOrder
from ecgfounder_ft.data.datamodule import ECGDataModule, balanced_weights
from ecgfounder_ft.data.store.index import checksum_of
from ecgfounder_ft.data.store.signal_store import StoredSignals
from ecgfounder_ft.labels import ABSENT, PRESENT, UNKNOWN
from ecgfounder_ft.task import MULTI_LABEL, SINGLE_LABEL, task_named

CODES = ("NORM", "AFIB", "LBBB")
SHAPE = (2, 8)


@pytest.fixture
def stored(tmp_path) -> StoredSignals:
    """100 recordings in two shards; every sample of recording k is k."""
    for shard in range(2):
        signal = np.empty((50, *SHAPE), dtype=np.float32)
        signal[:] = np.arange(50 * shard, 50 * shard + 50)[:, None, None]
        np.save(tmp_path / f"shard-{shard}.npy", signal)
    order = np.random.default_rng(0).permutation(100)
    shards = [f"shard-{number}.npy" for number in order // 50]
    checksums = [checksum_of(np.full(SHAPE, number, dtype=np.float32)) for number in order]
    rows = pd.DataFrame({"recording": order.astype(str), "shard": shards, "row": order % 50, "checksum": checksums})
    return StoredSignals(tmp_path, rows, pd.DataFrame(), {}, SHAPE)


@pytest.fixture
def split() -> list[str]:
    return ["train"] * 70 + ["validation"] * 14 + ["test"] * 14 + ["excluded"] * 2


@pytest.fixture
def targets() -> np.ndarray:
    targets = np.full((100, 3), ABSENT, dtype=np.int8)
    targets[np.arange(100), np.random.default_rng(1).choice(3, 100, p=[0.8, 0.15, 0.05])] = PRESENT
    return targets


def indices(loader) -> list[list[int]]:
    return [batch["index"].tolist() for batch in loader]


def test_batches_hold_what_they_say(stored, split, targets):
    module = ECGDataModule(stored, split, targets, CODES, SINGLE_LABEL, batch_size=32)
    batches = list(module.train_dataloader())
    assert [len(batch["signal"]) for batch in batches] == [32, 32, 6]
    for batch in batches:
        index = batch["index"].numpy()
        expected = stored.rows["recording"].to_numpy(int)[index]
        np.testing.assert_array_equal(batch["signal"], np.broadcast_to(expected[:, None, None], (len(index), *SHAPE)))
        np.testing.assert_array_equal(batch["target"], targets[index])
        assert [batch[key].dtype for key in ("signal", "target", "index")] == [torch.float32, torch.int8, torch.int64]
    assert sorted(np.concatenate(indices(batches))) == list(range(70))
    assert indices(module.val_dataloader()) == [list(range(70, 84))]
    assert indices(module.test_dataloader()) == [list(range(84, 98))]


def test_single_label_leaves_out_what_has_no_class(stored, split, targets):
    targets[0] = [PRESENT, PRESENT, ABSENT]
    targets[1] = [ABSENT, UNKNOWN, ABSENT]
    targets[70] = ABSENT
    module = ECGDataModule(stored, split, targets, CODES, SINGLE_LABEL)
    assert module.unusable == {"train": 2, "validation": 1, "test": 0}
    assert not {0, 1, 70} & set(np.concatenate(list(module.positions.values())))
    multi = ECGDataModule(stored, split, targets, CODES, MULTI_LABEL)
    assert multi.unusable == {"train": 0, "validation": 0, "test": 0}


def test_the_order_follows_from_seed_and_epoch():
    def epochs(seed: int) -> list[list[list[int]]]:
        order = BatchOrder(np.arange(50), 8, shuffle=True, seed=seed)
        orders = []
        for epoch in range(3):
            order.set_epoch(epoch)
            orders.append([batch.tolist() for batch in order])
        return orders

    assert epochs(1) == epochs(1) != epochs(2)
    first, second, third = epochs(1)
    assert first != second != third
    assert all(sorted(np.concatenate(epoch)) == list(range(50)) for epoch in (first, second, third))


@pytest.mark.parametrize("n", [1, 3, 31, 32, 33, 64, 100])
def test_processes_share_each_batch(n):
    whole = [batch.tolist() for batch in BatchOrder(np.arange(n), 16, shuffle=True, seed=4)]
    parts = [
        [batch.tolist() for batch in BatchOrder(np.arange(n), 4, shuffle=True, seed=4, processes=4, process=process)]
        for process in range(4)
    ]
    assert {len(part) for part in parts} == {len(whole)}
    for number, batch in enumerate(whole):
        together = [position for part in parts for position in part[number]]
        assert all(part[number] for part in parts)
        assert set(together) == set(batch)
        assert together == batch or len(batch) < 4


def test_the_balanced_sampler_draws_conditions_equally_on_the_training_side_alone(stored, split, targets):
    module = ECGDataModule(stored, split, targets, CODES, SINGLE_LABEL, imbalance="balanced_sampler")
    loader = module.train_dataloader()
    drawn = []
    for epoch in range(40):
        loader.sampler.set_epoch(epoch)
        drawn += [batch["target"].argmax(dim=1) for batch in loader]
    shares = np.bincount(np.concatenate(drawn)) / sum(map(len, drawn))
    np.testing.assert_allclose(shares, 1 / 3, atol=0.03)
    assert sorted(np.concatenate(indices(module.val_dataloader()))) == list(range(70, 84))


def test_balanced_weights_count_none_as_a_condition():
    targets = np.array([[1, 0], [1, 0], [1, 1], [0, 0], [0, -1], [0, 0], [0, 0]], dtype=np.int8)
    np.testing.assert_allclose(balanced_weights(targets), [1 / 3, 1 / 3, 4 / 3, 1 / 4, 1 / 4, 1 / 4, 1 / 4])


def test_contradictions_are_refused(stored, split, targets):
    with pytest.raises(ValueError, match="expected one of"):
        ECGDataModule(stored, split, targets, CODES, MULTI_LABEL, imbalance="smote")
    with pytest.raises(ValueError, match="expected one of"):
        ECGDataModule(stored, split, targets, CODES, task_named("both"))
    with pytest.raises(ValueError, match="100 sides"):
        ECGDataModule(stored, split, targets[:, :2], CODES, MULTI_LABEL)
    with pytest.raises(ValueError, match="no recording to train on"):
        ECGDataModule(stored, ["test"] * 100, targets, CODES, MULTI_LABEL)


def test_a_failing_read_reaches_the_caller(stored, split, targets):
    loader = ECGDataModule(stored, split, targets, CODES, SINGLE_LABEL).train_dataloader()
    (stored.folder / "shard-1.npy").unlink()
    with pytest.raises(FileNotFoundError, match="shard-1"):
        list(loader)


def test_worker_processes_give_the_same_batches(stored, split, targets):
    alone, by_workers = (
        list(ECGDataModule(stored, split, targets, CODES, SINGLE_LABEL, workers=workers).train_dataloader())
        for workers in (0, 1)
    )
    assert indices(alone) == indices(by_workers)
    torch.testing.assert_close(alone, by_workers)


class Recorder(pl.LightningModule):
    """Notes which recordings each training step got, and stops in the middle when told to."""

    def __init__(self, stop_at: int | None = None) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(1, 1)
        self.stop_at = stop_at
        self.seen: list[tuple[int, list[int]]] = []

    def training_step(self, batch, batch_idx):
        if len(self.seen) == self.stop_at:
            raise KeyboardInterrupt
        self.seen.append((self.current_epoch, batch["index"].tolist()))
        return self.layer(batch["signal"].mean().reshape(1, 1)).sum()

    def validation_step(self, batch, batch_idx):
        pass

    def predict_step(self, batch, batch_idx):
        return batch["index"]

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.0)


def trainer(folder, **options) -> pl.Trainer:
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False, "accelerator": "cpu"}
    return pl.Trainer(default_root_dir=folder, **{"max_epochs": 3, **quiet, **options})


@pytest.mark.parametrize(
    ("every", "workers"), [(1, 0), (2, 0), (4, 0), (5, 0), pytest.param(3, 2, marks=pytest.mark.slow)]
)
def test_a_resumed_run_sees_the_batches_that_were_left(stored, split, targets, tmp_path, every, workers):
    def fit(model: Recorder, resume: str | None = None) -> list[tuple[int, list[int]]]:
        module = ECGDataModule(stored, split, targets, CODES, SINGLE_LABEL, batch_size=16, seed=5, workers=workers)
        callback = pl.callbacks.ModelCheckpoint(tmp_path, "{step}", every_n_train_steps=1, save_top_k=-1)
        trainer(tmp_path, callbacks=[callback]).fit(model, module, ckpt_path=resume)
        return model.seen

    everything = fit(Recorder())
    assert len(everything) == 15
    for step in (every, every + 5):
        resumed = fit(Recorder(), str(tmp_path / f"step={step}.ckpt"))
        assert resumed == everything[step:]


def test_a_checkpoint_of_the_end_of_an_epoch_resumes_in_the_next(stored, split, targets, tmp_path):
    def fit(model: Recorder, epochs: int, resume: str | None = None, batch_size: int = 16) -> list:
        module = ECGDataModule(stored, split, targets, CODES, SINGLE_LABEL, batch_size=batch_size, seed=5)
        callback = pl.callbacks.ModelCheckpoint(tmp_path, save_last=True)
        trainer(tmp_path, callbacks=[callback], max_epochs=epochs).fit(model, module, ckpt_path=resume)
        return model.seen

    everything = fit(Recorder(), 3)
    (tmp_path / "last.ckpt").unlink()
    fit(Recorder(), 2)
    last = str((tmp_path / "last.ckpt").rename(tmp_path / "second_epoch.ckpt"))
    assert fit(Recorder(), 3, last) == everything[10:]
    assert len(fit(Recorder(), 3, last, batch_size=35)) == 2


def test_a_checkpoint_amid_an_epoch_of_other_length_is_refused(stored, split, targets):
    loader = ECGDataModule(stored, split, targets, CODES, SINGLE_LABEL, batch_size=16).train_dataloader()
    with pytest.raises(ValueError, match=r"after batch 2 of 9.*has 5 batches"):
        loader.load_state_dict({"epoch": 1, "given": 2, "batches": 9})


def test_lightning_predicts_each_recording_once(stored, split, targets, tmp_path):
    module = ECGDataModule(stored, split, targets, CODES, SINGLE_LABEL, batch_size=4)
    given = trainer(tmp_path).predict(Recorder(), module.loader("test"))
    assert torch.cat(given).tolist() == list(range(84, 98))


@pytest.mark.slow
def test_two_processes_train_on_all_recordings_once(stored, split, targets, tmp_path):
    module = ECGDataModule(stored, split, targets, CODES, SINGLE_LABEL, batch_size=8)
    runner = trainer(tmp_path, strategy="ddp_spawn", devices=2, max_epochs=1, callbacks=[WriteSeen(tmp_path)])
    runner.fit(Recorder(), module)
    seen = [np.loadtxt(tmp_path / f"seen{rank}.txt", dtype=int) for rank in range(2)]
    assert sorted(np.concatenate(seen)) == list(range(70))


class WriteSeen(pl.Callback):
    def __init__(self, folder) -> None:
        self.folder = folder

    def on_train_end(self, trainer, pl_module):
        seen = [position for _, batch in pl_module.seen for position in batch]
        np.savetxt(self.folder / f"seen{trainer.global_rank}.txt", seen, fmt="%d")
