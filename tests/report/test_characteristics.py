"""Table 1: counts, quartiles, what is missing, and which conditions occur together."""

import numpy as np
import pandas as pd

from ecgfounder_ft.report.characteristics import characteristics, dataset_and_constituent

CODES = ("A", "B", "C")
TABLE = pd.DataFrame(
    {
        "split": ["train"] * 5 + ["test", "excluded"],
        "dataset": ["x"] * 4 + ["y", "y", "y"],
        "constituent": ["", "", "p", "p", np.nan, "", ""],
        "patient": ["x/1", "x/1", "x/2", "x/r4", "y/1", "y/9", "y/8"],
        "patient_known": [True, True, True, False, True, False, True],
        "age": [20.0, 40.0, 60.0, np.nan, 80.0, np.nan, 1.0],
        "sex": ["female", "female", "male", np.nan, "", "male", "male"],
        "seconds": [10.0, 10.0, 10.0, 30.0, 12.0, 10.0, 1.0],
    }
)
STATES = np.array([[1, 1, 0], [1, 0, -1], [0, 0, -1], [1, 1, 1], [0, 0, 0], [0, 0, 1], [1, 1, 1]], dtype=np.int8)


def test_each_side_is_described_and_excluded_recordings_are_not() -> None:
    train, test = characteristics(TABLE, STATES, CODES, ("train", "validation", "test"))
    assert (train.name, train.recordings, train.patients, train.patient_unknown) == ("train", 5, 4, 1)
    assert (test.name, test.recordings, test.patient_unknown) == ("test", 1, 1)
    assert train.age is not None
    assert (train.age.median, train.age.low, train.age.high, train.age_missing) == (50.0, 35.0, 65.0, 1)
    assert train.seconds is not None
    assert (train.seconds.median, train.seconds.high) == (10.0, 12.0)
    assert (test.age, test.age_missing) == (None, 1)
    assert train.sex == {"female": 2, "male": 1, "not stated": 2}
    assert train.sources == {"x": 2, "x: p": 2, "y": 1}
    assert train.percent(2) == "40.0%"


def test_conditions_are_counted_where_they_are_known_and_in_pairs() -> None:
    train, test = characteristics(TABLE, STATES, CODES, ("train", "test"))
    assert train.present == {"A": 3, "B": 2, "C": 1}
    assert train.known == {"A": 5, "B": 5, "C": 3}
    assert (train.none_present, train.several_present) == (2, 2)
    assert train.together.tolist() == [[3, 2, 1], [2, 2, 1], [1, 1, 1]]
    assert test.several_present == 0


def test_a_source_is_named_with_its_constituent_where_it_has_one() -> None:
    assert dataset_and_constituent(TABLE).tolist() == ["x", "x", "x: p", "x: p", "y", "y", "y"]
    assert dataset_and_constituent(TABLE[["dataset"]]).tolist() == ["x"] * 4 + ["y"] * 3


def test_what_a_table_does_not_have_is_not_stated() -> None:
    bare = TABLE[["split", "dataset", "patient"]]
    train = characteristics(bare, STATES, CODES, ("train",))[0]
    assert (train.age, train.seconds, train.patient_unknown) == (None, None, 0)
    assert train.sex["not stated"] == train.age_missing == train.seconds_missing == 5
    assert train.sources == {"x": 4, "y": 1}
