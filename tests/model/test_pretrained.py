"""Checkpoints by name: downloaded once and checked, shipped with the project, or a file."""

import hashlib
import logging
from dataclasses import replace
from pathlib import Path

import pytest

from ecgfounder_ft.model import pretrained
from ecgfounder_ft.model.checkpoints import WeightsError
from ecgfounder_ft.model.pretrained import find_weights, require_weights, shipped_names, weights_files


def test_without_network_and_file_one_error_says_which_file_to_put_where(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(WeightsError) as error:
        find_weights("12_lead_ECGFounder", tmp_path)
    assert str((tmp_path / "12_lead_ECGFounder.pth").absolute()) in str(error.value)
    assert "https://huggingface.co/PKUDigitalHealth/ECGFounder" in str(error.value)
    assert "experiment=demo" in str(error.value)


def test_downloads_once_and_checks_the_digest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def serve(repository: str, file: str, local_dir: Path) -> str:
        calls.append((repository, file))
        (local_dir / file).write_bytes(b"weights")
        return str(local_dir / file)

    monkeypatch.setattr("huggingface_hub.hf_hub_download", serve)
    digest = hashlib.sha256(b"weights").hexdigest()
    network, file = weights_files()["12_lead_ECGFounder"]
    files = {
        name: (network, replace(file, name=name, sha256=known))
        for name, known in (("good", digest), ("changed", "0" * 64))
    }
    monkeypatch.setattr(pretrained, "weights_files", lambda: files)
    for _ in range(2):
        assert find_weights("good", tmp_path) == tmp_path / "good.pth"
    assert calls == [("PKUDigitalHealth/ECGFounder", "good.pth")]
    with pytest.raises(WeightsError, match=f"sha256 {digest}, expected 0000"):
        find_weights("changed", tmp_path)


def test_retries_are_said_once_and_nothing_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(repository: str, file: str, local_dir: Path) -> str:
        local_dir.mkdir()
        for attempt in range(5):
            logging.getLogger("huggingface_hub.utils._http").warning("Retrying in 1s [Retry %d/5].", attempt)
        raise ConnectionError("no route to the host")

    monkeypatch.setattr("huggingface_hub.hf_hub_download", fail)
    with pytest.raises(WeightsError, match=r"could not be downloaded \(no route to the host\)"):
        require_weights("12_lead_ECGFounder", tmp_path / "checkpoint", leads=12)
    said = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert said == ["huggingface.co does not answer; trying again for half a minute"]
    assert not list(tmp_path.iterdir())


def test_an_unknown_name_lists_the_published_ones(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="12_lead_ECGFounder, 1_lead_ECGFounder"):
        find_weights(str(tmp_path / "nothing.pth"), tmp_path)


@pytest.mark.parametrize("name", shipped_names())
def test_a_shipped_checkpoint_is_found_from_anywhere(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert find_weights(name, tmp_path) == Path(__file__).parents[2] / "checkpoint" / f"{name}.pth"


def test_a_shipped_checkpoint_of_other_leads_is_refused_with_those_that_fit(tmp_path: Path) -> None:
    with pytest.raises(
        WeightsError, match=r"6 lead\(s\), and model.leads names 1; type .*=demo_1_lead or .*=demo_any_lead"
    ):
        require_weights("demo_limb_leads", tmp_path, leads=1)
    with pytest.raises(WeightsError, match=r"type model\.weights=null"):
        require_weights("demo_any_lead", tmp_path, leads=2)


def test_an_installed_package_brings_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package, checkout = tmp_path / "package", tmp_path / "checkout"
    monkeypatch.setattr(pretrained, "SHIPPED_FOLDERS", (package, checkout))
    with pytest.raises(WeightsError, match=rf"demo_1_lead: ships with this project.*{package}.*{checkout}"):
        find_weights("demo_1_lead", tmp_path)
    for folder in (checkout, package):
        folder.mkdir()
        (folder / "demo_1_lead.pth").touch()
        assert find_weights("demo_1_lead", tmp_path) == folder / "demo_1_lead.pth"


def test_a_path_goes_on_working(tmp_path: Path) -> None:
    (tmp_path / "demo_12_lead.pth").touch()
    assert find_weights(str(tmp_path / "demo_12_lead.pth"), tmp_path) == tmp_path / "demo_12_lead.pth"
