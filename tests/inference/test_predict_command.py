"""Predictions into a file: what stands in it, that a killed command goes on, and what is refused."""

import csv
import io
import json
import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from ecgfounder_ft.cli import app
from ecgfounder_ft.commands.predict import answers_table
from ecgfounder_ft.ecg.description import SignalDescription
from ecgfounder_ft.ecg.formats.wfdb import write_recording
from ecgfounder_ft.ecg.leads import STANDARD_LEADS
from ecgfounder_ft.ecg.limb_leads import LIMB_LEADS_OF_I_AND_II
from ecgfounder_ft.ecg.preprocessing import Preprocessing
from ecgfounder_ft.ecg.preprocessing_settings import Window
from ecgfounder_ft.ecg.quality import misfit
from ecgfounder_ft.inference import NO_MEDICAL_DEVICE
from ecgfounder_ft.inference.finished_model import FinishedModel, save_model
from ecgfounder_ft.inference.inputs import PredictionError, Reading
from ecgfounder_ft.inference.predict_command import Wanted, predict_into_file
from ecgfounder_ft.inference.predictions_file import PredictionsFile
from ecgfounder_ft.labels import LabelMap
from ecgfounder_ft.task import MULTI_LABEL
from tests import forked
from tests.console import console
from tests.small_training import small_classifier

RATE = 200
STATED = SignalDescription(RATE, "uV", STANDARD_LEADS)


