import math

import pytest
import torch

from ecgfounder_ft.training.wise_ft import Interpolation, best_row, interpolate


def test_interpolation_ends_in_both_networks_bit_for_bit() -> None:
    start, end = {"a": torch.randn(5)}, {"a": torch.randn(5)}
    assert torch.equal(interpolate(start, end, 0.0)["a"], start["a"])
    assert torch.equal(interpolate(start, end, 1.0)["a"], end["a"])
    torch.testing.assert_close(interpolate(start, end, 0.25)["a"], 0.75 * start["a"] + 0.25 * end["a"])


@pytest.mark.parametrize(("mode", "expected"), [("min", 0.2), ("max", 0.5)])
def test_the_best_row_is_the_nearest_to_the_start_of_equals_and_never_an_undefined_one(
    mode: str, expected: float
) -> None:
    values = {0.0: math.nan, 0.2: 1.0, 0.4: 1.0, 0.5: 3.0}
    rows = [{"coefficient": coefficient, "metric": value} for coefficient, value in values.items()]
    assert best_row(rows, "metric", mode)["coefficient"] == expected


ROWS = [
    {"coefficient": 0.0, "validation/loss": 0.9, "validation/macro_auroc": 0.8},
    {"coefficient": 0.5, "validation/loss": 0.5, "validation/macro_auroc": 0.8},
    {"coefficient": 1.0, "validation/loss": 0.4, "validation/macro_auroc": 0.7},
]


@pytest.mark.parametrize(
    ("floor", "start", "expected"),
    [
        (None, 0.8, 1.0),
        ("validation/macro_auroc", 0.8, 0.5),  # the trained weights are below the start
        ("validation/macro_auroc", 0.9, 0.0),  # all of them are: nothing but the start is left
        ("validation/macro_auroc", math.nan, 1.0),  # it does not exist for the start
        ("validation/loss", 0.8, 1.0),  # where lower is better
    ],
)
def test_what_is_below_the_start_is_not_taken(floor: str | None, start: float, expected: float) -> None:
    rows = [ROWS[0] | {"validation/macro_auroc": start}, *ROWS[1:]]
    assert best_row(rows, "validation/loss", "min", floor)["coefficient"] == expected


def test_the_choice_is_told_in_one_line() -> None:
    said = str(Interpolation("validation/loss", "validation/macro_auroc", 0.5, ROWS))
    assert "takes 0.5 of the way from the start to the best epoch" in said
    assert "validation/loss 0.5000 (start 0.9000, best epoch 0.4000)" in said
    assert "validation/macro_auroc 0.8000 (start 0.8000, best epoch 0.7000)" in said
    assert "takes the start" in str(Interpolation("validation/loss", None, 0.0, ROWS))
