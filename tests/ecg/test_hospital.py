"""Hospitals differ in what the shifted one says it differs in, and in nothing that has no name."""

import numpy as np
import pytest

from ecgfounder_ft.ecg.simulator.hospital import HOSPITALS, hospital_named, with_changes
from ecgfounder_ft.ecg.simulator.physiology import SIMULATED_CONDITIONS
from ecgfounder_ft.ecg.simulator.population import draw_case
from ecgfounder_ft.ecg.simulator.ranges import RANGES


def test_changed_ranges_keep_unit_source_and_distribution() -> None:
    changed = with_changes(RANGES, {"muscle noise": (0.1, 0.2)})
    before, after = RANGES["muscle noise"], changed["muscle noise"]
    assert (after.low, after.high) == (0.1, 0.2)
    assert (after.unit, after.source, after.logarithmic) == (before.unit, before.source, before.logarithmic)
    assert {name for name in RANGES if changed[name] != RANGES[name]} == {"muscle noise"}


def test_a_range_that_does_not_exist_is_named_with_those_that_do() -> None:
    with pytest.raises(ValueError, match=r"(?s)'PR intervall'.*there are: .*QRS, normal"):
        with_changes(RANGES, {"PR intervall": (0.1, 0.2)})
    with pytest.raises(ValueError, match=r"'PR' from 0\.2 to 0\.1"):
        with_changes(RANGES, {"PR": (0.2, 0.1)})
    with pytest.raises(ValueError, match="textbook, shifted, everyday"):
        hospital_named("general")


@pytest.mark.parametrize("hospital", ["shifted", "everyday"])
def test_blocks_fulfil_their_definitions(hospital: str) -> None:
    ranges = HOSPITALS[hospital].ranges
    assert ranges["PR"].high < 0.2 < ranges["PR, first-degree block"].low
    assert min(ranges["QRS, rbbb"].low, ranges["QRS, lbbb"].low) >= 0.12
    assert max(ranges[f"QRS, {name}"].high for name in ("normal", "irbbb", "ilbbb")) < 0.12
    assert 60 <= ranges["sinus rate"].low < ranges["sinus rate"].high <= 100


def test_the_everyday_hospital_lies_between_the_others_and_its_conditions_are_rare() -> None:
    everyday, shifted = HOSPITALS["everyday"], HOSPITALS["shifted"].ranges
    for name, range_ in everyday.ranges.items():
        for limit in ("low", "high"):
            ends = getattr(RANGES[name], limit), getattr(shifted[name], limit)
            assert min(ends) <= getattr(range_, limit) <= max(ends), name
    rng = np.random.default_rng(0)
    cases = [conditions for conditions, _ in (draw_case(rng, everyday.shares) for _ in range(2000))]  # type: ignore[arg-type]
    shares = {code: np.mean([code in conditions for conditions in cases]) for code in SIMULATED_CONDITIONS}
    assert shares.pop("NORM") > 0.4
    assert all(0.01 < share < 0.1 for share in shares.values()), shares


def test_the_shifted_hospitals_patients_have_every_condition_and_other_findings() -> None:
    rng = np.random.default_rng(0)
    cases = [draw_case(rng, HOSPITALS["shifted"].shares) for _ in range(400)]  # type: ignore[arg-type]
    assert {code for conditions, _ in cases for code in conditions} == set(SIMULATED_CONDITIONS)
    with_findings = np.mean([bool(findings) for _, findings in cases])
    assert with_findings > np.mean([bool(findings) for _, findings in (draw_case(rng) for _ in range(400))])
