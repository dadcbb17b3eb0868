from pathlib import Path

import pytest

from ecgfounder_ft.files import WriteError
from ecgfounder_ft.runs.output_folder import link_latest, require_writable


def test_a_folder_that_cannot_be_made_is_refused_and_nothing_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    require_writable(tmp_path / "a" / "b")
    (tmp_path / "file").touch()
    with pytest.raises(WriteError, match="file is no folder"):
        require_writable(tmp_path / "file" / "run")
    monkeypatch.setattr("os.access", lambda *_: False)  # permissions mean nothing to root
    with pytest.raises(WriteError, match="may not be written to"):
        require_writable(tmp_path / "a" / "b")
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_latest_leads_to_the_newest_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    first, second, elsewhere = (tmp_path / name for name in ("outputs/a/1", "outputs/a/2", "other"))
    for folder in (first, second, elsewhere):
        folder.mkdir(parents=True)
    link_latest(elsewhere)
    assert not Path("outputs/latest").exists()
    link_latest(Path("outputs/a/1"))
    assert Path("outputs/latest").resolve() == first
    link_latest(second)
    link_latest(Path("outputs/latest"))  # resumed by this name
    assert Path("outputs/latest").resolve() == second
    assert sorted(entry.name for entry in (tmp_path / "outputs").iterdir()) == ["a", "latest"]


def test_what_is_called_latest_already_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "outputs/latest/mine").mkdir(parents=True)
    (tmp_path / "outputs/a").mkdir()
    link_latest(tmp_path / "outputs/a")
    assert (tmp_path / "outputs/latest/mine").is_dir()
    monkeypatch.setattr(Path, "symlink_to", lambda *_, **__: (_ for _ in ()).throw(OSError("no links here")))
    link_latest(tmp_path / "outputs/a")
    assert sorted(entry.name for entry in (tmp_path / "outputs").iterdir()) == ["a", "latest"]
