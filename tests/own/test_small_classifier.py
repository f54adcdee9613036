"""The small classifier: it learns what can be told apart, and says how sure it is."""

import pytest
import torch

from sdelib.own.small_classifier import SmallClassifier, agreement, answers, trained


def bars(n, side, channels=1, seed=0):
    """Pictures with a bright row, class 0, or column, class 1, and noise."""
    g = torch.Generator().manual_seed(seed)
    y = torch.arange(n) % 2
    x = 0.3 * torch.rand(n, channels, side, side, generator=g)
    at = torch.randint(0, side, (n,), generator=g)
    for k in range(n):
        x[k, :, at[k]] += 0.6 * (y[k] == 0)
        x[k, :, :, at[k]] += 0.6 * (y[k] == 1)
    return x, y


@pytest.mark.parametrize("side, channels", [(12, 3), (8, 1)])
def test_it_tells_rows_from_columns(side, channels):
    (x, y), (other, asked) = bars(512, side, channels), bars(200, side, channels, 1)
    net = trained(lambda i: x[i], y, 2, mean=0.2, std=0.2, rounds=8, batch=64)
    assert not net.training and answers(net, other, batch=37).shape == (200, 2)
    found = agreement(answers(net, other).argmax(1) == asked, asked)
    assert found.value > 0.95 and 0 < found.error < 0.02
    f = answers(net.embed, x)
    assert f.shape == (512, 32) and float(f.square().mean().sqrt()) == pytest.approx(1, rel=0.1)


def test_the_same_seed_gives_the_same_network_and_leaves_the_generator_alone():
    x, y = bars(64, 9)
    before = torch.random.get_rng_state()
    nets = [trained(lambda i: x[i], y, 2, seed=s, rounds=1, batch=16) for s in (0, 0, 1)]
    assert torch.equal(torch.random.get_rng_state(), before)
    a, b, c = (net(x[:5]) for net in nets)
    assert torch.equal(a, b) and not torch.allclose(a, c)


@pytest.mark.parametrize("shape", [(4,), (1, 3, 5), (3, 48, 20), (2, 1, 200), (1, 100, 70)])
def test_it_takes_any_shape(shape):
    net = SmallClassifier(shape, 4)
    assert net(torch.zeros(3, *shape)).shape == (3, 4)
    with pytest.raises(ValueError, match="shape of x"):
        net(torch.zeros(3, 7))


def test_the_share_and_its_error_by_hand():
    right = torch.tensor([True, True, False, True, True, True, True, True])
    labels = torch.tensor([0, 0, 0, 0, 1, 1, 1, 1])
    plain = agreement(right, labels)
    assert plain.value == 7 / 8 and plain.n == 8
    assert plain.error == pytest.approx((0.8 * 0.2 / 8) ** 0.5)
    shared = agreement(right, labels, torch.tensor([3.0, 1.0]))
    assert shared.value == pytest.approx(0.75 * 3 / 4 + 0.25)
    known = (0.75**2 * (4 / 6) * (2 / 6) / 4 + 0.25**2 * (5 / 6) * (1 / 6) / 4) ** 0.5
    assert shared.error == pytest.approx(known)
    # a class of which there is no example has no weight
    assert agreement(right[:4], labels[:4], torch.tensor([1.0, 1.0])).value == 0.75


@pytest.mark.fault
def test_one_class_is_refused():
    x, _ = bars(10, 9)
    with pytest.raises(ValueError, match="classes among the labels = 1"):
        trained(lambda i: x[i], torch.zeros(10, dtype=torch.long), 3)
    with pytest.raises(ValueError, match=r"labels = \(0,\)"):
        agreement(torch.zeros(0), torch.zeros(0))
