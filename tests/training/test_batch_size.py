import pytest
import torch

from ecgfounder_ft.labels import LabelMap
from ecgfounder_ft.training import batch_size
from ecgfounder_ft.training.batch_size import find_batch_size
from ecgfounder_ft.training.wise_ft import copy_of_state
from tests.settings import strategy
from tests.small_training import small_classifier

CPU = torch.device("cpu")
SHAPE = (12, 500)


def test_the_network_and_the_random_numbers_stay_as_they_were(label_map: LabelMap) -> None:
    classifier = small_classifier(label_map)
    before, drawn = copy_of_state(classifier.net), torch.get_rng_state()
    found = find_batch_size(classifier, strategy("linear_probe"), SHAPE, 300, 1, CPU)
    assert found.chosen in found.speed
    assert max(found.speed) <= 300 // 8  # an epoch keeps eight steps
    for name, value in classifier.net.state_dict().items():
        assert torch.equal(value, before[name]), name
    assert all(parameter.requires_grad and parameter.grad is None for parameter in classifier.net.parameters())
    assert torch.equal(torch.get_rng_state(), drawn)


@pytest.mark.parametrize(
    ("speeds", "chosen", "tried"),
    [
        ({8: 10, 16: 19, 32: 30, 64: 31, 128: 31.4, 256: 31}, 32, 128),  # ends after two doublings without gain
        ({8: 10, 16: 10.1, 32: 15, 64: 15, 128: 15, 256: 15}, 32, 128),  # one doubling without gain may be chance
        ({8: 10, 16: 20, 32: None}, 16, 16),  # does not fit
    ],
)
def test_doubling_ends_where_it_gains_nothing_or_does_not_fit(
    speeds: dict[int, float | None], chosen: int, tried: int, label_map: LabelMap, monkeypatch: pytest.MonkeyPatch
) -> None:
    def speed(classifier: object, optimizer: object, size: int, *_: object) -> float:
        found = speeds[size]
        if found is None:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return found

    monkeypatch.setattr(batch_size, "_speed", speed)
    found = find_batch_size(small_classifier(label_map), strategy("linear_probe"), SHAPE, 10_000, 1, CPU)
    assert (found.chosen, max(found.speed)) == (chosen, tried)
    assert found.too_large == (32 if None in speeds.values() else None)


def test_the_most_expensive_epoch_is_measured(label_map: LabelMap, monkeypatch: pytest.MonkeyPatch) -> None:
    classifier = small_classifier(label_map)
    trained = []

    def speed(*_: object) -> float:
        trained.append(sum(parameter.requires_grad for parameter in classifier.net.parameters()))
        return 1.0

    monkeypatch.setattr(batch_size, "_speed", speed)
    find_batch_size(classifier, strategy("gradual"), SHAPE, 100, 20, CPU)
    assert set(trained) == {len(list(classifier.net.parameters()))}


def test_not_even_the_smallest_fits(label_map: LabelMap, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> float:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(batch_size, "_speed", full)
    with pytest.raises(torch.OutOfMemoryError):
        find_batch_size(small_classifier(label_map), strategy("linear_probe"), SHAPE, 100, 1, CPU)
