"""The files of a run are held against each other, whichever of them was changed, and old runs are still read."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from ecgfounder_ft.runs.compare import compare_runs
from ecgfounder_ft.runs.digests import require_unedited
from ecgfounder_ft.runs.export import export_run
from ecgfounder_ft.runs.folder import RunFolder, RunFolderError
from tests.console import console


@pytest.fixture
def run(finished_run: Path, tmp_path: Path) -> RunFolder:
    folder = tmp_path / "run"
    shutil.copytree(finished_run, folder, ignore=shutil.ignore_patterns("checkpoints", "*.png"))
    return RunFolder(folder)


def _cut_short(file: Path) -> None:
    file.write_text("".join(file.read_text().splitlines(keepends=True)[:-1]))


def _sides_exchanged(file: Path) -> None:
    text = file.read_text().replace(",test,", ",TEST,").replace(",validation,", ",test,")
    file.write_text(text.replace(",TEST,", ",validation,"))


def _one_more_byte(file: Path) -> None:
    file.write_bytes(file.read_bytes() + b"\n")


@pytest.mark.parametrize(
    ("name", "damage", "words"),
    [
        ("predictions.csv", _cut_short, "predictions.csv (differs)"),
        ("predictions.csv", _sides_exchanged, "predictions.csv (differs)"),
        ("splits.csv", _sides_exchanged, "splits.csv (differs)"),
        ("calibration.json", _one_more_byte, "calibration.json (differs)"),
        ("calibration.json", Path.unlink, "calibration.json (was removed)"),
        ("thresholds.json", lambda file: file.write_text("{}"), "thresholds.json (was added)"),
        ("metrics.json", _one_more_byte, "metrics.json (differs)"),
        ("model.pth", _one_more_byte, "model.pth (differs)"),
    ],
)
def test_an_edited_file_is_named_and_needs_a_word(
    run: RunFolder, name: str, damage: Callable[[Path], object], words: str, caplog: pytest.LogCaptureFixture
) -> None:
    require_unedited(run)
    damage(run.path / name)
    with pytest.raises(RunFolderError) as refused:
        require_unedited(run)
    assert words in str(refused.value)
    assert "--accept-edited" in str(refused.value)
    require_unedited(run, accept=True)
    assert words in caplog.text


def test_predicting_with_it_needs_the_word_too(
    run: RunFolder, simulated_folders: tuple[Path, Path], tmp_path: Path
) -> None:
    _one_more_byte(run.path / "calibration.json")
    recording = next(simulated_folders[0].rglob("*.hea"))
    command = ("predict", str(run), str(recording), "--output", str(tmp_path / "answers.csv"))
    refused = console(*command)
    assert refused.exit_code == 2
    assert "calibration.json (differs)" in refused.stderr
    assert console(*command, "--accept-edited").exit_code == 0


def test_comparing_and_exporting_refuse_it_too(run: RunFolder, finished_run: Path, tmp_path: Path) -> None:
    _sides_exchanged(run.path / "predictions.csv")
    with pytest.raises(RunFolderError, match=r"predictions\.csv"):
        compare_runs([finished_run, run.path], resamples=0)
    with pytest.raises(RunFolderError, match=r"predictions\.csv"):
        export_run(run, tmp_path / "exported", onnx=False)
    assert not (tmp_path / "exported").exists()


def test_a_run_from_before_digests_is_read_with_a_note(run: RunFolder, caplog: pytest.LogCaptureFixture) -> None:
    (run.path / "digests.json").unlink()
    _cut_short(run.path / "predictions.csv")
    caplog.set_level("INFO")
    require_unedited(run)
    assert "cannot be held against each other" in caplog.text


def test_a_run_that_goes_on_writes_its_digests_anew(run: RunFolder) -> None:
    with run.recorded_status():
        assert not (run.path / "digests.json").exists()
