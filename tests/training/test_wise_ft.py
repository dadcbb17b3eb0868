import math

import pytest
import torch

from ecgfounder_ft.training.wise_ft import best_row, interpolate


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
