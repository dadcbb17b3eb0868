"""The TRIPOD+AI checklist is whole, and claims what the run did and nothing else."""

import re
from typing import Any

import pytest

from ecgfounder_ft.report.checklist import ITEMS, Answer, answers, count_states
from tests.report.facts import run_facts, side_of

SECTIONS = {
    "summary", "flow", "characteristics", "results", "decisions", "calibration", "subgroups", "history", "cases",
    "provenance",
}  # fmt: skip


def _answers(**changes: Any) -> dict[str, Answer]:
    return {answer.item.number: answer for answer in answers(run_facts(**changes), SECTIONS)}


def test_all_27_items_are_there_in_order_and_name_existing_sections() -> None:
    numbers = [int(re.match(r"\d+", item.number).group()) for item in ITEMS]  # type: ignore[union-attr]
    assert numbers == sorted(numbers)
    assert set(numbers) == set(range(1, 28))
    assert {item.section for item in ITEMS if item.section} <= SECTIONS
    assert all(item.said is not None or item.to_add for item in ITEMS)


def test_what_only_the_authors_know_is_left_to_them_and_the_rest_is_not_made_up() -> None:
    found = {answer.item.number: answer for answer in answers(None, SECTIONS)}
    assert found["17"].state == "for the authors"
    assert {answer.state for answer in found.values()} == {"for the authors", "not known"}


def test_a_section_that_the_report_lacks_is_not_linked_to() -> None:
    found = {answer.item.number: answer for answer in answers(run_facts(), SECTIONS - {"subgroups"})}
    assert found["23b"].section == ""
    assert found["21"].section == "results"


def test_states_are_counted() -> None:
    found = answers(run_facts(), SECTIONS)
    assert sum(count_states(found).values()) == len(ITEMS)
    assert count_states(found)["for the authors"] == 7


@pytest.mark.parametrize(
    ("number", "changes", "state", "words"),
    [
        ("13", {}, "not done in this run", "neither sampling, nor weights, nor a cap"),
        ("13", {"imbalance": "pos_weight"}, "answered", "the loss weighed rare conditions more; afterwards: platt"),
        ("13", {"imbalance": "balanced_sampler"}, "answered", "drawn more often"),
        ("13", {"capped": {"train": 320}}, "answered", "a cap left recordings out: train 320"),
        ("10", {"capped": {"train": 320}}, "not done in this run", "capped: train 320"),
        ("10", {}, "not done in this run", "test 100, fewest AFIB with 7"),
        ("6a–c", {"capped": {"train": 320}, "left_out": {"paced": 20}}, "in part",
         "20 recordings left out: paced; 320 recordings left out by a cap (train)"),
        ("6a–c", {"excluded": {"copy": 3}}, "in part", "3 recordings excluded: copy"),
        ("6a–c", {"skipped": {"flat": 2}}, "in part", "2 recordings unusable"),
        ("12f", {"calibration": "none"}, "not done in this run", "were not recalibrated"),
        ("12f", {"calibration_notes": 2}, "not done in this run", "platt calibration changed no condition"),
        ("12f", {"calibration_notes": 1}, "answered", "1 of 2 conditions have a note"),
        ("12g", {"calibration_notes": 2}, "answered", "one logit for each condition, a sigmoid for each"),
        ("24", {"calibration": "none"}, "not done in this run", "nothing was updated"),
        ("15", {"exclusive": True, "thresholds": ""}, "answered", "the most probable condition"),
        ("15", {"thresholds": "fixed"}, "answered", "0.5 for all"),
        ("15", {}, "answered", "chosen on validation by f1"),
        ("11", {}, "answered", "missing samples become 0"),
        ("11", {"missing_samples": "interpolate"}, "answered", "missing samples are interpolated"),
        ("11", {"unlisted": "absent"}, "answered", "whose folder a recording does not lie in was taken as absent"),
        ("11", {"sides": {"test": side_of("test", 9, 9, {"AFIB": 1}, AFIB=4)}}, "answered", "unknown labels (test 4)"),
        ("12a", {"sides": {"test": side_of("test", 9, 9, {"AFIB": 1}, 5)}}, "answered",
         "test: 9 recordings of 9 patients (5 without a known patient"),
        ("20a–c", {"age_missing": 4, "sex_missing": 5}, "answered", "4 without age and 5 without sex"),
        ("16", {}, "answered", "this is no external validation"),
        ("16", {"external": "georgia not trained on"}, "answered", "georgia not trained on"),
        ("16", {"elsewhere": True, "evaluated_datasets": ("c",)}, "answered", "evaluated on merged recordings of c"),
        ("12d", {"subgroups": {"sex": 2}}, "not done in this run", "no two sources"),
        ("12d", {}, "answered", "AUROC by source (2 groups)"),
        ("14", {"subgroups": {"source": 2}}, "not done in this run", "no two groups by sex or age"),
        ("14", {}, "in part", "AUROC by sex and age"),
        ("23a", {"resamples": 0}, "in part", "metrics without intervals"),
        ("23a", {"with_interval": 1}, "in part", "an interval for 1 of 2 conditions"),
        ("23a", {}, "answered", "1,000 resamples of patients"),
        ("23b", {"subgroups": {}}, "not done in this run", "no two groups"),
        ("12c", {"epochs": 0, "best_epoch": None}, "not done in this run", "no epoch was trained"),
        ("12c", {"found": {"optimizer.lr": "range test"}}, "in part", "found: optimizer.lr by range test"),
        ("12c", {}, "in part", "3 epochs, the 2nd chosen by validation/loss"),
        ("12e", {}, "in part", "the epoch was chosen by validation/loss"),
        ("18e–f", {"weights": ""}, "in part", "versions, fingerprint of the data"),
        ("26", {"natural_prevalence": False}, "in part", "describe no population"),
        ("26", {}, "in part", "one split and one seed"),
        ("26", {"external": "georgia not trained on"}, "in part", "one split and one seed, so their chance is in no"),
        ("27a", {"skipped": {"flat": 2}}, "answered", "2 flat"),
        ("8a–c", {"label_origin": ""}, "not done in this run", "no word"),
    ],
)  # fmt: skip
def test_each_answer_follows_from_what_was_done(number: str, changes: dict[str, Any], state: str, words: str) -> None:
    answer = _answers(**changes)[number]
    assert words in answer.text
    assert answer.state == state


def test_nothing_is_claimed_that_was_not_done() -> None:
    bare = run_facts(
        subgroups={}, calibration="none", resamples=0, with_interval=0, epochs=0, best_epoch=None, label_origin=""
    )
    found = {answer.item.number: answer.state for answer in answers(bare, SECTIONS)}
    not_done = {number for number, state in found.items() if state == "not done in this run"}
    assert not_done == {"8a–c", "10", "12c", "12d", "12f", "13", "14", "23b", "24"}
    assert "no external data" in _answers()["26"].text
    assert "no external data" not in _answers(external="georgia not trained on")["26"].text
