"""The commands beside training, as a user types them."""

from pathlib import Path
from typing import get_args, get_type_hints

import pytest

from ecgfounder_ft.cli import app
from ecgfounder_ft.commands.options import path_of
from ecgfounder_ft.errors import ExitCode
from tests.console import console


def test_the_console_command_simulates_catalogs_draws_and_predicts(finished_run: Path, tmp_path: Path) -> None:
    made = console("simulate", str(tmp_path / "sim"), "--recordings", "2")
    assert made.exit_code == 0, made.stderr
    assert 'data.mimic_path="' in made.stdout
    physionet = tmp_path / "sim" / "Physionet 2021 Selected"
    listed = console("catalog", "physionet2021", str(physionet), "--output", str(tmp_path / "catalogs"))
    assert listed.exit_code == 0, listed.stderr
    assert (tmp_path / "catalogs" / "physionet2021.parquet").is_file()
    header = next(physionet.rglob("*.hea"))
    drawn = console("draw", str(header), "--output", str(tmp_path / "ecg.png"))
    assert drawn.exit_code == 0, drawn.stderr
    assert (tmp_path / "ecg.png").read_bytes().startswith(b"\x89PNG")
    output = tmp_path / "p.csv"
    predicted = console("predict", str(finished_run), str(physionet), "--output", str(output))
    assert predicted.exit_code == 0, predicted.stderr
    assert len(output.read_text().splitlines()) == 1 + len(list(physionet.rglob("*.hea")))


def test_a_script_can_trust_the_exit_codes(finished_run: Path, tmp_path: Path) -> None:
    empty, output = tmp_path / "empty", tmp_path / "p.csv"
    empty.mkdir()
    (tmp_path / "damaged.hea").write_text("no header\n")
    found = console("predict", str(finished_run), str(tmp_path / "damaged.hea"), "--output", str(output))
    assert found.exit_code == ExitCode.NO_RESULT == 1, found.stdout + found.stderr
    assert output.read_text().startswith("path,")
    output.unlink()
    for recordings, words in ((empty, "no recording in it"), (tmp_path / "nowhere", "no such file or folder")):
        found = console("predict", str(finished_run), str(recordings), "--output", str(output))
        assert found.exit_code == ExitCode.REFUSED == 2, found.stdout + found.stderr
        assert words in found.stderr
        assert not output.exists()
    found = console("catalog", "physionet2021", str(empty), "--output", str(tmp_path / "catalogs"))
    assert found.exit_code == ExitCode.NO_RESULT
    assert f"no recording of physionet2021 in {empty}" in found.stderr
    for arguments in (("predict", str(empty), str(empty)), ("catalog", "physionet2021", str(tmp_path / "nowhere"))):
        assert console(*arguments).exit_code == ExitCode.REFUSED == 2


def test_the_exit_codes_are_documented() -> None:
    page = (Path(__file__).parents[1] / "docs" / "exit_codes.md").read_text()
    assert all(f"\n| {int(code)} | " in page for code in ExitCode)


def test_the_console_command_explains_errors_in_words(tmp_path: Path) -> None:
    for arguments, words in (
        (("predict", str(tmp_path), str(tmp_path)), "no such file"),
        (("catalog", "physionet2021", "/nowhere"), "/nowhere"),
        (("draw", "/nowhere/x.hea"), "header cannot be read"),
        (("simulate", str(tmp_path), "--labels", "seven"), "no label map 'seven'"),
        (
            ("simulate", str(tmp_path), "--hospital", "seventh"),
            "'seventh', expected one of: textbook, shifted, everyday",
        ),
        (("simulate", str(tmp_path), "--recordings", "1"), "'--recordings'"),
        (("simulate", str(tmp_path), "--seed", "-1"), "'--seed'"),
        (("simulate", str(tmp_path), "--wrong-labels", "2"), "'--wrong-labels'"),
        (("download", "13lead"), "expected one of 12_lead_ECGFounder, 1_lead_ECGFounder"),
    ):
        found = console(*arguments)
        assert found.exit_code == 2, found.stdout + found.stderr
        assert words in found.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("predict", "", "x.hea"),
        ("predict", "RUN", ""),
        ("predict", "RUN", "x.hea", "--output", ""),
        ("predict", "RUN", "s3://bucket/recordings"),
        ("evaluate", ""),
        ("export", "RUN", "--to", " "),
        ("compare", "a", ""),
        ("catalog", "physionet2021", ""),
        ("simulate", ""),
        ("draw", ""),
        ("push", "", "group/name"),
        ("download", "--folder", ""),
        ("store", "data=merged", "--output", ""),
    ],
)
def test_a_path_is_neither_empty_nor_an_address(arguments: tuple[str, ...]) -> None:
    found = console(*arguments)
    assert found.exit_code == ExitCode.REFUSED
    assert "no path" in found.stderr or "is an address" in found.stderr


def test_every_path_of_every_command_is_read_alike() -> None:
    for command in app.registered_commands:
        assert command.callback is not None
        for name, hint in get_type_hints(command.callback, include_extras=True).items():
            if "Path" in str(get_args(hint)[:1]):
                (shown,) = hint.__metadata__
                assert shown.parser is path_of, f"{command.callback.__name__}: {name}"