@pytest.fixture(scope="module")
def model(label_map: LabelMap) -> FinishedModel:
    """Of random weights, with a calibration and thresholds, on windows of 2 s."""
    classifier = small_classifier(label_map)
    record = classifier.record
    record.task = MULTI_LABEL
    record.preprocessing = Preprocessing(sampling_rate=RATE, window=Window(seconds=2.0))
    record.thresholds = {code: 0.2 + 0.1 * place for place, code in enumerate(label_map.codes)}
    slopes = [2.0] * len(label_map)
    calibration = {"method": "platt", "task": "multi_label", "codes": list(label_map.codes), "slopes": slopes}
    record.calibration = {**calibration, "intercepts": [0.5] * len(label_map)}
    return FinishedModel(classifier.net.eval(), record)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six recordings in two formats, one of them long, and three that cannot be used, one of another lead set."""
    made = tmp_path_factory.mktemp("recordings")
    generator = np.random.default_rng(0)
    for number, seconds in enumerate((2, 2, 7, 1.5)):
        signal = generator.normal(scale=0.3, size=(12, round(seconds * RATE)))
        write_recording(made / "a", f"w{number}", signal, STANDARD_LEADS, RATE, storage="dat")
    for number in range(2):
        np.save(made / f"n{number}.npy", generator.normal(scale=300, size=(12, 2 * RATE)))
    write_recording(made / "b", "six", signal[:6], STANDARD_LEADS[:6], RATE, storage="dat")
    (made / "b" / 'torn, "quoted".hea').write_text("nothing\nto see")
    (made / "table.csv").write_text("patient,age\nA,1\n")
    return made


def wanted(output: Path, **changes: object) -> Wanted:
    return replace(Wanted(output, None, None, 4, 0, restart=False, progress=False), **changes)  # type: ignore[arg-type]


def test_every_recording_has_a_row_with_its_answer_or_the_reason(
    model: FinishedModel, folder: Path, tmp_path: Path
) -> None:
    summary = predict_into_file(
        model, [folder], Reading(model.record.preprocessing, STATED), wanted(tmp_path / "p.csv")
    )
    table = pd.read_csv(tmp_path / "p.csv", keep_default_na=False)
    assert (summary.recordings, summary.rows, summary.answered) == (9, 9, 6)
    names = [Path(path).name for path in table["path"]]
    assert names == [
        "w0.hea",
        "w1.hea",
        "w2.hea",
        "w3.hea",
        "six.hea",
        'torn, "quoted".hea',
        "n0.npy",
        "n1.npy",
        "table.csv",
    ]
    assert table["reader"].tolist() == ["wfdb"] * 4 + ["", ""] + ["npy"] * 2 + [""]
    assert table["skipped"].tolist() == [
        *[""] * 4,
        "leads are missing",
        "not a WFDB header",
        "",
        "",
        "not a table of numbers",
    ]
    told = ["short window", "low sampling rate", *map(misfit, LIMB_LEADS_OF_I_AND_II)]  # the recordings are noise
    found = [text.split("; ") for text in table["quality"].tolist()[:4]]
    assert found == [told, told, told, ["short", *told]]
    assert set(table["use"]) == {NO_MEDICAL_DEVICE}
    answered = table[table["skipped"] == ""]
    raw = answered.filter(like="uncalibrated_").to_numpy(float)
    probabilities = answered.filter(like="probability_").to_numpy(float)
    np.testing.assert_allclose(probabilities, 1 / (1 + np.exp(-(2 * np.log(raw / (1 - raw)) + 0.5))), atol=2e-5)
    decisions = answered.filter(like="decision_").to_numpy(int)
    np.testing.assert_array_equal(decisions, probabilities >= 0.2 + 0.1 * np.arange(6))
    assert (table.loc[table["skipped"] != "", "probability_NORM"] == "").all()
    assert [path.name for path in tmp_path.iterdir()] == ["p.csv"]


def test_parquet_says_the_same_with_types(model: FinishedModel, folder: Path, tmp_path: Path) -> None:
    reading = Reading(model.record.preprocessing, STATED)
    for name in ("p.csv", "p.parquet"):
        predict_into_file(model, [folder], reading, wanted(tmp_path / name))
    plain, typed = pd.read_csv(tmp_path / "p.csv"), pd.read_parquet(tmp_path / "p.parquet")
    assert plain.columns.tolist() == typed.columns.tolist()
    numbers = plain.select_dtypes("number").columns
    np.testing.assert_array_equal(plain[numbers].to_numpy(float), typed[numbers].to_numpy(float))
    assert typed["skipped"].tolist() == plain["skipped"].fillna("").tolist()
    assert typed["windows"].dtype == np.int64


@pytest.mark.parametrize(("rule", "combine"), [("mean", np.mean), ("max", np.max)])
def test_windows_have_rows_of_their_own_or_are_combined(
    model: FinishedModel, folder: Path, tmp_path: Path, rule: str, combine
) -> None:
    given = [folder / "a" / "w2.hea", folder / "a" / "w0.hea"]
    for windows in ("each", rule):
        reading = Reading(model.record.preprocessing, windows=windows)
        files = wanted(tmp_path / f"{windows}.csv", embeddings=tmp_path / f"{windows}.npy")
        summary = predict_into_file(model, given, reading, files)
        assert summary.recordings == 2
    each, combined = pd.read_csv(tmp_path / "each.csv"), pd.read_csv(tmp_path / f"{rule}.csv")
    assert each["window_start"].tolist() == [0, 2, 4, 5, 0]
    assert combined["windows"].tolist() == [4, 1]
    columns = [name for name in each if name.startswith(("probability_", "uncalibrated_"))]
    np.testing.assert_allclose(combined[columns].iloc[0], combine(each[columns].iloc[:4], axis=0), atol=1e-6)
    np.testing.assert_allclose(combined[columns].iloc[1], each[columns].iloc[4], atol=1e-6)
    vectors, mean = np.load(tmp_path / "each.npy"), np.load(tmp_path / f"{rule}.npy")
    assert vectors.shape == (5, 32)
    np.testing.assert_allclose(mean, [vectors[:4].mean(axis=0), vectors[4]], atol=1e-5)


def test_an_embedding_is_what_the_last_layer_reads(model: FinishedModel, folder: Path, tmp_path: Path) -> None:
    files = wanted(tmp_path / "p.csv", embeddings=tmp_path / "e.npy")
    predict_into_file(model, [folder], Reading(model.record.preprocessing, STATED), files)
    vectors, table = np.load(tmp_path / "e.npy"), pd.read_csv(tmp_path / "p.csv")
    assert len(vectors) == len(table)
    described = json.loads((tmp_path / "e.npy.json").read_text())
    assert (described["rows_of"], described["use"]) == ("p.csv", NO_MEDICAL_DEVICE)
    skipped = table["skipped"].notna().to_numpy()
    assert np.isnan(vectors[skipped]).all()
    dense = list(model.net.parts().values())[-1]
    weight, bias = (value.detach().numpy() for value in (dense.weight, dense.bias))
    found = 1 / (1 + np.exp(-(vectors[~skipped] @ weight.T + bias)))
    np.testing.assert_allclose(found, table.filter(like="uncalibrated_").to_numpy()[~skipped], atol=1e-5)


def _killed_at_the_fourth(*arguments: str) -> None:
    add = PredictionsFile.add

    def killed(self: PredictionsFile, predictions: Any) -> None:
        if self.summary.recordings == 4:
            os.kill(os.getpid(), signal.SIGKILL)
        add(self, predictions)

    PredictionsFile.add = killed  # type: ignore[method-assign]
    app(["predict", *arguments])


def test_a_killed_command_goes_on_where_it_was(model: FinishedModel, folder: Path, tmp_path: Path) -> None:
    """Killed without warning after its fourth recording."""
    save_model(model, tmp_path / "model.pth")
    arguments = [str(tmp_path / "model.pth"), str(folder), "--windows", "each", "--batch-size", "1"]
    arguments += ["--sampling-rate", str(RATE), "--unit", "uV", "--leads", ",".join(STANDARD_LEADS)]
    output, vectors = tmp_path / "p.csv", tmp_path / "e.npy"
    interrupted = [*arguments, "--output", str(output), "--embeddings", str(vectors)]
    assert forked.call(_killed_at_the_fourth, *interrupted, cwd=tmp_path).returncode == -signal.SIGKILL
    before = (tmp_path / "p.csv.partial" / "rows.csv").read_bytes()
    assert not output.exists()
    resumed = console("predict", *interrupted)
    assert resumed.exit_code == 0, resumed.stderr
    assert "3 of them by an earlier start" in resumed.stdout  # of the fourth, windows may be lacking
    kept = before[: before.rindex(b"w2.hea") + 1]
    assert output.read_bytes().startswith(kept)
    whole = console("predict", *arguments, "--output", str(tmp_path / "q.csv"), "--embeddings", str(tmp_path / "f.npy"))
    assert whole.exit_code == 0, whole.stderr
    pd.testing.assert_frame_equal(pd.read_csv(output), pd.read_csv(tmp_path / "q.csv"), atol=2e-6)
    np.testing.assert_allclose(np.load(vectors), np.load(tmp_path / "f.npy"), atol=1e-5)
    assert not (tmp_path / "p.csv.partial").exists()


@pytest.mark.parametrize("windows", ["one", "each"])
@pytest.mark.parametrize("file", ["rows.csv", "embeddings.float32"])
@pytest.mark.parametrize("lost", [0, 1, 30, 700, 3000, 10**6])
def test_what_a_power_cut_left_of_either_file_is_gone_on_from(
    model: FinishedModel,
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    windows: str,
    file: str,
    lost: int,
) -> None:
    reading = Reading(model.record.preprocessing, STATED, windows)
    for name in ("p", "q"):
        files = wanted(tmp_path / f"{name}.csv", embeddings=tmp_path / f"{name}.npy")
        if name == "p":
            stopped_after(4, model, folder, reading, files, monkeypatch)
            left = tmp_path / "p.csv.partial" / file
            os.truncate(left, max(left.stat().st_size - lost, 0))
        predict_into_file(model, [folder], reading, files)
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "p.csv"), pd.read_csv(tmp_path / "q.csv"), atol=2e-6)
    np.testing.assert_allclose(np.load(tmp_path / "p.npy"), np.load(tmp_path / "q.npy"), atol=1e-5)


def stopped_after(
    recordings: int, model: FinishedModel, folder: Path, reading: Reading, files: Wanted, monkeypatch
) -> None:
    """Begin, and end by an error."""

    class StopError(Exception):
        pass

    add = PredictionsFile.add

    def stop(self: PredictionsFile, predictions) -> None:
        if self.summary.recordings == recordings:
            raise StopError
        add(self, predictions)

    with monkeypatch.context() as patch:
        patch.setattr(PredictionsFile, "add", stop)
        with pytest.raises(StopError):
            predict_into_file(model, [folder], reading, files)


def test_what_another_command_left_is_not_mixed_in(
    model: FinishedModel, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "p.csv"
    reading = Reading(model.record.preprocessing)
    stopped_after(3, model, folder, reading, wanted(output), monkeypatch)
    with pytest.raises(PredictionError, match="another windows; give --restart"):
        predict_into_file(model, [folder], replace(reading, windows="mean"), wanted(output))
    with pytest.raises(PredictionError, match="another stated"):
        predict_into_file(model, [folder], replace(reading, stated=STATED), wanted(output))
    other = FinishedModel(model.net, replace(model.record, seed=7))
    with pytest.raises(PredictionError, match="another model"):
        predict_into_file(other, [folder], reading, wanted(output))
    with pytest.raises(PredictionError, match=r"the recordings have changed; give --restart"):
        predict_into_file(model, [folder / "b"], reading, wanted(output))
    summary = predict_into_file(model, [folder / "b"], reading, wanted(output, restart=True))
    assert (summary.recordings, summary.resumed) == (2, 0)


def test_two_processes_do_not_write_one_file(
    model: FinishedModel, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (
        PredictionsFile(tmp_path / "p.csv", ["A"], {}),
        pytest.raises(PredictionError, match="another process is writing"),
    ):
        PredictionsFile(tmp_path / "p.csv", ["A"], {})


@pytest.mark.parametrize(("name", "value"), [("output", "p.xlsx"), ("embeddings", "e.csv")])
def test_a_suffix_that_says_no_format_is_refused(
    model: FinishedModel, folder: Path, tmp_path: Path, name: str, value: str
) -> None:
    with pytest.raises(PredictionError, match="the suffix is"):
        predict_into_file(
            model,
            [folder],
            Reading(model.record.preprocessing),
            replace(wanted(tmp_path / "p.csv"), **{name: tmp_path / value}),  # type: ignore[arg-type]
        )
    assert not list(tmp_path.iterdir())


def test_a_path_that_leads_nowhere_or_to_no_recording_is_refused(
    model: FinishedModel, folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").touch()
    reading = Reading(model.record.preprocessing)
    for given, output, reason in (
        ([folder, tmp_path / "none"], "p.csv", "none: no such file or folder"),
        ([tmp_path / "empty"], "p.csv", r"no recording in it; expected files ending in .*\.hea"),
        ([], "p.csv", "no recordings are given"),
        ([folder], "file/p.csv", "file cannot be written"),
        ([folder], "empty", "the suffix is"),
    ):
        with pytest.raises(PredictionError, match=reason):
            predict_into_file(model, given, reading, wanted(tmp_path / output))
    (tmp_path / "p.csv").mkdir()
    with pytest.raises(PredictionError, match="is a folder"):
        predict_into_file(model, [folder], reading, wanted(tmp_path / "p.csv"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty", "file", "p.csv"]


def test_what_is_written_into_a_folder_of_recordings_is_none(
    model: FinishedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    signal = np.random.default_rng(0).normal(scale=0.3, size=(12, 2 * RATE))
    for number in range(4):
        write_recording(tmp_path, f"r{number}", signal, STANDARD_LEADS, RATE, storage="dat")
    monkeypatch.chdir(tmp_path)
    reading = Reading(model.record.preprocessing)
    files = wanted(Path("p.csv"), embeddings=Path("e.npy"), progress=True)
    stopped_after(2, model, tmp_path, reading, files, monkeypatch)
    for _ in range(2):
        summary = predict_into_file(model, [Path()], reading, replace(files, restart=True))
        assert (summary.recordings, summary.answered) == (4, 4)
    (tmp_path / "deeper").mkdir()
    (tmp_path / "deeper" / "p.csv").write_text("path,NORM\na,1\n")
    summary = predict_into_file(model, [Path()], reading, files)
    assert dict(summary.skipped) == {"not a table of numbers": 1}


def test_a_full_disk_is_told_and_the_same_command_goes_on(
    model: FinishedModel, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add = PredictionsFile.add

    def full(self: PredictionsFile, predictions) -> None:
        if self.summary.recordings == 3:
            self._rows.close()
            self._rows = Path("/dev/full").open("w", encoding="utf-8")  # noqa: SIM115 - which has no space left
            self._writer = csv.DictWriter(self._rows, list(self.columns))
        add(self, predictions)

    reading = Reading(model.record.preprocessing)
    with monkeypatch.context() as patch:
        patch.setattr(PredictionsFile, "add", full)
        with pytest.raises(PredictionError, match="No space left on device; once that is mended, the same command"):
            predict_into_file(model, [folder], reading, wanted(tmp_path / "p.csv"))
    assert predict_into_file(model, [folder], reading, wanted(tmp_path / "p.csv")).resumed == 2


def test_any_name_of_a_file_has_its_row(model: FinishedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bytes that are no UTF-8, line breaks, commas and quotes; the second start knows the rows of the first."""
    signal = np.random.default_rng(0).normal(scale=0.3, size=(12, 2 * RATE))
    header = write_recording(tmp_path, "r", signal, STANDARD_LEADS, RATE, storage="dat")
    made = tmp_path / "made"
    made.mkdir()
    for name in (b"a\xff.hea", b"b\nc.hea", b'd",\r.hea', "心电图.hea".encode()):
        (made / os.fsdecode(name)).write_bytes(header.read_bytes())
    (made / "r.dat").write_bytes(header.with_suffix(".dat").read_bytes())
    reading = Reading(model.record.preprocessing)
    for suffix in ("csv", "parquet"):
        files = wanted(tmp_path / f"p.{suffix}")
        stopped_after(3, model, made, reading, files, monkeypatch)
        summary = predict_into_file(model, [made], reading, files)
        assert (summary.recordings, summary.answered, summary.resumed) == (4, 3, 2)
    table = pd.read_parquet(tmp_path / "p.parquet")
    names = [r"a\udcff.hea", r"b\x0ac.hea", r'd",\x0d.hea', "心电图.hea"]
    assert table["skipped"].tolist() == ["name is not UTF-8", "", "", ""]
    assert table["path"].tolist() == [f"{made}/{name}" for name in names]
    assert pd.read_csv(tmp_path / "p.csv")["path"].tolist() == table["path"].tolist()


