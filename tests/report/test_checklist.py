"""The TRIPOD+AI checklist is whole and true to the report it stands in."""

import re

from ecgfounder_ft.report.checklist import ITEMS, answers

SECTIONS = {"summary", "flow", "results", "decisions", "calibration", "subgroups", "history", "cases", "provenance"}


def test_all_27_items_are_there_in_order_and_name_existing_sections():
    numbers = [int(re.match(r"\d+", item.number).group()) for item in ITEMS]
    assert numbers == sorted(numbers)
    assert set(numbers) == set(range(1, 28))
    assert {item.section for item in ITEMS if item.section} <= SECTIONS
    assert all(item.how if item.section else item.to_add for item in ITEMS)


def test_an_item_whose_section_is_missing_is_not_called_answered():
    states = {answer.item.number: answer.state for answer in answers(SECTIONS - {"subgroups"})}
    assert states["23b"] == "not in this run"
    assert states["23a"] == "answered"
    assert states["26"] == "in part"
    assert states["17"] == "for the authors"
