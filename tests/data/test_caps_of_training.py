"""Smaller training sides lie in larger ones, whole patients, and hold every condition."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecgfounder_ft.data.caps import BEYOND, exclude_beyond, first_patients
from ecgfounder_ft.data.splits import EXCLUDED, TRAIN, TooFewRecordingsError

CODES = ("NORM", "AFIB", "LBBB")


def make_table(rows: list[tuple[int, int]]) -> pd.DataFrame:
    """Rows of (patient, conditions as bits)."""
    return pd.DataFrame(
        [
            {"patient": f"p{patient}"}
            | {code: "present" if bits >> k & 1 else "absent" for k, code in enumerate(CODES)}
            for patient, bits in rows
        ]
    )


tables = st.lists(st.tuples(st.integers(0, 15), st.integers(0, 7)), min_size=1, max_size=60).map(make_table)


@settings(max_examples=60, deadline=None)
@given(tables, st.integers(0, 4), st.integers(1, 60), st.integers(1, 60))
def test_a_smaller_part_lies_in_a_larger_one_and_patients_stay_whole(table, seed, one, other):
    smaller, larger = (first_patients(table, CODES, size, seed) for size in sorted((one, other)))
    assert not (smaller & ~larger).any()
    for kept, size in ((smaller, min(one, other)), (larger, max(one, other))):
        assert kept.sum() <= size
        assert not set(table["patient"][kept]) & set(table["patient"][~kept])
    assert first_patients(table, CODES, len(table), seed).all()


@settings(max_examples=30, deadline=None)
@given(tables, st.integers(0, 4), st.randoms(use_true_random=False))
def test_the_order_of_the_rows_does_not_matter(table, seed, random):
    order = list(table.index)
    random.shuffle(order)
    kept = pd.Series(first_patients(table, CODES, 10, seed), index=table.index)
    shuffled = pd.Series(first_patients(table.loc[order], CODES, 10, seed), index=order)
    assert set(kept.index[kept]) == set(shuffled.index[shuffled])


def test_a_small_part_holds_a_rare_condition_and_about_the_shares_of_the_whole():
    rng = np.random.default_rng(0)
    bits = rng.choice([1, 2, 4], p=[0.8, 0.17, 0.03], size=1000)
    table = make_table([(number, int(chosen)) for number, chosen in enumerate(bits)])
    ten = table[first_patients(table, CODES, 10, 0)]
    assert len(ten) == 10
    assert all((ten[code] == "present").any() for code in CODES)
    hundred = table[first_patients(table, CODES, 100, 0)]
    for code in CODES:
        whole, part = ((side[code] == "present").mean() for side in (table, hundred))
        assert part == pytest.approx(whole, abs=0.015)
    other = first_patients(table, CODES, 100, 1)
    assert set(table.index[other]) != set(hundred.index)


def test_what_is_beyond_is_excluded_and_other_sides_stay():
    table = make_table([(number, 1 << number % 3) for number in range(20)])
    table["split"] = [TRAIN] * 12 + ["validation"] * 4 + ["test"] * 4
    table["exclusion"] = ""
    smaller = exclude_beyond(table, CODES, 5, 0)
    assert (smaller["split"] == TRAIN).sum() == 5
    assert (smaller["exclusion"][smaller["split"] == EXCLUDED] == BEYOND).all()
    assert smaller["split"][12:].equals(table["split"][12:])
    assert (table["split"] == TRAIN).sum() == 12
    with pytest.raises(TooFewRecordingsError, match=r"training_recordings=13, but the training side has 12"):
        exclude_beyond(table, CODES, 13, 0)
    table["patient"] = "same"
    with pytest.raises(TooFewRecordingsError, match="first patient alone"):
        exclude_beyond(table, CODES, 5, 0)
