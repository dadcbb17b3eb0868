"""The report: self-contained, complete, and clear where there is nothing to say."""

import functools
import html.parser
import re
from dataclasses import fields, replace
from unittest import mock

import numpy as np
import pandas as pd
import pytest

from ecgfounder_ft.ecg.leads import STANDARD_LEADS
from ecgfounder_ft.ecg.recording import Recording
from ecgfounder_ft.evaluation.calibration import Calibration, fit_calibration
from ecgfounder_ft.evaluation.calibration_check import check_calibration
from ecgfounder_ft.evaluation.comparison import compare
from ecgfounder_ft.evaluation.conformal import conformal_cuts, evaluate_sets
from ecgfounder_ft.evaluation.evaluate import evaluate_input
from ecgfounder_ft.evaluation.inputs import EvaluationInput, prepare
from ecgfounder_ft.evaluation.net_benefit import net_benefit
from ecgfounder_ft.evaluation.predictions import Predictions
from ecgfounder_ft.evaluation.recordings_to_inspect import choose_cases
from ecgfounder_ft.evaluation.run_evaluation import RunEvaluation
from ecgfounder_ft.evaluation.subgroups import by_value, evaluate_subgroups
from ecgfounder_ft.evaluation.thresholds import choose_thresholds
from ecgfounder_ft.report.characteristics import characteristics, flow_of
from ecgfounder_ft.report.comparison_page import comparison_lines, render_comparison
from ecgfounder_ft.report.page import (
    AttributionNote,
    CaseDrawing,
    ReportContent,
    content_of,
    render_report,
)
from ecgfounder_ft.report.words import baseline_verdict
from ecgfounder_ft.runs.compare import compare_runs
from ecgfounder_ft.task import MULTI_LABEL, SINGLE_LABEL
from tests.report.facts import run_facts, side_of
from tests.run_folders import evaluate, write_run
from tests.settings import evaluation_settings

CODES = ("NORM", "AFIB")
NAMES = {"NORM": "normal sinus rhythm", "AFIB": "atrial fibrillation"}


