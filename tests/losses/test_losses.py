import pytest
import torch
import torch.nn.functional as F

from ecgfounder_ft.labels import ABSENT, PRESENT, UNKNOWN
from ecgfounder_ft.losses.loss import Loss
from tests.settings import loss

LOGITS = torch.tensor([[2.0, -1.0, 0.5], [-3.0, 0.2, 4.0]])
ONE_EACH = torch.tensor([[PRESENT, ABSENT, ABSENT], [ABSENT, ABSENT, PRESENT]], dtype=torch.int8)
STATES = torch.tensor([[PRESENT, UNKNOWN, ABSENT], [PRESENT, PRESENT, UNKNOWN]], dtype=torch.int8)
NOTHING_KNOWN = torch.full((2, 3), UNKNOWN, dtype=torch.int8)


def test_cross_entropy_with_label_smoothing_by_hand() -> None:
    target = torch.tensor([[0.9, 0.05, 0.05], [0.05, 0.05, 0.9]])  # 0.15 spread over three, 0.85 for the class
    smoothed = torch.tensor([[0.9, 0.05, 0.05], [0.05, 0.05, 0.9]])
    torch.testing.assert_close(target, smoothed)
    expected = -(smoothed * LOGITS.log_softmax(dim=1)).sum(dim=1)
    torch.testing.assert_close(loss("cross_entropy", label_smoothing=0.15)(LOGITS, ONE_EACH), expected)


def test_cross_entropy_weighs_by_the_class() -> None:
    plain = loss("cross_entropy")
    weighed = plain(LOGITS, ONE_EACH, torch.tensor([2.0, 1.0, 3.0]))
    torch.testing.assert_close(weighed, plain(LOGITS, ONE_EACH) * torch.tensor([2.0, 3.0]))


def test_binary_cross_entropy_leaves_out_what_is_unknown() -> None:
    known = F.binary_cross_entropy_with_logits(LOGITS[0, [0, 2]], torch.tensor([1.0, 0.0]))
    torch.testing.assert_close(loss("binary_cross_entropy")(LOGITS, STATES)[0], known)
    balanced = loss("binary_cross_entropy")(LOGITS, STATES, torch.tensor([5.0, 1.0, 1.0]))[1]
    by_hand = (5 * -F.logsigmoid(LOGITS[1, 0]) - F.logsigmoid(LOGITS[1, 1])) / 2
    torch.testing.assert_close(balanced, by_hand)


@pytest.mark.parametrize("chosen", [loss("binary_cross_entropy"), loss("asymmetric")])
def test_a_recording_of_which_nothing_is_known_adds_nothing(chosen: Loss) -> None:
    logits = LOGITS.clone().requires_grad_()
    losses = chosen(logits, NOTHING_KNOWN)
    losses.sum().backward()
    assert losses.tolist() == [0.0, 0.0]
    assert logits.grad is not None
    assert not logits.grad.any()


def test_asymmetric_loss_without_its_exponents_is_the_binary_cross_entropy() -> None:
    balance = torch.tensor([2.0, 1.0, 0.5])
    plain = loss("asymmetric", gamma_negative=0.0, gamma_positive=0.0, clip=0.0)(LOGITS, STATES, balance)
    torch.testing.assert_close(plain, loss("binary_cross_entropy")(LOGITS, STATES, balance))


def test_asymmetric_loss_by_hand() -> None:
    logits, state = torch.tensor([[0.3, -2.0]]), torch.tensor([[PRESENT, ABSENT]], dtype=torch.int8)
    p, q = logits.sigmoid()[0].tolist()
    shifted = q - 0.05
    expected = (-((1 - p) ** 1) * torch.tensor(p).log() - shifted**4 * torch.tensor(1 - shifted).log()) / 2
    torch.testing.assert_close(loss("asymmetric")(logits, state)[0], expected)


def test_asymmetric_loss_has_a_finite_gradient_where_it_is_sure() -> None:
    logits = torch.tensor([[60.0, -60.0], [-60.0, 60.0]], requires_grad=True)
    state = torch.tensor([[PRESENT, ABSENT]] * 2, dtype=torch.int8)
    losses = loss("asymmetric")(logits, state)
    losses.sum().backward()
    assert losses.isfinite().all()
    assert logits.grad is not None
    assert logits.grad.isfinite().all()
    assert logits.grad[1, 0] < -0.1  # wrong and sure: the presence is still asked for
