"""The title and the sizes, as they are printed."""

from ecgfounder_ft.report.words import ordinal
from tests.report.facts import run_facts, side_of


def test_the_title_names_network_leads_start_strategy_data_and_seed() -> None:
    assert run_facts().title == (
        "Net1D (2 leads, from demo), fine-tuned (lora) on merged recordings of a and b, seed 7"
    )
    bare = run_facts(weights="", leads=("I",), strategy="full", source="a", datasets=("a",))
    assert bare.title == "Net1D (1 lead, from a random start), trained (full) on a, seed 7"
    other = run_facts(elsewhere=True, evaluated_source="table", evaluated_datasets=("c", "d", "e"))
    assert "on merged recordings of a and b, evaluated on table recordings of c, d and e, seed 7" in other.title


def test_unknown_patients_are_not_passed_off_as_patients() -> None:
    assert side_of("test", 10, 8, {}).size == "10 recordings of 8 patients"
    assert side_of("test", 10, 8, {}, 5).size == (
        "10 recordings of 8 patients (5 without a known patient, counted as one patient each)"
    )
    assert side_of("test", 10, 8, {}).fewest is None


def test_ordinals() -> None:
    assert [ordinal(n) for n in (1, 2, 3, 4, 11, 12, 13, 21, 112)] == [
        "1st", "2nd", "3rd", "4th", "11th", "12th", "13th", "21st", "112th",
    ]  # fmt: skip
