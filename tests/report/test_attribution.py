"""Integrated gradients add up, point at what decides, and change with the weights."""

import numpy as np
import pytest
import torch
from torch import nn

pytest.importorskip("captum", reason="the attribution extra is not installed")

from ecgfounder_ft.report.attribution import integrated_gradients, randomisation_check


class _Detector(nn.Module):
    """Output 0 is the mean of lead 1 in samples 40 to 59, output 1 the negative of it."""

    def __init__(self) -> None:
        super().__init__()
        weight = torch.zeros(2, 3, 100)
        weight[0, 1, 40:60] = 0.05
        weight[1, 1, 40:60] = -0.05
        self.linear = nn.Linear(300, 2, bias=False)
        self.linear.weight = nn.Parameter(weight.reshape(2, 300))

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return self.linear(inputs.flatten(1))


def test_weights_lie_on_what_decides_and_add_up_to_the_output():
    net = _Detector()
    inputs = torch.randn(4, 3, 100, generator=torch.Generator().manual_seed(0))
    result = integrated_gradients(net, inputs, [0, 0, 1, 1], steps=8)
    assert result.weights.shape == (4, 3, 100)
    outputs = net(inputs).detach().numpy()[np.arange(4), [0, 0, 1, 1]]
    np.testing.assert_allclose(result.weights.sum(axis=(1, 2)), outputs, atol=1e-5)
    np.testing.assert_allclose(result.gap, 0, atol=1e-5)
    elsewhere = result.weights.copy()
    elsewhere[:, 1, 40:60] = 0
    assert not elsewhere.any()


def test_a_nonlinear_network_in_training_mode_is_left_in_it():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv1d(3, 4, 5), nn.ReLU(), nn.Dropout(0.5), nn.AdaptiveAvgPool1d(1), nn.Flatten())
    result = integrated_gradients(net.train(), torch.randn(3, 3, 100), [0, 1, 2], steps=64)
    assert net.training
    assert np.abs(result.gap).max() < 0.02 * np.abs(result.weights).sum(axis=(1, 2)).max()


def test_a_trained_network_passes_the_check_and_stays_as_it_was():
    net = _Detector()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    inputs = torch.randn(4, 3, 100, generator=torch.Generator().manual_seed(1))
    check = randomisation_check(net, inputs, [0] * 4, steps=4)
    assert check.recordings == 4
    assert check.sane
    assert abs(check.correlation) < 0.2
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())
    again = randomisation_check(net, inputs, [0] * 4, steps=4, trained=integrated_gradients(net, inputs, [0] * 4))
    assert again.correlation == pytest.approx(check.correlation, abs=0.01)


def test_an_attribution_that_ignores_the_weights_fails_the_check():
    class Fixed(nn.Module):
        """Its output does not depend on its parameters."""

        def __init__(self) -> None:
            super().__init__()
            self.unused = nn.Parameter(torch.randn(5))

        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            return (inputs[:, :, 10:20] ** 2).sum(dim=(1, 2))[:, None] + 0 * self.unused.sum()

    check = randomisation_check(Fixed(), torch.randn(2, 3, 50), [0, 0], steps=8)
    assert check.correlation > 0.99
    assert check.sane is False


def test_the_size_of_the_recording_alone_is_not_taken_for_likeness():
    """Two unlike networks look alike where the recording is large; their gradients do not."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Flatten(), nn.Linear(300, 1))
    inputs = torch.randn(3, 3, 100) * torch.logspace(-2, 2, 100)
    check = randomisation_check(net, inputs, [0, 0, 0], steps=4)
    assert check.drawn_correlation > 0.6
    assert abs(check.correlation) < 0.2
    assert check.sane


def test_flat_input_cannot_be_told():
    check = randomisation_check(_Detector(), torch.zeros(2, 3, 100), [0, 0], steps=4)
    assert check.correlation is None
    assert check.sane is None
