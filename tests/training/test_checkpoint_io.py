"""A checkpoint is whole, or the one before it stays."""

import os
import resource
from pathlib import Path

import pytest
import torch

from ecgfounder_ft.files import WriteError
from ecgfounder_ft.training.checkpoint_io import WholeCheckpoints


def test_a_full_disk_is_told_and_the_checkpoint_before_stays(tmp_path: Path) -> None:
    file = tmp_path / "checkpoints" / "last.ckpt"
    WholeCheckpoints().save_checkpoint({"state_dict": {"a": torch.zeros(4)}}, file)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8192, hard))  # fails as a full disk does
    try:
        with pytest.raises(WriteError, match=r"last\.ckpt cannot be written"):
            WholeCheckpoints().save_checkpoint({"state_dict": {"a": torch.zeros(100_000)}}, file)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert torch.load(file, weights_only=True)["state_dict"]["a"].shape == (4,)
    assert [entry.name for entry in file.parent.iterdir()] == ["last.ckpt"]


def test_it_is_written_beside_the_one_it_replaces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From another file system it could only be copied into place."""
    moves: list[tuple[Path, Path]] = []
    replace = Path.replace
    monkeypatch.setattr(Path, "replace", lambda old, new: (moves.append((old, new)), replace(old, new))[1])
    WholeCheckpoints().save_checkpoint({"epoch": 1}, os.fspath(tmp_path / "last.ckpt"))
    assert [(old.parent, new) for old, new in moves] == [(tmp_path, tmp_path / "last.ckpt")]
