from pathlib import Path

import pytest

from ecgfounder_ft.files import WriteError
from ecgfounder_ft.runs.output_folder import require_writable


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
