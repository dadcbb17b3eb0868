"""The Challenge's files, scored by definitions written anew from the Challenge's description.

https://moody-challenge.physionet.org/2021/: F-measure 2 TP / (2 TP + FP + FN); AUROC and AUPRC over the distinct
probabilities, by trapezoids and by steps; codes that are absent from a header count as negative.
"""

from pathlib import Path

import numpy as np
import pytest

from ecgfounder_ft.evaluation.challenge2021 import write_challenge_files
from ecgfounder_ft.evaluation.evaluate import evaluate_input
from ecgfounder_ft.evaluation.inputs import prepare
from ecgfounder_ft.task import MULTI_LABEL

CODES = ("NORM", "RBBB", "LBBB")
SNOMED = {"NORM": ["426783006"], "RBBB": ["59118001", "713427006"], "LBBB": ["164909002", "733534002"]}


def _score(labels: Path, outputs: Path, snomed: str) -> tuple[float, float, float]:
    """(AUROC, AUPRC, F) of one class, read from the files alone."""
    truth, decision, probability = [], [], []
    for header in sorted(labels.glob("*.hea")):
        (line,) = [line for line in header.read_text().splitlines(keepends=True) if line.startswith("#Dx")]
        truth.append(snomed in line.split(": ")[1].strip().split(","))
        rows = [row for row in (outputs / f"{header.stem}.csv").read_text().splitlines() if not row.startswith("#")]
        columns = rows[0].split(",")
        decision.append(rows[1].split(",")[columns.index(snomed)] == "1")
        probability.append(float(rows[2].split(",")[columns.index(snomed)]))
    truth, decision, probability = np.array(truth), np.array(decision), np.array(probability)
    true_positives = np.sum(truth & decision)
    f_measure = 2 * true_positives / (truth.sum() + decision.sum())
    points = [(0.0, 1.0)]  # sensitivity, specificity
    auprc = 0.0
    for cut in np.unique(probability)[::-1]:
        chosen = probability >= cut
        sensitivity = np.sum(chosen & truth) / truth.sum()
        auprc += (sensitivity - points[-1][0]) * np.sum(chosen & truth) / chosen.sum()
        points.append((sensitivity, np.sum(~chosen & ~truth) / np.sum(~truth)))
    x, y = np.array(points).T
    return float(np.sum(np.diff(x) * (y[1:] + y[:-1]) / 2)), float(auprc), float(f_measure)


@pytest.fixture
def data():
    generator = np.random.default_rng(0)
    targets = (generator.random((80, 3)) < 0.3).astype(np.int8)
    targets[0] = 0  # none of the conditions
    targets[5, 1] = -1
    probabilities = np.clip(0.3 * targets + 0.7 * generator.random((80, 3)), 0, 1).round(2)  # with ties
    probabilities[6, 2] = np.nan
    return prepare(
        targets, probabilities, np.arange(80), CODES, task=MULTI_LABEL, thresholds={"NORM": 0.3, "LBBB": 0.6}
    )


def test_the_scorers_metrics_are_ours(data, tmp_path):
    names = [f"georgia/E{row:05d}" for row in range(80)]
    written = write_challenge_files(tmp_path, data, names, SNOMED)
    assert written.left_out == 2
    assert len(list(written.outputs.iterdir())) == len(list(written.labels.iterdir())) == 78
    ours = evaluate_input(written.data, resamples=0)
    for code in CODES:
        metrics = ours.conditions[code].metrics
        expected = (metrics["auroc"].value, metrics["auprc"].value, metrics["f1"].value)
        assert _score(written.labels, written.outputs, SNOMED[code][0]) == pytest.approx(expected, abs=1e-12)


def test_the_form_of_the_files(data, tmp_path):
    names = [f"a/R{row}" for row in range(80)]
    names[1] = "b/R0"
    written = write_challenge_files(
        tmp_path, data, names, SNOMED, ages=[55.0, *[np.nan] * 79], sexes=["female", *[""] * 79]
    )
    assert (written.labels / "a_R0.hea").read_text() == "a_R0 0\n#Age: 55\n#Sex: Female\n#Dx: \n"
    assert "#Age: NaN\n#Sex: Unknown\n" in (written.labels / "b_R0.hea").read_text()
    lines = (written.outputs / "R2.csv").read_text().splitlines()
    assert lines[:2] == ["#R2", "426783006,59118001,164909002"]
    assert [float(value) for value in lines[3].split(",")] == data.probabilities[2].tolist()


def test_a_folder_in_use_and_a_condition_without_code_are_refused(data, tmp_path):
    names = [f"a/R{row}" for row in range(80)]
    write_challenge_files(tmp_path, data, names, SNOMED)
    with pytest.raises(FileExistsError, match="is not empty"):
        write_challenge_files(tmp_path, data, names, SNOMED)
    with pytest.raises(KeyError, match="no SNOMED CT code for RBBB"):
        write_challenge_files(tmp_path / "other", data, names, {**SNOMED, "RBBB": []})