class _Page(html.parser.HTMLParser):
    """Collects tags, addresses, anchors and visible text, and checks that tags close in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.addresses: list[str] = []
        self.anchors: set[str] = set()
        self.images: list[dict] = []
        self.words: list[str] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        if tag not in {"meta", "link", "img", "br"}:
            self.open.append(tag)
        self.addresses += [given[name] for name in ("src", "href") if name in given]
        self.anchors |= {given["id"]} if "id" in given else set()
        if tag == "img":
            self.images.append(given)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if not {"script", "style", "title"} & set(self.open):
            self.words.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.words))


def _content(task=MULTI_LABEL, n=60, **changes) -> ReportContent:
    return _changed(_evaluated(task, n), **changes)


def _changed(content: ReportContent, **changes) -> ReportContent:
    """The content with other fields, of its evaluation or its own."""
    names = {field.name for field in fields(RunEvaluation)}
    run = replace(content.run, **{name: value for name, value in changes.items() if name in names})
    return replace(content, run=run, **{name: value for name, value in changes.items() if name not in names})


@functools.cache
def _evaluated(task, n) -> ReportContent:
    generator = np.random.default_rng(0)
    if task == SINGLE_LABEL:
        targets = np.eye(2, dtype=np.int8)[generator.integers(0, 2, n)]
    else:
        targets = (generator.random((n, 2)) < 0.4).astype(np.int8)
    probabilities = np.clip(0.4 * targets + 0.6 * generator.random((n, 2)), 0, 1)
    data = prepare(targets, probabilities, np.arange(n) // 2, CODES, task=task)
    table = pd.DataFrame()
    run = RunEvaluation(
        predictions=Predictions("run", table, CODES, task),
        settings=evaluation_settings(),
        calibration=Calibration("none", task.name, list(CODES)),
        thresholds=None,
        side="test",
        rows=table,
        data=data,
        uncalibrated=data.probabilities,
        evaluation=evaluate_input(data, resamples=50),
        validation=None,
    )
    return ReportContent(title="A <test> & report", created="today", run=run, condition_names=NAMES)


@pytest.fixture(scope="module")
def full():
    content = _content()
    data = content.run.data
    thresholds = choose_thresholds(data.targets, data.probabilities, CODES, method="youden")
    signal = np.random.default_rng(0).normal(0, 0.1, (12, 5000)).astype(np.float32)
    recording = Recording("R1", STANDARD_LEADS, signal, 500.0)
    cases = choose_cases(data, errors_per_condition=1, least_certain=1)
    drawings = [
        CaseDrawing(cases[0], "a/R1", "/ecg/R1.hea", {"source": "a"}, recording, np.gradient(signal, axis=1)),
        CaseDrawing(cases[1], "a/R2", missing="signal file is truncated"),
        CaseDrawing(cases[2], "a/R3"),
    ]
    table = pd.DataFrame(
        {"split": ["train"] * 20 + ["test"] * 40, "dataset": ["x", "y"] * 30, "patient": np.arange(60)}
    )
    facts = run_facts(
        label_origin="SNOMED codes.",
        skipped={"signal file is truncated": 1234},
        left_out={"not exactly one condition": 3333},
        left_out_labels={"PTB-XL": {"NORM + RBBB": 2222, "none present": 1111}},
        provenance={"Seed": "0"},
        configuration="a: <b>",
    )
    return _changed(
        content,
        facts=facts,
        flow=flow_of(table, data.targets, CODES, ("train", "test")),
        thresholds=thresholds,
        calibration=fit_calibration(data.targets, data.probabilities, CODES, task=MULTI_LABEL, method="platt"),
        uncalibrated=data.probabilities**2,
        calibration_check={
            "before": check_calibration(data.targets, data.probabilities**2, data.groups, CODES),
            "after": check_calibration(data.targets, data.probabilities, data.groups, CODES),
        },
        net_benefit=net_benefit(data, data.probabilities**2, (0.01, 0.5), resamples=20, seed=0),
        subgroups=evaluate_subgroups(data, by_value("sex", ["female", "male", ""] * 20), resamples=20),
        baselines={"random start": content.run.evaluation},
        history=[{"epoch": 0, "train/loss": 1.0}, {"epoch": 1, "train/loss": 0.5}],
        cases=drawings,
        attribution=AttributionNote("integrated gradients", 0.1, True),
    )


@pytest.fixture(scope="module")
def text(full):
    return render_report(full)


def test_the_whole_report_asks_no_network_and_every_link_has_its_end(text):
    page = _Page(text)
    for address in page.addresses:
        assert address.startswith(("data:", "#")), address[:80]
        assert not address.startswith("#") or address[1:] in page.anchors
    assert "http" not in re.sub(r"data:[^\"]+", "", text).replace("https://www.w3.org", "")
    assert not re.search(r"<script [^>]*src|fetch\(|XMLHttpRequest|import\(", text)
    assert all(image.get("alt") for image in page.images)
    # bars, ROC, PR, confusion, co-occurrence, reliability, outcomes, net benefit, forest, history, one ECG
    assert len(page.images) == 11


def test_the_report_says_what_the_numbers_say(full, text):
    page = _Page(text)
    auroc = full.run.evaluation.conditions["AFIB"].metrics["auroc"]
    assert f"{auroc.value:.3f}" in page.text
    assert f"{auroc.low:.3f} to {auroc.high:.3f}" in page.text
    for side in ("before", "after"):
        slope = full.run.calibration_check[side]["AFIB"]["slope"]
        assert f"{slope.low:.3f} to {slope.high:.3f}" in page.text
    assert "1,234: signal file is truncated" in page.text
    assert "3,333: not exactly one condition" in page.text
    left_out = page.text[page.text.index("left out on purpose, by source") :]
    assert re.search(r"PTB-XL\s*NORM \+ RBBB\s*2,222\s*none present\s*1,111", left_out)
    assert "the best sensitivity + specificity − 1 (Youden)" in page.text
    assert "Not drawn: signal file is truncated" in page.text
    assert "Not drawn: the recording was not at hand" in page.text
    assert "so the shading depends on what was learned" in page.text
    assert {"summary", "flow", "results", "decisions", "calibration", "net-benefit", "subgroups", "baselines",
            "history", "cases", "provenance", "checklist"} <= page.anchors  # fmt: skip


def test_text_from_outside_is_escaped(text):
    assert "A &lt;test&gt; &amp; report" in text
    assert "a: &lt;b&gt;" in text
    assert "<test>" not in text


def test_conformal_sets_and_conditions_without_them_are_told(full):
    data = full.run.data
    targets = data.targets.copy()
    targets[:, 0] = 0
    cuts = conformal_cuts(targets, data.probabilities, data.groups, CODES, error_rate=0.2, seed=0)
    page = _Page(render_report(_changed(full, conformal=evaluate_sets(cuts, data))))
    assert "80% or more shall not be called wrongly" in page.text
    assert f"{evaluate_sets(cuts, data).conditions['AFIB']['undecided'].value:.3f}" in page.text
    assert "NORM: no sets: 0 patients with it in validation, and an error rate of 0.2 needs 4." in page.text


def test_an_attribution_that_fails_its_check_is_called_so(full):
    text = _text(_changed(full, attribution=AttributionNote("integrated gradients", 0.9, False)))
    assert "must not be read as an explanation" in text


def test_single_label_has_one_matrix_and_no_thresholds():
    page = _Page(render_report(_content(SINGLE_LABEL)))
    assert "there are no thresholds" in page.text
    assert len(page.images) == 6  # bars, ROC, PR, confusion, reliability, outcomes
    assert page.anchors == {"summary", "results", "decisions", "calibration", "checklist"}


@pytest.mark.parametrize("task", [SINGLE_LABEL, MULTI_LABEL])
def test_nothing_known_is_said_and_breaks_nothing(task):
    targets = np.full((4, 2), -1, dtype=np.int8)
    data = prepare(targets, np.full((4, 2), 0.5), ["p"] * 4, CODES, task=task)
    content = _content(task, data=data, evaluation=evaluate_input(data))
    text = _Page(render_report(content)).text
    assert "0.000" not in text
    assert "no recording with a known label" in text.lower() or "no recording could be evaluated" in text.lower()


def test_an_absent_condition_one_patient_and_nan_are_explained():
    targets = np.array([[1, 0], [0, 0], [1, 0], [0, 0]], dtype=np.int8)
    probabilities = np.array([[0.9, 0.1], [0.2, 0.3], [np.nan, 0.2], [0.4, 0.2]])
    data = prepare(targets, probabilities, ["p"] * 4, CODES, task=MULTI_LABEL)
    text = _Page(render_report(_content(data=data, evaluation=evaluate_input(data)))).text
    assert "All recordings are of one patient" in text
    assert "No recording with the condition" in text
    assert "1 recording without a probability" in text
    assert "nan" not in text.lower().replace("finan", "")


def test_flow_counts_by_side_and_source():
    targets = np.array([[1, 0], [0, -1], [1, 1]], dtype=np.int8)
    table = pd.DataFrame({"split": ["train", "train", "test"], "dataset": "x", "patient": ["p", "p", "q"]})
    flow = flow_of(table, targets, CODES, ("train", "validation", "test"))
    sizes = {side: [(of.name, of.recordings, of.patients) for of in sources] for side, sources in flow.items()}
    assert sizes == {"train": [("x", 2, 1), ("all", 2, 1)], "test": [("x", 1, 1), ("all", 1, 1)]}
    assert flow["train"][0].present == {"NORM": 1, "AFIB": 0}
    assert flow["train"][0].unknown == {"NORM": 0, "AFIB": 1}


def test_caps_and_what_is_to_be_known_of_the_recordings_stand_in_the_flow(full):
    row = {"side": "train", "source": "georgia", "cap": "data.max_samples", "recordings": 1234}
    capped = [row | {"conditions": {"NORM": 1200, "AFIB": 30}}]
    notes = ["Patient unknown: 7 recordings of georgia"]
    text = _text(replace(full, facts=run_facts(caps=capped), notes=notes))
    assert re.search(r"Left out by a cap.* train georgia data.max_samples 1,234 1,200 30", text)
    assert "Patient unknown: 7 recordings of georgia." in text
    assert "Left out by a cap" not in _text(replace(full, facts=run_facts(), notes=[]))


def test_a_run_folder_and_a_comparison_become_pages(tmp_path):
    generator = np.random.default_rng(0)
    folders = []
    for name, skill in (("first", 0.5), ("second", 2.0)):
        labels = np.arange(120) % 2
        table = pd.DataFrame(
            {
                "recording": [f"d/{row}" for row in range(120)],
                "dataset": "d",
                "patient": [f"d/{row // 2}" for row in range(120)],
                "split": np.where(np.arange(120) < 40, "validation", "test"),
                "label_NORM": labels,
                "label_AFIB": 1 - labels,
                "probability_NORM": 1 / (1 + np.exp(-skill * (2 * labels - 1) - generator.normal(size=120))),
                "probability_AFIB": generator.random(120),
            }
        )
        folders.append(write_run(tmp_path / name, table, CODES))
    content = content_of(
        evaluate(folders[0], evaluation_settings(resamples=30)), title="t", created="c", condition_names=NAMES
    )
    page = _Page(render_report(content))
    assert "A slope and an intercept for each condition" in page.text
    assert "Slope, before" in page.text
    assert "for the best F1" in page.text
    assert "validation" in page.text
    comparison = compare_runs([folder.path for folder in folders], resamples=30)
    page = _Page(render_comparison(comparison, title="Two", created="today"))
    assert all(address.startswith(("data:", "#")) for address in page.addresses)
    assert "second minus first, 80 recordings of 40 patients" in page.text
    validation = {name: run.validation.macro["auroc"].value for name, run in comparison.runs.items()}
    assert comparison.names == sorted(validation, key=lambda name: -validation[name])  # not by test
    lines = comparison_lines(comparison)
    assert lines[0] == "Macro AUROC, best first by validation; nothing is ranked by test."
    (second,), (first,) = ([line for line in lines if line.startswith(name)] for name in ("second", "first"))
    number = r"0\.\d{3}"
    assert re.fullmatch(rf"second: validation {number}, test {number} \(.*\); difference [+-]{number} \(.*\)", second)
    assert first.endswith("the others are compared with it")
    assert not re.search(r"None|nan|_value", " ".join(lines) + page.text)


def _text(content: ReportContent) -> str:
    """What the report says; its pictures are drawn, but not written, which takes most of its time."""
    with mock.patch("ecgfounder_ft.report.page.data_uri", return_value="data:,"):
        return _Page(render_report(content)).text


def _with(data: EvaluationInput, probabilities: np.ndarray) -> EvaluationInput:
    """Another model on the recordings of :func:`_content`."""
    return prepare(data.targets, probabilities, np.arange(len(data.targets)) // 2, CODES, task=data.task)


def _worse(content: ReportContent) -> EvaluationInput:
    return _with(content.run.data, 1 - content.run.data.probabilities)


def test_title_and_summary_say_which_model_was_trained_how_and_on_what():
    facts = run_facts()
    text = _text(_content(facts=facts, title=facts.title))
    assert text.strip().startswith(
        "Skip to the report Net1D (2 leads, from demo), fine-tuned (lora) on merged recordings of a"
    )
    assert "Net1D with 1,234,567 parameters and 2 leads, from demo" in text
    assert "Strategy lora, on merged recordings of a and b: 100 recordings of 80 patients; 3 epochs" in text
    assert "of which the 2nd was best by validation/loss; seed 7" in text
    assert "On the test side of the same data: no external validation" in text
    assert "run 12-30-00" in text


def test_the_summary_does_not_pass_unknown_patients_off_as_patients():
    side = side_of("test", 60, 60, {"NORM": 30, "AFIB": 20}, 40)
    assert "60 recordings of 60 patients (40 without a known patient, counted as one patient each); 2 conditions" in (
        _text(_content(facts=run_facts(sides={"test": side})))
    )
    assert "counted as one patient each" not in _text(_content(facts=run_facts()))


def test_what_makes_a_number_mean_little_stands_before_it():
    assert "To know before reading on" not in _text(_content(facts=run_facts()))
    text = _text(_content(facts=run_facts(natural_prevalence=False)))
    assert "The recordings are a selection: AUPRC, F1, PPV, NPV and calibration describe it" in text
    data = _content().run.data
    targets = data.targets.copy()
    targets[:, 1] = 0
    targets[:3, 1] = 1  # of two patients
    rare = prepare(targets, data.probabilities, data.groups, CODES, task=MULTI_LABEL)
    text = _text(_content(data=rare, evaluation=evaluate_input(rare, resamples=20)))
    assert "Fewer than 5 patients have AFIB (2)" in text


def test_table_1_stands_in_the_report_with_what_is_not_known():
    table = pd.DataFrame(
        {
            "split": ["train"] * 3 + ["test"],
            "dataset": "x",
            "constituent": ["", "p", "p", ""],
            "patient": ["1", "2", "3", "4"],
            "patient_known": [True, False, True, True],
            "age": [50.0, 60.0, np.nan, 70.0],
            "sex": ["female", "male", "", "male"],
            "seconds": 10.0,
        }
    )
    states = np.array([[1, 1], [1, -1], [0, 0], [0, 1]], dtype=np.int8)
    described = characteristics(table, states, CODES, ("train", "test"))
    text = _text(_content(facts=run_facts(sides={side.name: side for side in described})))
    assert "Table 1: the recordings by side" in text
    assert "55.0 (52.5 to 57.5) 1 (33.3%) not stated" in text
    assert "Patient unknown counted as one patient each 1 33.3%" in text
    assert "AFIB atrial fibrillation 1 of 2 50.0%, 1 unknown 1 of 1 100.0%" in text
    assert "Conditions that occur together, train" in text
    assert "Conditions that occur together, test" not in text


def test_subgroups_carry_a_word_on_their_number(text):
    said = _Page(text).text
    assert re.search(r"AUROC: [1-9]\d* intervals \(groups times conditions\), of which \d+ do(es)? not hold", said)
    assert "Take a single difference as a question for other data, not as a finding" in said


def test_each_baseline_stands_beside_with_the_paired_difference_and_what_it_is():
    content = _content()
    worse = _worse(content)
    pair = compare(worse, content.run.data, resamples=50)
    names = ("untrained start", "linear probe on a random encoder")
    told = _changed(
        content,
        facts=run_facts(baselines={names[1]: "random weights"}),
        baselines=dict.fromkeys(names, evaluate_input(worse, resamples=50)),
        differences=dict.fromkeys(names, pair),
    )
    text = _text(told)
    difference = pair.macro["auroc"]
    assert f"+{difference.value:.3f} {difference.low:.3f} to {difference.high:.3f}" in text
    assert "Linear probe on a random encoder : random weights" in text
    assert "Macro AUROC of this model is higher: +" in text
    assert "AUROC by condition, this model minus the baseline" in text
    summary = text[: text.index("AUROC by condition")]
    start = told.run.baselines["untrained start"].macro["auroc"].value
    said = f"Against its untrained start. The macro AUROC of the start is {start:.3f}; macro AUROC of this model is"
    assert said in summary
    untrained = _text(replace(told, facts=run_facts(epochs=0)))
    assert "Against its untrained start" not in untrained
    noise = _text(replace(told, facts=run_facts(head="random")))
    assert "The last layer started from random weights, so the start has no skill to compare with" in noise
    assert "a difference from it compares with noise" in noise
    assert f"The macro AUROC of the start is {start:.3f}" not in noise
    assert (text.count("this model minus it"), noise.count("this model minus it")) == (2, 1)


def test_a_verdict_goes_no_further_than_its_interval():
    content = _content()
    same = compare(content.run.data, _content(n=60).run.data, resamples=50)
    assert "shows nothing by itself" in baseline_verdict(same)  # no difference in any resample
    lower = compare(content.run.data, _worse(content), resamples=50)
    assert baseline_verdict(lower).startswith("macro AUROC of this model is lower: -")
    noise = np.random.default_rng(1).normal(0, 0.05, content.run.data.probabilities.shape)
    shaken = _with(content.run.data, np.clip(content.run.data.probabilities + noise, 0, 1))
    assert "cannot tell this model from it" in baseline_verdict(compare(shaken, content.run.data, resamples=200))


def test_the_checklist_says_what_was_done_in_this_run():
    text = _text(_content(facts=run_facts(capped={"train": 320})))
    assert "A cap left recordings out: train 320" in text
    assert "Neither sampling, nor weights, nor a cap was used against it" in _text(_content(facts=run_facts()))
    assert "Nothing is known of the run beyond its predictions" in _text(_content())


def test_notes_of_the_data_keep_the_names_of_datasets_as_they_are():
    assert "mimic_iv_ecg: 3 lie in two folders" in _text(_content(notes=["mimic_iv_ecg: 3 lie in two folders"]))


def test_the_training_figure_says_which_epoch_is_evaluated():
    history = [{"epoch": 0, "train/loss": 1.0}, {"epoch": 1, "train/loss": 0.5}]
    text = _text(_content(history=history, facts=run_facts(best_epoch=2)))
    assert "Epochs are numbered from 0. Number 1 was the best by validation/loss and is the one evaluated." in text
    mixed = _text(_content(history=history, facts=run_facts(best_epoch=2, interpolation=0.4)))
    assert "and is the one evaluated" not in mixed
