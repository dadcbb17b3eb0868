"""What a finished sweep says: its table, its page, and the answer of its design."""

import csv
import io
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from rich.console import Console
from rich.table import Table

from ecgfounder_ft.designs.cross_validation import CrossValidation
from ecgfounder_ft.designs.grid import Grid
from ecgfounder_ft.designs.hospital_out import HospitalOut
from ecgfounder_ft.designs.label_efficiency import LabelEfficiency
from ecgfounder_ft.designs.seeds import Seeds
from ecgfounder_ft.files import write_json
from ecgfounder_ft.report.sweep_section import Section, SectionTable
from ecgfounder_ft.runs.digests import write_digests
from ecgfounder_ft.sweeps import overview
from ecgfounder_ft.sweeps.answer import design_sections, page_of, section_table, show_answer, terminal_table
from ecgfounder_ft.sweeps.folder import SweepFolder, SweepFolderError
from ecgfounder_ft.sweeps.trial_results import read_results, settings_of, winner_of
from tests.console import console
from tests.run_folders import write_run
from tests.settings import evaluation_settings
from tests.sweep_folders import write_sweep


def answer(sweep: SweepFolder) -> Section:
    (found,) = design_sections(sweep, read_results(sweep), "auroc", None)
    return found


def rows_of(section: Section, caption: str) -> list[list[str]]:
    return [list(row) for table in section.tables if caption in table.caption for row in table.rows]


def test_compare_shows_the_answer_of_a_sweep_again(tmp_path: Path) -> None:
    sweep = write_sweep(tmp_path / "sweep", Grid(resume=True), [1.0, 3.0, 2.0])
    found = console("compare", str(sweep.path))
    assert found.exit_code == 0
    assert "Winner by validation: finetune=s1 (trial 1)" in found.stdout
    rows = list(csv.DictReader(sweep.table_file.open()))
    assert [(row["trial"], row["finetune"]) for row in rows] == [("1", "s1"), ("2", "s2"), ("0", "s0")]
    assert float(rows[0]["test_macro_auroc_low"]) < float(rows[0]["test_macro_auroc"])
    page = sweep.page_file.read_text()
    assert "Winner by validation" in page
    assert not re.search(r'(src|href)="(https?:|/)', page), "it opens anywhere"
    for words in ("Parameters", "finetune=s1", "nothing is ranked by test"):
        assert words in page


def test_what_has_no_metric_comes_last_and_shows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sweep = write_sweep(tmp_path / "sweep", Grid(resume=True), [1.0, 3.0])
    write_json(sweep.path / "1" / "status.json", {"state": "failed", "error": "NoDataError: nothing there\nmore"})
    assert not show_answer(sweep)
    assert "1 of 2 trials did not finish (failed: 1). The same command goes on" in capsys.readouterr().err
    rows = list(csv.DictReader(sweep.table_file.open()))
    assert [(row["trial"], row["error"]) for row in rows] == [("0", ""), ("1", "NoDataError: nothing there")]


def test_what_another_process_runs_has_not_failed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sweep = write_sweep(tmp_path / "sweep", Grid(resume=True), [1.0, 3.0])
    write_json(sweep.path / "1" / "status.json", {"state": "running"})
    with sweep.holding(sweep.trials()[1]):
        assert show_answer(sweep)
    said = capsys.readouterr().err
    assert "1 of 2 trials is run by another process (1); its end shows all of them" in said
    assert "did not finish" not in said


def test_an_edited_trial_cannot_win_unless_it_was_meant(tmp_path: Path) -> None:
    sweep = write_sweep(tmp_path / "sweep", Grid(resume=True), [1.0, 3.0])
    for trial in sweep.trials():
        write_digests(sweep.run(trial))
    file = sweep.path / "1" / "predictions.csv"
    file.write_text("".join(file.read_text().splitlines(keepends=True)[:-1]))
    edited = read_results(sweep).trials[1]
    assert (edited.trial.name, edited.value, edited.test) == ("1", None, None)
    assert "predictions.csv (differs)" in edited.error
    assert "Winner by validation: finetune=s0" in console("compare", str(sweep.path)).stdout
    assert "Winner by validation: finetune=s1" in console("compare", str(sweep.path), "--accept-edited").stdout


def test_exchanged_folders_of_trials_are_told(tmp_path: Path) -> None:
    sweep = write_sweep(tmp_path / "sweep", Grid(resume=True), [1.0, 3.0, 2.0])
    for source, target in (("0", "x"), ("1", "0"), ("x", "1")):
        (sweep.path / source).rename(sweep.path / target)
    results = read_results(sweep)
    assert [one.trial.name for one in results.trials if one.value is not None] == ["2"]
    assert "holds another trial: it was run with finetune=s1, and sweep.json has finetune=s0 there" in next(
        one.error for one in results.trials if one.trial.name == "0"
    )


