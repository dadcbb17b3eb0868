"""Files that are no model, or no longer: each is refused in words, at once, and nothing of it is run."""

import random
from pathlib import Path

import numpy as np
import pytest
import torch

from ecgfounder_ft.errors import ExplainedError
from ecgfounder_ft.inference.finished_model import FinishedModel, load_model, save_model
from ecgfounder_ft.labels import LabelMap
from ecgfounder_ft.untrusted.errors import WeightsError
from tests.model_files import bad_files, content_of, small_model


@pytest.fixture(scope="module")
def model(label_map: LabelMap) -> FinishedModel:
    return small_model(label_map)


def test_each_of_some_ninety_is_refused_in_words(
    model: FinishedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    marker = tmp_path / "code ran"
    monkeypatch.chdir(tmp_path)
    files = bad_files(model, tmp_path / "files", marker)
    assert len(files) > 100
    problems = {}
    for name, file in files.items():
        try:
            load_model(file)
            problems[name] = "was loaded"
        except ExplainedError as error:
            if "files/" not in str(error) or len(str(error)) > 2000:
                problems[name] = f"said: {error!s:.500}"
        except Exception as error:
            problems[name] = f"ended in {type(error).__name__}: {error!s:.500}"
    assert not problems
    assert not marker.exists()


def test_a_flipped_bit_anywhere_is_an_error(model: FinishedModel, tmp_path: Path) -> None:
    file = tmp_path / "model.pth"
    save_model(model, file)
    whole = file.read_bytes()
    chosen = random.Random(0)
    ends = [*range(300), *range(len(whole) - 800, len(whole))]
    for place in [*ends, *(chosen.randrange(len(whole)) for _ in range(300))]:
        damaged = bytearray(whole)
        damaged[place] ^= 1 << chosen.randrange(8)
        file.write_bytes(damaged)
        with pytest.raises(ExplainedError):
            load_model(file)
    file.write_bytes(whole)
    load_model(file)


def test_files_without_a_digest_load_and_their_checksums_count(
    model: FinishedModel, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    file = tmp_path / "model.pth"
    torch.save(content_of(model), file)
    signals = np.random.default_rng(0).normal(size=(2, 12, 64)).astype(np.float32)
    np.testing.assert_array_equal(load_model(file).probabilities(signals), model.probabilities(signals))
    assert caplog.text.count("carries no digest") == 1
    caplog.clear()
    save_model(model, file)
    load_model(file)
    assert "carries no digest" not in caplog.text
    torch.save(content_of(model), file)
    damaged = bytearray(file.read_bytes())
    place = damaged.index(model.net.state_dict()["dense.weight"].numpy().tobytes()[:16])
    damaged[place] ^= 1
    file.write_bytes(damaged)
    with pytest.raises(WeightsError, match="is not what its checksum says"):
        load_model(file)


def test_a_file_that_lost_its_digest_is_not_taken_for_an_older_one(model: FinishedModel, tmp_path: Path) -> None:
    file = tmp_path / "model.pth"
    save_model(model, file)
    content = torch.load(file, weights_only=True)
    torch.save(content, file)
    with pytest.raises(WeightsError, match="the digest at its end is gone"):
        load_model(file)
    del content["sealed"]
    torch.save(content, file)
    load_model(file)