def test_pages_show_each_recording_that_can_be_read(model: FinishedModel, folder: Path, tmp_path: Path) -> None:
    reading = Reading(model.record.preprocessing, windows="each")
    given = [folder / "a" / "w2.hea", folder / "b" / "six.hea", folder / "n0.npy"]
    predict_into_file(model, given, reading, wanted(tmp_path / "p.csv", pages=tmp_path / "pages"))
    pages = sorted(path.name for path in (tmp_path / "pages").iterdir())
    assert pages == ["0000000-w2.png", "0000001-six.png"]  # the third says neither rate nor unit
    assert all((tmp_path / "pages" / name).read_bytes().startswith(b"\x89PNG") for name in pages)


def test_any_name_and_any_lead_can_be_drawn(model: FinishedModel, tmp_path: Path) -> None:
    name = "$x\\frac $ \n.npz"
    signal = np.random.default_rng(0).normal(size=(2, 400))
    np.savez(tmp_path / "a.npz", signal=signal, sampling_rate=RATE, unit="mV", leads=["$x\\frac", "V9$"])
    (tmp_path / "a.npz").rename(tmp_path / name)
    files = wanted(tmp_path / "p.csv", pages=tmp_path / "pages")
    predict_into_file(model, [tmp_path / name], Reading(model.record.preprocessing), files)
    assert len(list((tmp_path / "pages").iterdir())) == 1