def test_a_configuration_wins_by_the_mean_of_its_trials(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Not by its best seed; none wins where one has fewer trials, whose mean is not set beside the others'."""
    lucky = {42: 9.0, 43: 1.0}
    sweep = write_sweep(
        tmp_path / "sweep",
        Seeds(resume=True, seeds=2),
        [0.0, 6.0],
        more=lambda strength, point: lucky[int(str(point.place["seed"]))] if strength == 0 else strength,
    )
    results = read_results(sweep)
    winner = winner_of(results)
    assert winner is not None
    assert winner.name == "finetune=s1"
    assert winner.value == pytest.approx(0.6)
    assert [one.trial.name for one in results.trials] == ["2", "3", "0", "1"], "seeds are not ranked"
    write_json(sweep.path / "1" / "status.json", {"state": "failed"})
    assert not show_answer(sweep, resamples=20)
    printed = " ".join(capsys.readouterr().out.split())
    assert "Winner" not in printed
    assert (
        "No winner yet: the configurations have unequal numbers of finished trials (finetune=s0: 1; finetune=s1: 2)"
        in (printed)
    )
    assert "No winner yet" in sweep.page_file.read_text()


@pytest.fixture(scope="module")
def three_seeds(tmp_path_factory: pytest.TempPathFactory) -> SweepFolder:
    return write_sweep(tmp_path_factory.mktemp("seeds") / "sweep", Seeds(resume=True, seeds=3), [0.3, 1.5])


@pytest.mark.parametrize(("width", "interval"), [(80, False), (140, True)])
def test_the_table_of_trials_breaks_no_value(width: int, interval: bool, three_seeds: SweepFolder) -> None:
    results = read_results(three_seeds)
    values = {"optimizer.lr": "6.988e-05", "data.batch_size": "16", "optimizer.weight_decay": "0.007729"}
    trials = [replace(one, parameters=values, state="interrupted") for one in results.trials]
    printed = printed_by(width, lambda console: terminal_table(replace(results, trials=trials), console))
    for word in (*values.values(), "interrupted", "weight"):
        assert word in printed
    assert bool(re.search(r"0\.\d+ \(0\.\d+-", printed)) == interval


def test_a_narrow_terminal_gets_all_columns_and_whole_names() -> None:
    names = ["configuration", "seeds", "macro AUROC", "between seeds", "patients", "both"]
    row = ["finetune=linear_probe", "2", "0.578", "0.019 (0.564 to 0.591)", "0.468 to 0.682", "0.453 to 0.721"]
    printed = printed_by(80, lambda console: section_table(SectionTable("Mean", names, [row]), console))
    for word in ("finetune=linear_probe", "both", "0.721", f"intervals: see {SweepFolder.PAGE}"):
        assert word in printed


def printed_by(width: int, make: Callable[[Console], Table]) -> str:
    console = Console(width=width, file=io.StringIO(), record=True)
    console.print(make(console))
    return console.export_text()


def test_pictures_show_the_winner_and_leave_out_what_repeats(three_seeds: SweepFolder) -> None:
    """A seed is no parameter that is looked for, and no two trials look alike."""
    results = read_results(three_seeds)
    for one in results.trials:
        one.run.write_history([{"epoch": 0, "validation/loss": 1.0}])
    parameters, curves = overview.sections(results, winner_of(results), {})
    assert [axes.get_title() for axes in parameters.pictures[1].figure.axes] == ["finetune"]
    (axes,) = curves.pictures[0].figure.axes
    looks = [(line.get_color(), line.get_linestyle()) for line in axes.get_lines()]
    won = [line for line in axes.get_lines() if str(line.get_label()).endswith("(winner)")]
    assert len(won) == 3
    assert len(set(looks)) == 1 + 3


def test_seeds_stand_beside_the_patients(three_seeds: SweepFolder) -> None:
    found = answer(three_seeds)
    weak, strong = rows_of(found, "standard deviation between seeds")
    assert (weak[0], weak[1]) == ("finetune=s0", "3")
    assert float(strong[2]) > float(weak[2])
    ((pair, seeds, difference, _, p_value, corrected),) = rows_of(found, "Differences")
    assert (pair, seeds) == ("finetune=s1 minus finetune=s0", "3")
    assert float(difference) > 0.1
    assert float(p_value) == float(corrected) < 0.05
    assert "Told apart at 5%: finetune=s1 and finetune=s0." in " ".join(found.text)


def test_one_seed_tells_no_configuration_from_another(tmp_path: Path) -> None:
    found = answer(write_sweep(tmp_path / "sweep", Seeds(resume=True, seeds=1), [0.3, 3.0]))
    assert not rows_of(found, "Differences")
    assert all(row[-1] == "–" for row in rows_of(found, "standard deviation between seeds"))
    assert "One seed shows next to nothing of the chance of training" in " ".join(found.text)


def test_five_configurations_have_ranks(tmp_path: Path) -> None:
    found = answer(write_sweep(tmp_path / "sweep", Seeds(resume=True, seeds=3), [0.2, 0.5, 0.8, 1.1, 1.4]))
    assert len(rows_of(found, "Differences")) == 10
    assert len(found.pictures) == 2


def test_folds_are_evaluated_as_one_and_one_number_is_to_report(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """80 patients with two recordings each: 160 recordings, and intervals of 80 patients."""
    design = CrossValidation(resume=True, folds=2, seeds=1)
    sweep = write_sweep(
        tmp_path / "sweep",
        design,
        [1.5],
        more=lambda strength, point: strength * (1 + 2 * int(str(point.place["fold"]))),
        tested=lambda point: lambda patients: patients % 2 == point.place["fold"],
    )
    show_answer(sweep)
    printed = " ".join(capsys.readouterr().out.split())
    found = answer(sweep)
    folds = rows_of(found, "Each fold")
    assert [row[0] for row in folds] == ["fold 0", "fold 1", "deviation"], "the second is better, and not ranked"
    reported = rows_of(found, "Results, seed 42")
    assert reported[-1][:2] == ["macro", "160"]
    value, low, high = map(float, re.findall(r"\d\.\d+", reported[-1][2]))
    mean = (float(folds[0][4]) + float(folds[1][4])) / 2
    assert value == pytest.approx(mean, abs=0.0011)
    assert low < value < high
    assert f"test macro AUROC {value:.3f} (mean of 2 trials, each tested on its fold)" in printed
    assert "Result: as typed (trials 0, 1)" in printed
    assert "tested on 160 recordings of 80 patients" in printed
    (link,) = found.links.values()
    page = (sweep.path / link).read_text()
    assert "Calibration" in page
    assert "80 patients" in page
    assert "each recording was predicted by a model that has not seen its patient" in page
    assert f"The number to report is the mean of the folds, macro AUROC {value:.3f}" in page
    assert "Winner" not in sweep.page_file.read_text()


def test_a_page_warns_of_few_patients_as_a_report_does(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sweep = write_sweep(
        tmp_path / "sweep", Grid(resume=True), [1.0, 2.0], tested=lambda point: lambda patients: patients < 5
    )
    show_answer(sweep, resamples=20)
    page = " ".join(sweep.page_file.read_text().split())
    assert "Tested on 10 recordings of 5 patients." in page
    assert re.search(r"Fewer than 5 patients have (A|B) \(\d\)", page)
    assert "Fewer than 5 patients have" in " ".join(capsys.readouterr().out.split())


def test_a_printed_command_can_be_pasted(tmp_path: Path) -> None:
    sweep = write_sweep(tmp_path / "sweep", Grid(resume=True), [1.0])
    command, typed = ["a=1", "sweep=optuna"], ["sweep=optuna", "a=1", "sweep.n_trials=4"]
    sweep.open(command, typed)
    sweep.open(command, [*typed[:2], "sweep.n_trials=8"])
    assert sweep.commands() == [["sweep=grid", "finetune=s0"], command]
    page = page_of(read_results(sweep), None, [])
    assert page.commands[-1] == "ecgfounder-ft train -m sweep=optuna a=1 sweep.n_trials=8"
    assert all(one.startswith("ecgfounder-ft train -m ") for one in page.commands)


def test_folds_that_are_missing_are_named(tmp_path: Path) -> None:
    sweep = write_sweep(
        tmp_path / "sweep",
        CrossValidation(resume=True, folds=3, seeds=1),
        [1.5],
        tested=lambda point: lambda patients: patients % 3 == point.place["fold"],
    )
    write_json(sweep.path / "1" / "status.json", {"state": "failed"})
    found = answer(sweep)
    assert "all, seed 42: not pooled, since fold 1 did not end." in found.text
    assert not rows_of(found, "Results")


@pytest.mark.parametrize("seeds", [1, 3])
def test_labels_are_worth_so_many_times_as_many(tmp_path: Path, seeds: int) -> None:
    strengths = {10: 0.1, None: 1.8}
    sweep = write_sweep(
        tmp_path / "sweep",
        LabelEfficiency(resume=True, sizes=["10", "all"], seeds=seeds),
        [0.0, 0.9],
        more=lambda strength, point: strength + strengths[point.place["size"]],  # type: ignore[index]
    )
    found = answer(sweep)
    assert [row[1] for row in rows_of(found, "by training recordings")] == ["10", "54"] * 2
    said = " ".join(found.text)
    claim = (
        r"With 10 recordings finetune=s1 is as good as finetune=s0 with about [2-5]\.\d times as many \(95% interval \d"
    )
    if seeds == 1:
        assert "times as many" not in said
        assert "How many labels a configuration is worth is not said: that takes 3 seeds at every size" in said
        assert "Intervals (95%) are of the patients alone: one seed shows" in said
        assert not rows_of(found, "How many times the labels")
    else:
        assert re.search(claim, said), said
        assert "5 times as many reads 5.3 or 5.4" in said


def test_a_source_held_out_is_set_against_the_same_recordings(tmp_path: Path) -> None:
    """North has patients below 40; the mixed split tests every second patient of both."""

    def tested(point: object) -> object:
        place = point.place["held_out"]  # type: ignore[attr-defined]
        if place is None:
            return lambda patients: patients % 2 == 0
        return lambda patients: (patients < 40) == (place == "north")

    sweep = write_sweep(
        tmp_path / "sweep",
        HospitalOut(resume=True, sources=None, seeds=1),
        [1.2],
        more=lambda strength, point: strength - (0.9 if point.place["held_out"] == "south" else 0.0),
        tested=tested,  # type: ignore[arg-type]
        sources=["north", "south"],
    )
    found = answer(sweep)
    assert [row[:2] for row in rows_of(found, "held out and condition")] == [["north", "80"], ["south", "80"]]
    north, south = rows_of(found, "Drop")
    assert (north[:2], south[:2]) == (["north", "40"], ["south", "40"])
    assert float(north[-1].split()[0]) == pytest.approx(0, abs=1e-6), "the same model on the same recordings"
    assert float(south[-1].split()[0]) < -0.1


def test_held_out_sources_choose_the_winner_and_a_mixed_split_is_averaged_with_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The first configuration is far ahead where all sources are mixed, and behind on sources that it has not seen."""
    mixed = {1.0: 9.0, 2.0: 2.0}
    sweep = write_sweep(
        tmp_path / "sweep",
        HospitalOut(resume=True, sources=None, seeds=1),
        list(mixed),
        more=lambda strength, point: mixed[strength] if point.place["held_out"] is None else strength,
        sources=["north", "south"],
    )
    results = read_results(sweep)
    winner = winner_of(results)
    assert winner is not None
    assert (winner.name, winner.value) == ("finetune=s1", pytest.approx(0.2))
    assert {one.at("held_out") for one in winner.trials} == {"north", "south"}
    show_answer(sweep, resamples=20)
    printed = " ".join(capsys.readouterr().out.split())
    assert "finetune=s1 (trials 4, 5: each tested on a source that it held out)" in printed
    parameters, *_ = overview.sections(results, winner, {})
    panels = parameters.pictures[1].figure.axes
    assert [axes.get_title() for axes in panels] == ["finetune", "split.held_out"]
    heights = [float(value) for axes in panels for line in axes.get_lines() for value in line.get_ydata()]  # type: ignore[union-attr]
    assert max(heights) == pytest.approx(0.2), "no mixed split in pictures that average"


def test_other_recordings_are_told_and_not_compared(tmp_path: Path) -> None:
    sweep = write_sweep(
        tmp_path / "sweep",
        Seeds(resume=True, seeds=2),
        [1.0],
        tested=lambda point: lambda patients: patients % 2 == int(str(point.place["seed"])) % 2,
    )
    (line,) = answer(sweep).text
    assert "tested on different sets" in line


def test_a_record_that_cannot_be_read_says_so(tmp_path: Path) -> None:
    (tmp_path / "sweep.json").write_text("{")
    with pytest.raises(SweepFolderError, match=r"sweep\.json cannot be read"):
        SweepFolder(tmp_path).trials()


def test_a_trial_whose_metrics_cannot_be_read_is_shown_beside_the_others(tmp_path: Path) -> None:
    sweep = write_sweep(tmp_path / "sweep", Grid(resume=True), [1.0, 3.0])
    (sweep.path / "0" / "metrics.json").write_text('{"test": {"schema": "another"}}')
    first, second = read_results(sweep).trials
    assert (first.trial.name, second.trial.name) == ("1", "0")
    assert "another" in second.error
    assert first.error == ""


def test_a_trial_of_an_earlier_version_is_evaluated_with_what_ships(tmp_path):
    run = write_run(tmp_path / "trial", pd.DataFrame({"recording": []}), ("NORM", "AFIB"))
    content = run.plain_configuration()
    content["evaluation"]["resamples"] = 7
    del content["evaluation"]["net_benefit_thresholds"]
    run.write_configuration(content)
    assert settings_of(run) == evaluation_settings(resamples=7)
