"""The Challenge's files, scored by definitions written anew from the Challenge's description.

https://moody-challenge.physionet.org/2021/: F-measure 2 TP / (2 TP + FP + FN); AUROC and AUPRC over the distinct
probabilities, by trapezoids and by steps; codes that are absent from a header count as negative.
"""

from pathlib import Path

import numpy as np
import pytest

from ecgfounder_ft.evaluation.challenge2021 import PLACES, challenge_metric, challenge_weight, write_challenge_files
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


PUBLISHED = """
             426783006 270492004 713427006 733534002 164889003 164890007
426783006        1       0.45      0.35      0.275     0.25      0.25
270492004        0.45    1         0.4       0.325     0.3       0.3
713427006        0.35    0.4       1         0.425     0.4       0.4
733534002        0.275   0.325     0.425     1         0.475     0.475
164889003        0.25    0.3       0.4       0.475     1         0.5
164890007        0.25    0.3       0.4       0.475     0.5       1
"""
"""The entries of the Challenge's weights.csv for the six conditions, copied by hand."""


def test_the_weights_are_those_published():
    head, *rows = [line.split() for line in PUBLISHED.strip().splitlines()]
    for label, *row in rows:
        for decision, weight in zip(head, row, strict=True):
            assert challenge_weight(label, decision) == float(weight)
    assert challenge_weight("59118001", "713427006") == 1.0  # scored as one class
    assert challenge_weight("164917005", "6374002") == 0.375
    assert challenge_weight("6374002", "164909002") == 0.475
    assert challenge_weight("284470004", "713426002") == 0.4625
    assert len(PLACES) == 26


def _challenge_metric(labels: Path, outputs: Path) -> float:
    """From the files alone, class by class as the Challenge describes it."""
    classes = list(PLACES)
    scored_as = {"59118001": "713427006", "164909002": "733534002"}
    sums = np.zeros(3)
    for header in sorted(labels.glob("*.hea")):
        line = header.read_text().splitlines()[-1].removeprefix("#Dx: ")
        truth = {scored_as.get(code, code) for code in line.split(",") if code}
        _, names, decisions, _ = (outputs / f"{header.stem}.csv").read_text().splitlines()
        decided = {
            scored_as.get(name, name)
            for name, flag in zip(names.split(","), decisions.split(","), strict=True)
            if flag == "1"
        }
        for place, answer in enumerate((decided, truth, {"426783006"})):
            for one in truth & set(classes):
                for other in answer & set(classes):
                    sums[place] += challenge_weight(one, other) / max(1, len(truth | answer))
    return (sums[0] - sums[2]) / (sums[1] - sums[2])


def test_the_challenge_metric_of_the_files_stands_beside_them(data, tmp_path):
    written = write_challenge_files(tmp_path, data, [f"g/E{row:05d}" for row in range(80)], SNOMED)
    expected = _challenge_metric(written.labels, written.outputs)
    assert written.challenge_metric.value == pytest.approx(expected)
    content = written.metrics(resamples=20)
    assert (content["recordings"], content["left_out"], content["evaluation"]["n"]) == (78, 2, 78)
    found = content["challenge_metric"]
    assert found["classes"] == {"NORM": "426783006", "RBBB": "713427006", "LBBB": "733534002"}
    assert found["weights"]["RBBB"] == {"NORM": 0.35, "RBBB": 1.0, "LBBB": 0.425}
    assert len(found["classes_left_out"]) == 23
    assert "3 of the 26 scored classes" in found["reason"]


def test_the_challenge_metric_is_one_for_the_labels_and_nothing_for_sinus_rhythm_alone():
    targets = np.array([[1, 0, 0], [0, 1, 0], [0, 1, 1], [0, 0, 0]], dtype=np.int8)

    def metric(decisions, codes=CODES):
        data = prepare(targets, np.asarray(decisions, dtype=float), np.arange(4), codes, task=MULTI_LABEL)
        return challenge_metric(data, SNOMED | {"X": ["251120003"]})

    assert metric(targets).value == 1.0
    assert metric(np.tile([1, 0, 0], (4, 1))).value == 0.0
    assert metric(np.tile([0, 0, 0], (4, 1))).value < 0
    other = metric(targets, ("NORM", "RBBB", "X"))
    assert other.unscored_conditions == ["X"]
    without_rhythm = metric(targets, ("X", "RBBB", "LBBB"))  # sinus rhythm is what the worst model decides all the same
    assert without_rhythm.value == 1.0
    nothing = prepare(np.zeros((2, 3)), np.zeros((2, 3)), [0, 1], CODES, task=MULTI_LABEL)
    assert challenge_metric(nothing, SNOMED).value is None