def test_a_page_that_cannot_be_drawn_does_not_end_the_others(
    model: FinishedModel, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog
) -> None:
    from ecgfounder_ft.inference import pages

    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(pages, "draw_recording", fail)
    files = wanted(tmp_path / "p.csv", pages=tmp_path / "pages")
    summary = predict_into_file(model, [folder / "a"], Reading(model.record.preprocessing), files)
    assert summary.answered == 4
    assert caplog.text.count("cannot be drawn") == 4


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_the_first_answers_are_shown_as_they_were_written(
    model: FinishedModel, folder: Path, tmp_path: Path, suffix: str
) -> None:
    output, codes = tmp_path / f"p.{suffix}", model.record.label_map.codes
    predict_into_file(model, [folder], Reading(model.record.preprocessing, STATED), wanted(output))
    written = pd.read_csv(output) if suffix == "csv" else pd.read_parquet(output)
    console = Console(width=400, record=True, file=io.StringIO())
    console.print(answers_table(output, codes, 8))
    shown = [line.split() for line in console.export_text().splitlines()[3:] if line.strip()]
    assert len(shown) == 8
    for row, cells in zip(written.to_dict("records"), shown, strict=False):
        if not isinstance(row["skipped"], str) or not row["skipped"]:
            assert cells[1:7] == [f"{row[f'probability_{code}']:.2f}" for code in codes]
            decided = [code for code in codes if row[f"decision_{code}"] == 1]
            flags = row["quality"] if isinstance(row["quality"], str) else ""
            assert " ".join(cells[7:]) == f"{', '.join(decided) or 'none'} {flags}".strip()
    assert any("skipped:" in cells for cells in shown)


