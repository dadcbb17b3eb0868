import numpy as np
import pytest
import torch

from ecgfounder_ft.labels import LabelMap
from ecgfounder_ft.training.lr_finder import range_test, suggest
from ecgfounder_ft.training.wise_ft import copy_of_state
from tests.settings import strategy
from tests.small_training import small_classifier, small_data


def test_the_suggestion_is_where_the_loss_falls_fastest() -> None:
    learning_rates = np.logspace(-6, 0, 61)
    losses = (
        1
        - 0.8 / (1 + np.exp(-4 * (np.log10(learning_rates) + 3)))
        + np.where(learning_rates > 1e-1, 5 * learning_rates, 0)
    )
    assert suggest(learning_rates.tolist(), losses.tolist()) == pytest.approx(1e-3, rel=0.3)
    assert suggest(learning_rates.tolist(), np.linspace(1, 2, 61).tolist()) is None


def test_the_network_stays_as_it_was_and_the_test_ends_where_it_diverges(label_map: LabelMap) -> None:
    classifier = small_classifier(label_map)
    before = copy_of_state(classifier.net)
    loader = small_data(label_map.codes).train_dataloader()
    found = range_test(classifier, strategy("linear_probe"), loader, 1e-5, 1e4, 60, torch.device("cpu"))
    assert 10 < len(found.learning_rates) < 60
    assert found.suggestion is not None
    for name, value in classifier.net.state_dict().items():
        assert torch.equal(value, before[name]), name
    assert all(parameter.requires_grad and parameter.grad is None for parameter in classifier.net.parameters())


def test_learning_rates_out_of_order_are_refused(label_map: LabelMap) -> None:
    with pytest.raises(ValueError, match="lr_finder"):
        range_test(small_classifier(label_map), strategy("linear_probe"), [], 1.0, 0.1, 100, torch.device("cpu"))
