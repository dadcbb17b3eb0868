import pytest
import torch

from ecgfounder_ft.schedules.schedule import Schedule
from tests.settings import schedule


def _learning_rates(chosen: Schedule, steps: int, total_steps: int = 100) -> list[float]:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=1.0, momentum=0.9)
    scheduler = chosen(optimizer, total_steps)
    rates = []
    for _ in range(steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return rates


def test_cosine_rises_linearly_and_falls_to_its_floor() -> None:
    rates = _learning_rates(schedule("cosine", warmup=0.1, floor=0.05), 101)
    assert rates[:10] == pytest.approx([0.1 * step for step in range(1, 11)])
    assert rates[55] == pytest.approx(0.525)
    assert rates[100] == pytest.approx(0.05)
    assert _learning_rates(schedule("cosine", warmup=0.0, floor=0.0), 1) == [1.0]


def test_one_cycle_is_highest_after_its_warmup() -> None:
    rates = _learning_rates(schedule("one_cycle", warmup=0.3), 100, total_steps=101)
    assert max(rates) == pytest.approx(1.0, abs=1e-2)
    assert rates.index(max(rates)) in (29, 30)
    assert rates[-1] < 1e-2


def test_constant_stays() -> None:
    assert _learning_rates(schedule("constant"), 5) == [1.0] * 5