def test_exit_codes(model: FinishedModel, folder: Path, tmp_path: Path) -> None:
    save_model(model, tmp_path / "model.pth")
    output = ("--output", str(tmp_path / "p.csv"))
    answered = console("predict", str(tmp_path / "model.pth"), str(folder), *output, "--show", "9")
    assert answered.exit_code == 0
    assert "decided" in answered.stdout
    assert "4 of 9 recordings answered, 9 rows in" in answered.stdout
    assert "no medical device" in answered.stdout
    assert "skipped 2: no sampling rate" in answered.stderr
    none = console("predict", str(tmp_path / "model.pth"), str(folder / "b"), *output)
    assert none.exit_code == 1
    refused = console("predict", str(tmp_path / "model.pth"), str(folder), *output, "--unit", "furlong")
    assert refused.exit_code == 2
    assert "unit 'furlong': expected mV, uV, V or nV" in refused.stderr


def test_the_lock_outlives_the_folder_that_is_removed(tmp_path: Path) -> None:
    """Between the last row's move and the release nobody else begins, so that no rows are lost."""
    with PredictionsFile(tmp_path / "p.csv", ["A"], {}) as file:
        assert list(file.remaining([])) == []
        file.finish()
        assert not (tmp_path / "p.csv.partial").exists()
        with pytest.raises(PredictionError, match="another process is writing"):
            PredictionsFile(tmp_path / "p.csv", ["A"], {})
    with PredictionsFile(tmp_path / "p.csv", ["A"], {}):
        assert (tmp_path / "p.csv.partial").is_dir()
    assert not (tmp_path / ".p.csv.lock").exists()


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_a_name_that_looks_like_a_formula_is_none_in_a_spreadsheet(
    model: FinishedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    signal = np.random.default_rng(0).normal(scale=0.3, size=(12, 2 * RATE))
    for name in ("=cmd", "@sum"):
        write_recording(tmp_path, name, signal, STANDARD_LEADS, RATE, storage="dat")
    monkeypatch.chdir(tmp_path)
    files = wanted(Path(f"p.{suffix}"))
    stopped_after(1, model, Path(), Reading(model.record.preprocessing), files, monkeypatch)
    found = predict_into_file(model, [Path()], Reading(model.record.preprocessing), files)
    assert (found.rows, found.resumed) == (2, 0)
    if suffix == "csv":
        cells = [line.split(",")[0] for line in Path("p.csv").read_text().splitlines()[1:]]
        assert cells == ["'=cmd.hea", "'@sum.hea"]
    else:
        assert pd.read_parquet("p.parquet")["path"].tolist() == ["=cmd.hea", "@sum.hea"]
