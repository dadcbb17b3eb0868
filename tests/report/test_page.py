"""The report: self-contained, complete, and clear where there is nothing to say."""

import html.parser
import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from ecgfounder_ft.ecg.leads import STANDARD_LEADS
from ecgfounder_ft.ecg.recording import Recording
from ecgfounder_ft.evaluation.calibration import fit_calibration
from ecgfounder_ft.evaluation.evaluate import evaluate_input
from ecgfounder_ft.evaluation.inputs import prepare
from ecgfounder_ft.evaluation.recordings_to_inspect import choose_cases
from ecgfounder_ft.evaluation.subgroups import by_value, evaluate_subgroups
from ecgfounder_ft.evaluation.thresholds import choose_thresholds
from ecgfounder_ft.report.page import (
    AttributionNote,
    CaseDrawing,
    ReportContent,
    content_of,
    flow_rows,
    render_comparison,
    render_report,
)
from ecgfounder_ft.runs.compare import compare_runs
from ecgfounder_ft.task import MULTI_LABEL, SINGLE_LABEL
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
        if not {"style", "title"} & set(self.open):
            self.words.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.words))


def _content(task=MULTI_LABEL, n=60, **changes) -> ReportContent:
    generator = np.random.default_rng(0)
    if task == SINGLE_LABEL:
        targets = np.eye(2, dtype=np.int8)[generator.integers(0, 2, n)]
    else:
        targets = (generator.random((n, 2)) < 0.4).astype(np.int8)
    probabilities = np.clip(0.4 * targets + 0.6 * generator.random((n, 2)), 0, 1)
    data = prepare(targets, probabilities, np.arange(n) // 2, CODES, task=task)
    content = ReportContent(
        title="A <test> & report",
        created="today",
        evaluation=evaluate_input(data, resamples=50),
        data=data,
        condition_names=NAMES,
    )
    return replace(content, **changes)


@pytest.fixture(scope="module")
def full():
    content = _content()
    data = content.data
    thresholds = choose_thresholds(data.targets, data.probabilities, CODES, method="youden")
    signal = np.random.default_rng(0).normal(0, 0.1, (12, 5000)).astype(np.float32)
    recording = Recording("R1", STANDARD_LEADS, signal, 500.0)
    cases = choose_cases(data, errors_per_condition=1, least_certain=1)
    drawings = [
        CaseDrawing(cases[0], "a/R1", {"source": "a"}, recording, np.gradient(signal, axis=1)),
        CaseDrawing(cases[1], "a/R2", missing="signal file is truncated"),
        CaseDrawing(cases[2], "a/R3"),
    ]
    return replace(
        content,
        flow=flow_rows(["train"] * 20 + ["test"] * 40, ["x", "y"] * 30, range(60), data.targets, CODES),
        label_origin="SNOMED codes.",
        skipped={"signal file is truncated": 1234},
        thresholds=thresholds,
        calibration=fit_calibration(data.targets, data.probabilities, CODES, task=MULTI_LABEL, method="platt"),
        uncalibrated=data.probabilities**2,
        subgroups=evaluate_subgroups(data, by_value("sex", ["female", "male", ""] * 20), resamples=20),
        baselines={"random start": content.evaluation},
        history=[{"epoch": 0, "train/loss": 1.0}, {"epoch": 1, "train/loss": 0.5}],
        cases=drawings,
        attribution=AttributionNote("integrated gradients", 0.1, True),
        provenance={"Seed": "0"},
        configuration="a: <b>",
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
    assert "<script" not in text
    assert all(image.get("alt") for image in page.images)
    assert len(page.images) == 9  # bars, ROC, PR, confusion, co-occurrence, reliability, forest, history, one ECG


def test_the_report_says_what_the_numbers_say(full, text):
    page = _Page(text)
    auroc = full.evaluation.conditions["AFIB"].metrics["auroc"]
    assert f"{auroc.value:.3f}" in page.text
    assert f"{auroc.low:.3f} to {auroc.high:.3f}" in page.text
    assert "1,234: signal file is truncated" in page.text
    assert "the best sensitivity + specificity − 1 (Youden)" in page.text
    assert "Not drawn: signal file is truncated" in page.text
    assert "Not drawn: the recording was not at hand" in page.text
    assert "so the shading depends on what was learned" in page.text
    assert {"summary", "flow", "results", "decisions", "calibration", "subgroups", "baselines", "history", "cases",
            "provenance", "checklist"} <= page.anchors  # fmt: skip


def test_text_from_outside_is_escaped(text):
    assert "A &lt;test&gt; &amp; report" in text
    assert "a: &lt;b&gt;" in text
    assert "<test>" not in text


def test_an_attribution_that_fails_its_check_is_called_so(full):
    text = render_report(replace(full, attribution=AttributionNote("integrated gradients", 0.9, False)))
    assert "must not be read as an explanation" in text


def test_single_label_has_one_matrix_and_no_thresholds():
    page = _Page(render_report(_content(SINGLE_LABEL)))
    assert "there are no thresholds" in page.text
    assert len(page.images) == 5  # bars, ROC, PR, confusion, reliability
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
    rows = flow_rows(["train", "train", "test"], ["x", "x", "x"], ["p", "p", "q"], targets, CODES)
    assert [(row.side, row.recordings, row.patients) for row in rows] == [("train", 2, 1), ("test", 1, 1)]
    assert rows[0].positives == {"NORM": 1, "AFIB": 0}
    assert rows[0].unknown == {"NORM": 0, "AFIB": 1}


def test_caps_and_what_is_to_be_known_of_the_recordings_stand_in_the_flow(full):
    row = {"side": "train", "source": "georgia", "cap": "data.max_samples", "recordings": 1234}
    capped = [row | {"conditions": {"NORM": 1200, "AFIB": 30}}]
    notes = ["patient unknown: 7 recordings of georgia"]
    text = _Page(render_report(replace(full, capped=capped, data_notes=notes))).text
    assert re.search(r"Left out by a cap.* train georgia data.max_samples 1,234 1,200 30", text)
    assert "Patient unknown: 7 recordings of georgia." in text
    assert "Left out by a cap" not in _Page(render_report(replace(full, capped=[], data_notes=[]))).text


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
    assert "One temperature" in page.text
    assert "for the best F1" in page.text
    assert "validation" in page.text
    comparison = compare_runs([folder.path for folder in folders], resamples=30)
    page = _Page(render_comparison(comparison, title="Two", created="today"))
    assert all(address.startswith(("data:", "#")) for address in page.addresses)
    assert "second minus first, 80 recordings of 40 patients" in page.text
    assert page.text.index("second") < page.text.index("first")
