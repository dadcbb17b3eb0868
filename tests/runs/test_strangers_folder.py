"""Run folders of somebody else: nothing outside them is read or written, and what does not belong there is told."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from ecgfounder_ft.errors import ExplainedError
from ecgfounder_ft.inference.finished_model import ModelFileError, load_model
from ecgfounder_ft.labels import LabelMap
from ecgfounder_ft.runs.folder import RunFolder
from ecgfounder_ft.untrusted.run_files import RunFolderError
from tests.console import console
from tests.model_files import small_model
from tests.run_folders import write_finished_run


@pytest.fixture(scope="module")
def whole(label_map: LabelMap, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole") / "run"
    write_finished_run(folder, small_model(label_map))
    return folder


@pytest.fixture
def run(whole: Path, tmp_path: Path) -> Path:
    shutil.copytree(whole, tmp_path / "run")
    return tmp_path / "run"


def read(path: Path) -> None:
    """All that a comparison and an evaluation read of a run."""
    run = RunFolder(path)
    run.settings()
    run.baselines(run.predictions().codes)
    for one in (run.read_splits, run.read_skipped, run.read_history, run.read_plan, run.read_start):
        one()
    for one in (run.read_data_counts, run.read_random_encoder, run.read_wise_ft, run.read_status):
        one()


def changed_json(name: str, change: Callable[[dict], object]) -> Callable[[Path], object]:
    def write(run: Path) -> None:
        content = json.loads((run / name).read_text())
        change(content)
        (run / name).write_text(json.dumps(content))

    return write


def replaced(name: str, old: str, new: str) -> Callable[[Path], object]:
    def write(run: Path) -> None:
        text = (run / name).read_text()
        assert old in text
        (run / name).write_text(text.replace(old, new, 1))

    return write


def other_file(name: str, content: str) -> Callable[[Path], object]:
    return lambda run: (run / name).write_text(content)


LAUGHS = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{number}: &a{number} [{', '.join([f'*a{number - 1}'] * 9)}]\n" for number in range(1, 12)
)

CHANGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "text for a probability": (replaced("predictions.csv", "made/1,made,,made/1,validation", "made/1"), "predictions"),
    "label of another kind": (lambda run: _cell(run, "label_NORM", "7"), r"label_NORM holds '7.*expected 1, 0"),
    "label of text": (lambda run: _cell(run, "label_NORM", "yes"), "label_NORM holds 'yes'"),
    "probability above one": (lambda run: _cell(run, "probability_AFIB", "1.5"), "probability_AFIB holds '1.5'"),
    "probability of text": (lambda run: _cell(run, "probability_AFIB", "high"), "probability_AFIB holds 'high'"),
    "age of text": (lambda run: _cell(run, "age", "old"), "age holds 'old'"),
    "age below zero": (lambda run: _cell(run, "age", "-1"), "age holds '-1"),
    "a recording without a name": (lambda run: _cell(run, "recording", ""), "without a name"),
    "a name that cannot be printed": (lambda run: _cell(run, "recording", "a\x1b[2J"), "cannot be printed"),
    "no end of the first line": (other_file("predictions.csv", "a," * 600_000), "first line"),
    "nesting": (other_file("data.json", "[" * 200_000), r"data\.json cannot be read"),
    "less nesting": (other_file("data.json", '{"a":' * 200 + "1" + "}" * 200), r"data\.json.*64 containers"),
    "a list": (other_file("data.json", "[]"), r"data\.json.*is list"),
    "counts of text": (changed_json("data.json", lambda content: content["left out"].update(a="b")), r"left out\.a"),
    "a cap without its side": (
        changed_json("data.json", lambda content: content["left out by a cap"][0].pop("side")),
        "left out by a cap.*side: missing",
    ),
    "calibration of text": (changed_json("calibration.json", lambda content: content.update(slopes="1")), "slopes"),
    "calibration turned round": (
        changed_json("calibration.json", lambda content: content["codes"].reverse()),
        "belongs to another run",
    ),
    "calibration of another task": (
        changed_json("calibration.json", lambda content: content.update(task="single_label")),
        "belongs to another run",
    ),
    "thresholds of text": (changed_json("thresholds.json", lambda c: c["values"].update(NORM="0.5")), "values.NORM"),
    "a start that is no number": (changed_json("start.json", lambda content: content.update(test=1)), "test is 1"),
    "a billion laughs": (other_file("config.yaml", LAUGHS), r"config\.yaml cannot be read"),
    "code in YAML": (other_file("config.yaml", "a: !!python/object/apply:os.system [echo]"), "cannot be read as YAML"),
    "an integer of 5,000 digits": (replaced("config.yaml", "seed: 0", f"seed: {'9' * 5000}"), r"config\.yaml"),
}


def _cell(run: Path, column: str, value: str) -> None:
    lines = (run / "predictions.csv").read_text().splitlines()
    place = lines[0].split(",").index(column)
    row = lines[1].split(",")
    row[place] = value
    (run / "predictions.csv").write_text("\n".join([lines[0], ",".join(row), *lines[2:]]) + "\n")


@pytest.mark.parametrize("name", CHANGES)
def test_what_does_not_belong_in_a_run_is_told(run: Path, name: str) -> None:
    change, words = CHANGES[name]
    change(run)
    with pytest.raises(ExplainedError, match=f"(?s){words}"):
        read(run)


def test_the_whole_folder_is_read(run: Path) -> None:
    read(run)


def test_nothing_outside_the_folder_is_read(run: Path, tmp_path: Path) -> None:
    for file in [file for file in run.iterdir() if file.name not in ("model.pth", "leakage.csv")]:
        content = file.read_bytes()
        outside, inside = tmp_path / "outside", run / f"{file.name}-inside"
        outside.write_bytes(content)
        file.unlink()
        file.symlink_to(outside)
        with pytest.raises(RunFolderError, match=f"{file.name} leads out of the folder"):
            read(run)
        file.unlink()
        os.mkfifo(file)
        with pytest.raises(RunFolderError, match=f"{file.name}( is no file| in )"):
            read(run)
        file.unlink()
        inside.write_bytes(content)
        file.symlink_to(inside.name)  # a link within the folder is one's own business
    read(run)


def test_nothing_outside_the_folder_is_written(run: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (run / "evaluations").symlink_to(outside)
    with pytest.raises(RunFolderError, match="leads out of the folder"):
        RunFolder(run).new_evaluation("own-test")
    assert not list(outside.iterdir())


def test_a_large_file_is_refused_by_its_size(run: Path) -> None:
    with (run / "predictions.csv").open("ab") as stream:
        stream.truncate(2 * 2**30)  # sparse
    with pytest.raises(RunFolderError, match="expected 1,073,741,824 at most"):
        read(run)


def test_a_model_of_other_conditions_is_refused(run: Path, label_map: LabelMap) -> None:
    few = LabelMap("few", dict(list(label_map.conditions.items())[:3]))
    run_of_few = run.parent / "few"
    write_finished_run(run_of_few, small_model(few))
    shutil.copy(run_of_few / "model.pth", run)
    found = console("evaluate", str(run))
    assert (found.exit_code, "do not belong together" in found.stderr) == (2, True)
    assert not (run / "evaluations").exists()


def test_settings_of_another_s_run_are_bounded(run: Path, whole: Path) -> None:
    text = (run / "config.yaml").read_text()
    (run / "config.yaml").write_text(text.replace("resamples: 1000", f"resamples: {10**9}"))
    found = console("compare", str(run), str(whole))
    assert (found.exit_code, "100,000 at most" in found.stderr) == (2, True)


def test_a_link_out_of_the_folder_is_no_model(run: Path, whole: Path) -> None:
    (run / "model.pth").unlink()
    (run / "model.pth").symlink_to(whole / "model.pth")
    with pytest.raises(ModelFileError, match="leads out of the folder"):
        load_model(run)
    load_model(run / "model.pth")  # named as such


def test_where_predictions_go_is_looked_at_before_any_work(run: Path, tmp_path: Path) -> None:
    for command in (("predict", "nowhere.pth", "nothing"), ("compare", "nothing", "nothing either")):
        for output, words in ((tmp_path / "none" / "x.csv", "there is no folder"), (tmp_path, "is a folder")):
            found = console(*command, f"--output={output}")
            assert (found.exit_code, words in found.stderr) == (2, True), found.stderr
