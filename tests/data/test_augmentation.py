import math

import pytest
import torch

from tests.settings import augmentation

EFFECTS = {
    "time_shift": 1.0,
    "amplitude_scale": 0.3,
    "baseline_wander": 0.2,
    "mains": 0.1,
    "muscle": 0.2,
    "lead_dropout": 0.3,
    "time_mask": 2.0,
}


@pytest.fixture
def signal() -> torch.Tensor:
    """(16, 12, 5000) of standard deviation 3: amplitudes are relative to it."""
    return 3 * torch.randn(16, 12, 5000, generator=torch.Generator().manual_seed(0))


def _apply(signal: torch.Tensor, key: tuple[int, ...] = (0, 0, 0), **settings: float) -> torch.Tensor:
    changed, mixed = augmentation(probability=1.0, **settings)(signal, key)
    assert mixed is None
    return changed


def _spectrum(added: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.fft.rfftfreq(added.shape[-1], 1 / 500), torch.fft.rfft(added).abs().pow(2).sum(dim=(0, 1))


@pytest.mark.parametrize("name", EFFECTS)
def test_draws_follow_from_seed_epoch_batch_and_process(name: str, signal: torch.Tensor) -> None:
    strength = {name: EFFECTS[name]}
    first = _apply(signal, (1, 2, 0), **strength)
    assert torch.equal(first, _apply(signal, (1, 2, 0), **strength))
    assert not torch.equal(first, signal)
    for key in ((2, 2, 0), (1, 3, 0), (1, 2, 1)):
        assert not torch.equal(first, _apply(signal, key, **strength))
    assert not torch.equal(first, _apply(signal, (1, 2, 0), seed=1, **strength))


@pytest.mark.parametrize("name", EFFECTS)
def test_each_recording_is_changed_with_the_probability(name: str) -> None:
    many = torch.randn(400, 3, 500, generator=torch.Generator().manual_seed(0))
    changed, _ = augmentation(probability=0.25, **{name: EFFECTS[name]})(many, (0, 0, 0))
    share = (changed != many).any(dim=2).any(dim=1).float().mean().item()
    expected = 0.25 * (1 - (1 - 0.3) ** 3 if name == "lead_dropout" else 1)
    assert share == pytest.approx(expected, abs=0.07)


def test_nothing_is_changed_where_nothing_is_on(signal: torch.Tensor) -> None:
    changed, mixed = augmentation()(signal, (0, 0, 0))
    assert changed is signal
    assert mixed is None
    assert augmentation().effects == []
    assert augmentation(mains=0.1, mixup=0.2).effects == ["mains", "mixup"]


def test_time_shift_moves_all_leads_alike_and_fills_with_zeros() -> None:
    ramp = torch.arange(1.0, 1001).expand(32, 2, 1000)
    moved = _apply(ramp, time_shift=0.5)
    shifts = []
    for recording in moved:
        assert torch.equal(recording[0], recording[1])
        row = recording[0]
        inside = row > 0
        offsets = (torch.arange(1, 1001) - row)[inside]
        assert (offsets == offsets[0]).all()
        assert int(inside.sum()) == 1000 - abs(int(offsets[0]))
        shifts.append(int(offsets[0]))
    assert -250 <= min(shifts) < -100
    assert 100 < max(shifts) <= 250


def test_amplitude_scale_keeps_the_shape(signal: torch.Tensor) -> None:
    factors = (_apply(signal, amplitude_scale=0.3) / signal).flatten(1)
    torch.testing.assert_close(factors.amin(dim=1), factors.amax(dim=1))
    assert factors.min() >= 0.7
    assert factors.max() <= 1.3
    assert factors.max() - factors.min() > 0.3


def test_wander_is_slow_and_as_large_as_said(signal: torch.Tensor) -> None:
    added = _apply(signal, baseline_wander=0.2) - signal
    hertz, power = _spectrum(added)
    assert power[hertz <= 0.6].sum() / power.sum() > 0.95
    assert added.std(dim=(1, 2)).max() < 0.2 * 3 * 1.3
    assert added.std(dim=(1, 2)).max() > 0.05 * 3
    assert not torch.allclose(added[:, 0], added[:, 1])


@pytest.mark.parametrize("frequency", [50.0, 60.0])
def test_mains_stands_at_its_frequency(frequency: float, signal: torch.Tensor) -> None:
    added = _apply(signal, mains=0.1, mains_frequency=frequency) - signal
    hertz, power = _spectrum(added)
    assert float(hertz[power.argmax()]) == pytest.approx(frequency)
    assert added.std(dim=(1, 2)).max() <= 0.1 * 3 * 1.05


def test_muscle_noise_lies_in_its_band(signal: torch.Tensor) -> None:
    added = _apply(signal, muscle=0.2) - signal
    hertz, power = _spectrum(added)
    assert power[(hertz >= 20) & (hertz <= 100)].sum() / power.sum() > 0.999
    assert added.std(dim=(1, 2)).max() <= 0.2 * 3 * 1.05


def test_one_lead_always_stays(signal: torch.Tensor) -> None:
    left = (_apply(signal, lead_dropout=1.0) != 0).any(dim=2).sum(dim=1)
    assert left.tolist() == [1] * 16
    one_lead = signal[:, :1]
    assert torch.equal(_apply(one_lead, lead_dropout=1.0), one_lead)


def test_time_mask_is_one_piece_in_all_leads(signal: torch.Tensor) -> None:
    zero = _apply(signal, time_mask=2.0) == 0
    assert torch.equal(zero.any(dim=1), zero.all(dim=1))
    lengths = zero[:, 0].sum(dim=1)
    starts = zero[:, 0].int().diff(dim=1, prepend=torch.zeros(16, 1)).eq(1).sum(dim=1)
    assert starts.max() <= 1
    assert 300 < lengths.max() <= 1000


def test_mixup_gives_partner_and_share(signal: torch.Tensor) -> None:
    mixed, found = augmentation(mixup=0.4)(signal, (0, 0, 0))
    assert found is not None
    partner, share = found
    assert sorted(partner.tolist()) == list(range(16))
    weight = share[:, None, None]
    torch.testing.assert_close(mixed, weight * signal + (1 - weight) * signal[partner])


def test_shares_of_mixup_are_those_of_a_beta_distribution() -> None:
    _, found = augmentation(mixup=0.4)(torch.zeros(20000, 1, 1), (0, 0, 0))
    assert found is not None
    share = found[1]
    assert share.mean().item() == pytest.approx(0.5, abs=0.01)
    assert share.var().item() == pytest.approx(1 / (4 * (2 * 0.4 + 1)), abs=0.005)  # ab / ((a + b)^2 (a + b + 1))
    assert math.isfinite(share.sum().item())


@pytest.mark.parametrize("settings", [{"probability": 1.5}, {"mains": -1.0}, {"lead_dropout": 2.0}])
def test_numbers_out_of_range_are_refused_by_name(settings: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(settings))):
        augmentation(**settings)
