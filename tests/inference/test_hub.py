"""A model on the Hub: pushed and loaded again, against a stand-in for its HTTP interface."""

import logging
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from huggingface_hub import ModelCard

from ecgfounder_ft import ECGClassifier
from ecgfounder_ft.inference.exported_model import FILES, ExportedModelError
from ecgfounder_ft.inference.hub import HubError, push
from tests.console import console
from tests.inference.hub_stand_in import Repository, StandIn, hub_stand_in

NAME = "my-group/ecg-six-conditions"
TOKEN = "hf_" + "secret" * 6


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[StandIn]:
    """The stand-in, in place of the Hub for this process's client, with an empty cache and a token."""
    import huggingface_hub

    with hub_stand_in() as found:
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", found.url)
        template = found.url + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr("huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        huggingface_hub.close_session()
        yield found
    huggingface_hub.close_session()


def test_a_pushed_model_is_loaded_by_its_name_and_answers_the_same(
    hub: StandIn, exported_run: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        sent = console("push", str(exported_run), NAME, "--revision", "v1")
    assert sent.exit_code == 0, sent.stderr
    repository = hub.repositories[NAME]
    assert repository.private
    assert repository.commits[repository.branches["main"]] == {}
    held = repository.commits[repository.branches["v1"]]
    assert held == {path.name: path.read_bytes() for path in exported_run.iterdir()}
    signal = np.random.default_rng(0).normal(size=(12, 2000))
    how = {"sampling_rate": 500, "leads": list(ECGClassifier.from_pretrained(exported_run).record.preprocessing.leads)}
    expected = ECGClassifier.from_pretrained(exported_run).predict(signal, **how)
    loaded = ECGClassifier.from_pretrained(NAME, revision="v1")
    assert loaded.predict(signal, **how) == expected
    fetched = {path.name for path in (tmp_path / "cache").rglob("*") if path.name in FILES}
    assert fetched == {"config.json", "model.onnx"}  # and not the weights a second time
    # a token reaches the Hub, and nothing else
    assert hub.tokens == {f"Bearer {TOKEN}"}
    shown = sent.stdout + sent.stderr + caplog.text
    assert TOKEN not in shown
    kept = [path for folder in (tmp_path, exported_run) for path in folder.rglob("*") if path.is_file()]
    assert not [path for path in kept if TOKEN.encode() in path.read_bytes()]


def test_what_was_loaded_once_is_there_without_a_network(
    exported_run: Path, monkeypatch: pytest.MonkeyPatch, hub: StandIn, tmp_path: Path
) -> None:
    push(exported_run, NAME)
    before = ECGClassifier.from_pretrained(NAME).predictor.digest
    asked = len(hub.requests)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert ECGClassifier.from_pretrained(NAME).predictor.digest == before
    with pytest.raises(HubError, match="not in the cache"):
        ECGClassifier.from_pretrained(NAME, backend="torch")  # whose weights were not fetched
    with pytest.raises(HubError, match=r"my-group/other.*not in the cache"):
        ECGClassifier.from_pretrained("my-group/other")
    assert len(hub.requests) == asked


def test_a_dry_run_sends_nothing(hub: StandIn, exported_run: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(exported_run, tmp_path / "model")
    (folder / "notes.txt").write_text("mine")
    done = console("push", str(folder), NAME, "--private", "--dry-run")
    assert done.exit_code == 0, done.stderr
    assert hub.requests == []
    assert "nothing was" in done.stdout
    assert "private" in done.stdout
    assert {line.split()[0] for line in done.stdout.splitlines()} >= set(FILES)
    assert "notes.txt" in done.stderr


def test_a_model_is_checked_before_it_is_sent(hub: StandIn, exported_run: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(exported_run, tmp_path / "model")
    (folder / "model.pth").write_bytes(b"other")
    with pytest.raises(ExportedModelError, match=r"model\.pth: 5 bytes with"):
        push(folder, NAME, dry_run=True)
    shutil.copy(exported_run / "model.pth", folder)
    (folder / "README.md").unlink()
    with pytest.raises(HubError, match="without its card"):
        push(folder, NAME)
    with pytest.raises(HubError, match="no name of a repository"):
        push(exported_run, "just-a-name")
    assert hub.requests == []


def test_what_shall_be_private_is_not_sent_to_a_public_repository(hub: StandIn, exported_run: Path) -> None:
    hub.repositories[NAME] = Repository(
        False, {"main": "0" * 40}, {"0" * 40: {"preprocessing.onnx": b"", "my.md": b""}}
    )
    with pytest.raises(HubError, match="already and public: nothing was sent"):
        push(exported_run, NAME, private=True)
    assert not [path for method, path in hub.requests if "/commit/" in path]
    done = push(exported_run, NAME, private=False)
    assert done.url is not None
    repository = hub.repositories[NAME]
    assert set(repository.commits[repository.branches["main"]]) == {*FILES, "my.md"}


def test_names_and_revisions_that_are_not_there_are_told(hub: StandIn, exported_run: Path) -> None:
    with pytest.raises(HubError, match=r"my-group/none: no such repository.*not signed in"):
        ECGClassifier.from_pretrained("my-group/none")
    push(exported_run, NAME)
    with pytest.raises(HubError, match=r"at v9: no such branch"):
        ECGClassifier.from_pretrained(NAME, revision="v9")
    hub.repositories["my-group/foreign"] = Repository(False, {"main": "0" * 40}, {"0" * 40: {"a.bin": b""}})
    with pytest.raises(HubError, match="holds no exported model"):
        ECGClassifier.from_pretrained("my-group/foreign")


def test_a_hub_that_is_not_there_is_told_once_and_the_cache_still_serves(
    hub: StandIn, exported_run: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    push(exported_run, NAME)
    ECGClassifier.from_pretrained(NAME)
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    assert ECGClassifier.from_pretrained(NAME).record.label_map.codes
    caplog.clear()
    with caplog.at_level(logging.INFO), pytest.raises(HubError, match="cannot be reached"):
        ECGClassifier.from_pretrained("my-group/other")
    assert [record.getMessage() for record in caplog.records] == [
        "Asking the Hub for my-group/other (HF_HUB_OFFLINE=1 takes what is in the cache)"
    ]


def test_the_cards_metadata_is_what_the_hub_reads(exported_run: Path) -> None:
    card = ModelCard.load(exported_run / "README.md")
    assert card.data.library_name == "ecgfounder-ft"
    results = card.data.eval_results
    assert results is not None
    assert {result.metric_type for result in results} == {"roc_auc", "average_precision", "f1"}
    assert all(0 <= result.metric_value <= 1 for result in results)
